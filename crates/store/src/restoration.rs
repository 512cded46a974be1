//! Books that are older than the world: a backup that was restored, a standby that had not heard everything. Machines, numbers and mails may be out
//! there that no row knows. Until an operator compared and released them, only nodes are looked at.

use leasehold_domain::Timestamp;
use sqlx::FromRow;

use crate::{Queue, Result, Store, Tx, When, args, nodes::Node};

/// No work row is claimed this often between a backup and its restoration.
pub(crate) const EPOCHS: i64 = 1 << 32;
/// Numbers of accounts and keys that are left out, since people may have seen them; and one for every second that the books were not at work, so
/// that one backup that is restored twice does not give them out twice.
const NUMBERS: i64 = 1_000;

/// That the books were restored.
#[derive(Clone, Debug, FromRow)]
pub struct Restoration {
    /// Since when it is known.
    #[sqlx(try_from = "i64")]
    pub at: Timestamp,
    /// How it is known.
    pub why: String,
    /// Until when the books know the world.
    pub books_at: Option<When>,
    /// When an operator let things go on.
    pub released_at: Option<When>,
    /// What the years of document numbers are followed by since the last one.
    pub series: String,
}

/// What books have numbered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issued {
    /// Every series of documents and the number that would come next.
    pub series: Vec<(String, i64)>,
    /// Every series of numbers that people see and the last one.
    pub numbers: Vec<(String, i64)>,
    /// What the years of document numbers were followed by.
    pub letters: String,
}

impl Store {
    /// What these books have numbered, also where their schema is an older one.
    pub async fn issued(&self) -> Result<Issued> {
        let mut tx = self.read().await?;
        let series = tx.all("select id, next_no from invoice_series order by id", &[]).await?;
        let numbers = tx.all("select name, value from counters where name in ('account', 'ssh_key')", &[]).await?;
        let knows_letters = self.is_sqlite() && tx.int("select count(*) from sqlite_master where name = 'restoration'", &[]).await? > 0;
        let letters: Option<(String,)> = if knows_letters { tx.optional("select series from restoration", &[]).await? } else { None };
        Ok(Issued { series, numbers, letters: letters.map(|(letters,)| letters).unwrap_or_default() })
    }
}

impl Tx {
    /// Other books have issued this meanwhile: these go on behind it.
    pub async fn were_issued(&mut self, issued: &Issued) -> Result<()> {
        for (series, next) in &issued.series {
            self.set_last_document(series, next - 1).await?;
        }
        for (name, last) in &issued.numbers {
            self.exec("update counters set value = $2 where name = $1 and value < $2", args![name, *last]).await?;
        }
        self.exec("update restoration set series = $1 where series < $1", args![&issued.letters]).await.map(drop)
    }

    /// The last restoration, also when it is over.
    pub async fn restoration(&mut self) -> Result<Option<Restoration>> {
        self.optional("select at, why, books_at, released_at, series from restoration where id = 1", &[]).await
    }

    /// The restoration that an operator did not release yet, if there is one.
    pub async fn open_restoration(&mut self) -> Result<Option<Restoration>> {
        Ok(self.restoration().await?.filter(|r| r.released_at.is_none()))
    }

    /// Whether an operator still has to compare the books with the world.
    pub async fn is_restored(&mut self) -> Result<bool> {
        Ok(self.open_restoration().await?.is_some())
    }

    /// The books turned out to be older than the world, as something proves that a node knows and they do not. False: that is known already.
    pub async fn books_are_old(&mut self, proof: &str) -> Result<bool> {
        if self.is_restored().await? {
            return Ok(false);
        }
        let why = format!(
            "{proof}, and the records do not: they were restored, or a standby took over that lacks the last of them (or another house uses this node)"
        );
        self.begin_restoration(&why).await.map(|()| true)
    }

    /// From now on nothing is placed, destroyed or numbered; epochs and numbers rise above whatever was seen of them, and mails that wait may have been
    /// sent. Also where a restoration is open: the books may have been replaced since.
    pub async fn begin_restoration(&mut self, why: &str) -> Result<()> {
        let now = self.now;
        let books_at = self.last_sign_of_life().await?.min(now);
        let sql = "insert into restoration (id, at, why, books_at) values (1, $1, $2, $3) \
                   on conflict (id) do update set at = excluded.at, why = excluded.why, books_at = excluded.books_at, released_at = null";
        self.exec_one(sql, args![now, why, books_at]).await?;
        for queue in Queue::ALL {
            // Machines remember who spoke; of other rows, only what somebody may hold.
            let sql = match queue {
                Queue::Servers | Queue::Nodes => "update {table} set epoch = epoch + $1",
                Queue::Mails | Queue::Webhooks | Queue::Names => "update {table} set epoch = epoch + $1 where next_at is not null or claimed_by is not null",
            };
            self.exec_on(queue.table(), sql, args![EPOCHS]).await?;
        }
        let numbers = NUMBERS + now.since(books_at).as_secs() as i64;
        self.exec("update counters set value = value + $1 where name in ('account', 'ssh_key')", args![numbers]).await?;
        let mails = self.exec("update mails set state = 'ambiguous', next_at = null where state = 'queued'", &[]).await?;
        self.want_looks().await?;
        let detail = format!(
            "{why}; nothing is placed, destroyed or numbered, and {mails} mails that waited may have been sent: compare (leasehold drift), then: leasehold restore --release"
        );
        self.attend("restored", "house", &detail).await
    }

