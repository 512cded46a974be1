//! `serve`, `worker`, `scheduler`: the daemon's roles.

use leasehold_store::Queue;

use super::Context;
use crate::{app::App, config, exit::Failure};

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
    app.run("serve", Queue::ALL.to_vec(), app.config.worker.concurrency, true).await
}

pub(super) async fn worker(c: &Context, queues: Vec<Queue>, concurrency: Option<usize>) -> Result<(), Failure> {
    let app = shared(c, "worker").await?;
    app.run("worker", queues, concurrency.unwrap_or(app.config.worker.concurrency), false).await
}

pub(super) async fn scheduler(c: &Context) -> Result<(), Failure> {
    shared(c, "scheduler").await?.run("scheduler", vec![], 0, true).await
}

/// Roles of their own need a database that several processes can share.
async fn shared(c: &Context, role: &str) -> Result<App, Failure> {
    let configured = config::load(&c.cli.config)?;
    if configured.database.url.starts_with("sqlite:") {
        return Err(Failure::Usage(format!("{role} needs PostgreSQL (database.url = \"postgres://…\"); on SQLite run: leasehold serve")));
    }
    open(c).await
}
