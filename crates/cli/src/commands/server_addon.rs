//! `leasehold server addon …`

use clap::Subcommand;
use leasehold_commands::addons;
use leasehold_store::addons::ServerAddon;
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold server addon ID …`
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Attach one; its price until the end of what is paid is set aside, and paid when it is there.
    Add {
        /// Its key or id.
        addon: String,
        /// The same key with the same request is the same request.
        #[arg(long)]
        key: Option<String>,
    },
    /// What is offered, at what price, and what the server has.
    List,
    /// End one with what is paid.
    Remove {
        /// Its key, kind or id.
        addon: String,
    },
}

fn value(a: &ServerAddon) -> Value {
    json!({ "id": a.id, "addon": a.addon_id, "name": a.name, "kind": a.kind, "state": a.state, "until": a.until_at.map(|at| at.0), "error": a.error })
}

pub(super) async fn run(c: &Context, server: &str, action: Action) -> Result<(), Failure> {
    let app = c.app().await?;
    let (store, me) = (&app.store, &app.actor);
    match action {
        Action::List => {
            let offers = addons::offers(store, server).await?;
            let row = |o: &addons::Offer| {
                let state = o.state.map_or_else(String::new, |s| s.to_string());
                let until = o.until.map_or_else(String::new, |at| format!(" until {}", at.day()));
                let now = o.price_now.as_ref().map_or_else(String::new, |now| format!("{now} {}", o.currency));
                vec![o.name.clone(), o.kind.to_string(), format!("{} {}", o.price, o.currency), now, format!("{state}{until}"), o.id.clone()]
            };
            show(c.json(), &json!(offers), || table(&["ADD-ON", "KIND", "A PERIOD", "NOW", "STATE", "ID"], offers.iter().map(row)));
        }
        Action::Add { addon, key } => {
            let a = addons::attach(store, me, server, &addon, key.as_deref()).await?;
            show(c.json(), &value(&a), || say!("{} is {}; look at: leasehold server addon {server} list", a.name, a.state));
        }
        Action::Remove { addon } => {
            let a = addons::detach(store, me, server, &addon).await?;
            let until = a.until_at.map_or_else(String::new, |at| at.0.human());
            show(c.json(), &value(&a), || say!("{} ends on {until}; it is not paid for after that", a.name));
        }
    }
    Ok(())
}
