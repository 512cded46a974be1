//! `leasehold ssh-key …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use leasehold_commands::ssh_keys;
use leasehold_store::accounts::SshKey as Row;
use serde_json::{Value, json};

use super::{Context, whose};
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold ssh-key …`
#[derive(Debug, Subcommand)]
pub enum SshKey {
    /// Add a public key, which goes onto every server of the account that is built from then on.
    Add {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// The .pub file.
        file: PathBuf,
        /// Its name; that of the file where none is said.
        #[arg(long)]
        name: Option<String>,
    },
    /// The SSH keys of an account.
    List {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
    },
    /// Build no more servers with a key; those that were built with it keep it.
    Remove {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Its number or id.
        key: String,
    },
}

/// The key in a file, and a name for it.
pub(crate) fn read(file: &Path, name: Option<String>) -> Result<(String, String), Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))?;
    let name = name.or_else(|| file.file_stem().map(|s| s.to_string_lossy().into_owned())).unwrap_or_else(|| "key".into());
    Ok((name, text))
}

fn value(k: &Row) -> Value {
    json!({ "id": k.id, "number": k.number, "name": k.name, "fingerprint": k.fingerprint, "keyType": k.key_type(), "createdAt": k.created_at, "servers": k.servers })
}

pub(super) async fn run(c: &Context, command: SshKey) -> Result<(), Failure> {
    let app = c.app().await?;
    match command {
        SshKey::Add { account, file, name } => {
            let (name, text) = read(&file, name)?;
            let key = ssh_keys::add_to(&app.store, &app.actor, &whose(account)?, &name, &text).await?;
            show(c.json(), &value(&key), || say!("key {} added; it goes onto every server built from now on", key.number));
        }
        SshKey::List { account } => {
            let mut tx = app.store.read().await?;
            let account = tx.find_account(&whose(account)?).await?.id;
            let keys = tx.ssh_keys(&account).await?;
            let rows = keys.iter().map(|k| vec![k.number.to_string(), k.name.clone(), k.key_type().to_owned(), k.fingerprint.clone(), k.servers.to_string()]);
            show(c.json(), &json!(keys.iter().map(value).collect::<Vec<_>>()), || table(&["KEY", "NAME", "TYPE", "FINGERPRINT", "SERVERS"], rows));
        }
        SshKey::Remove { account, key } => {
            let account = app.store.read().await?.find_account(&whose(account)?).await?.id;
            let key = ssh_keys::remove(&app.store, &app.actor, &account, &key).await?;
            show(c.json(), &json!({ "id": key.id, "removed": true }), || say!("key {} is gone; servers that were built with it keep it", key.number));
        }
    }
    Ok(())
}
