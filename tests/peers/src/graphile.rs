//! graphile_worker, with worker recovery (which its guide has us turn on) and, where jobs are taken ahead, its local queue.

use std::time::Duration;

use graphile_worker::{IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions, WorkerRecoveryConfig, WorkerUtils};
use sqlx::postgres::PgPoolOptions;

use crate::peer::{Handler, Order, Outcome, Peer, Terms, Worker};

const SCHEMA: &str = "graphile_worker";

pub(crate) struct Graphile {
    utils: WorkerUtils,
}

impl TaskHandler for Order {
    const IDENTIFIER: &'static str = "order";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        match context.get_ext::<Handler>().unwrap().handle(self).await {
            Outcome::Done => Ok(()),
            Outcome::Failed | Outcome::Later(_) => Err("failed".to_owned()),
        }
    }
}

impl Peer for Graphile {
    const NAME: &'static str = "graphile_worker";
    const PREFETCHES: bool = true;
    // A job that is done is a row that is gone.
    const JOBS: &'static str = "select case when locked_by is not null then 'running' when attempts >= max_attempts then 'dead' else 'waiting' end as state, \
                                extract(epoch from run_at - now())::float8 as due from graphile_worker._private_jobs";
    const SPOIL: &'static str = r#"update graphile_worker._private_jobs set payload = '{"job": "spoilt"}' where payload->>'job' = '5'"#;
    const CANNOT_SAY_LATER: Option<&'static str> = Some("a handler returns success or an error, and the wait follows from the number of attempts");

    async fn install(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
        let utils = WorkerUtils::new(pool, SCHEMA);
        utils.migrate().await.unwrap();
        Self { utils }
    }

    async fn enqueue(&self, orders: &[Order], terms: &Terms) {
        let spec = JobSpec::builder().max_attempts(terms.attempts as i16).build();
        if let [order] = orders {
            self.utils.add_job(order.clone(), spec).await.unwrap();
        } else {
            let jobs: Vec<(Order, &JobSpec)> = orders.iter().map(|order| (order.clone(), &spec)).collect();
            self.utils.add_jobs::<Order>(&jobs).await.unwrap();
        }
    }

    async fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) {
        let recovery = WorkerRecoveryConfig::default().enabled(true);
        let recovery = if worker.terms.brisk {
            let second = Duration::from_secs(1);
            recovery.heartbeat_interval(second).sweep_interval(second).sweep_threshold(3 * second).recovery_delay(second)
        } else {
            recovery
        };
        let pool = PgPoolOptions::new().max_connections(if worker.drain { 20 } else { 5 }).connect(url).await.unwrap();
        let mut options = WorkerOptions::default()
            .schema(SCHEMA)
            .concurrency(worker.concurrency)
            .worker_recovery(recovery)
            .listen_os_shutdown_signals(false)
            .shutdown_signal(stop)
            .add_extension(handler)
            .define_job::<Order>()
            .pg_pool(pool);
        if worker.drain || worker.batch > worker.concurrency {
            options = options.local_queue(LocalQueueConfig::default().with_size(worker.batch));
        }
        if worker.drain {
            options = options.complete_job_batch_delay(Duration::from_millis(5)).fail_job_batch_delay(Duration::from_millis(5));
        }
        if let Err(error) = options.init().await.unwrap().run().await {
            eprintln!("worker: {error}");
        }
    }
}
