//! Who is alive: one row a process, kept fresh by its heartbeat.

use std::time::Duration;

use leasehold_domain::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::{Queue, Result, Tx, args, witness::Committed};

/// A running leasehold process.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Process {
    /// Host, role and boot id: fresh at every start.
    pub name: String,
    /// `serve`, `worker`, `scheduler`.
    pub role: String,
    /// The host.
    pub host: String,
    /// Its version.
    pub version: String,
    /// Its queues, separated by commas.
    pub queues: String,
    /// Since when.
    #[sqlx(try_from = "i64")]
    pub started_at: Timestamp,
    /// The last sign of life.
    #[sqlx(try_from = "i64")]
    pub seen_at: Timestamp,
    /// What is in its way, if anything is.
    pub trouble: Option<String>,
}

impl Process {
    /// Whether it gave a sign of life a moment ago.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.since(self.seen_at) < SILENT
    }

    /// Whether it works on a queue.
    pub fn serves(&self, queue: Queue) -> bool {
        self.queues.split(',').any(|q| q == queue.as_str())
    }
}

/// The trouble of a process that has the nodes looked at before it begins.
pub const LOOKING: &str = "has the nodes looked at first";

/// A process without a sign of life for so long counts as gone: it gives one every ten seconds.
const SILENT: Duration = Duration::from_secs(40);

impl Tx {
    /// Gives a sign of life.
    pub async fn heartbeat(&mut self, p: &Process) -> Result<()> {
        let now = self.now;
        let beats = self.store.trust().witness().beats() + 1;
        let (server, vouches) = (self.answering().await?, self.store.trust().vouches());
        let sql = "insert into processes (name, role, host, version, queues, started_at, seen_at, trouble, server, vouches, beats) \
                   values ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10) \
                   on conflict (name) do update set seen_at = excluded.seen_at, trouble = excluded.trouble, server = excluded.server, vouches = excluded.vouches, \
                   beats = case when processes.beats > excluded.beats then processes.beats else excluded.beats end";
        self.exec_one(sql, args![&p.name, &p.role, &p.host, &p.version, &p.queues, now, p.trouble.clone(), server, vouches, beats]).await?;
        // Of documents that others issue, every process knows a moment later.
        let last = "select i.id, i.series, i.number from invoice_series s join invoices i on i.series = s.id and i.number = s.next_no - 1";
        let last: Vec<(String, String, i64)> = self.all(last, &[]).await?;
        last.into_iter().for_each(|(id, series, number)| self.will_have(Committed::Document { id, name: format!("{series}-{number:06}") }));
        self.will_have(Committed::Beat { process: p.name.clone(), beats });
        Ok(())
    }

    /// Whether a process runs that had the nodes looked at for this start of the server, and would know if these books were old.
    pub(crate) async fn somebody_vouches(&mut self, server: &str) -> Result<bool> {
        if !self.store.is_served() {
            return Ok(false);
        }
        // Not by a clock that was ahead.
        let (since, latest) = (self.now - SILENT, self.now + SILENT);
        let sql = "select count(*) from processes where seen_at > $1 and seen_at < $3 and server = $2 and vouches";
        Ok(self.int(sql, args![since, server, latest]).await? > 0)
    }

    /// Whether every process that was alive when the server changed gave a sign of life since, so that it has compared these books with what it saw
    /// before; or somebody has waited for them already.
    pub async fn processes_were_heard(&mut self) -> Result<bool> {
        let server = self.answering().await?;
        self.store.trust().connected_to(&server);
        // Not those that a clock that was ahead wrote down.
        let (latest, silent) = (self.now + SILENT, SILENT.as_millis() as i64);
        let sql = "select count(*) from processes where coalesce(server, '') <> $1 and seen_at < $3 \
                   and seen_at > (select max(seen_at) - $2 from processes where coalesce(server, '') <> $1 and seen_at < $3)";
        Ok(self.somebody_vouches(&server).await? || self.int(sql, args![server, silent, latest]).await? == 0)
    }

    /// Says goodbye.
    pub async fn farewell(&mut self, name: &str) -> Result<()> {
        self.exec("delete from processes where name = $1", args![name]).await?;
        Ok(())
    }

    /// Everyone, the freshest first.
    pub async fn processes(&mut self) -> Result<Vec<Process>> {
        self.all("select * from processes order by seen_at desc, name", &[]).await
    }

    /// Those that gave a sign of life a moment ago, by name.
    pub async fn processes_alive(&mut self) -> Result<Vec<Process>> {
        let now = self.now;
        let mut alive: Vec<Process> = self.processes().await?.into_iter().filter(|p| p.is_alive(now)).collect();
        alive.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(alive)
    }

    /// Forgets processes without a sign of life since `before`.
    pub async fn prune_processes(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from processes where seen_at < $1", args![before]).await
    }
}
