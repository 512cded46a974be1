//! Every transaction that a person asks for: order, top up, power, retry, keys. One function a request, one commit each.

pub mod accounts;
pub mod addons;
pub mod billing;
pub mod breakers;
pub mod catalog;
pub mod coupons;
pub mod cycle;
mod error;
pub mod keys;
pub mod machines;
pub mod members;
pub mod once;
pub mod operate;
pub mod order;
pub mod pairs;
pub mod partners;
pub mod people;
pub mod preview;
pub mod ptr;
pub mod refunds;
pub mod restore;
pub mod servers;
pub mod shop;
pub mod sign_in;
pub mod signatures;
pub mod snapshots;
pub mod ssh_keys;
pub mod stats;
mod terms;
pub mod two_factor;
pub mod user_data;
pub mod webhooks;

pub use error::{CommandError, Result};

use leasehold_store::{Tx, crash};

/// What names that are made up consist of: nothing that is mistaken for another.
pub(crate) const SLUG: &str = "abcdefghjkmnpqrstuvwxyz23456789";

/// Commits what a person asked for, with the crash points around it.
pub(crate) async fn commit(tx: Tx) -> Result<()> {
    crash::point("command.before_commit").await;
    tx.commit().await?;
    crash::point("command.committed").await;
    Ok(())
}
