//! `leasehold machine …`

use clap::Subcommand;
use leasehold_commands::machines;
use serde_json::json;

use super::{Context, whose};
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold machine …`
#[derive(Debug, Subcommand)]
pub enum Machine {
    /// Forget one until it tells of itself again.
    Forget {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Its id or name.
        machine: String,
    },
    /// The machines that a customer has elsewhere.
    List {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
    },
    /// The line that a machine runs to be listed.
    Script {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Another one: the line before lists nothing any more.
        #[arg(long)]
        renew: bool,
    },
}

pub(super) async fn run(c: &Context, command: Machine) -> Result<(), Failure> {
    match command {
        Machine::Forget { account, machine } => {
            let app = c.app().await?;
            let account = app.store.read().await?.find_account(&whose(account)?).await?.id;
            let gone = machines::forget(&app.store, &app.actor, &account, &machine).await?;
            show(c.json(), &json!({ "id": gone.id, "forgotten": true }), || say!("{} is forgotten", gone.name));
        }
        Machine::List { account } => {
            let app = c.app().await?;
            let mut tx = app.store.read().await?;
            let account = tx.find_account(&whose(account)?).await?.id;
            let all = tx.machines(&account).await?;
            let rows = all.iter().map(|m| vec![m.name.clone(), m.vendor.clone(), m.addresses.clone(), m.seen_at.human(), m.id.clone()]);
            show(c.json(), &json!(all), || table(&["MACHINE", "VENDOR", "ADDRESSES", "SEEN", "ID"], rows));
        }
        Machine::Script { account, renew } => {
            let app = c.app_with_keys().await?;
            let mut tx = if renew { app.store.begin().await? } else { app.store.read().await? };
            let account = tx.find_account(&whose(account)?).await?.id;
            if renew {
                machines::renew(&mut tx, &app.actor, &account).await?;
            }
            let line = machines::line(&app.config.api_settings().public_url, &tx.registration_token(&account).await?);
            if renew {
                tx.commit().await?;
            }
            show(c.json(), &json!({ "script": line }), || say!("{line}"));
        }
    }
    Ok(())
}
