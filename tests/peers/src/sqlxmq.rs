//! sqlxmq: a job that was taken is due again when its back-off has passed, unless it is kept alive or deleted.

use std::{error::Error, time::Duration};

use sqlx08::{PgPool, postgres::PgPoolOptions};
use sqlxmq::{CurrentJob, JobRegistry, job};

use crate::peer::{Handler, Order, Outcome, Peer, Terms, Worker};

pub(crate) struct Sqlxmq {
    pool: PgPool,
}

#[job]
async fn order(mut current_job: CurrentJob, handler: Handler) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
    let wanted = current_job.json::<Order>()?.ok_or("no payload")?;
    match handler.handle(wanted).await {
        Outcome::Done => current_job.complete().await?,
        Outcome::Failed => return Err("failed".into()),
        Outcome::Later(wait) => current_job.keep_alive(wait).await?,
    }
    Ok(())
}

impl Peer for Sqlxmq {
    const NAME: &'static str = "sqlxmq";
    const PREFETCHES: bool = false;
    // There is no state: a job that runs is one that is due later. After its last attempt it is due never.
    const JOBS: &'static str = "select case when attempt_at is null then 'dead' else 'waiting' end as state, \
                                extract(epoch from attempt_at - now())::float8 as due from mq_msgs where id <> uuid_nil()";
    const SPOIL: &'static str = r#"update mq_payloads set payload_json = '{"job": "spoilt"}' where payload_json->>'job' = '5'"#;
    const CANNOT_SAY_LATER: Option<&'static str> = None;

    async fn install(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
        sqlx08::raw_sql(include_str!(concat!(env!("OUT_DIR"), "/sqlxmq.sql"))).execute(&pool).await.unwrap();
        Self { pool }
    }

    async fn enqueue(&self, orders: &[Order], terms: &Terms) {
        let mut tx = self.pool.begin().await.unwrap();
        for wanted in orders {
            order
                .builder()
                .set_retries(u32::from(terms.attempts) - 1)
                .set_retry_backoff(Duration::from_secs(if terms.brisk { 1 } else { 30 }))
                .set_json(wanted)
                .unwrap()
                .spawn(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) {
        let pool = PgPoolOptions::new().max_connections(if worker.drain { 20 } else { 5 }).connect(url).await.unwrap();
        let mut registry = JobRegistry::new(&[order]);
        registry.set_context(handler);
        // Its guide has the lower bound at half of the upper one: it asks for more jobs when fewer run.
        let least = worker.concurrency.div_ceil(2);
        let running = registry.runner(&pool).set_concurrency(least, worker.concurrency).run().await.unwrap();
        stop.await;
        drop(running);
    }
}
