//! Leases that pay other prices than the catalogue has: what was agreed before a price changed, or what a mistake sold.

use leasehold_domain::Money;
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
    let shown = |currency: &str, minor: i64| currency.parse().map_or_else(|_| minor.to_string(), |c| Money::new(minor, c).to_string());
    let mut lines = Vec::new();
    for price in tx.prices().await? {
        let Some(p) = products.iter().find(|p| p.id.as_str() == price.product_id && !p.hidden && wanted(&p.key)) else { continue };
        let leases = tx.reprice_plan(&price).await?;
        if leases > 0 {
            lines.push(format!(
                "~ product {}: {leases} lease(s) pay {} every {} from their next period on",
                p.key,
                shown(&price.currency, price.amount),
                price.cycle
            ));
        }
    }
    for price in tx.addon_prices().await? {
        let Some(a) = addons.iter().find(|a| a.id == price.addon_id && !a.hidden && wanted(&a.key)) else { continue };
        let leases = tx.reprice_addon(&price).await?;
        if leases > 0 {
            lines.push(format!(
                "~ add-on {}: {leases} lease(s) pay {} every {} from their next period on",
                a.key,
                shown(&price.currency, price.amount),
                price.cycle
            ));
        }
    }
    Ok(lines)
}
