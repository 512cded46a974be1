//! The catalogue: read from TOML, compared with what is there, written in one transaction. What is gone is hidden, never
//! deleted; what live servers need cannot go.

mod addons;
mod affiliates;
mod check;
mod coupons;
mod diff;
mod entries;
mod export;
mod policies;
mod pools;
mod products;
pub mod reprice;
mod seller;
mod templates;
mod tiers;

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    catalog::Region,
    nodes::{Node, NodeState},
};

pub use affiliates::affiliates;
use diff::Change;
pub use entries::Catalog;
use entries::NodeEntry;

use crate::{CommandError, Result, commit};

/// How a catalogue is imported.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Leases that run pay the prices of the file, too, from their next period on; else only new orders do.
    pub reprice: bool,
    /// What of it is meant.
    pub consent: Consent,
}

/// What of a change is meant that takes something away: more than half of a price, an offer, the time until a server ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// Nothing is written.
    Look,
    /// Nothing of the kind.
    #[default]
    Nothing,
    /// What somebody saw, every line of it.
    To(Vec<String>),
    /// Whatever it is.
    All,
}

impl Consent {
    /// What flags say.
    pub fn of(dry_run: bool, meant: bool) -> Self {
        match (dry_run, meant) {
            (true, _) => Self::Look,
            (false, true) => Self::All,
            (false, false) => Self::Nothing,
        }
    }

    fn covers(&self, lines: &[String], grave: &[String]) -> Result<()> {
        let unasked: Vec<&str> = match self {
            Self::All => return Ok(()),
            Self::Look | Self::Nothing => grave.iter().map(String::as_str).collect(),
            Self::To(seen) => lines.iter().filter(|line| !seen.contains(line)).map(String::as_str).collect(),
        };
        match (unasked.as_slice(), self) {
            ([], _) => Ok(()),
            (lines, Self::To(_)) => {
                Err(CommandError::Refused(format!("nothing was changed, since there is more by now than what was asked for: {}", lines.join("; "))))
            }
            (lines, _) => Err(CommandError::Refused(format!("nothing was changed, since this must be meant: {}", lines.join("; ")))),
        }
    }
}

/// What an import changed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// A line each: `~ product small: 1m EUR 5.00 → 0.50, −90 %`.
    pub lines: Vec<String>,
    /// Those that must be confirmed.
    pub grave: Vec<String>,
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
        Self::parse(&text)?.with_logo(check_logo, |logo| read(&file.parent().unwrap_or_else(|| Path::new(".")).join(logo)))
    }

    /// Reads the text of a file that came over the network: a logo stands in it, as an export has it.
    pub fn received(text: &str, check_logo: impl Fn(&str) -> std::result::Result<(), String>) -> Result<Self> {
        let elsewhere =
            |_: &str| Err(CommandError::Invalid(format!("seller: the logo is a file of its own; write it as {INLINE_LOGO}…, or import the file there")));
        Self::parse(text)?.with_logo(check_logo, elsewhere)
    }

    fn with_logo(mut self, check: impl Fn(&str) -> std::result::Result<(), String>, read: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Self> {
        if let Some(logo) = self.seller.as_mut().and_then(|s| s.logo.as_mut()) {
            let (image, called) = match logo.strip_prefix(INLINE_LOGO) {
                Some(text) => (STANDARD.decode(text).map_err(|e| CommandError::Invalid(format!("seller: the logo: {e}")))?, String::new()),
                None => (read(logo)?, format!(" {logo}")),
            };
            let text = seller::logo(&image).and_then(|text| check(&text).map(|()| text));
            *logo = text.map_err(|why| CommandError::Invalid(format!("seller: the logo{called} cannot be used: {why}")))?;
        }
        Ok(self)
    }
}

/// Before a logo that stands in the file itself.
const INLINE_LOGO: &str = "data:image/png;base64,";

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

