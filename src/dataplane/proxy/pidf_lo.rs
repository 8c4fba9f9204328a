//! The place of a phone in an emergency call: a PIDF-LO document (RFC 4119, RFC 5139, RFC 5491) beside the session
//! description, and the header that points at it (RFC 6442).

use std::fmt::Write as _;

use crate::settings::{Device, Site};

/// A body above this leaves no room in a datagram; such an INVITE goes without the place. No phone writes one.
const BODY_MAX: usize = 48 * 1024;

/// Elements of a civic address that stand behind ROOM (RFC 5139 §4).
const BEHIND_ROOM: [&str; 5] = ["SEAT", "PLC", "PCN", "POBOX", "ADDCODE"];

/// What an INVITE with a place has in place of its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Content-Type, with the boundary.
    pub(crate) content_type: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// The value of Geolocation.
    pub(crate) geolocation: Vec<u8>,
}

/// The place of a phone in `site`, for an INVITE of it; `None`: no address is known, or the body has no room for it.
/// `token` must be random: it is the boundary, and nobody may have written it into the body before.
pub(crate) fn located(
    invite: &sip::Message<'_>,
    site: &Site,
    device: Option<&Device>,
    domain: &str,
    token: &str,
) -> Option<Located> {
    let session = invite.body();
    if site.civic.is_empty() || session.len() > BODY_MAX {
        return None;
    }
    let mut body = Vec::with_capacity(session.len() + 2048);
    if !session.is_empty() {
        body.extend_from_slice(format!("--{token}\r\n").as_bytes());
        // What the headers said of the whole body they say of this part now.
        for name in [sip::Name::ContentType, sip::Name::ContentDisposition, sip::Name::ContentEncoding] {
            if let Some(value) = invite.header(name) {
                body.extend_from_slice(name.as_str().as_bytes());
                body.extend_from_slice(b": ");
                // A folded line stays one value (RFC 3261 §7.3.1).
                body.extend(
                    value.iter().map(|octet| if matches!(octet, b'\r' | b'\n') { b' ' } else { *octet }),
                );
                body.extend_from_slice(b"\r\n");
            }
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(session);
        body.extend_from_slice(b"\r\n");
    }
    let document = pidf_lo(site, device, domain);
    let part = format!(
        "--{token}\r\nContent-Type: application/pidf+xml\r\nContent-ID: <{token}@{domain}>\r\n\
         Content-Disposition: render;handling=optional\r\n\r\n{document}\r\n--{token}--\r\n"
    );
    body.extend_from_slice(part.as_bytes());
    Some(Located {
        content_type: format!("multipart/mixed;boundary={token}").into_bytes(),
        body,
        geolocation: format!("<cid:{token}@{domain}>").into_bytes(),
    })
}

/// The document. The room is the device's, whatever the site says.
fn pidf_lo(site: &Site, device: Option<&Device>, domain: &str) -> String {
    let room = device.map(|device| &*device.room).filter(|room| !room.is_empty());
    let whose = device.map_or(&*site.id, |device| &*device.id);
    let mut xml = String::with_capacity(1024);
    xml.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" \
         xmlns:bp=\"urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy\" \
         xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\" entity=\"pres:",
    );
    escape(whose, &mut xml);
    xml.push('@');
    escape(domain, &mut xml);
    xml.push_str("\"><tuple id=\"place\"><status><gp:geopriv><gp:location-info><ca:civicAddress>");
    let mut room = room;
    for (element, text) in &site.civic {
        if BEHIND_ROOM.contains(&&**element)
            && let Some(room) = room.take()
        {
            push_element("ROOM", room, &mut xml);
        }
        match (&**element, room.take_if(|_| **element == *"ROOM")) {
            ("ROOM", Some(room)) => push_element("ROOM", room, &mut xml),
            _ => push_element(element, text, &mut xml),
        }
    }
    if let Some(room) = room {
        push_element("ROOM", room, &mut xml);
    }
    // It is passed on to whoever sends help (RFC 4119 §2.2.2).
    xml.push_str(
        "</ca:civicAddress></gp:location-info><gp:usage-rules><bp:retransmission-allowed>true\
         </bp:retransmission-allowed></gp:usage-rules><gp:method>Manual</gp:method></gp:geopriv></status></tuple>\
         </presence>",
    );
    xml
}

fn push_element(name: &str, text: &str, xml: &mut String) {
    write!(xml, "<ca:{name}>").expect("a string takes all");
    escape(text, xml);
    write!(xml, "</ca:{name}>").expect("a string takes all");
}

