//! Room for what begins, and when nothing is left to wait for.

use super::*;

#[test]
fn half_of_each_table_is_kept_for_what_belongs_to_a_call() {
    let bounds = Bounds { servers_max: 4, clients_max: 4 };
    let mut servers = Layer::bounded(bounds);
    servers.begin(datagram(), &request("INVITE", "z9hG4bK1", ""), 1);
    assert_eq!(servers.transactions.room_for_new(), Ok(()));
    servers.begin(datagram(), &request("INVITE", "z9hG4bK2", ""), 1);
    assert_eq!(servers.transactions.room_for_new(), Err(Full));
    servers.begin(datagram(), &request("BYE", "z9hG4bK3", ";tag=1"), 1);

    let mut clients = Layer::bounded(bounds);
    clients.send(datagram(), "INVITE", 1, None);
    assert_eq!(clients.transactions.room_for_new(), Ok(()));
    let (_, second) = clients.send(datagram(), "NOTIFY", 1, None);
    assert_eq!(clients.transactions.room_for_new(), Err(Full));
    clients.receive_response(&response(&second, 200));
    assert_eq!(clients.transactions.room_for_new(), Ok(()));
}

#[test]
fn the_layer_is_settled_when_every_request_has_its_final_answer() {
    let mut servers = Layer::new();
    assert!(servers.transactions.is_settled());
    let server = servers.begin(datagram(), &request("INVITE", "z9hG4bK1", ""), 1);
    servers.respond(server, 180);
    assert!(!servers.transactions.is_settled());
    servers.respond(server, 486);
    assert!(servers.transactions.is_settled());

    let mut clients = Layer::new();
    let (_, sent) = clients.send(datagram(), "INVITE", 1, None);
    clients.receive_response(&response(&sent, 180));
    assert!(!clients.transactions.is_settled());
    clients.receive_response(&response(&sent, 486));
    assert!(clients.transactions.is_settled());
}
