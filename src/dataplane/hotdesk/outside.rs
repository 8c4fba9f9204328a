//! Which calls by a route are up, for all workers: how many a phone and a tenant have at a time and in a minute.
//!
//! A call is known by its dialog, as in `calls`: a hash and its beginning. After a restart nothing is counted.

use std::collections::HashMap;
use std::time::Duration;

use super::place::Place;
use crate::hash::NameHasher;
use crate::now::Mono;
use crate::settings::OutsidePolicy;
use crate::sharded::Sharded;

const MINUTE: Duration = Duration::from_secs(60);

/// The calls by routes of all tenants. Calls are bounded by each tenant's policy, phones by its accounts.
#[derive(Debug)]
pub struct OutsideCalls {
    tenants: Sharded<HashMap<Box<str>, OfTenant, NameHasher>>,
}

/// Why one more call by a route is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneTooMany {
    /// The phone or its tenant has as many as it may.
    Limit,
    /// A call with the same Call-ID is up: it would be counted once and cost twice.
    Merged,
}

#[derive(Debug, Default)]
struct OfTenant {
    calls: HashMap<u64, Call>,
    pace: Pace,
    /// By device, or by the extension whose phone it is; a visitor's device is of another tenant.
    phones: HashMap<Place, OfPhone, NameHasher>,
}

#[derive(Debug)]
struct Call {
    phone: Place,
    over_at: Mono,
}

#[derive(Debug, Default)]
struct OfPhone {
    calls: u32,
    pace: Pace,
}

/// Calls in the minute that began with the first of them.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    began: Option<Mono>,
    calls: u32,
}

impl Pace {
    /// Calls of the minute that is not over.
    fn calls(&mut self, now: Mono) -> u32 {
        if self.began.is_none_or(|began| now.since(began) >= MINUTE) {
            *self = Self { began: Some(now), calls: 0 };
        }
        self.calls
    }
}

impl Default for OutsideCalls {
    fn default() -> Self {
        Self::new()
    }
}

impl OutsideCalls {
    /// Nobody calls.
    pub fn new() -> Self {
        Self { tenants: Sharded::new(NameHasher::default()) }
    }

    /// `phone` wants to call by a route of `tenant`; `call` stands for the dialog. A call whose end nobody says is over
    /// after `call_max`.
    pub fn begin(
        &self,
        tenant: &str,
        phone: &Place,
        call: u64,
        policy: &OutsidePolicy,
        now: Mono,
        call_max: Duration,
    ) -> Result<(), OneTooMany> {
        self.tenants.with(tenant, |tenants| {
            if !tenants.contains_key(tenant) {
                tenants.insert(tenant.into(), OfTenant::default());
            }
            let known = tenants.get_mut(tenant).expect("it was put in");
            known.begin(phone, call, policy, now, now + call_max)
        })
    }

    /// The session timer of a call was started anew, or taken away (RFC 4028).
    pub fn refreshed(&self, tenant: &str, call: u64, over_at: Mono) {
        self.tenants.with(tenant, |tenants| {
            let known = tenants.get_mut(tenant).and_then(|known| known.calls.get_mut(&call));
            if let Some(known) = known {
                known.over_at = over_at;
            }
        });
    }

    /// A call is over, or came to nothing. One that is not known changes nothing.
    pub fn ended(&self, tenant: &str, call: u64) {
        self.tenants.with(tenant, |tenants| {
            if let Some(known) = tenants.get_mut(tenant) {
                known.ended(call);
            }
        });
    }
}

impl OfTenant {
    fn begin(
        &mut self,
        phone: &Place,
        call: u64,
        policy: &OutsidePolicy,
        now: Mono,
        over_at: Mono,
    ) -> Result<(), OneTooMany> {
        if self.is_full(phone, policy) || self.calls.contains_key(&call) {
            self.forget(now);
        }
        if self.calls.contains_key(&call) {
            return Err(OneTooMany::Merged);
        }
        let of_phone = self.phones.get_mut(phone).map_or(0, |known| known.pace.calls(now));
        if self.is_full(phone, policy)
            || self.pace.calls(now) >= policy.calls_a_minute_max
            || of_phone >= policy.phone_calls_a_minute_max
        {
            return Err(OneTooMany::Limit);
        }
        self.calls.insert(call, Call { phone: phone.clone(), over_at });
        self.pace.calls += 1;
        let phone = self.phones.entry(phone.clone()).or_default();
        phone.calls += 1;
        phone.pace.calls(now);
        phone.pace.calls += 1;
        Ok(())
    }

