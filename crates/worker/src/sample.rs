//! Samples of what a node's machines use: of all at every look, of those that somebody watches every few seconds.

use std::time::Duration;

use leasehold_domain::Timestamp;
use leasehold_store::{
    Result,
    nodes::Node,
    samples::{NewSample, Sampled, WATCHED},
};
use tokio::time::timeout;

use crate::{CALL, Worker};

/// The time between two samples of a server that somebody watches.
const EVERY: Duration = Duration::from_secs(5);

/// Samples a node's machines, all or the watched ones; answers when the next sample is due, if anybody watches.
pub(crate) async fn run(w: &Worker, node: &Node, all: bool) -> Result<Option<Timestamp>> {
    let mut tx = w.store.read().await?;
    let (mut machines, now) = (tx.sampled_on(&node.id).await?, tx.now);
    drop(tx);
    let watched = |m: &Sampled| m.asked_at.is_some_and(|at| now.since(at.0) < WATCHED);
    let again = machines.iter().any(watched).then(|| now + EVERY);
    machines.retain(|m| all || watched(m));
    let vmids: Vec<i64> = machines.iter().map(|m| m.vmid).collect();
    let (false, Ok(hypervisor)) = (vmids.is_empty(), w.fleet.node(node)) else { return Ok(again) };
    let counted = match timeout(CALL, hypervisor.stats(&vmids, now)).await {
        Ok(Ok(counted)) => counted,
        // A sample that is missed is missed; whether the node answers is seen at its next look.
        missed => {
            tracing::debug!(node = %node.id, ?missed, "no sample");
            return Ok(again);
        }
    };
    let counters = |vmid| counted.iter().find(|(counted, _)| *counted == vmid).map(|(_, counters)| *counters);
    let samples: Vec<NewSample> = machines.iter().filter_map(|before| Some(NewSample { before, counters: counters(before.vmid)? })).collect();
    let mut tx = w.store.begin().await?;
    tx.record_samples(node, now, &samples).await?;
    tx.commit().await?;
    Ok(again)
}
