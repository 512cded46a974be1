//! The order: everything that it is, in one transaction under the account's lock.

use leasehold_domain::{
    Money, RegionId, ServerId,
    lease::Cycle,
    names,
    notice::NoticeKind,
    placement::Size,
    price::{Line, LineKind, price},
};
use leasehold_store::{
    Store, Tx,
    accounts::{Account, AccountState},
    activity::Actor,
    catalog::{Product, Template},
    servers::{NewServer, Server},
};
use serde::Serialize;

use crate::{CommandError, Result, commit};

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
    /// The same key with the same order is the same order.
    #[serde(skip)]
    pub key: Option<String>,
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
    if let Some(key) = &order.key
        && let Some((before, answer)) = tx.answered(&account.id, key).await?
    {
        return if before == request {
            Ok(tx.server(&answer.into()).await?)
        } else {
            Err(CommandError::Refused(format!("the key '{key}' was used for another order; use a new key for a new order")))
        };
    }
    if account.state != AccountState::Active {
        return Err(CommandError::Refused(format!("account {} is {}; nothing is sold to it", account.number, account.state)));
    }
    let product = tx.offered_product(&order.product).await?;
    let template = offered_template(&mut tx, &order.template, &product).await?;
    let region = offered_region(&mut tx, order.region.as_deref(), &product).await?;
    let amount = tx.price_of(&product.id, account.currency()?, order.cycle).await?;
    let amount = amount.ok_or_else(|| {
        CommandError::Invalid(format!("product '{}' has no price in {} for {}; see: leasehold catalog show", product.key, account.currency, order.cycle))
    })?;
    check_room(&mut tx, &region, &product).await?;
    let server = write(&mut tx, order, &account, &product, &template, &region, amount).await?;
    if let Some(key) = &order.key {
        tx.remember_answer(&account.id, key, &request, server.as_str()).await?;
    }
    tx.log(actor, "server.order", Some(&account.id), Some(&server), &format!("{} {} in {region} for {amount}", product.key, template.id)).await?;
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

async fn write(tx: &mut Tx, order: &Order, account: &Account, product: &Product, template: &Template, region: &RegionId, amount: Money) -> Result<ServerId> {
    let id = ServerId(tx.new_id());
    let generated = format!("{}-{}", product.key, tx.dice().text(SLUG, 6));
    let label = order.label.clone().unwrap_or_else(|| generated.clone());
    // A label that can be a hostname is one.
    let hostname = order.hostname.clone().unwrap_or_else(|| if names::hostname(&label).is_ok() { label.to_lowercase() } else { generated });
    let line = Line { kind: LineKind::Plan, description: format!("{}, {}", product.name, label), amount };
    let price = price(vec![line], account.tax()?).map_err(|e| CommandError::Invalid(e.to_string()))?;
    let zone = tx.policies([account.id.as_str()].into_iter()).await?.of(&product.id.0, account.id.as_str(), "")?.zone.clone();
    tx.books(&account.id).await?.open_lease(&id, order.cycle, &price, &zone).await?;
    let new = NewServer { id: &id, account: &account.id, product, region, template: &template.id, label: &label, hostname: &hostname };
    tx.insert_server(new).await?;
    let server = tx.server(&id).await?;
    tx.tell(&server, NoticeKind::OrderConfirmation, id.as_str(), None).await?;
    Ok(id)
}
