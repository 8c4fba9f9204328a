//! Scanners, sweepers of extensions, guessers of passwords: slowed and shut out for a while, and no office with them.

use std::net::IpAddr;

use dataplane::admission::bans::Offence;
use dataplane::input::Command;
use dataplane::output::Report;
use dataplane::testing::Office;

use crate::{SEED, gateway, seconds, three_desks};

/// A REGISTER without credentials for a user, as a tool writes it.
fn register(user: &str, number: u32, user_agent: &str) -> Vec<u8> {
    format!(
        "REGISTER sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKs{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@demo.hotdesk>;tag=1\r\nTo: <sip:{user}@demo.hotdesk>\r\n\
         Call-ID: sweep-{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:{user}@192.0.2.66>\r\n\
         User-Agent: {user_agent}\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn sweep(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| register(&format!("{}", 5000 + number), number, "Yealink"))
}

/// A call of `user` to somebody, of the same kind.
fn invite(user: &str, called: &str, number: u32, user_agent: &str) -> Vec<u8> {
    let register = String::from_utf8(register(user, number, user_agent)).expect("text");
    let invite = register.replace("REGISTER sip:demo.hotdesk", &format!("INVITE sip:{called}@demo.hotdesk"));
    let invite = invite.replace(&format!("To: <sip:{user}@"), &format!("To: <sip:{called}@"));
    invite.replace("1 REGISTER", "1 INVITE").into_bytes()
}

/// One for help.
fn help(number: u32) -> Vec<u8> {
    invite("1001", "112", number, "Yealink")
}

/// What `peer` is asked for when it sends `question`.
fn nonce(office: &mut Office, peer: &str, question: &[u8]) -> String {
    office.throw(peer, question);
    let answer = office[peer].heard().last().expect("an answer");
    let name = if answer.status() == Some(407) { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    let challenge = answer.header(name).expect("a challenge");
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
    nonce.expect("a nonce").to_owned()
}

/// `question` with a guess at the password of 1001, behind credentials for somebody else.
fn guess(question: &[u8], uri: &str, nonce: &str, number: u32) -> Vec<u8> {
    let credentials = format!(
        "Authorization: Digest username=\"1001\", realm=\"elsewhere\", nonce=\"x\", uri=\"sip:x\", response=\"0\"\r\n\
         Authorization: Digest username=\"1001\", realm=\"demo.hotdesk\", nonce=\"{nonce}\", qop=auth, \
         uri=\"{uri}\", cnonce=\"a\", nc=00000001, response=\"{number:032x}\"\r\nContent-Length"
    );
    String::from_utf8_lossy(question).replace("Content-Length", &credentials).into_bytes()
}

/// `peer` tries passwords of 1001 until it is banned for it.
fn guess_until_banned(office: &mut Office, peer: &str) {
    let question = register("1001", 1, "Yealink");
    let nonce = nonce(office, peer, &question);
    for number in 0..30 {
        office.throw(peer, &guess(&question, "sip:demo.hotdesk", &nonce, number));
        office.advance(seconds(1));
    }
}

/// Address, port and reason of each ban that was reported.
fn bans(office: &Office) -> Vec<(String, Option<u16>, Offence)> {
    let bans = office.reports.iter().filter_map(|report| match report {
        Report::Banned(ban, _) => Some((ban.address.to_string(), ban.port, ban.offence)),
        _ => None,
    });
    bans.collect()
}

/// The same of those that were slowed.
fn slowed(office: &Office) -> Vec<(String, Offence)> {
    let slowed = office.reports.iter().filter_map(|report| match report {
        Report::Slowed(source, offence, _) => Some((source.to_string(), *offence)),
        _ => None,
    });
    slowed.collect()
}

#[test]
fn known_scanner_is_not_answered_once_and_over_a_connection_not_heard_again() {
    let mut office = three_desks();
    office.peer("tool", "198.51.100.66:5060").peer("other-port", "198.51.100.66:5061");
    office.unbox("stream", "1001").over_tls("stream", "sip").seen_at("stream", "198.51.100.66:6000");

    office.throw("tool", &register("100", 1, "friendly-scanner"));
    assert_eq!(slowed(&office), [("198.51.100.66:5060".to_owned(), Offence::Scanner)]);
    assert_eq!(bans(&office), []);
    office.throw("stream", &register("100", 2, "friendly-scanner"));
    office.throw("other-port", &register("100", 3, "Yealink"));

    assert!(["tool", "stream", "other-port"].iter().all(|name| office[*name].heard().is_empty()));
    assert_eq!(bans(&office), [("198.51.100.66".to_owned(), None, Offence::Scanner)]);
    let counters = office.counters();
    assert_eq!((counters.slowed, counters.bans), (1, 1));
    let shown = office.tables().bans.list(office.now().mono);
    assert_eq!((shown.len(), shown[0].until.since(office.now().mono) > seconds(590)), (1, true));
}

#[test]
fn banned_address_is_not_heard_by_what_begins_as_a_part_of_a_call() {
    let mut office = three_desks();
    office.peer("tool", "198.51.100.66:5060").peer("other-port", "198.51.100.66:5061");
    guess_until_banned(&mut office, "tool");

    let bye = String::from_utf8(register("100", 2, "Yealink")).expect("text").replace("REGISTER", "BYE");
    office.throw("other-port", bye.as_bytes());

    assert!(office["other-port"].heard().is_empty());
    assert_eq!(office.counters().dropped_over_limit, 1);
}

#[test]
fn sweep_of_extensions_over_connections_ends_with_a_ban_that_time_lifts() {
    let mut office = three_desks();
    office.unbox("tool", "1001").over_tls("tool", "sip").seen_at("tool", "198.51.100.66:5060");

    for second in 0..10 {
        office.throw_all("tool", sweep(200).skip(20 * second).take(20));
        office.advance(seconds(1));
    }

    let heard = office["tool"].heard().len();
    assert!((19..24).contains(&heard), "{heard} answers, each the same 401");
    assert_eq!(bans(&office), [("198.51.100.66".to_owned(), None, Offence::Sweep)]);
    office.advance(seconds(620));
    office.throw("tool", &register("1001", 1_000, "Yealink"));
    assert_eq!(office["tool"].heard().len(), heard + 1);
}

#[test]
fn sweep_of_extensions_in_datagrams_is_slowed_until_time_lifts_that() {
    let mut office = three_desks();
    office.peer("tool", "198.51.100.66:5060");

    office.throw_all("tool", sweep(400));
    let at_once = office["tool"].heard().len();
    assert!((30..70).contains(&at_once), "{at_once} answers, each the same 401");
    // Of users that do and that do not exist alike.
    for second in 0..100 {
        office.throw_all(
            "tool",
            (0..20).map(|number| register("1001", 1_000 + 20 * second + number, "Yealink")),
        );
        office.advance(seconds(1));
    }

    let slowly = office["tool"].heard().len() - at_once;
    assert!((390..420).contains(&slowly), "{slowly} in 100 s");
    assert_eq!(slowed(&office), [("198.51.100.66:5060".to_owned(), Offence::Sweep)], "told once");
    assert_eq!(bans(&office), []);
    office.advance(seconds(600));
    office.throw_all("tool", (0..400).map(|number| register("1001", 5_000 + number, "Yealink")));
    let before = office["tool"].heard().len();
    office.advance(seconds(10));
    office.throw_all("tool", (0..400).map(|number| register("1001", 6_000 + number, "Yealink")));
    assert_eq!(office["tool"].heard().len(), before + 400);
}

#[test]
fn nobody_is_kept_out_by_datagrams_in_the_name_of_his_address() {
    let mut office = three_desks();
    // A phone alone at its address, which the edge does not know yet; one that it knows; and who forges their addresses.
    office.unbox("soft-1", "1001").seen_at("soft-1", "198.51.100.66:5060");
    office.own_phone("soft-2", "1002").peer("forger", "203.0.113.66:6666");
    let nonce = nonce(&mut office, "forger", &register("1001", 1, "Yealink"));

    for number in 0..100 {
        let question = register("1001", 100 + number, "Yealink");
        let guess = guess(&question, "sip:demo.hotdesk", &nonce, number);
        for name in ["soft-1", "soft-2"] {
            office.throw(name, &guess);
            office.throw(name, &register(&format!("{}", 5000 + number), 1_000 + number, "Yealink"));
        }
        office.throw("soft-2", &register("100", 2_000 + number, "friendly-scanner"));
        office.advance(seconds(1));
    }

    assert_eq!(bans(&office), []);
    assert_eq!(office.counters().digests_refused, 0, "they answer no nonce that was sent there");
    assert_eq!(slowed(&office), [("198.51.100.66:5060".to_owned(), Offence::Sweep)]);
    office["soft-1"].wrong_password = Some("mistaken".into());
    assert_eq!(office.register("soft-1"), Some(401));
    office["soft-1"].wrong_password = None;
    assert_eq!((office.register("soft-1"), office.register("soft-2")), (Some(200), Some(200)));
    office.throw_all("soft-1", (0..400).map(|number| register("1001", 5_000 + number, "Yealink")));
    assert_eq!(office.counters().dropped_over_limit, 0, "nor is it slow any longer");
}

#[test]
fn user_that_does_not_exist_is_answered_as_often_as_one_that_does() {
    let answers = ["1001", "5001"].map(|user| {
        let mut office = three_desks();
        office.peer("tool", "198.51.100.66:5060");
        office.throw_all("tool", (0..400).map(|number| register(user, number, "Yealink")));
        office["tool"].heard().len()
    });

    assert!(answers[0] > 100, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn guesser_of_passwords_is_banned_and_an_honest_mistake_is_not() {
    let mut office = three_desks();
    office.unbox("guesser", "1001").unbox("mistaken", "1002");
    for phone in ["guesser", "mistaken"] {
        office[phone].wrong_password = Some("guess".into());
    }

    for _ in 0..10 {
        office.register("mistaken");
        office.advance(seconds(30));
    }
    office["mistaken"].wrong_password = None;
    assert_eq!(office.register("mistaken"), Some(200));
    for _ in 0..40 {
        office.register("guesser");
        office.advance(seconds(1));
    }

    let [(_, None, Offence::Guesses)] = &bans(&office)[..] else { panic!("{:?}", bans(&office)) };
    let asked = office["guesser"].responses_to("REGISTER").len();
    assert!((30..=62).contains(&asked), "{asked}");
}

#[test]
fn guesser_of_passwords_is_banned_for_his_calls_too() {
    let mut office = three_desks();
    office.unbox("guesser", "1001");
    office["guesser"].wrong_password = Some("guess".into());

    for _ in 0..40 {
        office.call("guesser", "1002");
        office.advance(seconds(1));
    }

    let [(_, None, Offence::Guesses)] = &bans(&office)[..] else { panic!("{:?}", bans(&office)) };
}

#[test]
fn guesses_count_though_all_are_sent_as_one_request() {
    let mut office = three_desks();
    office.peer("tool", "198.51.100.66:5060");
    let question = register("1001", 1, "Yealink");
    let nonce = nonce(&mut office, "tool", &question);

    for number in 0..40 {
        office.throw("tool", &guess(&question, "sip:demo.hotdesk", &nonce, number));
        office.advance(seconds(1));
    }

    assert_eq!(bans(&office), [("198.51.100.66".to_owned(), None, Offence::Guesses)]);
}

#[test]
fn office_is_never_banned_as_a_whole() {
    let mut office = three_desks();
    office.seen_at("desk-1", "203.0.113.200:5060").seen_at("desk-2", "203.0.113.200:5062");
    assert_eq!((office.register("desk-1"), office.register("desk-2")), (Some(200), Some(200)));
    office.unbox("infected", "1003").over_tls("infected", "sip").seen_at("infected", "203.0.113.200:6666");

    for second in 0..10 {
        office.throw_all("infected", sweep(200).skip(20 * second).take(20));
        // Whoever writes the address of a phone into his datagrams has not banned it.
        office.throw_all("desk-1", sweep(200).skip(4 * second).take(4));
        office.advance(seconds(1));
    }

    assert_eq!(bans(&office), [("203.0.113.200".to_owned(), Some(6666), Offence::Sweep)]);
    office.advance(seconds(5));
    assert_eq!((office.register("desk-1"), office.register("desk-2")), (Some(200), Some(200)));
    office.seen_at("desk-3", "203.0.113.200:5064");
    assert_eq!(office.reboot("desk-3"), Some(200), "one more phone of the office");
}

#[test]
fn network_of_a_site_is_not_banned_before_its_first_phone_has_registered() {
    let mut office = three_desks();
    for (name, address) in [("infected", "10.2.0.66:6666"), ("tool", "10.2.0.66:6667")] {
        office.unbox(name, "1001").over_tls(name, "sip").seen_at(name, address);
    }

    for second in 0..10 {
        office.throw_all("infected", sweep(200).skip(20 * second).take(20));
        office.advance(seconds(1));
    }
    office.throw("tool", &register("100", 1, "friendly-scanner"));

    let banned = |port, offence| ("10.2.0.66".to_owned(), Some(port), offence);
    assert_eq!(bans(&office), [banned(6666, Offence::Sweep), banned(6667, Offence::Scanner)]);
    office.seen_at("desk-1", "10.2.0.66:5060");
    assert_eq!(office.register("desk-1"), Some(200));
}

#[test]
fn call_for_help_lifts_no_ban() {
    let mut office = three_desks();
    office.peer("tool", "10.2.0.66:6666");
    guess_until_banned(&mut office, "tool");
    let before = office["tool"].responses_to("REGISTER").len();

    for number in 2..100 {
        office.throw("tool", &help(number));
        office.throw("tool", &register("1001", 1_000 + number, "Yealink"));
    }

    assert_eq!(office["tool"].responses_to("INVITE").len(), 98, "each is answered");
    assert_eq!(office["tool"].responses_to("REGISTER").len(), before);
}

#[test]
fn guesses_count_in_calls_for_help_too_and_the_call_is_asked_again_all_the_same() {
    let mut office = three_desks();
    office.peer("tool", "198.51.100.66:5060");
    let nonce = nonce(&mut office, "tool", &help(0));

    for number in 1..=60 {
        office.throw("tool", &guess(&help(number), "sip:112@demo.hotdesk", &nonce, number));
        office.advance(seconds(1));
    }

    assert_eq!(bans(&office), [("198.51.100.66".to_owned(), None, Offence::Guesses)], "told once");
    assert_eq!(office["tool"].responses_to("INVITE").len(), 1 + 60);
    office.throw("tool", &register("1001", 100, "Yealink"));
    assert!(office["tool"].responses_to("REGISTER").is_empty());
}

#[test]
fn banned_address_can_call_for_help_and_be_pardoned() {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].emergency.routes = vec![gateway("psap", 112)];
        blueprint.workers = 2;
    });
    office.peer("psap", "198.51.100.112:5060").at_worker("psap", 0);
    office.unbox("soft-1", "1001").seen_at("soft-1", "198.51.100.66:5070").at_worker("soft-1", 1);
    office.peer("tool", "198.51.100.66:5060").at_worker("tool", 0);
    guess_until_banned(&mut office, "tool");

    assert_eq!(office.register("soft-1"), None, "the other worker has been told");
    let help = office.call("soft-1", "112");
    assert_eq!(
        office.outcome(help),
        Some(200),
        "asked for credentials, since nobody knows it, and let through"
    );
    office.hang_up(help);
    assert_eq!(office["psap"].up(), 0);
    let heard = office["tool"].heard().len();
    office.throw("tool", &[b"\r\n", &*self::help(99)].concat());
    assert_eq!(office["tool"].heard().len(), heard + 1, "line breaks ahead of it are none of it");
    let address: IpAddr = "198.51.100.66".parse().expect("an address");
    office.command(Command::Pardon { address, port: None }).expect("a reply").expect("done");
    assert_eq!(office.register("soft-1"), Some(200));
    assert!(office.tables().bans.list(office.now().mono).is_empty());
}

#[test]
fn ban_for_what_came_in_datagrams_is_of_no_connection() {
    let mut office = three_desks();
    office.peer("forger", "198.51.100.66:5060").peer("stranger", "198.51.100.66:5062");
    office.unbox("soft-1", "1001").over_tls("soft-1", "sip").seen_at("soft-1", "198.51.100.66:5070");
    guess_until_banned(&mut office, "forger");

    assert_eq!(office.register("soft-1"), Some(200));
    office.unregister("soft-1");
    office.advance(seconds(700));
    office.unbox("tool", "1002").over_tls("tool", "sip").seen_at("tool", "198.51.100.66:5072");
    office.throw("tool", &register("100", 2, "friendly-scanner"));
    office.throw("stranger", &register("1001", 3, "Yealink"));
    assert!(office["stranger"].heard().is_empty(), "whoever scans over a connection is there");
}

#[test]
fn scanner_that_calls_is_one_too() {
    let mut office = three_desks();
    office.unbox("tool", "1001").over_tls("tool", "sip").seen_at("tool", "198.51.100.66:6000");

    office.throw("tool", &invite("100", "101", 1, "friendly-scanner"));

    assert!(office["tool"].heard().is_empty());
    assert_eq!(bans(&office), [("198.51.100.66".to_owned(), None, Offence::Scanner)]);
}

#[test]
fn sweep_by_calls_is_told_by_who_calls_and_not_by_who_is_called() {
    let as_many: fn(u32) -> Vec<u8> =
        |number| invite(&format!("{}", 5000 + number), "1001", number, "Yealink");
    let to_many: fn(u32) -> Vec<u8> =
        |number| invite("1001", &format!("{}", 5000 + number), number, "Yealink");
    let for_help: fn(u32) -> Vec<u8> =
        |number| invite(&format!("{}", 5000 + number), "112", number, "Yealink");
    for (call, is_sweep) in [(as_many, true), (to_many, false), (for_help, false)] {
        let mut office = three_desks();
        office.unbox("tool", "1001").over_tls("tool", "sip").seen_at("tool", "198.51.100.66:6000");

        for number in 0..60 {
            office.throw("tool", &call(number));
            office.advance(seconds(1));
        }

        let ban = ("198.51.100.66".to_owned(), None, Offence::Sweep);
        assert_eq!(bans(&office), Vec::from_iter(is_sweep.then_some(ban)));
        let asked = office["tool"].responses_to("INVITE").len();
        assert_eq!(asked == 60, !is_sweep, "{asked}");
    }
}

#[test]
fn whoever_guesses_all_the_time_is_down_to_four_tries_a_second() {
    let mut office = Office::with(SEED, |blueprint| blueprint.admission.wrong_digests_max = 10_000);
    office.peer("tool", "198.51.100.66:5060");
    let question = register("1001", 1, "Yealink");
    let nonce = nonce(&mut office, "tool", &question);
    let tried = |office: &mut Office, count: u32| {
        let before = office.counters().digests_refused;
        office
            .throw_all("tool", (0..count).map(|number| guess(&question, "sip:demo.hotdesk", &nonce, number)));
        office.counters().digests_refused - before
    };

    let at_once = tried(&mut office, 400);
    assert!((19..=22).contains(&at_once), "{at_once}");
    let slowly: u64 = (0..25)
        .map(|_| {
            office.advance(seconds(1));
            tried(&mut office, 100)
        })
        .sum();

    assert!((95..=105).contains(&slowly), "{slowly} in 25 s");
}

#[test]
fn guesses_from_all_ports_of_an_address_count_together_unless_phones_are_behind_it() {
    for is_office in [false, true] {
        let mut office = three_desks();
        if is_office {
            office.seen_at("desk-1", "198.51.100.66:5060");
            assert_eq!(office.register("desk-1"), Some(200));
        }
        let question = register("1001", 1, "Yealink");

        for port in 0..4 {
            let name = format!("port-{port}");
            office.peer(&name, &format!("198.51.100.66:{}", 20_000 + port));
            let nonce = nonce(&mut office, &name, &question);
            for number in 0..9 {
                office.throw(&name, &guess(&question, "sip:demo.hotdesk", &nonce, 10 * port + number));
                office.advance(seconds(1));
            }
        }

        let ban = ("198.51.100.66".to_owned(), None, Offence::Guesses);
        assert_eq!(bans(&office), Vec::from_iter((!is_office).then_some(ban)));
    }
}

#[test]
fn registered_phone_that_guesses_is_not_banned_nor_anybody_where_nobody_is() {
    for nobody_is in [false, true] {
        let mut office = Office::with(SEED, |blueprint| {
            if nobody_is {
                blueprint.admission.ban = seconds(0);
            }
        });
        office.unbox("soft-1", "1001");
        if !nobody_is {
            assert_eq!(office.register("soft-1"), Some(200));
        }
        office["soft-1"].wrong_password = Some("guess".into());

        for _ in 0..40 {
            office.call("soft-1", "1002");
            office.advance(seconds(1));
        }

        assert_eq!(bans(&office), []);
        office["soft-1"].wrong_password = None;
        assert_eq!(office.register("soft-1"), Some(200));
    }
}
