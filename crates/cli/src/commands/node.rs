//! `leasehold node …`

use std::time::Duration;

use clap::Subcommand;
use leasehold_commands::operate;
use leasehold_store::nodes::NodeState;
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold node …`
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Place nothing new there.
    Drain {
        /// The node.
        node: String,
    },
    /// All nodes, what they hold and whether they answer.
    List,
    /// Look at one now, and say whether it answers.
    Look {
        /// The node.
        node: String,
    },
    /// Place there again.
    Undrain {
        /// The node.
        node: String,
    },
}

pub(super) async fn run(c: &Context, command: Node) -> Result<(), Failure> {
    match command {
        Node::List => list(c).await,
        Node::Drain { node } => set(c, &node, NodeState::Drain).await,
        Node::Look { node } => look(c, &node).await,
        Node::Undrain { node } => set(c, &node, NodeState::Active).await,
    }
}

async fn set(c: &Context, node: &str, state: NodeState) -> Result<(), Failure> {
    let app = c.app().await?;
    operate::set_node_state(&app.store, &app.actor, &node.into(), state).await?;
    show(c.json(), &json!({ "node": node, "state": state }), || say!("node {node}: {state}"));
    Ok(())
}

/// How long a worker is waited for that looks.
const PATIENCE: u32 = 15;

async fn look(c: &Context, node: &str) -> Result<(), Failure> {
    let app = c.app().await?;
    operate::look_at_node(&app.store, &node.into()).await?;
    for _ in 0..PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let n = app.store.read().await?.node(&node.into()).await?;
        if n.look_at.is_some() {
            let why = n.last_error.clone().filter(|_| n.failing_since.is_some());
            show(c.json(), &json!({ "node": n.id, "answers": why.is_none(), "error": why }), || match &why {
                None => say!("node {node} answers"),
                Some(why) => say!("node {node} does not answer: {why}"),
            });
            return if why.is_none() { Ok(()) } else { Err(Failure::Failed(format!("node {node} does not answer"))) };
        }
    }
    Err(Failure::Failed(format!("node {node} is to be looked at, but no worker did within {PATIENCE} s; see: leasehold queue status")))
}

async fn list(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let (nodes, used) = (tx.nodes().await?, tx.node_use().await?);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for n in nodes.iter().filter(|n| !n.hidden) {
        let u = used.iter().find(|u| u.node_id == n.id.as_str());
        let of = |used: Option<i64>, all: i64| format!("{}/{all}", used.unwrap_or(0));
        let answers = match (n.failing_since, n.seen_at) {
            (Some(since), _) => format!("not since {}", since.0.human()),
            (None, Some(at)) => at.0.human(),
            (None, None) => "not looked at yet".into(),
        };
        let size = [of(u.map(|u| u.vcpu), n.vcpu), of(u.map(|u| u.ram_mb), n.ram_mb), of(u.map(|u| u.disk_gb), n.disk_gb)];
        values.push(json!({ "id": n.id, "region": n.region_id, "backend": n.backend, "state": n.state, "servers": u.map_or(0, |u| u.servers), "vcpu": size[0], "ramMb": size[1], "diskGb": size[2], "seenAt": n.seen_at.map(|w| w.0), "failingSince": n.failing_since.map(|w| w.0) }));
        let [vcpu, ram, disk] = size;
        rows.push(vec![
            n.id.to_string(),
            n.region_id.to_string(),
            n.backend.clone(),
            n.state.to_string(),
            u.map_or(0, |u| u.servers).to_string(),
            vcpu,
            ram,
            disk,
            answers,
        ]);
    }
    show(c.json(), &json!(values), || table(&["NODE", "REGION", "BACKEND", "STATE", "SERVERS", "VCPU", "RAM MiB", "DISK GB", "ANSWERED"], rows));
    Ok(())
}
