//! `leasehold billing …`

use clap::Subcommand;
use serde_json::json;

use super::Context;
use crate::{exit::Failure, output::show};

/// `leasehold billing …`
#[derive(Debug, Subcommand)]
pub enum Billing {
    /// Check that the books balance and the records fit; exit 1 when something does not.
    Audit,
}

pub(super) async fn run(c: &Context, command: Billing) -> Result<(), Failure> {
    let Billing::Audit = command;
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
