use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const CALL_MAX: Duration = Duration::from_secs(4 * 3600);

fn at(seconds: u32) -> Now {
    Now { mono: Mono::from_seconds(seconds), wall: 1_700_000_000_000 + u64::from(seconds) * 1000 }
}

fn flow() -> Flow {
    Flow::datagram(ListenerId(0), "203.0.113.9:5060".parse().unwrap())
}

fn call(device: &str, number: &str, dialog: u64, began: Now) -> CalledForHelp {
    let device = Place::new("acme", device);
    CalledForHelp {
        key: CalledForHelp::key_of("acme", &Caller::Device(device.clone()), flow().remote, dialog),
        caller: Caller::Device(device),
        number: number.into(),
        contact: (*b"sip:desk@192.168.1.9").into(),
        listener: 0,
        remote: flow().remote,
        dialog,
        began: began.wall,
        ended: None,
    }
}

fn ringing(calls: &CallBacks, number: &str, now: Now) -> Vec<String> {
    let found = calls.of_number(number.as_bytes(), now.mono, |tenant| tenant == "acme");
    let device = |found: &CallBack| found.call.device().map(|device| device.name().to_owned());
    found.iter().map(|found| device(found).expect("a device")).collect()
}

#[test]
fn number_leads_to_its_phones_until_their_time_is_over() {
    let calls = CallBacks::new();
    assert!(calls.is_empty());
    calls.began(call("desk-2", "+12125550100", 2, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
    calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
    calls.began(call("desk-3", "+12125550199", 3, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);

    calls.ended(1, at(100), |_| HOUR).expect("it was up");
    assert_eq!(calls.ended(1, at(200), |_| HOUR), None, "its end is told once");

    assert_eq!(ringing(&calls, "+12125550100", at(100)), ["desk-1", "desk-2"]);
    assert_eq!(ringing(&calls, "+12125550100", at(100 + 3600)), ["desk-2"]);
    assert_eq!(calls.expire(at(100 + 3600).mono), [call("desk-1", "", 1, at(0)).key]);
    assert_eq!(calls.expire(at(10 * 3600).mono).len(), 2);
    assert!(calls.is_empty());
}

#[test]
fn second_call_of_a_phone_takes_nothing_from_the_first() {
    let calls = CallBacks::new();
    calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, CALL_MAX + HOUR);
    calls.began(call("desk-1", "+12125550199", 2, at(10)), flow(), at(10).mono, CALL_MAX + HOUR);
    assert!(calls.ended(2, at(20), |_| HOUR).is_some());

    assert_eq!(ringing(&calls, "+12125550100", at(3000)), ["desk-1"]);
    assert_eq!(ringing(&calls, "+12125550199", at(3000)), ["desk-1"]);
    assert_eq!(ringing(&calls, "+12125550100", at(2 * 3600)), ["desk-1"], "its call is up");
    assert!(calls.ended(1, at(2 * 3600), |_| HOUR).is_some(), "the end of the first is seen too");
}

#[test]
fn phone_that_called_twice_rings_once_where_it_called_from_last() {
    let calls = CallBacks::new();
    let moved = SocketAddr::new(flow().remote.ip(), 5070);
    calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);
    let again = CalledForHelp { remote: moved, ..call("desk-1", "+12125550100", 2, at(9)) };
    calls.began(again, Flow::datagram(ListenerId(0), moved), at(9).mono, HOUR);

    let found = calls.of_number(b"+12125550100", at(10).mono, |_| true);

    assert_eq!(found.iter().map(|found| found.call.remote).collect::<Vec<_>>(), [moved]);
}

#[test]
fn phones_behind_one_address_that_proved_nothing_are_told_apart() {
    let calls = CallBacks::new();
    let from = |port: u16| SocketAddr::new(flow().remote.ip(), port);
    let call = |port: u16, dialog| {
        let key = CalledForHelp::key_of("acme", &Caller::Unknown, from(port), dialog);
        CalledForHelp { key, caller: Caller::Unknown, remote: from(port), ..call("", "100", dialog, at(0)) }
    };
    for (port, dialog) in [(5060, 1), (5061, 2), (5061, 3)] {
        calls.began(call(port, dialog), Flow::datagram(ListenerId(0), from(port)), at(0).mono, HOUR);
    }

    let found = calls.of_number(b"100", at(1).mono, |_| true);
    assert_eq!(found.iter().map(|found| found.call.remote.port()).collect::<Vec<_>>(), [5060, 5061]);

    for dialog in 4..10_000_u16 {
        calls.began(call(dialog, dialog.into()), flow(), at(1).mono, HOUR);
    }
    assert_eq!(calls.count.load(Ordering::Relaxed), CALLS_PER_ADDRESS_MAX);
}

#[test]
fn flood_from_an_address_pushes_out_no_call_from_elsewhere() {
    let calls = CallBacks::new();
    let unproved = |tenant: &str, address: [u8; 4], number: &str, dialog| {
        let remote = SocketAddr::from((address, 5060));
        let key = CalledForHelp::key_of(tenant, &Caller::Unknown, remote, dialog);
        CalledForHelp { key, caller: Caller::Unknown, remote, ..call("", number, dialog, at(0)) }
    };
    let flooded = [192, 0, 2, 1];
    calls.began(unproved("acme", [192, 0, 2, 2], "200", 1), flow(), at(0).mono, HOUR);
    calls.began(unproved("other", flooded, "300", 2), flow(), at(0).mono, HOUR);
    for dialog in 3..10_000 {
        calls.began(unproved("acme", flooded, "100", dialog), flow(), at(1).mono, HOUR);
    }

    for number in [b"200", b"300"] {
        assert_eq!(calls.of_number(number, at(2).mono, |_| true).len(), 1);
    }
}

#[test]
fn device_has_one_bound_wherever_it_calls_from() {
    let calls = CallBacks::new();
    for dialog in 0..5_000_u16 {
        let remote = SocketAddr::from(([192, 0, 2, dialog as u8], 5060));
        let call = CalledForHelp { remote, ..call("desk-1", "100", dialog.into(), at(0)) };
        calls.began(call, flow(), at(0).mono, HOUR);
    }

    assert_eq!(calls.count.load(Ordering::Relaxed), CALLS_PER_CALLER_MAX);
}

#[test]
fn call_back_starts_the_time_of_its_phone_anew() {
    let calls = CallBacks::new();
    let john = call("desk-1", "+12125550100", 1, at(0));
    let ann = call("desk-2", "+12125550199", 2, at(0));
    for call in [&john, &ann] {
        calls.began(call.clone(), flow(), at(0).mono, CALL_MAX + HOUR);
    }
    calls.ended(1, at(100), |_| HOUR).expect("it was up");

    let kept = calls.called_back(&john.key, at(3000), HOUR).expect("it is remembered");
    assert_eq!(kept, CalledForHelp { ended: Some(at(3000).wall), ..john.clone() });
    assert_eq!(ringing(&calls, "+12125550100", at(3000 + 3599)), ["desk-1"]);
    assert!(ringing(&calls, "+12125550100", at(3000 + 3600)).is_empty());

    let still_up = calls.called_back(&ann.key, at(3000), HOUR).expect("it is remembered");
    assert_eq!(still_up, ann);
    assert_eq!(ringing(&calls, "+12125550199", at(4 * 3600)), ["desk-2"], "no time is taken away");
    assert_eq!(calls.called_back(&call("desk-3", "", 3, at(0)).key, at(3000), HOUR), None);
}

#[test]
fn phone_that_plays_pushes_out_its_own_calls_alone() {
    let calls = CallBacks::new();
    calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);
    for dialog in 0..5_000 {
        calls.began(call("desk-2", "+12125550199", dialog, at(1)), flow(), at(1).mono, HOUR);
    }

    assert_eq!(ringing(&calls, "+12125550100", at(2)), ["desk-1"]);
    assert_eq!(calls.count.load(Ordering::Relaxed), 1 + CALLS_PER_CALLER_MAX);
}

