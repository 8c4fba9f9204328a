//! What a device or an extension is called in every table: its tenant, and its name there.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::NameHasher;

/// A name within a tenant: a device id or an extension number. Copies share its text.
#[derive(Clone)]
pub struct Place {
    /// The tenant's id, and what is called so within it.
    names: Arc<str>,
    tenant_length: usize,
    /// Of both names: a change of seats looks each of its places up in ten tables.
    hash: u64,
}

impl Place {
    /// `name` of `tenant`.
    pub fn new(tenant: &str, name: &str) -> Self {
        Self {
            names: [tenant, name].concat().into(),
            tenant_length: tenant.len(),
            hash: hash_of(tenant, name),
        }
    }

    /// The tenant's id.
    pub fn tenant(&self) -> &str {
        &self.names[..self.tenant_length]
    }

    /// The device id or extension number within it.
    pub fn name(&self) -> &str {
        &self.names[self.tenant_length..]
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.tenant_length == other.tenant_length && self.names == other.names
    }
}

impl Eq for Place {}

impl Hash for Place {
    /// Only for tables of the operator's names: whoever chooses names can choose two of one hash.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// What names a device or an extension: a [`Place`], or its tenant and name where nobody needs to own them.
pub trait Named {
    /// The tenant's id, and the device's or extension's.
    fn names(&self) -> (&str, &str);

    /// A hash of both, the same however they are kept.
    fn names_hash(&self) -> u64;
}

impl Named for Place {
    fn names(&self) -> (&str, &str) {
        (self.tenant(), self.name())
    }

    fn names_hash(&self) -> u64 {
        self.hash
    }
}

impl Named for (&str, &str) {
    fn names(&self) -> (&str, &str) {
        *self
    }

    fn names_hash(&self) -> u64 {
        hash_of(self.0, self.1)
    }
}

impl<'a> Borrow<dyn Named + 'a> for Place {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl Hash for dyn Named + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a `Place` does.
        state.write_u64(self.names_hash());
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for dyn Named + '_ {}

fn hash_of(tenant: &str, name: &str) -> u64 {
    NameHasher::default().hash_one((tenant, name))
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tenant(), self.name()).cmp(&(other.tenant(), other.name()))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("tenant", &self.tenant()).field("name", &self.name()).finish()
    }
}

/// A place as it is stored and shown.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Place")]
struct Names<T> {
    tenant: T,
    name: T,
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Names { tenant: self.tenant(), name: self.name() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Names { tenant, name } = Names::<Box<str>>::deserialize(deserializer)?;
        Ok(Self::new(&tenant, &name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_place_is_found_by_names_that_nobody_owns() {
        let places: HashMap<Place, u32, NameHasher> = [(Place::new("acme", "1001"), 7)].into_iter().collect();
        let find = |names: (&str, &str)| places.get(&names as &dyn Named).copied();

        assert_eq!(find(("acme", "1001")), Some(7));
        assert_eq!(find(("acme1", "001")), None);
        assert_eq!(places.get(&Place::new("acme", "1001")), Some(&7));
    }

    #[test]
    fn each_of_many_places_is_found_by_its_names_alone() {
        let names: Vec<String> = (0..1000).map(|number| format!("desk-{number}")).collect();
        let places: HashMap<Place, usize, NameHasher> =
            names.iter().enumerate().map(|(number, name)| (Place::new("acme", name), number)).collect();

        for (number, name) in names.iter().enumerate() {
            assert_eq!(places.get(&("acme", &**name) as &dyn Named), Some(&number));
        }
    }

    #[test]
    fn namesakes_across_the_border_of_tenant_and_name_are_other_places() {
        assert_eq!(Place::new("acme", "1001"), Place::new("acme", "1001"));
        assert_ne!(Place::new("acme", "1001"), Place::new("acme1", "001"));
    }

    #[test]
    fn places_are_ordered_by_tenant_then_name() {
        let mut places =
            [("b", "1"), ("ab", "2"), ("a", "b2")].map(|(tenant, name)| Place::new(tenant, name));

        places.sort();

        let names = places.each_ref().map(|place| (place.tenant(), place.name()));
        assert_eq!(names, [("a", "b2"), ("ab", "2"), ("b", "1")]);
    }
}
