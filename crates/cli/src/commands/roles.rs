//! `serve`, `api`, `worker`, `scheduler`: the daemon's roles.

use leasehold_store::Queue;

use super::Context;
use crate::{
    app::{App, Role},
    config,
    exit::Failure,
};

async fn open(c: &Context) -> Result<App, Failure> {
    let app = App::open_with_keys(config::load(&c.cli.config)?).await?;
    app.check().await?;
    Ok(app)
}

pub(super) async fn serve(c: &Context) -> Result<(), Failure> {
    let app = open(c).await?;
    let _lock = app.store.lock_daemon()?;
    if app.store.is_sqlite() {
        // The lock says that no other daemon holds a claim.
        app.store.take_back_claims().await?;
    }
    app.run(Role { name: "serve", queues: Queue::ALL.to_vec(), concurrency: app.config.worker.concurrency, ticks: true, http: true }).await
}

pub(super) async fn worker(c: &Context, queues: Vec<Queue>, concurrency: Option<usize>) -> Result<(), Failure> {
    let app = shared(c, "worker").await?;
    let concurrency = concurrency.unwrap_or(app.config.worker.concurrency);
    app.run(Role { name: "worker", queues, concurrency, ticks: false, http: false }).await
}

pub(super) async fn scheduler(c: &Context) -> Result<(), Failure> {
    shared(c, "scheduler").await?.run(Role { name: "scheduler", queues: vec![], concurrency: 0, ticks: true, http: false }).await
}

pub(super) async fn api(c: &Context) -> Result<(), Failure> {
    shared(c, "api").await?.run(Role { name: "api", queues: vec![], concurrency: 0, ticks: false, http: true }).await
}

/// Roles of their own need a database that several processes can share.
async fn shared(c: &Context, role: &str) -> Result<App, Failure> {
    let configured = config::load(&c.cli.config)?;
    if configured.database.url.starts_with("sqlite:") {
        return Err(Failure::Usage(format!("{role} needs PostgreSQL (database.url = \"postgres://…\"); on SQLite run: leasehold serve")));
    }
    open(c).await
}
