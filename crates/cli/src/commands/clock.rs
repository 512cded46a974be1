//! `leasehold clock …`

use clap::Subcommand;
use leasehold_commands::operate;
use leasehold_domain::time::parse_duration;
use serde_json::json;

use super::Context;
use crate::{
    app::App,
    drive::Driver,
    exit::Failure,
    output::{progress, show},
};

/// `leasehold clock …`
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Move simulated time forward, from event to event; everything that is due on the way is done.
    Advance {
        /// By how much, like 40d.
        by: String,
        /// Stop no more often than this; what falls due meanwhile is done together, as a scheduler does that looks so rarely.
        #[arg(long, default_value = "15s")]
        step: String,
    },
    /// Say that the time is right although it jumped: settling goes on.
    Confirm,
    /// What time it is for leasehold.
    Show,
}

pub(super) async fn run(c: &Context, command: ClockCommand) -> Result<(), Failure> {
    match command {
        ClockCommand::Advance { by, step } => advance(c, &by, &step).await,
        ClockCommand::Confirm => {
            let app = c.app().await?;
            let now = operate::confirm_clock(&app.store, &app.actor).await?;
            show(c.json(), &json!({ "now": now }), || say!("it is {}; settling goes on", now.human()));
            Ok(())
        }
        ClockCommand::Show => {
            let app = c.app().await?;
            let now = app.store.clock().now();
            let mode = &app.config.clock.mode;
            show(c.json(), &json!({ "now": now, "mode": mode }), || say!("{} ({mode} clock)", now.human()));
            Ok(())
        }
    }
}

async fn advance(c: &Context, by: &str, step: &str) -> Result<(), Failure> {
    let span = |text| parse_duration(text).map_err(|e| Failure::Usage(e.to_string()));
    let (by, step) = (span(by)?, span(step)?);
    let configured = c.configured()?;
    if configured.clock.mode != "simulated" {
        return Err(Failure::Refused("only a simulated clock is moved by hand; set clock.mode = \"simulated\" with a database of its own".into()));
    }
    let app = App::open_with_keys(configured).await?;
    app.check().await?;
    only_a_trial(&app).await?;
    // The driver is the daemon while time moves.
    let _lock = app.store.lock_daemon()?;
    let driver = Driver { store: &app.store, worker: app.worker("clock")?, scheduler: app.scheduler(), step };
    let until = app.store.clock().now() + by;
    driver.to(until, |now| progress(&now.human())).await?;
    let now = app.store.clock().now();
    show(c.json(), &json!({ "now": now }), || say!("{}", now.human()));
    Ok(())
}

/// A trial must not reach real machines or real people.
async fn only_a_trial(app: &App) -> Result<(), Failure> {
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
