//! A call as one phone has it.

use super::draft::Draft;

/// Names a call at one phone of an office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leg {
    pub(super) phone: usize,
    pub(super) call: usize,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The INVITE is out and nothing but 100 has come.
    Calling,
    /// It rings, here or there.
    Ringing,
    /// It was answered.
    Up,
    /// It has ended, or came to nothing.
    Over,
}

/// One call at one phone.
#[derive(Clone, Debug)]
pub struct Call {
    /// How far it has come.
    pub state: CallState,
    /// This phone sent the INVITE.
    pub outgoing: bool,
    /// Statuses heard (outgoing) or given (incoming), in order.
    pub statuses: Vec<u16>,
    /// The other side hung up.
    pub ended_by_peer: bool,
    /// The Call-ID.
    pub call_id: String,
    /// This side's From or To, with its tag.
    pub local: String,
    /// The other side's, with its tag once it has one.
    pub remote: String,
    /// The other side's contact.
    pub target: String,
    /// The route set (RFC 3261 §12.1), the first hop first.
    pub routes: Vec<String>,
    /// The body of its ACKs: the answer, where the offer comes in a 200.
    pub ack_body: String,
    pub(super) cseq: u32,
    /// The INVITE: as it came in, or as it was last sent.
    pub(super) invite: String,
    /// The branch of the INVITE.
    pub(super) branch: String,
    /// Hang up as soon as a CANCEL may be sent (§9.1).
    pub(super) cancel_wanted: bool,
}

impl Call {
    /// The final status; `None` while there is none.
    pub fn outcome(&self) -> Option<u16> {
        self.statuses.iter().copied().find(|status| *status >= 200)
    }

    /// The next request within the dialog.
    pub(super) fn request(&mut self, method: &str) -> Draft {
        self.cseq += 1;
        self.draft(method)
    }

    /// The ACK of a 2xx to the INVITE with this number.
    pub(super) fn ack(&self, cseq: u32) -> Draft {
        let mut ack = self.draft("ACK");
        ack.set("CSeq", &format!("{cseq} ACK"));
        if !self.ack_body.is_empty() {
            ack.add("Content-Type", "application/sdp");
            ack.body.clone_from(&self.ack_body);
        }
        ack
    }

    fn draft(&self, method: &str) -> Draft {
        let mut draft = Draft::new(method, &self.target);
        for route in &self.routes {
            draft.add("Route", route);
        }
        draft
            .add("Max-Forwards", "70")
            .add("From", &self.local)
            .add("To", &self.remote)
            .add("Call-ID", &self.call_id)
            .add("CSeq", &format!("{} {method}", self.cseq));
        draft
    }
}
