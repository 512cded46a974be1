//! The shop window of an account: plans and add-ons at its prices.

use leasehold_domain::{
    AccountId, Money,
    coupon::Coupon,
    lease::Cycle,
    price::{Line, LineKind},
    terms::{Terms, with_margin},
};
use leasehold_store::{Store, Tx, accounts::Account, addons::Addon, catalog::Product};

use crate::{
    CommandError, Result,
    terms::{Basket, margin, usable_coupon},
};

/// A plan as an account can buy it, by the month.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The plan.
    pub product: Product,
    /// A month of it, a partner's margin off and tax included.
    pub price: Money,
    /// Where, by slug.
    pub regions: Vec<String>,
    /// What goes with it, and a month of that.
    pub addons: Vec<(Addon, Money)>,
}

/// Every plan that has a price in the account's currency.
pub async fn offers(store: &Store, account: &AccountId) -> Result<Vec<Offer>> {
    let mut tx = store.read().await?;
    let account = tx.account(account).await?;
    // Counted once: it sums up what the account bought.
    let margin = margin(&mut tx, &account).await?;
    let mut offers = Vec::new();
    for product in tx.products().await?.into_iter().filter(|p| !p.hidden) {
        offers.extend(offer(&mut tx, &account, margin, product).await?);
    }
    Ok(offers)
}

async fn offer(tx: &mut Tx, account: &Account, margin: leasehold_domain::Percent, product: Product) -> Result<Option<Offer>> {
    let regions = tx.regions_of(&product.id).await?.into_iter().map(|r| r.id.0).collect();
    let Some(amount) = tx.price_of(&product.id, account.currency()?, Cycle::Month).await? else { return Ok(None) };
    let basket = Basket { account, product: &product, cycle: Cycle::Month, margin };
    let plan = Line { kind: LineKind::Plan, description: product.name.clone(), amount };
    let lines = with_margin(plan, None, basket.margin, 1).map_err(|e| CommandError::Invalid(e.to_string()))?;
    let price = basket.taxed(lines.into_iter().map(|l| l.line).collect())?.total;
    let mut addons = Vec::new();
    for addon in tx.offered_addons(&product.id).await? {
        if let Some(priced) = basket.priced(tx, &addon).await? {
            addons.push((addon, basket.taxed(priced.lines(true)?)?.total));
        }
    }
    Ok(Some(Offer { product, price, regions, addons }))
}

/// A coupon that an account could use now, and what it takes off the first month of a plan, tax included, if one is named.
pub async fn coupon(store: &Store, account: &AccountId, code: &str, product: Option<&str>) -> Result<(Coupon, Option<Money>)> {
    let mut tx = store.read().await?;
    let account = tx.account(account).await?;
    let Some(product) = product else { return Ok((usable_coupon(&mut tx, &account, code, None).await?, None)) };
    let product = tx.offered_product(product).await?;
    let basket = Basket::of(&mut tx, &account, &product, Cycle::Month).await?;
    let coupon = basket.coupon(&mut tx, code).await?;
    let total = |terms: Terms| terms.price.total;
    let (with, without) = (total(basket.terms(&mut tx, "", &[], Some(&coupon)).await?), total(basket.terms(&mut tx, "", &[], None).await?));
    let off = without.minus(with).map_err(|e| CommandError::Invalid(e.to_string()))?;
    Ok((coupon, Some(off)))
}
