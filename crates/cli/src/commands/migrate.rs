//! `leasehold migrate`

use serde_json::json;

use super::Context;
use crate::{app::App, config, exit::Failure, output::show};

pub(super) async fn run(c: &Context, check: bool) -> Result<(), Failure> {
    let app = if check { c.app_as_it_is().await? } else { App::open(config::load(&c.cli.config)?).await? };
    let pending = app.store.pending_migrations().await?;
    if !check {
        app.store.migrate().await?;
    }
    let names: Vec<String> = pending.iter().map(|p| format!("{:04} {}", p.version, p.description)).collect();
    show(c.json(), &json!({ "pending": names, "applied": !check }), || match (names.is_empty(), check) {
        (true, _) => say!("the database is up to date"),
        (false, true) => say!("missing:\n{}", names.join("\n")),
        (false, false) => say!("applied:\n{}", names.join("\n")),
    });
    if check && !names.is_empty() { Err(Failure::Failed("the database is not up to date; run: leasehold migrate".into())) } else { Ok(()) }
}
