//! Bringing a database up to date: one portable set of migrations, and what PostgreSQL gets on top.

use sqlx::{
    Connection,
    migrate::{Migrate, MigrateError, Migrator},
};

use crate::{Result, Store, StoreError, pool::Pool};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
const POSTGRES_TUNING: &str = include_str!("../../../migrations/postgres/tuning.sql");

/// What this program is, in the counting of `schema_info.min_binary`.
pub(crate) const BINARY: i64 = 4;

/// A migration that was not applied yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub version: i64,
    /// What it is for.
    pub description: String,
}

impl Store {
    /// What [`Store::migrate`] would apply.
    pub async fn pending_migrations(&self) -> Result<Vec<Pending>> {
        let table = &MIGRATIONS.table_name;
        let applied = match self.pool() {
            Pool::Sqlite { write, .. } => write.acquire().await?.list_applied_migrations(table).await,
            Pool::Postgres(pool) => pool.acquire().await?.list_applied_migrations(table).await,
        };
        let applied = match applied {
            // A database that is new has no table of migrations yet; any other trouble is no word about its age.
            Err(MigrateError::Execute(sqlx::Error::Database(e))) if e.code().as_deref() == Some("42P01") || e.message().contains("no such table") => Vec::new(),
            other => other?,
        };
        let known = |version| applied.iter().any(|a| a.version == version);
        let missing = MIGRATIONS.iter().filter(|m| !known(m.version));
        Ok(missing.map(|m| Pending { version: m.version, description: m.description.to_string() }).collect())
    }

    /// Applies every migration that is missing; safe to run twice, and by two processes at once.
    pub async fn migrate(&self) -> Result<()> {
        match self.pool() {
            Pool::Sqlite { write, .. } => MIGRATIONS.run(write).await?,
            Pool::Postgres(pool) => {
                // A migration of a large table takes its time; the connection is not given back with that.
                let mut conn = pool.acquire().await?.detach();
                sqlx::raw_sql("set statement_timeout = 0; set lock_timeout = 0").execute(&mut conn).await?;
                // `run` takes any connection, and a future over it is not `Send` for every caller.
                MIGRATIONS.run_direct(None, &mut conn, false).await?;
                sqlx::raw_sql(POSTGRES_TUNING).execute(&mut conn).await?;
                conn.close().await?;
            }
        }
        Ok(())
    }

    /// Refuses a schema that is too old or too new for this program.
    pub async fn check_schema(&self) -> Result<()> {
        let pending = self.pending_migrations().await?.len();
        if pending > 0 {
            return Err(StoreError::SchemaOld(pending));
        }
        let min = self.read().await?.int("select min_binary from schema_info where id = 1", &[]).await?;
        if min > BINARY { Err(StoreError::SchemaNew(min)) } else { Ok(()) }
    }
}
