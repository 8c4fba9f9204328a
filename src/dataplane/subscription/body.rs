//! The XML of the package: what a phone sets, and what it is told.

use std::fmt;

use roxmltree::{Document, Node, ParsingOptions};

/// Media type of both directions.
pub(super) const CONTENT_TYPE: &str = "application/x-broadworks-hoteling+xml";

/// Some phones crash at a body without it.
const NAMESPACE: &str = "http://schema.broadsoft.com/hoteling";

/// Longest body that is looked at; phones write some 400 octets.
pub(super) const OCTETS_MAX: usize = 4096;
/// Elements and texts of a body; a proof with blanks between its lines has sixteen.
const NODES_MAX: u32 = 64;
/// Longest extension or nonce: what is longer is none of ours.
const TEXT_MAX: usize = 64;

/// What a phone wants: this guest, or with an empty number none.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SetHoteling {
    pub(super) guest: Box<str>,
    /// `None`: a challenge is wanted first.
    pub(super) proof: Option<Md5Proof>,
}

/// The answer to a challenge.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Md5Proof {
    pub(super) nonce: Box<str>,
    /// MD5 of nonce, colon and PIN, in small hexadecimal digits.
    pub(super) response: [u8; 32],
}

impl fmt::Debug for Md5Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Proof(…)")
    }
}

impl fmt::Debug for SetHoteling {
    /// What was typed as the number may be a PIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetHoteling").field("proof", &self.proof).finish_non_exhaustive()
    }
}

/// Why a body says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl SetHoteling {
    /// Reads a body. Phones declare ISO-8859-1; what is no UTF-8 is read as that.
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let text = match str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => body.iter().copied().map(char::from).collect(),
        };
        // A document type could define entities that grow without bound; there is none in these bodies.
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
        let document =
            Document::parse_with_options(&text, options).map_err(|_| Malformed("not well-formed XML"))?;
        let root = document.root_element();
        if !is(root, "SetHoteling") {
            return Err(Malformed("not a SetHoteling"));
        }
        let guest = text_of(root, "guestAddress")?.ok_or(Malformed("no guestAddress"))?;
        let proof = match only(root, "authenticationData")? {
            Some(data) => Some(Md5Proof::read(data)?),
            None => None,
        };
        Ok(Self { guest, proof })
    }
}

impl Md5Proof {
    fn read(data: Node<'_, '_>) -> Result<Self, Malformed> {
        if text_of(data, "algorithm")?.is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("MD5")) {
            return Err(Malformed("an algorithm other than MD5"));
        }
        let nonce = text_of(data, "nonce")?.ok_or(Malformed("no nonce"))?;
        let response = text_of(data, "response")?.map(|digits| digits.to_ascii_lowercase());
        let digits = response.as_ref().and_then(|digits| <[u8; 32]>::try_from(digits.as_bytes()).ok());
        let response = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        Ok(Self { nonce, response: response.ok_or(Malformed("no response"))? })
    }
}

/// True if the element is called so, in the package's namespace or in none.
fn is(node: Node<'_, '_>, name: &str) -> bool {
    let tag = node.tag_name();
    tag.name() == name && tag.namespace().is_none_or(|namespace| namespace == NAMESPACE)
}

fn only<'a, 'i>(parent: Node<'a, 'i>, name: &str) -> Result<Option<Node<'a, 'i>>, Malformed> {
    let mut found = parent.children().filter(|child| is(*child, name));
    let first = found.next();
    if found.next().is_some() { Err(Malformed("an element is given twice")) } else { Ok(first) }
}

/// What stands in the one child of this name; empty where it is empty.
fn text_of(parent: Node<'_, '_>, name: &str) -> Result<Option<Box<str>>, Malformed> {
    let Some(child) = only(parent, name)? else { return Ok(None) };
    if child.children().any(|inner| inner.is_element()) {
        return Err(Malformed("an element within a text"));
    }
    let text: String = child.children().filter(Node::is_text).filter_map(|inner| inner.text()).collect();
    let text = text.trim();
    if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Malformed("a text that is none of ours"));
    }
    Ok(Some(text.into()))
}

