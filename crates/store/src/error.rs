//! What can go wrong below the rules.

use leasehold_domain::{
    Money, Timestamp, UnknownName, books::BadBooks, ledger::Refused, money::MoneyError, movements::BadDelivery, policy::BadPolicy, server::IllegalTransition,
};

use sqlx::migrate::MigrateError;

/// The store's result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a statement or a rule on rows failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A SQLite file went away and its log stayed: a new file would have SQLite throw the log away, and what was acknowledged with it.
    #[error(
        "the database {path} is not there, but its log {path}-wal is; move exactly that file back beside it: any other, a backup included, destroys what the log holds. To go back to a backup, first move {path}-wal and {path}-shm away"
    )]
    LogAlone {
        /// The file.
        path: String,
    },
    /// A database that was set aside is in its place again, and some of it is not.
    #[error(
        "the log {log} has lost its database: if {path} is the one that was set aside, and was moved back, move the log to {path}-wal, too, or the last that was written is lost; if {path} is the backup that was restored, move the log to where its database is now"
    )]
    LogElsewhere {
        /// The file.
        path: String,
        /// Where its log is.
        log: String,
    },
    /// A restoration ended between the database that was and the backup that was to come.
    #[error(
        "the database {path} is not there: its restoration was cut off; run leasehold restore once more. The database that was is {aside}, in the same folder; its log is beside it, or still {path}-wal"
    )]
    CutOff {
        /// The file.
        path: String,
        /// What the database was renamed to.
        aside: String,
    },
    /// The database could not be reached at all.
    #[error("the database {url} cannot be reached: {source}; check [database] url and that the server is up")]
    Unreachable {
        /// The address, without a password.
        url: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The SQLite file is not the one any more that this process has open: what is written goes to a file that no other process sees.
    #[error(
        "the database file {path} was deleted or replaced; nothing is written any more. Do not stop this process: its data is still open there (process {pid}); \
             move the file back, or copy both the database and its -wal from /proc/{pid}/fd, then restart"
    )]
    FileGone {
        /// Where it was.
        path: String,
        /// Of this process.
        pid: u32,
    },
    /// The database refused or lost a statement.
    #[error("database: {}", said(.0))]
    Sql(#[from] sqlx::Error),
    /// A migration could not be applied.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The schema is older than this program.
    #[error("the database needs {0} migration(s); run: leasehold migrate")]
    SchemaOld(usize),
    /// The schema was made by a later program that says this one must not use it.
    #[error("the database was migrated by a newer leasehold (it wants at least {0}); install that version")]
    SchemaNew(i64),
    /// The books were restored and nobody released them.
    #[error("{why}; nothing is placed, destroyed or numbered until it was compared: leasehold drift, then: leasehold restore --release")]
    Restored {
        /// How it is known.
        why: String,
    },
    /// Nobody has looked yet whether these books are as new as the world.
    #[error(
        "documents get no numbers before a daemon has looked at the nodes: the database may be an older one; is leasehold serve (or a scheduler) running? Try again in a moment"
    )]
    NobodyLooked,
    /// Another daemon holds the SQLite file.
    #[error("another leasehold daemon is running on {0}; stop it first, or use PostgreSQL for several daemons")]
    Locked(String),
    /// A simulation database opened with the system clock, or the other way round.
    #[error("this database belongs to clock.mode = \"{made_for}\", the configuration says \"{asked}\"; simulation and real time are never mixed")]
    ClockMode {
        /// What the database was made for.
        made_for: String,
        /// What the configuration asks.
        asked: String,
    },
    /// No such row.
    #[error("no {what} '{id}'")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Under which id.
        id: String,
    },
    /// More than one row answers to a name.
    #[error("several {what} are called '{called}': {these}; use the id or number")]
    Ambiguous {
        /// What kind of thing.
        what: &'static str,
        /// By which name.
        called: String,
        /// Which ones, each with what tells it from the others.
        these: String,
    },
    /// The claim ran out and another worker holds the row: touch nothing more.
    #[error("the claim on {id} (epoch {epoch}) is lost")]
    Lost {
        /// The row.
        id: String,
        /// The epoch that was held.
        epoch: i64,
    },
    /// A row holds a text that is in no list of ours.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// A status does not allow what happened.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The ledger refuses.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The reference of a payment was used for another one.
    #[error("the reference '{reference}' was used on {day} for {was}; nothing was booked, use a reference of its own", day = .at.day())]
    ReferenceUsed {
        /// As it was given.
        reference: String,
        /// What it moved.
        was: Money,
        /// When.
        at: Timestamp,
    },
    /// The lease refuses.
    #[error(transparent)]
    Delivery(#[from] BadDelivery),
    /// The books of an account make no sense.
    #[error(transparent)]
    Books(#[from] BadBooks),
    /// A rule that is none.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// An amount is not one.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A secret could not be sealed or opened.
    #[error("{0}")]
    Sealed(String),
    /// Data that should be there is not, or does not fit.
    #[error("{0}")]
    Broken(String),
}

/// What the driver said, where its words would not help.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::PoolTimedOut => "no connection was to be had in time; is the server up, and are there enough of them ([database] connections)?".into(),
        other => other.to_string(),
    }
}

