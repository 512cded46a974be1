//! Work rows: claim, keep, settle. The row is the queue.
//!
//! A row is due when `next_at` is not null and not in the future. A claim sets `next_at` to the claim's end, so a claim that
//! ran out is literally due again. Every claim raises `epoch`; whoever writes for a claim names that epoch, and a row whose
//! epoch moved on belongs to another worker. Whoever changes what should be raises `wants`; a holder that settles with an
//! older count than the row's leaves the row due now.

use std::time::Duration;

use leasehold_domain::{Timestamp, names};
use serde_json::json;
use sqlx::FromRow;

use crate::{Result, Rows, Store, Tx, args};

names! {
    /// The queues; each is a table with the work columns.
    Queue {
        /// Servers whose machine is not what it should be.
        Servers = "servers",
        /// Nodes to look at.
        Nodes = "nodes",
        /// Mails to send.
        Mails = "mails",
        /// Deliveries to webhooks.
        Webhooks = "webhooks",
        /// What addresses resolve to, to be published.
        Names = "names",
    }
}

impl Queue {
    /// Its table.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Nodes => "nodes",
            Self::Mails => "mails",
            Self::Webhooks => "webhook_deliveries",
            Self::Names => "names",
        }
    }

    /// Which of its rows are worked on in restored books that nobody released: nodes are looked at, and the operator is told.
    pub(crate) fn goes_on(table: &str) -> &'static str {
        match table {
            "nodes" => "true",
            "mails" => "(kind = 'operator_digest' or not exists (select 1 from restoration where released_at is null))",
            _ => "not exists (select 1 from restoration where released_at is null)",
        }
    }

    /// The channel that PostgreSQL tells its wakes on.
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Servers => "leasehold_servers",
            Self::Nodes => "leasehold_nodes",
            Self::Mails => "leasehold_mails",
            Self::Webhooks => "leasehold_webhooks",
            Self::Names => "leasehold_names",
        }
    }
}

/// A row that this worker holds.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Claim {
    /// The row.
    pub id: String,
    /// The fence: every later write names it.
    pub epoch: i64,
    /// Requests so far: what the holder has seen when it decides.
    pub wants: i64,
    /// Claims in a row that ran out without an outcome.
    pub lost: i64,
}

/// How a claim ends.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The row.
    pub id: String,
    /// The epoch of the claim.
    pub epoch: i64,
    /// The `wants` that the holder had seen when it decided.
    pub seen: i64,
    /// When to look again; `None` puts the row at rest.
    pub next_at: Option<Timestamp>,
    /// Put aside until a person looks; `next_at` is ignored.
    pub parked: bool,
    /// When the work began.
    pub started_at: Timestamp,
    /// One word for the run's line.
    pub outcome: &'static str,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

impl Claim {
    /// The claim's end with nothing left to do, from which others differ.
    pub fn at_rest(&self, started_at: Timestamp) -> Settled {
        let (id, epoch, seen) = (self.id.clone(), self.epoch, self.wants);
        Settled { id, epoch, seen, next_at: None, parked: false, started_at, outcome: "rest", error: None }
    }
}

/// Claims in a row that may run out before the row is parked.
pub const LOST_LIMIT: i64 = 10;

impl Tx {
    /// Makes due what is put off beyond this; how many rows.
    pub async fn bring_back(&mut self, beyond: Timestamp) -> Result<u64> {
        let (now, mut rows) = (self.now, 0);
        for queue in Queue::ALL {
            rows += self.exec_on(queue.table(), "update {table} set next_at = $1 where next_at > $2", args![now, beyond]).await?;
        }
        Ok(rows)
    }
}

impl Store {
    /// Claims up to `limit` due rows for `worker`, oldest first. In restored books only nodes are looked at, and the operator is told; in
    /// books that may be, only nodes are.
    pub async fn claim(&self, queue: Queue, worker: &str, limit: i64, claim: Duration) -> Result<Vec<Claim>> {
        let mut tx = self.begin().await?;
        if queue != Queue::Nodes && tx.is_in_doubt().await? {
            return Ok(vec![]);
        }
        let until = tx.now + claim;
        // The choice is made once, and the rows are found by it: left to itself, PostgreSQL makes it anew for every due row when its
        // statistics say that nothing is due, and the first burst after a quiet day takes minutes a claim. Hence the `+ 0`, too.
        let sql = "with due as materialized (select id from {table} where next_at <= $3 and {goes_on} \
                   order by next_at, id limit $4 {skip}) \
                   update {table} set epoch = epoch + 1, lost = case when claimed_by is null then 0 else lost + 1 end, \
                   claimed_by = $1, claimed_until = $2, next_at = $2 where id in (select id from due) and next_at + 0 <= $3 \
                   returning id, epoch, wants, lost";
        let rows = tx.all_on(queue.table(), sql, args![worker, until, tx.now, limit]).await?;
        if !rows.is_empty() {
            tx.commit().await?;
        }
        Ok(rows)
    }

