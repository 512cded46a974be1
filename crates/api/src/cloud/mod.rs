//! The Cloud API, `/api/v1`: one file a resource, and one for its errors.

pub(crate) mod account;
pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod power;
pub(crate) mod servers;
