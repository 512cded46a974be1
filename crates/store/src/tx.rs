//! A transaction on either database, and the few verbs that every statement goes through.

use std::{collections::BTreeSet, time::Duration};

use leasehold_domain::{Dice, Timestamp};
use sqlx::{FromRow, Postgres, Sqlite, Transaction, postgres::PgRow, sqlite::SqliteRow};
use tokio::time::timeout;

use crate::{
    Queue, Result, Rows, Store, StoreError,
    dialect::{ANSWERING, Dialect, List},
    witness::Committed,
};

/// What a row can be read into, from both databases: anything that derives `sqlx::FromRow`.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Record for T {}

/// One bound value.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Text or null.
    Text(Option<String>),
    /// A whole number or null.
    Int(Option<i64>),
    /// True or false.
    Bool(bool),
    /// JSON, for row lists.
    Json(String),
}

macro_rules! arg_from {
    ($($from:ty => |$x:ident| $arg:expr),+ $(,)?) => { $(impl From<$from> for Arg { fn from($x: $from) -> Self { $arg } })+ };
}
arg_from! {
    &str => |x| Self::Text(Some(x.to_owned())),
    String => |x| Self::Text(Some(x)),
    &String => |x| Self::Text(Some(x.clone())),
    Option<&str> => |x| Self::Text(x.map(str::to_owned)),
    Option<String> => |x| Self::Text(x),
    i64 => |x| Self::Int(Some(x)),
    Option<i64> => |x| Self::Int(x),
    Timestamp => |x| Self::Int(Some(x.as_millis())),
    Option<Timestamp> => |x| Self::Int(x.map(Timestamp::as_millis)),
    bool => |x| Self::Bool(x),
}
macro_rules! arg_from_id {
    ($($id:ident),+) => { $(impl From<&leasehold_domain::$id> for Arg { fn from(x: &leasehold_domain::$id) -> Self { Self::Text(Some(x.0.clone())) } })+ };
}
arg_from_id!(AccountId, UserId, ServerId, LeaseId, NodeId, RegionId, ProductId, TemplateId, MailId);

/// The values for `$1`, `$2`, …
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::Arg::from($value)),*] };
}

pub(crate) enum Conn {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs one expression on the connection of either database.
macro_rules! on {
    ($conn:expr, $c:ident => $run:expr) => {
        match $conn {
            Conn::Sqlite(t) => {
                let $c = &mut **t;
                $run
            }
            Conn::Postgres(t) => {
                let $c = &mut **t;
                $run
            }
        }
    };
}

/// Binds every value to a query of either database.
macro_rules! bind {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg.clone() {
                Arg::Text(x) => query.bind(x),
                Arg::Int(x) => query.bind(x),
                Arg::Bool(x) => query.bind(x),
                Arg::Json(x) => query.bind(sqlx::types::Json(serde_json::value::RawValue::from_string(x).map_err(|e| sqlx::Error::Encode(e.into()))?)),
            };
        }
        query
    }};
}

/// The longest time for one statement: a server that vanished without a word holds nobody for ever.
const STATEMENT: Duration = Duration::from_mins(1);

pub(crate) async fn in_time<T>(statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    // Boxed: a future of sqlx is large, and this one is in every other.
    match timeout(STATEMENT, Box::pin(statement)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::no_answer()),
    }
}

/// A transaction. Dropped without [`Tx::commit`], it changes nothing.
pub struct Tx {
    conn: Conn,
    /// The instant of this transaction: all of its writes say the same.
    pub now: Timestamp,
    pub(crate) store: Store,
    wakes: BTreeSet<Queue>,
    pub(crate) committed: Vec<Committed>,
}

