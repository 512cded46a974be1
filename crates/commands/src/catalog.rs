//! The catalogue: read from TOML, compared with what is there, written in one transaction. What is gone is hidden, never
//! deleted; what live servers need cannot go.

mod addons;
mod affiliates;
mod check;
mod coupons;
mod entries;
mod policies;
mod pools;
mod products;
mod seller;
mod templates;
mod tiers;

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use leasehold_store::{
    Store, Tx,
    activity::Actor,
    catalog::Region,
    nodes::{Node, NodeState},
};

pub use affiliates::affiliates;
pub use entries::Catalog;
use entries::NodeEntry;

use crate::{CommandError, Result, commit};

/// How a catalogue is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Nothing is written.
    pub dry_run: bool,
    /// Prices that change also change for leases that run, from their next period on; else for new orders only.
    pub reprice: bool,
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

impl Catalog {
    /// Reads a file's text; an error names the line.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| CommandError::Invalid(format!("catalogue: {}", e.to_string().trim_end())))
    }

    /// Reads a file and what it names: the seller's logo, by its path from the file.
    /// `check_logo` says whether that can be drawn.
    pub fn read(file: &Path, check_logo: impl Fn(&str) -> std::result::Result<(), String>) -> Result<Self> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| CommandError::Invalid(format!("{}: {e}", path.display())));
        let text = String::from_utf8(read(file)?).map_err(|e| CommandError::Invalid(format!("{}: {e}", file.display())))?;
        let mut catalog = Self::parse(&text)?;
        if let Some(logo) = catalog.seller.as_mut().and_then(|s| s.logo.as_mut()) {
            let image = read(&file.parent().unwrap_or_else(|| Path::new(".")).join(&*logo))?;
            let text = seller::logo(&image).and_then(|text| check_logo(&text).map(|()| text));
            *logo = text.map_err(|why| CommandError::Invalid(format!("seller: the logo {logo} cannot be used: {why}")))?;
        }
        Ok(catalog)
    }
}

/// More than this no system's resolver asks.
const RESOLVERS_MAX: usize = 3;

/// Name servers as a row has them.
fn resolvers(list: &[IpAddr], whose: &str) -> Result<String> {
    if list.len() > RESOLVERS_MAX {
        return Err(CommandError::Invalid(format!("{whose} names {} resolvers; a guest asks {RESOLVERS_MAX} at most", list.len())));
    }
    Ok(list.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","))
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
        resolvers: resolvers(&e.resolvers, &format!("node '{}'", e.id))?,
        state: NodeState::Active,
        hidden: false,
        boot_id: None,
        seen_at: None,
        failing_since: None,
        look_at: None,
        attempt: 0,
        last_error: None,
        epoch: 0,
        wants: 0,
    })
}

/// What an import would change, or a refusal. `check_node` says whether a backend accepts its settings.
pub async fn import(store: &Store, actor: &Actor, catalog: &Catalog, check_node: impl Fn(&str, &str) -> Result<()>, how: How) -> Result<Vec<Change>> {
    check::check(catalog)?;
    check_references(catalog)?;
    let mut tx = store.begin().await?;
    let mut changes = Vec::new();
    regions(&mut tx, catalog, &mut changes).await?;
    templates::import(&mut tx, catalog, &mut changes).await?;
    nodes(&mut tx, catalog, check_node, &mut changes).await?;
    pools::import(&mut tx, catalog, &mut changes).await?;
    products::import(&mut tx, catalog, how.reprice, &mut changes).await?;
    addons::import(&mut tx, catalog, how.reprice, &mut changes).await?;
    coupons::import(&mut tx, catalog, &mut changes).await?;
    seller::import(&mut tx, catalog, &mut changes).await?;
    affiliates::import(&mut tx, catalog, &mut changes).await?;
    tiers::import(&mut tx, catalog, &mut changes).await?;
    policies::import(&mut tx, catalog, &mut changes).await?;
    if !changes.is_empty() && !how.dry_run {
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
        let row = Region { id: e.id.as_str().into(), name: e.name.clone(), hidden: false, resolvers: resolvers(&e.resolvers, &format!("region '{}'", e.id))? };
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

/// What the file says of a node; the rest of the row is found.
fn in_file(n: &Node) -> ([String; 4], [i64; 4], bool) {
    ([n.region_id.to_string(), n.backend.clone(), n.settings.clone(), n.resolvers.clone()], [n.vcpu, n.ram_mb, n.disk_gb, n.builds], n.hidden)
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
