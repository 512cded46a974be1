//! The ticks as rows: "run now" is `next_at = now`, a pause is a flag, a doubled ring finds nothing due.

use leasehold_domain::Timestamp;
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, When, args};

/// A tick.
#[derive(Clone, Debug, FromRow)]
pub struct Tick {
    /// Its name.
    pub name: String,
    /// When it is due.
    #[sqlx(try_from = "i64")]
    pub next_at: Timestamp,
    /// Whether it is skipped.
    pub paused: bool,
    /// Last begin.
    pub started_at: Option<When>,
    /// Last end.
    pub ended_at: Option<When>,
    /// How often it ran.
    pub runs: i64,
    /// What went wrong last time.
    pub last_error: Option<String>,
}

impl Tx {
    /// Makes sure that a tick has its row.
    pub async fn ensure_tick(&mut self, name: &str) -> Result<()> {
        let now = self.now;
        self.exec("insert into ticks (name, next_at, paused, runs) values ($1, $2, false, 0) on conflict do nothing", args![name, now]).await?;
        Ok(())
    }

    /// Takes a tick that is due, or was put off to later than `latest`, and moves it on. False when it is neither, paused, or taken by another scheduler.
    pub async fn take_tick(&mut self, name: &str, next_at: Timestamp, latest: Timestamp) -> Result<bool> {
        let now = self.now;
        let sql = "update ticks set next_at = $1, started_at = $2 where name = $3 and (next_at <= $2 or next_at > $4) and not paused";
        Ok(self.exec(sql, args![next_at, now, name, latest]).await? == 1)
    }

    /// Notes how a tick ended.
    pub async fn tick_ended(&mut self, name: &str, error: Option<&str>) -> Result<()> {
        let now = self.now;
        self.exec_one("update ticks set ended_at = $1, runs = runs + 1, last_error = $2 where name = $3", args![now, error, name]).await
    }

    /// All ticks by name.
    pub async fn ticks(&mut self) -> Result<Vec<Tick>> {
        self.all("select * from ticks order by name", &[]).await
    }

    /// Makes a tick due now.
    pub async fn ring_tick(&mut self, name: &str) -> Result<()> {
        let now = self.now;
        self.change_tick("update ticks set next_at = $2 where name = $1", name, args![name, now]).await
    }

    /// Has the books settled now; before its first run the tick is due anyway.
    pub async fn ring_settle(&mut self) -> Result<()> {
        let now = self.now;
        self.exec("update ticks set next_at = $1 where name = 'settle'", args![now]).await?;
        Ok(())
    }

    /// Stops or resumes a tick.
    pub async fn pause_tick(&mut self, name: &str, paused: bool) -> Result<()> {
        self.change_tick("update ticks set paused = $2 where name = $1", name, args![name, paused]).await
    }

    async fn change_tick(&mut self, sql: &'static str, name: &str, args: &[crate::Arg]) -> Result<()> {
        match self.exec(sql, args).await? {
            0 => Err(StoreError::not_found("tick", name)),
            _ => Ok(()),
        }
    }
}