impl Tx {
    pub(crate) fn new(conn: Conn, now: Timestamp, store: Store) -> Self {
        Self { conn, now, store, wakes: BTreeSet::new(), committed: Vec::new() }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.conn {
            Conn::Sqlite(_) => Dialect::Sqlite,
            Conn::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Which start of which database server answers; of a SQLite file, which file it is.
    pub(crate) async fn answering(&mut self) -> Result<String> {
        match self.dialect() {
            Dialect::Sqlite => Ok(self.store.file().map_or_else(String::new, |(device, number)| format!("{device}:{number}"))),
            Dialect::Postgres => self.one::<(String,)>(ANSWERING, &[]).await.map(|(server,)| server),
        }
    }

    /// Ids and chance.
    pub fn dice(&self) -> &Dice {
        self.store.dice()
    }

    /// A new UUIDv7.
    pub fn new_id(&self) -> String {
        self.dice().uuid(self.now).to_string()
    }

    /// Runs a statement and says how many rows it changed.
    pub async fn exec(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        self.exec_on("", sql, args).await
    }

    /// As [`Tx::exec`], and an error unless exactly one row changed.
    pub async fn exec_one(&mut self, sql: &'static str, args: &[Arg]) -> Result<()> {
        match self.exec(sql, args).await? {
            1 => Ok(()),
            n => Err(StoreError::Broken(format!("{n} rows changed where one was meant: {sql}"))),
        }
    }

    /// As [`Tx::exec`], for a statement over any work table (`{table}`).
    pub(crate) async fn exec_on(&mut self, table: &'static str, sql: &'static str, args: &[Arg]) -> Result<u64> {
        self.exec_text(self.dialect().text(sql, table, List::default()), args).await
    }

    /// Runs a statement over a row list (`{rows}`) and says how many rows it changed.
    pub async fn exec_rows(&mut self, sql: &'static str, rows: Rows, rest: &[Arg]) -> Result<u64> {
        let text = self.dialect().text(sql, "", rows.list());
        self.exec_text(text, &with_rows(rows, rest)).await
    }

    /// As [`Tx::exec_rows`], and an error unless each row changed one; no rows, no statement.
    pub(crate) async fn exec_all(&mut self, sql: &'static str, rows: Rows, rest: &[Arg]) -> Result<()> {
        let count = rows.count;
        if count == 0 {
            return Ok(());
        }
        match self.exec_rows(sql, rows, rest).await? {
            n if n == count => Ok(()),
            n => Err(StoreError::Broken(format!("{n} rows changed where {count} were meant: {sql}"))),
        }
    }

    async fn exec_text(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        Ok(on!(&mut self.conn, c => in_time(bind!(sqlx::query(sql), args).execute(c)).await?.rows_affected()))
    }

    /// Reads all rows.
    pub async fn all<T: Record>(&mut self, sql: &'static str, args: &[Arg]) -> Result<Vec<T>> {
        self.all_on("", sql, args).await
    }

    pub(crate) async fn all_on<T: Record>(&mut self, table: &'static str, sql: &'static str, args: &[Arg]) -> Result<Vec<T>> {
        self.all_text(self.dialect().text(sql, table, List::default()), args).await
    }

    pub(crate) async fn all_rows_on<T: Record>(&mut self, table: &'static str, sql: &'static str, rows: Rows, rest: &[Arg]) -> Result<Vec<T>> {
        let text = self.dialect().text(sql, table, rows.list());
        self.all_text(text, &with_rows(rows, rest)).await
    }

    async fn all_text<T: Record>(&mut self, sql: &'static str, args: &[Arg]) -> Result<Vec<T>> {
        Ok(on!(&mut self.conn, c => in_time(bind!(sqlx::query_as::<_, T>(sql), args).fetch_all(c)).await?))
    }

    /// Reads at most one row.
    pub async fn optional<T: Record>(&mut self, sql: &'static str, args: &[Arg]) -> Result<Option<T>> {
        let sql = self.dialect().text(sql, "", List::default());
        Ok(on!(&mut self.conn, c => in_time(bind!(sqlx::query_as::<_, T>(sql), args).fetch_optional(c)).await?))
    }

    /// Reads one row that must be there.
    pub async fn one<T: Record>(&mut self, sql: &'static str, args: &[Arg]) -> Result<T> {
        self.optional(sql, args).await?.ok_or(StoreError::Sql(sqlx::Error::RowNotFound))
    }

    /// Reads one whole number.
    pub async fn int(&mut self, sql: &'static str, args: &[Arg]) -> Result<i64> {
        Ok(self.one::<(i64,)>(sql, args).await?.0)
    }

    /// Remembers that a queue has something due now; told to its workers with the commit.
    pub fn wake(&mut self, queue: Queue) {
        self.wakes.insert(queue);
    }

    /// Takes everything back at once; a transaction that is only dropped may hold its locks a little longer.
    pub async fn rollback(self) -> Result<()> {
        match self.conn {
            Conn::Sqlite(tx) => in_time(tx.rollback()).await,
            Conn::Postgres(tx) => in_time(tx.rollback()).await,
        }
    }

    /// Makes it so, and wakes the workers that it concerns.
    pub async fn commit(mut self) -> Result<()> {
        if let Conn::Postgres(tx) = &mut self.conn {
            for queue in &self.wakes {
                in_time(sqlx::query("select pg_notify($1, '')").bind(queue.channel()).execute(&mut **tx)).await?;
            }
        }
        match self.conn {
            Conn::Sqlite(tx) => in_time(tx.commit()).await?,
            Conn::Postgres(tx) => in_time(tx.commit()).await?,
        }
        self.store.trust().witness().saw(self.now, self.committed);
        self.wakes.into_iter().for_each(|queue| self.store.wakes().ring(queue));
        Ok(())
    }
}

fn with_rows(rows: Rows, rest: &[Arg]) -> Vec<Arg> {
    std::iter::once(Arg::Json(rows.into_json())).chain(rest.iter().cloned()).collect()
}
