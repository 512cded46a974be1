//! `leasehold secrets …`

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};
use leasehold_domain::Dice;
use leasehold_store::KeyRing;
use serde_json::json;

use super::Context;
use crate::{
    app::App,
    config::{self, Config},
    exit::Failure,
    files,
    output::{progress, show, table},
};

/// `leasehold secrets …`
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Make the key file; refuses to overwrite one, and where secrets are sealed already.
    Generate,
    /// The keys of the file, and how many secrets each sealed.
    List,
    /// Put a new key before the old ones and seal everything anew; the last step, which removes the old ones, is asked for by itself.
    Rotate {
        /// One step only: where daemons have copies of the key file (LoadCredential), it is given to them between the steps.
        #[arg(long, value_enum)]
        step: Option<Rotation>,
    },
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rotation {
    /// A new key comes before the old ones; it seals from then on.
    Add,
    /// What the old ones sealed is sealed anew.
    Reseal,
    /// The old ones go out of the file.
    Remove,
}

/// Secrets that are sealed anew in one transaction.
const BATCH: i64 = 500;

pub(super) async fn run(c: &Context, command: &Secrets) -> Result<(), Failure> {
    match command {
        Secrets::Generate => generate(c, config::load(&c.cli.config)?).await,
        Secrets::List => list(c).await,
        Secrets::Rotate { step: None } => {
            add(c)?;
            let resealed = reseal(c).await?;
            let file = c.configured()?.secrets.key_file;
            show(c.json(), &json!({ "file": file, "resealed": resealed }), || {
                say!(
                    "{resealed} secrets sealed anew with a new key; daemons that read {} take it up by themselves, those with a copy need a restart",
                    file.display()
                );
                say!("keep a copy of the file with the old keys as long as backups need them; then: leasehold secrets rotate --step remove");
            });
            Ok(())
        }
        Secrets::Rotate { step: Some(Rotation::Add) } => {
            let id = add(c)?;
            show(c.json(), &json!({ "key": id }), || {
                say!("key {id} seals from now on; give the file to daemons that have a copy and restart them, then: leasehold secrets rotate --step reseal");
            });
            Ok(())
        }
        Secrets::Rotate { step: Some(Rotation::Reseal) } => {
            let resealed = reseal(c).await?;
            show(c.json(), &json!({ "resealed": resealed }), || say!("{resealed} secrets sealed anew; last: leasehold secrets rotate --step remove"));
            Ok(())
        }
        Secrets::Rotate { step: Some(Rotation::Remove) } => {
            let removed = remove(c).await?;
            show(c.json(), &json!({ "removed": removed }), || match removed.as_slice() {
                [] => say!("there is one key only; nothing to remove"),
                gone => say!("removed {}; backups from before need a copy of the file that has them", gone.join(", ")),
            });
            Ok(())
        }
    }
}

async fn generate(c: &Context, configured: Config) -> Result<(), Failure> {
    let file = configured.secrets.key_file.clone();
    // A new file beside sealed secrets would open none of them, and lock every customer out.
    if c.configured().is_ok() && !file.exists() {
        let app = App::open_as_it_is(configured).await?;
        let needed = match app.store.read().await?.needs_keys().await {
            // Nothing was ever written there.
            Err(error) if error.is_missing_table() => false,
            other => other?,
        };
        if needed {
            let why = "the database has secrets and keys that another key file made; put that file back from your copy, a new one opens none of them";
            return Err(Failure::Refused(format!("{}: {why}", file.display())));
        }
    }
    write_new(&file, &KeyRing::new_file(&Dice::from_os()))?;
    show(c.json(), &json!({ "file": file }), || {
        say!("{} holds a new key; keep a copy apart from the database: without it, sealed passwords are lost and API keys are not known", file.display());
    });
    Ok(())
}

