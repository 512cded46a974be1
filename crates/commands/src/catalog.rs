//! The catalogue: read from TOML, compared with what is there, written in one transaction. What is gone is hidden, never
//! deleted; what live servers need cannot go.

use std::{collections::BTreeMap, net::IpAddr};

use leasehold_domain::{
    Money, ProductId, UnknownName,
    lease::Cycle,
    policy::{Key, Level, Policy},
};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    catalog::{AddressPool, Price, Product, Region, Template},
    nodes::{Node, NodeState},
};
use serde::Deserialize;

use crate::{CommandError, Result, commit};

/// A catalogue file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(default)]
    region: Vec<RegionEntry>,
    #[serde(default)]
    node: Vec<NodeEntry>,
    #[serde(default)]
    template: Vec<TemplateEntry>,
    #[serde(default)]
    pool: Vec<PoolEntry>,
    #[serde(default)]
    product: Vec<ProductEntry>,
    /// The rules of dunning, where they differ from the built-in ones.
    #[serde(default)]
    policy: toml::Table,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionEntry {
    id: String,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
}

/// What is not named here goes to the backend as its settings.
#[derive(Clone, Debug, Deserialize)]
struct NodeEntry {
    id: String,
    region: String,
    backend: String,
    capacity: Capacity,
    #[serde(default = "builds")]
    builds: i64,
    #[serde(flatten)]
    settings: BTreeMap<String, toml::Value>,
}

const fn builds() -> i64 {
    4
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateEntry {
    id: String,
    family: String,
    label: String,
    icon: Option<String>,
    color: Option<String>,
    image: String,
    #[serde(default = "min_disk")]
    min_disk_gb: i64,
    #[serde(default = "username")]
    username: String,
}

const fn min_disk() -> i64 {
    1
}

fn username() -> String {
    "root".into()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolEntry {
    id: String,
    region: String,
    family: i64,
    cidr: String,
    gateway: IpAddr,
    range: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductEntry {
    key: String,
    name: String,
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
    bandwidth_gb: i64,
    regions: Vec<String>,
    /// Currency, then cycle, then amount.
    prices: BTreeMap<String, BTreeMap<String, String>>,
    /// The rules of dunning for its leases, where they differ from the house's.
    #[serde(default)]
    policy: toml::Table,
}

/// One line of what an import changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New.
    Added(String),
    /// Other than before.
    Changed(String),
    /// Not offered any more.
    Hidden(String),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added(what) => write!(f, "+ {what}"),
            Self::Changed(what) => write!(f, "~ {what}"),
            Self::Hidden(what) => write!(f, "- {what} (hidden)"),
        }
    }
}

/// Addresses in one pool at most.
const POOL_MAX: u128 = 65_536;
/// The namespace of product ids: a product keeps its id over imports.
const PRODUCTS: uuid::Uuid = uuid::Uuid::from_u128(0x6c65_6173_6568_6f6c_6420_7072_6f64_7563);

impl Catalog {
    /// Reads a file's text; an error names the line.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| CommandError::Invalid(format!("catalogue: {}", e.to_string().trim_end())))
    }
}

fn node_row(e: &NodeEntry) -> Result<Node> {
    let settings = serde_json::to_string(&e.settings).map_err(|error| CommandError::Invalid(error.to_string()))?;
    Ok(Node {
        id: e.id.as_str().into(),
        region_id: e.region.as_str().into(),
        backend: e.backend.clone(),
        settings,
        vcpu: e.capacity.vcpu,
        ram_mb: e.capacity.ram_mb,
        disk_gb: e.capacity.disk_gb,
        builds: e.builds,
        state: NodeState::Active,
        hidden: false,
        boot_id: None,
        seen_at: None,
        failing_since: None,
        look_at: None,
        attempt: 0,
        epoch: 0,
        wants: 0,
    })
}

fn product_row(e: &ProductEntry) -> Product {
    let id = ProductId::from(uuid::Uuid::new_v5(&PRODUCTS, e.key.as_bytes()));
    Product { id, key: e.key.clone(), name: e.name.clone(), vcpu: e.vcpu, ram_mb: e.ram_mb, disk_gb: e.disk_gb, bandwidth_gb: e.bandwidth_gb, hidden: false }
}

