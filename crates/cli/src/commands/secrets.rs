//! `leasehold secrets …`

use clap::Subcommand;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use leasehold_domain::Dice;
use leasehold_store::KeyRing;
use serde_json::json;

use super::Context;
use crate::{app::App, config, exit::Failure, output::show};

/// `leasehold secrets …`
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Make the key file; refuses to overwrite one.
    Generate,
    /// Put a new key before the old ones and seal everything anew.
    Rotate,
}

pub(super) async fn run(c: &Context, command: &Secrets) -> Result<(), Failure> {
    let configured = match command {
        Secrets::Generate => config::load(&c.cli.config)?,
        Secrets::Rotate => c.configured()?,
    };
    let file = configured.secrets.key_file.clone();
    match command {
        Secrets::Generate => {
            write_new(&file, &KeyRing::file_with_new_key(None, &Dice::from_os()))?;
            show(c.json(), &json!({ "file": file }), || {
                say!("{} holds a new key; keep a copy apart from the database: without it, sealed passwords are lost", file.display());
            });
        }
        Secrets::Rotate => {
            let old = KeyRing::read(&file)?;
            let next = file.with_added_extension("next");
            write_new(&next, &KeyRing::file_with_new_key(Some(&old), &Dice::from_os()))?;
            fs::rename(&next, &file)?;
            let app = App::open_with_keys(configured).await?;
            let mut tx = app.store.begin().await?;
            let count = tx.reseal().await?;
            tx.log(&app.actor, "secrets.rotate", None, None, &format!("{count} secrets")).await?;
            tx.commit().await?;
            show(c.json(), &json!({ "file": file, "resealed": count }), || {
                say!("{count} secrets sealed anew; restart the daemons, and keep the old keys in the file as long as backups need them");
            });
        }
    }
    Ok(())
}

/// Written for its owner only, never over another file.
fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut open = open.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Refused(format!("{} exists; a key file is never overwritten", file.display())),
        _ => Failure::Failed(format!("{}: {e}", file.display())),
    })?;
    open.write_all(text.as_bytes())?;
    Ok(open.sync_all()?)
}
