//! What a phone's user does with calls.

use super::call::Call;
use super::digest::Challenge;
use super::draft::Draft;
use super::message::Message;
use super::{Phone, Result, sdp, token};

impl Phone {
    /// Calls a number or URI. Returns when the edge has taken the call on (100) or anything further was heard;
    /// a challenge has been met by then.
    ///
    /// # Errors
    /// No answer.
    pub fn dial(&mut self, target: &str) -> Result<Call> {
        let draft = self.draft("INVITE", target).with_body("application/sdp", &sdp(self.address()));
        self.dial_with(draft)
    }

    /// Calls with this INVITE; see [`Self::dial`].
    ///
    /// # Errors
    /// No answer.
    pub fn dial_with(&mut self, mut draft: Draft) -> Result<Call> {
        let account = self.account().clone();
        let mut challenge: Option<Challenge> = None;
        loop {
            let invite = self.send(&draft, &account, challenge.as_mut())?;
            let mut call = Call::outgoing(invite, draft.cseq());
            let response = self.response(&mut call, "any response", |_| true)?;
            match Challenge::read(&response) {
                Some(asked) if matches!(call.status(), 401 | 407) && challenge.is_none() => {
                    challenge = Some(asked);
                    draft.raise_cseq();
                }
                _ => return Ok(call),
            }
        }
    }

    /// Waits until it rings at the other end.
    ///
    /// # Errors
    /// It does not; a final answer that comes instead ends the wait too, and stands in [`Call::status`].
    pub fn ringback(&mut self, call: &mut Call) -> Result<Message> {
        match &call.last {
            Some(last) if call.status() > 100 => Ok(last.clone()),
            _ => self.response(call, "ringing", |message| message.status() > Some(100)),
        }
    }

    /// Waits for the final answer to the INVITE, and acknowledges it.
    ///
    /// # Errors
    /// It does not come.
    pub fn outcome(&mut self, call: &mut Call) -> Result<Message> {
        match &call.last {
            Some(last) if call.status() >= 200 => Ok(last.clone()),
            _ => self.response(call, "the outcome", |message| message.status() >= Some(200)),
        }
    }

    /// Gives up a call that was not answered; returns the answer to the CANCEL. The outcome is still to be heard.
    ///
    /// # Errors
    /// The CANCEL is not answered.
    pub fn cancel(&mut self, call: &Call) -> Result<Message> {
        let invite = &call.invite;
        let cancel = copied(invite, "CANCEL", invite.header("To").unwrap_or_default());
        let sent = self.transmit(cancel)?;
        self.final_answer(&sent)
    }

    /// Waits for a call, and lets it ring.
    ///
    /// # Errors
    /// Nobody calls.
    pub fn rings(&mut self) -> Result<Call> {
        let invite =
            self.wait("a call", None, |message| message.is_request("INVITE") && message.to_tag().is_none())?;
        let tag = self.served.iter().find(|served| served.request == invite).map(|served| served.tag.clone());
        let tag = tag.unwrap_or_default();
        let mut call = Call::incoming(invite, &tag);
        self.remember(call.call_id(), Some(&tag));
        self.give(&mut call, 180)?;
        Ok(call)
    }

    /// Answers a call that rings. Its ACK is still to be heard: [`Self::acknowledged`].
    ///
    /// # Errors
    /// The socket failed.
    pub fn pick_up(&mut self, call: &mut Call) -> Result<()> {
        self.give(call, 200)
    }

    /// Answers a call that rings with this status.
    ///
    /// # Errors
    /// The socket failed.
    pub fn give(&mut self, call: &mut Call, code: u16) -> Result<()> {
        let contact = format!("<{}>", self.contact(&self.account().user));
        let body = sdp(self.address());
        self.answer_with(&call.invite, code, |draft| {
            let draft = draft.with("Contact", &contact);
            if code == 200 { draft.with_body("application/sdp", &body) } else { draft }
        })
    }

