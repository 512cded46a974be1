//! What a database says of itself, for the doctor.

use std::fmt;

use crate::{Result, Store, args};

/// The oldest PostgreSQL that is tried.
const POSTGRES: i64 = 150_000;

/// What a database says of itself.
#[derive(Clone, Debug)]
pub enum Facts {
    /// The embedded one.
    Sqlite {
        /// `wal`; that a commit is on disk before it is acknowledged is set on every connection of the daemon.
        journal: String,
    },
    /// A server.
    Postgres {
        /// 150004 is 15.4.
        version: i64,
        /// Of this database.
        collation: String,
        /// What the server allows.
        max_connections: i64,
        /// `off` loses acknowledged commits.
        synchronous_commit: String,
    },
}

impl Facts {
    /// What an operator should change, if anything.
    pub fn trouble(&self, connections: i64) -> Option<String> {
        match self {
            Self::Sqlite { journal } if journal != "wal" => Some(format!("journal mode {journal}; the daemon sets wal when it starts")),
            Self::Postgres { version, .. } if *version < POSTGRES => Some(format!("PostgreSQL {} is older than 15", version / 10_000)),
            Self::Postgres { synchronous_commit, .. } if synchronous_commit == "off" => {
                Some("synchronous_commit = off: a crash loses acknowledged orders".into())
            }
            Self::Postgres { max_connections, .. } if connections + 5 > *max_connections => {
                Some(format!("database.connections = {connections} a process, the server allows {max_connections} in all"))
            }
            Self::Postgres { collation, .. } if !["C", "C.UTF-8", "C.utf8", "POSIX"].contains(&collation.as_str()) => {
                Some(format!("collation {collation}: C is a third faster (create the database with: template template0 locale 'C.UTF-8')"))
            }
            Self::Sqlite { .. } | Self::Postgres { .. } => None,
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { journal } => write!(f, "SQLite, journal mode {journal}"),
            Self::Postgres { version, collation, .. } => write!(f, "PostgreSQL {}.{}, collation {collation}", version / 10_000, version % 10_000),
        }
    }
}

impl Store {
    /// Ends the transactions of processes that stand still in one, whatever else of theirs waits for a lock: each connection that waits would have the
    /// lock for as long again as the one before it. Answers how many were ended.
    pub async fn end_what_stands_still(&self) -> Result<usize> {
        if self.is_sqlite() {
            return Ok(0);
        }
        let sql = "select a.application_name, pg_terminate_backend(a.pid) from pg_stat_activity a where a.datname = current_database() and a.usename = current_user \
                   and a.pid <> pg_backend_pid() and a.xact_start is not null and a.application_name like 'leasehold %' and exists \
                   (select 1 from pg_stat_activity b where b.application_name = a.application_name and b.datname = a.datname \
                    and b.state like 'idle in transaction%' and now() - b.state_change > interval '8 seconds')";
        let ended: Vec<(String, bool)> = self.read().await?.all(sql, &[]).await?;
        for (program, _) in &ended {
            tracing::warn!(program, "a process stands still in a transaction; the transaction was ended");
        }
        Ok(ended.len())
    }

    /// Who holds others up in the database since more than a moment, a sentence each.
    pub async fn blockers(&self) -> Result<Vec<String>> {
        if self.is_sqlite() {
            return Ok(Vec::new());
        }
        let sql = "select b.pid::bigint, coalesce(nullif(b.application_name, ''), b.usename, 'somebody'), coalesce(host(b.client_addr), 'this host'), \
                   coalesce(b.state, 'of another role'), coalesce(cast(extract(epoch from now() - b.xact_start) as bigint), 0), count(distinct a.pid) from pg_stat_activity a \
                   cross join lateral unnest(pg_blocking_pids(a.pid)) as p(pid) join pg_stat_activity b on b.pid = p.pid \
                   where a.datname = current_database() and now() - a.query_start > interval '2 seconds' group by 1, 2, 3, 4, 5 order by 6 desc";
        let rows: Vec<(i64, String, String, String, i64, i64)> = self.read().await?.all(sql, &[]).await?;
        let says = |(pid, program, from, state, seconds, waiting): (i64, String, String, String, i64, i64)| {
            format!("{program} from {from} (connection {pid}, {state}) is in a transaction since {seconds} s, and {waiting} others wait for it")
        };
        Ok(rows.into_iter().map(says).collect())
    }

    /// Asks the database.
    pub async fn database_facts(&self) -> Result<Facts> {
        let mut tx = self.read().await?;
        if self.is_sqlite() {
            let (journal,): (String,) = tx.one("pragma journal_mode", &[]).await?;
            return Ok(Facts::Sqlite { journal });
        }
        let setting = "select setting from pg_settings where name = $1";
        let (version,): (String,) = tx.one(setting, args!["server_version_num"]).await?;
        let (max_connections,): (String,) = tx.one(setting, args!["max_connections"]).await?;
        let (synchronous_commit,): (String,) = tx.one(setting, args!["synchronous_commit"]).await?;
        let (collation,): (String,) = tx.one("select datcollate::text from pg_database where datname = current_database()", &[]).await?;
        let number = |text: String| text.parse().unwrap_or(0);
        Ok(Facts::Postgres { version: number(version), collation, max_connections: number(max_connections), synchronous_commit })
    }
}
