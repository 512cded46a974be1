//! What is due to be renewed and to be taken away, and what stops it.

use std::time::Duration;

use leasehold_domain::{
    Timestamp,
    breaker::{Kind, Limits},
    dunning::Enforcement,
};
use leasehold_store::Store;
use serde::Serialize;

use crate::Result;

/// How a breaker stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Which.
    pub kind: Kind,
    /// Since when nothing goes through; none: it is closed.
    pub opened_at: Option<Timestamp>,
    /// How many are due.
    pub due: i64,
    /// How many were done within a day; none for renewals.
    #[serde(rename = "doneWithinADay")]
    pub done: Option<i64>,
    /// More than so many open it.
    pub limit: i64,
    /// How many an operator lets through.
    pub confirmed: i64,
    /// The first of those that are due.
    pub who: Vec<Concerned>,
}

/// Whom a breaker is about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Concerned {
    /// The server's label.
    pub server: String,
    /// The account's number.
    pub account: i64,
    /// Since when it is due.
    pub since: Timestamp,
}

/// So many are named.
const NAMED: i64 = 100;

/// Every breaker.
pub async fn standings(store: &Store) -> Result<Vec<Standing>> {
    let mut tx = store.read().await?;
    let (breakers, since, now) = (tx.breakers().await?, tx.now - Duration::from_hours(24), tx.now);
    let policy = tx.policies(std::iter::empty()).await?.system();
    let running = tx.running_leases().await?;
    let mut standings = Vec::new();
    for kind in Kind::ALL {
        let limit = Limits::of(&policy, *kind).limit(running);
        let (due, done, limit) = if let Some(step) = Enforcement::ALL.iter().find(|step| Kind::from(**step) == *kind) {
            let load = tx.enforcement_load(*step, since).await?;
            (load.due, Some(load.done), limit)
        } else {
            let renewals = tx.renewals_due(Timestamp::default(), now).await?;
            (renewals.due, None, renewals.due - renewals.unexpected + limit)
        };
        let breaker = breakers.iter().find(|b| b.kind == *kind);
        let opened_at = breaker.and_then(|b| b.opened_at).map(|at| at.0);
        let who = tx.concerned(*kind, NAMED).await?.into_iter();
        let who = who.map(|(server, account, since)| Concerned { server, account, since: Timestamp::from_millis(since) }).collect();
        standings.push(Standing { kind: *kind, opened_at, due, done, limit, confirmed: breaker.map_or(0, |b| b.confirmed), who });
    }
    Ok(standings)
}
