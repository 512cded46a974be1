//! The activity log as a chain: each committed line gets its place and the SHA-256 over the hash before it and itself,
//! so that a line that is changed or taken out later is found.

use leasehold_domain::hex;
use leasehold_store::{Result, Store, activity::Activity};
use sha2::{Digest, Sha256};

/// Lines in one transaction.
const BATCH: i64 = 500;

fn link(before: &str, line: &Activity) -> String {
    let parts = [
        before,
        &line.id,
        &line.actor,
        &line.action,
        line.account_id.as_deref().unwrap_or(""),
        line.server_id.as_deref().unwrap_or(""),
        &line.detail,
        &line.origin,
        &line.created_at.as_millis().to_string(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps two fields from being read as one.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

pub(crate) async fn run(store: &Store) -> Result<()> {
    loop {
        if store.read().await?.unsealed(1).await?.is_empty() {
            return Ok(());
        }
        let mut tx = store.begin().await?;
        let (mut seq, mut hash) = tx.chain_end().await?;
        let mut sealed = Vec::new();
        for line in tx.unsealed(BATCH).await? {
            seq += 1;
            hash = link(&hash, &line);
            sealed.push((line.id, seq, hash.clone()));
        }
        if sealed.is_empty() {
            return Ok(());
        }
        tx.seal(&sealed).await?;
        tx.commit().await?;
    }
}

/// Walks the whole chain; answers the number of the first line that does not fit.
pub async fn verify_chain(store: &Store) -> Result<Option<i64>> {
    let (mut next, mut hash) = (1, String::new());
    loop {
        let lines = store.read().await?.sealed_from(next, BATCH).await?;
        if lines.is_empty() {
            let end = store.read().await?.int("select coalesce(max(value), 0) from counters where name = 'activity'", &[]).await?;
            return Ok((end + 1 != next).then_some(next));
        }
        for line in lines {
            hash = link(&hash, &line);
            if line.seq != Some(next) || line.hash.as_deref() != Some(&hash) {
                return Ok(Some(next));
            }
            next += 1;
        }
    }
}
