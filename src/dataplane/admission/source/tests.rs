use std::collections::HashSet;

use super::super::bans::Offence;
use super::*;
use crate::flow::ListenerId;

fn ban(connections: bool) -> Ban {
    let until = Mono::from_seconds(1000);
    Ban { address: [192, 0, 2, 1].into(), port: None, connections, offence: Offence::Scanner, until }
}

#[test]
fn connections_of_a_banned_address_are_known_until_it_is_pardoned_or_its_time_is_over() {
    let mut sources = Sources::new([7; 16]);
    let (now, ban) = (Mono::from_seconds(100), ban(true));

    assert!(sources.ban(now, &ban));
    assert!(!sources.ban(now, &ban), "it is no news");
    assert!(sources.is_banned(now, ban.address));
    assert!(!sources.is_banned(now, [192, 0, 2, 2].into()));
    assert!(!sources.is_banned(ban.until, ban.address));

    sources.pardon(now, ban.address, None);
    assert!(!sources.is_banned(now, ban.address));
}

#[test]
fn ban_for_datagrams_is_none_for_connections() {
    let mut sources = Sources::new([7; 16]);
    let now = Mono::from_seconds(100);

    assert!(sources.ban(now, &ban(false)));

    assert!(!sources.is_banned(now, ban(false).address));
}

#[test]
fn a_flood_of_bans_is_told_of_at_a_bounded_rate() {
    let mut sources = Sources::new([7; 16]);
    let mut told_at = |second| (0..10_000).filter(|_| sources.may_tell(Mono::from_seconds(second))).count();

    assert!((100..=101).contains(&told_at(100)), "five seconds' worth");
    assert!((19..=21).contains(&told_at(101)));
}

#[test]
fn whoever_owes_too_much_or_has_proved_himself_is_forgotten_last() {
    let now = Mono::from_seconds(100);
    let mut table = Table::new(WAYS);
    let entry = |table: &mut Table, key| table.0[table.place(key, now)];
    for key in 1..=4 {
        let place = table.place(key, now);
        table.0[place].owe(now, Duration::from_secs(key));
    }
    let place = table.place(1, now);
    table.0[place] = Entry { key: 1, proved_until: 200, ..Entry::default() };
    let place = table.place(4, now);
    table.0[place].owe(now, BURST);

    for stranger in 10..20 {
        table.place(stranger, now);
    }

    assert_eq!(entry(&mut table, 1).proved_until, 200);
    assert!(entry(&mut table, 4).is_over(now));
}

/// What a phone at an office's address sends datagrams by.
fn datagrams() -> Flow {
    Flow::datagram(ListenerId(0), ([203, 0, 113, 5], 5060).into())
}

#[test]
fn what_is_done_while_nobody_speaks_proves_nobody() {
    let mut sources = Sources::new([7; 16]);
    let (now, rate) = (Mono::from_seconds(100), Rate::per_second(20));
    sources.charge(now, &datagrams(), rate, rate);
    sources.done();

    sources.proved(now, 60);

    sources.charge(now, &datagrams(), rate, rate);
    assert!(!sources.is_proved(now));
}

#[test]
fn port_that_has_proved_itself_may_send_for_all_the_phones_behind_it() {
    let (now, rate) = (Mono::from_seconds(100), Rate::per_second(1));
    for is_proved in [false, true] {
        let mut sources = Sources::new([7; 16]);
        sources.charge(now, &datagrams(), rate, Rate::per_second(1_000));
        if is_proved {
            sources.proved(now, 60);
        }
        while sources.charge(now, &datagrams(), rate, Rate::per_second(1_000)) == Standing::Within {}

        let again = sources.charge_again(now, &datagrams(), (rate, rate), || 10, 1);

        assert_eq!(again == Standing::Within, is_proved);
    }
}

#[test]
fn every_port_of_an_address_and_every_host_of_a_network_is_a_source_of_its_own() {
    let sources = Sources::new([7; 16]);
    let key = |remote: SocketAddr| source_key(sources.address_key(remote.ip(), false), remote);

    let ports = (0..=u16::MAX).map(|port| key(([192, 0, 2, 1], port).into()));
    let hosts = (0..=u16::MAX).map(|host| key(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], 5060).into()));

    assert_eq!(ports.chain(hosts).collect::<HashSet<_>>().len(), 2 << 16);
}

#[test]
fn nobody_can_choose_to_be_remembered_beside_another_of_his_network() {
    let row = |secret, host| {
        let remote = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], 5060));
        let address_key = Sources::new([secret; 16]).address_key(remote.ip(), false);
        source_key(address_key, remote) as usize % SOURCES_MAX / WAYS
    };

    let apart: HashSet<_> = (0..=u8::MAX).map(|secret| row(secret, 1) ^ row(secret, 2)).collect();

    assert!(apart.len() > 200, "{} distances of two neighbours under 256 secrets", apart.len());
}

#[test]
fn whoever_is_pardoned_has_proved_himself_no_less() {
    let mut sources = Sources::new([7; 16]);
    let (now, rate) = (Mono::from_seconds(100), Rate::per_second(20));
    sources.charge(now, &datagrams(), rate, rate);
    sources.proved(now, 60);

    sources.pardon(now, datagrams().remote.ip(), Some(datagrams().remote.port()));

    sources.charge(now, &datagrams(), rate, rate);
    assert!(sources.is_proved(now));
}
