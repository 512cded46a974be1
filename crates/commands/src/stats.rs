//! What a server is using. Asking is watching: its node samples it every few seconds for the next minute.

use leasehold_domain::{server::Status, usage::Live};
use leasehold_store::{Store, samples::Traffic};
use serde::Serialize;

use crate::{Result, commit};

/// What a server is using, as far as it is known.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// `POWERED_ON` or `POWERED_OFF`.
    pub power_state: &'static str,
    /// From its last two samples; none while there are no two, or they are too old.
    pub live: Option<Live>,
    /// What it sent and received, the newest month first.
    pub traffic: Vec<Traffic>,
}

/// The last sample of a server.
pub async fn stats(store: &Store, id: &str) -> Result<Stats> {
    let mut tx = store.read().await?;
    let s = tx.find_server(id).await?;
    let on = s.status == Status::Running;
    let stats = Stats { power_state: power_state(on), live: tx.live(&s.id).await?, traffic: tx.traffic(&s.id).await? };
    let renew = on && tx.watch_is_old(&s.id).await?;
    drop(tx);
    if renew {
        let mut tx = store.begin().await?;
        tx.watch(&s.id).await?;
        commit(tx).await?;
    }
    Ok(stats)
}

/// The words for it.
pub const fn power_state(on: bool) -> &'static str {
    if on { "POWERED_ON" } else { "POWERED_OFF" }
}
