//! The Cloud API, `/api/v1`: one file a resource, and one for its errors.

pub(crate) mod account;
pub(crate) mod activity;
pub(crate) mod addons;
pub(crate) mod billing;
pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod ips;
pub(crate) mod live;
pub(crate) mod machines;
pub(crate) mod members;
pub(crate) mod order;
pub(crate) mod power;
pub(crate) mod reseller;
pub(crate) mod servers;
pub(crate) mod shop;
pub(crate) mod snapshots;
pub(crate) mod sso;
pub(crate) mod two_factor;
pub(crate) mod view;
pub(crate) mod wallet;
pub(crate) mod webhooks;
