//! `leasehold server snapshot …`

use clap::Subcommand;
use leasehold_commands::snapshots;
use serde_json::json;

use super::{Context, server::value};
use crate::{
    exit::Failure,
    output::{confirm, show, table},
};

/// `leasehold server snapshot ID …`
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Take one.
    Create {
        /// Its name.
        name: String,
    },
    /// Remove one.
    Delete {
        /// Its name or id.
        name: String,
    },
    /// All of the server.
    List,
    /// Put the disk back; what was written since is lost.
    Revert {
        /// Its name or id.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(c: &Context, server: &str, action: Action) -> Result<(), Failure> {
    let app = c.app().await?;
    let (store, me) = (&app.store, &app.actor);
    let (s, says) = match action {
        Action::List => {
            let all = snapshots::list(store, server).await?;
            let row = |s: &leasehold_store::snapshots::SnapshotView| {
                vec![
                    s.name.clone(),
                    s.state.to_owned(),
                    s.taken_at.map_or_else(String::new, leasehold_domain::Timestamp::human),
                    s.id.clone(),
                    s.error.clone().unwrap_or_default(),
                ]
            };
            show(c.json(), &json!(all), || table(&["SNAPSHOT", "STATE", "TAKEN", "ID", "ERROR"], all.iter().map(row)));
            return Ok(());
        }
        Action::Create { name } => (snapshots::take(store, me, server, &name).await?, format!("the snapshot '{name}' is being taken")),
        Action::Delete { name } => (snapshots::delete(store, me, server, &name).await?, format!("the snapshot '{name}' is being removed")),
        Action::Revert { name, yes } => {
            if !yes && !confirm(&format!("what {server} wrote since '{name}' will be lost; go back?")) {
                return Err(Failure::Refused(format!("{server} was not put back; say --yes to do it")));
            }
            (snapshots::revert(store, me, server, &name).await?, format!("the disk is being put back to '{name}'"))
        }
    };
    show(c.json(), &value(&s), || say!("{}: {says}; look at: leasehold server snapshot {} list", s.label, s.id));
    Ok(())
}
