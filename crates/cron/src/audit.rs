//! The nightly audit: findings go to the attention list, one matter for all.

use leasehold_store::{Result, Store};

use crate::seal::verify_chain;

pub(crate) async fn run(store: &Store) -> Result<()> {
    let findings = store.audit().await?;
    let broken = verify_chain(store).await?;
    let mut tx = store.begin().await?;
    if findings.is_empty() && broken.is_none() {
        tx.attended("audit", "books", "scheduler").await?;
    } else {
        let first = findings
            .first()
            .map_or_else(|| format!("the activity chain breaks at line {}", broken.unwrap_or(0)), |f| format!("{}: {} ({})", f.rule, f.subject, f.detail));
        let detail = format!("{} finding(s), first: {first}; see all: leasehold billing audit", findings.len() + usize::from(broken.is_some()));
        tx.attend("audit", "books", &detail).await?;
    }
    tx.commit().await
}
