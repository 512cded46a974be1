//! Fresh databases: a SQLite file, or a database in the PostgreSQL cluster that `scripts/test` started.

use std::path::Path;

use leasehold_store::{Options, Store};
use sqlx::{Connection, PgConnection};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Embedded.
    Sqlite,
    /// A server.
    Postgres,
}

/// The cluster's variable: `postgres://user@host:port`.
pub const CLUSTER: &str = "LEASEHOLD_TEST_POSTGRES";
const TEMPLATE: &str = "leasehold_template";

/// The address of a fresh, migrated database.
pub async fn fresh(kind: Kind, dir: &Path, name: &str) -> String {
    match kind {
        Kind::Sqlite => format!("sqlite:{}", dir.join("leasehold.db").display()),
        Kind::Postgres => fresh_postgres(name).await,
    }
}

/// The address of a fresh database in the cluster; migrated.
pub async fn fresh_postgres(name: &str) -> String {
    let cluster = std::env::var(CLUSTER).unwrap_or_else(|_| panic!("{CLUSTER} is not set; PostgreSQL is never skipped: run scripts/test"));
    let mut admin = PgConnection::connect(&format!("{cluster}/postgres")).await.expect("the test cluster answers");
    // One process makes the template, the others wait for it.
    run(&mut admin, "select pg_advisory_lock(4711)".into()).await;
    let there: bool =
        sqlx::query_scalar("select exists(select 1 from pg_database where datname = $1 and datallowconn)").bind(TEMPLATE).fetch_one(&mut admin).await.unwrap();
    if !there {
        run(&mut admin, format!("create database {TEMPLATE}")).await;
        let store = Store::open(Options::new(format!("{cluster}/{TEMPLATE}"))).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
    }
    run(&mut admin, format!("create database {name} template {TEMPLATE}")).await;
    run(&mut admin, "select pg_advisory_unlock(4711)".into()).await;
    format!("{cluster}/{name}")
}

/// The address of a fresh database without a schema.
pub async fn bare_postgres(name: &str) -> String {
    let cluster = std::env::var(CLUSTER).unwrap_or_else(|_| panic!("{CLUSTER} is not set; PostgreSQL is never skipped: run scripts/test"));
    let mut admin = PgConnection::connect(&format!("{cluster}/postgres")).await.expect("the test cluster answers");
    run(&mut admin, format!("create database {name}")).await;
    format!("{cluster}/{name}")
}

async fn run(admin: &mut PgConnection, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(admin).await.unwrap();
}
