//! Other PostgreSQL job queues, measured the way ours is, and put through the same faults: see the README beside this program.
//!
//! Two Markdown tables go to stdout, progress to stderr.
#![expect(clippy::unwrap_used, reason = "a run that cannot go on panics")]

mod apalis;
mod cluster;
mod faults;
mod graphile;
mod inside;
mod latency;
mod leasehold;
mod peer;
mod proxy;
mod sqlxmq;
mod stage;
mod table;
mod throughput;
mod underway;

use tokio::task::LocalSet;

use crate::{
    apalis::Apalis, cluster::Cluster, faults::Fault, graphile::Graphile, leasehold::Leasehold, peer::Peer, sqlxmq::Sqlxmq, table::Figures, underway::Underway,
};

struct Run {
    cluster: Cluster,
    only: Option<String>,
    jobs: usize,
}

impl Run {
    fn wants<P: Peer>(&self) -> bool {
        self.only.as_deref().is_none_or(|only| P::NAME.contains(only))
    }

    async fn figures<P: Peer>(&self) -> Option<Figures> {
        if !self.wants::<P>() {
            return None;
        }
        let jobs = throughput::affordable::<P>(&self.cluster, self.jobs).await;
        let rates = [throughput::measure::<P>(&self.cluster, jobs, 100).await, throughput::measure::<P>(&self.cluster, jobs, 10).await];
        Some(Figures { name: peer::version::<P>(), jobs, rates, waits: latency::measure::<P>(&self.cluster).await })
    }

    async fn faults<P: Peer>(&self) -> Vec<Fault> {
        if self.wants::<P>() { faults::all::<P>(&self.cluster).await } else { Vec::new() }
    }
}

fn arguments() -> Run {
    let mut run = Run { cluster: Cluster::new(std::env::var("LEASEHOLD_TEST_POSTGRES").unwrap()), only: None, jobs: 20_000 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        match name.as_str() {
            "--only" => run.only = value,
            "--jobs" => run.jobs = value.unwrap().parse().unwrap(),
            _ => panic!("unknown argument {name}; there are --only NAME and --jobs N"),
        }
    }
    run
}

async fn measure() {
    let run = arguments();
    // What costs time comes alone, one peer after the other; what only waits comes in pairs.
    let leasehold = run.figures::<Leasehold>().await;
    let graphile = run.figures::<Graphile>().await;
    let underway = run.figures::<Underway>().await;
    let sqlxmq = run.figures::<Sqlxmq>().await;
    let apalis = run.figures::<Apalis>().await;
    let ours = run.faults::<Leasehold>().await;
    let (first, second) = tokio::join!(run.faults::<Graphile>(), run.faults::<Underway>());
    let (third, fourth) = tokio::join!(run.faults::<Sqlxmq>(), run.faults::<Apalis>());
    let figures = [leasehold, graphile, underway, sqlxmq, apalis];
    let measured: Vec<_> = figures.into_iter().zip([ours, first, second, third, fourth]).filter_map(|(f, faults)| Some((f?, faults))).collect();
    table::print(&measured);
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, peer, url, worker] = arguments.as_slice()
        && command == "worker"
    {
        match peer.as_str() {
            Leasehold::NAME => stage::work::<Leasehold>(url, worker).await,
            Graphile::NAME => stage::work::<Graphile>(url, worker).await,
            Underway::NAME => stage::work::<Underway>(url, worker).await,
            Sqlxmq::NAME => stage::work::<Sqlxmq>(url, worker).await,
            _ => stage::work::<Apalis>(url, worker).await,
        }
        // A worker that ended by itself is a finding: the process says so by ending too.
        std::process::exit(1);
    }
    // Whatever happens, the databases go.
    let ended = LocalSet::new().run_until(async { tokio::task::spawn_local(measure()).await }).await;
    Cluster::new(std::env::var("LEASEHOLD_TEST_POSTGRES").unwrap()).sweep().await;
    ended.unwrap();
}
