//! One look at a node: does it answer, and is what it holds what the records say? Between looks, samples for those who watch.

use std::time::Duration;

use leasehold_domain::{
    NodeId,
    server::{Power, Status},
};
use leasehold_hypervisor::{Call, Error, NodeStatus, Owned};
use leasehold_store::{
    Result, StoreError, Tx,
    activity::Actor,
    crash,
    nodes::{Node, NodeState, Placed},
    work::Claim,
};
use tokio::time::timeout;

use crate::{CALL, Worker, run::Rest, sample};

/// An orphan is removed when it was seen at two looks at least this far apart.
const ORPHAN_AGE: Duration = Duration::from_mins(10);
/// When a look that missed something is repeated.
const SOON: Duration = Duration::from_secs(10);
/// The longest until a node that does not answer is looked at again: orders may wait for it.
const AGAIN: Duration = Duration::from_secs(30);
/// The highest machine number that a node is believed; no hypervisor has higher ones.
const NUMBER_MAX: i64 = 999_999_999;
/// Failed looks in a row before an operator is told.
const TELL_AFTER: i64 = 3;

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    let id = NodeId(claim.id.clone());
    let node = w.store.read().await?.node(&id).await?;
    if node.epoch != claim.epoch {
        return Err(StoreError::Lost { id: claim.id.clone(), epoch: claim.epoch });
    }
    if node.hidden || node.state == NodeState::Offline {
        return Ok(Rest::until(None, node.wants));
    }
    let now = w.store.clock().now();
    // One that a clock far ahead put off is due now.
    let due = node.look_at.is_none_or(|at| at.0 <= now || at.0 > now + w.limits.look_every + SOON);
    let mut rest = if due { look(w, &node).await? } else { Rest::until(node.look_at.map(|at| at.0), node.wants) };
    if rest.error.is_none()
        && let Some(soon) = sample::run(w, &node, due).await?
    {
        rest.next_at = rest.next_at.map(|at| at.min(soon));
    }
    Ok(rest)
}

async fn look(w: &Worker, node: &Node) -> Result<Rest> {
    let id = &node.id;
    let before = w.store.read().await?.placed_on(id).await?;
    let seen = ask(w, node).await;
    crash::point("node.looked").await;
    let mut tx = w.store.begin().await?;
    let (next_at, plain) = (tx.now + w.limits.look_every, tx.clock_is_plain().await?);
    let rest = match seen {
        Ok((status, owned)) => {
            let restarted = node.boot_id.as_ref().filter(|before| **before != status.boot_id);
            let missed = switched_off(w, &mut tx, &before, &owned, restarted.is_some()).await?;
            // A restart counts as seen when every machine was seen to that it switched off.
            let (boot_id, next_at) = match restarted.filter(|_| missed) {
                Some(old) => (old, tx.now + SOON),
                None => (&status.boot_id, next_at),
            };
            tx.node_seen(node, boot_id, next_at).await?;
            if node.seen_at.is_none() || node.failing_since.is_some() {
                tx.node_is_back(&node.region_id).await?;
            }
            let free = tx.first_free_number(id).await?;
            // A number beyond all bounds says nothing of those within.
            let numbers = status.highest.into_iter().chain(owned.iter().map(|m| m.vmid));
            if let Some(highest) = numbers.filter(|number| *number <= NUMBER_MAX).max() {
                tx.numbers_seen(id, highest).await?;
            }
            tx.attended("node_unreachable", &format!("node:{id}"), "worker").await?;
            let mut orphans = compare(&mut tx, node, &owned, free).await?;
            // How old they are is not known by a clock that cannot be believed, and whose they are not by restored books.
            let known = plain && !tx.is_restored().await?;
            orphans.retain(|_| known);
            tx.ask_backups(id).await?;
            tx.commit().await?;
            remove(w, node, orphans).await;
            Rest::until(Some(next_at), node.wants)
        }
        Err(error) => {
            let soon = tx.now + w.limits.backoff.wait(node.attempt + 1, tx.dice());
            let next_at = soon.min(tx.now + AGAIN);
            tx.node_failing(node, &error.to_string(), next_at).await?;
            if node.attempt + 1 >= TELL_AFTER {
                let detail = format!("node {id} does not answer: {error}; nothing new is placed there until it does");
                tx.attend("node_unreachable", &format!("node:{id}"), &detail).await?;
            }
            tx.commit().await?;
            Rest { next_at: Some(next_at), seen: node.wants, error: Some(error.to_string()) }
        }
    };
    crash::point("node.outcome_committed").await;
    Ok(rest)
}

async fn ask(w: &Worker, node: &Node) -> std::result::Result<(NodeStatus, Vec<Owned>), Error> {
    let hypervisor = w.fleet.node(node)?;
    let look = async { Ok((hypervisor.node_status().await?, hypervisor.list_owned().await?)) };
    timeout(CALL, look).await.unwrap_or_else(|_| Err(Error::Transient(format!("no answer within {} s", CALL.as_secs()))))
}