fn price_rows(e: &ProductEntry, product: &ProductId) -> Result<Vec<Price>> {
    let invalid = |what: String| CommandError::Invalid(format!("product '{}': {what}", e.key));
    let mut rows = Vec::new();
    for (code, cycles) in &e.prices {
        let currency = code.parse().map_err(|error| invalid(format!("{error}")))?;
        for (cycle, amount) in cycles {
            let cycle: Cycle = cycle.parse().map_err(|error| invalid(format!("{error}")))?;
            let amount = Money::parse(amount, currency).map_err(|error| invalid(format!("price {code} {cycle}: {error}")))?;
            rows.push(Price { product_id: product.to_string(), currency: code.clone(), cycle, amount: amount.minor });
        }
    }
    rows.sort_by_key(|p| (p.currency.clone(), p.cycle.as_str()));
    Ok(rows)
}

fn to_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn from_number(number: u128, family: i64) -> IpAddr {
    if family == 4 { IpAddr::V4((number as u32).into()) } else { IpAddr::V6(number.into()) }
}

/// The addresses of a pool's range, without its gateway.
fn pool_addresses(e: &PoolEntry) -> Result<Vec<String>> {
    let invalid = |what: &str| CommandError::Invalid(format!("pool '{}': {what}", e.id));
    let bits: u32 = match e.family {
        4 => 32,
        6 => 128,
        _ => return Err(invalid("family is 4 or 6")),
    };
    let ip = |text: &str| text.trim().parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (e.family == 4));
    let (network, prefix) = e
        .cidr
        .split_once('/')
        .and_then(|(n, p)| Some((ip(n)?, p.parse::<u32>().ok()?)))
        .ok_or_else(|| invalid("cidr is no network of its family, like 203.0.113.0/24"))?;
    let (first, last) = e
        .range
        .split_once('-')
        .and_then(|(a, b)| Some((to_number(ip(a)?), to_number(ip(b)?))))
        .ok_or_else(|| invalid("range is written FIRST-LAST, both of its family"))?;
    let inside = |n: u128| prefix <= bits && (prefix == 0 || n >> (bits - prefix) == to_number(network) >> (bits - prefix));
    if first > last || !inside(first) || !inside(last) {
        return Err(invalid("range does not lie inside cidr"));
    }
    if last - first >= POOL_MAX {
        return Err(invalid(&format!("range holds more than {POOL_MAX} addresses")));
    }
    let gateway = to_number(e.gateway);
    Ok((first..=last).filter(|n| *n != gateway).map(|n| from_number(n, e.family).to_string()).collect())
}

/// What an import would change, or a refusal. `check_node` says whether a backend accepts its settings.
pub async fn import(store: &Store, actor: &Actor, catalog: &Catalog, check_node: impl Fn(&str, &str) -> Result<()>, dry_run: bool) -> Result<Vec<Change>> {
    check_references(catalog)?;
    let mut tx = store.begin().await?;
    let mut changes = Vec::new();
    regions(&mut tx, catalog, &mut changes).await?;
    templates(&mut tx, catalog, &mut changes).await?;
    nodes(&mut tx, catalog, check_node, &mut changes).await?;
    pools(&mut tx, catalog, &mut changes).await?;
    products(&mut tx, catalog, &mut changes).await?;
    policies(&mut tx, catalog, &mut changes).await?;
    if !changes.is_empty() && !dry_run {
        tx.log(actor, "catalog.import", None, None, &format!("{} changes", changes.len())).await?;
        commit(tx).await?;
    }
    Ok(changes)
}

fn check_references(c: &Catalog) -> Result<()> {
    let known = |region: &str| c.region.iter().any(|r| r.id == region);
    let named = c.node.iter().map(|n| (format!("node '{}'", n.id), &n.region)).chain(c.pool.iter().map(|p| (format!("pool '{}'", p.id), &p.region)));
    let offered = c.product.iter().flat_map(|p| p.regions.iter().map(move |r| (format!("product '{}'", p.key), r)));
    match named.chain(offered).find(|(_, region)| !known(region)) {
        Some((who, region)) => Err(CommandError::Invalid(format!("{who} names the region '{region}', which the file does not have"))),
        None => Ok(()),
    }
}

