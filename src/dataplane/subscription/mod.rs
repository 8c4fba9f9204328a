//! The edge as notifier of event packages (RFC 6665): it takes subscriptions and tells them of changes itself.
//!
//! `hoteling` is the one package there is, by which a phone's own guest key logs in and out; `request` says what a
//! SUBSCRIBE must be like; `body` reads and writes its
//! XML; `table` keeps the subscriptions, for all workers, each with its `dialog`; `notify` sends what goes within that.
//!
//! A subscription is the device's and not of whoever sits there: it survives every change of seats. It ends when its time
//! is over, when the phone ends it, when a NOTIFY is not taken, when the device has no binding any more, and when the
//! configuration knows the device no more. None outlives the edge: a phone that refreshes one that is gone hears 481 and
//! subscribes anew (RFC 6665 §4.1.2.2).

mod body;
mod dialog;
mod hoteling;
mod notify;
mod request;
mod table;

pub(crate) use dialog::{claimed_device, device_of_dialog};
pub(crate) use hoteling::{Hoteling, PACKAGE};
pub(crate) use notify::NotifyKey;
pub(crate) use request::Subscribe;
pub(crate) use table::Subscriptions;