/// What an import changes, or a refusal. `check_node` says whether a backend accepts its settings.
pub async fn import(store: &Store, actor: &Actor, catalog: &Catalog, check_node: impl Fn(&str, &str) -> Result<()>, how: How) -> Result<Imported> {
    check::check(catalog)?;
    check_references(catalog)?;
    let mut tx = store.begin().await?;
    lock(&mut tx).await?;
    let before = export::export(&mut tx).await?;
    regions(&mut tx, catalog).await?;
    templates::import(&mut tx, catalog).await?;
    nodes(&mut tx, catalog, check_node).await?;
    pools::import(&mut tx, catalog).await?;
    products::import(&mut tx, catalog).await?;
    addons::import(&mut tx, catalog).await?;
    coupons::import(&mut tx, catalog).await?;
    seller::import(&mut tx, catalog).await?;
    affiliates::import(&mut tx, catalog).await?;
    tiers::import(&mut tx, catalog).await?;
    policies::import(&mut tx, catalog).await?;
    let changes = diff::diff(&before, &export::export(&mut tx).await?, &tx.countries_taxed().await?);
    let repriced = if how.reprice { reprice::leases(&mut tx, None).await? } else { Vec::new() };
    let changes: Vec<Change> = changes.into_iter().chain(repriced).collect();
    let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
    let grave: Vec<String> = changes.iter().filter(|change| change.is_grave()).map(Change::to_string).collect();
    if how.consent == Consent::Look || lines.is_empty() {
        return Ok(Imported { lines, grave });
    }
    how.consent.covers(&lines, &grave)?;
    for line in &lines {
        tx.log(actor, "catalog.import", None, None, line).await?;
    }
    commit(tx).await?;
    Ok(Imported { lines, grave })
}

/// One change of the catalogue after the other: each is compared with what it changes.
async fn lock(tx: &mut Tx) -> Result<()> {
    Ok(tx.all::<(i64,)>("select id from schema_info where id = 1 {lock}", &[]).await.map(drop)?)
}

/// The catalogue that the house has, as the text of a file that imports as "nothing to change".
pub async fn export(store: &Store) -> Result<String> {
    let mut catalog = export::export(&mut store.read().await?).await?;
    if let Some(logo) = catalog.seller.as_mut().and_then(|s| s.logo.as_mut()) {
        *logo = format!("{INLINE_LOGO}{logo}");
    }
    toml::to_string(&catalog).map_err(|e| CommandError::Invalid(format!("catalogue: {e}")))
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

/// Whether a row must be written: it is new or other than before.
fn differs<T: PartialEq>(before: Option<&T>, now: &T) -> bool {
    before != Some(now)
}

async fn regions(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let before = tx.regions().await?;
    for e in &c.region {
        let row = Region { id: e.id.as_str().into(), name: e.name.clone(), hidden: false, resolvers: resolvers(&e.resolvers, &format!("region '{}'", e.id))? };
        if differs(before.iter().find(|b| b.id == row.id), &row) {
            tx.put_region(&row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.region.iter().any(|e| e.id == b.id.as_str())) {
        let live = tx.int("select count(*) from servers where region_id = $1 and status <> 'terminated'", leasehold_store::args![&gone.id]).await?;
        refuse_orphans(live, &format!("region '{}'", gone.id))?;
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

async fn nodes(tx: &mut Tx, c: &Catalog, check: impl Fn(&str, &str) -> Result<()>) -> Result<()> {
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
            // Another host, perhaps, with machines of its own.
            tx.forget_seen(&old.id).await?;
        }
        if differs(old.map(in_file).as_ref(), &in_file(&row)) {
            tx.put_node(&row).await?;
        }
    }
    for gone in before.into_iter().filter(|b| !b.hidden && !c.node.iter().any(|e| e.id == b.id.as_str())) {
        refuse_orphans(live(gone.id.as_str()), &format!("node '{}'", gone.id))?;
        tx.put_node(&Node { hidden: true, ..gone }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_what_was_shown() {
        let lines = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (now, grave) = (lines(&["~ a: 5 → 1", "~ b: x → y"]), lines(&["~ a: 5 → 1"]));
        assert!(Consent::To(now.clone()).covers(&now, &grave).is_ok() && Consent::All.covers(&now, &grave).is_ok());
        assert!(Consent::Nothing.covers(&now, &grave).is_err() && Consent::Nothing.covers(&now, &[]).is_ok());
        let error = Consent::To(grave.clone()).covers(&now, &grave).unwrap_err().to_string();
        assert!(error.ends_with("more by now than what was asked for: ~ b: x → y"), "{error}");
    }
}
