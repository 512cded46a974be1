//! The order: everything that it is, in one transaction under the account's lock.

use leasehold_domain::{Money, RegionId, ServerId, coupon::CouponRefused, lease::Cycle, names, notice::NoticeKind, placement::Size};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    addons::ServerAddon,
    catalog::{Product, Template},
    servers::{NewServer, Server},
};
use serde::Serialize;

use crate::{CommandError, Result, commit, replayed, terms::Basket};

/// What is ordered.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// Who pays: id or number.
    pub account: String,
    /// The plan: id or key.
    pub product: String,
    /// The system.
    pub template: String,
    /// Where; may be left out where the plan is offered in one region only.
    pub region: Option<String>,
    /// The customer's name for it; generated when absent.
    pub label: Option<String>,
    /// Its own name; generated when absent.
    pub hostname: Option<String>,
    /// How much is paid at once.
    pub cycle: Cycle,
    /// Add-ons, by id or key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<String>,
    /// A coupon's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// The same key with the same order is the same order.
    #[serde(skip)]
    pub key: Option<String>,
}

impl Order {
    /// A plan with a system on it, by the month, and nothing else.
    pub fn new(account: &str, product: &str, template: &str) -> Self {
        Self {
            account: account.to_owned(),
            product: product.to_owned(),
            template: template.to_owned(),
            region: None,
            label: None,
            hostname: None,
            cycle: Cycle::Month,
            addons: vec![],
            coupon: None,
            key: None,
        }
    }
}

/// Longest idempotency key.
const KEY_MAX: usize = 255;

/// Takes an order: redeems nothing twice, holds the price, writes server, lease and confirmation, or changes nothing.
pub async fn order(store: &Store, actor: &Actor, order: &Order) -> Result<Server> {
    check_names(order)?;
    let request = serde_json::to_string(order).map_err(|e| CommandError::Invalid(e.to_string()))?;
    let mut tx = store.begin().await?;
    let account = tx.find_account(&order.account).await?;
    // The account's lock comes first: two orders with one key, or for the last coin, come one after the other.
    tx.books(&account.id).await?;
    let account = tx.account(&account.id).await?;
    if let Some(before) = replayed(&mut tx, &account.id, order.key.as_deref(), &request).await? {
        return Ok(tx.server(&before.into()).await?);
    }
    account.may_buy().map_err(CommandError::Refused)?;
    let product = tx.offered_product(&order.product).await?;
    let template = offered_template(&mut tx, &order.template, &product).await?;
    let region = offered_region(&mut tx, order.region.as_deref(), &product).await?;
    check_room(&mut tx, &region, &product).await?;
    let basket = Basket::of(&mut tx, &account, &product, order.cycle).await?;
    let (server, price) = write(&mut tx, order, &basket, &template, &region).await?;
    if let Some(key) = &order.key {
        tx.remember_answer(&account.id, key, &request, server.as_str()).await?;
    }
    tx.log(actor, "server.order", Some(&account.id), Some(&server), &format!("{} {} in {region} for {price}", product.key, template.id)).await?;
    commit(tx).await?;
    Ok(store.read().await?.server(&server).await?)
}

fn check_names(order: &Order) -> Result<()> {
    order.label.as_deref().map_or(Ok(()), names::label)?;
    order.hostname.as_deref().map_or(Ok(()), names::hostname)?;
    match &order.key {
        Some(key) if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(CommandError::Invalid(format!("an idempotency key is 1 to {KEY_MAX} visible ASCII characters")))
        }
        _ => Ok(()),
    }
}

async fn offered_template(tx: &mut Tx, text: &str, product: &Product) -> Result<Template> {
    let template = tx.offered_template(text).await?;
    if template.min_disk_gb > product.disk_gb {
        return Err(CommandError::Invalid(format!(
            "template '{}' needs {} GB of disk, product '{}' has {} GB",
            template.id, template.min_disk_gb, product.key, product.disk_gb
        )));
    }
    Ok(template)
}

