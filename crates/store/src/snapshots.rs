//! Snapshots as rows: what is asked of one stands in it until a worker has done it.

use leasehold_domain::{ServerId, Timestamp, server::SnapshotWork};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Queue, Result, StoreError, Text, Tx, When, args};

/// A snapshot.
#[derive(Clone, Debug, FromRow)]
pub struct Snapshot {
    /// Its id, which is its name at the node.
    pub id: String,
    /// Whose disk.
    pub server_id: String,
    /// The customer's name for it.
    pub name: String,
    /// What its owner says of it.
    pub description: Option<String>,
    /// Whether its machine was on when it was taken.
    pub powered_on: Option<bool>,
    /// When the disk last began from it: it was taken, or put back to it.
    pub base_at: Option<When>,
    /// What a worker shall do with it.
    pub asked: Option<Text<SnapshotWork>>,
    /// The number of the return that was asked for last.
    pub reverts: i64,
    /// When it was taken; none while it is not there yet.
    pub taken_at: Option<When>,
    /// Why the last request failed.
    pub error: Option<String>,
    /// Until when a nightly one is kept; none: until its owner removes it.
    pub keep_until: Option<When>,
    /// When it was asked for.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
}

/// What a customer sees of one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `taking`, `ready`, `reverting`, `dropping`, `failed`.
    pub state: &'static str,
    /// When it was taken.
    pub taken_at: Option<Timestamp>,
    /// Why the last request failed.
    pub error: Option<String>,
}

impl From<Snapshot> for SnapshotView {
    fn from(s: Snapshot) -> Self {
        let state = match (s.asked.map(|a| a.0), s.taken_at) {
            (Some(SnapshotWork::Take), _) => "taking",
            (Some(SnapshotWork::Revert), _) => "reverting",
            (Some(SnapshotWork::Drop), _) => "dropping",
            (None, Some(_)) => "ready",
            (None, None) => "failed",
        };
        Self { id: s.id, name: s.name, state, taken_at: s.taken_at.map(|at| at.0), error: s.error }
    }
}

impl Tx {
    /// A server's snapshots, the oldest first.
    pub async fn snapshots(&mut self, server: &ServerId) -> Result<Vec<Snapshot>> {
        self.all("select * from snapshots where server_id = $1 order by created_at, id", args![server]).await
    }

    /// One snapshot of a server, by name or id.
    pub async fn find_snapshot(&mut self, server: &ServerId, text: &str) -> Result<Snapshot> {
        let found = self.optional("select * from snapshots where server_id = $1 and (name = $2 or id = $2)", args![server, text]).await?;
        found.ok_or_else(|| StoreError::not_found("snapshot", text))
    }

    /// What a worker shall do next with a server's snapshots.
    pub async fn snapshot_due(&mut self, server: &ServerId) -> Result<Option<Snapshot>> {
        self.optional("select * from snapshots where server_id = $1 and asked is not null order by asked_at, id limit 1", args![server]).await
    }

    /// Asks for a new snapshot; answers its id.
    pub async fn ask_snapshot(&mut self, server: &ServerId, name: &str, description: Option<&str>) -> Result<String> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into snapshots (id, server_id, name, description, asked, asked_at, created_at) values ($1, $2, $3, $4, 'take', $5, $5)";
        self.exec_one(sql, args![&id, server, name, description, now]).await?;
        self.want(Queue::Servers, server.as_str()).await?;
        Ok(id)
    }

    /// Asks for the return to a snapshot, under a number of its own.
    pub async fn ask_revert(&mut self, server: &ServerId, id: &str) -> Result<()> {
        let now = self.now;
        let number = self.int("update servers set reverts = reverts + 1 where id = $1 returning reverts", args![server]).await?;
        self.exec_one("update snapshots set asked = 'revert', asked_at = $1, reverts = $2, error = null where id = $3", args![now, number, id]).await?;
        self.want(Queue::Servers, server.as_str()).await
    }

    /// Asks for a snapshot's end.
    pub async fn ask_drop(&mut self, server: &ServerId, id: &str) -> Result<()> {
        let now = self.now;
        self.exec_one("update snapshots set asked = 'drop', asked_at = $1, error = null where id = $2", args![now, id]).await?;
        self.want(Queue::Servers, server.as_str()).await
    }

    /// What was asked of a snapshot is done, unless something else was asked of it meanwhile.
    pub async fn snapshot_done(&mut self, s: &Snapshot, did: SnapshotWork, powered_on: bool) -> Result<()> {
        let now = self.now;
        match did {
            SnapshotWork::Take => {
                let sql = "update snapshots set taken_at = $1, base_at = $1, powered_on = $2, asked = case when asked = 'take' then null else asked end where id = $3";
                self.exec(sql, args![now, powered_on, &s.id]).await?
            }
            SnapshotWork::Revert => {
                let sql = "update snapshots set asked = null, base_at = $1 where id = $2 and asked = 'revert' and reverts = $3";
                self.exec(sql, args![now, &s.id, s.reverts]).await?
            }
            SnapshotWork::Drop => self.exec("delete from snapshots where id = $1", args![&s.id]).await?,
        };
        Ok(())
    }

    /// What was asked of a snapshot will not work; what was asked of it meanwhile stays.
    pub async fn snapshot_failed(&mut self, id: &str, did: SnapshotWork, why: &str) -> Result<()> {
        let sql = "update snapshots set asked = case when asked = $1 then null else asked end, error = $2 where id = $3";
        self.exec(sql, args![did.as_str(), why, id]).await?;
        Ok(())
    }

    /// The disk went, and its snapshots with it.
    pub async fn forget_snapshots(&mut self, server: &ServerId) -> Result<()> {
        self.exec("delete from snapshots where server_id = $1", args![server]).await?;
        Ok(())
    }
}
