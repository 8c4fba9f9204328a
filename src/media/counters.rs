//! What the media thread counts.

dataplane::counters! {
    /// What the media thread counts.
    sessions_opened: "Sessions of sound that were opened.",
    sessions_refused: "Sessions that could not be opened: as many as there may be, no port, no socket.",
    packets_received: "RTP packets received and listened to.",
    packets_sent: "RTP packets sent.",
    packets_refused: "RTP packets that the system would not send.",
    dropped_early: "Packets that came before offer and answer agreed.",
    dropped_unfit: "Packets that were no RTP, or of another payload type than agreed on.",
    dropped_stranger: "Packets that came from elsewhere than the phone's sound.",
    dropped_forged: "SRTP packets that were forged, replayed or too old.",
    keys: "Keys of phones that were heard.",
    keys_dropped: "Keys that came faster than anybody can press.",
    late: "Frames that left 20 ms late or later.",
    skipped: "Frames that were not sent because their time was long over.",
    prompts_missing: "Clips that were to be said and are in no language.",
    orders_refused: "Orders that found too many others waiting; their sessions failed.",
    panics: "Panics of the media thread; it was started anew and its sessions failed.",
}
