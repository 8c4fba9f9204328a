//! What a phone does while its user waits: it reads, answers what needs no user, and repeats what may be lost.

use std::collections::VecDeque;
use std::time::Duration;

use super::draft::Draft;
use super::message::Message;
use super::wire::Transport;
use super::{Direction, Phone, PhoneError, Result, token};
use crate::deadline::Deadline;

/// RFC 3261 Table 4.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Messages kept of each kind; of a phone that is asked more, the oldest are forgotten.
const KEPT_MAX: usize = 1_024;

/// A request that came.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) request: Message,
    /// The tag of its responses' To.
    pub(super) tag: String,
    /// The last response, for when the request comes again.
    response: Option<String>,
}

/// A final answer to an INVITE of this phone.
#[derive(Debug)]
pub(super) struct Acknowledged {
    branch: String,
    /// Of To: the 200 of another phone is another answer.
    tag: Option<String>,
    ack: String,
}

impl Phone {
    /// Waits for a request of `method`. What it was, if it was not yet answered, [`Self::answer`] can answer.
    ///
    /// # Errors
    /// None came.
    pub fn expect(&mut self, method: &str) -> Result<Message> {
        self.wait(method, None, |message| message.is_request(method))
    }

    /// Reads whatever comes within `time`; what is read is kept until somebody asks. For what must *not* come.
    ///
    /// # Errors
    /// The socket failed.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        let deadline = Deadline::after(time);
        while let Some(message) = self.read("anything", deadline)? {
            self.keep(message);
        }
        Ok(())
    }

    /// Takes what was heard and not asked for.
    pub fn take_unasked(&mut self) -> Vec<Message> {
        self.inbox.drain(..).collect()
    }

    /// Answers a request that came, or answers it once more with a later status.
    ///
    /// # Errors
    /// The socket failed.
    pub fn answer(&mut self, request: &Message, code: u16) -> Result<()> {
        self.answer_with(request, code, |draft| draft)
    }

    /// Answers a request; `change` may add to the response.
    ///
    /// # Errors
    /// The socket failed.
    pub fn answer_with(
        &mut self,
        request: &Message,
        code: u16,
        change: impl FnOnce(Draft) -> Draft,
    ) -> Result<()> {
        let served = self.served.iter_mut().find(|served| is_same(&served.request, request));
        let mut to = request.header("To").unwrap_or_default().to_owned();
        if request.to_tag().is_none() {
            let tag = served.as_ref().map_or_else(token, |served| served.tag.clone());
            to += &format!(";tag={tag}");
        }
        let mut draft = Draft::new("", "");
        for name in ["Via", "Record-Route"] {
            for value in request.values(name) {
                draft = draft.with(name, value);
            }
        }
        for name in ["From", "Call-ID", "CSeq"] {
            draft = draft.with(name, request.header(name).unwrap_or_default());
        }
        let text = change(draft.with("To", &to)).write_response(code);
        if let Some(served) = served {
            served.response = Some(text.clone());
        }
        self.transmit(text).map(drop)
    }

    /// Waits for a message that is `wanted`, first among those that came before. `request` is repeated until an
    /// answer to it is heard.
    pub(super) fn wait(
        &mut self,
        what: &str,
        request: Option<&Message>,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        if let Some(index) = self.inbox.iter().position(&wanted)
            && let Some(message) = self.inbox.remove(index)
        {
            return Ok(message);
        }
        let deadline = Deadline::after(self.patience);
        let mut repeated = request.filter(|_| self.transport == Transport::Udp);
        let mut interval = T1;
        let mut repeat_at = Deadline::after(interval);
        loop {
            let until = if repeated.is_some() { deadline.or(repeat_at) } else { deadline };
            if let Some(message) = self.read(what, until)? {
                if wanted(&message) {
                    return Ok(message);
                }
                // A provisional answer to an INVITE ends its repetitions (§17.1.1.2).
                if repeated.is_some_and(|request| request.method() == "INVITE" && message.answers(request)) {
                    repeated = None;
                }
                self.keep(message);
                continue;
            }
            let Some(request) = repeated.filter(|_| deadline.left().is_some()) else {
                return Err(PhoneError::Silence {
                    user: self.account.user.clone(),
                    what: what.into(),
                    heard: self.unasked(),
                });
            };
            self.transmit(request.text().to_owned())?;
            interval = (interval * 2).min(T2);
            repeat_at = Deadline::after(interval);
        }
    }

    /// Sends a message as it stands.
    ///
    /// # Errors
    /// The socket failed.
    pub fn transmit(&mut self, text: String) -> Result<Message> {
        let message = Message::new(text);
        if let Some(observer) = &mut self.observer {
            observer(Direction::Sent, &message);
        }
        let sent = self.wire.send(message.text().as_bytes());
        sent.map_err(|source| self.broken(message.start_line(), source))?;
        Ok(message)
    }

    /// Sends the ACK of a final answer and keeps it for when the answer comes again.
    pub(super) fn acknowledge(&mut self, response: &Message, ack: String) -> Result<()> {
        let tag = response.to_tag().map(Into::into);
        let branch = response.branch().to_owned();
        push(&mut self.acknowledged, Acknowledged { branch, tag, ack: ack.clone() });
        self.transmit(ack).map(drop)
    }

    /// Remembers a dialog, so that its BYE is known.
    pub(super) fn remember(&mut self, call_id: &str, tag: Option<&str>) {
        push(&mut self.dialogs, (call_id.into(), tag.unwrap_or_default().into()));
    }

    /// The next message that is news; `None` after `until`.
    fn read(&mut self, what: &str, until: Deadline) -> Result<Option<Message>> {
        loop {
            let received = self.wire.receive(until).map_err(|source| self.broken(what, source))?;
            let Some(message) = received else { return Ok(None) };
            if message.start_line().is_empty() {
                continue; // The answer to a keep-alive.
            }
            if let Some(observer) = &mut self.observer {
                observer(Direction::Heard, &message);
            }
            let news = if message.status().is_some() {
                !self.is_repeated_answer(&message)?
            } else {
                self.is_new_request(&message)?
            };
            if news {
                return Ok(Some(message));
            }
        }
    }

    fn is_repeated_answer(&mut self, message: &Message) -> Result<bool> {
        let same = |known: &&Acknowledged| {
            known.branch == message.branch() && known.tag.as_deref() == message.to_tag()
        };
        let is_final = message.method() == "INVITE" && message.status() >= Some(200);
        let Some(known) = self.acknowledged.iter().find(same).filter(|_| is_final) else { return Ok(false) };
        let ack = known.ack.clone();
        self.transmit(ack)?;
        Ok(true)
    }

    /// Takes a request in, and answers it where no user is needed. False for one that has come before.
    fn is_new_request(&mut self, request: &Message) -> Result<bool> {
        if request.method() == "ACK" {
            return Ok(true);
        }
        if let Some(known) = self.served.iter().find(|served| is_same(&served.request, request)) {
            if let Some(response) = known.response.clone() {
                self.transmit(response)?;
            }
            return Ok(false);
        }
        push(&mut self.served, Served { request: request.clone(), tag: token(), response: None });
        match request.method() {
            "NOTIFY" | "OPTIONS" => self.answer(request, 200)?,
            "BYE" => {
                let known = self.dialogs.iter().any(|(call_id, tag)| {
                    Some(&**call_id) == request.header("Call-ID") && Some(&**tag) == request.to_tag()
                });
                self.answer(request, if known { 200 } else { 481 })?;
            }
            "CANCEL" => {
                let cancelled = |served: &&Served| {
                    served.request.method() == "INVITE" && served.request.branch() == request.branch()
                };
                let invite = self.served.iter().find(cancelled).map(|served| served.request.clone());
                self.answer(request, if invite.is_some() { 200 } else { 481 })?;
                if let Some(invite) = invite {
                    self.answer(&invite, 487)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    fn keep(&mut self, message: Message) {
        push(&mut self.inbox, message);
    }

    fn broken(&self, what: &str, source: std::io::Error) -> PhoneError {
        PhoneError::Wire { user: self.account.user.clone(), what: what.into(), source }
    }
}

fn is_same(one: &Message, other: &Message) -> bool {
    one.branch() == other.branch() && one.method() == other.method()
}

fn push<T>(kept: &mut VecDeque<T>, item: T) {
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(item);
}
