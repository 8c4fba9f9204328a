//! Whose certificate a phone shows: where its maker wrote the MAC.

use rustls::pki_types::CertificateDer;
use x509_cert::TbsCertificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};

/// Where the MAC stands in a certificate: `CN={mac}`, `CN=*-SEP{mac}`, `URI=urn:mac:{mac}`.
///
/// In front of `=` is a field: `CN`, `OU` or `serialNumber` of the subject, `DNS` or `URI` of its alternative names
/// (RFC 5280 §4.1.2.6, §4.2.1.6). `{mac}` stands for twelve hexadecimal digits, plain or in pairs with `:` or `-`
/// between; `*` at either end for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacPattern {
    field: Field,
    before: End,
    after: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Subject(ObjectIdentifier),
    Dns,
    Uri,
}

/// What stands on one side of the MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    text: Box<str>,
    /// There may be more beyond.
    open: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No `=`, or none of the fields in front of it.
    #[error("it begins with none of CN=, OU=, serialNumber=, DNS=, URI=")]
    Field,
    /// No `{{mac}}`, or several.
    #[error("{{mac}} does not stand in it once")]
    Mac,
    /// A `*` between others.
    #[error("* stands elsewhere than at an end")]
    Star,
}

const MAC: &str = "{mac}";

impl std::str::FromStr for MacPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (field, text) = text.split_once('=').ok_or(PatternError::Field)?;
        let field = match field.trim() {
            "CN" => Field::Subject(ObjectIdentifier::new_unwrap("2.5.4.3")),
            "OU" => Field::Subject(ObjectIdentifier::new_unwrap("2.5.4.11")),
            "serialNumber" => Field::Subject(ObjectIdentifier::new_unwrap("2.5.4.5")),
            "DNS" => Field::Dns,
            "URI" => Field::Uri,
            _ => return Err(PatternError::Field),
        };
        let (before, after) = text.trim().split_once(MAC).ok_or(PatternError::Mac)?;
        if after.contains(MAC) {
            return Err(PatternError::Mac);
        }
        let (head, tail) = (before.strip_prefix('*'), after.strip_suffix('*'));
        let before = End { text: head.unwrap_or(before).into(), open: head.is_some() };
        let after = End { text: tail.unwrap_or(after).into(), open: tail.is_some() };
        if before.text.contains('*') || after.text.contains('*') {
            return Err(PatternError::Star);
        }
        Ok(Self { field, before, after })
    }
}

impl MacPattern {
    fn mac_in(&self, certificate: &TbsCertificate) -> Option<[u8; 6]> {
        match self.field {
            Field::Subject(oid) => {
                let values = certificate.subject().iter().filter(|attribute| attribute.oid == oid);
                let mut texts =
                    values.filter_map(|attribute| attribute.value.decode_as::<DirectoryString>().ok());
                texts.find_map(|text| self.mac_at(&text.value()))
            }
            Field::Dns | Field::Uri => {
                let (_, names) = certificate.get_extension::<SubjectAltName>().ok().flatten()?;
                names.0.iter().find_map(|name| match (self.field, name) {
                    (Field::Dns, GeneralName::DnsName(name)) => self.mac_at(name.as_str()),
                    (Field::Uri, GeneralName::UniformResourceIdentifier(uri)) => self.mac_at(uri.as_str()),
                    _ => None,
                })
            }
        }
    }

    /// The MAC in a value that is as the pattern says.
    fn mac_at(&self, value: &str) -> Option<[u8; 6]> {
        let starts = 0..if self.before.open { value.len() } else { 1 };
        starts.filter_map(|at| value.get(at..)?.strip_prefix(&*self.before.text)).find_map(|rest| {
            // With pairs apart first: they are longer.
            [17, 12].into_iter().find_map(|length| {
                let mac = dataplane::mac::read(rest.get(..length)?.as_bytes())?;
                let behind = &rest[length..];
                let fits = behind.strip_prefix(&*self.after.text)?;
                (self.after.open || fits.is_empty()).then_some(mac)
            })
        })
    }
}

/// The MAC in a certificate, by the first pattern that fits.
pub(super) fn mac_of(certificate: &CertificateDer<'_>, patterns: &[MacPattern]) -> Option<[u8; 6]> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    patterns.iter().find_map(|pattern| pattern.mac_in(certificate.tbs_certificate()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<[u8; 6]> = Some([0x00, 0x15, 0x65, 0xf4, 0x29, 0xa4]);

    fn found(pattern: &str, value: &str) -> Option<[u8; 6]> {
        pattern.parse::<MacPattern>().unwrap().mac_at(value)
    }

    #[test]
    fn a_mac_is_found_where_the_pattern_says() {
        assert_eq!(found("CN={mac}", "001565f429a4"), A);
        assert_eq!(found("CN={mac}", "00:15:65:F4:29:A4"), A);
        assert_eq!(found("CN=*-SEP{mac}", "CP-8865-SEP001565F429A4"), A);
        assert_eq!(found("CN=T46 {mac}*", "T46 001565f429a4 rev 2"), A);
        assert_eq!(found("URI=urn:mac:{mac}", "urn:mac:00-15-65-f4-29-a4"), A);
    }

    #[test]
    fn a_mac_elsewhere_is_none() {
        assert_eq!(found("CN={mac}", "x001565f429a4"), None);
        assert_eq!(found("CN={mac}", "001565f429a4x"), None);
        assert_eq!(found("CN={mac}", "001565f429a"), None);
        assert_eq!(found("CN=SEP{mac}", "CP-8865-SEP001565F429A4"), None);
        assert_eq!(found("CN={mac}", "00156ééé"), None);
        assert_eq!(found("CN=*{mac}*", ""), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let fault = |text: &str| text.parse::<MacPattern>().unwrap_err();

        assert_eq!(fault("{mac}"), PatternError::Field);
        assert_eq!(fault("O={mac}"), PatternError::Field);
        assert_eq!(fault("CN=SEP"), PatternError::Mac);
        assert_eq!(fault("CN={mac}{mac}"), PatternError::Mac);
        assert_eq!(fault("CN=a*b{mac}"), PatternError::Star);
    }
}
