//! underway: a worker holds a transaction open for each job; a heartbeat tells the others that it is alive.

use std::sync::Arc;

use jiff::{Span, ToSpan};
use sqlx08::{PgPool, Postgres, Transaction, postgres::PgPoolOptions};
use underway::{
    Queue, Task,
    task::{Error, Result, RetryPolicy},
};

use crate::peer::{Handler, Order, Outcome, Peer, Terms, Worker};

pub(crate) struct Underway {
    pool: PgPool,
}

struct Orders {
    terms: Terms,
    handler: Option<Handler>,
}

impl Task for Orders {
    type Input = Order;
    type Output = ();

    async fn execute(&self, _: Transaction<'_, Postgres>, order: Order) -> Result<()> {
        match self.handler.as_ref().unwrap().handle(order).await {
            Outcome::Done => Ok(()),
            Outcome::Failed | Outcome::Later(_) => Err(Error::Retryable("failed".into())),
        }
    }

    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::builder().max_attempts(self.terms.attempts.into()).build()
    }

    fn heartbeat(&self) -> Span {
        if self.terms.brisk { 2.seconds() } else { 30.seconds() }
    }
}

async fn queue(pool: &PgPool) -> Queue<Orders> {
    Queue::builder().name("orders").pool(pool.clone()).build().await.unwrap()
}

impl Peer for Underway {
    const NAME: &'static str = "underway";
    const PREFETCHES: bool = false;
    const JOBS: &'static str = "select case state::text when 'pending' then 'waiting' when 'in_progress' then 'running' when 'succeeded' then 'done' else 'dead' end as state, \
                                extract(epoch from created_at + delay - now())::float8 as due from underway.task";
    const SPOIL: &'static str = r#"update underway.task set input = '{"job": "spoilt"}' where input->>'job' = '5'"#;
    const CANNOT_SAY_LATER: Option<&'static str> = Some("a task fails fatally or by its retry policy; only a next step can be put off");

    async fn install(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await.unwrap();
        underway::run_migrations(&pool).await.unwrap();
        queue(&pool).await;
        Self { pool }
    }

    async fn enqueue(&self, orders: &[Order], terms: &Terms) {
        let task = Orders { terms: terms.clone(), handler: None };
        let queue = queue(&self.pool).await;
        if let [order] = orders {
            queue.enqueue(&self.pool, &task, order).await.unwrap();
        } else {
            queue.enqueue_multi(&self.pool, &task, orders).await.unwrap();
        }
    }

    async fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) {
        // A connection for each job, two listeners, and some for heartbeats.
        let pool = PgPoolOptions::new().max_connections(worker.concurrency as u32 + 6).connect(url).await.unwrap();
        let queue = Arc::new(queue(&pool).await);
        let mut orders = underway::Worker::new(queue, Orders { terms: worker.terms.clone(), handler: Some(handler) });
        orders.set_concurrency_limit(worker.concurrency);
        // One more slot is used at each poll: with the default of a minute a backlog would be worked off by one slot alone.
        let poll = if worker.drain { 10.milliseconds() } else { 1.second() };
        tokio::select! {
            ended = orders.run_every(poll) => eprintln!("worker: {ended:?}"),
            () = stop => {}
        }
    }
}
