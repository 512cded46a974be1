//! What only operators ask for: nodes, mails, matters, ticks.

use std::time::Duration;

use leasehold_domain::{MailId, NodeId, Timestamp, time::show_duration};
use leasehold_store::{Store, Tx, activity::Actor, nodes::NodeState};

use crate::{CommandError, Result, commit};

/// Opens a node for new servers or closes it.
pub async fn set_node_state(store: &Store, actor: &Actor, node: &NodeId, state: NodeState) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.set_node_state(node, state).await?;
    tx.want_look(node).await?;
    tx.log(actor, &format!("node.{state}"), None, None, node.as_str()).await?;
    commit(tx).await
}

/// Has a node looked at now.
pub async fn look_at_node(store: &Store, node: &NodeId) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.node(node).await?;
    tx.want_look(node).await?;
    commit(tx).await
}

/// Has every node looked at now.
pub async fn look_at_nodes(store: &Store) -> Result<()> {
    let mut tx = store.begin().await?;
    for node in tx.nodes().await? {
        tx.want_look(&node.id).await?;
    }
    commit(tx).await
}

/// Writes a mail once more; answers the new id.
pub async fn resend_mail(store: &Store, actor: &Actor, id: &MailId) -> Result<String> {
    let mut tx = store.begin().await?;
    let new = resend(&mut tx, actor, id).await?;
    commit(tx).await?;
    Ok(new)
}

/// As [`resend_mail`], in a transaction that is open.
pub async fn resend(tx: &mut Tx, actor: &Actor, id: &MailId) -> Result<String> {
    let new = tx.resend_mail(id).await?;
    for kind in ["mail_dead", "mail_ambiguous"] {
        tx.attended(kind, &format!("mail:{id}"), &actor.name).await?;
    }
    tx.log(actor, "mail.resend", None, None, &format!("{id} as {new}")).await?;
    Ok(new)
}

/// Closes a matter.
pub async fn close_attention(store: &Store, actor: &Actor, id: &str) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.close_attention(id, &actor.name).await?;
    tx.log(actor, "attention.close", None, None, id).await?;
    commit(tx).await
}

/// The time is right, although it jumped; answers what it is.
pub async fn confirm_clock(store: &Store, actor: &Actor) -> Result<Timestamp> {
    let mut tx = store.begin().await?;
    let now = tx.now;
    tx.set_highest(now).await?;
    tx.attended("clock", "clock", &actor.name).await?;
    tx.bring_back(now).await?;
    tx.settle_all_again().await?;
    tx.ring_settle().await?;
    tx.log(actor, "clock.confirm", None, None, &now.human()).await?;
    commit(tx).await?;
    Ok(now)
}

/// Moves simulated time forward in one step; answers what it is then.
pub async fn advance_clock(store: &Store, actor: &Actor, by: Duration) -> Result<Timestamp> {
    if store.clock_mode().await?.as_deref() != Some("simulated") {
        return Err(CommandError::Refused("only a simulated clock is moved by hand; set clock.mode = \"simulated\" with a database of its own".into()));
    }
    let mut tx = store.begin().await?;
    tx.log(actor, "clock.advance", None, None, &show_duration(by)).await?;
    commit(tx).await?;
    Ok(store.advance_clock(by).await?)
}

/// Makes a tick due now.
pub async fn ring_tick(store: &Store, actor: &Actor, name: &str) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.ring_tick(name).await?;
    tx.log(actor, "tick.run", None, None, name).await?;
    commit(tx).await
}

/// Stops or resumes a tick.
pub async fn pause_tick(store: &Store, actor: &Actor, name: &str, paused: bool) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.pause_tick(name, paused).await?;
    tx.log(actor, if paused { "tick.pause" } else { "tick.resume" }, None, None, name).await?;
    commit(tx).await
}
