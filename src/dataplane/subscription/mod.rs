//! The edge as notifier of event packages (RFC 6665): it takes subscriptions and tells them of changes itself.
//!
//! `hoteling` is the package by which a phone's own guest key logs in and out: `body` reads and writes its XML, `table` keeps
//! its subscriptions, for all workers. `message_summary` tells shared phones that nothing waits for them, and keeps nothing.
//! `request` says what a SUBSCRIBE must be like, `dialog` is what the requests within a subscription are made of, `notify`
//! sends them.
//!
//! A subscription is the device's and not of whoever sits there: it survives every change of seats. It ends when its time
//! is over, when the phone ends it, when a NOTIFY is not taken, when the device has no binding any more, and when the
//! configuration knows the device no more. None outlives the edge: a phone that refreshes one that is gone hears 481 and
//! subscribes anew (RFC 6665 §4.1.2.2).

mod body;
mod dialog;
mod hoteling;
mod message_summary;
mod notify;
mod request;
mod table;

pub(crate) use dialog::{claimed_device, is_hoteling_of};
pub(crate) use hoteling::PACKAGE as HOTELING;
pub(crate) use message_summary::{PACKAGE as MESSAGE_SUMMARY, is_dialog_of as is_message_summary_of};
pub(crate) use notify::{EventNotifier, NotifyKey};
pub(crate) use request::Subscribe;
pub(crate) use table::Subscriptions;

/// The packages of a shared phone with a guest key, for Allow-Events (RFC 6665 §8.2.2).
pub(crate) const PACKAGES: &str = "x-broadworks-hoteling, message-summary";
