//! Machines that the account has elsewhere.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::machines;
use leasehold_domain::{AccountId, Timestamp};
use leasehold_store::{Tx, machines::Machine};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{For, ServersRead, ServersWrite},
    failure::Failure,
    once,
};

/// A machine elsewhere.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MachineView {
    id: String,
    #[schema(example = "db-1")]
    name: String,
    #[schema(example = "QEMU")]
    vendor: String,
    #[schema(example = json!(["192.0.2.7"]))]
    addresses: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it told of itself last.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
}

impl From<Machine> for MachineView {
    fn from(m: Machine) -> Self {
        let addresses = m.addresses.split_whitespace().map(str::to_owned).collect();
        Self { id: m.id, name: m.name, vendor: m.vendor, addresses, created_at: m.created_at, seen_at: m.seen_at }
    }
}

/// What has a machine listed.
#[derive(Serialize, ToSchema)]
#[schema(as = MachineLine)]
pub(crate) struct LineView {
    /// For the shell of the machine: it needs `sh` and `curl`. A secret of the account.
    line: String,
}

/// The line of an account.
pub(crate) async fn line(api: &Api, tx: &mut Tx, account: &AccountId) -> Result<LineView, Failure> {
    let token = tx.registration_token(account).await?;
    Ok(LineView { line: machines::line(&api.settings.public_url, &token) })
}

/// The machines that the account has elsewhere.
#[utoipa::path(get, path = "/machines", tag = "machines", security(("key" = ["servers:read"])), responses((status = 200, body = [MachineView])))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>) -> Result<Json<Vec<MachineView>>, Failure> {
    let all = api.store.read().await?.machines(&caller.account).await?;
    Ok(Json(all.into_iter().map(MachineView::from).collect()))
}

/// Forgets a machine, until it tells of itself again.
#[utoipa::path(delete, path = "/machines/{machine}", tag = "machines", security(("key" = ["servers:write"])), params(("machine" = String, Path)), responses(
    (status = 204, description = "it is forgotten"),
))]
pub(crate) async fn forget(State(api): State<Api>, caller: For<ServersWrite>, Path(machine): Path<String>) -> Result<StatusCode, Failure> {
    machines::forget(&api.store, &caller.actor, &caller.account, &machine).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The line that a machine runs to be listed.
#[utoipa::path(get, path = "/machines/line", tag = "machines", security(("key" = ["servers:write"])), responses((status = 200, body = LineView)))]
pub(crate) async fn show_line(State(api): State<Api>, caller: For<ServersWrite>) -> Result<Json<LineView>, Failure> {
    Ok(Json(line(&api, &mut api.store.read().await?, &caller.account).await?))
}

/// Another line: the one before lists nothing any more.
#[utoipa::path(post, path = "/machines/line", tag = "machines", security(("key" = ["servers:write"])), responses((status = 200, body = LineView)))]
pub(crate) async fn renew_line(State(api): State<Api>, caller: For<ServersWrite>) -> Result<Json<LineView>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    machines::renew(&mut open.tx, &caller.actor, &caller.account).await?;
    let view = line(&api, &mut open.tx, &caller.account).await?;
    open.end("").await?;
    Ok(Json(view))
}
