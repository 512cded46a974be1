//! What makes no sense in a catalogue file whatever the house holds: a key that stands twice, sizes of nothing, names that break a line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use leasehold_domain::names::{self, BadName};

use super::{
    Catalog,
    entries::{Capacity, ProductEntry},
};
use crate::{CommandError, Result};

/// The largest size of a plan or a node: far above any machine, and far below what sums could overflow.
const SIZE_MAX: i64 = 1_000_000_000;

/// Refuses the file for the first thing that makes no sense.
pub(super) fn check(c: &Catalog) -> Result<()> {
    let coupons: Vec<String> = c.coupon.iter().map(|e| e.code.to_ascii_uppercase()).collect();
    once("region", c.region.iter().map(|e| e.id.as_str()))?;
    once("node", c.node.iter().map(|e| e.id.as_str()))?;
    once("pool", c.pool.iter().map(|e| e.id.as_str()))?;
    once("product", c.product.iter().map(|e| e.key.as_str()))?;
    once("add-on", c.addon.iter().map(|e| e.key.as_str()))?;
    once("coupon", coupons.iter().map(String::as_str))?;
    once("tier", c.tier.iter().map(|e| e.name.as_str()))?;
    let ids = [
        ("region", c.region.iter().map(|e| &e.id).collect::<Vec<_>>()),
        ("node", c.node.iter().map(|e| &e.id).collect()),
        ("pool", c.pool.iter().map(|e| &e.id).collect()),
        ("template", c.template.iter().map(|e| &e.id).collect()),
        ("iso", c.iso.iter().map(|e| &e.id).collect()),
        ("product", c.product.iter().map(|e| &e.key).collect()),
        ("add-on", c.addon.iter().map(|e| &e.key).collect()),
    ];
    for (what, ids) in ids {
        ids.into_iter().try_for_each(|id| names::slug(id)).map_err(|e| CommandError::Invalid(format!("{what}: {e}")))?;
    }
    let shown = [
        ("region", c.region.iter().map(|e| (&e.id, &e.name)).collect::<Vec<_>>()),
        ("template", c.template.iter().map(|e| (&e.id, &e.label)).collect()),
        ("iso", c.iso.iter().map(|e| (&e.id, &e.name)).collect()),
        ("product", c.product.iter().map(|e| (&e.key, &e.name)).collect()),
        ("add-on", c.addon.iter().map(|e| (&e.key, &e.name)).collect()),
    ];
    for (what, named) in shown {
        named.into_iter().try_for_each(|(id, name)| names::person(name).map_err(|e| of(what, id, &e)))?;
    }
    c.tier.iter().try_for_each(|e| names::person(&e.name).map_err(|e| CommandError::Invalid(format!("tier: {e}"))))?;
    c.product.iter().try_for_each(plan)?;
    hosts(c)?;
    c.node.iter().try_for_each(|e| {
        let Capacity { vcpu, ram_mb, disk_gb } = e.capacity;
        // A node that is closed has room for nothing.
        sizes("node", &e.id, 0, &[("capacity.vcpu", vcpu), ("capacity.ram_mb", ram_mb), ("capacity.disk_gb", disk_gb), ("builds", e.builds)])
    })
}

/// One folder has many spellings.
fn folder(endpoint: &Path) -> PathBuf {
    endpoint.canonicalize().unwrap_or_else(|_| {
        let mut folder = PathBuf::new();
        for part in std::path::absolute(endpoint).unwrap_or_else(|_| endpoint.into()).components() {
            if part == Component::ParentDir {
                folder.pop();
            } else {
                folder.push(part);
            }
        }
        folder
    })
}

/// Two nodes at one place would give their numbers out twice.
fn hosts(c: &Catalog) -> Result<()> {
    let mut seen = BTreeMap::new();
    for e in &c.node {
        let Some(endpoint) = e.settings.get("endpoint").and_then(toml::Value::as_str) else { continue };
        let place = (e.backend.as_str(), folder(Path::new(endpoint)));
        if let Some(other) = seen.insert(place, &e.id) {
            return Err(CommandError::Invalid(format!("the nodes '{other}' and '{}' have the same endpoint, {endpoint}; each is a host of its own", e.id)));
        }
    }
    Ok(())
}

fn plan(e: &ProductEntry) -> Result<()> {
    sizes("product", &e.key, 1, &[("vcpu", e.vcpu), ("ram_mb", e.ram_mb), ("disk_gb", e.disk_gb)])?;
    sizes("product", &e.key, 0, &[("bandwidth_gb", e.bandwidth_gb)])
}

fn of(what: &str, id: &str, error: &BadName) -> CommandError {
    CommandError::Invalid(format!("{what} '{id}': {error}"))
}

fn once<'a>(what: &str, mut keys: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    match keys.find(|key| !seen.insert(*key)) {
        Some(twice) => Err(CommandError::Invalid(format!("{what} '{}' stands twice in the file; which one is meant?", twice.escape_debug()))),
        None => Ok(()),
    }
}

fn sizes(what: &str, id: &str, least: i64, sizes: &[(&str, i64)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| !(least..=SIZE_MAX).contains(size)) {
        Some((name, size)) => Err(CommandError::Invalid(format!("{what} '{id}': {name} is {size}; it is {least} to {SIZE_MAX}"))),
        None => Ok(()),
    }
}
