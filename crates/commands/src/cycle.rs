//! Another billing cycle for a lease, from its next period on.

use leasehold_domain::{
    Money, Timestamp,
    addon::AddonState,
    lease::{Cycle, LeaseLine, LeaseState},
    price::{Line, LineKind},
    terms::with_margin,
};
use leasehold_store::{Store, Tx, activity::Actor, servers::Server};

use crate::{CommandError, Result, commit, servers::locked, terms::Basket};

/// How much is paid at once from the next period on. Plan and add-ons cost what the catalogue says then; coupons end, and a partner
/// gets what its tier gives. Periods are counted from the end of what is paid.
pub async fn change(store: &Store, actor: &Actor, server: &str, cycle: Cycle) -> Result<(Server, Money)> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, server).await?;
    let price = switch(&mut tx, actor, &s, cycle).await?;
    let s = tx.server(&s.id).await?;
    commit(tx).await?;
    Ok((s, price))
}

/// As [`change`], of a server that is locked; what a period costs then.
pub async fn switch(tx: &mut Tx, actor: &Actor, s: &Server, cycle: Cycle) -> Result<Money> {
    tx.settle_account(&s.account_id).await?;
    let lease = tx.lease_of(&s.id).await?.filter(|l| l.state == LeaseState::Active && l.paid_until.is_some_and(|at| at > tx.now));
    let lease = lease.ok_or_else(|| CommandError::Refused(format!("the cycle of {} cannot change: its lease is not paid", s.label)))?;
    let (account, product) = (tx.account(&s.account_id).await?, tx.product(&s.product_id).await?);
    let (basket, from) = (Basket::of(tx, &account, &product, cycle).await?, lease.period_no + 1);
    let description = format!("{}, {}", product.name, s.label);
    let broken = |e: leasehold_domain::money::MoneyError| CommandError::Invalid(e.to_string());
    let plan = Line { kind: LineKind::Plan, description, amount: basket.plan(tx).await? };
    let mut lines = with_margin(plan, None, basket.margin, from).map_err(broken)?;
    let mut prices = Vec::new();
    let addons = tx.addons().await?;
    for a in tx.live_addons(&s.id).await? {
        if a.state == AddonState::Held {
            return Err(CommandError::Refused(format!("the add-on '{}' of {} is being attached; try again when it is there", a.name, s.label)));
        }
        let sold = addons.iter().find(|x| x.id == a.addon_id).filter(|_| a.state == AddonState::Active);
        let Some(sold) = sold else { continue };
        let new = basket.priced(tx, sold).await?.ok_or_else(|| basket.no_price(&sold.key))?;
        let line = |line| LeaseLine { line, from_period: from, until_period: None, addon: Some(a.id.clone()) };
        lines.extend(new.lines(true)?.into_iter().map(line));
        prices.push((a.id, new.price, new.margin));
    }
    let price = basket.taxed(lines.iter().map(|l| l.line.clone()).collect())?.total;
    tx.books(&s.account_id).await?.change_cycle(&lease, cycle, &lines, &prices).await?;
    let detail = format!("{cycle} for {price} from {}", lease.paid_until.map_or_else(String::new, Timestamp::human));
    tx.log(actor, "server.cycle", Some(&s.account_id), Some(&s.id), &detail).await?;
    Ok(price)
}