/// Compares one row with the one before it and says whether it must be written.
fn differs<T: PartialEq>(before: Option<&T>, now: &T, what: String, changes: &mut Vec<Change>) -> bool {
    match before {
        Some(before) if before == now => return false,
        Some(_) => changes.push(Change::Changed(what)),
        None => changes.push(Change::Added(what)),
    }
    true
}

async fn regions(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
    let before = tx.regions().await?;
    for e in &c.region {
        let row = Region { id: e.id.as_str().into(), name: e.name.clone(), hidden: false };
        if differs(before.iter().find(|b| b.id == row.id), &row, format!("region {}", e.id), changes) {
            tx.put_region(&row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.region.iter().any(|e| e.id == b.id.as_str())) {
        let live = tx.int("select count(*) from servers where region_id = $1 and status <> 'terminated'", leasehold_store::args![&gone.id]).await?;
        refuse_orphans(live, &format!("region '{}'", gone.id))?;
        changes.push(Change::Hidden(format!("region {}", gone.id)));
        tx.put_region(&Region { hidden: true, ..gone }).await?;
    }
    Ok(())
}

fn refuse_orphans(live: i64, what: &str) -> Result<()> {
    if live == 0 {
        return Ok(());
    }
    Err(CommandError::Refused(format!(
        "{what} cannot go: {live} live server(s) need it; terminate or move them first, or keep it in the file (a node: leasehold node drain)"
    )))
}

async fn templates(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
    let before = tx.templates().await?;
    for e in &c.template {
        let row = Template {
            id: e.id.as_str().into(),
            family: e.family.clone(),
            label: e.label.clone(),
            icon: e.icon.clone(),
            color: e.color.clone(),
            image: e.image.clone(),
            min_disk_gb: e.min_disk_gb,
            username: e.username.clone(),
            hidden: false,
        };
        if differs(before.iter().find(|b| b.id == row.id), &row, format!("template {}", e.id), changes) {
            tx.put_template(&row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.template.iter().any(|e| e.id == b.id.as_str())) {
        changes.push(Change::Hidden(format!("template {}", gone.id)));
        tx.put_template(&Template { hidden: true, ..gone }).await?;
    }
    Ok(())
}

/// What the file says of a node; the rest of the row is found.
fn in_file(n: &Node) -> (String, String, String, [i64; 4], bool) {
    (n.region_id.to_string(), n.backend.clone(), n.settings.clone(), [n.vcpu, n.ram_mb, n.disk_gb, n.builds], n.hidden)
}

async fn nodes(tx: &mut Tx, c: &Catalog, check: impl Fn(&str, &str) -> Result<()>, changes: &mut Vec<Change>) -> Result<()> {
    let before = tx.nodes().await?;
    let used: BTreeMap<String, i64> = tx.node_use().await?.into_iter().map(|u| (u.node_id, u.servers)).collect();
    let live = |id: &str| used.get(id).copied().unwrap_or(0);
    for e in &c.node {
        let row = node_row(e)?;
        check(&row.backend, &row.settings).map_err(|error| CommandError::Invalid(format!("node '{}': {error}", e.id)))?;
        let old = before.iter().find(|b| b.id == row.id);
        let endpoint = |settings: &str| serde_json::from_str::<serde_json::Value>(settings).ok().and_then(|v| v.get("endpoint").cloned());
        if let Some(old) = old.filter(|b| b.backend != row.backend || b.region_id != row.region_id || endpoint(&b.settings) != endpoint(&row.settings)) {
            refuse_orphans(live(old.id.as_str()), &format!("the backend, endpoint or region of node '{}'", old.id))?;
        }
        if differs(old.map(in_file).as_ref(), &in_file(&row), format!("node {}", e.id), changes) {
            tx.put_node(&row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.node.iter().any(|e| e.id == b.id.as_str())) {
        refuse_orphans(live(gone.id.as_str()), &format!("node '{}'", gone.id))?;
        changes.push(Change::Hidden(format!("node {}", gone.id)));
        tx.put_node(&Node { hidden: true, ..gone }).await?;
    }
    Ok(())
}

async fn pools(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
    let before = tx.pools().await?;
    for e in &c.pool {
        let addresses = pool_addresses(e)?;
        let row = AddressPool {
            id: e.id.clone(),
            region_id: e.region.clone(),
            family: e.family,
            cidr: e.cidr.clone(),
            gateway: e.gateway.to_string(),
            hidden: false,
        };
        let taken: Vec<(String,)> = tx.all("select address from addresses where pool_id = $1 and server_id is not null", leasehold_store::args![&e.id]).await?;
        let orphaned = taken.iter().filter(|(address,)| !addresses.contains(address)).count();
        refuse_orphans(orphaned as i64, &format!("addresses of pool '{}'", e.id))?;
        let offered = tx.int("select count(*) from addresses where pool_id = $1 and not hidden", leasehold_store::args![&e.id]).await?;
        let what = format!("pool {} ({} addresses)", e.id, addresses.len());
        let now = (row.clone(), addresses.len() as i64);
        let old = before.iter().find(|b| b.id == row.id).map(|b| (b.clone(), offered));
        if differs(old.as_ref(), &now, what, changes) {
            tx.put_pool(&row, &addresses).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.pool.iter().any(|e| e.id == b.id)) {
        let taken = tx.int("select count(*) from addresses where pool_id = $1 and server_id is not null", leasehold_store::args![&gone.id]).await?;
        refuse_orphans(taken, &format!("pool '{}'", gone.id))?;
        changes.push(Change::Hidden(format!("pool {}", gone.id)));
        tx.put_pool(&AddressPool { hidden: true, ..gone }, &[]).await?;
    }
    Ok(())
}

/// `{ suspend_after = "3d", breaker = { suspensions = { count = 50 } } }` as keys with points and texts.
fn flat(table: &toml::Table, prefix: &str, rules: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        match value {
            toml::Value::Table(inner) => flat(inner, &format!("{key}."), rules),
            toml::Value::Array(list) => drop(rules.insert(key, list.iter().map(text).collect::<Vec<_>>().join(","))),
            value => drop(rules.insert(key, text(value))),
        }
    }
}

/// The rules of the house and of its plans become what the file says; the built-in ones stand where it says nothing.
async fn policies(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
    let plans = c.product.iter().map(|e| (Level::Plan, product_row(e).id.to_string(), format!("product {}: ", e.key), &e.policy));
    for (level, subject, who, table) in std::iter::once((Level::System, String::new(), String::new(), &c.policy)).chain(plans) {
        let mut texts = BTreeMap::new();
        flat(table, "", &mut texts);
        let mut wanted = BTreeMap::new();
        for (key, value) in texts {
            let invalid = |why: String| CommandError::Invalid(format!("{who}policy: {why}"));
            let rule: Key = key.parse().map_err(|e: UnknownName| invalid(e.to_string()))?;
            if level == Level::Plan && rule.is_for_the_house() {
                return Err(invalid(format!("{key} is a rule of the whole house")));
            }
            Policy::default().set(rule, &value).map_err(|e| CommandError::Invalid(format!("{who}{e}")))?;
            wanted.insert(rule, value);
        }
        let before: BTreeMap<Key, String> = tx.rules(level, &subject).await?.into_iter().map(|r| (r.key, r.value)).collect();
        for (key, value) in &wanted {
            if differs(before.get(key), value, format!("{who}policy {key} = {value}"), changes) {
                tx.set_rule(level, &subject, *key, Some(value)).await?;
            }
        }
        for key in before.keys().filter(|key| !wanted.contains_key(*key)) {
            changes.push(Change::Changed(format!("{who}policy {key} as it is built in")));
            tx.set_rule(level, &subject, *key, None).await?;
        }
    }
    Ok(())
}

async fn products(tx: &mut Tx, c: &Catalog, changes: &mut Vec<Change>) -> Result<()> {
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
        if differs(old.as_ref(), &now, format!("product {}", e.key), changes) {
            tx.put_product(&row).await?;
            let regions: Vec<_> = now.1.1.iter().map(|r| r.as_str().into()).collect();
            tx.put_offer(&row.id, &now.1.0, &regions).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.product.iter().any(|e| e.key == b.key)) {
        changes.push(Change::Hidden(format!("product {}", gone.key)));
        tx.put_product(&Product { hidden: true, ..gone }).await?;
    }
    Ok(())
}
