//! The clock driver: simulated time moves from event to event, and everything that is due is done before it moves on.

use std::time::Duration;

use leasehold_cron::Scheduler;
use leasehold_domain::Timestamp;
use leasehold_store::{Queue, Store};
use leasehold_worker::Worker;

use crate::exit::Failure;

const DAY: Duration = Duration::from_hours(24);
/// Rows worked on side by side.
const AT_ONCE: i64 = 16;
/// Rounds at one instant before it is clear that something makes work for itself.
const ROUNDS: usize = 100_000;
/// What is worked on at every stop.
const OF_CUSTOMERS: &[Queue] = &[Queue::Servers, Queue::Mails, Queue::Webhooks, Queue::Names];

pub(crate) struct Driver<'a> {
    pub(crate) store: &'a Store,
    pub(crate) worker: Worker,
    pub(crate) scheduler: Scheduler,
    /// The least time between two stops.
    pub(crate) step: Duration,
}

impl Driver<'_> {
    /// Moves to `until`; `show` is told of every stop on the way.
    pub(crate) async fn to(&self, until: Timestamp, show: impl Fn(Timestamp)) -> Result<(), Failure> {
        let mut ticked_at = None;
        loop {
            let now = self.store.clock().now();
            // The other ticks look at rows and the time: once a day is as good as every ten seconds. The audit looks at all that ever was, at the end.
            if now >= until {
                self.scheduler.run_due().await?;
            } else if ticked_at.is_none_or(|at: Timestamp| now.since(at) >= DAY) {
                self.scheduler.run_due_where(|tick| tick.name != "audit").await?;
                ticked_at = Some(now);
            }
            // So are looks at the nodes, of which every one sees all machines.
            let nodes = ticked_at == Some(now) || now >= until;
            let looked_at = self.quiet(if nodes { Queue::ALL } else { OF_CUSTOMERS }).await?;
            show(now);
            let left = until.since(self.store.clock().now());
            if left.is_zero() {
                return Ok(());
            }
            let next = self.next_event(looked_at).await?.map_or(left, |at| at.since(self.store.clock().now()).max(self.step).max(Duration::from_millis(1)));
            self.store.advance_clock(next.min(left)).await?;
        }
    }

    /// Works until nothing is due at this instant: no account, no row of these queues. When the accounts were looked at last.
    async fn quiet(&self, queues: &[Queue]) -> Result<Timestamp, Failure> {
        for _ in 0..ROUNDS {
            let looked_at = self.store.clock().now();
            let mut idle = self.scheduler.settler.run().await?.accounts == 0;
            for queue in queues {
                while self.worker.run_some(*queue, AT_ONCE).await? > 0 {
                    idle = false;
                }
            }
            if idle {
                return Ok(looked_at);
            }
        }
        Err(Failure::Failed("the queues do not come to rest; see: leasehold queue list".into()))
    }

    /// The next instant at which a server, a mail, a webhook or an account is due; nodes are looked at along the way.
    async fn next_event(&self, looked_at: Timestamp) -> Result<Option<Timestamp>, Failure> {
        let mut next = self.store.read().await?.next_settle(looked_at).await?;
        for queue in OF_CUSTOMERS {
            next = next.into_iter().chain(self.store.next_due(*queue).await?).min();
        }
        Ok(next)
    }
}