/// What a phone is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HotelingEvent<'a> {
    /// Who sits at it, by his number, and how many seconds longer.
    Guest(&'a str, u64),
    /// Nobody does: also what a log-in comes to that is refused.
    Nobody,
    /// It is to prove the PIN under this nonce.
    Challenge(&'a str),
}

impl fmt::Display for HotelingEvent<'_> {
    /// Numbers and nonces have no character that XML would want escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<HotelingEvent xmlns=\"{NAMESPACE}\">")?;
        match self {
            Self::Guest(number, seconds) => {
                write!(f, "<guestAddress>{number}</guestAddress><expires>{seconds}</expires>")?;
            }
            Self::Nobody => f.write_str("<guestAddress/>")?,
            Self::Challenge(nonce) => write!(
                f,
                "<authenticationData><nonce>{nonce}</nonce><algorithm>MD5</algorithm></authenticationData>"
            )?,
        }
        f.write_str("</HotelingEvent>\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body as phones write it.
    fn set(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\r\n\
             <SetHoteling xmlns=\"http://schema.broadsoft.com/hoteling\">\r\n  {inner}\r\n</SetHoteling>\r\n"
        )
    }

    fn proof(inner: &str) -> String {
        set(&format!("<guestAddress>1001</guestAddress><authenticationData>{inner}</authenticationData>"))
    }

    const RESPONSE: &str = "<response>0123456789ABCDEF0123456789abcdef</response>";

    #[test]
    fn guest_and_proof_are_read_as_phones_write_them() {
        let read = |body: &str| SetHoteling::read(body.as_bytes()).unwrap();

        assert_eq!(
            read(&set("<guestAddress> 1001 </guestAddress>")),
            SetHoteling { guest: "1001".into(), proof: None }
        );
        assert_eq!(&*read(&set("<guestAddress/>")).guest, "");
        assert_eq!(&*read("<SetHoteling><guestAddress></guestAddress></SetHoteling>").guest, "");
        assert_eq!(&*read(&set("<guestAddress>1<!-- no -->2</guestAddress>")).guest, "12");
        let given = read(&proof(&format!("<nonce>n-0</nonce><algorithm>md5</algorithm>{RESPONSE}"))).proof;
        let response = *b"0123456789abcdef0123456789abcdef";
        assert_eq!(given, Some(Md5Proof { nonce: "n-0".into(), response }));
    }

    #[test]
    fn other_letters_than_ascii_are_read_in_either_encoding() {
        let latin = [&b"<SetHoteling><guestAddress>j\xf6rg</guestAddress></SetHoteling>"[..]];
        let utf = ["<SetHoteling><guestAddress>jörg</guestAddress></SetHoteling>".as_bytes()];

        for body in latin.iter().chain(&utf) {
            assert_eq!(&*SetHoteling::read(body).unwrap().guest, "jörg");
        }
    }

    #[test]
    fn what_is_no_wish_is_refused() {
        let long = set(&format!("<guestAddress>{}</guestAddress>", "1".repeat(TEXT_MAX + 1)));
        let deep = set(&format!("{}{}", "<a>".repeat(500), "</a>".repeat(500)));
        let wide = set(&format!("<guestAddress/>{}", "<a/>".repeat(100)));
        let bomb = "<!DOCTYPE b [<!ENTITY a \"1001\"><!ENTITY b \"&a;&a;&a;&a;\">]>\
                    <SetHoteling><guestAddress>&b;</guestAddress></SetHoteling>";
        let bodies = [
            "",
            "1001",
            "<",
            "<SetHoteling>",
            "<SetHoteling/>",
            "<HotelingEvent><guestAddress/></HotelingEvent>",
            "<SetHoteling xmlns=\"urn:else\"><guestAddress/></SetHoteling>",
            "<SetHoteling><guestAddress/><guestAddress/></SetHoteling>",
            "<SetHoteling><guestAddress><b>1</b></guestAddress></SetHoteling>",
            "<SetHoteling><guestAddress>1&#10;2</guestAddress></SetHoteling>",
            "<SetHoteling><guestAddress>&b;</guestAddress></SetHoteling>",
            bomb,
            &long,
            &deep,
            &wide,
            &proof(""),
            &proof("<nonce>n</nonce>"),
            &proof(RESPONSE),
            &proof(&format!("<nonce>n</nonce><algorithm>SHA-256</algorithm>{RESPONSE}")),
            &proof("<nonce>n</nonce><response>0123456789abcdef0123456789abcde</response>"),
            &proof("<nonce>n</nonce><response>0123456789abcdef0123456789abcdeg</response>"),
        ];

        for body in bodies {
            assert!(SetHoteling::read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(SetHoteling::read(&[0xff, 0, b'<']).is_err());
    }

    #[test]
    fn what_is_told_is_well_formed_and_has_its_namespace() {
        for event in
            [HotelingEvent::Guest("1001", 43_200), HotelingEvent::Nobody, HotelingEvent::Challenge("n-_0")]
        {
            let text = event.to_string();
            let document = Document::parse(&text).unwrap();

            assert_eq!(document.root_element().tag_name(), (NAMESPACE, "HotelingEvent").into());
        }
    }
}
