//! `leasehold machine …`

use clap::Subcommand;
use leasehold_commands::machines;
use serde_json::json;

use super::Context;
use crate::{
    app::App,
    config,
    exit::Failure,
    output::{show, table},
};

/// `leasehold machine …`
#[derive(Debug, Subcommand)]
pub enum Machine {
    /// Forget one until it tells of itself again.
    Forget {
        /// Whose: account id or number.
        #[arg(long)]
        account: String,
        /// Its id or name.
        machine: String,
    },
    /// The machines that a customer has elsewhere.
    List {
        /// Whose: account id or number.
        #[arg(long)]
        account: String,
    },
    /// The line that a machine runs to be listed.
    Script {
        /// Whose: account id or number.
        #[arg(long)]
        account: String,
    },
}

pub(super) async fn run(c: &Context, command: Machine) -> Result<(), Failure> {
    match command {
        Machine::Forget { account, machine } => {
            let app = c.app().await?;
            let account = app.store.read().await?.find_account(&account).await?.id;
            let gone = machines::forget(&app.store, &app.actor, &account, &machine).await?;
            show(c.json(), &json!({ "id": gone.id, "forgotten": true }), || say!("{} is forgotten", gone.name));
        }
        Machine::List { account } => {
            let app = c.app().await?;
            let mut tx = app.store.read().await?;
            let account = tx.find_account(&account).await?.id;
            let all = tx.machines(&account).await?;
            let rows = all.iter().map(|m| vec![m.name.clone(), m.vendor.clone(), m.addresses.clone(), m.seen_at.human(), m.id.clone()]);
            show(c.json(), &json!(all), || table(&["MACHINE", "VENDOR", "ADDRESSES", "SEEN", "ID"], rows));
        }
        Machine::Script { account } => {
            let app = App::open_with_keys(config::load(&c.cli.config)?).await?;
            app.store.check_schema().await?;
            let mut tx = app.store.read().await?;
            let found = tx.find_account(&account).await?;
            let token = tx.registration_token(&found.id, found.number)?;
            let line = machines::line(&app.config.api_settings().public_url, &token);
            show(c.json(), &json!({ "script": line }), || say!("{line}"));
        }
    }
    Ok(())
}