#[test]
fn numbers_of_other_tenants_are_not_theirs_to_call() {
    let calls = CallBacks::new();
    calls.began(call("desk-1", "+12125550100", 1, at(0)), flow(), at(0).mono, HOUR);

    assert!(calls.of_number(b"+12125550100", at(1).mono, |tenant| tenant == "other").is_empty());
}

#[test]
fn number_is_known_in_every_form_and_a_short_one_only_whole() {
    for called in ["+12125550100", "12125550100", "0012125550100", "2125550100", "+1-212-555-0100", "5550100"]
    {
        assert!(Called::new(called.as_bytes()).means("+12125550100"), "{called}");
    }
    for called in ["550100", "+12125550101", "0100", "", "boss", "+1212555010", "1212555+0100"] {
        assert!(!Called::new(called.as_bytes()).means("+12125550100"), "{called}");
    }
    assert!(Called::new(b"desk-1").means("desk-1"));
    assert!(!Called::new(b"").means(""), "a phone that showed no number is called by none");
    assert!(Called::new(b"100").means("100"));
    assert!(!Called::new(b"1000").means("100"));
    assert!(Called::new(&[b'1'; 24]).means("11111111"));
    assert!(!Called::new(&[b'1'; 25]).means("11111111"), "no number is as long");
}

