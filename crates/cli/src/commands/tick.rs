//! `leasehold tick …`

use clap::Subcommand;
use leasehold_commands::operate;
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold tick …`
#[derive(Debug, Subcommand)]
pub enum Tick {
    /// All ticks.
    List,
    /// Skip a tick until it is resumed.
    Pause {
        /// The tick.
        name: String,
    },
    /// No longer skip it.
    Resume {
        /// The tick.
        name: String,
    },
    /// Make a tick due now.
    Run {
        /// The tick.
        name: String,
    },
}

pub(super) async fn run(c: &Context, command: Tick) -> Result<(), Failure> {
    let app = c.app().await?;
    let (store, actor) = (&app.store, &app.actor);
    let done = |name: &str, what: &str| show(c.json(), &json!({ "tick": name, "state": what }), || say!("tick {name}: {what}"));
    match command {
        Tick::List => {
            let ticks = store.read().await?.ticks().await?;
            let value = json!(ticks.iter().map(|t| json!({ "name": t.name, "nextAt": t.next_at, "paused": t.paused, "runs": t.runs, "endedAt": t.ended_at.map(|w| w.0), "error": t.last_error })).collect::<Vec<_>>());
            let rows = ticks.iter().map(|t| {
                let purpose = leasehold_cron::TICKS.iter().find(|k| k.name == t.name).map_or("", |k| k.purpose);
                let next = if t.paused { "paused".to_owned() } else { t.next_at.human() };
                vec![
                    t.name.clone(),
                    purpose.to_owned(),
                    next,
                    t.ended_at.map_or_else(|| "never".into(), |at| at.0.human()),
                    t.runs.to_string(),
                    t.last_error.clone().unwrap_or_default(),
                ]
            });
            show(c.json(), &value, || table(&["TICK", "PURPOSE", "NEXT", "LAST", "RUNS", "ERROR"], rows));
        }
        Tick::Pause { name } => {
            operate::pause_tick(store, actor, &name, true).await?;
            done(&name, "paused");
        }
        Tick::Resume { name } => {
            operate::pause_tick(store, actor, &name, false).await?;
            done(&name, "resumed");
        }
        Tick::Run { name } => {
            operate::ring_tick(store, actor, &name).await?;
            done(&name, "due now");
        }
    }
    Ok(())
}
