//! Anything in any order: nothing panics, and everything ends.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Request { number: u8, method: &'static str, cookie: bool, stream: bool, to_tag: bool },
    Respond { server: u8, code: u16, reliably: bool },
    Acknowledged { server: u8 },
    Send { invite: bool, stream: bool, no_answer: bool },
    Response { client: u8, code: u16, method: Option<&'static str> },
    Cancel { client: u8 },
    Finished,
    Lost { stream: bool },
    Configure { t1: u64 },
    Advance { milliseconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let method = prop::sample::select(vec!["INVITE", "ACK", "CANCEL", "BYE"]);
    let code = prop::sample::select(vec![100_u16, 180, 199, 200, 202, 302, 401, 486, 487, 503, 603]);
    prop_oneof![
        4 => (0..4_u8, method, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(number, method, cookie, stream, to_tag)| Step::Request { number, method, cookie, stream, to_tag }
        ),
        4 => (any::<u8>(), code.clone(), any::<bool>())
            .prop_map(|(server, code, reliably)| Step::Respond { server, code, reliably }),
        1 => any::<u8>().prop_map(|server| Step::Acknowledged { server }),
        3 => any::<(bool, bool, bool)>()
            .prop_map(|(invite, stream, no_answer)| Step::Send { invite, stream, no_answer }),
        5 => (any::<u8>(), code, prop::option::of(prop::sample::select(vec!["CANCEL", "INVITE", "BYE"])))
            .prop_map(|(client, code, method)| Step::Response { client, code, method }),
        2 => any::<u8>().prop_map(|client| Step::Cancel { client }),
        1 => Just(Step::Finished),
        1 => any::<bool>().prop_map(|stream| Step::Lost { stream }),
        1 => (1..2000_u64).prop_map(|t1| Step::Configure { t1 }),
        4 => prop_oneof![0..10_u64, 100..5000_u64, 20_000..250_000_u64]
            .prop_map(|milliseconds| Step::Advance { milliseconds }),
    ]
}

/// A layer under random treatment, and whom it has known.
struct Play {
    layer: Layer,
    servers: Vec<ServerId>,
    clients: Vec<(ClientId, String)>,
}

impl Play {
    fn pick<T: Clone>(from: &[T], number: u8) -> Option<T> {
        from.get(usize::from(number) % from.len().max(1)).cloned()
    }

    fn flow(is_stream: bool) -> Flow {
        if is_stream { stream(1) } else { datagram() }
    }

    fn play(&mut self, step: Step) {
        let layer = &mut self.layer;
        match step {
            Step::Request { number, method, cookie, stream, to_tag } => {
                let branch = format!("{}{number}", if cookie { "z9hG4bK" } else { "" });
                let text = request(method, &branch, if to_tag { ";tag=ours" } else { "" });
                let flow = Self::flow(stream);
                if let Reception::New(key) = layer.receive(flow, &text) {
                    let request = parse(text.as_bytes());
                    self.servers.extend(layer.transactions.begin_server(layer.now, key, &flow, &request, 0));
                }
            }
            Step::Respond { server, code, reliably } => {
                let Some(server) = Self::pick(&self.servers, server) else { return };
                if reliably { layer.respond_reliably(server) } else { layer.respond(server, code) }
            }
            Step::Acknowledged { server } => {
                let Some(server) = Self::pick(&self.servers, server) else { return };
                layer.transactions.acknowledged(server);
            }
            Step::Send { invite, stream, no_answer } => {
                if layer.transactions.clients.len() < 8 {
                    let method = if invite { "INVITE" } else { "BYE" };
                    self.clients.push(layer.send(Self::flow(stream), method, 0, no_answer.then_some(8000)));
                }
            }
            Step::Response { client, code, method } => {
                let Some((_, sent)) = Self::pick(&self.clients, client) else { return };
                let mut text = response(&sent, code);
                if let Some(method) = method {
                    text = text.replace("CSeq: 1 INVITE", &format!("CSeq: 1 {method}"));
                }
                layer.receive_response(&text);
            }
            Step::Cancel { client } => {
                let Some((client, _)) = Self::pick(&self.clients, client) else { return };
                layer.cancel(client);
            }
            Step::Finished => layer.transactions.finished(&Self::flow(true), &mut layer.events),
            Step::Lost { stream } => layer.transactions.lost(&Self::flow(stream), &mut layer.events),
            Step::Configure { t1 } => {
                let timers = Timers { t1: Duration::from_millis(t1), ..Timers::default() };
                layer.transactions.configure(layer.now, timers);
            }
            Step::Advance { milliseconds } => layer.advance(milliseconds),
        }
    }

    /// What a sound core does in the end: it answers everybody, and cancels what rings for ever.
    fn end(&mut self) {
        for server in std::mem::take(&mut self.servers) {
            self.layer.respond(server, 500);
        }
        for (client, _) in std::mem::take(&mut self.clients) {
            self.layer.cancel(client);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_everything_ends(steps in prop::collection::vec(step(), 0..80)) {
        let layer = Layer::bounded(Bounds { servers_max: 8, clients_max: 8 });
        let mut play = Play { layer, servers: Vec::new(), clients: Vec::new() };
        for step in steps {
            play.play(step);
            let (servers, clients) = (play.layer.transactions.servers.len(), play.layer.transactions.clients.len());
            prop_assert!(servers <= 8 && clients <= 8);
            prop_assert!(play.layer.transactions.by_key.len() == servers);
        }

        play.end();
        // The longest: 64·T1 of the slowest T1, and after a held CANCEL as much again.
        play.layer.advance(2 * 64 * 2000 + 1000);
        prop_assert_eq!(play.layer.transactions.len(), 0);
        prop_assert_eq!(play.layer.transactions.by_key.len(), 0);

        // Reminders of those that are gone run out by themselves.
        play.layer.advance(200_000);
        prop_assert_eq!(play.layer.transactions.next_timeout(), None);
    }

    #[test]
    fn a_branch_of_any_octets_is_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(crate::transaction::branch::decode(&octets, &MAC_KEY), None);
    }
}