    /// When a scheduler was last at work in these books. No other sign: a process that starts looks at the nodes before its ticks ring.
    async fn last_sign_of_life(&mut self) -> Result<Timestamp> {
        let now = self.now;
        self.int("select coalesce(max(started_at), $1) from ticks", args![now]).await.map(Timestamp::from_millis)
    }

    /// Has every node looked at now.
    pub async fn want_looks(&mut self) -> Result<()> {
        // Also those that somebody holds: one who died would keep them until his claim ends, and one who lives is fenced off.
        let now = self.now;
        self.exec("update nodes set next_at = $1, look_at = null, parked_at = null, wants = wants + 1", args![now]).await?;
        self.wake(Queue::Nodes);
        Ok(())
    }

    /// Whether every node that is asked at all was asked since it was to be: it answered, or did not.
    pub async fn nodes_were_asked(&mut self) -> Result<bool> {
        Ok(self.int("select count(*) from nodes where not hidden and state <> 'offline' and look_at is null", &[]).await? == 0)
    }

    /// Nodes that were not looked at since the restoration and are not offline.
    pub async fn unseen_nodes(&mut self, since: Timestamp) -> Result<Vec<Node>> {
        let sql = "select * from nodes where not hidden and state <> 'offline' and (seen_at is null or seen_at <= $1 or failing_since is not null) order by id";
        self.all(sql, args![since]).await
    }

    /// Nobody has looked at this node: what it knows beyond these books is no news.
    pub async fn forget_seen(&mut self, node: &leasehold_domain::NodeId) -> Result<()> {
        self.exec("update nodes set seen_at = null where id = $1", args![node]).await.map(drop)
    }

    /// The world goes on. What waited meanwhile has as long as it had when the books were last at work.
    pub async fn end_restoration(&mut self, restoration: &Restoration, series: Option<&str>) -> Result<()> {
        let since = restoration.books_at.map_or(restoration.at, |at| at.0);
        let (now, stood) = (self.now, self.now.since(since).as_millis() as i64);
        let sql = "update restoration set released_at = $1, series = coalesce($2, series) where id = 1 and released_at is null and at = $3";
        self.exec_one(sql, args![now, series, restoration.at]).await?;
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

    /// What an epoch that a machine has heard means for books that are being restored: they speak above it from now on, and of a machine that is not where
    /// they have it they know that they never spoke to it.
    pub async fn epoch_was_heard(&mut self, server: &leasehold_domain::ServerId, epoch: i64, is_in_its_place: bool) -> Result<()> {
        let sql = if is_in_its_place {
            "update servers set epoch = $2 + $3 where id = $1 and epoch < $2"
        } else {
            "update servers set epoch = $2 + $3 where id = $1 and epoch / $3 <= $2 / $3"
        };
        self.exec(sql, args![server, epoch, EPOCHS]).await.map(drop)
    }

    /// The first number that a node was never given by these books.
    pub async fn first_free_number(&mut self, node: &leasehold_domain::NodeId) -> Result<i64> {
        self.int("select next_vmid from nodes where id = $1", args![node]).await
    }

    /// Whether these books themselves gave the number of a machine to another server, too.
    pub async fn is_given_out(&mut self, node: &leasehold_domain::NodeId, number: i64, but: &leasehold_domain::ServerId) -> Result<bool> {
        Ok(self.int("select count(*) from servers where node_id = $1 and vmid = $2 and id <> $3", args![node, number, but]).await? > 0)
    }

    /// Numbers up to this one were seen at a node; they are never given out again.
    pub async fn numbers_seen(&mut self, node: &leasehold_domain::NodeId, highest: i64) -> Result<()> {
        self.exec("update nodes set next_vmid = $2 + 1 where id = $1 and next_vmid <= $2", args![node, highest]).await.map(drop)
    }
}