/// Text as it may stand between tags and in an attribute; what XML 1.0 has no place for becomes a blank.
fn escape(text: &str, xml: &mut String) {
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\0'..=' ' | '\u{fffe}' | '\u{ffff}' => xml.push(' '),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(civic: &[(&str, &str)]) -> Site {
        let civic = civic.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        Site { id: "hq".into(), civic, ..Site::default() }
    }

    fn invite(headers: &str, body: &str) -> String {
        format!(
            "INVITE sip:112@a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
             Call-ID: x\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn located_in(invite: &str, site: &Site) -> Option<Located> {
        let invite = sip::Message::parse(invite.as_bytes(), &sip::Limits::default()).unwrap();
        located(&invite, site, None, "acme.example", "t0k3n")
    }

    #[test]
    fn room_stands_where_the_schema_wants_it_and_is_the_devices() {
        let of = |civic: &[(&str, &str)], room: Option<&str>| {
            let mut xml = pidf_lo(&site(civic), None, "a");
            if let Some(room) = room {
                let device = crate::testing::tenant("acme", "a").devices.swap_remove(0);
                xml = pidf_lo(&site(civic), Some(&Device { room: room.into(), ..device }), "a");
            }
            let from = xml.find("<ca:civicAddress>").unwrap() + "<ca:civicAddress>".len();
            xml[from..xml.find("</ca:civicAddress>").unwrap()].to_owned()
        };

        assert_eq!(
            of(&[("country", "US"), ("FLR", "2"), ("ROOM", "Hall"), ("PLC", "office")], Some("Desk 1")),
            "<ca:country>US</ca:country><ca:FLR>2</ca:FLR><ca:ROOM>Desk 1</ca:ROOM><ca:PLC>office</ca:PLC>"
        );
        assert_eq!(
            of(&[("country", "US"), ("PLC", "office")], Some("Desk 1")),
            "<ca:country>US</ca:country><ca:ROOM>Desk 1</ca:ROOM><ca:PLC>office</ca:PLC>"
        );
        assert_eq!(of(&[("country", "US")], Some("1")), "<ca:country>US</ca:country><ca:ROOM>1</ca:ROOM>");
        assert_eq!(of(&[("ROOM", "Hall")], None), "<ca:ROOM>Hall</ca:ROOM>");
        assert_eq!(of(&[("ROOM", "Hall")], Some("")), "<ca:ROOM>Hall</ca:ROOM>");
    }

    #[test]
    fn names_cannot_break_out_of_the_document() {
        let xml = pidf_lo(&site(&[("NAM", "<R&D> \"A\" 'B' \u{7}]]>")]), None, "a\"b");

        assert!(
            xml.contains("<ca:NAM>&lt;R&amp;D&gt; &quot;A&quot; &apos;B&apos;  ]]&gt;</ca:NAM>"),
            "{xml}"
        );
        assert!(xml.contains("entity=\"pres:hq@a&quot;b\""), "{xml}");
    }

    #[test]
    fn session_description_is_the_first_part_as_it_came() {
        let invite = invite(
            "Content-Type: application/sdp\r\nContent-Disposition: session;\r\n handling=required\r\n",
            "v=0\r\n",
        );

        let located = located_in(&invite, &site(&[("country", "US")])).unwrap();

        assert_eq!(located.content_type, b"multipart/mixed;boundary=t0k3n");
        assert_eq!(located.geolocation, b"<cid:t0k3n@acme.example>");
        let body = String::from_utf8(located.body).unwrap();
        let session = "--t0k3n\r\nContent-Type: application/sdp\r\nContent-Disposition: session;   handling=required\r\n\
                       \r\nv=0\r\n\r\n--t0k3n\r\nContent-Type: application/pidf+xml\r\n\
                       Content-ID: <t0k3n@acme.example>\r\n";
        assert!(body.starts_with(session), "{body}");
        assert!(body.ends_with("</presence>\r\n--t0k3n--\r\n"), "{body}");
    }

    #[test]
    fn invite_without_a_body_has_the_place_alone_and_an_unknown_place_is_none() {
        let bare = invite("", "");

        let located = located_in(&bare, &site(&[("country", "US")])).unwrap();
        assert!(located.body.starts_with(b"--t0k3n\r\nContent-Type: application/pidf+xml\r\n"));
        assert_eq!(located_in(&bare, &site(&[])), None);
        let huge = invite("Content-Type: text/plain\r\n", &"x".repeat(BODY_MAX + 1));
        assert_eq!(located_in(&huge, &site(&[("country", "US")])), None);
    }
}
