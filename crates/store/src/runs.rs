//! One line a run of a work row: what ran where, and how it ended.

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use leasehold_domain::Timestamp;

use crate::{Page, Queue, Result, Rows, Tx, args, work::Settled};

/// A run that ended.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Run {
    /// The queue.
    pub queue: String,
    /// The row.
    pub row_id: String,
    /// The claim.
    pub epoch: i64,
    /// Who ran it.
    pub worker: String,
    /// Begin.
    #[sqlx(try_from = "i64")]
    pub started_at: Timestamp,
    /// End.
    #[sqlx(try_from = "i64")]
    pub ended_at: Timestamp,
    /// One word: `rest`, `later`, `retry`, `parked`, `given_back`.
    pub outcome: String,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

pub(crate) async fn record(tx: &mut Tx, queue: Queue, worker: &str, settled: impl Iterator<Item = &Settled>) -> Result<()> {
    let mut rows = Rows::new("v_id:t v_epoch:i v_started:i v_outcome:t v_error:t");
    settled.for_each(|s| rows.push(&[json!(s.id), json!(s.epoch), json!(s.started_at.as_millis()), json!(s.outcome), json!(s.error)]));
    if rows.count == 0 {
        return Ok(());
    }
    let sql = "with v(v_id, v_epoch, v_started, v_outcome, v_error) as ({rows}) \
               insert into runs (queue, row_id, epoch, worker, started_at, ended_at, outcome, error) \
               select $2, v_id, v_epoch, $3, v_started, $4, v_outcome, v_error from v where true on conflict do nothing";
    let now = tx.now;
    tx.exec_rows(sql, rows, args![queue.as_str(), worker, now]).await?;
    Ok(())
}

impl Tx {
    /// The newest runs, of one worker or of all.
    pub async fn runs(&mut self, worker: Option<&str>, page: impl Into<Page>) -> Result<Vec<Run>> {
        let page = page.into();
        let sql = "select * from runs where $1 is null or worker = $1 order by ended_at desc, queue, row_id limit $2 offset $3";
        self.all(sql, args![worker, page.most(), page.skip]).await
    }

    /// Removes runs that ended before `before`; answers how many.
    pub async fn prune_runs(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from runs where ended_at < $1", args![before]).await
    }
}
