//! The keys that new servers are built with.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::ssh_keys;
use leasehold_domain::Timestamp;
use leasehold_store::accounts::SshKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Deleted, error::WaysFailure};
use crate::{
    Api,
    access::{For, SshKeysRead, SshKeysWrite},
    failure::Failure,
    once::{Begun, Posted, again, answer, begin},
};

/// A public key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SshKeyView {
    id: String,
    name: String,
    #[schema(example = "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8")]
    fingerprint: String,
    #[schema(example = "ssh-ed25519")]
    key_type: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Servers that were built with it and have not ended.
    vm_count: i64,
}

impl From<SshKey> for SshKeyView {
    fn from(k: SshKey) -> Self {
        let key_type = k.key_type().to_owned();
        Self { id: k.id, name: k.name, fingerprint: k.fingerprint, key_type, created_at: k.created_at, vm_count: k.servers }
    }
}

/// A public key to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewSshKey {
    #[schema(min_length = 1, max_length = 80, example = "deploy-server")]
    name: String,
    /// RSA (from 2048 bits on), Ed25519 or ECDSA, as OpenSSH writes it: one line.
    #[schema(example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ada@example.org")]
    public_key: String,
}

/// The account's SSH keys.
#[utoipa::path(get, path = "/ssh-keys", tag = "wayscloud", security(("key" = ["ssh_keys:read"]), ("x_api_key" = [])), responses(
    (status = 200, body = [SshKeyView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<SshKeysRead>) -> Result<Json<Vec<SshKeyView>>, Failure> {
    let all = api.store.read().await?.ssh_keys(&caller.account).await?;
    Ok(Json(all.into_iter().map(SshKeyView::from).collect()))
}

/// Has every server that is built from now on let this key in, unless its order names others.
#[utoipa::path(post, path = "/ssh-keys", tag = "wayscloud", security(("key" = ["ssh_keys:write"]), ("x_api_key" = [])), params(("Idempotency-Key" = Option<String>, Header)), request_body = NewSshKey, responses(
    (status = 201, body = SshKeyView),
    (status = 400, body = WaysFailure, description = "it is no public key, too short, or the account has it already"),
))]
pub(crate) async fn add(State(api): State<Api>, caller: For<SshKeysWrite>, posted: Posted<NewSshKey>) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let key = ssh_keys::add(&mut open.tx, &caller.actor, &caller.account, &posted.body.name, &posted.body.public_key).await?;
    answer(open, StatusCode::CREATED, &SshKeyView::from(key)).await
}

/// Builds no more servers with a key. Those that were built with it keep it.
#[utoipa::path(delete, path = "/ssh-keys/{ssh_key}", tag = "wayscloud", security(("key" = ["ssh_keys:write"]), ("x_api_key" = [])), params(("ssh_key" = String, Path)), responses(
    (status = 200, body = Deleted),
))]
pub(crate) async fn remove(State(api): State<Api>, caller: For<SshKeysWrite>, Path(id): Path<String>) -> Result<Json<Deleted>, Failure> {
    ssh_keys::remove(&api.store, &caller.actor, &caller.account, &id).await?;
    Ok(Deleted::because("the SSH key is gone; servers that were built with it keep it"))
}
