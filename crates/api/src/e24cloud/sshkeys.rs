//! The keys that new servers are built with.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::ssh_keys;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SUCCESS, Success, account::SshKeyView};
use crate::{
    Api,
    access::{E24, For},
    failure::Failure,
    once,
    request::Body,
};

/// Where the key comes from.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    Generate,
    Upload,
}

/// A key to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = E24NewSshKey)]
pub(crate) struct NewSshKey {
    #[schema(min_length = 1, max_length = 80, example = "deploy-server")]
    name: String,
    method: Method,
    /// The public key as OpenSSH writes it, of one that is uploaded.
    content: Option<String>,
}

/// A key that was added.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24Added)]
pub(crate) struct Added {
    success: bool,
    sshkeys: SshKeyView,
}

/// Has every server that is built from now on let a key in: one that is uploaded, or one that is made here (Ed25519), whose private half
/// is in the answer and nowhere else.
#[utoipa::path(put, path = "/sshkey", tag = "e24cloud", security(("signed" = ["e24"])), request_body = NewSshKey, responses((status = 200, body = Added)))]
pub(crate) async fn add(State(api): State<Api>, caller: For<E24>, Body(new): Body<NewSshKey>) -> Result<Json<Added>, Failure> {
    let (public, private_key) = match (new.method, &new.content) {
        (Method::Upload, Some(content)) => (content.clone(), None),
        (Method::Upload, None) => return Err(Failure::bad("'content' is needed: the public key")),
        (Method::Generate, _) => {
            let pair = ssh_keys::generate(api.store.dice(), &new.name)?;
            (pair.public, Some(pair.private))
        }
    };
    let mut open = once::open(&api, &caller).await?;
    let key = ssh_keys::add(&mut open.tx, &caller.actor, &caller.account, &new.name, &public).await?;
    open.end("").await?;
    Ok(Json(Added { success: true, sshkeys: SshKeyView::new(key, private_key) }))
}

/// Builds no more servers with a key. Those that were built with it keep it.
#[utoipa::path(delete, path = "/{ssh_id}/sshkey", tag = "e24cloud", security(("signed" = ["e24"])), params(("ssh_id" = i64, Path)), responses((status = 200, body = Success)))]
pub(crate) async fn remove(State(api): State<Api>, caller: For<E24>, Path(id): Path<i64>) -> Result<Json<Success>, Failure> {
    ssh_keys::remove(&api.store, &caller.actor, &caller.account, &id.to_string()).await?;
    Ok(SUCCESS)
}
