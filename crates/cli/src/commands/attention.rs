//! `leasehold attention …`

use clap::Subcommand;
use leasehold_commands::operate;
use leasehold_store::attention::Attention as Matter;
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold attention …`
#[derive(Debug, Subcommand)]
pub enum Attention {
    /// Close one.
    Close {
        /// Its id.
        id: String,
    },
    /// What is open.
    List {
        /// Closed ones too.
        #[arg(long)]
        all: bool,
    },
    /// One, in full.
    Show {
        /// Its id.
        id: String,
    },
}

fn value(a: &Matter) -> Value {
    json!({ "id": a.id, "kind": a.kind, "subject": a.subject, "detail": a.detail, "openedAt": a.opened_at, "closedAt": a.closed_at.map(|w| w.0), "closedBy": a.closed_by })
}

pub(super) async fn run(c: &Context, command: Attention) -> Result<(), Failure> {
    let app = c.app().await?;
    match command {
        Attention::List { all } => {
            let matters = app.store.read().await?.attention(all, 500).await?;
            show(c.json(), &json!(matters.iter().map(value).collect::<Vec<_>>()), || {
                if matters.is_empty() {
                    say!("nothing needs a person");
                } else {
                    table(
                        &["SINCE", "KIND", "SUBJECT", "DETAIL", "ID"],
                        matters.iter().map(|a| vec![a.opened_at.human(), a.kind.clone(), a.subject.clone(), a.detail.clone(), a.id.clone()]),
                    );
                }
            });
        }
        Attention::Show { id } => {
            let a = app.store.read().await?.attention_by_id(&id).await?;
            show(c.json(), &value(&a), || {
                say!("{} {}\nsince {}\n{}", a.kind, a.subject, a.opened_at.human(), a.detail);
                if let (Some(at), Some(by)) = (a.closed_at, &a.closed_by) {
                    say!("closed {} by {by}", at.0.human());
                }
            });
        }
        Attention::Close { id } => {
            operate::close_attention(&app.store, &app.actor, &id).await?;
            show(c.json(), &json!({ "id": id, "closed": true }), || say!("closed"));
        }
    }
    Ok(())
}
