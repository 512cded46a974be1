//! What the daemon works on: the catalogue, the nodes, the queues, the ticks, and who is alive.

use std::{collections::BTreeSet, time::Duration};

use leasehold_domain::Timestamp;
use leasehold_hypervisor::connect;
use leasehold_store::{
    Queue, Result, Store, Tx,
    depth::WorkState,
    nodes::{Node, NodeState},
    processes::Process,
    restoration::Restoration,
};

use super::{Finding, broken, look, ok};

/// The longest wait for a node: longer than its own look at a kernel.
const PROBE: Duration = Duration::from_secs(15);
/// A tick that is later than this does not ring.
const LATE: Duration = Duration::from_mins(2);
/// Fewer free addresses than this in a region are worth a look.
const FEW: i64 = 10;

pub(super) async fn examine(store: &Store) -> Result<Vec<Finding>> {
    let mut tx = store.read().await?;
    let mut findings = restored(&mut tx).await?;
    findings.extend(catalogue(&mut tx).await?);
    let nodes = tx.nodes().await?;
    let processes = tx.processes_alive().await?;
    findings.extend(daemons(&processes));
    findings.extend(queues(&mut tx, &processes).await?);
    findings.extend(ticks(&mut tx, &processes).await?);
    findings.push(books(&mut tx).await?);
    findings.extend(attention(&mut tx).await?);
    let now = tx.now;
    drop(tx);
    for node in nodes.iter().filter(|n| !n.hidden) {
        findings.push(probe(node, now).await);
    }
    Ok(findings)
}

async fn catalogue(tx: &mut Tx) -> Result<Vec<Finding>> {
    const CHECK: &str = "catalogue";
    let products = tx.products().await?.into_iter().filter(|p| !p.hidden).count();
    if products == 0 {
        return Ok(vec![broken(CHECK, "nothing is offered", "leasehold catalog import config/catalog.toml")]);
    }
    let mut findings = vec![ok(CHECK, format!("{products} products"))];
    let (taxed, nowhere) = (!tx.tax_rates().await?.is_empty(), tx.accounts_without_country().await?);
    if taxed && nowhere > 0 {
        let mend = "say where they are: leasehold account billing ACCOUNT --country DE";
        findings.push(look(CHECK, format!("{nowhere} accounts have no country, so no tax is charged to them"), mend));
    }
    let seller = tx.seller().await?;
    if taxed && tx.party(seller.as_deref()).await?.vat_id.is_none() {
        findings.push(look(CHECK, "the seller has no VAT number, which invoices with tax need", "name it in the catalogue: vat_id = \"…\" in [seller]"));
    }
    for region in tx.regions_without_resolvers().await? {
        let mend = "name them in the catalogue: resolvers = [\"…\"] at the region, the pool or the node";
        findings.push(look(CHECK, format!("region {region} has no resolvers: no name resolves in guests whose image brings none"), mend));
    }
    for region in tx.regions().await?.into_iter().filter(|r| !r.hidden) {
        for family in [4, 6] {
            if let Some(free) = tx.free_addresses(&region.id, family).await?.filter(|free| *free < FEW) {
                findings.push(look(CHECK, format!("region {} has {free} free IPv{family} addresses", region.id), "add a pool to the catalogue"));
            }
        }
    }
    Ok(findings)
}

async fn books(tx: &mut Tx) -> Result<Finding> {
    const CHECK: &str = "books";
    let lag = tx.oldest_due_account().await?.map_or(Duration::ZERO, |at| tx.now.since(at));
    let open: Vec<String> = tx.breakers().await?.iter().filter(|b| b.opened_at.is_some()).map(|b| b.kind.to_string()).collect();
    Ok(if !open.is_empty() {
        look(CHECK, format!("the breaker is open: {}", open.join(", ")), "leasehold breaker show")
    } else if lag > LATE {
        broken(CHECK, format!("accounts wait for {} s to be settled", lag.as_secs()), "is a scheduler running? leasehold tick list, leasehold attention list")
    } else {
        ok(CHECK, "every account that was due is settled")
    })
}

