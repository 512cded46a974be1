//! What one catalogue says and another does not, in words: old and new, and how much that is.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{Catalog, policies::flat};

/// One line of what an import changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// New.
    Added(String),
    /// Other than before.
    Changed {
        /// Of what.
        what: String,
        /// `1m EUR 5.00 → 0.50, −90 %`
        how: String,
        /// By more than half, or gone: asked for once more before it is done.
        grave: bool,
    },
    /// Not offered any more.
    Hidden(String),
}

impl Change {
    /// Whether it is asked for once more before it is done.
    pub(super) fn is_grave(&self) -> bool {
        match self {
            Self::Added(_) => false,
            Self::Changed { grave, .. } => *grave,
            Self::Hidden(_) => true,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(what) => write!(f, "+ {what}"),
            Self::Changed { what, how, .. } => write!(f, "~ {what}: {how}"),
            Self::Hidden(what) => write!(f, "- {what} (hidden)"),
        }
    }
}

/// Things by what people call them, each with its values by name.
type Things = BTreeMap<String, BTreeMap<String, String>>;

/// What `now` says other than `before`.
pub(super) fn diff(before: &Catalog, now: &Catalog) -> Vec<Change> {
    let (before, now) = (things(before), things(now));
    let mut changes = Vec::new();
    for (what, values) in &now {
        match before.get(what) {
            None if values.is_empty() => {}
            None => changes.push(Change::Added(what.clone())),
            Some(old) => changes.extend(fields(what, old, values)),
        }
    }
    let gone = before.iter().filter(|(what, values)| !now.contains_key(*what) && !values.is_empty());
    changes.extend(gone.map(|(what, _)| Change::Hidden(what.clone())));
    changes
}

fn fields(what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let change = |name: &String| {
        let (is_price, called) = name.strip_prefix(PRICE).map_or((is_rate(what, name), name.as_str()), |price| (true, price));
        let (how, grave) = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if is_price => moved(old, new),
            (Some(old), Some(new)) => (format!("{old} → {new}"), false),
            (None, Some(new)) => (format!("– → {new}"), false),
            (Some(old), None) => (format!("{old} → –"), is_price),
            (None, None) => (String::new(), false),
        };
        Change::Changed { what: what.to_owned(), how: format!("{called} {how}").trim().to_owned(), grave }
    };
    changed.map(change).collect()
}

/// Before the names of prices.
const PRICE: &str = "price ";

/// Amounts and parts of a hundred that money follows from.
fn is_rate(what: &str, name: &str) -> bool {
    let of = |kind: &str| what.starts_with(kind);
    of("tax ") || ((of("coupon ") || of("tier ")) && (name == "percent" || name == "amount" || name.starts_with("from.")))
}

/// `5.00 → 0.50, −90 %`, and whether that is more than half.
fn moved(old: &str, new: &str) -> (String, bool) {
    let (was, is) = (old.parse::<f64>().unwrap_or(0.0), new.parse::<f64>().unwrap_or(0.0));
    if was == 0.0 || is == 0.0 {
        return (format!("{old} → {new}"), true);
    }
    let percent = (is - was) / was * 100.0;
    let sign = if percent < 0.0 { '−' } else { '+' };
    let shown = format!("{:.1}", percent.abs());
    (format!("{old} → {new}, {sign}{} %", shown.strip_suffix(".0").unwrap_or(&shown)), percent.abs() > 50.0)
}

fn things(c: &Catalog) -> Things {
    let mut things = Things::new();
    let mut put = |what: String, values: BTreeMap<String, String>| drop(things.insert(what, values));
    c.region.iter().for_each(|e| put(format!("region {}", e.id), values(e, &["id"])));
    c.node.iter().for_each(|e| put(format!("node {}", e.id), values(e, &["id"])));
    c.template.iter().for_each(|e| put(format!("template {}", e.id), values(e, &["id"])));
    c.iso.iter().for_each(|e| put(format!("iso {}", e.id), values(e, &["id"])));
    c.pool.iter().for_each(|e| put(format!("pool {}", e.id), values(e, &["id"])));
    for e in &c.product {
        put(format!("product {}", e.key), values(e, &["key", "policy"]));
        rules(&e.policy, &format!("product {}: policy", e.key), &mut put);
    }
    c.addon.iter().for_each(|e| put(format!("add-on {}", e.key), values(e, &["key"])));
    c.coupon.iter().for_each(|e| put(format!("coupon {}", e.code.to_ascii_uppercase()), values(e, &["code"])));
    c.tier.iter().for_each(|e| put(format!("tier {}", e.name), values(e, &["name"])));
    c.seller.iter().for_each(|e| put("seller".into(), values(e, &[])));
    c.affiliates.iter().for_each(|e| put("affiliates".into(), values(e, &[])));
    c.tax.iter().for_each(|(country, rate)| put(format!("tax {country}"), BTreeMap::from([(String::new(), rate.clone())])));
    rules(&c.policy, "policy", &mut put);
    things
}

/// The rules of the house, or of a plan, in one thing: without one it is as it is built in, which is no loss.
fn rules(table: &toml::Table, what: &str, put: &mut impl FnMut(String, BTreeMap<String, String>)) {
    let mut rules = BTreeMap::new();
    flat(table, "", &mut rules);
    put(what.to_owned(), rules);
}

/// The leaves of an entry by their path; prices by cycle and currency, as people say them.
fn values(entry: &impl Serialize, but: &[&str]) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let value = serde_json::to_value(entry).unwrap_or_default();
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !but.contains(&name.as_str())) {
        leaf(name, value, &mut leaves);
    }
    leaves
}

/// As much of a value as a line holds.
const SHOWN: usize = 80;

fn leaf(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned);
    let said = match value {
        Value::Null => return,
        Value::Object(inner) => {
            for (name, value) in inner {
                leaf(&format!("{path}.{name}"), value, leaves);
            }
            return;
        }
        Value::Array(list) if list.is_empty() => return,
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        value => text(value),
    };
    let name = match path.split('.').collect::<Vec<_>>().as_slice() {
        ["prices", currency, cycle] => format!("{PRICE}{cycle} {currency}"),
        _ => path.to_owned(),
    };
    let said = said.replace(char::is_control, " ");
    // A logo, for one, is told by its length.
    let said = if said.chars().count() > SHOWN {
        format!("{}… ({} characters)", said.chars().take(SHOWN / 2).collect::<String>(), said.chars().count())
    } else {
        said
    };
    leaves.insert(name, said);
}