/// SQLite's primary codes: busy, locked, out of memory, read-only, input or output failed, full, cannot open.
const SQLITE_OUTAGES: &[i64] = &[5, 6, 7, 8, 10, 13, 14];
/// PostgreSQL's: a migration changed a table under a statement that the connection knows by heart (0A000); nobody is let in just now, since a new
/// password or name has not arrived everywhere (28000, 28P01, 3D000); read-only, a standby behind the name of its primary (25006); we stood still in a
/// transaction for too long (25P03, 25P04); another transaction was in the way (40001, 40P01, 55P03); no room (53…); not accepting connections (55000);
/// ended by time or by an operator, stopping, starting (57…); its files or itself (58030, XX000).
const POSTGRES_OUTAGES: &[&str] = &[
    "0A000", "25006", "25P03", "25P04", "28000", "28P01", "3D000", "40001", "40P01", "53100", "53200", "53300", "53400", "55000", "55P03", "57014", "57P01",
    "57P02", "57P03", "57P04", "57P05", "58030", "XX000",
];

/// Whether a code says that the database, or the way to it, is the trouble. Class 08 is the connection's, a pooler's words included.
fn is_outage_code(code: &str) -> bool {
    match code.parse::<i64>() {
        // An extended code of SQLite holds its primary one in the last byte; those of PostgreSQL have five characters.
        Ok(number) if code.len() < 5 => SQLITE_OUTAGES.contains(&(number & 0xff)),
        _ => code.starts_with("08") || POSTGRES_OUTAGES.contains(&code),
    }
}

impl StoreError {
    /// A missing row.
    pub fn not_found(what: &'static str, id: &(impl ToString + ?Sized)) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// No answer came in time; what was asked may have happened.
    pub fn no_answer() -> Self {
        Self::Sql(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time")))
    }

    /// Whether a unique key stood in the way.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(e)) if e.is_unique_violation())
    }

    /// Whether a table is not there: the database is new.
    pub fn is_missing_table(&self) -> bool {
        matches!(self, Self::SchemaOld(_))
            || matches!(self, Self::Sql(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") || e.message().contains("no such table"))
    }

    /// Whether a statement was ended for the time that it took: half as much may do.
    pub fn is_cut_short(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(e)) if e.code().is_some_and(|code| code == "57014"))
    }

    /// Whether the database itself is the trouble, so that asking again later may help.
    pub fn is_outage(&self) -> bool {
        match self {
            // Restored books go on once they are released.
            Self::Unreachable { .. } | Self::FileGone { .. } | Self::Restored { .. } | Self::NobodyLooked => true,
            Self::Migrate(MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _)) | Self::Sql(e) => match e {
                sqlx::Error::Database(e) => e.code().is_some_and(|code| is_outage_code(&code)),
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_databases_trouble_is_known_by_its_code() {
        for code in ["5", "6", "10", "13", "517", "778", "1034", "08006", "08P01", "25006", "25P03", "57P05", "53400", "53100"] {
            assert!(is_outage_code(code), "{code}");
        }
        for code in ["1", "19", "2067", "787", "23505", "42P01", "22001"] {
            assert!(!is_outage_code(code), "{code}");
        }
    }
}
