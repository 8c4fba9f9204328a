//! Which phone is this? A MAC in a message is a claim, never a proof (phones.md §2).

use crate::context::Context;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::location::device_hash;
use crate::mac;
use crate::now::Now;
use crate::settings::Tenant;

/// Longest User-Agent that is searched for a MAC: the samples of the field stay below 100 octets.
const SEARCHED_MAX: usize = 256;

/// The MAC a REGISTER claims: in a header of its own (`Mac`, `X-Serialnumber`), else in the User-Agent as twelve
/// hexadecimal digits, plain or with `:` or `-` between the pairs, standing alone as a word.
pub(crate) fn claimed_mac(message: &sip::Message<'_>) -> Option<[u8; 6]> {
    let header = message
        .fields()
        .find(|field| {
            field.raw_name.eq_ignore_ascii_case(b"Mac")
                || field.raw_name.eq_ignore_ascii_case(b"X-Serialnumber")
        })
        .and_then(|field| words(field.value).find_map(mac::read));
    header.or_else(|| words(message.header(sip::Name::UserAgent)?).find_map(mac::read))
}

/// The hot-desk device behind a flow, of any tenant of the customer: the one that registered its own account over it, else
/// the one that holds a binding of `user` of `tenant` over it. The seat may have gone since; the phone is the same.
pub(crate) fn device_of_flow(
    ctx: &Context,
    tenant: &Tenant,
    user: &str,
    flow: &Flow,
    now: Now,
) -> Option<Place> {
    let location = &ctx.tables.location;
    if let Some(aor) = location.device_of_flow(flow, now.mono)
        && let Some(here) = ctx.settings.tenant(&aor.tenant).filter(|here| here.customer == tenant.customer)
    {
        return here.device(&aor.user).map(|device| Place::new(&here.id, &device.id));
    }
    let mut held = None;
    location.read(&tenant.id, user.as_bytes(), now.mono, |binding| {
        if binding.flow.as_ref() == Some(flow) {
            held = binding.holder.or(held);
        }
    });
    let held = held?;
    let is_it = |tenant: &str, device: &str| device_hash(tenant, device) == held.device;
    // The holder is found by its seat; only one that has lost it by its hash.
    let seats = ctx.tables.seats.seats_of(&tenant.customer, &(&*tenant.id, user));
    if let Some(seat) = seats.iter().find(|seat| is_it(seat.device.tenant(), seat.device.name())) {
        return Some(seat.device.clone());
    }
    let (here, device) = ctx.settings.device_of_hash(held.device)?;
    (here.customer == tenant.customer).then(|| Place::new(&here.id, &device.id))
}

/// Pieces between blanks, brackets and the marks makers put before a MAC.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text[..text.len().min(SEARCHED_MAX)]
        .split(|byte| matches!(byte, b' ' | b'\t' | b'(' | b')' | b'<' | b'>' | b'_' | b';' | b',' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(headers: &str) -> Option<[u8; 6]> {
        let text = format!(
            "REGISTER sip:demo SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@demo>;tag=1\r\n\
             To: <sip:a@demo>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        claimed_mac(&sip::Message::parse(text.as_bytes(), &sip::Limits::default()).unwrap())
    }

    #[test]
    fn the_marks_of_the_makers_are_understood() {
        let yealink = Some([0x00, 0x15, 0x65, 0xf4, 0x29, 0xa4]);

        assert_eq!(claimed("User-Agent: Yealink SIP-T56A 58.80.0.25 001565f429a4\r\n"), yealink);
        assert_eq!(claimed("User-Agent: Yealink SIP-T46G 28.72.0.1 00:15:65:F4:29:A4\r\n"), yealink);
        assert_eq!(claimed("Mac: 00-15-65-f4-29-a4\r\nUser-Agent: x 112233445566\r\n"), yealink);
        assert_eq!(claimed("X-Serialnumber: 001565F429A4\r\n"), yealink);
        assert_eq!(claimed("User-Agent: Cisco-CP-8865-3PCC/12.0.3_001565f429a4\r\n"), yealink);
    }

    #[test]
    fn what_is_no_mac_is_not_taken_for_one() {
        for headers in
            ["", "User-Agent: x 00:15-65:f4:29:a4\r\n", "User-Agent: 0015654a39371\r\n", "Mac: none\r\n"]
        {
            assert_eq!(claimed(headers), None, "{headers}");
        }
    }
}
