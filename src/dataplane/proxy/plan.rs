//! What is decided of a request before it is forwarded.
//!
//! Whose it is has several answers, and each is asked for by somebody else. A person of tenant *a* sits at a desk of
//! tenant *b* and calls a colleague of *a*: the desk is the `sender`, whose calls are counted and whose flow the dialog
//! is bound to; *a* is the `tenant`, whose numbers and limits hold; the person is in `from`, which others see; and the
//! colleague is the `extension` that rings.

use std::sync::Arc;

use super::emergency::Emergency;
use super::identity::From;
use super::target::Target;
use crate::hotdesk::Place;
use crate::settings::Tenant;
use crate::upstream::Numbering;

/// What to do with a request that may be forwarded.
pub(crate) struct Plan {
    /// Whose dial plan, routes and limits count: where whoever calls is at home, wherever his phone stands.
    pub(crate) tenant: Arc<Tenant>,
    /// Whose phone sent it.
    pub(crate) sender: Sender,
    /// The extension it is for: what rings follows its seat.
    pub(crate) extension: Option<Box<str>>,
    pub(crate) targets: Vec<Target>,
    /// What From says.
    pub(crate) from: From,
    /// Display name and URI of To, where it must be put back.
    pub(crate) to: Option<Vec<u8>>,
    /// Number asserted to a trusted peer.
    pub(crate) asserted: Option<Vec<u8>>,
    /// It is a call for help, or a call-back.
    pub(crate) emergency: Option<Emergency>,
    /// A call by a route: it is counted.
    pub(crate) outside: bool,
    /// Route values on top that are ours.
    pub(crate) own_routes: usize,
    /// Already a dialog: no Record-Route, no identity to seal, no following of seats.
    pub(crate) in_dialog: bool,
    /// Within a dialog to a GRUU: the Request-URI becomes the contact that this stands for.
    pub(crate) retargeted: bool,
    /// Within a dialog whose far end asks for a password: which number the request has there.
    pub(crate) numbering: Option<Numbering>,
}

/// The phone that sent a request: by whose account it is known, and which desk phone it is.
#[derive(Default)]
pub(crate) struct Sender {
    /// The account; `None` for a configured peer, and for whoever calls for help and has proved nothing.
    pub(crate) account: Option<Place>,
    /// The hot-desk device it is, if it is one: of another tenant than the account where somebody visits that.
    pub(crate) device: Option<Place>,
}

impl Plan {
    /// A call of a configured peer that changes nothing.
    pub(crate) fn new(tenant: &Arc<Tenant>, targets: Vec<Target>, own_routes: usize) -> Self {
        Self {
            tenant: Arc::clone(tenant),
            sender: Sender::default(),
            extension: None,
            targets,
            from: From::Kept,
            to: None,
            asserted: None,
            emergency: None,
            outside: false,
            own_routes,
            in_dialog: false,
            retargeted: false,
            numbering: None,
        }
    }
}
