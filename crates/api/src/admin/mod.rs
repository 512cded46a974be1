//! The operator API, `/admin/v1`: one file a resource, and one for its errors. Every change stands in the activity log under the
//! token that asked for it.

pub(crate) mod accounts;
pub(crate) mod attention;
pub(crate) mod breakers;
pub(crate) mod catalog;
pub(crate) mod clock;
pub(crate) mod coupons;
pub(crate) mod deliveries;
pub(crate) mod error;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod mails;
pub(crate) mod members;
pub(crate) mod nodes;
pub(crate) mod queue;
pub(crate) mod servers;
pub(crate) mod ticks;
