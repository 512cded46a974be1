//! `leasehold clock …`

use clap::Subcommand;
use leasehold_domain::time::parse_duration;
use serde_json::json;

use super::Context;
use crate::{exit::Failure, output::show};

/// `leasehold clock …`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Move simulated time forward, from event to event.
    Advance {
        /// By how much, like 40d.
        by: String,
    },
    /// What time it is for leasehold.
    Show,
}

pub(super) async fn run(c: &Context, command: ClockCommand) -> Result<(), Failure> {
    let app = c.app().await?;
    match command {
        ClockCommand::Show => {
            let now = app.store.clock().now();
            let mode = &app.config.clock.mode;
            show(c.json(), &json!({ "now": now, "mode": mode }), || say!("{} ({mode} clock)", now.human()));
        }
        ClockCommand::Advance { by } => {
            if app.config.clock.mode != "simulated" {
                return Err(Failure::Refused("only a simulated clock is moved by hand; set clock.mode = \"simulated\" with a database of its own".into()));
            }
            let by = parse_duration(&by).map_err(|e| Failure::Usage(e.to_string()))?;
            app.check().await?;
            only_a_trial(&app).await?;
            let now = app.store.advance_clock(by).await?;
            show(c.json(), &json!({ "now": now }), || say!("{}", now.human()));
        }
    }
    Ok(())
}

/// A trial must not reach real machines or real people.
async fn only_a_trial(app: &crate::app::App) -> Result<(), Failure> {
    let transport = &app.config.mail.transport;
    let local = !transport.starts_with("smtp") || ["//127.0.0.1", "//localhost", "@127.0.0.1", "@localhost"].iter().any(|host| transport.contains(host));
    if !local {
        return Err(Failure::Refused("simulated time is not moved while mail goes to a real server; set mail.transport = \"stdout\"".into()));
    }
    match app.store.read().await?.nodes().await?.iter().find(|n| !n.hidden && n.backend != "simulated") {
        Some(node) => Err(Failure::Refused(format!("simulated time is not moved while node {} builds real machines", node.id))),
        None => Ok(()),
    }
}
