//! The step log of a server: the intent is committed before the hypervisor is asked, the outcome after.

use leasehold_domain::{ServerId, Timestamp, server::Step};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Tx, When, args, servers::Server};

/// A line of the log.
#[derive(Clone, Debug, FromRow)]
pub struct StepRow {
    /// Its place in the log, from 1.
    pub no: i64,
    /// Which build.
    pub generation: i64,
    /// Which step.
    #[sqlx(try_from = "String")]
    pub step: Step,
    /// Which attempt, from 1.
    pub attempt: i64,
    /// The claim.
    pub epoch: i64,
    /// Who.
    pub worker: String,
    /// Begin.
    #[sqlx(try_from = "i64")]
    pub started_at: Timestamp,
    /// End.
    pub ended_at: Option<When>,
    /// `done`, `waiting`, `retry`, `unknown`, `failed`, `interrupted`; none while it runs.
    pub outcome: Option<String>,
    /// The reason, for people.
    pub detail: Option<String>,
}

/// How an intent was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its place in the log.
    pub no: i64,
    /// An intent for the same step was found without an outcome: look before asking again.
    pub unsure: bool,
    /// Another step than the one before it: attempts count from the start.
    pub fresh: bool,
}

#[derive(FromRow, Serialize)]
struct Last {
    no: i64,
    step: String,
    outcome: Option<String>,
    generation: i64,
}

impl Tx {
    /// When a build was first booted, or may have been; none before.
    pub async fn booted_at(&mut self, server: &ServerId, generation: i64) -> Result<Option<Timestamp>> {
        let sql = "select min(started_at) from server_steps where server_id = $1 and generation = $2 and step = 'boot' \
                   and (outcome is null or outcome not in ('retry', 'failed'))";
        let (at,): (Option<i64>,) = self.one(sql, args![server, generation]).await?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// Writes the intent. A step that waits goes on in its line; one that was cut off is closed as `interrupted`.
    pub async fn open_step(&mut self, server: &Server, step: Step, worker: &str) -> Result<Opened> {
        let last: Option<Last> =
            self.optional("select no, step, outcome, generation from server_steps where server_id = $1 order by no desc limit 1", args![&server.id]).await?;
        let same = |l: &Last| l.step == step.as_str() && l.generation == server.generation;
        let no = match &last {
            Some(l) if same(l) && l.outcome.as_deref() == Some("waiting") => {
                let sql = "update server_steps set epoch = $1, worker = $2, outcome = null where server_id = $3 and no = $4";
                self.exec_one(sql, args![server.epoch, worker, &server.id, l.no]).await?;
                return Ok(Opened { no: l.no, unsure: false, fresh: false });
            }
            Some(l) if l.outcome.is_none() => {
                self.close_step(&server.id, l.no, "interrupted", Some("the worker was cut off; its answer is not known")).await?;
                l.no + 1
            }
            Some(l) => {
                if l.outcome.as_deref() == Some("waiting") {
                    self.close_step(&server.id, l.no, "dropped", Some("something else was asked meanwhile")).await?;
                }
                l.no + 1
            }
            None => 1,
        };
        let (fresh, now) = (!last.as_ref().is_some_and(same), self.now);
        let attempt = if fresh { 1 } else { server.attempt + 1 };
        let sql = "insert into server_steps (server_id, no, generation, step, attempt, epoch, worker, started_at) values ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.exec_one(sql, args![&server.id, no, server.generation, step.as_str(), attempt, server.epoch, worker, now]).await?;
        let unsure = last.is_some_and(|l| same(&l) && matches!(l.outcome.as_deref(), None | Some("interrupted" | "unknown")));
        Ok(Opened { no, unsure, fresh })
    }

    /// Writes the outcome; a waiting step stays open.
    pub async fn close_step(&mut self, server: &ServerId, no: i64, outcome: &str, detail: Option<&str>) -> Result<()> {
        let ended = (outcome != "waiting").then_some(self.now);
        let sql = "update server_steps set outcome = $1, detail = $2, ended_at = $3 where server_id = $4 and no = $5";
        self.exec_one(sql, args![outcome, detail, ended, server, no]).await
    }

    /// The log of a server, oldest first.
    pub async fn steps(&mut self, server: &ServerId) -> Result<Vec<StepRow>> {
        self.all("select * from server_steps where server_id = $1 order by no", args![server]).await
    }
}
