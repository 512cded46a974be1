//! Connections to either database, and the store that hands out transactions.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use leasehold_domain::Dice;
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool, SqliteConnection, SqlitePool,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Clock, KeyRing, Pulse, Result, StoreError, Trust, Wakes,
    dialect::ANSWERING,
    file::{DaemonLock, behind_links, folder, forget_set_aside, identity, is_locked, left_behind, lock_file, wal_pages},
    tx::{Conn, Tx, in_time},
};

/// SQLite: one writer, so that writes queue fairly instead of running into each other's locks; readers beside it.
#[derive(Debug)]
pub(crate) enum Pool {
    Sqlite { write: SqlitePool, read: SqlitePool, path: PathBuf },
    Postgres(PgPool),
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// For `LISTEN` and migrations where `url` is a pooler.
    pub direct_url: Option<String>,
    /// Connections at most (readers, on SQLite).
    pub connections: u32,
    /// The clock that this process follows.
    pub clock: Clock,
    /// Ids and chance.
    pub dice: Dice,
    /// What secrets are sealed with; without it, sealing is an error.
    pub keys: Option<KeyRing>,
    /// Makes no file and applies no migration.
    pub as_it_is: bool,
    /// Commits are not waited for until they are on the disk, unless the database follows the system's clock: for a trial, which a power
    /// cut may cost its last moments.
    pub trial: bool,
}

impl Options {
    /// The usual: system clock, chance from the operating system, no keys.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), direct_url: None, connections: 10, clock: Clock::system(), dice: Dice::from_os(), keys: None, as_it_is: false, trial: false }
    }
}

/// The database. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    options: Options,
    wakes: Wakes,
    pulse: Pulse,
    trust: Trust,
    /// Which file SQLite has open, by device and number.
    file: Option<(u64, u64)>,
}

const SQLITE_BUSY: Duration = Duration::from_secs(10);
/// The longest wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// A connection is renewed after this long: what it knows by heart is at most so old.
const LIFETIME: Duration = Duration::from_mins(5);
/// A connection that was used so short a time ago is not asked for a sign of life first.
const FRESH: Duration = Duration::from_secs(1);
/// The longest wait for a sign of life from a connection that comes back.
const PING: Duration = Duration::from_secs(2);

/// A statement that nobody waits for any more ends at the server, too: it would go on holding its rows. So does a transaction whose
/// process stands still in it (frozen, paused with its host): before a claim ends, so that it holds neither a wallet nor the invoice series
/// longer than others wait for their turn; see [`Store::end_what_stands_still`] for those that are sooner. A lock is waited for less long than a claim
/// lasts: one that ran out while its holder waited would be taken for one that was lost.
async fn limit(conn: &mut PgConnection, trial: bool) -> sqlx::Result<()> {
    let ends = "select set_config(name, case name when 'statement_timeout' then '60s' when 'client_connection_check_interval' then '2s' when 'lock_timeout' then '10s' else '15s' end, false) \
                from pg_settings where name in ('statement_timeout', 'client_connection_check_interval', 'idle_in_transaction_session_timeout', 'lock_timeout')";
    conn.execute(ends).await?;
    if trial {
        conn.execute("set synchronous_commit = off").await?;
    }
    Ok(())
}

/// A connection whose server vanished without a word would be waited for by the pool for ever, and its place with it.
async fn answers(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(PING, conn.ping()).await.map_err(silent)?.map(|()| true)
}

/// A connection whose last transaction could not be ended (the disk was full) is thrown away: what it counts of transactions is wrong for ever.
fn is_sound(conn: &mut SqliteConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async move { Ok(!conn.is_in_transaction()) })
}

fn sqlite_options(path: &str, trial: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if trial { SqliteSynchronous::Off } else { SqliteSynchronous::Full })
        .busy_timeout(SQLITE_BUSY)
        .foreign_keys(true)
        .statement_cache_capacity(256)
}

/// 1 where a database follows the system's clock: it is no trial, whatever the configuration says.
const FOR_REAL: &str = "select 1 from clock where id = 1 and mode = 'system'";

async fn made_for_real_sqlite(plain: &SqliteConnectOptions) -> bool {
    let Ok(mut conn) = plain.clone().read_only(true).connect().await else { return false };
    sqlx::query_scalar(FOR_REAL).fetch_optional(&mut conn).await.unwrap_or(None) == Some(1)
}

/// The address without its password, for messages.
fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let Some((head, tail)) = url.split_once("://") else { return url.to_owned() };
    let Some((login, host)) = tail.rsplit_once('@') else { return url.to_owned() };
    format!("{head}://{}@{host}", login.split(':').next().unwrap_or_default())
}