    /// Waits for the ACK of a call that was answered.
    ///
    /// # Errors
    /// It does not come.
    pub fn acknowledged(&mut self, call: &Call) -> Result<Message> {
        let call_id = call.call_id();
        self.wait("an ACK", None, |message| {
            message.is_request("ACK") && message.header("Call-ID") == Some(call_id)
        })
    }

    /// Dials a code, hears what the edge says, and lets it hang up.
    ///
    /// # Errors
    /// No answer, or a 200 without a BYE after it.
    pub fn dial_code(&mut self, dialled: &str) -> Result<Message> {
        let mut call = self.dial(dialled)?;
        let outcome = self.outcome(&mut call)?;
        if outcome.status() == Some(200) {
            let call_id = call.call_id();
            self.wait("the edge's BYE", None, |message| {
                message.is_request("BYE") && message.header("Call-ID") == Some(call_id)
            })?;
        }
        Ok(outcome)
    }

    /// The next response to a call's INVITE that is `wanted`. The INVITE is repeated until the first one, and a
    /// final one is acknowledged (§17.1.1.3, §13.2.2.4).
    fn response(
        &mut self,
        call: &mut Call,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        let invite = call.invite.clone();
        let what = format!("{what} after {}", invite.start_line());
        let repeated = call.last.is_none().then_some(&invite);
        let response = self.wait(&what, repeated, |message| message.answers(&invite) && wanted(message))?;
        match response.status().unwrap_or_default() {
            0..200 => {}
            200..300 => {
                call.confirm(&response);
                self.remember(call.call_id(), invite.from_tag());
                let via = self.via(&format!("z9hG4bK{}", token()));
                self.acknowledge(&response, call.request("ACK").write(&[("Via", &via)]))?;
            }
            _ => {
                let ack = copied(&invite, "ACK", response.header("To").unwrap_or_default());
                self.acknowledge(&response, ack)?;
            }
        }
        call.last = Some(response.clone());
        Ok(response)
    }
}

/// A CANCEL, or the ACK of a refusal: the INVITE's own first hop, branch and route (§9.1, §17.1.1.3).
fn copied(invite: &Message, method: &str, to: &str) -> String {
    let routes: Vec<_> = invite.values("Route").into_iter().map(Into::into).collect();
    Draft::new(method, invite.uri())
        .with("Via", invite.values("Via").first().unwrap_or(&""))
        .with_all("Route", &routes)
        .with("Max-Forwards", "70")
        .with("From", invite.header("From").unwrap_or_default())
        .with("To", to)
        .with("Call-ID", invite.header("Call-ID").unwrap_or_default())
        .with("CSeq", &format!("{} {method}", invite.cseq()))
        .write(&[])
}

/// One phone calls, the other answers: both ends of a call that is up.
///
/// # Errors
/// It does not come about.
pub fn connect(caller: &mut Phone, callee: &mut Phone, target: &str) -> Result<(Call, Call)> {
    let mut outgoing = caller.dial(target)?;
    let mut incoming = callee.rings()?;
    caller.ringback(&mut outgoing)?;
    callee.pick_up(&mut incoming)?;
    caller.outcome(&mut outgoing)?;
    callee.acknowledged(&incoming)?;
    Ok((outgoing, incoming))
}

/// One phone sends a request within a call, the other hears it and says 200; returns what the first one hears.
///
/// # Errors
/// One of them hears nothing.
pub fn exchange(asker: &mut Phone, call: &mut Call, other: &mut Phone, method: &str) -> Result<Message> {
    let account = asker.account().clone();
    let contact = format!("<{}>", asker.contact(&account.user));
    let sent = asker.send(&call.request(method).with("Contact", &contact), &account, None)?;
    let heard = other.expect(method)?;
    if method != "BYE" {
        other.answer(&heard, 200)?;
    }
    asker.final_answer(&sent)
}

/// One phone hangs up; returns the answer to its BYE.
///
/// # Errors
/// The other does not hear it, or its answer is lost.
pub fn hang_up(by: &mut Phone, call: &mut Call, other: &mut Phone) -> Result<Message> {
    exchange(by, call, other, "BYE")
}
