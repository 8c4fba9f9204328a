//! The 200 to a REGISTER (RFC 3261 §10.3 step 8), written from the table: also for a retransmission, so that nothing
//! has to be kept to answer it again.

use smallvec::SmallVec;

use super::update::Sender;
use crate::location::{Binding, Location};
use crate::now::Mono;

/// Writes the 200 with each live binding of `user` that `sender` may see and the seconds it has left.
pub(crate) fn write_granted(
    out: &mut Vec<u8>,
    request: &sip::Message<'_>,
    options: &sip::ResponseOptions<'_>,
    location: &Location,
    aor: (&str, &str),
    sender: Sender,
    now: Mono,
) {
    let (tenant, user) = aor;
    let mut response = sip::Compose::response(out, request, 200, "OK", options);
    location.read(tenant, user.as_bytes(), now, |binding| {
        if sender.owns(binding) {
            write_contact(&mut response, binding, now);
        }
    });
    response.finish();
}

fn write_contact(response: &mut sip::Compose<'_>, binding: &Binding<'_>, now: Mono) {
    let mut line = SmallVec::<[u8; 256]>::new();
    line.push(b'<');
    line.extend_from_slice(&binding.uri);
    line.extend_from_slice(b">;expires=");
    line.extend_from_slice(decimal(binding.remaining(now), &mut [0; 20]));
    if binding.q < 1000 {
        line.extend_from_slice(thousandths(binding.q, &mut [0; 8]));
    }
    if !binding.instance.is_empty() {
        line.extend_from_slice(b";+sip.instance=\"<");
        line.extend_from_slice(&binding.instance);
        line.extend_from_slice(b">\"");
    }
    response.header(sip::Name::Contact, &line);
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// `;q=0.` and `q` below 1000, without trailing zeros.
fn thousandths(q: u16, text: &mut [u8; 8]) -> &[u8] {
    *text = *b";q=0.000";
    for (place, unit) in text[5..].iter_mut().zip([100, 10, 1]) {
        *place = b'0' + (q / unit % 10) as u8;
    }
    let mut end = text.len();
    while end > 6 && text[end - 1] == b'0' {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 60, 3600, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_preference_has_no_trailing_zeros() {
        for (q, text) in
            [(0, ";q=0.0"), (700, ";q=0.7"), (330, ";q=0.33"), (5, ";q=0.005"), (999, ";q=0.999")]
        {
            assert_eq!(thousandths(q, &mut [0; 8]), text.as_bytes());
        }
    }
}
