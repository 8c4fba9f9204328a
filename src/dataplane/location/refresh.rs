//! The change that happens most: one binding is renewed, and nothing of it but times and numbers is another. It is done
//! where the record lies, without taking it apart; whatever else a REGISTER may mean goes through a [`Draft`](super::Draft).

use super::binding::{Binding, Renewed};
use super::expiry::Upkeep;
use super::record::Renewal;
use super::{Location, record};
use crate::now::Mono;

impl Location {
    /// Renews the one binding of an account that is the sender's, as `owns` knows, and differs from `renewed` in nothing
    /// but expiry, Call-ID, CSeq and branch; spends the proof; and shows each binding afterwards, as [`Self::read`] does.
    /// Beside a binding of which `owns` says `None`, the request has to be judged.
    ///
    /// False, and nothing was done, if anything else would change or has to be judged: [`Self::update`] does the same and
    /// all the rest.
    pub fn renew(
        &self,
        (tenant, user): (&str, &[u8]),
        now: Mono,
        upkeep: &mut Upkeep,
        renewed: &Renewed<'_>,
        owns: impl Fn(&Binding<'_>) -> Option<bool>,
        mut show: impl FnMut(&Binding<'_>),
    ) -> bool {
        let key = self.key(tenant, user);
        let Some(mut bucket) = self.records.get_mut(&key) else { return false };
        let Some(range) = record::find(&bucket, tenant, user) else { return false };
        let record = &mut bucket[range];
        let Some(renewal) = Renewal::plan(record, renewed, now, owns) else { return false };
        let armed = upkeep.arm(key, record::armed(record), renewal.due(), now);
        let lagging_since = upkeep.lag(key, record::lagging_since(record), now);
        renewal.write(record, &renewed.binding, armed, lagging_since);
        if renewal.is_only() {
            // As it stands in the record, but for the fraction of a second by which that is later.
            show(&renewed.binding);
        } else {
            record::bindings(record).for_each(|binding| show(&binding));
        }
        true
    }
}