    /// Extends claims; answers the ids that are still held.
    pub async fn keep(&self, queue: Queue, held: &[(String, i64)], claim: Duration) -> Result<Vec<String>> {
        let mut tx = self.begin().await?;
        let mut rows = Rows::new("v_id:t v_epoch:i");
        held.iter().for_each(|(id, epoch)| rows.push(&[json!(id), json!(epoch)]));
        let until = tx.now + claim;
        let sql = "with v(v_id, v_epoch) as ({rows}) update {table} as w set claimed_until = $2, next_at = $2 \
                   from v where w.id = v.v_id and w.epoch = v.v_epoch and w.claimed_by is not null returning id";
        let kept: Vec<(String,)> = tx.all_rows_on(queue.table(), sql, rows, args![until]).await?;
        tx.commit().await?;
        Ok(kept.into_iter().map(|(id,)| id).collect())
    }

    /// Gives claims back with their outcomes, each only if its epoch still stands; answers the ids for which it did.
    pub async fn settle(&self, queue: Queue, worker: &str, settled: &[Settled]) -> Result<Vec<String>> {
        let mut tx = self.begin().await?;
        let mut rows = Rows::new("v_id:t v_epoch:i v_seen:i v_next:i v_parked:i v_error:t");
        for s in settled {
            let next = s.next_at.filter(|_| !s.parked).map(Timestamp::as_millis);
            let parked = s.parked.then_some(tx.now.as_millis());
            rows.push(&[json!(s.id), json!(s.epoch), json!(s.seen), json!(next), json!(parked), json!(s.error)]);
        }
        let sql = "with v(v_id, v_epoch, v_seen, v_next, v_parked, v_error) as ({rows}) update {table} as w set \
                   claimed_by = null, claimed_until = null, lost = 0, last_error = coalesce(v.v_error, w.last_error), \
                   parked_at = case when w.wants = v.v_seen then v.v_parked else null end, \
                   next_at = case when w.wants = v.v_seen then v.v_next else $2 end \
                   from v where w.id = v.v_id and w.epoch = v.v_epoch returning id";
        let done: Vec<(String,)> = tx.all_rows_on(queue.table(), sql, rows, args![tx.now]).await?;
        let done: Vec<String> = done.into_iter().map(|(id,)| id).collect();
        crate::runs::record(&mut tx, queue, worker, settled.iter().filter(|s| done.contains(&s.id))).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Takes back every claim, and takes nobody else for alive: for the one daemon on a SQLite file, at its start.
    pub async fn take_back_claims(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        for queue in Queue::ALL {
            let sql = "update {table} set next_at = $1 where claimed_by is not null";
            tx.exec_on(queue.table(), sql, args![tx.now]).await?;
        }
        tx.exec("delete from processes", &[]).await?;
        tx.commit().await
    }

    /// When the earliest row of a queue is due; `None` when all are at rest.
    pub async fn next_due(&self, queue: Queue) -> Result<Option<Timestamp>> {
        if queue != Queue::Nodes && self.trust().is_in_doubt() {
            return Ok(None);
        }
        let mut tx = self.read().await?;
        let sql = "select min(next_at) from {table} where next_at is not null and {goes_on}";
        let rows: Vec<(Option<i64>,)> = tx.all_on(queue.table(), sql, &[]).await?;
        Ok(rows.into_iter().find_map(|(at,)| at).map(Timestamp::from_millis))
    }
}

impl Tx {
    /// Says that what should be has changed: the row is looked at now, or as soon as its holder is done.
    pub async fn want(&mut self, queue: Queue, id: &str) -> Result<()> {
        let sql = "update {table} set wants = wants + 1, parked_at = null, \
                   next_at = case when claimed_by is null and (next_at is null or next_at > $2) then $2 else next_at end where id = $1";
        let now = self.now;
        self.exec_on(queue.table(), sql, args![id, now]).await?;
        self.wake(queue);
        Ok(())
    }
}
