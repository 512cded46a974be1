//! What is offered to those who bring customers.

use leasehold_domain::affiliate::Affiliates;
use leasehold_store::{Store, Tx};

use super::Catalog;
use crate::{CommandError, Result};

const KEY: &str = "affiliates";

/// The rule that was said, if one was.
pub(super) async fn stored(tx: &mut Tx) -> Result<Option<Affiliates>> {
    let text = tx.house(KEY).await?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| CommandError::Invalid(format!("affiliates: {e}")))
}

async fn read(tx: &mut Tx) -> Result<Affiliates> {
    Ok(stored(tx).await?.unwrap_or_default())
}

/// The rule that holds now.
pub async fn affiliates(store: &Store) -> Result<Affiliates> {
    read(&mut store.read().await?).await
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let Some(rule) = &c.affiliates else { return Ok(()) };
    rule.check().map_err(|why| CommandError::Invalid(format!("affiliates: {why}")))?;
    if read(tx).await? != *rule {
        let text = serde_json::to_string(rule).map_err(|e| CommandError::Invalid(e.to_string()))?;
        tx.set_house(KEY, &text).await?;
    }
    Ok(())
}
