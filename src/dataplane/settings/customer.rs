//! Customers: tenants that may visit one another, and what they have together.

use std::sync::Arc;

use super::{Emergency, Settings, Tenant, TenantIndex};

/// What a customer has.
#[derive(Debug, Default)]
pub(super) struct OfCustomer {
    /// In file order.
    pub(super) tenants: Vec<TenantIndex>,
    /// Of the tenants with the same emergency numbers the first.
    pub(super) emergencies: Vec<TenantIndex>,
    pub(super) has_devices: bool,
}

impl Settings {
    /// The tenants of the customer of `tenant`, itself among them.
    pub fn tenants_of_customer(&self, tenant: &Tenant) -> impl ExactSizeIterator<Item = &Arc<Tenant>> {
        let of_customer = self.by_customer.get(&tenant.customer).map_or(&[][..], |known| &known.tenants);
        of_customer.iter().map(|index| &self.tenants[index.0 as usize])
    }

    /// What the tenants of the customer of `tenant` take for a call for help; those with the same numbers once.
    pub fn emergencies_of_customer(&self, tenant: &Tenant) -> impl Iterator<Item = &Emergency> {
        let of_customer = self.by_customer.get(&tenant.customer).map_or(&[][..], |known| &known.emergencies);
        of_customer.iter().map(|index| &self.tenants[index.0 as usize].emergency)
    }

    /// True if some tenant of `customer` has devices.
    pub fn has_devices(&self, customer: &str) -> bool {
        self.by_customer.get(customer).is_some_and(|known| known.has_devices)
    }
}
