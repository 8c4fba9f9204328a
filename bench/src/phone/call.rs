//! A call as one phone has it: the dialog of RFC 3261 §12 and the INVITE it came from.

use super::draft::Draft;
use super::message::Message;

/// One call at one phone.
#[derive(Clone, Debug)]
pub struct Call {
    /// The INVITE, as it was last sent or as it came.
    pub invite: Message,
    /// The last response that was heard (outgoing) or given (incoming).
    pub last: Option<Message>,
    /// Name-addr with tag of this side.
    pub(super) local: String,
    /// Name-addr of the other side, with its tag once it has one.
    pub(super) remote: String,
    /// The other side's contact.
    pub(super) target: String,
    /// The route set, nearest first.
    pub(super) routes: Vec<String>,
    pub(super) cseq: u32,
}

impl Call {
    /// A call that this phone opens with `invite`.
    pub(super) fn outgoing(invite: Message, cseq: u32) -> Self {
        Self {
            local: invite.header("From").unwrap_or_default().into(),
            remote: invite.header("To").unwrap_or_default().into(),
            target: invite.uri().into(),
            invite,
            last: None,
            routes: Vec::new(),
            cseq,
        }
    }

    /// A call that came in with `invite`; `tag` is this side's.
    pub(super) fn incoming(invite: Message, tag: &str) -> Self {
        Self {
            local: format!("{};tag={tag}", invite.header("To").unwrap_or_default()),
            remote: invite.header("From").unwrap_or_default().into(),
            target: invite.contact().unwrap_or_default().into(),
            routes: invite.values("Record-Route").into_iter().map(Into::into).collect(),
            invite,
            last: None,
            cseq: 0,
        }
    }

    /// The status of the last response; 0 before the first.
    pub fn status(&self) -> u16 {
        self.last.as_ref().and_then(Message::status).unwrap_or_default()
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        self.invite.header("Call-ID").unwrap_or_default()
    }

    /// The route set (§12.1), nearest first.
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// From or To of the other side as this side has it.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// Takes over what a 2xx to the own INVITE says of the dialog (§12.1.2).
    pub(super) fn confirm(&mut self, ok: &Message) {
        self.remote = ok.header("To").unwrap_or_default().into();
        self.target = ok.contact().unwrap_or_default().into();
        self.routes = ok.values("Record-Route").into_iter().rev().map(Into::into).collect();
    }

    /// The next request within the dialog (§12.2.1.1).
    pub fn request(&mut self, method: &str) -> Draft {
        if method != "ACK" {
            self.cseq += 1;
        }
        Draft::new(method, &self.target)
            .with_all("Route", &self.routes)
            .with("Max-Forwards", "70")
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", self.call_id())
            .with("CSeq", &format!("{} {method}", self.cseq))
    }
}
