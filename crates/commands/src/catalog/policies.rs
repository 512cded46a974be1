//! The rules of dunning in a catalogue.

use std::collections::BTreeMap;

use leasehold_domain::{
    UnknownName,
    policy::{Key, Level, Policy},
};
use leasehold_store::Tx;

use super::{Catalog, differs, products::product_id};
use crate::{CommandError, Result};

/// `{ suspend_after = "3d", breaker = { suspensions = { count = 50 } } }` as keys with points and texts.
pub(super) fn flat(table: &toml::Table, prefix: &str, rules: &mut BTreeMap<String, String>) {
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
pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let plans = c.product.iter().map(|e| (Level::Plan, product_id(&e.key).to_string(), format!("product {}: ", e.key), &e.policy));
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
            if differs(before.get(key), value) {
                tx.set_rule(level, &subject, *key, Some(value)).await?;
            }
        }
        for key in before.keys().filter(|key| !wanted.contains_key(*key)) {
            tx.set_rule(level, &subject, *key, None).await?;
        }
    }
    Ok(())
}