/// What should run and is off: started again by its own next step when its host was restarted, else left off as its user did it.
/// True when one was missed, because somebody works on it.
async fn switched_off(w: &Worker, tx: &mut Tx, before: &[Placed], owned: &[Owned], host_restarted: bool) -> Result<bool> {
    let mut missed = false;
    let off = |p: &&Placed| p.status == Status::Running && owned.iter().any(|m| m.vmid == p.vmid && m.mark.server == p.id && m.power == Power::Off);
    for p in before.iter().filter(off) {
        if tx.found_off(p, host_restarted).await? {
            let (actor, account) = (Actor { name: "worker".into(), origin: w.name.to_string() }, tx.server(&p.id).await?.account_id);
            let why = if host_restarted { "its host was restarted; it is switched on again" } else { "switched off from inside" };
            tx.log(&actor, "server.found_off", Some(&account), Some(&p.id), why).await?;
        } else {
            missed = true;
        }
    }
    Ok(missed)
}

/// Notes what does not fit; answers the machines that may be removed: the records know them as over, seen twice. Numbers from `free` on were never
/// given out here.
async fn compare(tx: &mut Tx, node: &Node, owned: &[Owned], free: i64) -> Result<Vec<(Owned, i64)>> {
    let placed = tx.placed_on(&node.id).await?;
    older_than(tx, node, &placed, owned, free).await?;
    let mut removable = Vec::new();
    for machine in owned {
        if placed.iter().any(|p| p.vmid == machine.vmid && p.id == machine.mark.server) {
            continue;
        }
        let (subject, mark) = (format!("machine {}", machine.vmid), machine.mark.to_string());
        let first_seen = tx.drift_seen(&node.id, &subject, "orphan", Some(&mark)).await?;
        let over = tx.is_over(&node.id, machine.vmid, &machine.mark, machine.epoch).await?;
        if over && tx.now.since(first_seen) >= ORPHAN_AGE {
            let epoch = tx.server(&machine.mark.server).await?.epoch;
            removable.push((machine.clone(), epoch));
        } else if !over {
            let detail =
                format!("machine {} on {} carries the mark {mark} of no server that belongs there; look at it, then remove it by hand", machine.vmid, node.id);
            tx.attend("orphan", &format!("node:{}:{}", node.id, machine.vmid), &detail).await?;
        }
    }
    let there = |p: &Placed| owned.iter().any(|m| m.vmid == p.vmid && m.mark.server == p.id);
    for gone in placed.iter().filter(|p| p.booted && matches!(p.status, Status::Running | Status::Stopped | Status::Suspended) && !there(p)) {
        tx.drift_seen(&node.id, gone.id.as_str(), "gone", None).await?;
        let detail = format!("the machine {} of this server is not on node {} any more; find it or retry the server", gone.vmid, node.id);
        tx.attend("machine_gone", &format!("server:{}", gone.id), &detail).await?;
    }
    tx.drift_settled(&node.id).await?;
    Ok(removable)
}

/// A node that has heard more of a machine than the records know, or has one whose number they never gave out: they are from before, and whatever
/// else they say may be, too. At the first look at a node, or at one that was released unseen, that proves nothing: from then on the records speak above
/// whatever it has heard.
async fn older_than(tx: &mut Tx, node: &Node, placed: &[Placed], owned: &[Owned], free: i64) -> Result<()> {
    let (is_first, mut restored) = (node.seen_at.is_none(), tx.is_restored().await?);
    for machine in owned {
        let known = placed.iter().find(|p| p.vmid == machine.vmid && p.id == machine.mark.server);
        let proof = match known {
            Some(p) if p.generation < machine.mark.generation => Some("a later system of server"),
            Some(p) if p.epoch < machine.epoch => Some("more of server"),
            None if (free..=NUMBER_MAX).contains(&machine.vmid) => Some("a number that they never gave out, of server"),
            _ => None,
        };
        if let Some(proof) = proof.filter(|_| !is_first && !restored) {
            if tx.books_are_old(&format!("node {} knows {proof} {}", node.id, machine.mark.server)).await? {
                tracing::error!(node = %node.id, server = %machine.mark.server, "the records are older than the machines");
            }
            restored = true;
        }
        if is_first || restored {
            tx.epoch_was_heard(&machine.mark.server, machine.epoch, known.is_some()).await?;
        }
        let Some(p) = known else { continue };
        if p.generation < machine.mark.generation {
            tx.drift_seen(&node.id, p.id.as_str(), "later system", Some(&machine.mark.to_string())).await?;
            tx.system_is_later(&p.id, machine.mark.generation).await?;
            let detail = format!(
                "the machine {} of this server carries {}, a later system than the records know: which template it is, who may log in and with what is not known; \
                 look at it, and close this, or reinstall it",
                p.vmid, machine.mark
            );
            tx.attend("later_system", &format!("server:{}", p.id), &detail).await?;
        }
    }
    Ok(())
}

async fn remove(w: &Worker, node: &Node, orphans: Vec<(Owned, i64)>) {
    let Ok(hypervisor) = w.fleet.node(node) else { return };
    for (machine, epoch) in orphans {
        let call = Call { mark: machine.mark.clone(), epoch, now: w.store.clock().now() };
        let removed = timeout(CALL, hypervisor.ensure_absent(&call, machine.vmid)).await;
        tracing::warn!(node = %node.id, vmid = machine.vmid, mark = %machine.mark, ?removed, "removing a machine whose server is over");
    }
}
