//! An apalis `Backend` over a work table.
//!
//! Three small tasks a queue: the *claimer* takes only what there are free slots for, so nothing waits in a buffer while its
//! claim runs; the *keeper* extends all claims in one statement and tells a run when its claim is lost, also when the database
//! is away for longer than a claim can last; the *settler* writes outcomes in groups, each only under its epoch, and keeps
//! trying while the database is away. The database being away is never an error of the backend: a worker outlives it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::{FutureExt, future::BoxFuture};
use leasehold_domain::Timestamp;
use leasehold_store::{
    Queue, Result, StoreError,
    work::{Claim, Settled},
};
use metrics::{counter, gauge, histogram};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{timeout, timeout_at},
};

use crate::{Worker, run::Stop};

/// How a queue is worked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) queue: Queue,
    /// Runs at once.
    pub(crate) concurrency: usize,
    /// The wait behind all wakes.
    pub(crate) poll: Duration,
}

/// Claims and outcomes in one statement at most.
const GROUP: usize = 100;
/// The longest wait for more outcomes.
const GATHER: Duration = Duration::from_millis(2);
/// The wait before a failed statement is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The longest time for one statement of the queue itself.
const STATEMENT: Duration = Duration::from_secs(10);

/// A connection that died without a word must not end a loop.
async fn in_time<T>(statement: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(STATEMENT, Box::pin(statement)).await.unwrap_or_else(|_| Err(StoreError::no_answer()))
}

type Outcome = (Settled, oneshot::Sender<bool>);

struct Shared {
    worker: Worker,
    settings: Settings,
    held: Mutex<HashMap<String, (i64, Stop)>>,
    freed: Notify,
    /// Fires at the stop of the process; every run's own token is its child.
    stopping: Stop,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<String, (i64, Stop)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name under which a loop of this queue is heard of.
    fn loop_name(&self, what: &str) -> String {
        format!("{what} {}", self.settings.queue)
    }