async fn offered_region(tx: &mut Tx, wanted: Option<&str>, product: &Product) -> Result<RegionId> {
    let offered = tx.regions_of(&product.id).await?;
    let list = || offered.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(", ");
    let found = match wanted {
        Some(slug) => offered.iter().find(|r| r.id.as_str() == slug),
        None if offered.len() == 1 => offered.first(),
        None => return Err(CommandError::Invalid(format!("product '{}' is offered in several regions, choose one: {}", product.key, list()))),
    };
    found.map(|r| r.id.clone()).ok_or_else(|| {
        CommandError::Invalid(format!("region '{}' does not offer product '{}' (offered in: {})", wanted.unwrap_or_default(), product.key, list()))
    })
}

async fn check_room(tx: &mut Tx, region: &RegionId, p: &Product) -> Result<()> {
    if !tx.has_room(region, Size { vcpu: p.vcpu, ram_mb: p.ram_mb, disk_gb: p.disk_gb }).await? {
        return Err(CommandError::Refused(format!("region '{region}' has no room for product '{}' just now", p.key)));
    }
    for family in [4, 6] {
        if tx.free_addresses(region, family).await? == Some(0) {
            return Err(CommandError::Refused(format!("region '{region}' has no free IPv{family} address just now")));
        }
    }
    Ok(())
}

const SLUG: &str = "abcdefghjkmnpqrstuvwxyz23456789";

async fn write(tx: &mut Tx, order: &Order, basket: &Basket<'_>, template: &Template, region: &RegionId) -> Result<(ServerId, Money)> {
    let (account, product) = (basket.account, basket.product);
    let id = ServerId(tx.new_id());
    let generated = format!("{}-{}", product.key, tx.dice().text(SLUG, 6));
    let label = order.label.clone().unwrap_or_else(|| generated.clone());
    // A label that can be a hostname is one.
    let hostname = order.hostname.clone().unwrap_or_else(|| if names::hostname(&label).is_ok() { label.to_lowercase() } else { generated });
    let addons = addons(tx, order, basket, &id, region).await?;
    let coupon = match &order.coupon {
        Some(code) => Some(basket.coupon(tx, code).await?),
        None => None,
    };
    let terms = basket.terms(tx, &label, &addons, coupon.as_ref()).await?;
    let zone = tx.policies([account.id.as_str()].into_iter()).await?.of(&product.id.0, account.id.as_str(), "")?.zone.clone();
    tx.books(&account.id).await?.open_lease(&id, order.cycle, &terms, &zone).await?;
    if let Some(coupon) = &coupon
        && !tx.redeem(&coupon.code, &account.id, &id).await?
    {
        return Err(CommandError::Refused(CouponRefused::UsedUp(coupon.code.clone()).to_string()));
    }
    let new = NewServer { id: &id, account: &account.id, product, region, template: &template.id, label: &label, hostname: &hostname };
    tx.insert_server(new).await?;
    for addon in &addons {
        tx.insert_addon(addon).await?;
    }
    if addons.iter().any(|a| a.kind.has_addresses()) {
        // Given to the guest once it runs, and taken from it when the add-on ends.
        tx.ask_addresses(&id).await?;
    }
    let server = tx.server(&id).await?;
    tx.tell(&server, NoticeKind::OrderConfirmation, id.as_str(), None).await?;
    Ok((id, terms.price.total))
}

/// The add-ons of an order, one of a kind; their addresses are taken when the server is placed.
async fn addons(tx: &mut Tx, order: &Order, basket: &Basket<'_>, server: &ServerId, region: &RegionId) -> Result<Vec<ServerAddon>> {
    let mut addons: Vec<ServerAddon> = Vec::new();
    for wanted in &order.addons {
        let addon = ServerAddon { server_id: server.clone(), ..basket.addon(tx, wanted).await? };
        if let Some(other) = addons.iter().find(|a| a.kind == addon.kind) {
            return Err(CommandError::Invalid(format!("'{}' and '{}' are both of the kind {}; a server has one of each", other.name, addon.name, addon.kind)));
        }
        if addon.kind.has_addresses() && tx.free_for_addons(region, addon.kind).await? < addon.count {
            return Err(CommandError::Refused(format!("region '{region}' has no room for the add-on '{}' just now", addon.name)));
        }
        addons.push(addon);
    }
    Ok(addons)
}
