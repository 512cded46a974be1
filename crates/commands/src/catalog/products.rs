//! Plans of a catalogue, and their prices.

use leasehold_domain::{Money, ProductId, lease::Cycle};
use leasehold_store::{
    Tx,
    catalog::{Price, Product},
};

use super::{
    Catalog, differs,
    entries::{Prices, ProductEntry},
};
use crate::{CommandError, Result};

/// The namespace of product ids: a product keeps its id over imports.
const PRODUCTS: uuid::Uuid = uuid::Uuid::from_u128(0x6c65_6173_6568_6f6c_6420_7072_6f64_7563);

/// A product's id, the same at every import.
pub(super) fn product_id(key: &str) -> ProductId {
    uuid::Uuid::new_v5(&PRODUCTS, key.as_bytes()).into()
}

/// A short code made of a key, the same at every import, as add-ons have.
pub(super) fn short_id(key: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let hash = uuid::Uuid::new_v5(&PRODUCTS, format!("addon {key}").as_bytes());
    hash.as_bytes()[..8].iter().map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect()
}

pub(super) fn product_row(e: &ProductEntry) -> Product {
    let id = product_id(&e.key);
    Product { id, key: e.key.clone(), name: e.name.clone(), vcpu: e.vcpu, ram_mb: e.ram_mb, disk_gb: e.disk_gb, bandwidth_gb: e.bandwidth_gb, hidden: false }
}

/// Currency, cycle and minor units of every price; `what` is named where one is wrong.
pub(super) fn read_prices(what: &str, prices: &Prices) -> Result<Vec<(String, Cycle, i64)>> {
    let invalid = |why: String| CommandError::Invalid(format!("{what}: {why}"));
    let mut rows = Vec::new();
    for (code, cycles) in prices {
        let currency = code.parse().map_err(|error| invalid(format!("{error}")))?;
        for (cycle, amount) in cycles {
            let cycle: Cycle = cycle.parse().map_err(|error| invalid(format!("{error}")))?;
            let amount = Money::parse(amount, currency).map_err(|error| invalid(format!("price {code} {cycle}: {error}")))?;
            rows.push((code.clone(), cycle, amount.minor));
        }
    }
    Ok(rows)
}

fn price_rows(e: &ProductEntry, product: &ProductId) -> Result<Vec<Price>> {
    let price = |(currency, cycle, amount)| Price { product_id: product.to_string(), currency, cycle, amount };
    let mut rows: Vec<Price> = read_prices(&format!("product '{}'", e.key), &e.prices)?.into_iter().map(price).collect();
    rows.sort_by_key(|p| (p.currency.clone(), p.cycle.as_str()));
    Ok(rows)
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let (before, prices, offers) = (tx.products().await?, tx.prices().await?, tx.product_regions().await?);
    for e in &c.product {
        let row = product_row(e);
        let offer = |product: &ProductId| {
            let mut prices: Vec<Price> = prices.iter().filter(|p| p.product_id == product.as_str()).cloned().collect();
            prices.sort_by_key(|p| (p.currency.clone(), p.cycle.as_str()));
            let regions: Vec<String> = offers.iter().filter(|(id, _)| id == product.as_str()).map(|(_, r)| r.clone()).collect();
            (prices, regions)
        };
        let mut regions = e.regions.clone();
        regions.sort();
        let now = (row.clone(), (price_rows(e, &row.id)?, regions));
        let old = before.iter().find(|b| b.id == row.id).map(|b| (b.clone(), offer(&b.id)));
        if differs(old.as_ref(), &now) {
            tx.put_product(&row).await?;
            let regions: Vec<_> = now.1.1.iter().map(|r| r.as_str().into()).collect();
            tx.put_offer(&row.id, &now.1.0, &regions).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.product.iter().any(|e| e.key == b.key)) {
        tx.put_product(&Product { hidden: true, ..gone }).await?;
    }
    Ok(())
}