    fn is_full(&self, phone: &Place, policy: &OutsidePolicy) -> bool {
        let of_phone = self.phones.get(phone).map_or(0, |known| known.calls);
        self.calls.len() >= policy.calls_max as usize || of_phone >= policy.phone_calls_max
    }

    fn forget(&mut self, now: Mono) {
        let over: Vec<u64> =
            self.calls.iter().filter(|(_, known)| known.over_at <= now).map(|(call, _)| *call).collect();
        over.into_iter().for_each(|call| self.ended(call));
    }

    fn ended(&mut self, call: u64) {
        let Some(over) = self.calls.remove(&call) else { return };
        if let Some(phone) = self.phones.get_mut(&over.phone) {
            phone.calls -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL_MAX: Duration = Duration::from_secs(4 * 3600);

    fn policy() -> OutsidePolicy {
        OutsidePolicy {
            phone_calls_max: 2,
            phone_calls_a_minute_max: 3,
            calls_max: 3,
            calls_a_minute_max: 5,
            barred: Vec::new(),
        }
    }

    fn at(seconds: u32) -> Mono {
        Mono::from_seconds(seconds)
    }

    fn begin(calls: &OutsideCalls, phone: &str, call: u64, seconds: u32) -> Result<(), OneTooMany> {
        calls.begin("acme", &Place::new("acme", phone), call, &policy(), at(seconds), CALL_MAX)
    }

    #[test]
    fn phone_and_tenant_have_so_many_at_a_time() {
        let calls = OutsideCalls::new();
        assert_eq!(begin(&calls, "a", 1, 0), Ok(()));
        assert_eq!(begin(&calls, "a", 2, 0), Ok(()));

        assert_eq!(begin(&calls, "a", 3, 0), Err(OneTooMany::Limit));
        assert_eq!(begin(&calls, "b", 4, 0), Ok(()));
        assert_eq!(begin(&calls, "c", 5, 0), Err(OneTooMany::Limit));
        let elsewhere = Place::new("other", "a");
        assert_eq!(calls.begin("other", &elsewhere, 5, &policy(), at(0), CALL_MAX), Ok(()));
        calls.ended("acme", 1);
        calls.ended("acme", 1);
        assert_eq!(begin(&calls, "c", 5, 0), Ok(()));
        assert_eq!(begin(&calls, "a", 6, 0), Err(OneTooMany::Limit));
    }

    #[test]
    fn phone_and_tenant_begin_so_many_in_a_minute() {
        let calls = OutsideCalls::new();
        let one = |phone, call, seconds| {
            let begun = begin(&calls, phone, call, seconds);
            calls.ended("acme", call);
            begun
        };
        assert_eq!([1, 2, 3].map(|call| one("a", call, 0)), [Ok(()); 3]);

        assert_eq!(one("a", 4, 59), Err(OneTooMany::Limit));
        assert_eq!([5, 6, 7].map(|call| one("b", call, 59)), [Ok(()), Ok(()), Err(OneTooMany::Limit)]);
        assert_eq!(one("a", 8, 60), Ok(()));
    }

    #[test]
    fn call_is_not_counted_once_and_made_twice() {
        let calls = OutsideCalls::new();

        assert_eq!(begin(&calls, "a", 1, 0), Ok(()));
        assert_eq!(begin(&calls, "a", 1, 1), Err(OneTooMany::Merged));
        calls.ended("acme", 1);
        assert_eq!(begin(&calls, "a", 1, 2), Ok(()));
    }

    #[test]
    fn call_whose_end_was_not_seen_is_forgotten() {
        let calls = OutsideCalls::new();
        assert_eq!([1, 2].map(|call| begin(&calls, "a", call, 0)), [Ok(()); 2]);
        calls.refreshed("acme", 1, at(1800));
        calls.refreshed("acme", 9, at(1800));

        assert_eq!(begin(&calls, "a", 3, 1799), Err(OneTooMany::Limit));
        assert_eq!(begin(&calls, "a", 3, 1800), Ok(()));
        assert_eq!(begin(&calls, "a", 4, 4 * 3600 - 1), Err(OneTooMany::Limit));
        assert_eq!(begin(&calls, "a", 4, 4 * 3600), Ok(()));
    }
}
