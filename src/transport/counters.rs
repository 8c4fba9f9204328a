//! What the transports of one worker count: plain numbers, published with those of its dataplane.

macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// Monotonic counts of one worker's sockets since start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl Counters {
            /// Each counter's name, help text and value, in a fixed order.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $help, self.$name),)*].into_iter()
            }

            /// Adds another worker's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

counters! {
    datagrams_received: "Datagrams received.",
    datagrams_sent: "Datagrams sent.",
    datagrams_refused: "Datagrams that the system would not send: no route, a firewall, too long.",
    datagrams_dropped: "Datagrams dropped because the socket stayed full.",
    socket_errors: "Errors of sockets that say nothing about a peer.",
    connections_accepted: "Connections accepted.",
    connections_ended: "Connections ended, by whomever.",
    connections_refused: "Connections closed at once because their source or the table had no room.",
    connections_evicted: "Idle connections closed to make room.",
    connections_idle: "Connections closed because they said nothing for too long.",
    connections_slow: "Connections closed because they did not take what was sent to them.",
    connections_half_message: "Connections closed because a message begun was not finished in time.",
    stream_messages: "Messages framed on streams.",
    stream_keep_alives: "Keep-alives answered on streams.",
    stream_misframed: "Streams closed because their framing was in doubt.",
    stream_dropped: "Messages for a connection that is no more.",
    descriptors_exhausted: "Accepts that found no descriptor left.",
}
