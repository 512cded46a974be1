//! The partner programme of a catalogue.

use leasehold_domain::Money;
use leasehold_store::{Tx, partners::Tier};

use super::Catalog;
use crate::{CommandError, Result};

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let mut wanted = Vec::new();
    for e in &c.tier {
        let invalid = |why: String| CommandError::Invalid(format!("tier '{}': {why}", e.name));
        for (code, amount) in &e.from {
            let currency = code.parse().map_err(|error| invalid(format!("{error}")))?;
            let amount = Money::parse(amount, currency).map_err(|error| invalid(error.to_string()))?.minor;
            wanted.push(Tier { name: e.name.clone(), currency: code.clone(), amount, percent: e.percent });
        }
    }
    wanted.sort_by(|a, b| (&a.currency, a.amount, &a.name).cmp(&(&b.currency, b.amount, &b.name)));
    if tx.tiers().await? != wanted {
        tx.put_tiers(&wanted).await?;
    }
    Ok(())
}
