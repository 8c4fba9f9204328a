//! Whom a person means by what he types or dials for himself.

use crate::hotdesk::Place;
use crate::settings::{Extension, Settings, Tenant};

/// Whom a person means who types `typed` at a phone of `here`: an extension of it by number or alias; else, where visitors
/// are welcome, whoever has it behind the prefix of his tenant; else the only one of the customer who is known by it.
/// Nobody is told whether there is one: who is not known is looked for as typed, and not found.
pub(crate) fn extension_typed(settings: &Settings, here: &Tenant, typed: &[u8]) -> Place {
    let typed = String::from_utf8_lossy(typed);
    let own = here.extension_known_as(&typed).map(|extension| (here, extension));
    match own.or_else(|| visitor(settings, here, &typed)) {
        Some((home, extension)) => Place::new(&home.id, &extension.number),
        None => Place::new(&here.id, &typed),
    }
}

/// Who visits `here` and is known as `typed`.
fn visitor<'s>(settings: &'s Settings, here: &Tenant, typed: &str) -> Option<(&'s Tenant, &'s Extension)> {
    if !here.seats.visitors {
        return None;
    }
    let homes = || settings.tenants_of_customer(here).map(|home| &**home);
    let known_as = |home: &'s Tenant, name: &str| {
        let extension = home.extension_known_as(name)?;
        // With the prefix of his own tenant a person may type the same at home.
        let may_come = home.id == here.id || home.seats.may_visit || extension.may_visit == Some(true);
        may_come.then_some((home, extension))
    };
    let behind_prefix = |home: &'s Tenant| match &*home.seats.visitor_prefix {
        "" => None,
        prefix => known_as(home, typed.strip_prefix(prefix)?),
    };
    homes().find_map(behind_prefix).or_else(|| {
        let mut known = homes().filter_map(|home| known_as(home, typed));
        // Of two who are known by it neither is meant.
        known.next().filter(|_| known.next().is_none())
    })
}
