//! The sound of calls to the attendant: sockets that open, announcements that end, keys that are heard.

use std::collections::HashSet;
use std::time::Duration;

use super::{Office, Parcel};
use crate::flow::WorkerId;
use crate::media::{Clip, Connection, Heard, Order, SessionId};
use crate::testing::call::Leg;
use crate::testing::draft::Draft;

/// Until a socket is bound.
const OPENING_TIME: Duration = Duration::from_millis(5);

/// What every announcement takes.
pub(super) const PLAYING_TIME: Duration = Duration::from_secs(2);

/// What a desk phone offers.
pub const OFFER: &str = "v=0\r\no=phone 1 1 IN IP4 192.168.1.7\r\ns=-\r\nc=IN IP4 192.168.1.7\r\nt=0 0\r\n\
    m=audio 11780 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n";

impl Office {
    /// Dials with an offer of sound and waits until nothing moves: the first announcement has begun.
    pub fn talk(&mut self, name: &str, target: &str) -> Leg {
        self.talk_with(name, target, |_| {})
    }

    /// The same with a changed INVITE.
    pub fn talk_with(&mut self, name: &str, target: &str, change: impl FnOnce(&mut Draft)) -> Leg {
        self.call_with(name, target, |invite| {
            invite.set("Content-Type", "application/sdp");
            invite.body = OFFER.into();
            change(invite);
        })
    }

    /// The person of the latest call with sound presses keys, one after the other, and waits until nothing moves.
    pub fn press(&mut self, keys: &str) {
        let session = self.latest_session();
        for key in keys.bytes() {
            self.hear(session, Heard::Key(key));
        }
        self.settle();
    }

    /// The sound of the latest call says something.
    pub fn sound(&mut self, heard: Heard) {
        let session = self.latest_session();
        self.hear(session, heard);
        self.settle();
    }

    /// Waits until the announcement that plays has been heard to its end, and no longer.
    pub fn listen_to_end(&mut self) {
        self.advance(PLAYING_TIME);
    }

    /// What was said in all calls, an announcement each: its words with blanks between, digits as they are.
    pub fn announcements(&self) -> Vec<String> {
        let played = self.media.iter().filter_map(|(_, order)| match order {
            Order::Play { clips, .. } => Some(words(clips)),
            _ => None,
        });
        played.collect()
    }

    /// The latest announcement and the language it is said in.
    pub fn said(&self) -> (String, String) {
        let said = self.media.iter().rev().find_map(|(_, order)| match order {
            Order::Play { language, clips } => Some((words(clips), language.to_string())),
            _ => None,
        });
        said.expect("something was said")
    }

    /// What offer and answer agreed on last.
    pub fn connection(&self) -> &Connection {
        let agreed = self.media.iter().rev().find_map(|(_, order)| match order {
            Order::Connect(connection) => Some(connection),
            _ => None,
        });
        agreed.expect("a call has sound")
    }

    /// Sessions that were opened and not closed.
    pub fn open_sessions(&self) -> usize {
        let all = |is: fn(&Order) -> bool| -> HashSet<SessionId> {
            self.media.iter().filter(|(_, order)| is(order)).map(|(session, _)| *session).collect()
        };
        let closed = all(|order| matches!(order, Order::Close));
        all(|order| matches!(order, Order::Open(_))).difference(&closed).count()
    }

    fn latest_session(&self) -> SessionId {
        self.media.last().expect("a call has sound").0
    }

    fn hear(&mut self, session: SessionId, heard: Heard) {
        let WorkerId(worker) = session.worker;
        let parcel = Parcel::Heard { worker, call: session.call, heard, of_play: None };
        self.agenda.insert(self.clock, parcel);
    }

    /// Does as the edge orders.
    pub(super) fn obey(&mut self, session: SessionId, order: Order) {
        let heard = match &order {
            Order::Open(_) if !self.sound_available => Some((OPENING_TIME, Heard::Failed, None)),
            Order::Open(_) => Some((OPENING_TIME, Heard::Opened { port: 40_000 }, None)),
            Order::Play { .. } => Some((PLAYING_TIME, Heard::Played, Some(self.media.len()))),
            Order::Connect(_) | Order::Stop | Order::Close => None,
        };
        self.media.push((session, order));
        if let Some((delay, heard, of_play)) = heard {
            let WorkerId(worker) = session.worker;
            let parcel = Parcel::Heard { worker, call: session.call, heard, of_play };
            self.agenda.insert(self.clock + delay, parcel);
        }
    }

    /// True unless the announcement was cut off since.
    pub(super) fn is_current(&self, of_play: Option<usize>) -> bool {
        let Some(index) = of_play else { return true };
        let (session, _) = self.media[index];
        let since = self.media[index + 1..].iter().filter(|(other, _)| *other == session);
        !since.into_iter().any(|(_, order)| matches!(order, Order::Play { .. } | Order::Stop | Order::Close))
    }
}

fn words(clips: &[Clip]) -> String {
    let word = |clip: &Clip| match clip {
        Clip::Word(name) => Some((*name).to_owned()),
        Clip::Digit(digit) => Some(char::from(*digit).to_string()),
        Clip::Pause(_) => None,
    };
    clips.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}
