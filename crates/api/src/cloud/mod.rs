//! The Cloud API, `/api/v1`: one file a resource, and one for its errors.

pub(crate) mod account;
pub(crate) mod addons;
pub(crate) mod billing;
pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod live;
pub(crate) mod power;
pub(crate) mod servers;
