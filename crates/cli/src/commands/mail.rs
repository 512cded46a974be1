//! `leasehold mail …`

use clap::Subcommand;
use leasehold_commands::operate;
use leasehold_domain::notice::MailState;
use leasehold_notifier::{Renderer, sample};
use leasehold_store::mails::Mail as Row;
use serde_json::{Value, json};

use super::Context;
use crate::{
    config,
    exit::Failure,
    output::{show, table},
};

/// `leasehold mail …`
#[derive(Debug, Subcommand)]
pub enum Mail {
    /// The newest mails.
    List {
        /// Only of this state.
        #[arg(long)]
        state: Option<MailState>,
    },
    /// What a notice looks like.
    Preview {
        /// Which notice.
        kind: leasehold_domain::notice::NoticeKind,
    },
    /// Send one again under a new Message-ID.
    Resend {
        /// Its id.
        id: String,
    },
    /// One mail, in full.
    Show {
        /// Its id.
        id: String,
    },
}

fn value(m: &Row) -> Value {
    json!({
        "id": m.id, "kind": m.kind, "to": m.recipient, "server": m.server_id, "state": m.state, "messageId": m.message_id, "attempts": m.attempt,
        "createdAt": m.created_at, "sentAt": m.sent_at.map(|w| w.0), "nextAt": m.next_at.map(|w| w.0), "error": m.last_error, "resendOf": m.resend_of,
    })
}

pub(super) async fn run(c: &Context, command: Mail) -> Result<(), Failure> {
    if let Mail::Preview { kind } = command {
        let templates = config::load(&c.cli.config)?.mail.templates;
        let renderer = Renderer::new(templates.as_deref()).map_err(|e| Failure::Usage(e.to_string()))?;
        let mail = renderer.render(kind, "en", &sample()).map_err(|e| Failure::Usage(e.to_string()))?;
        show(c.json(), &json!({ "subject": mail.subject, "text": mail.text, "html": mail.html }), || say!("Subject: {}\n\n{}", mail.subject, mail.text));
        return Ok(());
    }
    let app = c.app().await?;
    match command {
        Mail::List { state } => {
            let mails = app.store.read().await?.mails(state, None, 200).await?;
            let rows = mails.iter().map(|m| {
                vec![
                    m.created_at.human(),
                    m.kind.to_string(),
                    m.recipient.clone(),
                    m.state.to_string(),
                    m.last_error.clone().unwrap_or_default(),
                    m.id.to_string(),
                ]
            });
            show(c.json(), &json!(mails.iter().map(value).collect::<Vec<_>>()), || table(&["WHEN", "NOTICE", "TO", "STATE", "ERROR", "ID"], rows));
        }
        Mail::Show { id } => {
            let m = app.store.read().await?.mail(&id.into()).await?;
            show(c.json(), &value(&m), || {
                say!("{} to {}\nstate {}, {} attempt(s), Message-ID {}", m.kind, m.recipient, m.state, m.attempt, m.message_id);
                say!("written {}{}", m.created_at.human(), m.sent_at.map_or_else(String::new, |at| format!(", sent {}", at.0.human())));
                if let Some(error) = &m.last_error {
                    say!("last error: {error}");
                }
            });
        }
        Mail::Resend { id } => {
            let new = operate::resend_mail(&app.store, &app.actor, &id.into()).await?;
            show(c.json(), &json!({ "id": new }), || say!("queued as {new}"));
        }
        Mail::Preview { .. } => {}
    }
    Ok(())
}
