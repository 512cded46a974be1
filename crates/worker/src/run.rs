//! One run of one row: the same code for apalis, tests, demo and the clock driver.

use std::time::Duration;

use leasehold_domain::Timestamp;
use leasehold_store::{
    Queue, Result, StoreError, crash,
    work::{Claim, LOST_LIMIT, Settled},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Worker, deliver, look, mailer, provision, publish};

/// What [`Worker::run_one`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Nothing was due.
    Idle,
    /// One row was worked on.
    One,
}

/// Fires when a run must start nothing new: its claim is lost or may be, or the process stops.
pub type Stop = CancellationToken;

/// How a run leaves its row.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// When to look again; `None`: at rest.
    pub(crate) next_at: Option<Timestamp>,
    /// The `wants` that were seen when this was decided.
    pub(crate) seen: i64,
    /// What went wrong, if anything did.
    pub(crate) error: Option<String>,
}

impl Rest {
    pub(crate) fn until(next_at: Option<Timestamp>, seen: i64) -> Self {
        Self { next_at, seen, error: None }
    }
}

/// How long a row waits when the database was in the way.
const OUTAGE: Duration = Duration::from_secs(5);

impl Worker {
    /// Claims one due row of a queue, works on it, and settles it.
    pub async fn run_one(&self, queue: Queue) -> Result<Ran> {
        let claimed = self.store.claim(queue, &self.name, 1, self.limits.claim).await?;
        crash::point("work.claimed").await;
        let Some(claim) = claimed.into_iter().next() else { return Ok(Ran::Idle) };
        let settled = self.handle(queue, &claim, &Stop::new()).await;
        crash::point("work.before_settle").await;
        self.store.settle(queue, &self.name, &[settled]).await?;
        crash::point("work.settled").await;
        Ok(Ran::One)
    }

    /// Claims up to `most` due rows of a queue, works on them side by side, and settles them together; how many they were.
    pub async fn run_some(&self, queue: Queue, most: i64) -> Result<usize> {
        let mut runs = JoinSet::new();
        for claim in self.store.claim(queue, &self.name, most, self.limits.claim).await? {
            let worker = self.clone();
            runs.spawn(async move { worker.handle(queue, &claim, &Stop::new()).await });
        }
        let settled = runs.join_all().await;
        if settled.is_empty() {
            return Ok(0);
        }
        self.store.settle(queue, &self.name, &settled).await?;
        Ok(settled.len())
    }

    /// Works on a claimed row and says how to settle it. Never fails: what went wrong is in the answer.
    pub(crate) async fn handle(&self, queue: Queue, claim: &Claim, stop: &Stop) -> Settled {
        let started_at = self.store.clock().now();
        let ran = if claim.lost >= LOST_LIMIT {
            Err(StoreError::Broken(format!("{} claims in a row ran out without an outcome; whoever takes this row dies", claim.lost)))
        } else {
            match queue {
                Queue::Servers => provision::run(self, claim, stop).await,
                Queue::Nodes => look::run(self, claim).await,
                Queue::Mails => mailer::run(self, claim).await,
                Queue::Webhooks => deliver::run(self, claim).await,
                Queue::Names => publish::run(self, claim).await,
            }
        };
        let settled =
            |rest: Rest, parked, outcome| Settled { seen: rest.seen, next_at: rest.next_at, parked, outcome, error: rest.error, ..claim.at_rest(started_at) };
        match ran {
            Ok(rest) => {
                let outcome = if rest.error.is_some() {
                    "retry"
                } else if rest.next_at.is_some() {
                    "later"
                } else {
                    "rest"
                };
                settled(rest, false, outcome)
            }
            Err(error) => {
                tracing::warn!(%queue, id = claim.id, epoch = claim.epoch, %error, "run failed");
                let later = error.is_outage() || matches!(error, StoreError::Lost { .. });
                let rest = Rest { next_at: Some(self.store.clock().now() + OUTAGE), seen: claim.wants, error: Some(error.to_string()) };
                if !later && let Err(e) = self.tell_parked(queue, &claim.id, &error).await {
                    tracing::error!(%queue, id = claim.id, error = %e, "a parked row could not be put on the attention list");
                    return settled(rest, false, "retry");
                }
                settled(rest, !later, if later { "retry" } else { "parked" })
            }
        }
    }

    pub(crate) async fn tell_parked(&self, queue: Queue, id: &str, error: &StoreError) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let detail = format!("{error}; put aside until it is looked at: leasehold queue list --state parked");
        tx.attend("parked", &format!("{}:{id}", queue.as_str().trim_end_matches('s')), &detail).await?;
        tx.commit().await
    }
}
