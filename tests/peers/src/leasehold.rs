//! Leasehold's own queue, over the smallest of its work tables: the row is the job, and what a job says stands in its data.
//!
//! What `leasehold worker` does around a handler is done here in the same way: attempts and waits are written to the row, a row that
//! does not read is put aside, and so is one whose holders died too often.

use std::{sync::Arc, time::Duration};

use leasehold_domain::retry::Backoff;
use leasehold_notifier::{Hooks, Outbox, Renderer, Sender};
use leasehold_store::{
    Options, Queue, Store, args,
    work::{Claim, Settled},
};
use leasehold_worker::{Fleet, Limits, Post, Roles, Stop, run_queues_with};

use crate::peer::{Handler, Order, Outcome, Peer, Terms, Worker};

pub(crate) struct Leasehold {
    store: Store,
}

const BRISK: Duration = Duration::from_secs(3);

/// One attempt more; how many there were.
async fn attempt(store: &Store, claim: &Claim) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let attempts = tx.int("update mails set attempt = attempt + 1 where id = $1 and epoch = $2 returning attempt", args![&claim.id, claim.epoch]).await;
    tx.commit().await.unwrap();
    attempts.unwrap()
}

async fn handle(store: &Store, claim: &Claim, worker: &Worker, handler: &Handler) -> Settled {
    let done = claim.at_rest(store.clock().now());
    if claim.lost >= i64::from(worker.terms.attempts) {
        return Settled { parked: true, ..done };
    }
    // A backlog of jobs that say nothing is worked off without reading them.
    let order = if worker.drain {
        Ok(Order { job: 0, act: crate::peer::Act::Nothing })
    } else {
        let data: (String,) = store.read().await.unwrap().one("select data from mails where id = $1", args![&claim.id]).await.unwrap();
        serde_json::from_str(&data.0)
    };
    let Ok(order) = order else { return Settled { parked: true, ..done } };
    match handler.handle(order).await {
        Outcome::Done => done,
        Outcome::Later(wait) => Settled { next_at: Some(store.clock().now() + wait), ..done },
        Outcome::Failed => {
            let (attempts, backoff) = (attempt(store, claim).await, Backoff { attempts: i64::from(worker.terms.attempts), ..Limits::default().backoff });
            let wait = if worker.terms.brisk { Backoff { min: Duration::from_secs(1), ..backoff } } else { backoff }.wait(attempts, store.dice());
            Settled { parked: attempts >= i64::from(worker.terms.attempts), next_at: Some(store.clock().now() + wait), ..done }
        }
    }
}

impl Peer for Leasehold {
    const NAME: &'static str = "leasehold-worker";
    const PREFETCHES: bool = false;
    const JOBS: &'static str = "select case when parked_at is not null then 'dead' when claimed_by is not null then 'running' \
                                when next_at is not null then 'waiting' else 'done' end as state, \
                                (next_at / 1000.0 - extract(epoch from now()))::float8 as due from mails";
    const SPOIL: &'static str = "update mails set data = 'spoilt' where id = 'j5'";
    const CANNOT_SAY_LATER: Option<&'static str> = None;

    async fn install(url: &str) -> Self {
        let store = Store::open(Options::new(url)).await.unwrap();
        store.migrate().await.unwrap();
        Self { store }
    }

    async fn enqueue(&self, orders: &[Order], _: &Terms) {
        let mut tx = self.store.begin().await.unwrap();
        for order in orders {
            let sql = "insert into mails (id, kind, dedup_key, recipient, locale, data, message_id, state, created_at, next_at) \
                       values ($1, 'order_confirmation', $1, 'a@example.org', 'en', $2, $1, 'sent', $3, $3)";
            let (id, data, now) = (format!("j{}", order.job), serde_json::to_string(order).unwrap(), tx.now);
            tx.exec_one(sql, args![id, data, now]).await.unwrap();
        }
        tx.wake(Queue::Mails);
        tx.commit().await.unwrap();
    }

    async fn work(url: &str, worker: Worker, handler: Handler, stop: impl Future<Output = ()> + Send + 'static) {
        let store = Store::open(Options { connections: 20, ..Options::new(url) }).await.unwrap();
        let listening = store.clone();
        let listener = tokio::spawn(async move { listening.keep_listening().await });
        let outbox = Outbox::open("stdout", None, Sender { from: "a@example.org".into(), reply_to: None }).unwrap();
        let post = Post { renderer: Renderer::new(None).unwrap(), outbox, host: String::new(), public_url: String::new(), attach_documents: false };
        let hooks = Hooks::new(true).unwrap();
        let claim = if worker.terms.brisk { BRISK } else { Limits::default().claim };
        let limits = Limits { claim, ..Limits::default() };
        // A fresh name at every start, as the program has it.
        let name = format!("{}-{}", worker.name, store.dice().text("0123456789abcdef", 8));
        let ours = leasehold_worker::Worker { store: store.clone(), name: name.into(), fleet: Arc::new(Fleet::default()), post: Arc::new(post), hooks, limits };
        let roles = Roles { queues: vec![Queue::Mails], concurrency: worker.concurrency, poll: Duration::from_secs(1), grace: Duration::from_secs(10) };
        let handler: leasehold_worker::Handler = Arc::new(move |_, claim, _: Stop| {
            let (store, worker, handler) = (store.clone(), worker.clone(), handler.clone());
            Box::pin(async move { handle(&store, &claim, &worker, &handler).await })
        });
        run_queues_with(&ours, &roles, &handler, stop).await.unwrap();
        listener.abort();
    }
}