async fn list(c: &Context) -> Result<(), Failure> {
    let app = c.app_with_keys().await?;
    let (ring, sealed) = (KeyRing::read(&app.config.secrets.key_file)?.ids(), app.store.read().await?.sealed_by_key().await?);
    let count = |id: &str| sealed.iter().find(|(key, _)| key == id).map_or(0, |(_, n)| *n);
    let known = ring.iter().enumerate().map(|(no, id)| (id.clone(), if no == 0 { "seals" } else { "opens" }, count(id)));
    let missing = sealed.iter().filter(|(id, _)| !ring.contains(id)).map(|(id, n)| (id.clone(), "missing in the file", *n));
    let all: Vec<(String, &str, i64)> = known.chain(missing).collect();
    let values: Vec<_> = all.iter().map(|(id, what, n)| json!({ "key": id, "state": what, "secrets": n })).collect();
    show(c.json(), &json!(values), || table(&["KEY", "STATE", "SECRETS"], all.iter().map(|(id, what, n)| vec![id.clone(), (*what).to_owned(), n.to_string()])));
    Ok(())
}

/// Puts a new key first; its id.
fn add(c: &Context) -> Result<String, Failure> {
    let KeyFile { file, ring, _held } = KeyFile::hold(&c.configured()?)?;
    replace(&file, &ring.with_new_key(&Dice::from_os()))?;
    KeyRing::read(&file)?.ids().into_iter().next().ok_or_else(|| Failure::Failed(format!("{} has no key", file.display())))
}

/// Seals in batches what others than the first key sealed; how many.
async fn reseal(c: &Context) -> Result<i64, Failure> {
    let app = c.app_with_keys().await?;
    let first = KeyRing::read(&app.config.secrets.key_file)?.ids().swap_remove(0);
    let sealed = app.store.read().await?.sealed_by_key().await?;
    let whole: i64 = sealed.iter().filter(|(id, _)| *id != first).map(|(_, n)| n).sum();
    let mut left = whole;
    while left > 0 {
        let mut tx = app.store.begin().await?;
        let (before, now) = (left, tx.reseal(&first, BATCH).await?);
        tx.commit().await?;
        left = now;
        progress(&format!("{} of {whole} secrets sealed anew", whole - left));
        if left >= before {
            return Err(Failure::Failed(format!(
                "{left} secrets are sealed with older keys again and again: a daemon has a copy of the file from before; restart it"
            )));
        }
    }
    let mut tx = app.store.begin().await?;
    tx.log(&app.actor, "secrets.rotate", None, None, &format!("{whole} secrets")).await?;
    tx.commit().await?;
    Ok(whole)
}

/// Takes the keys out of the file that seal nothing any more.
async fn remove(c: &Context) -> Result<Vec<String>, Failure> {
    let app = c.app_with_keys().await?;
    let KeyFile { file, ring, _held } = KeyFile::hold(&app.config)?;
    let old = ring.ids().split_off(1);
    // Retired first: cut off here, the keys still open, seal nothing, and the next call takes them out.
    let mut tx = app.store.begin().await?;
    if let Some((id, n)) = tx.retire_keys(&old).await? {
        let why = "first: leasehold secrets rotate --step reseal; where that was done, a daemon has a copy of the file from before: restart it";
        return Err(Failure::Refused(format!("{n} secrets are sealed with key {id}; {why}")));
    }
    tx.log(&app.actor, "secrets.remove", None, None, &old.join(", ")).await?;
    tx.commit().await?;
    replace(&file, &ring.with_first_key_only())?;
    Ok(old)
}

/// The key file itself, also behind a link, held so that one command at a time changes it.
struct KeyFile {
    file: PathBuf,
    ring: KeyRing,
    _held: fs::File,
}

impl KeyFile {
    fn hold(configured: &Config) -> Result<Self, Failure> {
        let said = &configured.secrets.key_file;
        KeyRing::read(said)?;
        let file = fs::canonicalize(said)?;
        // Its folder: the file itself is replaced.
        let held = fs::File::open(file.parent().unwrap_or(&file))?;
        held.try_lock().map_err(|_| Failure::Refused(format!("another command is changing {}; wait for it", file.display())))?;
        Ok(Self { ring: KeyRing::read(&file)?, file, _held: held })
    }
}

/// Puts this text in the place of a file, whole or not at all; its owner and mode stay.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let (next, is) = (file.with_added_extension("next"), fs::metadata(file)?);
    // One that was cut off before it took the place of the file was never used.
    files::remove(&next)?;
    write_new(&next, text)?;
    files::own(&next, &is)?;
    fs::set_permissions(&next, is.permissions())?;
    files::put(&next, file)
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
