//! `leasehold breaker …`

use clap::Subcommand;
use leasehold_commands::{billing, breakers};
use leasehold_domain::breaker::Kind;
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
            let all = breakers::standings(&app.store).await?;
            let row = |b: &breakers::Standing| {
                let state = b.opened_at.map_or_else(|| "closed".to_owned(), |at| format!("open since {}", at.human()));
                let done = b.done.map_or_else(|| "-".to_owned(), |n| n.to_string());
                vec![b.kind.to_string(), state, b.due.to_string(), done, b.limit.to_string(), b.confirmed.to_string()]
            };
            show(c.json(), &json!(all), || {
                table(&["KIND", "STATE", "DUE", "DONE IN 24 H", "LIMIT", "CONFIRMED"], all.iter().map(row));
                let who = all.iter().flat_map(|b| b.who.iter().map(move |w| (b.kind, w)));
                let who: Vec<Vec<String>> = who.map(|(kind, w)| vec![kind.to_string(), w.server.clone(), w.account.to_string(), w.since.human()]).collect();
                if !who.is_empty() {
                    table(&["KIND", "SERVER", "ACCOUNT", "DUE SINCE"], who);
                }
            });
        }
    }
    Ok(())
}