fn daemons(processes: &[Process]) -> Vec<Finding> {
    const CHECK: &str = "daemons";
    if processes.is_empty() {
        return vec![broken(CHECK, "no daemon is running: nothing is built, mailed or renewed", "leasehold serve (or start its service)")];
    }
    let versions: BTreeSet<&str> = processes.iter().map(|p| p.version.as_str()).collect();
    let mut findings = vec![ok(CHECK, processes.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "))];
    if versions.len() > 1 {
        let seen = versions.into_iter().collect::<Vec<_>>().join(", ");
        findings.push(look(CHECK, format!("several versions are running: {seen}"), "restart the older ones when the update is done"));
    }
    findings.extend(processes.iter().filter_map(|p| p.trouble.as_ref().map(|why| look(CHECK, format!("{}: {why}", p.name), "it tries on; look at its log"))));
    findings
}

async fn queues(tx: &mut Tx, processes: &[Process]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let unserved: Vec<&str> = Queue::ALL.iter().filter(|q| !processes.iter().any(|p| p.serves(**q))).map(|q| q.as_str()).collect();
    if !unserved.is_empty() && !processes.is_empty() {
        let says = format!("nobody serves {}: what is due there waits", unserved.join(", "));
        findings.push(broken("queues", says, format!("leasehold worker --queues {}", unserved.join(","))));
    }
    for queue in Queue::ALL {
        let (depth, now) = (tx.depth(*queue).await?, tx.now);
        let count = |state| depth.of(state);
        if count(WorkState::Stuck) > 0 {
            let says = format!("{queue}: {} jobs are stuck, the oldest for {} s", count(WorkState::Stuck), depth.oldest_due(now).as_secs());
            findings.push(broken("queues", says, format!("leasehold queue list --queue {queue} --state stuck")));
        }
        if count(WorkState::Parked) > 0 {
            let says = format!("{queue}: {} jobs are put aside until a person looks", count(WorkState::Parked));
            findings.push(look("queues", says, format!("leasehold queue list --queue {queue} --state parked")));
        }
    }
    if findings.is_empty() {
        findings.push(ok("queues", "nothing is stuck"));
    }
    Ok(findings)
}

async fn ticks(tx: &mut Tx, processes: &[Process]) -> Result<Vec<Finding>> {
    const CHECK: &str = "ticks";
    let (ticks, now) = (tx.ticks().await?, tx.now);
    let mut findings = Vec::new();
    if !processes.is_empty() && !processes.iter().any(|p| matches!(p.role.as_str(), "serve" | "scheduler")) {
        findings.push(broken(CHECK, "no scheduler is running", "leasehold scheduler (or start its service)"));
    }
    for tick in &ticks {
        if tick.paused {
            findings.push(look(CHECK, format!("{} is paused", tick.name), format!("leasehold tick resume {}", tick.name)));
        } else if now.since(tick.next_at) > LATE && !processes.is_empty() {
            findings.push(broken(CHECK, format!("{} is {} s late", tick.name, now.since(tick.next_at).as_secs()), "restart the scheduler; look at its log"));
        }
        if let Some(error) = &tick.last_error {
            findings.push(look(CHECK, format!("{} failed: {error}", tick.name), format!("leasehold tick run {}", tick.name)));
        }
    }
    if findings.is_empty() {
        findings.push(ok(CHECK, format!("{} ring", ticks.len())));
    }
    Ok(findings)
}

/// Books that stand still: all that waits below waits for their release.
async fn restored(tx: &mut Tx) -> Result<Vec<Finding>> {
    let standing = tx.open_restoration().await?;
    let says = |r: Restoration| format!("{} ({}): nothing is placed, destroyed or numbered, and what waits waits for the release", r.why, r.at.human());
    Ok(standing.into_iter().map(|r| broken("restored", says(r), "leasehold restore, leasehold drift, then leasehold restore --release")).collect())
}

async fn attention(tx: &mut Tx) -> Result<Vec<Finding>> {
    let counts = tx.attention_counts().await?;
    if counts.is_empty() {
        return Ok(vec![ok("attention", "nothing needs a person")]);
    }
    let list: Vec<String> = counts.iter().map(|c| format!("{} {}", c.open, c.kind)).collect();
    Ok(vec![look("attention", list.join(", "), "leasehold attention list")])
}

async fn probe(node: &Node, now: Timestamp) -> Finding {
    let says = |what: &str| format!("{}: {what}", node.id);
    if node.state == NodeState::Offline {
        return look("nodes", says("is offline by an operator's word"), format!("leasehold node undrain {}", node.id));
    }
    let probed = match connect(&node.backend, &node.settings) {
        Ok(hypervisor) => {
            tokio::time::timeout(PROBE, hypervisor.probe()).await.unwrap_or_else(|_| Err(leasehold_hypervisor::Error::Transient("no answer".into())))
        }
        Err(error) => Err(error),
    };
    match probed {
        Err(error) => broken("nodes", says(&error.to_string()), "mend the node, or run the doctor on the host that reaches it"),
        Ok(_) if node.failing_since.is_some() => {
            let since = node.failing_since.map_or(now, |at| at.0);
            look(
                "nodes",
                says(&format!("answers here, but the workers have not reached it since {}", since.human())),
                "leasehold queue runs; look at the workers' network",
            )
        }
        Ok(seen) => ok("nodes", says(&seen)),
    }
}
