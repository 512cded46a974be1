//! What a queue has to be able to do so that it can be measured, and the words in which all of them are told what to do.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// What the handler does; it travels in the job's payload, so that a worker needs to know nothing else.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Act {
    Nothing,
    SleepMs(u64),
    Fail,
    LaterSecs(u64),
    Panic,
    Abort,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) job: i32,
    pub(crate) act: Act,
}

pub(crate) enum Outcome {
    Done,
    Failed,
    Later(Duration),
}

/// What is said both where a job is enqueued and where it is worked on: libraries differ in where they want to hear it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Terms {
    pub(crate) attempts: u16,
    /// Claims and heartbeats as short as the library sensibly allows, so that a fault shows soon; else a claim of 30 s or the library's longer default.
    pub(crate) brisk: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) concurrency: usize,
    /// How many jobs it may take ahead, where the library tells that from the concurrency.
    pub(crate) batch: usize,
    /// Work a backlog off, rather than wait for single jobs.
    pub(crate) drain: bool,
    pub(crate) terms: Terms,
}

type Answer = Pin<Box<dyn Future<Output = Outcome> + Send>>;

#[derive(Clone)]
pub(crate) struct Handler(Arc<dyn Fn(Order) -> Answer + Send + Sync>);

impl Handler {
    pub(crate) fn new<F: Future<Output = Outcome> + Send + 'static>(handle: impl Fn(Order) -> F + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |order| Box::pin(handle(order))))
    }

    pub(crate) async fn handle(&self, order: Order) -> Outcome {
        (self.0)(order).await
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Handler")
    }
}

pub(crate) trait Peer: Sized + Send + Sync + 'static {
    /// The crate's name.
    const NAME: &'static str;
    /// Whether a worker holds jobs that it has no free slot for.
    const PREFETCHES: bool;
    /// A query for all jobs: `state` is one of waiting, running, done and dead, `due` the seconds until it may run.
    const JOBS: &'static str;
    /// A statement that makes the payload of job 5 one that does not decode.
    const SPOIL: &'static str;
    /// Why a handler cannot say "again, but in 30 s".
    const CANNOT_SAY_LATER: Option<&'static str>;

    /// Sets its schema up in an empty database.
    fn install(url: &str) -> impl Future<Output = Self>;

    fn enqueue(&self, orders: &[Order], terms: &Terms) -> impl Future<Output = ()>;

    /// Runs until it is stopped, or until the library gives up.
    fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send;
}

/// The name with the version that this program was built with.
pub(crate) fn version<P: Peer>() -> String {
    let (_, package) = include_str!("../Cargo.lock").split_once(&format!("name = \"{}\"\n", P::NAME)).unwrap();
    format!("{} {}", P::NAME, package.split('"').nth(1).unwrap())
}
