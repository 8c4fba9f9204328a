//! Keep-alives on the SIP port: CRLF (RFC 5626 §3.5.1, §4.4.1) and STUN binding requests (RFC 5389, RFC 5626 §4.4.2).

use std::net::IpAddr;

use crate::context::Work;
use crate::flow::Flow;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
const HEADER_LENGTH: usize = 20;

/// True if the datagram was a keep-alive or a piece of STUN; what deserved an answer got one. No SIP message
/// begins with an octet below 4 or with nothing but CRLF.
pub(crate) fn answer_keep_alive(work: &mut Work<'_>, flow: &Flow, bytes: &[u8]) -> bool {
    match bytes.first() {
        None => return true,
        Some(0..=3) => {
            if let Some(header) = binding_request(bytes) {
                work.ctx.counters.keep_alives += 1;
                work.out.message(*flow, |out| write_binding_success(out, header, flow));
            }
            return true;
        }
        Some(b'\r' | b'\n') => {}
        Some(_) => return false,
    }
    // Line ends ahead of a message are the parser's to skip (RFC 3261 §7.5). Zeros among them do no harm.
    if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n' | 0)) {
        return false;
    }
    if bytes == b"\r\n\r\n" {
        work.ctx.counters.keep_alives += 1;
        work.out.message(*flow, |out| out.extend_from_slice(b"\r\n"));
    }
    true
}

/// The header of a well-formed binding request: type, length, cookie, transaction id. Attributes are passed over:
/// a keep-alive has none that would need an answer.
fn binding_request(bytes: &[u8]) -> Option<&[u8; HEADER_LENGTH]> {
    let (header, attributes) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let whole = header[..2] == BINDING_REQUEST
        && header[4..8] == MAGIC_COOKIE
        && length == attributes.len()
        && length.is_multiple_of(4);
    whole.then_some(header)
}

fn write_binding_success(out: &mut Vec<u8>, request: &[u8; HEADER_LENGTH], flow: &Flow) {
    let id = &request[4..]; // The cookie and the transaction id: what the address is masked with.
    let mut value = vec![0, 0];
    let mask = |octets: &[u8]| octets.iter().zip(id).map(|(octet, mask)| octet ^ mask).collect::<Vec<_>>();
    value.extend(mask(&flow.remote.port().to_be_bytes()));
    match flow.remote.ip() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value.extend(mask(&ip.octets()));
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value.extend(mask(&ip.octets()));
        }
    }
    out.extend_from_slice(&BINDING_SUCCESS);
    out.extend_from_slice(&(value.len() as u16 + 4).to_be_bytes());
    out.extend_from_slice(id);
    out.extend_from_slice(&XOR_MAPPED_ADDRESS);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(&value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::ListenerId;

    #[test]
    fn the_answer_tells_the_phone_its_address() {
        let mut request = [0; HEADER_LENGTH];
        request[..2].copy_from_slice(&BINDING_REQUEST);
        request[4..8].copy_from_slice(&MAGIC_COOKIE);
        request[8..].copy_from_slice(b"transaction!");
        let flow = Flow::datagram(ListenerId(0), "192.0.2.1:32853".parse().unwrap());

        let header = binding_request(&request).unwrap();
        let mut answer = Vec::new();
        write_binding_success(&mut answer, header, &flow);

        // The mapped address of RFC 5769 §2.2.
        let value = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(&answer[..8], &[0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(&answer[8..20], b"transaction!");
        assert_eq!(&answer[20..], &value);
    }

    #[test]
    fn nothing_else_of_stun_is_a_request() {
        for bytes in [
            &b"\x00\x01"[..],
            b"\x00\x01\x00\x05\x21\x12\xa4\x42transaction!x",
            b"\x00\x01\x00\x00\x00\x00\x00\x00transaction!", // of RFC 3489
            b"\x00\x11\x00\x00\x21\x12\xa4\x42transaction!", // an indication
            b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!", // an answer, which two edges would send to and fro
            &[0; 20],
            &[0; 24],
        ] {
            assert!(binding_request(bytes).is_none(), "{bytes:?}");
        }
    }
}
