//! The list of ticks, and what rings them.

use std::time::Duration;

use leasehold_domain::Timestamp;
use leasehold_store::{Result, Store, StoreError, ticks::Tick as TickRow};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::{addons, audit, digest, prune, seal, settle::Settler};

/// When a tick is due again.
#[derive(Clone, Copy, Debug)]
pub enum Every {
    /// After this long.
    Seconds(u64),
    /// At this hour UTC.
    DailyAt(u64),
}

/// A tick: its name and its rhythm.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Its name.
    pub name: &'static str,
    /// Its rhythm.
    pub every: Every,
    /// What it is for.
    pub purpose: &'static str,
}

/// Everything that the scheduler does, sorted.
pub const TICKS: &[Tick] = &[
    Tick { name: "addons", every: Every::Seconds(60), purpose: "end add-ons whose last paid period is over" },
    Tick { name: "audit", every: Every::DailyAt(3), purpose: "check the books and the records" },
    Tick { name: "digest", every: Every::Seconds(60), purpose: "tell the operator what needs a person" },
    Tick {
        name: "heartbeat",
        every: Every::Seconds(10),
        purpose: "forget processes that gave no sign of life for ten minutes; wake what a clock that was ahead put off",
    },
    Tick { name: "prune", every: Every::DailyAt(4), purpose: "remove what nobody needs any more" },
    Tick { name: "seal", every: Every::Seconds(10), purpose: "chain the activity log" },
    Tick { name: "settle", every: Every::Seconds(15), purpose: "renew, warn, suspend, end what is due" },
];

const DAY: u64 = 86_400_000;
/// Clocks of several schedulers differ by less than this.
const PUT_OFF: Duration = Duration::from_mins(1);
/// What ends, removes or forgets: not by a clock that cannot be believed. The settler asks for itself.
const REMOVES: &[&str] = &["addons", "heartbeat", "prune"];
/// What stands still while restored books were not compared with the world; here, too, the settler asks for itself.
const STANDS_STILL: &[&str] = &["addons", "prune"];

impl Every {
    fn next(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Seconds(s) => now + Duration::from_secs(s),
            Self::DailyAt(hour) => {
                let ms = now.as_millis().max(0) as u64;
                let today = ms - ms % DAY + hour * 3_600_000;
                Timestamp::from_millis((if today > ms { today } else { today + DAY }) as i64)
            }
        }
    }

    /// The latest that a tick may be put off to by a clock that is right; another scheduler's may be past a full hour already.
    fn latest(self, now: Timestamp) -> Timestamp {
        self.next(self.next(now)) + PUT_OFF
    }
}

/// What the ticks need.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// The database.
    pub store: Store,
    /// What settles on it.
    pub settler: Settler,
    /// How long addresses rest that a server gave back.
    pub ip_quarantine: Duration,
    /// Where the digest goes; without it, nobody is mailed.
    pub operator: Option<String>,
}

