//! What an address resolves to, handed to the host's DNS server where there is one.

use leasehold_store::{Result, StoreError, work::Claim};

use crate::{Worker, run::Rest};

/// A name that this many tries did not publish is for a person to look at; it is tried on.
const TRIES: i64 = 3;

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    let mut tx = w.store.begin().await?;
    let n = tx.claimed_name(&claim.id, claim.epoch).await?;
    drop(tx);
    let rest = Rest::until(None, n.wants);
    let Some(names) = w.names.as_ref().filter(|_| n.published_at.is_none()) else { return Ok(rest) };
    let address = n.id.parse().map_err(|_| StoreError::Broken(format!("'{}' is no address", n.id)))?;
    let published = names.publish(address, n.name.as_deref()).await;
    let mut tx = w.store.begin().await?;
    if let Err(lost @ StoreError::Lost { .. }) = tx.claimed_name(&n.id, claim.epoch).await {
        // Another has the row; which update came last, nobody knows.
        tx.name_unsure(&n.id).await?;
        tx.commit().await?;
        return Err(lost);
    }
    let subject = format!("address:{}", n.id);
    let rest = match published {
        Ok(()) => {
            tx.name_published(&n).await?;
            tx.attended("name_unpublished", &subject, "worker").await?;
            rest
        }
        Err(why) => {
            tx.name_failed(&n).await?;
            if n.attempt + 1 >= TRIES {
                let detail = format!("what {} resolves to could not be published: {why}; it is tried on, mend [dns] or its server", n.id);
                tx.attend("name_unpublished", &subject, &detail).await?;
            }
            Rest { next_at: Some(tx.now + w.limits.backoff.wait(n.attempt + 1, tx.dice())), error: Some(why), ..rest }
        }
    };
    tx.commit().await?;
    Ok(rest)
}
