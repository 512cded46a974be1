//! What an order is agreed to cost, from the catalogue, the account and a coupon.

use leasehold_domain::{
    Money, Percent,
    addon::AddonState,
    coupon::Coupon,
    lease::Cycle,
    price::{Line, LineKind, Price, price},
    terms::{Terms, with_margin},
};
use leasehold_store::{
    Tx,
    accounts::Account,
    addons::{Addon, ServerAddon},
    catalog::Product,
};

use crate::{CommandError, Result};

/// The coupon with this code, if it counts now for a plan, or for any that it is for.
pub(crate) async fn usable_coupon(tx: &mut Tx, account: &Account, code: &str, plan: Option<&str>) -> Result<Coupon> {
    let code = code.trim().to_ascii_uppercase();
    let (coupon, used) = (tx.coupon(&code).await?, tx.coupon_uses(&code, &account.id).await?);
    let plan = plan.or(coupon.products.first().map(String::as_str)).unwrap_or_default();
    coupon.check(plan, used, tx.now).map_err(|e| CommandError::Refused(e.to_string()))?;
    Ok(coupon)
}

/// What a partner gets off.
pub(crate) async fn margin(tx: &mut Tx, account: &Account) -> Result<Percent> {
    Ok(tx.partner(account).await?.map_or(Percent::ZERO, |p| p.percent))
}

/// What is bought by which account, and for how long at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basket<'a> {
    pub(crate) account: &'a Account,
    pub(crate) product: &'a Product,
    pub(crate) cycle: Cycle,
    /// What a partner gets off.
    pub(crate) margin: Percent,
}

impl<'a> Basket<'a> {
    /// What this account buys.
    pub(crate) async fn of(tx: &mut Tx, account: &'a Account, product: &'a Product, cycle: Cycle) -> Result<Self> {
        Ok(Self { account, product, cycle, margin: margin(tx, account).await? })
    }

    /// The price of the plan.
    pub(crate) async fn plan(&self, tx: &mut Tx) -> Result<Money> {
        let found = tx.price_of(&self.product.id, self.account.currency()?, self.cycle).await?;
        found.ok_or_else(|| {
            let (key, currency, cycle) = (&self.product.key, &self.account.currency, self.cycle);
            CommandError::Invalid(format!("product '{key}' has no price in {currency} for {cycle}"))
        })
    }

    /// One of the plan's add-ons by its id or key, as a server would have it.
    pub(crate) async fn addon(&self, tx: &mut Tx, id_or_key: &str) -> Result<ServerAddon> {
        let offered = tx.offered_addons(&self.product.id).await?;
        let Some(addon) = offered.iter().find(|a| a.id == id_or_key || a.key == id_or_key) else {
            let known: Vec<&str> = offered.iter().map(|a| a.key.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(CommandError::NotFound(format!("product '{}' has no add-on '{id_or_key}' (offered: {known})", self.product.key)));
        };
        self.priced(tx, addon).await?.ok_or_else(|| self.no_price(&addon.key))
    }

    /// An add-on that cannot be paid in the account's currency for its cycle.
    pub(crate) fn no_price(&self, addon: &str) -> CommandError {
        CommandError::Invalid(format!("add-on '{addon}' has no price in {} for {}", self.account.currency, self.cycle))
    }

    /// An add-on with its price for a period, if it has one, and what a partner gets off it; nothing is held yet.
    pub(crate) async fn priced(&self, tx: &mut Tx, addon: &Addon) -> Result<Option<ServerAddon>> {
        let Some(price) = tx.addon_price(&addon.id, self.account.currency()?, self.cycle).await? else { return Ok(None) };
        let line = Line { kind: LineKind::Addon, description: addon.name.clone(), amount: price };
        let lines = with_margin(line, None, self.margin, 1).map_err(|e| CommandError::Invalid(e.to_string()))?;
        Ok(Some(ServerAddon {
            id: tx.new_id(),
            server_id: String::new().into(),
            addon_id: addon.id.clone(),
            kind: addon.kind,
            name: addon.name.clone(),
            count: addon.count,
            keep_days: addon.keep_days,
            state: AddonState::Ordered,
            price: price.minor,
            margin: lines.get(1).map_or(0, |l| l.line.amount.minor),
            held: 0,
            held_margin: 0,
            held_tax: 0,
            held_tax_rate: self.account.tax_rate,
            currency: self.account.currency.clone(),
            from_at: None,
            until_at: None,
            asked_no: 0,
            error: None,
            created_at: tx.now,
        }))
    }

    /// The coupon with this code, if it counts for an order now.
    pub(crate) async fn coupon(&self, tx: &mut Tx, code: &str) -> Result<Coupon> {
        usable_coupon(tx, self.account, code, Some(&self.product.key)).await
    }

    /// The terms of an order of this plan, called `label`.
    pub(crate) async fn terms(&self, tx: &mut Tx, label: &str, addons: &[ServerAddon], coupon: Option<&Coupon>) -> Result<Terms> {
        let plan = Line { kind: LineKind::Plan, description: format!("{}, {label}", self.product.name), amount: self.plan(tx).await? };
        let addon = |a: &ServerAddon| Ok((a.id.clone(), Line { kind: LineKind::Addon, description: a.name.clone(), amount: a.money(a.price)? }));
        let addons = addons.iter().map(addon).collect::<Result<_>>()?;
        Terms::new(plan, addons, self.margin, coupon, self.account.tax_rate).map_err(|e| match (e, coupon) {
            (leasehold_domain::money::MoneyError::Mixed(..), Some(coupon)) => {
                CommandError::Invalid(format!("coupon '{}' is in another currency than the account, {}", coupon.code, self.account.currency))
            }
            (e, _) => CommandError::Invalid(e.to_string()),
        })
    }

    /// Lines with the account's tax.
    pub(crate) fn taxed(&self, lines: Vec<Line>) -> Result<Price> {
        price(lines, self.account.tax_rate).map_err(|e| CommandError::Invalid(e.to_string()))
    }
}