    async fn claim_for_ever(self: Arc<Self>, tasks: mpsc::Sender<Claim>) {
        let (pulse, name) = (self.worker.store.pulse(), self.loop_name("claim"));
        while !self.stopping.is_cancelled() {
            let nap = match self.claim_some(&tasks).await {
                Ok(nap) => {
                    pulse.beat(&name, nap);
                    nap
                }
                Err(error) => {
                    tracing::warn!(queue = %self.settings.queue, %error, "claiming failed; trying again");
                    counter!("leasehold_claim_errors_total", "queue" => self.settings.queue.as_str()).increment(1);
                    pulse.trouble(&name, &error, AGAIN);
                    AGAIN
                }
            };
            tokio::select! {
                () = self.worker.store.wakes().rung(self.settings.queue) => {}
                () = self.freed.notified() => {}
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
        pulse.rest(&name);
    }

    /// Fills the free slots; answers how long to nap when nothing wakes us.
    async fn claim_some(&self, tasks: &mpsc::Sender<Claim>) -> Result<Duration> {
        let (w, queue) = (&self.worker, self.settings.queue);
        loop {
            let free = self.settings.concurrency.saturating_sub(self.held().len()).min(GROUP);
            if free == 0 || self.stopping.is_cancelled() {
                return Ok(self.settings.poll);
            }
            let claims = in_time(w.store.claim(queue, &w.name, free as i64, w.limits.claim)).await?;
            let full = claims.len() == free;
            for claim in claims {
                let replaced = self.held().insert(claim.id.clone(), (claim.epoch, self.stopping.child_token()));
                // An older claim of ours on the same row ran out while its run goes on.
                replaced.into_iter().for_each(|(_, stop)| stop.cancel());
                if tasks.send(claim).await.is_err() {
                    return Ok(self.settings.poll);
                }
            }
            if !full {
                return self.until_next_due().await;
            }
        }
    }

    async fn until_next_due(&self) -> Result<Duration> {
        let store = &self.worker.store;
        let next = in_time(store.next_due(self.settings.queue)).await?;
        Ok(next.map_or(self.settings.poll, |at| at.since(store.clock().now()).max(Duration::from_millis(1)).min(self.settings.poll)))
    }

    async fn keep_for_ever(self: Arc<Self>) {
        let (claim, pulse, name) = (self.worker.limits.claim, self.worker.store.pulse(), self.loop_name("keep"));
        let (mut kept, mut nap) = (Instant::now(), claim / 3);
        loop {
            pulse.beat(&name, nap + claim);
            tokio::time::sleep(nap).await;
            nap = claim / 3;
            let held: Vec<(String, i64)> = self.held().iter().map(|(id, (epoch, _))| (id.clone(), *epoch)).collect();
            if held.is_empty() {
                kept = Instant::now();
                continue;
            }
            let too_late = kept + claim * 2 / 3;
            let keep = self.worker.store.keep(self.settings.queue, &held, claim);
            let asked = Instant::now();
            match timeout_at(too_late.max(asked + nap).into(), keep).await.unwrap_or_else(|_| Err(StoreError::no_answer())) {
                Ok(still) => {
                    kept = asked;
                    let lost = |(id, epoch): &(String, i64)| !still.contains(id) && self.held().get(id).is_some_and(|(e, _)| e == epoch);
                    held.iter().filter(|h| lost(h)).for_each(|(id, _)| self.stop(id));
                }
                Err(error) => {
                    tracing::warn!(queue = %self.settings.queue, %error, "claims could not be extended");
                    nap = claim / 12;
                    if Instant::now() >= too_late {
                        held.iter().for_each(|(id, _)| self.stop(id));
                    }
                }
            }
        }
    }

    /// A run that panicked would do so again: its row is put aside and told, like any other that does not read.
    async fn panicked(&self, claim: &Claim, started_at: Timestamp, why: &str) -> Settled {
        let (w, queue) = (&self.worker, self.settings.queue);
        tracing::error!(%queue, id = claim.id, epoch = claim.epoch, error = why, "a run panicked");
        let told = in_time(w.tell_parked(queue, &claim.id, &StoreError::Broken(format!("the run panicked: {why}")))).await;
        if let Err(error) = &told {
            tracing::error!(%queue, id = claim.id, %error, "a row whose run panicked could not be put on the attention list");
        }
        let next_at = Some(w.store.clock().now() + AFTER_PANIC);
        Settled { next_at, parked: told.is_ok(), outcome: "panic", error: Some(why.to_owned()), ..claim.at_rest(started_at) }
    }

    fn stop(&self, id: &str) {
        if let Some((epoch, stop)) = self.held().get(id).filter(|(_, stop)| !stop.is_cancelled()) {
            tracing::warn!(queue = %self.settings.queue, id, epoch, "the claim is lost or may be; starting nothing more for it");
            stop.cancel();
        }
    }

    /// Waits a moment for the outcomes of what runs beside: a commit costs the same for one and for many.
    async fn gather(&self, outcomes: &mut mpsc::Receiver<Outcome>, group: &mut Vec<Outcome>) {
        let end = Instant::now() + GATHER;
        while group.len() < self.held().len().min(GROUP) {
            let room = GROUP - group.len();
            match timeout_at(end.into(), outcomes.recv_many(group, room)).await {
                Ok(more) if more > 0 => {}
                _ => return,
            }
        }
    }

    async fn settle_for_ever(self: Arc<Self>, mut outcomes: mpsc::Receiver<Outcome>) {
        let (w, queue, pulse, name) = (&self.worker, self.settings.queue, self.worker.store.pulse(), self.loop_name("settle"));
        let mut group = Vec::new();
        while outcomes.recv_many(&mut group, GROUP).await > 0 {
            pulse.beat(&name, STATEMENT);
            self.gather(&mut outcomes, &mut group).await;
            let settled: Vec<Settled> = group.iter().map(|(s, _)| s.clone()).collect();
            let done = loop {
                match in_time(w.store.settle(queue, &w.name, &settled)).await {
                    Ok(done) => break done,
                    Err(error) => {
                        tracing::warn!(%queue, %error, "settling failed; trying again");
                        pulse.trouble(&name, &error, AGAIN + STATEMENT);
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            };
            for (s, told) in group.drain(..) {
                let mut held = self.held();
                if held.get(&s.id).is_some_and(|(epoch, _)| *epoch == s.epoch) {
                    held.remove(&s.id);
                }
                drop(held);
                gauge!("leasehold_claims_held", "queue" => queue.as_str()).set(self.held().len() as f64);
                counter!("leasehold_runs_total", "queue" => queue.as_str(), "outcome" => s.outcome).increment(1);
                let took = w.store.clock().now().since(s.started_at);
                histogram!("leasehold_run_duration_seconds", "queue" => queue.as_str()).record(took.as_secs_f64());
                // The run may be gone already; then nobody waits for the answer.
                let _ = told.send(done.contains(&s.id));
            }
            pulse.rest(&name);
            self.freed.notify_one();
        }
    }
}

/// The queue as apalis sees it.
pub(crate) struct WorkBackend {
    shared: Arc<Shared>,
    tasks: mpsc::Receiver<Claim>,
    outcomes: mpsc::Sender<Outcome>,
    start: Option<(mpsc::Sender<Claim>, mpsc::Receiver<Outcome>)>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl WorkBackend {
    pub(crate) fn new(worker: Worker, settings: Settings, stopping: Stop) -> Self {
        let (task, tasks) = mpsc::channel(settings.concurrency.max(1));
        let (outcomes, outcome) = mpsc::channel(settings.concurrency.max(GROUP));
        let shared = Shared { worker, settings, held: Mutex::default(), freed: Notify::new(), stopping };
        Self { shared: Arc::new(shared), tasks, outcomes, start: Some((task, outcome)), closing: None }
    }

    /// Gives claimed rows that no run has begun straight back.
    async fn give_back(shared: Arc<Shared>, claims: Vec<Claim>) {
        let now = shared.worker.store.clock().now();
        let back = |c: &Claim| Settled { next_at: Some(now), outcome: "given_back", ..c.at_rest(now) };
        let settled: Vec<Settled> = claims.iter().map(back).collect();
        if !settled.is_empty()
            && let Err(error) = shared.worker.store.settle(shared.settings.queue, &shared.worker.name, &settled).await
        {
            tracing::warn!(%error, "claims could not be given back; they run out by themselves");
        }
    }
}

impl Backend for WorkBackend {
    type Task = Task<Claim>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        if let Some((task, outcome)) = self.start.take() {
            tokio::spawn(Arc::clone(&self.shared).claim_for_ever(task));
            tokio::spawn(Arc::clone(&self.shared).keep_for_ever());
            tokio::spawn(Arc::clone(&self.shared).settle_for_ever(outcome));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<Claim>, Infallible>>> {
        self.tasks.poll_recv(cx).map(|next| {
            next.map(|claim| {
                let stop = self.shared.held().get(&claim.id).map(|(_, stop)| stop.clone()).unwrap_or_default();
                let id = TaskId::from_string(claim.id.clone());
                Ok(TaskBuilder::new(claim).task_id(id).data(stop).build())
            })
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let closing = self.closing.get_or_insert_with(|| {
            self.shared.stopping.cancel();
            self.tasks.close();
            let unstarted: Vec<Claim> = std::iter::from_fn(|| self.tasks.try_recv().ok()).collect();
            Self::give_back(Arc::clone(&self.shared), unstarted).boxed()
        });
        closing.poll_unpin(cx).map(Ok)
    }
}

impl BackendConfig for WorkBackend {
    type Args = Claim;
    type Id = String;
    type Kind = Ephemeral;
    type Config = Settings;
    type Layer = SettleLayer;

    fn config(&self) -> &Settings {
        &self.shared.settings
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> SettleLayer {
        SettleLayer { shared: Arc::clone(&self.shared), outcomes: self.outcomes.clone() }
    }
}

/// The outermost layer: what a run answers becomes the settled row, also when it panicked.
#[derive(Clone)]
pub(crate) struct SettleLayer {
    shared: Arc<Shared>,
    outcomes: mpsc::Sender<Outcome>,
}

impl<S> tower::Layer<S> for SettleLayer {
    type Service = SettleService<S>;

    fn layer(&self, inner: S) -> SettleService<S> {
        SettleService { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct SettleService<S> {
    inner: S,
    layer: SettleLayer,
}

/// How long a row waits whose run panicked when nobody could be told.
const AFTER_PANIC: Duration = Duration::from_mins(1);

impl<S> tower::Service<Task<Claim>> for SettleService<S>
where
    S: tower::Service<Task<Claim>, Response = Settled>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Claim>) -> Self::Future {
        let (claim, layer) = (task.args.clone(), self.layer.clone());
        let run = self.inner.call(task);
        async move {
            let started_at = layer.shared.worker.store.clock().now();
            let ran = run.await.map_err(|error| error.into().to_string());
            let settled = match ran {
                Ok(settled) => settled,
                Err(why) => layer.shared.panicked(&claim, started_at, &why).await,
            };
            let (told, answer) = oneshot::channel();
            layer.outcomes.send((settled, told)).await?;
            answer.await?;
            Ok(())
        }
        .boxed()
    }
}
