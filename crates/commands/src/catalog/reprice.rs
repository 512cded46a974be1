//! Leases that pay other prices than the catalogue has: what was agreed before a price changed, or what a mistake sold.

use leasehold_domain::{Currency, Money};
use leasehold_store::{Store, Tx, activity::Actor};

use super::{
    Consent,
    diff::{Change, moved},
    lock,
};
use crate::{CommandError, Result, commit};

/// Has every lease pay what the catalogue says from its next period on; a line for each price that somebody paid otherwise. Of one product or add-on
/// (by key), or of all. What is written must be what was seen.
pub async fn reprice(store: &Store, actor: &Actor, only: Option<&str>, how: &Consent) -> Result<Vec<String>> {
    let mut tx = store.begin().await?;
    lock(&mut tx).await?;
    if let Some(key) = only {
        let known = tx.products().await?.iter().any(|p| p.key == key) || tx.addons().await?.iter().any(|a| a.key == key);
        if !known {
            return Err(CommandError::NotFound(format!("no product or add-on '{key}'")));
        }
    }
    let lines: Vec<String> = leases(&mut tx, only).await?.iter().map(Change::to_string).collect();
    if *how == Consent::Look || lines.is_empty() {
        return Ok(lines);
    }
    how.covers(&lines, &lines)?;
    for line in &lines {
        tx.log(actor, "catalog.reprice", None, None, line).await?;
    }
    commit(tx).await?;
    Ok(lines)
}

/// What leases pay, and what they paid before.
pub(super) async fn leases(tx: &mut Tx, only: Option<&str>) -> Result<Vec<Change>> {
    let (products, addons) = (tx.products().await?, tx.addons().await?);
    let wanted = |key: &str| only.is_none_or(|only| only == key);
    let mut repriced = Vec::new();
    for price in tx.prices().await? {
        if let Some(p) = products.iter().find(|p| p.id.as_str() == price.product_id && !p.hidden && wanted(&p.key)) {
            repriced.push((format!("product {}", p.key), tx.reprice_plan(&price).await?, price.currency, price.amount, price.cycle));
        }
    }
    for price in tx.addon_prices().await? {
        if let Some(a) = addons.iter().find(|a| a.id == price.addon_id && !a.hidden && wanted(&a.key)) {
            repriced.push((format!("add-on {}", a.key), tx.reprice_addon(&price).await?, price.currency, price.amount, price.cycle));
        }
    }
    let mut changes = Vec::new();
    for (what, paid, currency, minor, cycle) in repriced {
        let currency: Currency = currency.parse().map_err(|e| CommandError::Invalid(format!("{e}")))?;
        let decimal = |minor| Money::new(minor, currency).decimal();
        for (before, leases) in paid {
            let (moved, grave) = moved(&decimal(before), &decimal(minor));
            let how = format!("{leases} lease(s) pay {currency} {moved} every {cycle} from their next period on");
            changes.push(Change::Changed { what: what.clone(), how, grave });
        }
    }
    Ok(changes)
}
