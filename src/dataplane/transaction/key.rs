//! How a request finds its server transaction (RFC 3261 §17.2.3).
//!
//! What that section compares is hashed to 128 bits by SipHash under a key nobody outside knows. Two requests
//! that differ then share a key by chance only, once in 2¹²⁸ pairs: rarer than a broken memory cell by far, so
//! the compared octets are neither kept nor compared again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::slots::SlotKey;

/// Stands for a server transaction among those of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

/// Server transactions by key.
pub(super) type ByKey = HashMap<Key, SlotKey, BuildHasherDefault<KeyHasher>>;

impl Key {
    /// The key of `request` read as if its method were `method`: that of the INVITE for ACK and CANCEL.
    pub(super) fn new(
        mac_key: &[u8; 16],
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        method: sip::Method<'_>,
    ) -> Self {
        let mut fields = Fields::new(SipHasher13::new_with_key(mac_key));
        fields.add(method.as_bytes());
        let via = &headers.via;
        if via.has_cookie() {
            fields.add(via.branch.unwrap_or_default());
            fields.add_lowercase(via.host.raw());
            fields.add_number(u64::from(via.port.unwrap_or_default()));
        } else {
            // RFC 2543 made no branches that tell anything. The whole Via, the call and its CSeq stand in; the
            // To tag only where ACK and INVITE need not agree on it.
            fields.add(via.raw);
            fields.add_call(request, headers, method != sip::Method::Invite);
        }
        Self(fields.into_hasher().finish128().as_u128())
    }
}

/// Hashes fields so that their borders count: `ab c` is not `a bc`.
#[derive(Debug)]
pub(super) struct Fields<H>(H);

impl<H: Hasher> Fields<H> {
    pub(super) fn new(hasher: H) -> Self {
        Self(hasher)
    }

    pub(super) fn add(&mut self, field: &[u8]) {
        self.add_number(field.len() as u64);
        self.0.write(field);
    }

    pub(super) fn add_number(&mut self, number: u64) {
        self.0.write_u64(number);
    }

    /// For host names, whose case means nothing.
    pub(super) fn add_lowercase(&mut self, field: &[u8]) {
        self.add_number(field.len() as u64);
        for piece in field.chunks(64) {
            let mut lower = [0; 64];
            let lower = &mut lower[..piece.len()];
            lower.copy_from_slice(piece);
            lower.make_ascii_lowercase();
            self.0.write(lower);
        }
    }

    /// Request-URI, From tag, Call-ID, CSeq number, and the To tag if wanted.
    pub(super) fn add_call(
        &mut self,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        to_tag: bool,
    ) {
        self.add(request.request_uri());
        self.add(headers.from.tag().unwrap_or_default());
        self.add(headers.call_id);
        self.add_number(u64::from(headers.cseq.number));
        if to_tag {
            self.add(headers.to.tag().unwrap_or_default());
        }
    }

    /// All values of a header, and that there is none.
    pub(super) fn add_all(&mut self, message: &sip::Message<'_>, name: sip::Name) {
        for value in message.headers(name) {
            self.add(value);
        }
        self.add_number(u64::MAX); // No field is that long: the list ends here.
    }

    pub(super) fn into_hasher(self) -> H {
        self.0
    }
}

/// Takes a [`Key`] for its own hash: it is one already, and keyed.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is one number")
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::{MAC_KEY, parse};

    fn key(text: &str) -> Key {
        let message = parse(text.as_bytes());
        let method = match message.method() {
            Some(sip::Method::Ack | sip::Method::Cancel) => sip::Method::Invite,
            method => method.unwrap(),
        };
        Key::new(&MAC_KEY, &message, &message.validate().unwrap(), method)
    }

    fn request(method: &str, via: &str, to: &str) -> String {
        format!(
            "{method} sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@example.com>;tag=f\r\n\
             To: <sip:bob@example.com>{to}\r\nCall-ID: c1\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
        )
    }

    const COOKIE: &str = "SIP/2.0/UDP pc.example.com:5060;branch=z9hG4bKabc";
    const OLD: &str = "SIP/2.0/UDP pc.example.com:5060;branch=1";

    #[test]
    fn branch_sent_by_and_method_tell_transactions_apart() {
        let invite = key(&request("INVITE", COOKIE, ""));

        assert_eq!(key(&request("ACK", COOKIE, ";tag=t")), invite);
        assert_eq!(key(&request("CANCEL", COOKIE, "")), invite);
        assert_eq!(key(&request("INVITE", "SIP/2.0/UDP PC.example.COM:5060;branch=z9hG4bKabc", "")), invite);

        for other in [
            request("BYE", COOKIE, ""),
            request("INVITE", "SIP/2.0/UDP pc.example.com:5060;branch=z9hG4bKabd", ""),
            request("INVITE", "SIP/2.0/UDP pc.example.com:5061;branch=z9hG4bKabc", ""),
            request("INVITE", "SIP/2.0/UDP pc2.example.com:5060;branch=z9hG4bKabc", ""),
        ] {
            assert_ne!(key(&other), invite, "{other}");
        }
    }

    #[test]
    fn without_the_cookie_the_call_tells_them_apart() {
        let invite = key(&request("INVITE", OLD, ""));

        assert_eq!(key(&request("ACK", OLD, ";tag=t")), invite);
        assert_eq!(key(&request("CANCEL", OLD, "")), invite);

        for (was, is) in [
            ("sip:bob@example.com SIP", "sip:eve@example.com SIP"),
            ("tag=f", "tag=g"),
            ("Call-ID: c1", "Call-ID: c2"),
            ("CSeq: 7", "CSeq: 8"),
            ("branch=1", "branch=2"),
        ] {
            let other = request("INVITE", OLD, "").replace(was, is);
            assert_ne!(key(&other), invite, "{other}");
        }
        assert_ne!(key(&request("BYE", OLD, ";tag=t")), key(&request("BYE", OLD, ";tag=u")));
    }

    #[test]
    fn another_boot_key_gives_other_keys() {
        let text = request("INVITE", COOKIE, "");
        let message = parse(text.as_bytes());

        let headers = message.validate().unwrap();
        let here = Key::new(&[1; 16], &message, &headers, sip::Method::Invite);
        let there = Key::new(&[2; 16], &message, &headers, sip::Method::Invite);

        assert_ne!(here, there);
    }
}
