//! Add-ons whose last paid period is over: their addresses go, and rest.

use std::time::Duration;

use leasehold_store::{Result, Store, crash};

/// Add-ons in one run; the rest follows with the next.
const BATCH: i64 = 500;

/// Ends what is due.
pub async fn run(store: &Store, ip_quarantine: Duration) -> Result<()> {
    let due = store.read().await?.ending_addons(BATCH).await?;
    for (addon, account) in due {
        let mut tx = store.begin().await?;
        tx.trusted().await?;
        let free_at = tx.now + ip_quarantine;
        tx.books(&account.into()).await?.end_addon(&addon, free_at).await?;
        crash::point("addon.before_end").await;
        tx.commit().await?;
    }
    Ok(())
}
