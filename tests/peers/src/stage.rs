//! Where a fault is played: a database, worker processes that can be killed, and a log of what the handlers did.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::time::{Instant, sleep};

use crate::{
    cluster::{Cluster, Database},
    peer::{Act, Handler, Order, Outcome, Peer, Terms, Worker},
};

const LOG: &str = "PEERS_LOG";
const LOOK: Duration = Duration::from_millis(50);

/// A worker process; dropping it kills it.
pub(crate) struct Process(tokio::process::Child);

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        // A process that has ended by itself cannot be signalled, and need not be.
        if let Some(pid) = self.0.id() {
            Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }
}

pub(crate) struct Stage<P> {
    pub(crate) database: Database,
    pub(crate) terms: Terms,
    peer: P,
    began: Instant,
}

/// How many jobs are in which state.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) dead: usize,
    /// The seconds until the last of the waiting ones may run.
    pub(crate) due: f64,
}

impl Jobs {
    pub(crate) fn unfinished(&self) -> bool {
        self.waiting + self.running > 0
    }

    /// Of the only job there is.
    pub(crate) fn state(&self) -> &'static str {
        match (self.running, self.waiting, self.dead) {
            (1.., _, _) => "running",
            (_, 1.., _) => "waiting",
            (_, _, 1..) => "dead",
            _ => "done",
        }
    }
}

impl<P: Peer> Stage<P> {
    pub(crate) async fn new(cluster: &Cluster, terms: Terms) -> Self {
        let database = cluster.fresh().await;
        let log = "create table peers_log (job int not null, event text not null, at timestamptz not null default clock_timestamp(), pid int not null)";
        sqlx::query(log).execute(&database.plain).await.unwrap();
        let peer = P::install(&database.url).await;
        Self { database, terms, peer, began: Instant::now() }
    }

    pub(crate) async fn enqueue(&self, jobs: std::ops::RangeInclusive<i32>, act: Act) {
        let orders: Vec<Order> = jobs.map(|job| Order { job, act: act.clone() }).collect();
        self.peer.enqueue(&orders, &self.terms).await;
    }

    pub(crate) fn worker(&self, name: &str, concurrency: usize, batch: usize) -> Process {
        self.worker_at(&self.database.url, name, concurrency, batch)
    }

    pub(crate) fn worker_at(&self, url: &str, name: &str, concurrency: usize, batch: usize) -> Process {
        let worker = Worker { name: name.into(), concurrency, batch, drain: false, terms: self.terms.clone() };
        let child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["worker", P::NAME, url, &json!(worker).to_string()])
            .env(LOG, &self.database.url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        Process(child.unwrap())
    }

    /// When handlers started or finished the job, in seconds.
    pub(crate) async fn times(&self, event: &str, job: i32) -> Vec<f64> {
        let sql = "select extract(epoch from at)::float8 from peers_log where event = $1 and job = $2 order by at";
        sqlx::query_scalar(sql).bind(event).bind(job).fetch_all(&self.database.plain).await.unwrap()
    }

    pub(crate) async fn starts(&self, job: i32) -> usize {
        self.times("start", job).await.len()
    }

    /// How many of the jobs were started, or finished, so often or oftener.
    pub(crate) async fn at_least(&self, event: &str, often: i64) -> usize {
        let sql = "select count(*) from (select from peers_log where event = $1 group by job having count(*) >= $2) j";
        let jobs: i64 = sqlx::query_scalar(sql).bind(event).bind(often).fetch_one(&self.database.plain).await.unwrap();
        jobs as usize
    }

    pub(crate) async fn jobs(&self) -> Jobs {
        let rows: Vec<(String, Option<f64>)> = sqlx::query_as(AssertSqlSafe(P::JOBS)).fetch_all(&self.database.plain).await.unwrap();
        let count = |wanted| rows.iter().filter(|(state, _)| state == wanted).count();
        let due = rows.iter().filter(|(state, _)| state == "waiting").filter_map(|(_, due)| *due).fold(0.0, f64::max);
        Jobs { waiting: count("waiting"), running: count("running"), dead: count("dead"), due }
    }

    /// Whether the condition came true within so many seconds.
    pub(crate) async fn within(&self, secs: u64, mut condition: impl AsyncFnMut(&Self) -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(secs);
        while Instant::now() < until {
            if condition(self).await {
                return true;
            }
            sleep(LOOK).await;
        }
        false
    }

    /// Waits until so many seconds have passed since the stage was set.
    pub(crate) async fn until(&self, secs: u64) {
        tokio::time::sleep_until(self.began + Duration::from_secs(secs)).await;
    }
}

async fn act(log: &PgPool, order: Order) -> Outcome {
    let write = async |event: &str| {
        let sql = "insert into peers_log (job, event, pid) values ($1, $2, $3)";
        sqlx::query(sql).bind(order.job).bind(event).bind(std::process::id() as i32).execute(log).await.unwrap();
    };
    write("start").await;
    let outcome = match order.act {
        Act::Nothing => Outcome::Done,
        Act::SleepMs(ms) => {
            sleep(Duration::from_millis(ms)).await;
            Outcome::Done
        }
        Act::Fail => Outcome::Failed,
        Act::LaterSecs(secs) => Outcome::Later(Duration::from_secs(secs)),
        Act::Panic => panic!("as ordered"),
        Act::Abort => std::process::abort(),
    };
    write("finish").await;
    outcome
}

/// What a worker process does.
pub(crate) async fn work<P: Peer>(url: &str, worker: &str) {
    let log = PgPoolOptions::new().max_connections(2).connect(&std::env::var(LOG).unwrap()).await.unwrap();
    let handler = Handler::new(move |order| {
        let log = log.clone();
        async move { act(&log, order).await }
    });
    P::work(url, serde_json::from_str(worker).unwrap(), handler, std::future::pending()).await;
}
