//! API keys.

use std::time::Duration;

use leasehold_store::{
    Store,
    activity::Actor,
    keys::{ApiKey, KeyKind, NewKey},
};
use secrecy::SecretString;

use crate::{CommandError, Result, commit};

/// Every scope that a key can carry.
pub const SCOPES: &[&str] = &[
    "*",
    "account:read",
    "api_keys:read",
    "api_keys:write",
    "billing:read",
    "servers:destroy",
    "servers:read",
    "servers:write",
    "services:read",
    "ssh_keys:read",
    "ssh_keys:write",
    "users",
    "webhooks:read",
    "webhooks:write",
];

/// What a key gets when nothing is said: everything but destroying servers.
pub const DEFAULT_SCOPES: &str = "account:read,billing:read,servers:read,servers:write,ssh_keys:read,ssh_keys:write";

/// Makes a key; the text in the answer is shown once.
pub async fn create(
    store: &Store,
    actor: &Actor,
    account: Option<&str>,
    kind: KeyKind,
    prefix: &str,
    scopes: &str,
    lasts: Option<Duration>,
) -> Result<(ApiKey, SecretString)> {
    if let Some(unknown) = scopes.split(',').find(|s| !SCOPES.contains(s)) {
        return Err(CommandError::Invalid(format!("unknown scope '{unknown}' (known: {})", SCOPES.join(", "))));
    }
    if kind == KeyKind::E24 || kind == KeyKind::Service {
        return Err(CommandError::Invalid(format!("{kind} keys are made through the HTTP API, which knows their service")));
    }
    if account.is_none() != (kind == KeyKind::Operator) {
        return Err(CommandError::Invalid("an operator's key has no account, every other key needs --account".into()));
    }
    let mut tx = store.begin().await?;
    let account = match account {
        Some(text) => Some(tx.find_account(text).await?.id),
        None => None,
    };
    let expires_at = lasts.map(|lasts| tx.now + lasts);
    let made = tx.create_key(NewKey { account: account.as_ref(), kind, prefix, scopes, expires_at }).await?;
    tx.log(actor, "key.create", account.as_ref(), None, &format!("{kind} {}", made.0.public_id)).await?;
    commit(tx).await?;
    Ok(made)
}

/// Ends a key at once.
pub async fn revoke(store: &Store, actor: &Actor, id: &str) -> Result<ApiKey> {
    let mut tx = store.begin().await?;
    let key = tx.key(id).await?;
    tx.revoke_key(&key.id).await?;
    tx.log(actor, "key.revoke", key.account_id.clone().map(Into::into).as_ref(), None, &key.public_id).await?;
    commit(tx).await?;
    Ok(key)
}