#[test]
fn restart_brings_back_what_is_left_of_the_time() {
    let restore = |call: &CalledForHelp, now: Now| {
        let calls = CallBacks::new();
        let resumed = calls.restore(
            call.clone(),
            Now { mono: Mono::default(), wall: now.wall },
            (HOUR, HOUR * 2),
            CALL_MAX,
            |_| true,
        );
        (resumed, calls)
    };
    let mut kept = call("desk-1", "+12125550100", 7, at(0));

    let (resumed, calls) = restore(&kept, at(60));
    assert_eq!(resumed, Some(Resumed::Up { dialog: 7 }));
    assert_eq!(ringing(&calls, "+12125550100", at(5 * 3600 - 1)), ["desk-1"], "it may be up for so long");
    assert!(calls.ended(7, at(70), |_| HOUR).is_some());

    kept.ended = Some(at(100).wall);
    let (resumed, calls) = restore(&kept, at(700));
    assert_eq!(resumed, Some(Resumed::Ended(Duration::from_secs(600))));
    assert_eq!(ringing(&calls, "+12125550100", at(2999)), ["desk-1"]);
    assert!(ringing(&calls, "+12125550100", at(3000)).is_empty());

    let (resumed, calls) = restore(&kept, at(100 + 5400));
    assert_eq!(resumed, Some(Resumed::Ended(Duration::from_secs(5400))), "the seat is held longer here");
    assert!(calls.is_empty());
    assert_eq!(restore(&kept, at(100 + 7200)).0, None);

    kept.ended = None;
    assert_eq!(restore(&kept, at(6 * 3600)).0, None, "its end was never seen, and it is long ago");
    let set_back = Now { mono: Mono::default(), wall: 5 };
    assert!(restore(&kept, set_back).0.is_some(), "a clock set back releases nobody");
}

#[test]
fn restart_brings_back_a_phone_whose_seat_is_held_no_longer() {
    let calls = CallBacks::new();
    let kept = CalledForHelp { ended: Some(at(100).wall), ..call("desk-1", "+12125550100", 7, at(0)) };
    let start = Now { mono: Mono::default(), wall: at(100 + 1800).wall };

    let resumed = calls.restore(kept, start, (HOUR, Duration::from_secs(60)), CALL_MAX, |_| true);

    assert_eq!(resumed, Some(Resumed::Ended(Duration::from_secs(1800))));
    assert_eq!(ringing(&calls, "+12125550100", at(1799)), ["desk-1"]);
}

#[test]
fn flood_of_calls_costs_a_bounded_table() {
    let calls = CallBacks::new();
    for n in 0..CALLS_MAX as u32 {
        let given =
            calls.began(call(&format!("desk-{n}"), "+12125550100", 1, at(n)), flow(), at(n).mono, HOUR);
        assert_eq!(given, None);
    }

    let given = calls.began(call("one-more", "+12125550100", 1, at(9_999)), flow(), at(9_999).mono, HOUR);

    assert_eq!(given, Some(call("desk-0", "", 1, at(0)).key), "the one whose time is over first");
}

proptest::proptest! {
    #[test]
    fn no_number_causes_a_panic(called: Vec<u8>, shown: String) {
        let _ = Called::new(&called).means(&shown);
    }
}
