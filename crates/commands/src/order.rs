//! The order: everything that it is, in one transaction under the account's lock.

use std::time::Duration;

use leasehold_domain::{
    RegionId, ServerId, Timestamp,
    coupon::CouponRefused,
    event::EventKind,
    lease::Cycle,
    names,
    notice::NoticeKind,
    period::Anchor,
    placement::Size,
    policy::{Policy, Review},
    price::Price,
    server::{HoldKind, Means},
};
use leasehold_store::{
    Store, Tx,
    accounts::Account,
    activity::Actor,
    addons::ServerAddon,
    catalog::{Product, Template},
    sealed::Place,
    servers::{HoldTerms, NewServer, Server},
};
use serde::Serialize;

use crate::{
    CommandError, Result, SLUG,
    once::{Begun, Once, begin},
    terms::Basket,
    user_data::UserData,
};

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
    /// The SSH keys that it is built with, by id or number; all of the account's where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// What is to be done at the first boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<UserData>,
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
            ssh_keys: vec![],
            user_data: None,
            key: None,
        }
    }
}

/// An order that was taken.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// The server, waiting for a worker.
    pub server: Server,
    /// What was set aside for the first period.
    pub price: Price,
    /// When the next period begins, if the server ran from now on.
    pub next_renewal_at: Timestamp,
}

/// Takes an order of an operator or a program on this machine.
pub async fn order(store: &Store, actor: &Actor, order: &Order) -> Result<Server> {
    let request = serde_json::to_string(order).map_err(|e| CommandError::Invalid(e.to_string()))?;
    let once = order.key.as_ref().map(|key| Once::new(key, request)).transpose()?;
    let mut open = match begin(store, &order.account, once).await? {
        Begun::Before(server) => return Ok(store.read().await?.server(&server.into()).await?),
        Begun::Now(open) => open,
    };
    let server = place(&mut open.tx, &open.account, actor, order).await?.server;
    open.end(server.id.as_str()).await?;
    Ok(server)
}

/// Takes an order of an account whose lock is held: redeems nothing twice, holds the price, writes server, lease and confirmation.
pub async fn place(tx: &mut Tx, account: &Account, actor: &Actor, order: &Order) -> Result<Ordered> {
    order.label.as_deref().map_or(Ok(()), names::label)?;
    order.hostname.as_deref().map_or(Ok(()), names::hostname)?;
    account.may_buy().map_err(CommandError::Frozen)?;
    let product = tx.offered_product(&order.product).await?;
    let policy = tx.policies([account.id.as_str()].into_iter()).await?.of(&product.id.0, account.id.as_str(), "")?;
    check_velocity(tx, account, &policy).await?;
    let template = offered_template(tx, &order.template, &format!("product '{}'", product.key), product.disk_gb).await?;
    let region = offered_region(tx, order.region.as_deref(), &product).await?;
    check_room(tx, &region, &product).await?;
    let basket = Basket::of(tx, account, &product, order.cycle).await?;
    let ordered = write(tx, order, &basket, &template, &region, &policy.zone).await?;
    hold_for_review(tx, account, &ordered.server, policy.review).await?;
    let said = format!("{} {} in {region} for {}", product.key, template.id, ordered.price.total);
    tx.log(actor, "server.order", Some(&account.id), Some(&ordered.server.id), &said).await?;
    Ok(ordered)
}

const HOUR: Duration = Duration::from_hours(1);

/// A stolen key orders fast.
async fn check_velocity(tx: &mut Tx, account: &Account, policy: &Policy) -> Result<()> {
    let since = tx.now - HOUR;
    let (placed, first) = tx.orders_since(&account.id, since).await?;
    if policy.orders_per_hour == 0 || placed < policy.orders_per_hour {
        return Ok(());
    }
    let wait = first.map_or(HOUR, |at| (at + HOUR).since(tx.now));
    Err(CommandError::TooMany { text: format!("account {} has placed {placed} orders within an hour, the most that it may", account.number), wait })
}

/// What the policy wants looked at is not delivered before an operator lifts the hold.
async fn hold_for_review(tx: &mut Tx, account: &Account, server: &Server, review: Review) -> Result<()> {
    let held = match review {
        Review::Never => false,
        Review::First => !tx.has_delivered(&account.id).await?,
        Review::Always => true,
    };
    if !held {
        return Ok(());
    }
    tx.place_hold(&server.id, HoldKind::Review, HoldTerms { means: Means::PowerOff, free: true }, "the order is looked at before it is delivered").await?;
    let (label, id) = (&server.label, &server.id);
    let detail = format!(
        "the order of {label} by account {} waits for a look; deliver it with: leasehold server unsuspend {id} --kind review; or: leasehold server terminate {id}",
        account.number
    );
    Ok(tx.attend("review", &format!("server:{}", server.id), &detail).await?)
}

/// A system that can be had, on a disk of this size, GB.
pub(crate) async fn offered_template(tx: &mut Tx, text: &str, whose: &str, disk_gb: i64) -> Result<Template> {
    let t = tx.offered_template(text).await?;
    if t.min_disk_gb > disk_gb {
        return Err(CommandError::Invalid(format!("template '{}' needs {} GB of disk, {whose} has {disk_gb} GB", t.id, t.min_disk_gb)));
    }
    if !t.ready {
        return Err(CommandError::Refused(format!("'{}' is not ready yet; try again later", t.id)));
    }
    Ok(t)
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

async fn write(tx: &mut Tx, order: &Order, basket: &Basket<'_>, template: &Template, region: &RegionId, zone: &str) -> Result<Ordered> {
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
    tx.books(&account.id).await?.open_lease(&id, order.cycle, &terms, zone).await?;
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
    choose_ssh_keys(tx, order, account, &id).await?;
    if let Some(user_data) = &order.user_data {
        tx.put_secret(Place { table: "servers", column: "user_data", id: id.as_str() }, user_data.secret()).await?;
    }
    let server = tx.server(&id).await?;
    tx.tell(&server, NoticeKind::OrderConfirmation, id.as_str(), None).await?;
    tx.publish_server(&server, EventKind::ServerCreated).await?;
    let anchor = Anchor { at: tx.now, no: 1, cycle: order.cycle, zone: zone.to_owned() };
    let next_renewal_at = anchor.end_of(1).map_err(|e| CommandError::Invalid(e.to_string()))?;
    Ok(Ordered { server, price: terms.price, next_renewal_at })
}

async fn choose_ssh_keys(tx: &mut Tx, order: &Order, account: &Account, server: &ServerId) -> Result<()> {
    let known = if order.ssh_keys.is_empty() { vec![] } else { tx.ssh_keys(&account.id).await? };
    for wanted in &order.ssh_keys {
        let key = known.iter().find(|k| k.id == *wanted || k.number.to_string() == *wanted);
        let key = key.ok_or_else(|| CommandError::NotFound(format!("no SSH key '{wanted}'")))?;
        tx.choose_ssh_key(server, &key.id).await?;
    }
    Ok(())
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
