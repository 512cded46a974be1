//! Every transaction that a person asks for: order, top up, power, retry, keys. One function a request, one commit each.

pub mod accounts;
pub mod addons;
pub mod billing;
pub mod catalog;
pub mod coupons;
pub mod cycle;
mod error;
pub mod keys;
pub mod operate;
pub mod order;
pub mod partners;
pub mod preview;
pub mod refunds;
pub mod servers;
pub mod snapshots;
pub mod stats;
mod terms;

pub use error::{CommandError, Result};

use leasehold_domain::AccountId;
use leasehold_store::{Tx, crash};

/// What a request with this key was answered before, if it was; the same key for another request is refused.
pub(crate) async fn replayed(tx: &mut Tx, account: &AccountId, key: Option<&str>, request: &str) -> Result<Option<String>> {
    let Some(key) = key else { return Ok(None) };
    match tx.answered(account, key).await? {
        Some((before, answer)) if before == request => Ok(Some(answer)),
        Some(_) => Err(CommandError::Refused(format!("the key '{key}' was used for another request; use a new key for a new request"))),
        None => Ok(None),
    }
}

/// Commits what a person asked for, with the crash points around it.
pub(crate) async fn commit(tx: Tx) -> Result<()> {
    crash::point("command.before_commit").await;
    tx.commit().await?;
    crash::point("command.committed").await;
    Ok(())
}
