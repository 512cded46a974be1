//! What operators ask of the books: rules, breakers, parked accounts.

use leasehold_domain::{
    breaker::Kind,
    policy::{Key, Level, Policy},
};
use leasehold_store::{Store, Tx, accounts::AccountState, activity::Actor, crash};
use serde::Serialize;

use crate::{CommandError, Result, accounts::set_state, commit};

/// Whose rules are meant.
#[derive(Clone, Debug)]
pub enum Scope<'a> {
    /// An account's, by id or number.
    Account(&'a str),
    /// A server's lease, by the server's id, label or hostname.
    Server(&'a str),
}

/// A rule, what it says, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Which rule.
    pub key: Key,
    /// What it says.
    pub value: String,
    /// The level that says so; none: built in.
    pub level: Option<Level>,
}

struct Found {
    level: Level,
    subject: String,
    account: String,
    plan: Option<String>,
}

async fn find(tx: &mut Tx, scope: &Scope<'_>) -> Result<Found> {
    match scope {
        Scope::Account(text) => {
            let account = tx.find_account(text).await?;
            Ok(Found { level: Level::Account, subject: account.id.to_string(), account: account.id.to_string(), plan: None })
        }
        Scope::Server(text) => {
            let s = tx.find_server(text).await?;
            let lease = tx.lease_of(&s.id).await?.ok_or_else(|| CommandError::NotFound(format!("server {} has no lease", s.label)))?;
            Ok(Found { level: Level::Lease, subject: lease.id.to_string(), account: s.account_id.to_string(), plan: Some(s.product_id.to_string()) })
        }
    }
}

/// Every rule as it applies, and where it comes from.
pub async fn rules(store: &Store, scope: &Scope<'_>) -> Result<Vec<Effective>> {
    let mut tx = store.read().await?;
    let found = find(&mut tx, scope).await?;
    let mut levels = vec![(Level::System, String::new())];
    levels.extend(found.plan.map(|plan| (Level::Plan, plan)));
    levels.push((Level::Account, found.account));
    if found.level == Level::Lease {
        levels.push((Level::Lease, found.subject));
    }
    let mut policy = Policy::default();
    let mut from = std::collections::HashMap::new();
    for (level, subject) in levels {
        for rule in tx.rules(level, &subject).await? {
            policy.set(rule.key, &rule.value).map_err(|e| CommandError::Invalid(e.to_string()))?;
            from.insert(rule.key, level);
        }
    }
    Ok(Key::ALL.iter().map(|key| Effective { key: *key, value: policy.get(*key), level: from.get(key).copied() }).collect())
}

/// Sets a rule of an account or a lease, or takes it away; whoever it concerns is looked at at once.
pub async fn set_rule(store: &Store, actor: &Actor, scope: &Scope<'_>, key: Key, value: Option<&str>) -> Result<()> {
    if key.is_for_the_house() {
        return Err(CommandError::Invalid(format!("{key} is a rule of the whole house; set it in the catalogue's [policy]")));
    }
    if let Some(value) = value {
        Policy::default().set(key, value).map_err(|e| CommandError::Invalid(e.to_string()))?;
    }
    let mut tx = store.begin().await?;
    let found = find(&mut tx, scope).await?;
    let account = found.account.as_str().into();
    tx.books(&account).await?;
    tx.set_rule(found.level, &found.subject, key, value).await?;
    let said = value.map_or_else(|| format!("{key} as the house has it"), |v| format!("{key} = {v}"));
    tx.log(actor, "policy.set", Some(&account), None, &format!("{} {}: {said}", found.level, found.subject)).await?;
    commit(tx).await
}

/// Lets exactly so many through an open breaker; of renewals all that are due.
pub async fn confirm_breaker(store: &Store, actor: &Actor, kind: Kind, count: i64) -> Result<()> {
    if count < 1 {
        return Err(CommandError::Invalid("a count of at least 1 is needed".into()));
    }
    let mut tx = store.begin().await?;
    let mut breaker = tx.lock_breaker(kind).await?;
    if breaker.opened_at.is_none() {
        return Err(CommandError::Refused(format!("the breaker for {kind}s is not open; nothing waits for it")));
    }
    if count > breaker.due {
        return Err(CommandError::Invalid(format!("{} {kind}s are due; {count} are more than that", breaker.due)));
    }
    if kind == Kind::Renewal && count < breaker.due {
        let due = breaker.due;
        return Err(CommandError::Invalid(format!("{due} renewals are due, and are let through together: set right what is wrong, then confirm what is left")));
    }
    breaker.confirmed = count;
    tx.save_breaker(&breaker).await?;
    tx.attended("breaker_open", &format!("breaker:{kind}"), &actor.name).await?;
    tx.ring_settle().await?;
    tx.log(actor, "breaker.confirm", None, None, &format!("{count} {kind}s")).await?;
    commit(tx).await
}

/// Goes on with an account: one whose books were put aside is settled at once, and what still goes wrong is told; any other is sold to
/// again. One that is both stays frozen until it is asked for once more: why its books stood still says nothing about a payment that was
/// taken back. Answers the state that it is in.
pub async fn resume(store: &Store, actor: &Actor, account: &str) -> Result<AccountState> {
    let mut tx = store.begin().await?;
    let found = tx.find_account(account).await?;
    tx.books(&found.id).await?;
    if !tx.unpark_account(&found.id).await? {
        drop(tx);
        set_state(store, actor, account, AccountState::Active).await?;
        return Ok(AccountState::Active);
    }
    tx.attended("account_parked", &format!("account:{}", found.id), &actor.name).await?;
    tx.log(actor, "account.resume", Some(&found.id), None, "").await?;
    tx.settle_account(&found.id).await?;
    commit(tx).await?;
    crash::point("settle.account_committed").await;
    Ok(found.state)
}
