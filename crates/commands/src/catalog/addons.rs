//! Add-ons of a catalogue, and their prices.

use leasehold_domain::{ProductId, UnknownName, addon::AddonKind};
use leasehold_store::{
    Tx,
    addons::{Addon, AddonPrice},
};

use super::{
    Catalog, differs,
    entries::AddonEntry,
    products::{product_id, read_prices, short_id},
};
use crate::{CommandError, Result};

/// Addresses, blocks or days of one add-on at most.
const MOST: i64 = 1000;

fn row(e: &AddonEntry) -> Result<Addon> {
    let invalid = |why: String| CommandError::Invalid(format!("add-on '{}': {why}", e.key));
    let kind: AddonKind = e.kind.parse().map_err(|error: UnknownName| invalid(error.to_string()))?;
    if !(1..=MOST).contains(&e.count) || !(1..=MOST).contains(&e.keep_days) {
        return Err(invalid(format!("count and keep_days are 1 to {MOST}")));
    }
    Ok(Addon { id: short_id(&e.key), key: e.key.clone(), name: e.name.clone(), kind, count: e.count, keep_days: e.keep_days, hidden: false })
}

/// The plans that an add-on is offered with; none: all.
fn plans(c: &Catalog, e: &AddonEntry) -> Result<Vec<ProductId>> {
    let known = |key: &String| c.product.iter().any(|p| p.key == *key);
    if e.products.as_ref().is_some_and(Vec::is_empty) {
        return Err(CommandError::Invalid(format!("add-on '{}' names no product; leave products out to offer it with all of them", e.key)));
    }
    let mut plans = Vec::new();
    for key in e.products.iter().flatten() {
        if !known(key) {
            return Err(CommandError::Invalid(format!("add-on '{}' names the product '{key}', which the file does not have", e.key)));
        }
        plans.push(product_id(key));
    }
    plans.sort();
    Ok(plans)
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let (before, all_prices, all_plans) = (tx.addons().await?, tx.addon_prices().await?, tx.addon_products().await?);
    for e in &c.addon {
        let row = row(e)?;
        let price = |(currency, cycle, amount)| AddonPrice { addon_id: row.id.clone(), currency, cycle, amount };
        let mut prices: Vec<AddonPrice> = read_prices(&format!("add-on '{}'", e.key), &e.prices)?.into_iter().map(price).collect();
        prices.sort_by_key(|p| (p.currency.clone(), p.cycle.as_str()));
        let plans = plans(c, e)?;
        let had = |id: &str| {
            let prices: Vec<AddonPrice> = all_prices.iter().filter(|p| p.addon_id == id).cloned().collect();
            let plans: Vec<ProductId> = all_plans.iter().filter(|(a, _)| a == id).map(|(_, p)| p.as_str().into()).collect();
            (prices, plans)
        };
        let old = before.iter().find(|b| b.id == row.id).map(|b| (b.clone(), had(&b.id)));
        if differs(old.as_ref(), &(row.clone(), (prices.clone(), plans.clone()))) {
            tx.put_addon(&row, &prices, &plans).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.addon.iter().any(|e| e.key == b.key)) {
        tx.put_addon(&Addon { hidden: true, ..gone }, &[], &[]).await?;
    }
    Ok(())
}
