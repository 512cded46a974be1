//! Add-ons of a server that runs: quoted, held, attached by a worker, ended with a period.

use leasehold_domain::{
    ServerId, Timestamp,
    addon::{AddonKind, AddonState, prorated},
    lease::{Lease, LeaseState},
};
use leasehold_store::{Store, Tx, When, activity::Actor, addons::ServerAddon, servers::Server};
use serde::Serialize;

use crate::{
    CommandError, Result, commit,
    once::{Begun, Once, begin},
    servers::{locked, must_be_delivered},
    terms::Basket,
};

/// An add-on as the owner of a server sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The add-on's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: AddonKind,
    /// What it costs a period, tax included, as a decimal.
    pub price: String,
    /// What it would cost from now to the end of what is paid; none where it cannot be bought now.
    pub price_now: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// Where it stands at this server, if one of its kind is there.
    pub state: Option<AddonState>,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
}

/// What an add-on costs from now to the end of what is paid, written into it.
fn quote(tx: &Tx, basket: &Basket<'_>, lease: &Lease, a: &mut ServerAddon) -> Result<leasehold_domain::price::Price> {
    let (now, until) = (tx.now, lease.paid_until.filter(|at| *at > tx.now));
    let (LeaseState::Active, Some(until)) = (lease.state, until) else {
        return Err(CommandError::Refused("nothing is added while the server is not paid; top up first".into()));
    };
    let period = lease.period().map_err(|e| CommandError::Invalid(e.to_string()))?.unwrap_or_default();
    let part = |minor| prorated(a.money(minor)?, period, until.since(now)).map_err(leasehold_store::StoreError::from);
    (a.held, a.held_margin) = (part(a.price)?.minor, -part(-a.margin)?.minor);
    (a.from_at, a.until_at) = (Some(When(now)), Some(When(until)));
    let price = basket.taxed(a.lines(false)?)?;
    (a.held_tax, a.held_tax_rate) = (price.tax.minor, price.tax_rate);
    Ok(price)
}

async fn lease_of(tx: &mut Tx, s: &Server) -> Result<Lease> {
    tx.lease_of(&s.id).await?.ok_or_else(|| CommandError::NotFound(format!("server {} has no lease", s.label)))
}

/// What can be added to a server, at what price, and what it has.
pub async fn offers(store: &Store, server: &str) -> Result<Vec<Offer>> {
    let mut tx = store.read().await?;
    let s = tx.find_server(server).await?;
    offers_of(&mut tx, &s).await
}

/// As [`offers`], in a transaction that is open.
pub async fn offers_of(tx: &mut Tx, s: &Server) -> Result<Vec<Offer>> {
    let (lease, account, product) = (lease_of(tx, s).await?, tx.account(&s.account_id).await?, tx.product(&s.product_id).await?);
    let basket = Basket::of(tx, &account, &product, lease.cycle).await?;
    let live = tx.live_addons(&s.id).await?;
    let mut offers = Vec::new();
    for addon in tx.offered_addons(&product.id).await? {
        let has = live.iter().find(|l| l.kind == addon.kind);
        let Some(mut a) = basket.priced(tx, &addon).await? else { continue };
        let price = basket.taxed(a.lines(true)?)?.total;
        let now = if has.is_none() { quote(tx, &basket, &lease, &mut a).ok() } else { None };
        let mine = has.filter(|l| l.addon_id == addon.id);
        offers.push(Offer {
            id: addon.id,
            name: addon.name,
            kind: addon.kind,
            price: price.decimal(),
            price_now: now.map(|p| p.total.decimal()),
            currency: account.currency.clone(),
            state: mine.map(|l| l.state),
            until: mine.filter(|l| l.state == AddonState::Ending).and_then(|l| l.until_at).map(|at| at.0),
        });
    }
    Ok(offers)
}

