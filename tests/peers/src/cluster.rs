//! The cluster that all are measured in: each measurement has a database of its own.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::sync::Mutex;

static NEXT: AtomicU32 = AtomicU32::new(0);
static TEMPLATE: Mutex<()> = Mutex::const_new(());

#[derive(Clone)]
pub(crate) struct Cluster {
    url: String,
}

impl Cluster {
    pub(crate) fn new(url: String) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn database(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    async fn run(&self, sql: String) {
        let mut connection = PgConnection::connect(&self.database("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn fresh(&self) -> Database {
        let name = format!("peers_{}_{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let one_at_a_time = TEMPLATE.lock().await;
        self.run(format!("create database {name}")).await;
        drop(one_at_a_time);
        let url = self.database(&name);
        let plain = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
        Database { cluster: self.clone(), name, url, plain }
    }

    /// Drops what this process has left behind.
    pub(crate) async fn sweep(&self) {
        let mut connection = PgConnection::connect(&self.database("postgres")).await.unwrap();
        let sql = "select datname::text from pg_database where datname like $1";
        let mine = format!("peers\\_{}\\_%", std::process::id());
        let left: Vec<String> = sqlx::query_scalar(sql).bind(mine).fetch_all(&mut connection).await.unwrap();
        for name in left {
            self.run(format!("drop database if exists {name} with (force)")).await;
        }
    }
}

pub(crate) struct Database {
    cluster: Cluster,
    name: String,
    pub(crate) url: String,
    /// Connections that no fault reaches.
    pub(crate) plain: PgPool,
}

impl Database {
    /// The same database through another port.
    pub(crate) fn through(&self, port: u16) -> String {
        self.url.replacen(&format!(":{}/", self.cluster.port()), &format!(":{port}/"), 1)
    }

    pub(crate) async fn drop(self) {
        self.plain.close().await;
        self.cluster.run(format!("drop database {} with (force)", self.name)).await;
    }
}
