//! The 200 to a REGISTER (RFC 3261 §10.3 step 8), written from the table: also for a retransmission, so that nothing
//! has to be kept to answer it again.

use smallvec::SmallVec;

use super::update::Role;
use crate::gruu;
use crate::location::{Binding, Location};
use crate::now::Mono;

/// The contacts a 200 lists: those of the sender that live, with the seconds each has left. A worker uses the same over
/// and over.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    values: Vec<u8>,
    /// Where each value ends.
    ends: SmallVec<[usize; 2]>,
    /// The event packages that the sender is told of, as Allow-Events lists them.
    pub(crate) packages: Option<&'static str>,
    /// It registered a flow: how often that is to be kept alive, as Flow-Timer says it.
    pub(crate) flow_timer: Option<&'static str>,
    /// It asked for GRUUs: what they are made from.
    pub(crate) gruus: Option<gruu::Names>,
}

impl Granted {
    /// Lists nothing, and keeps the room. There is never much of it: an account has few contacts, and they are short.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
    }

    /// Lists `binding`, if `role` may see it.
    pub(super) fn list(&mut self, binding: &Binding<'_>, role: Role, now: Mono) {
        if !role.owns(binding) || binding.expires_at <= now {
            return;
        }
        let value = &mut self.values;
        value.push(b'<');
        value.extend_from_slice(&binding.uri);
        value.extend_from_slice(b">;expires=");
        value.extend_from_slice(decimal(binding.remaining(now), &mut [0; 20]));
        if binding.q < 1000 {
            value.extend_from_slice(thousandths(binding.q, &mut [0; 8]));
        }
        if !binding.instance.is_empty() {
            value.extend_from_slice(b";+sip.instance=\"<");
            value.extend_from_slice(&binding.instance);
            value.extend_from_slice(b">\"");
        }
        if binding.reg_id != 0 {
            value.extend_from_slice(b";reg-id=");
            value.extend_from_slice(decimal(binding.reg_id.into(), &mut [0; 20]));
        }
        if let Some(gruus) = &self.gruus {
            gruus.write(binding, value);
        }
        self.ends.push(value.len());
    }

    /// Lists those an account has now.
    pub(crate) fn list_all(
        &mut self,
        location: &Location,
        (tenant, user): (&str, &str),
        role: Role,
        now: Mono,
    ) {
        location.read(tenant, user.as_bytes(), now, |binding| self.list(binding, role, now));
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.values[std::mem::replace(&mut start, *end)..*end])
    }
}

/// Writes the 200 to a REGISTER.
pub(crate) fn write_granted(
    out: &mut Vec<u8>,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    options: &sip::ResponseOptions<'_>,
    granted: &Granted,
) {
    let mut response = sip::Compose::response_to(out, request, headers, 200, "OK", options);
    for value in granted.values() {
        response.header(sip::Name::Contact, value);
    }
    if let Some(packages) = granted.packages {
        response.header(sip::Name::AllowEvents, packages.as_bytes());
    }
    if let Some(seconds) = granted.flow_timer {
        response.header(sip::Name::Require, b"outbound").header(sip::Name::FlowTimer, seconds.as_bytes());
    }
    response.finish();
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
