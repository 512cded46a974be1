//! Leases that pay other prices than the catalogue has: what was agreed before a price changed, or what a mistake sold.

use leasehold_domain::{Money, lease::Cycle};
use leasehold_store::{Store, Tx, activity::Actor};

use crate::{CommandError, Result, commit};

/// Has every lease pay what the catalogue says from its next period on; a line for each price that somebody paid otherwise. Of one product or add-on
/// (by key), or of all.
pub async fn reprice(store: &Store, actor: &Actor, only: Option<&str>, dry_run: bool) -> Result<Vec<String>> {
    let mut tx = store.begin().await?;
    if let Some(key) = only {
        let known = tx.products().await?.iter().any(|p| p.key == key) || tx.addons().await?.iter().any(|a| a.key == key);
        if !known {
            return Err(CommandError::NotFound(format!("no product or add-on '{key}'")));
        }
    }
    let lines = leases(&mut tx, only).await?;
    if !dry_run && !lines.is_empty() {
        for line in &lines {
            tx.log(actor, "catalog.reprice", None, None, line).await?;
        }
        commit(tx).await?;
    }
    Ok(lines)
}

pub(super) async fn leases(tx: &mut Tx, only: Option<&str>) -> Result<Vec<String>> {
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
    repriced.retain(|(_, leases, ..)| *leases > 0);
    let line = |(what, leases, currency, minor, cycle): (String, u64, String, i64, Cycle)| {
        let price = Money::new(minor, currency.parse().map_err(|e| CommandError::Invalid(format!("{e}")))?);
        Ok(format!("~ {what}: {leases} lease(s) pay {price} every {cycle} from their next period on"))
    };
    repriced.into_iter().map(line).collect()
}