impl Store {
    /// Connects. SQLite is brought up to date here, PostgreSQL only by [`Store::migrate`].
    pub async fn open(options: Options) -> Result<Self> {
        let trust = Trust::default();
        let unreachable = |source| StoreError::Unreachable { url: without_password(&options.url), source };
        let (pool, wakes) = if let Some(path) = options.url.strip_prefix("sqlite:") {
            if let Some(error) = left_behind(Path::new(path)) {
                return Err(error);
            }
            if !options.as_it_is {
                forget_set_aside(Path::new(path));
            }
            let plain = SqliteConnectOptions::new().filename(path).read_only(options.as_it_is);
            let trial = options.trial && !made_for_real_sqlite(&plain).await;
            let connect = if options.as_it_is { plain } else { sqlite_options(path, trial) };
            let pool =
                |n| SqlitePoolOptions::new().max_connections(n).test_before_acquire(false).before_acquire(is_sound).idle_timeout(None).max_lifetime(None);
            // Long runs of writes: fewer pages are written twice.
            let writer = connect.clone().pragma("cache_size", "-65536").pragma("wal_autocheckpoint", wal_pages(Path::new(path)).to_string());
            let write = pool(1).connect_with(if options.as_it_is { connect.clone() } else { writer.clone() }).await.map_err(unreachable)?;
            // Made once, here. A connection that made the file anew, after it was taken away, would have SQLite throw the log of the old one away.
            write.set_connect_options(if options.as_it_is { connect.clone() } else { writer }.create_if_missing(false));
            let read = pool(options.connections.clamp(1, 8)).connect_lazy_with(connect.create_if_missing(false).pragma("query_only", "1"));
            let path = PathBuf::from(path);
            let wakes = Wakes::poking(behind_links(&path).with_added_extension("wake"));
            (Pool::Sqlite { write, read, path }, wakes)
        } else {
            // Which process it is, also where several share an address and the numbers of their processes.
            let program = format!("leasehold {} {}", std::process::id(), Dice::from_os().text("0123456789abcdef", 6));
            let connect = PgConnectOptions::from_str(&options.url).map_err(unreachable)?.application_name(&program);
            // The pool would try for its whole waiting time and then not say why.
            let mut first = connect.connect().await.map_err(unreachable)?;
            let trial = options.trial && sqlx::query_scalar(FOR_REAL).fetch_optional(&mut first).await.unwrap_or(None) != Some(1);
            first.close().await.map_err(unreachable)?;
            let known = trust.clone();
            let pool = PgPoolOptions::new()
                .max_connections(options.connections)
                .acquire_timeout(ACQUIRE)
                .max_lifetime(LIFETIME)
                .after_connect(move |conn, _| {
                    let known = known.clone();
                    Box::pin(async move {
                        limit(conn, trial).await?;
                        let (server, _): (String, i64) = sqlx::query_as(ANSWERING).fetch_one(conn).await?;
                        known.connected_to(&server);
                        Ok(())
                    })
                })
                .test_before_acquire(false)
                .before_acquire(|conn, meta| Box::pin(async move { if meta.idle_for < FRESH { Ok(true) } else { answers(conn).await } }))
                .after_release(|conn, _| Box::pin(answers(conn)));
            (Pool::Postgres(pool.connect_with(connect).await.map_err(unreachable)?), Wakes::default())
        };
        let file = match &pool {
            Pool::Sqlite { path, .. } => identity(path),
            Pool::Postgres(_) => None,
        };
        let store = Self(Arc::new(Inner { pool, options, wakes, pulse: Pulse::default(), trust, file }));
        store.trust().connected_to(&store.read().await?.answering().await?);
        if store.is_sqlite() && !store.0.options.as_it_is {
            // Not under a daemon that knows the schema from before only.
            let _lock = if store.pending_migrations().await?.is_empty() { None } else { Some(store.lock_daemon()?) };
            store.migrate().await?;
        }
        store.sync_clock().await?;
        Ok(store)
    }

    /// Refuses to write to a SQLite file that is not under its name any more: what is acknowledged there is lost at the end.
    fn check_file(&self) -> Result<()> {
        match &self.0.pool {
            Pool::Sqlite { path, .. } if identity(path) != self.0.file => {
                Err(StoreError::FileGone { path: path.display().to_string(), pid: std::process::id() })
            }
            _ => Ok(()),
        }
    }

    /// Opens a transaction for writing. On SQLite it waits for its turn first.
    pub async fn begin(&self) -> Result<Tx> {
        self.check_file()?;
        let conn = match &self.0.pool {
            Pool::Sqlite { write, .. } => Conn::Sqlite(in_time(write.begin_with("begin immediate")).await?),
            Pool::Postgres(pool) => Conn::Postgres(in_time(pool.begin()).await?),
        };
        Ok(Tx::new(conn, self.clock().now(), self.clone()))
    }

