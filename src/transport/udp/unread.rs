//! What the kernel drops before anybody reads it, by a classic BPF program (`SO_ATTACH_FILTER`, socket(7)): it costs what a
//! datagram costs for which a full socket has no room, and leaves room for all others.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Has the kernel drop this share, out of 2³², of the REGISTER requests that come to `socket` from now on, at random. It
/// counts them as [`dropped`](super::dropped).
pub fn leave_unread(socket: &impl AsFd, share: u32) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if share > 0 {
        return socket.attach_filter(&registers(share));
    }
    match socket.detach_filter() {
        // There was none.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// Returns 0, to drop a datagram, or more than its length. A load from beyond its end would drop it as well, so its length is
/// looked at first.
fn registers(share: u32) -> [SockFilter; 12] {
    const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const LOAD_OCTET: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_LENGTH: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_LEN;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    /// In the place of an offset: no octet of the datagram, but a random number.
    const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
    /// The program sees the header of UDP ahead of the message.
    const MESSAGE: u32 = 8;

    let step = |code: u32, value, then, otherwise| SockFilter::new(code as u16, then, otherwise, value);
    // Jumps skip so many steps.
    [
        step(LOAD_LENGTH, 0, 0, 0),
        step(IF_AT_LEAST, MESSAGE + 9, 0, 8),
        step(LOAD_WORD, MESSAGE, 0, 0),
        step(IF_EQUAL, u32::from_be_bytes(*b"REGI"), 0, 6),
        step(LOAD_WORD, MESSAGE + 4, 0, 0),
        step(IF_EQUAL, u32::from_be_bytes(*b"STER"), 0, 4),
        step(LOAD_OCTET, MESSAGE + 8, 0, 0),
        step(IF_EQUAL, u32::from(b' '), 0, 2),
        step(LOAD_WORD, RANDOM, 0, 0),
        step(IF_AT_LEAST, share, 0, 1),
        step(RETURN, u32::MAX, 0, 0),
        step(RETURN, 0, 0, 0),
    ]
}
