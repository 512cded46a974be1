//! Books that are older than the world: a backup that was restored, a standby that had not heard everything. Machines, numbers and mails may be out
//! there that no row knows. Until an operator compared and released them, only nodes are looked at.

use leasehold_domain::Timestamp;
use sqlx::FromRow;

use crate::{Queue, Result, Tx, When, args, nodes::Node};

/// No work row is claimed this often between a backup and its restoration.
const EPOCHS: i64 = 1 << 32;
/// Numbers of accounts and keys that are left out, since people may have seen them.
const NUMBERS: i64 = 1_000;

/// That the books were restored.
#[derive(Clone, Debug, FromRow)]
pub struct Restoration {
    /// Since when it is known.
    #[sqlx(try_from = "i64")]
    pub at: Timestamp,
    /// How it is known.
    pub why: String,
    /// When an operator let things go on.
    pub released_at: Option<When>,
    /// What the years of document numbers are followed by since the last one.
    pub series: String,
}

impl Tx {
    /// The last restoration, also when it is over.
    pub async fn restoration(&mut self) -> Result<Option<Restoration>> {
        self.optional("select at, why, released_at, series from restoration where id = 1", &[]).await
    }

    /// The restoration that an operator did not release yet, if there is one.
    pub async fn open_restoration(&mut self) -> Result<Option<Restoration>> {
        Ok(self.restoration().await?.filter(|r| r.released_at.is_none()))
    }

    /// Whether an operator still has to compare the books with the world.
    pub async fn is_restored(&mut self) -> Result<bool> {
        Ok(self.open_restoration().await?.is_some())
    }

    /// From now on nothing is placed, destroyed or numbered; epochs and numbers rise above whatever was seen of them, and mails that wait may have been
    /// sent. False: that is known already.
    pub async fn begin_restoration(&mut self, why: &str) -> Result<bool> {
        let now = self.now;
        let sql = "insert into restoration (id, at, why) values (1, $1, $2) \
                   on conflict (id) do update set at = excluded.at, why = excluded.why, released_at = null where restoration.released_at is not null";
        if self.exec(sql, args![now, why]).await? == 0 {
            return Ok(false);
        }
        for queue in Queue::ALL {
            self.exec_on(queue.table(), "update {table} set epoch = epoch + $1", args![EPOCHS]).await?;
        }
        self.exec("update counters set value = value + $1 where name <> 'activity'", args![NUMBERS]).await?;
        let mails = self.exec("update mails set state = 'ambiguous', next_at = null where state = 'queued'", &[]).await?;
        self.exec("update nodes set next_at = $1, look_at = null, parked_at = null, wants = wants + 1", args![now]).await?;
        self.wake(Queue::Nodes);
        let detail = format!(
            "{why}; nothing is placed, destroyed or numbered, and {mails} mails that waited may have been sent: compare (leasehold drift), then: leasehold restore --release"
        );
        self.attend("restored", "house", &detail).await?;
        Ok(true)
    }

    /// Nodes that were not looked at since the restoration and are not offline.
    pub async fn unseen_nodes(&mut self, since: Timestamp) -> Result<Vec<Node>> {
        let sql = "select * from nodes where not hidden and state <> 'offline' and (seen_at is null or seen_at <= $1 or failing_since is not null) order by id";
        self.all(sql, args![since]).await
    }

    /// The world goes on. What waited meanwhile has as long as it had.
    pub async fn end_restoration(&mut self, since: Timestamp, series: Option<&str>) -> Result<()> {
        let (now, stood) = (self.now, self.now.since(since).as_millis() as i64);
        self.exec_one("update restoration set released_at = $1, series = coalesce($2, series) where id = 1 and released_at is null", args![now, series])
            .await?;
        self.exec("update servers set deadline_at = deadline_at + $1 where deadline_at is not null", args![stood]).await?;
        for queue in Queue::ALL {
            self.wake(*queue);
        }
        Ok(())
    }

    /// The next number of a series of documents; none was given yet: 1.
    pub async fn next_document(&mut self, series: &str) -> Result<i64> {
        let next: Option<(i64,)> = self.optional("select next_no from invoice_series where id = $1", args![series]).await?;
        Ok(next.map_or(1, |(next,)| next))
    }

    /// The last number of a series that was given out, beyond those that are known here; the next one follows it.
    pub async fn set_last_document(&mut self, series: &str, last: i64) -> Result<()> {
        let first = self.next_document(series).await?;
        if first > last {
            return Ok(());
        }
        self.exec_one("insert into lost_documents (series, first, last) values ($1, $2, $3)", args![series, first, last]).await?;
        let sql = "insert into invoice_series (id, next_no) values ($1, $2 + 1) on conflict (id) do update set next_no = excluded.next_no";
        self.exec_one(sql, args![series, last]).await
    }

    /// The system on a server's machine is a later one than the records know.
    pub async fn system_is_later(&mut self, server: &leasehold_domain::ServerId, generation: i64) -> Result<()> {
        let sql = "update servers set generation = $2, installed = $2 where id = $1 and generation < $2";
        self.exec(sql, args![server, generation]).await.map(drop)
    }

    /// Numbers up to this one were seen at a node; they are never given out again.
    pub async fn numbers_seen(&mut self, node: &leasehold_domain::NodeId, highest: i64) -> Result<()> {
        self.exec("update nodes set next_vmid = $2 + 1 where id = $1 and next_vmid <= $2", args![node, highest]).await.map(drop)
    }
}
