//! What one catalogue says and another does not, in words: old and new, and how much that is.

use std::{collections::BTreeMap, fmt, time::Duration};

use leasehold_domain::{policy::Policy, time::parse_duration};
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

    /// Nothing is asked for.
    fn take_as_meant(&mut self) {
        if let Self::Changed { grave, .. } = self {
            *grave = false;
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

/// A value of an entry: what it is, and as much of it as a line holds.
#[derive(Clone, Debug)]
struct Leaf {
    is: Value,
    said: String,
}

/// The values of a thing, by name.
type Values = BTreeMap<String, Leaf>;
/// Things by what people call them.
type Things = BTreeMap<String, Values>;

/// What `now` says other than `before`, in a house that has customers in these countries.
pub(super) fn diff(before: &Catalog, now: &Catalog, countries: &[String]) -> Vec<Change> {
    // Of a house that sells nothing yet, nothing can be lost.
    let is_new = before.region.is_empty() && before.product.is_empty();
    let (before, now) = (things(before), things(now));
    let (none, mut changes) = (Values::new(), Vec::new());
    let house = [&before, &now].map(|things| things.get(RULES).unwrap_or(&none));
    for (what, values) in &now {
        match before.get(what) {
            None if values.is_empty() => {}
            // Who paid none will pay it from the next period on.
            None if what.strip_prefix(TAX).is_some_and(|country| countries.iter().any(|c| c == country)) => {
                changes.extend(fields(what, [&Values::from([(String::new(), no_tax())]), values], house));
            }
            None => changes.push(Change::Added(added(what, values))),
            Some(old) => changes.extend(fields(what, [old, values], house)),
        }
    }
    let gone = before.iter().filter(|(what, values)| !now.contains_key(*what) && !values.is_empty());
    changes.extend(gone.map(|(what, _)| Change::Hidden(what.clone())));
    if is_new {
        changes.iter_mut().for_each(Change::take_as_meant);
    }
    changes
}

/// What is new, with its prices or its rate: a plan that comes back may have leases.
fn added(what: &str, values: &Values) -> String {
    if let (Some(rate), true) = (values.get(""), what.starts_with(TAX)) {
        return format!("{what}: {}", rate.said);
    }
    let prices: Vec<String> = values.iter().filter_map(|(name, leaf)| Some(format!("{} {}", name.strip_prefix(PRICE)?, leaf.said))).collect();
    if prices.is_empty() { what.to_owned() } else { format!("{what}: {}", prices.join(", ")) }
}

/// What changes in a thing, each time before and after; and the house's rules, which hold for a plan that has none of its own.
fn fields(what: &str, [old, new]: [&Values; 2], house: [&Values; 2]) -> Vec<Change> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let is = |values: &Values, name: &str| values.get(name).map(|leaf| leaf.is.clone());
    let changed = names.into_iter().filter(|name| is(old, name) != is(new, name));
    let change = |name: &String| {
        let (is_price, called) = name.strip_prefix(PRICE).map_or((is_rate(what, name), name.as_str()), |price| (true, price));
        let said = |values: &Values| values.get(name).map(|leaf| leaf.said.clone());
        let (how, grave) = match (said(old), said(new)) {
            (Some(old), Some(new)) if is_price => moved(&old, &new),
            // They differ where a line does not show it.
            (Some(old), Some(new)) if old == new => (format!("is another: {new}"), false),
            (old, new) => {
                let how = format!("{} → {}", old.as_deref().unwrap_or("–"), new.as_deref().unwrap_or("–"));
                let rule = |own: Option<String>, house: &Values| own.or_else(|| said(house).filter(|_| what != RULES));
                (how, (is_price && new.is_none()) || is_harsh(what, name, [rule(old, house[0]), rule(new, house[1])]))
            }
        };
        Change::Changed { what: what.to_owned(), how: format!("{called} {how}").trim().to_owned(), grave: grave || is_payment(what, name) }
    };
    changed.map(change).collect()
}

/// Before the names of prices.
const PRICE: &str = "price ";
/// Before the countries of tax rates.
const TAX: &str = "tax ";

fn no_tax() -> Leaf {
    Leaf { is: Value::Null, said: "0".into() }
}

/// Amounts and parts of a hundred that money follows from.
fn is_rate(what: &str, name: &str) -> bool {
    let of = |kind: &str| what.starts_with(kind);
    of(TAX) || ((of("coupon ") || of("tier ")) && (name == "percent" || name == "amount" || name.starts_with("from.")))
}

/// Where customers pay to.
fn is_payment(what: &str, name: &str) -> bool {
    is_rules(what) && name == "deposit_addresses"
}

fn is_rules(what: &str) -> bool {
    what == RULES || what.ends_with(": policy")
}

/// A rule by which servers end sooner than before, or may end that could not; none: the built-in one.
fn is_harsh(what: &str, name: &str, [old, new]: [Option<String>; 2]) -> bool {
    let built_in = Policy::default();
    let sooner = |built_in: Duration| {
        let time = |text: &Option<String>| text.as_ref().map_or(Some(built_in), |text| parse_duration(text).ok());
        time(&new) < time(&old)
    };
    is_rules(what)
        && match name {
            "suspend_after" => sooner(built_in.suspend_after),
            "terminate_after" => sooner(built_in.terminate_after),
            "min_notice" => sooner(built_in.min_notice),
            "never_suspend" | "never_terminate" => old.as_deref() == Some("true") && new.as_deref() != Some("true"),
            _ => false,
        }
}

/// `5.00 → 0.50, −90 %`, and whether that is more than half.
pub(super) fn moved(old: &str, new: &str) -> (String, bool) {
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
    let mut put = |what: String, values: Values| drop(things.insert(what, values));
    c.region.iter().for_each(|e| put(format!("region {}", e.id), values(e, &["id"])));
    c.node.iter().for_each(|e| put(format!("node {}", e.id), values(e, &["id"])));
    c.template.iter().for_each(|e| put(format!("template {}", e.id), values(e, &["id"])));
    c.iso.iter().for_each(|e| put(format!("iso {}", e.id), values(e, &["id"])));
    c.pool.iter().for_each(|e| put(format!("pool {}", e.id), values(e, &["id"])));
    for e in &c.product {
        put(format!("product {}", e.key), values(e, &["key", "policy"]));
        put(format!("product {}: policy", e.key), rules(&e.policy));
    }
    c.addon.iter().for_each(|e| put(format!("add-on {}", e.key), values(e, &["key"])));
    c.coupon.iter().for_each(|e| put(format!("coupon {}", e.code.to_ascii_uppercase()), values(e, &["code"])));
    c.tier.iter().for_each(|e| put(format!("tier {}", e.name), values(e, &["name"])));
    c.seller.iter().for_each(|e| put("seller".into(), values(e, &[])));
    c.affiliates.iter().for_each(|e| put("affiliates".into(), values(e, &[])));
    c.tax.iter().for_each(|(country, rate)| put(format!("{TAX}{country}"), Values::from([(String::new(), Leaf::of(rate.as_str().into()))])));
    put(RULES.into(), rules(&c.policy));
    things
}

/// The rules of the house.
const RULES: &str = "policy";

/// The rules of the house, or of a plan, in one thing: without one it is as it is built in, which is no loss.
fn rules(table: &toml::Table) -> Values {
    let mut rules = BTreeMap::new();
    flat(table, "", &mut rules);
    rules.into_iter().map(|(name, value)| (name, Leaf::of(value.into()))).collect()
}

/// The leaves of an entry by their path; prices by cycle and currency, as people say them.
fn values(entry: &impl Serialize, but: &[&str]) -> Values {
    let mut leaves = Values::new();
    let value = serde_json::to_value(entry).unwrap_or_default();
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !but.contains(&name.as_str())) {
        collect(name, value, &mut leaves);
    }
    leaves
}

fn collect(path: &str, value: &Value, leaves: &mut Values) {
    match value {
        Value::Null => return,
        Value::Object(inner) => {
            return inner.iter().for_each(|(name, value)| collect(&format!("{path}.{name}"), value, leaves));
        }
        Value::Array(list) if list.is_empty() => return,
        _ => {}
    }
    let name = match path.split('.').collect::<Vec<_>>().as_slice() {
        ["prices", currency, cycle] => format!("{PRICE}{cycle} {currency}"),
        _ => path.to_owned(),
    };
    leaves.insert(name, Leaf::of(value.clone()));
}

/// As much of a value as a line holds.
const SHOWN: usize = 80;

impl Leaf {
    fn of(is: Value) -> Self {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned);
        let said = match &is {
            Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
            value => text(value),
        };
        let said = said.replace(char::is_control, " ");
        // A logo, for one, is told by its length.
        let said = if said.chars().count() > SHOWN {
            format!("{}… ({} characters)", said.chars().take(SHOWN / 2).collect::<String>(), said.chars().count())
        } else {
            said
        };
        Self { is, said }
    }
}