impl Scheduler {
    /// Runs every tick that is due; answers their names.
    pub async fn run_due(&self) -> Result<Vec<&'static str>> {
        self.run_due_where(|_| true).await
    }

    /// Runs those of these ticks that are due; answers their names.
    pub async fn run_due_where(&self, wanted: impl Fn(&Tick) -> bool) -> Result<Vec<&'static str>> {
        if self.store.trust().is_in_doubt() {
            return Ok(vec![]);
        }
        let mut tx = self.store.read().await?;
        let (rows, now) = (tx.ticks().await?, tx.now);
        if tx.clock_is_plain().await? {
            self.store.pulse().hindered("clock", None);
        }
        drop(tx);
        let mut ran = Vec::new();
        for tick in TICKS.iter().filter(|t| wanted(t)) {
            let row = rows.iter().find(|r| r.name == tick.name);
            // One that a clock far ahead has put off until a time that is far away rings now.
            let due = |r: &TickRow| r.next_at <= now || r.next_at > tick.every.latest(now);
            if row.is_none_or(|r| !r.paused && due(r)) && self.tick(tick).await? {
                ran.push(tick.name);
            }
        }
        Ok(ran)
    }

    /// Runs one tick if it is due and nobody else took it. What goes wrong in it is written to its row.
    async fn tick(&self, tick: &Tick) -> Result<bool> {
        let mut tx = self.store.begin().await?;
        if tx.is_in_doubt().await? {
            return Ok(false);
        }
        tx.ensure_tick(tick.name).await?;
        let next = tick.every.next(tx.now);
        let latest = tick.every.latest(tx.now);
        if !tx.take_tick(tick.name, next, latest).await? {
            return Ok(false);
        }
        tx.commit().await?;
        let ran = self.work(tick.name).await;
        if let Err(error) = &ran {
            tracing::warn!(tick = tick.name, %error, "tick failed");
        }
        let waits = matches!(ran, Err(StoreError::NobodyLooked | StoreError::Restored { .. }));
        let error = ran.err().map(|e| e.to_string());
        metrics::counter!("leasehold_ticks_total", "name" => tick.name, "outcome" => if error.is_none() { "done" } else { "failed" }).increment(1);
        let mut tx = self.store.begin().await?;
        tx.tick_ended(tick.name, error.as_deref()).await?;
        let subject = format!("tick:{}", tick.name);
        match &error {
            // That is known, and told where it is found out.
            Some(_) if waits => {}
            Some(error) => tx.attend("tick_failed", &subject, &format!("the tick {} failed: {error}", tick.name)).await?,
            None => tx.attended("tick_failed", &subject, "scheduler").await?,
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn work(&self, name: &str) -> Result<()> {
        if REMOVES.contains(&name) && !self.settler.believes_the_clock().await? {
            return Ok(());
        }
        if STANDS_STILL.contains(&name) && self.store.read().await?.is_restored().await? {
            return Ok(());
        }
        match name {
            "addons" => addons::run(&self.store, self.ip_quarantine).await,
            "audit" => audit::run(&self.store).await,
            "digest" => digest::run(&self.store, self.operator.as_deref()).await,
            "heartbeat" => prune::processes(&self.store).await,
            "prune" => prune::run(&self.store).await,
            "seal" => seal::run(&self.store).await,
            "settle" => self.settler.run().await.map(drop),
            other => Err(StoreError::not_found("tick", other)),
        }
    }
}

/// Rings come every second, and one that meets a slow database is followed by others.
const NEXT_RING: Duration = Duration::from_mins(2);

/// Rings every second until `stop` resolves.
pub async fn run(scheduler: Scheduler, stop: impl Future<Output = ()>) -> std::result::Result<(), JobSchedulerError> {
    let (mut bell, pulse) = (JobScheduler::new().await?, scheduler.store.pulse().clone());
    let ring = Job::new_async("* * * * * *", move |_, _| {
        let scheduler = scheduler.clone();
        Box::pin(async move {
            let pulse = scheduler.store.pulse();
            match scheduler.run_due().await {
                Ok(_) => pulse.beat("ticks", NEXT_RING),
                Err(error) => {
                    tracing::warn!(%error, "the ticks could not be looked at; trying again");
                    pulse.trouble("ticks", &error, NEXT_RING);
                }
            }
        })
    })?;
    bell.add(ring).await?;
    pulse.beat("ticks", NEXT_RING);
    bell.start().await?;
    stop.await;
    pulse.rest("ticks");
    bell.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daily_ticks_come_at_their_hour() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let next = |now: &str| Every::DailyAt(3).next(at(now)).to_string();
        assert_eq!(next("2026-03-31T02:59:59Z"), "2026-03-31T03:00:00.000Z");
        assert_eq!(next("2026-03-31T03:00:00Z"), "2026-04-01T03:00:00.000Z");
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(TICKS.is_sorted_by_key(|t| t.name));
    }
}
