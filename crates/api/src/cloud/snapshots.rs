//! Snapshots of a server's disk.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::{snapshots, stats::power_state};
use leasehold_domain::{Timestamp, server::Status};
use leasehold_store::{
    Tx,
    servers::Server,
    snapshots::{Snapshot, SnapshotView as Shown},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, ServersDestroy, ServersRead, ServersWrite},
    failure::Failure,
    once::{Begun, Posted, again, answer, begin},
};

/// A snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotView {
    id: String,
    name: String,
    description: Option<String>,
    /// None while it is being taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    create_time: Option<Timestamp>,
    /// Whether the server was on when it was taken.
    #[schema(example = "POWERED_ON")]
    power_state: Option<&'static str>,
    /// Whether the disk began from it last.
    is_current: bool,
    /// taking, ready, reverting, dropping or failed.
    #[schema(example = "ready")]
    state: &'static str,
    error: Option<String>,
}

/// A snapshot to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct NewSnapshot {
    /// Generated when left out.
    #[schema(min_length = 1, max_length = 80, pattern = "^[a-zA-Z0-9][a-zA-Z0-9 ._-]*$")]
    name: Option<String>,
    #[schema(max_length = 255)]
    description: Option<String>,
}

fn views(all: Vec<Snapshot>) -> Vec<SnapshotView> {
    let current = all.iter().filter_map(|n| Some((n.base_at?.0, n.id.clone()))).max().map(|(_, id)| id);
    let view = |n: Snapshot| SnapshotView {
        is_current: current.as_ref() == Some(&n.id),
        description: n.description.clone(),
        power_state: n.powered_on.map(power_state),
        ..SnapshotView::from(Shown::from(n))
    };
    all.into_iter().map(view).collect()
}

impl From<Shown> for SnapshotView {
    fn from(n: Shown) -> Self {
        Self {
            id: n.id,
            name: n.name,
            description: None,
            create_time: n.taken_at,
            power_state: None,
            is_current: false,
            state: n.state,
            error: n.error.map(|_| "it did not work; try again, or ask the host".to_owned()),
        }
    }
}

async fn one(tx: &mut Tx, s: &Server, id: &str) -> Result<SnapshotView, Failure> {
    let found = views(tx.snapshots(&s.id).await?).into_iter().find(|n| n.id == id);
    found.ok_or_else(|| Failure::not_found(format!("no snapshot '{id}'")))
}

/// A server's snapshots, the oldest first.
#[utoipa::path(get, path = "/servers/{id}/snapshots", tag = "snapshots", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = [SnapshotView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<Vec<SnapshotView>>, Failure> {
    let mut tx = api.store.read().await?;
    let s = caller.server(&mut tx, &id).await?;
    Ok(Json(if s.status == Status::Terminated { vec![] } else { views(tx.snapshots(&s.id).await?) }))
}

/// Takes a snapshot of a server's disk; a server has two at most, beside its nightly ones.
#[utoipa::path(post, path = "/servers/{id}/snapshots", tag = "snapshots", security(("key" = ["servers:write"])), params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Option<NewSnapshot>, responses(
    (status = 202, body = SnapshotView, description = "it is being taken"),
    (status = 409, body = CloudFailure, description = "the server is not delivered, or has two"),
))]
pub(crate) async fn take(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path(id): Path<String>,
    posted: Posted<Option<NewSnapshot>>,
) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::ACCEPTED, text)),
        Begun::Now(open) => open,
    };
    let id = caller.server(&mut open.tx, &id).await?.id;
    let s = open.tx.lock_server(&id).await?;
    let new = posted.body.unwrap_or_default();
    let id = snapshots::add(&mut open.tx, &caller.actor, &s, new.name.as_deref(), new.description.as_deref()).await?;
    let view = one(&mut open.tx, &s, &id).await?;
    answer(open, StatusCode::ACCEPTED, &view).await
}

/// Puts the disk back to a snapshot; what was written since is lost.
#[utoipa::path(post, path = "/servers/{id}/snapshots/{snapshot}/revert", tag = "snapshots", security(("key" = ["servers:destroy"])), params(("id" = String, Path), ("snapshot" = String, Path), ("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 202, body = SnapshotView, description = "the disk is being put back"),
    (status = 409, body = CloudFailure, description = "the server is not delivered, or the snapshot is not ready"),
))]
pub(crate) async fn revert(
    State(api): State<Api>,
    caller: For<ServersDestroy>,
    Path((id, snapshot)): Path<(String, String)>,
    posted: Posted<IgnoredAny>,
) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::ACCEPTED, text)),
        Begun::Now(open) => open,
    };
    let id = caller.server(&mut open.tx, &id).await?.id;
    let s = open.tx.lock_server(&id).await?;
    snapshots::put_back(&mut open.tx, &caller.actor, &s, &snapshot).await?;
    let view = one(&mut open.tx, &s, &snapshot).await?;
    answer(open, StatusCode::ACCEPTED, &view).await
}

/// Removes a snapshot.
#[utoipa::path(delete, path = "/servers/{id}/snapshots/{snapshot}", tag = "snapshots", security(("key" = ["servers:write"])), params(("id" = String, Path), ("snapshot" = String, Path)), responses(
    (status = 202, description = "it is being removed"),
    (status = 409, body = CloudFailure, description = "the server is not delivered"),
))]
pub(crate) async fn delete(State(api): State<Api>, caller: For<ServersWrite>, Path((id, snapshot)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    snapshots::delete(&api.store, &caller.actor, id.as_str(), &snapshot).await?;
    Ok(StatusCode::ACCEPTED)
}
