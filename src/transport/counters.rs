//! What the transports of one worker count: plain numbers, published with those of its dataplane.

dataplane::counters! {
    /// What one worker's sockets count.
    datagrams_received: "Datagrams received.",
    datagrams_lost: "Datagrams that the system dropped: the socket was full, or they were to be left unread (shed_unread).",
    datagrams_sent: "Datagrams sent.",
    datagrams_refused: "Datagrams that the system would not send: no route, a firewall, too long.",
    datagrams_dropped: "Datagrams dropped because the socket stayed full.",
    socket_errors: "Errors of sockets that say nothing about a peer.",
    connections_accepted: "Connections accepted.",
    connections_opened: "Connections opened to peers.",
    connections_unopened: "Connections to peers that were refused, or that nobody answered in time.",
    connections_ended: "Connections ended, by whomever.",
    connections_refused: "Connections closed at once: their source is denied, banned or begins too many, or it or the table had no room.",
    connections_evicted: "Idle connections closed to make room.",
    connections_idle: "Connections closed because they said nothing for too long.",
    connections_slow: "Connections closed because they did not take what was sent to them.",
    connections_half_message: "Connections closed because a message begun was not finished in time.",
    connections_half_open: "Connections closed because their TLS handshake was not over in time, or made room for others.",
    tls_handshakes: "TLS handshakes with certificates.",
    tls_resumptions: "TLS handshakes that went on with a session of before.",
    tls_refused: "TLS sessions ended by what the peer sent: no TLS, a certificate that nobody vouches for, a broken record.",
    stream_messages: "Messages framed on streams.",
    stream_keep_alives: "Keep-alives answered on streams.",
    stream_misframed: "Streams closed because their framing was in doubt.",
    stream_dropped: "Messages for a connection that is no more.",
    descriptors_exhausted: "Accepts that found no descriptor left.",
}