    /// After a long run of writes: what SQLite keeps of the database in memory is let go.
    pub async fn give_memory_back(&self) -> Result<()> {
        if let Pool::Sqlite { write, .. } = &self.0.pool {
            in_time(sqlx::query("pragma shrink_memory").execute(write)).await?;
        }
        Ok(())
    }

    /// Opens a transaction for reading.
    pub async fn read(&self) -> Result<Tx> {
        self.check_file()?;
        let conn = match &self.0.pool {
            Pool::Sqlite { read, .. } => Conn::Sqlite(in_time(read.begin()).await?),
            Pool::Postgres(pool) => Conn::Postgres(in_time(pool.begin()).await?),
        };
        Ok(Tx::new(conn, self.clock().now(), self.clone()))
    }

    /// Measures the distance between this host's clock and the database's.
    pub async fn sync_clock(&self) -> Result<()> {
        let before = Clock::host();
        let database = match &self.0.pool {
            Pool::Sqlite { .. } => Clock::host(),
            Pool::Postgres(pool) => {
                let (server, now): (String, i64) = in_time(sqlx::query_as(ANSWERING).fetch_one(pool)).await?;
                // Behind a pooler a connection outlives its server.
                self.0.trust.connected_to(&server);
                now
            }
        };
        // The answer was true somewhere between asking and receiving it.
        let halfway = (Clock::host() - before) / 2;
        let ahead = self.simulated_ahead().await.unwrap_or(0);
        self.clock().follow(database + halfway, ahead);
        Ok(())
    }

    /// Takes the place of the one daemon on a SQLite file; several daemons share a PostgreSQL database freely.
    pub fn lock_daemon(&self) -> Result<DaemonLock> {
        match &self.0.pool {
            Pool::Sqlite { path, .. } => lock_file(path),
            Pool::Postgres(_) => Ok(DaemonLock { _file: None }),
        }
    }

    /// Whether a daemon may be at work on this database: on a SQLite file, somebody has its lock.
    pub(crate) fn is_served(&self) -> bool {
        match &self.0.pool {
            Pool::Sqlite { path, .. } => is_locked(path),
            Pool::Postgres(_) => true,
        }
    }

    /// Looks at every page of a SQLite file, and whether it is a database of ours.
    pub async fn check_whole(&self) -> Result<()> {
        if let Pool::Sqlite { write, .. } = &self.0.pool {
            let (said,): (String,) = sqlx::query_as("pragma integrity_check(1)").fetch_one(write).await?;
            if said != "ok" {
                return Err(StoreError::Broken(said));
            }
        }
        let min = self.read().await?.int("select min_binary from schema_info where id = 1", &[]).await?;
        if min > crate::migrate::BINARY { Err(StoreError::SchemaNew(min)) } else { Ok(()) }
    }

    /// Writes a consistent copy of a SQLite database to `target`, which must not exist.
    pub async fn backup_to(&self, target: &str) -> Result<()> {
        let Pool::Sqlite { write, .. } = &self.0.pool else { return Err(StoreError::Broken("only a SQLite database is copied this way".into())) };
        sqlx::query("vacuum into $1").bind(target).execute(write).await?;
        Ok(())
    }

    /// Bytes that are free on the volume of a SQLite database, and all of it.
    pub fn space(&self) -> Option<(u64, u64)> {
        let Pool::Sqlite { path, .. } = &self.0.pool else { return None };
        rustix::fs::statvfs(folder(path)).ok().map(|s| (s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize))
    }

    /// Whether this is the embedded database.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0.pool, Pool::Sqlite { .. })
    }

    /// The clock that this store follows.
    pub fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    /// Ids and chance.
    pub fn dice(&self) -> &Dice {
        &self.0.options.dice
    }

    /// The alarms of the queues.
    pub fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    /// Whether this process may take the books for as new as the world.
    pub fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// The signs of life of this process's loops.
    pub fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    pub(crate) fn keys(&self) -> Option<&KeyRing> {
        self.0.options.keys.as_ref()
    }

    /// Which file SQLite has open, by device and number.
    pub(crate) fn file(&self) -> Option<(u64, u64)> {
        self.0.file
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(crate) fn listen_url(&self) -> Option<&str> {
        (!self.is_sqlite()).then(|| self.0.options.direct_url.as_deref().unwrap_or(&self.0.options.url))
    }

    /// Closes every connection; what is in flight ends first.
    pub async fn close(&self) {
        match &self.0.pool {
            Pool::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}