/// Adds something to a server: its price to the end of what is paid is set aside now, and paid when a worker has attached it.
/// The same key with the same request is the same request.
pub async fn attach(store: &Store, actor: &Actor, server: &str, addon: &str, key: Option<&str>) -> Result<ServerAddon> {
    let s = store.read().await?.find_server(server).await?;
    let once = key.map(|key| Once::new(key, format!("addon {addon} for {}", s.id))).transpose()?;
    let mut open = match begin(store, s.account_id.as_str(), once).await? {
        Begun::Before(id) => return Ok(store.read().await?.server_addon(&id).await?),
        Begun::Now(open) => open,
    };
    let a = add(&mut open.tx, actor, &s.id, addon).await?;
    open.end(&a.id).await?;
    Ok(a)
}

/// As [`attach`], for an account whose lock is held.
pub async fn add(tx: &mut Tx, actor: &Actor, server: &ServerId, addon: &str) -> Result<ServerAddon> {
    let s = tx.lock_server(server).await?;
    must_be_delivered(&s, "given an add-on")?;
    // What is due is paid first: the quote is for what is left of the period that runs.
    tx.settle_account(&s.account_id).await?;
    let (lease, account, product) = (lease_of(tx, &s).await?, tx.account(&s.account_id).await?, tx.product(&s.product_id).await?);
    account.may_buy().map_err(CommandError::Frozen)?;
    let basket = Basket::of(tx, &account, &product, lease.cycle).await?;
    let mut a = ServerAddon { server_id: s.id.clone(), state: AddonState::Held, ..basket.addon(tx, addon).await? };
    if let Some(other) = tx.live_addons(&s.id).await?.into_iter().find(|l| l.kind == a.kind) {
        let ends = if other.state == AddonState::Ending { "; it ends with the period" } else { "" };
        return Err(CommandError::Exists(format!("server {} has an add-on of the kind {} already: {}{ends}", s.label, a.kind, other.name)));
    }
    let price = quote(tx, &basket, &lease, &mut a)?;
    if a.kind.has_addresses() {
        a.asked_no = tx.ask_addresses(&s.id).await?;
    }
    tx.insert_addon(&a).await?;
    if !tx.take_addon_addresses(&s, &a).await? {
        return Err(CommandError::Refused(format!("region '{}' has no room for the add-on '{}' just now", s.region_id, a.name)));
    }
    let now = tx.now;
    let mut books = tx.books(&s.account_id).await?;
    books.hold_addon(&a).await?;
    if !a.kind.has_addresses() {
        // No machine has to be asked.
        books.attach_addon(&a, now).await?;
    }
    tx.log(actor, "addon.attach", Some(&s.account_id), Some(&s.id), &format!("{} for {}", a.name, price.total)).await?;
    Ok(tx.server_addon(&a.id).await?)
}

/// An add-on ends with what is paid; the next period is not charged for it. Asking twice is asking once.
pub async fn detach(store: &Store, actor: &Actor, server: &str, addon: &str) -> Result<ServerAddon> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, server).await?;
    let keys = tx.addons().await?;
    let is = |a: &ServerAddon| a.id == addon || a.addon_id == addon || a.kind.as_str() == addon || keys.iter().any(|k| k.id == a.addon_id && k.key == addon);
    let found = tx.live_addons(&s.id).await?.into_iter().find(is);
    let a = found.ok_or_else(|| CommandError::NotFound(format!("server {} has no add-on '{addon}'", s.label)))?;
    match a.state {
        AddonState::Active => {
            tx.settle_account(&s.account_id).await?;
            let until = tx.books(&s.account_id).await?.cancel_addon(&a).await?;
            tx.log(actor, "addon.cancel", Some(&s.account_id), Some(&s.id), &format!("{} until {}", a.name, until.human())).await?;
            let a = tx.server_addon(&a.id).await?;
            commit(tx).await?;
            Ok(a)
        }
        AddonState::Ending => Ok(a),
        other => Err(CommandError::Refused(format!("the add-on '{}' of {} cannot be ended: it is {other}; wait until it is attached", a.name, s.label))),
    }
}
