//! The worker as a role: every queue it serves, under one apalis monitor, until it is told to stop.

use std::{io, sync::Arc, time::Duration};

use apalis::{
    layers::catch_panic::CatchPanicLayer,
    prelude::{Data, Monitor, WorkerBuilder},
};
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use futures::{FutureExt, future::BoxFuture};
use leasehold_store::{
    Queue,
    work::{Claim, Settled},
};

use crate::{
    Worker,
    queue::{Settings, WorkBackend},
    run::Stop,
};

/// What a worker process serves.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Its queues.
    pub queues: Vec<Queue>,
    /// Runs at once, a queue.
    pub concurrency: usize,
    /// The wait behind all wakes.
    pub poll: Duration,
    /// How long runs may take to end at a stop.
    pub grace: Duration,
}

/// What is done with a claimed row.
pub type Handler = Arc<dyn Fn(Queue, Claim, Stop) -> BoxFuture<'static, Settled> + Send + Sync>;

async fn handle(claim: Claim, queue: Data<Queue>, handler: Data<Handler>, stop: Data<Stop>) -> Result<Settled, io::Error> {
    Ok(handler(*queue, claim, Stop::clone(&stop)).await)
}

/// Serves the queues until `stop` resolves and what runs has come to a step's border, or `grace` is over.
pub async fn run_queues(worker: &Worker, roles: &Roles, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
    let w = worker.clone();
    let handler: Handler = Arc::new(move |queue, claim, stop| {
        let w = w.clone();
        async move { w.handle(queue, &claim, &stop).await }.boxed()
    });
    run_queues_with(worker, roles, &handler, stop).await
}

/// As [`run_queues`], with another handler: what the queue itself costs is measured with one that does nothing.
pub async fn run_queues_with(worker: &Worker, roles: &Roles, handler: &Handler, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
    let stopping = Stop::new();
    let mut monitor = Monitor::new().shutdown_timeout(roles.grace);
    for queue in roles.queues.clone() {
        let (worker, stopping, handler) = (worker.clone(), stopping.clone(), Arc::clone(handler));
        let settings = Settings { queue, concurrency: roles.concurrency, poll: roles.poll };
        monitor = monitor.register(move |run| {
            WorkerBuilder::new(format!("{}-{queue}-{run}", worker.name))
                .backend(WorkBackend::new(worker.clone(), settings, stopping.clone()))
                .layer(CatchPanicLayer::new())
                .data(queue)
                .data(Arc::clone(&handler))
                .parallelize(tokio::spawn)
                .build(handle)
        });
    }
    let stop = async {
        stop.await;
        stopping.cancel();
        Ok(())
    };
    monitor.run_with_signal(stop).await.map_err(io::Error::other)
}
