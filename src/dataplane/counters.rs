//! What a worker counts: plain numbers, published once a batch by the worker, added up by a scrape.

/// Makes a `Counters` of the lines `name: "help.",`: each a monotonic `u64` since start.
#[macro_export]
macro_rules! counters {
    ($(#[$doc:meta])* $($name:ident: $help:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl Counters {
            /// Each counter's name, help text and value, in a fixed order.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), $help, self.$name),)*].into_iter()
            }

            /// Adds the counts of another of its kind.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// What one worker's dataplane counts.
    received: "Messages received.",
    dropped_denied: "Messages dropped unread because the listener denies their network.",
    dropped_over_limit: "Messages dropped unread because their source sent too many or is banned.",
    handshakes_over_limit: "TLS connections closed at once because their address began too many.",
    bans: "Scanners, sweepers and guessers that were banned.",
    slowed: "Scanners and sweepers that were slowed: anybody may have sent their datagrams.",
    shed_log_ins: "Log-ins, subscriptions and requests of strangers refused because of overload while others were not.",
    shed_registrations: "REGISTER requests of new phones refused because of overload.",
    shed_refreshes: "REGISTER requests of known phones refused because of overload.",
    shed_calls: "Calls refused because of overload, whoever made them.",
    shed_unread: "REGISTER requests that the system dropped unread because of overload, as far as can be told from those it did not.",
    shed_untold: "Requests refused because of overload that were not answered.",
    dropped_unreadable: "Datagrams dropped because they are no SIP message.",
    refused_malformed: "Requests answered 4xx or 5xx because they are malformed.",
    keep_alives: "Keep-alives answered.",
    registers: "REGISTER requests received.",
    registers_refreshed: "REGISTER requests that refreshed a binding.",
    bindings_added: "Bindings added.",
    bindings_removed: "Bindings removed by their phone or with their seat.",
    bindings_expired: "Bindings that expired.",
    challenges: "401 and 407 answers sent.",
    digests_refused: "Digest answers that were wrong.",
    stale_nonces: "Challenges with stale=true.",
    invites: "INVITE requests received outside dialogs.",
    requests_forwarded: "Requests forwarded.",
    responses_forwarded: "Responses forwarded.",
    responses_dropped: "Responses that belong to no transaction.",
    retransmissions_absorbed: "Retransmitted requests answered from their transaction.",
    retransmissions_sent: "Requests and answers sent again because a timer fired.",
    no_answer_from_phone: "Phones and peers passed over because they said nothing.",
    log_ins: "Log-ins that took a seat.",
    log_outs: "Seats that ended by log-out.",
    displacements: "Seats that ended because of a log-in.",
    log_ins_refused: "Log-ins and log-outs refused.",
    pins_wrong: "Wrong PINs.",
    pin_locks: "Extensions locked at a device after wrong PINs.",
    pin_alarms: "Alarms because of many wrong PINs from one address or in one tenant.",
    master_pins_used: "Log-ins with an operator's master PIN, or with the fallback PIN.",
    notifies_sent: "NOTIFY requests sent to phones.",
    notifies_failed: "NOTIFY requests that no phone confirmed.",
    attendant_calls_refused: "Calls to codes refused because there were too many from one phone.",
    outside_calls: "Calls by a route.",
    peer_challenges_answered: "Challenges of peers answered with the edge's own credentials.",
    peer_challenges_refused: "Challenges of peers that have an account of the edge and were not answered, or not again.",
    requests_over_streams: "Requests to peers that went over TCP because they are too long for a datagram.",
    streams_avoided: "Connections to peers that came to nothing, after which requests of any length are datagrams for a while.",
    outside_calls_refused: "Calls by a route refused because the number is barred or there are too many.",
    emergency_calls: "Emergency calls.",
    emergency_dropped: "Calls for help dropped unread because their source, or its address, began too many.",
    emergency_unrouted: "Emergency calls that reached nobody.",
    emergency_call_backs: "Phones rung because they had called for help.",
    emergency_notices_sent: "Messages sent to people who are told of emergency calls.",
    emergency_notices_failed: "People who could not be told of an emergency call.",
    handed_over: "Messages handed to the worker whose transaction they belong to.",
    not_durable: "Changes that stand in memory but not in the store.",
    tables_full: "Requests refused because a table of the worker was full.",
}
