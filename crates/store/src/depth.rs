//! How deep the queues are: what waits, what is worked on, what is late.

use std::time::Duration;

use leasehold_domain::{Timestamp, names};
use sqlx::FromRow;

use crate::{Queue, Result, Tx, When, args};

names! {
    /// How a work row stands that is not at rest.
    WorkState {
        /// Due, and nobody has taken it yet.
        Due = "due",
        /// A worker has it.
        Claimed = "claimed",
        /// Due later.
        Waiting = "waiting",
        /// Put aside until a person looks.
        Parked = "parked",
        /// Due for more than five minutes, or a claim that ran out more than a minute ago.
        Stuck = "stuck",
    }
}

/// A row that is due this long is stuck.
const DUE_TOO_LONG: Duration = Duration::from_mins(5);
/// A row whose claim ran out this long ago is stuck.
const CLAIMED_TOO_LONG: Duration = Duration::from_mins(1);

/// A work row as the queue sees it.
#[derive(Clone, Debug, FromRow)]
pub struct WorkRow {
    /// The row.
    pub id: String,
    /// When it is due.
    pub next_at: Option<When>,
    /// Who holds it.
    pub claimed_by: Option<String>,
    /// Until when.
    pub claimed_until: Option<When>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
    /// Failed attempts of the current step.
    pub attempt: i64,
    /// Claims in a row that ran out.
    pub lost: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Put aside until a person looks.
    pub parked_at: Option<When>,
}

impl WorkRow {
    /// How it stands.
    pub fn state(&self, now: Timestamp) -> WorkState {
        let Some(next) = self.next_at.map(|at| at.0) else { return WorkState::Parked };
        let late = now.since(next);
        match (&self.claimed_by, next <= now) {
            (Some(_), true) if late > CLAIMED_TOO_LONG => WorkState::Stuck,
            (Some(_), _) => WorkState::Claimed,
            (None, true) if late > DUE_TOO_LONG => WorkState::Stuck,
            (None, true) => WorkState::Due,
            (None, false) => WorkState::Waiting,
        }
    }
}

/// The rows of a queue that are not at rest, counted.
#[derive(Clone, Debug, FromRow)]
pub struct Depth {
    due: i64,
    claimed: i64,
    waiting: i64,
    parked: i64,
    stuck: i64,
    oldest: Option<When>,
}

impl Depth {
    /// How many rows stand in which state.
    pub fn of(&self, state: WorkState) -> i64 {
        match state {
            WorkState::Due => self.due,
            WorkState::Claimed => self.claimed,
            WorkState::Waiting => self.waiting,
            WorkState::Parked => self.parked,
            WorkState::Stuck => self.stuck,
        }
    }

    /// How long the oldest row waits that is due and that nobody has taken.
    pub fn oldest_due(&self, now: Timestamp) -> Duration {
        self.oldest.map_or(Duration::ZERO, |at| now.since(at.0))
    }
}

impl Tx {
    /// Counts a queue.
    pub async fn depth(&mut self, queue: Queue) -> Result<Depth> {
        let sql = "select count(case when claimed_by is null and next_at <= $1 and next_at >= $2 then 1 end) as due, \
                   count(case when claimed_by is not null and next_at >= $3 then 1 end) as claimed, \
                   count(case when claimed_by is null and next_at > $1 then 1 end) as waiting, \
                   (select count(*) from {table} where parked_at is not null) as parked, \
                   count(case when (claimed_by is null and next_at < $2) or (claimed_by is not null and next_at < $3) then 1 end) as stuck, \
                   min(case when claimed_by is null and next_at <= $1 then next_at end) as oldest \
                   from {table} where next_at is not null";
        let now = self.now;
        let mut counted: Vec<Depth> = self.all_on(queue.table(), sql, args![now, now - DUE_TOO_LONG, now - CLAIMED_TOO_LONG]).await?;
        counted.pop().ok_or(crate::StoreError::Sql(sqlx::Error::RowNotFound))
    }

    /// The rows of a queue that are not at rest, the most urgent first.
    pub async fn work_in(&mut self, queue: Queue, limit: i64) -> Result<Vec<WorkRow>> {
        let sql = "select id, next_at, claimed_by, claimed_until, epoch, wants, attempt, lost, last_error, parked_at from {table} \
                   where next_at is not null or parked_at is not null order by next_at, id limit $1";
        self.all_on(queue.table(), sql, args![limit]).await
    }
}
