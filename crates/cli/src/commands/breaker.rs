//! `leasehold breaker …`

use std::time::Duration;

use clap::Subcommand;
use leasehold_commands::billing;
use leasehold_domain::{
    Timestamp,
    breaker::{Kind, Limits},
    dunning::Enforcement,
};
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold breaker …`
#[derive(Debug, Subcommand)]
pub enum Breaker {
    /// Let exactly so many through an open breaker; of renewals all that are due.
    Confirm {
        /// `suspension`, `termination` or `renewal`.
        kind: Kind,
        /// How many.
        #[arg(long)]
        count: i64,
    },
    /// What is due to be renewed and to be taken away, what was taken away within a day, and what stops it.
    Show,
}

pub(super) async fn run(c: &Context, command: Breaker) -> Result<(), Failure> {
    let app = c.app().await?;
    match command {
        Breaker::Confirm { kind, count } => {
            billing::confirm_breaker(&app.store, &app.actor, kind, count).await?;
            show(c.json(), &json!({ "kind": kind, "confirmed": count }), || say!("{count} {kind}s are let through"));
        }
        Breaker::Show => {
            let mut tx = app.store.read().await?;
            let (breakers, since) = (tx.breakers().await?, tx.now - Duration::from_hours(24));
            let policy = tx.policies(std::iter::empty()).await?.system();
            let (mut rows, mut values) = (Vec::new(), Vec::new());
            let running = tx.running_leases().await?;
            for kind in Kind::ALL {
                let limit = Limits::of(&policy, *kind).limit(running);
                let (due, done, limit) = if let Some(step) = Enforcement::ALL.iter().find(|step| Kind::from(**step) == *kind) {
                    let load = tx.enforcement_load(*step, since).await?;
                    (load.due, Some(load.done), limit)
                } else {
                    let now = tx.now;
                    let renewals = tx.renewals_due(Timestamp::default(), now).await?;
                    (renewals.due, None, renewals.due - renewals.unexpected + limit)
                };
                let breaker = breakers.iter().find(|b| b.kind == *kind);
                let opened = breaker.and_then(|b| b.opened_at).map(|at| at.0);
                let confirmed = breaker.map_or(0, |b| b.confirmed);
                let state = opened.map_or_else(|| "closed".to_owned(), |at| format!("open since {}", at.human()));
                rows.push(vec![
                    kind.to_string(),
                    state,
                    due.to_string(),
                    done.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                    limit.to_string(),
                    confirmed.to_string(),
                ]);
                values.push(json!({ "kind": kind, "openedAt": opened, "due": due, "doneWithinADay": done, "limit": limit, "confirmed": confirmed }));
            }
            show(c.json(), &json!(values), || table(&["KIND", "STATE", "DUE", "DONE IN 24 H", "LIMIT", "CONFIRMED"], rows));
        }
    }
    Ok(())
}
