//! `leasehold key …`

use clap::Subcommand;
use leasehold_commands::keys::{self, Wanted};
use leasehold_domain::time::parse_duration;
use leasehold_store::keys::{ApiKey, KeyKind, Service};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold key …`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; it is printed once.
    Create {
        /// Whose; not for an operator's.
        #[arg(long)]
        account: Option<String>,
        /// The member that it speaks for, by address or id; the owner where none is named.
        #[arg(long, requires = "account")]
        member: Option<String>,
        /// What for.
        #[arg(long, default_value = "api")]
        kind: KeyKind,
        /// What it may do, separated by commas.
        #[arg(long)]
        scopes: Option<String>,
        /// How long it lasts, like 90d.
        #[arg(long)]
        expires: Option<String>,
        /// The service that it is for, of the kind service: database, storage, llm-api, dns or vps.
        #[arg(long)]
        service: Option<Service>,
        /// What it is for, in your words.
        #[arg(long)]
        description: Option<String>,
    },
    /// Keys of an account, or the operators'.
    List {
        /// Whose.
        #[arg(long)]
        account: Option<String>,
    },
    /// End a key at once.
    Revoke {
        /// Its id or public id.
        id: String,
    },
}

fn value(k: &ApiKey) -> Value {
    json!({ "id": k.id, "publicId": k.public_id, "kind": k.kind, "account": k.account_id, "scopes": k.scopes, "service": k.service.map(|s| s.0), "description": k.description, "createdAt": k.created_at, "expiresAt": k.expires_at.map(|w| w.0), "revokedAt": k.revoked_at.map(|w| w.0) })
}

pub(super) async fn run(c: &Context, command: Key) -> Result<(), Failure> {
    match command {
        Key::Create { account, member, kind, scopes, expires, service, description } => {
            let lasts = expires.map(|text| parse_duration(&text)).transpose().map_err(|e| Failure::Usage(e.to_string()))?;
            let usual = || match (kind, service) {
                (KeyKind::Operator, _) => "*".into(),
                (_, Some(service)) => service.scopes(),
                _ => keys::DEFAULT_SCOPES.into(),
            };
            let wanted = Wanted { kind, scopes: scopes.unwrap_or_else(usual), service, description: description.as_deref(), lasts, member: member.as_deref() };
            create(c, account.as_deref(), &wanted).await
        }
        Key::List { account } => {
            let app = c.app().await?;
            let mut tx = app.store.read().await?;
            let account = match account {
                Some(text) => Some(tx.find_account(&text).await?.id),
                None => None,
            };
            let list = tx.keys(account.as_ref()).await?;
            let state = |k: &ApiKey| if k.revoked_at.is_some() { "revoked" } else { "active" };
            let rows = list.iter().map(|k| vec![k.public_id.clone(), k.kind.to_string(), k.scopes.clone(), k.created_at.human(), state(k).to_owned()]);
            show(c.json(), &json!(list.iter().map(value).collect::<Vec<_>>()), || table(&["KEY", "KIND", "SCOPES", "CREATED", "STATE"], rows));
            Ok(())
        }
        Key::Revoke { id } => {
            let app = c.app().await?;
            let key = keys::revoke(&app.store, &app.actor, &id).await?;
            show(c.json(), &json!({ "id": key.id, "revoked": true }), || say!("key {} is revoked", key.public_id));
            Ok(())
        }
    }
}

async fn create(c: &Context, account: Option<&str>, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let app = c.app_with_keys().await?;
    let (key, secret) = keys::create(&app.store, &app.actor, account, &app.config.api.key_prefix, wanted).await?;
    let mut shown = value(&key);
    shown["key"] = secret.expose_secret().into();
    show(c.json(), &shown, || match key.kind {
        KeyKind::E24 => say!("{} {}\nKey and secret; the secret is shown once, and kept sealed.", key.public_id, secret.expose_secret()),
        _ => say!("{}\nIt is shown once; only a digest of it is kept.", secret.expose_secret()),
    });
    Ok(())
}
