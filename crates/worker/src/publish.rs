//! What an address resolves to, handed to the host's DNS server where there is one.

use leasehold_store::{Result, StoreError, work::Claim};

use crate::{Worker, run::Rest};

/// After this many tries in vain a person is told; they go on.
const TRIES: i64 = 3;
/// All names wait for one server.
const SUBJECT: &str = "dns";

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    let n = w.store.read().await?.claimed_name(&claim.id, claim.epoch).await?;
    let rest = Rest::until(None, n.wants);
    // One that nobody publishes rests as it is: a worker with a DNS server takes it up.
    let Some(names) = w.names.as_ref().filter(|_| n.published_at.is_none()) else { return Ok(rest) };
    let address = n.id.parse().map_err(|_| StoreError::Broken(format!("'{}' is no address", n.id)))?;
    if !names.holds(address) {
        return Ok(rest);
    }
    let published = names.publish(address, n.name.as_deref()).await;
    let outcome = if published.is_ok() { "published" } else { "failed" };
    metrics::counter!("leasehold_name_updates_total", "outcome" => outcome).increment(1);
    let mut tx = w.store.begin().await?;
    if let Err(lost @ StoreError::Lost { .. }) = tx.claimed_name(&n.id, claim.epoch).await {
        // Another has the row; which update came last, nobody knows.
        tx.name_unsure(&n.id).await?;
        tx.commit().await?;
        return Err(lost);
    }
    let rest = match published {
        Ok(()) => {
            tx.name_published(&n).await?;
            tx.attended("name_unpublished", SUBJECT, "worker").await?;
            rest
        }
        Err(why) => {
            tx.name_failed(&n).await?;
            if n.attempt + 1 >= TRIES {
                let detail = format!("what {} resolves to could not be published: {why}; it is tried on, mend [dns] or its server", n.id);
                tx.attend("name_unpublished", SUBJECT, &detail).await?;
            }
            Rest { next_at: Some(tx.now + w.limits.backoff.wait(n.attempt + 1, tx.dice())), error: Some(why), ..rest }
        }
    };
    tx.commit().await?;
    Ok(rest)
}
