//! The two requests the layer writes itself, from the octets of the INVITE they belong to.

/// Writes the ACK of a refusal (RFC 3261 §17.1.1.3): to where the INVITE went, with its branch.
pub(super) fn acknowledge(invite: &sip::Message<'_>, refusal: &sip::Message<'_>, out: &mut Vec<u8>) {
    let to = refusal.header(sip::Name::To).or_else(|| invite.header(sip::Name::To));
    write(b"ACK", invite, to, out);
}

/// Writes the CANCEL of an INVITE (RFC 3261 §9.1).
pub(super) fn cancel(invite: &sip::Message<'_>, out: &mut Vec<u8>) {
    write(b"CANCEL", invite, invite.header(sip::Name::To), out);
}

/// Both share all with the INVITE that decides where a request goes, one Via, and the CSeq number.
fn write(method: &[u8], invite: &sip::Message<'_>, to: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut line = |pieces: &[&[u8]]| {
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        out.extend_from_slice(b"\r\n");
    };
    line(&[method, b" ", invite.request_uri(), b" SIP/2.0"]);
    line(&[b"Via: ", invite.top_via().map_or(b"", |via| via.raw)]);
    line(&[b"Max-Forwards: 70"]);
    for route in invite.headers(sip::Name::Route) {
        line(&[b"Route: ", route]);
    }
    line(&[b"From: ", invite.header(sip::Name::From).unwrap_or_default()]);
    line(&[b"To: ", to.unwrap_or_default()]);
    line(&[b"Call-ID: ", invite.header(sip::Name::CallId).unwrap_or_default()]);
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    line(&[b"CSeq: ", number.to_string().as_bytes(), b" ", method]);
    line(&[b"Content-Length: 0"]);
    line(&[]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests::parse;

    const INVITE: &str = "INVITE sip:1002@192.0.2.2:5062 SIP/2.0\r\n\
        v: SIP/2.0/UDP edge.example;branch=z9hG4bKours\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtheirs\r\n\
        Max-Forwards: 69\r\n\
        Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
        Subject: lunch\r\n\
        Route: <sip:p3.example;lr>\r\n\
        f: \"Ann\" <sip:1001@demo>;tag=ft\r\n\
        t: <sip:1002@demo>\r\n\
        i: call-1\r\n\
        CSeq: 42 INVITE\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 4\r\n\r\nv=0\n";

    #[test]
    fn an_ack_has_the_way_of_the_invite_and_the_to_of_the_refusal() {
        let refusal = "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP edge.example;branch=z9hG4bKours\r\n\
            From: x\r\nTo: <sip:1002@demo>;tag=tt\r\nCall-ID: call-1\r\nCSeq: 42 INVITE\r\n\r\n";
        let mut out = Vec::new();

        acknowledge(&parse(INVITE.as_bytes()), &parse(refusal.as_bytes()), &mut out);

        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ACK sip:1002@192.0.2.2:5062 SIP/2.0\r\n\
             Via: SIP/2.0/UDP edge.example;branch=z9hG4bKours\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
             Route: <sip:p3.example;lr>\r\n\
             From: \"Ann\" <sip:1001@demo>;tag=ft\r\n\
             To: <sip:1002@demo>;tag=tt\r\n\
             Call-ID: call-1\r\n\
             CSeq: 42 ACK\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_cancel_is_the_invite_without_its_body() {
        let mut out = Vec::new();

        cancel(&parse(INVITE.as_bytes()), &mut out);

        assert_eq!(
            String::from_utf8(out).unwrap(),
            "CANCEL sip:1002@192.0.2.2:5062 SIP/2.0\r\n\
             Via: SIP/2.0/UDP edge.example;branch=z9hG4bKours\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
             Route: <sip:p3.example;lr>\r\n\
             From: \"Ann\" <sip:1001@demo>;tag=ft\r\n\
             To: <sip:1002@demo>\r\n\
             Call-ID: call-1\r\n\
             CSeq: 42 CANCEL\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }
}
