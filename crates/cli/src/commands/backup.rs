//! `leasehold backup`

use std::path::Path;

use serde_json::json;

use super::Context;
use crate::{exit::Failure, output::show};

pub(super) async fn run(c: &Context, file: &Path) -> Result<(), Failure> {
    let app = c.app().await?;
    if !app.store.is_sqlite() {
        let line = format!("pg_dump --format=custom --file={} \"$DATABASE_URL\"", file.display());
        show(c.json(), &json!({ "command": line }), || say!("{line}"));
        return Ok(());
    }
    if file.exists() {
        return Err(Failure::Refused(format!("{} exists; a backup is never written over", file.display())));
    }
    app.store.backup_to(&file.display().to_string()).await?;
    show(c.json(), &json!({ "file": file }), || {
        say!("{} is a consistent copy; keep the key file {} beside it, apart", file.display(), app.config.secrets.key_file.display());
    });
    Ok(())
}
