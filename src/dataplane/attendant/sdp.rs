//! What the edge says of media while it has none of its own to play: an audio stream on hold (RFC 3264).

use std::fmt::Write as _;
use std::net::IpAddr;

/// Media lines of an offer that are answered; more are a bomb, and get no answer at all.
const MEDIA_MAX: usize = 16;

/// The session description of a 200: the answer to `offer`, or an offer where there was none. `session` is
/// unique for the call; `address` is what peers are told.
///
/// The first audio stream with PCMU or PCMA is accepted on hold, every other stream is refused with port 0
/// (RFC 3264 §6): the phone shows a short call and nothing is sent by either side.
pub(super) fn write(offer: Option<&[u8]>, address: IpAddr, session: u64) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let mut sdp = String::with_capacity(256);
    let _ = write!(
        sdp,
        "v=0\r\no=hotdesk {session} 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
    );
    let Some(offer) = offer else {
        sdp.push_str("m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n");
        return sdp;
    };
    let mut audio = false;
    for media in media_lines(offer).take(MEDIA_MAX) {
        let mut words = media.split(' ');
        let (kind, _port, protocol) =
            (words.next().unwrap_or("audio"), words.next(), words.next().unwrap_or("RTP/AVP"));
        let format = words.clone().find(|format| matches!(*format, "0" | "8"));
        match format {
            Some(format) if !audio && kind == "audio" && protocol == "RTP/AVP" => {
                audio = true;
                let _ = write!(sdp, "m=audio 9 RTP/AVP {format}\r\na=inactive\r\n");
            }
            _ => {
                let _ = write!(sdp, "m={kind} 0 {protocol} {}\r\n", words.next().unwrap_or("0"));
            }
        }
    }
    sdp
}

/// The `m=` lines' values that are plain text.
fn media_lines(offer: &[u8]) -> impl Iterator<Item = &str> {
    offer
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"m="))
        .filter_map(|line| std::str::from_utf8(line.trim_ascii_end()).ok())
        .filter(|line| line.bytes().all(|byte| (b' '..0x7f).contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn audio_is_put_on_hold_and_other_streams_are_refused() {
        let offer = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
            m=audio 4000 RTP/AVP 9 8 101\r\na=rtpmap:101 telephone-event/8000\r\nm=video 4002 RTP/AVP 96\r\n";

        let answer = write(Some(offer), HERE, 7);

        assert!(
            answer.ends_with("m=audio 9 RTP/AVP 8\r\na=inactive\r\nm=video 0 RTP/AVP 96\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn without_an_offer_the_edge_makes_one() {
        let answer = write(None, "2001:db8::1".parse().unwrap(), 7);

        assert!(answer.contains("c=IN IP6 2001:db8::1\r\n"));
        assert!(answer.contains("m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n"));
    }

    #[test]
    fn garbage_is_answered_with_as_little() {
        for offer in [&b"m="[..], b"m=\xff\xfe\r\n", b"\n\n\n", b"m=audio\r\nm=audio 1\r\n"] {
            assert!(write(Some(offer), HERE, 1).starts_with("v=0\r\n"));
        }
    }
}
