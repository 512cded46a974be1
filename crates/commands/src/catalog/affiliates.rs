//! What is offered to those who bring customers.

use leasehold_domain::affiliate::Affiliates;
use leasehold_store::{Store, Tx};

use super::{Catalog, Change};
use crate::{CommandError, Result};

const KEY: &str = "affiliates";

async fn read(tx: &mut Tx) -> Result<Affiliates> {
    let text = tx.house(KEY).await?;
    text.map_or_else(|| Ok(Affiliates::default()), |text| serde_json::from_str(&text)).map_err(|e| CommandError::Invalid(format!("affiliates: {e}")))
}

/// The rule that holds now.
pub async fn affiliates(store: &Store) -> Result<Affiliates> {
    read(&mut store.read().await?).await
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
    let Some(rule) = &c.affiliates else { return Ok(()) };
    rule.check().map_err(|why| CommandError::Invalid(format!("affiliates: {why}")))?;
    if read(tx).await? != *rule {
        changes.push(Change::Changed("affiliates".into()));
        let text = serde_json::to_string(rule).map_err(|e| CommandError::Invalid(e.to_string()))?;
        tx.set_house(KEY, &text).await?;
    }
    Ok(())
}
