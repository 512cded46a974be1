//! Where servers are built.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::operate;
use leasehold_domain::Timestamp;
use leasehold_store::nodes::NodeState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Api, access::Operator, failure::Failure, names};

/// A node. Its settings may hold secrets and are not shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    #[schema(example = "node-1")]
    id: String,
    region: String,
    #[schema(example = "qemu")]
    backend: String,
    /// `active`, `drain` or `offline`.
    #[schema(schema_with = names::node_state)]
    state: NodeState,
    hidden: bool,
    servers: i64,
    vcpu: i64,
    vcpu_used: i64,
    ram_mb: i64,
    ram_mb_used: i64,
    disk_gb: i64,
    disk_gb_used: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    seen_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
}

async fn all(api: &Api) -> Result<Vec<NodeView>, Failure> {
    let mut tx = api.store.read().await?;
    let (nodes, used) = (tx.nodes().await?, tx.node_use().await?);
    let view = |n: leasehold_store::nodes::Node| {
        let u = used.iter().find(|u| u.node_id == n.id.as_str());
        NodeView {
            region: n.region_id.0,
            backend: n.backend,
            state: n.state,
            hidden: n.hidden,
            servers: u.map_or(0, |u| u.servers),
            vcpu: n.vcpu,
            vcpu_used: u.map_or(0, |u| u.vcpu),
            ram_mb: n.ram_mb,
            ram_mb_used: u.map_or(0, |u| u.ram_mb),
            disk_gb: n.disk_gb,
            disk_gb_used: u.map_or(0, |u| u.disk_gb),
            seen_at: n.seen_at.map(|at| at.0),
            failing_since: n.failing_since.map(|at| at.0),
            id: n.id.0,
        }
    };
    Ok(nodes.into_iter().map(view).collect())
}

async fn set(api: &Api, operator: &Operator, node: &str, state: NodeState) -> Result<Json<NodeView>, Failure> {
    operate::set_node_state(&api.store, operator, &node.into(), state).await?;
    all(api).await?.into_iter().find(|n| n.id == node).map(Json).ok_or_else(|| Failure::not_found(format!("no node '{node}'")))
}

/// Every node.
#[utoipa::path(get, path = "/catalog/nodes", tag = "operator", security(("operator" = [])), responses((status = 200, body = [NodeView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator) -> Result<Json<Vec<NodeView>>, Failure> {
    Ok(Json(all(&api).await?))
}

/// Places nothing new on a node.
#[utoipa::path(post, path = "/catalog/nodes/{node}/drain", tag = "operator", security(("operator" = [])), params(("node" = String, Path)), responses((status = 200, body = NodeView)))]
pub(crate) async fn drain(State(api): State<Api>, operator: Operator, Path(node): Path<String>) -> Result<Json<NodeView>, Failure> {
    set(&api, &operator, &node, NodeState::Drain).await
}

/// Has a node looked at now, and not when it is its turn; what was seen is in the list a moment later.
#[utoipa::path(post, path = "/catalog/nodes/{node}/look", tag = "operator", security(("operator" = [])), params(("node" = String, Path)), responses((status = 202, body = NodeView)))]
pub(crate) async fn look(State(api): State<Api>, _: Operator, Path(node): Path<String>) -> Result<(StatusCode, Json<NodeView>), Failure> {
    operate::look_at_node(&api.store, &node.as_str().into()).await?;
    let seen = all(&api).await?.into_iter().find(|n| n.id == node);
    seen.map(|n| (StatusCode::ACCEPTED, Json(n))).ok_or_else(|| Failure::not_found(format!("no node '{node}'")))
}

/// Places servers on a node again.
#[utoipa::path(post, path = "/catalog/nodes/{node}/undrain", tag = "operator", security(("operator" = [])), params(("node" = String, Path)), responses((status = 200, body = NodeView)))]
pub(crate) async fn undrain(State(api): State<Api>, operator: Operator, Path(node): Path<String>) -> Result<Json<NodeView>, Failure> {
    set(&api, &operator, &node, NodeState::Active).await
}
