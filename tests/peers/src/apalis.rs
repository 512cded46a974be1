//! apalis with its own PostgreSQL backend, set up as its pages say: notified, in parallel, with the layers for retries and panics, under a monitor that restarts.

use std::time::Duration;

use ::apalis::{
    layers::retry::{
        HasherRng,
        backoff::{ExponentialBackoffMaker, MakeBackoff},
    },
    prelude::*,
};
use apalis_postgres::{Config, PgPool, PostgresStorage, queries::push_tasks};
use sqlx::postgres::PgPoolOptions;

use crate::peer::{Handler, Order, Outcome, Peer, Terms, Worker};

const QUEUE: &str = "orders";
const POLL: Duration = Duration::from_secs(5);

pub(crate) struct Apalis {
    pool: PgPool,
}

async fn handle(order: Order, handler: Data<Handler>) -> Result<(), BoxDynError> {
    match handler.handle(order).await {
        Outcome::Done => Ok(()),
        Outcome::Failed => Err("failed".into()),
        Outcome::Later(wait) => Err(RetryAfterError::new("later", wait).into()),
    }
}

impl Peer for Apalis {
    const NAME: &'static str = "apalis-postgres";
    const PREFETCHES: bool = true;
    const JOBS: &'static str = "select case when status = 'Done' then 'done' when status = 'Killed' or status = 'Failed' and attempts >= max_attempts then 'dead' \
                                when status in ('Pending', 'Failed') then 'waiting' else 'running' end as state, \
                                extract(epoch from run_at - now())::float8 as due from apalis.jobs";
    const SPOIL: &'static str = r#"update apalis.jobs set job = convert_to('{"job": "spoilt"}', 'UTF8') where convert_from(job, 'UTF8')::json->>'job' = '5'"#;
    const CANNOT_SAY_LATER: Option<&'static str> = None;

    async fn install(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
        PostgresStorage::setup(&pool).await.unwrap();
        Self { pool }
    }

    async fn enqueue(&self, orders: &[Order], terms: &Terms) {
        let task = |order| TaskBuilder::new(serde_json::to_vec(order).unwrap()).max_attempts(terms.attempts.into()).build();
        let mut tx = self.pool.begin().await.unwrap();
        push_tasks(&mut *tx, QUEUE, orders.iter().map(task).collect()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) {
        let pool = PgPoolOptions::new().max_connections(if worker.drain { 20 } else { 5 }).connect(url).await.unwrap();
        let mut config = Config::default().queue(QUEUE).batch_size(worker.batch);
        if worker.terms.brisk {
            config = config.heartbeat_interval(Duration::from_secs(1)).missed_heartbeats(3);
        }
        let waits = ExponentialBackoffMaker::new(Duration::from_secs(1), Duration::from_secs(60), 0.0, HasherRng::default());
        let policy = RetryPolicy::retries(usize::from(worker.terms.attempts) - 1).with_backoff(waits.unwrap().make_backoff());
        let monitor = Monitor::new().should_restart(|_, _| true).register(move |restarts| {
            let backend = PostgresStorage::<Order>::new(&pool).with_config(config.clone()).with_pubsub();
            WorkerBuilder::new(format!("{}-{restarts}", worker.name))
                .backend(backend.poll_with_strategy(Strategy::new().interval(POLL)))
                .data(handler.clone())
                .concurrency(worker.concurrency)
                .parallelize(tokio::spawn)
                .retry(policy.clone())
                .catch_panic()
                .build(handle)
        });
        tokio::select! {
            ended = monitor.run() => eprintln!("worker: {ended:?}"),
            () = stop => {}
        }
    }
}
