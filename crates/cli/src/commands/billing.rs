//! `leasehold billing …`

use std::{collections::HashMap, time::Duration};

use clap::Subcommand;
use leasehold_commands::preview::{self, Forecast};
use leasehold_domain::{Timestamp, decision::Verb};
use serde_json::json;

use super::Context;
use crate::{
    app::App,
    exit::Failure,
    output::{show, table},
};

/// How far a preview looks by default.
const MONTH: Duration = Duration::from_hours(31 * 24);

/// `leasehold billing …`
#[derive(Debug, Subcommand)]
pub enum Billing {
    /// Check that the books balance and the records fit; exit 1 when something does not.
    Audit,
    /// What will happen to whom until a date, by the code of the real run: everybody's mails sent, nobody paying in.
    Preview {
        /// Until when; by default 31 days from now.
        #[arg(long, value_name = "DATE")]
        until: Option<Timestamp>,
    },
    /// Settle all that is due now.
    Run {
        /// Only show what is due.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn run(c: &Context, command: Billing) -> Result<(), Failure> {
    match command {
        Billing::Audit => audit(c).await,
        Billing::Preview { until } => preview(c, until).await,
        Billing::Run { dry_run: true } => due_now(c).await,
        Billing::Run { dry_run: false } => settle(c).await,
    }
}

async fn preview(c: &Context, until: Option<Timestamp>) -> Result<(), Failure> {
    let app = c.app().await?;
    let now = app.store.clock().now();
    let until = until.unwrap_or(now + MONTH);
    if until <= now {
        return Err(Failure::Usage(format!("{} is in the past; a preview looks ahead", until.human())));
    }
    print(c, &app, preview::preview(&app.store, until).await?).await
}

async fn due_now(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let now = app.store.clock().now();
    let due: Vec<Forecast> = preview::preview(&app.store, Timestamp::default()).await?.into_iter().filter(|f| f.at <= now).collect();
    print(c, &app, due).await
}

async fn print(c: &Context, app: &App, forecasts: Vec<Forecast>) -> Result<(), Failure> {
    let mut tx = app.store.read().await?;
    let mut numbers = HashMap::new();
    for f in &forecasts {
        if !numbers.contains_key(&f.account) {
            numbers.insert(f.account.clone(), tx.account(&f.account).await?.number);
        }
    }
    show(c.json(), &json!(forecasts), || {
        let row = |f: &Forecast| {
            let amount = f.amount.map_or_else(String::new, |m| m.to_string());
            let number = numbers.get(&f.account).map_or_else(String::new, ToString::to_string);
            vec![f.at.human(), number, f.server.clone().unwrap_or_default(), f.what.to_string(), amount]
        };
        table(&["WHEN", "ACCOUNT", "SERVER", "WHAT", "AMOUNT"], forecasts.iter().map(row));
    });
    Ok(())
}

async fn settle(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    app.check().await?;
    let settled = leasehold_cron::settle::run(&app.store).await?;
    let verbs = settled.verbs.iter().filter(|(verb, _)| **verb != Verb::Wait).map(|(verb, n)| format!("{n} {verb}")).collect::<Vec<_>>();
    show(c.json(), &json!({ "accounts": settled.accounts, "decided": settled.verbs }), || {
        say!("{} account(s) settled: {}", settled.accounts, if verbs.is_empty() { "nothing was due".into() } else { verbs.join(", ") });
    });
    Ok(())
}

async fn audit(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let findings = app.store.audit().await?;
    let broken = leasehold_cron::verify_chain(&app.store).await?;
    let clean = findings.is_empty() && broken.is_none();
    show(c.json(), &json!({ "clean": clean, "findings": findings, "activityChainBrokenAt": broken }), || {
        findings.iter().for_each(|f| say!("{}: {} ({})", f.rule, f.subject, f.detail));
        if let Some(at) = broken {
            say!("the activity chain breaks at line {at}");
        }
        if clean {
            say!("clean: the books balance, the records fit, the activity chain is whole");
        }
    });
    if clean { Ok(()) } else { Err(Failure::Failed(format!("the audit found {} thing(s) that should not be", findings.len() + usize::from(broken.is_some())))) }
}
