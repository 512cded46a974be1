//! `leasehold restore`: a backup in the place of the database, and the way back to work.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use leasehold_commands::restore::{self, Numbered, Release, Standing};
use leasehold_store::{
    Options, Store,
    activity::Actor,
    file::{self, behind_links, has_log, lock_file, log_of, restoring, set_aside_note},
    restoration::Issued,
};
use serde_json::json;

use super::Context;
use crate::{
    config,
    exit::Failure,
    files,
    output::{self, show, table},
};

/// `leasehold restore …`
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup (SQLite); on PostgreSQL the way is said.
    #[arg(conflicts_with_all = ["declare", "release"])]
    file: Option<PathBuf>,
    /// The database was restored by other means: nothing is placed, destroyed or numbered until the release.
    #[arg(long, conflicts_with = "release")]
    declare: bool,
    /// All was compared; the house goes on.
    #[arg(long)]
    release: bool,
    /// The last invoice of this year that was issued before the loss, like 2026-000123; `none` when there was none.
    #[arg(long, value_name = "NUMBER|none", requires_all = ["release", "last_credit_note"])]
    last_invoice: Option<String>,
    /// The last credit note of this year, like CN2026-000004; `none` when there was none.
    #[arg(long, value_name = "NUMBER|none", requires_all = ["release", "last_invoice"])]
    last_credit_note: Option<String>,
    /// Nobody knows the last numbers: from now on the year is followed by these letters, like 2026B-000001; none that were ever used before.
    #[arg(long, value_name = "LETTERS", requires = "release", conflicts_with = "last_invoice")]
    new_series: Option<String>,
    /// Machines that no row knows stay where they are.
    #[arg(long, requires = "release")]
    keep_orphans: bool,
    /// Do not ask: the database was restored; the number is meant that lies far beyond what it knows.
    #[arg(long)]
    yes: bool,
    /// Go on without having looked at this node.
    #[arg(long, value_name = "NODE", requires = "release")]
    without: Vec<String>,
}

pub(super) async fn run(c: &Context, options: Restore) -> Result<(), Failure> {
    if let Some(file) = &options.file {
        return replace(c, file).await;
    }
    let app = c.app().await?;
    if options.declare {
        if !options.yes && !output::confirm("the house stands still until it is released; was the database restored?") {
            return Err(Failure::Refused("nothing was changed; say --yes to do it".into()));
        }
        restore::declare(&app.store, &app.actor, "an operator says that the database was restored", &Issued::default()).await?;
        show(c.json(), &json!({ "declared": true }), || say!("{NEXT}"));
        return Ok(());
    }
    if options.release {
        let numbered = numbered(&options)?;
        let release = Release { numbered, without: options.without, keep_orphans: options.keep_orphans, sure: options.yes };
        let since = restore::release(&app.store, &app.actor, release).await?;
        show(c.json(), &json!({ "stoodSince": since }), || {
            say!(
                "the house goes on; look at mails that may have been sent (leasehold mail list --state ambiguous) and book payments that came after the backup"
            );
        });
        return Ok(());
    }
    let standing = restore::standing(&app.store).await?;
    let value = standing.as_ref().map(|s| {
        json!({
            "since": s.restoration.at, "why": s.restoration.why, "unseenNodes": s.unseen, "drift": s.drift.len(),
            "nextNumbers": s.next.iter().map(|(series, next)| format!("{series}-{next:06}")).collect::<Vec<_>>(),
        })
    });
    show(c.json(), &json!(value), || match &standing {
        None => say!("the books were not restored, or were released"),
        Some(standing) => print(standing),
    });
    Ok(())
}

const NEXT: &str = "nothing is placed, destroyed or numbered. Start the daemon: it looks at every node; then: leasehold drift, and leasehold restore --release";

fn numbered(options: &Restore) -> Result<Numbered, Failure> {
    let said = |text: &String| (text != "none").then(|| text.clone());
    match (&options.last_invoice, &options.last_credit_note, &options.new_series) {
        (Some(invoice), Some(note), None) => Ok(Numbered::Last { invoice: said(invoice), credit_note: said(note) }),
        (None, None, Some(letters)) => Ok(Numbered::NewSeries(letters.clone())),
        _ => Err(Failure::Usage(
            "which numbers were issued after the backup? Say --last-invoice and --last-credit-note (the mails that were sent know), or --new-series LETTERS"
                .into(),
        )),
    }
}

fn print(s: &Standing) {
    say!("{} ({}); nothing is placed, destroyed or numbered", s.restoration.why, s.restoration.at.human());
    match s.unseen.as_slice() {
        [] => say!("every node was looked at since"),
        unseen => say!("not looked at since: {}", unseen.join(", ")),
    }
    for (series, next) in &s.next {
        say!("the next number would be {series}-{next:06}");
    }
    if s.drift.is_empty() {
        say!("machines and records agree");
    } else {
        table(
            &["NODE", "WHAT", "KIND", "MARK"],
            s.drift.iter().map(|d| vec![d.node_id.clone(), d.subject.clone(), d.kind.clone(), d.mark.clone().unwrap_or_default()]),
        );
    }
    say!("then: leasehold restore --release, with --last-invoice and --last-credit-note, or --new-series");
}

/// Puts a backup in the place of a SQLite database. Cut off at any point, the database is the old one or the backup, or nothing is there and says so;
/// the old one is kept whole.
async fn replace(c: &Context, file: &Path) -> Result<(), Failure> {
    let config = config::load(&c.cli.config)?;
    let Some(path) = config.database.url.strip_prefix("sqlite:").map(|p| behind_links(Path::new(p))) else {
        let line = format!("pg_restore --clean --if-exists --single-transaction --dbname=\"$DATABASE_URL\" {}", file.display());
        show(c.json(), &json!({ "command": line, "then": "leasehold restore --declare --yes" }), || {
            say!("stop every leasehold process, then:");
            say!("{line}");
            say!("leasehold migrate && leasehold restore --declare --yes");
        });
        return Ok(());
    };
    let held = lock_file(&path)?;
    let (next, begun) = (restoring(&path), finish_setting_aside(&path)?);
    let old = begun.clone().or_else(|| path.exists().then(|| path.clone()));
    // Whoever runs this, the daemon's user has all of it as before.
    let like = fs::metadata(old.as_deref().unwrap_or(path.parent().unwrap_or(&path)))?;
    files::own(&path.with_added_extension("lock"), &like)?;
    if let Err(error) = stage(&path, file, &next, old.as_deref(), &config.clock.mode).await {
        clear(&next)?;
        return Err(error);
    }
    files::own(&next, &like)?;
    let aside = if begun.is_some() { begun } else { set_aside(&path, &like)? };
    no_log_is_left(&path)?;
    files::put(&next, &path)?;
    files::remove(&set_aside_note(&path))?;
    drop(held);
    show(c.json(), &json!({ "database": path, "before": aside }), || {
        match &aside {
            Some(aside) => say!("{} is in the place of {}, which is kept as {}", file.display(), path.display(), aside.display()),
            None => say!("{} is now {}", file.display(), path.display()),
        }
        say!("{NEXT}");
    });
    Ok(())
}

/// Makes the backup ready beside the database whose place it is to take.
async fn stage(path: &Path, file: &Path, next: &Path, old: Option<&Path>, clock_mode: &str) -> Result<(), Failure> {
    clear(next)?;
    copy(path, file, next)?;
    let issued = match old {
        Some(old) => issued(old).await,
        None => Issued::default(),
    };
    prepare(file, next, clock_mode, &issued).await
}

/// What the database that goes has numbered; what cannot be read, an operator must know.
async fn issued(path: &Path) -> Issued {
    let asked = async {
        let old = Store::open(Options { as_it_is: true, ..Options::new(format!("sqlite:{}", path.display())) }).await?;
        let issued = old.issued().await;
        old.close().await;
        issued
    };
    asked.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the database that is replaced cannot be read: what it numbered must be said at the release");
        Issued::default()
    })
}

/// A copy for its owner only, on the disk before this returns.
fn copy(path: &Path, from: &Path, to: &Path) -> Result<(), Failure> {
    whole_copy(from, to)?;
    if !has_log(from) {
        return Ok(());
    }
    // Nobody works on a database that was set aside here, so its log is complete.
    let is_ours = from.file_stem() == path.file_name() && from.extension().is_some_and(|e| e.to_string_lossy().starts_with("before-"));
    if !is_ours {
        return Err(Failure::Refused(format!("{} has a log beside it and is no whole copy; make one from it with: leasehold backup", from.display())));
    }
    whole_copy(&log_of(from), &log_of(to))
}

fn whole_copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut source = fs::File::open(from).map_err(|e| Failure::NotFound(format!("{}: {e}", from.display())))?;
    let mut target = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    std::io::copy(&mut source, &mut target)?;
    Ok(target.sync_all()?)
}

/// Brings the copy up to date and has it know that it is one, before anybody works on it.
async fn prepare(file: &Path, copy: &Path, clock_mode: &str, issued: &Issued) -> Result<(), Failure> {
    let bad = |why: String| Failure::Refused(format!("{} is no backup that can be used: {why}", file.display()));
    let url = format!("sqlite:{}", copy.display());
    let looked = Store::open(Options { as_it_is: true, ..Options::new(url.clone()) }).await.map_err(|e| bad(e.to_string()))?;
    looked.check_whole().await.map_err(|e| bad(e.to_string()))?;
    let made_for = looked.clock_mode().await.map_err(|e| bad(e.to_string()))?;
    if made_for.as_deref().is_some_and(|mode| mode != clock_mode) {
        return Err(bad(format!("it was made for {} time, clock.mode is {clock_mode}", made_for.unwrap_or_default())));
    }
    looked.close().await;
    let store = Store::open(Options::new(url)).await?;
    store.check_schema().await?;
    restore::declare(&store, &Actor::operator("restore"), &format!("the database is the backup {}", file.display()), issued).await?;
    store.close().await;
    if has_log(copy) {
        return Err(Failure::Failed(format!("{} is still open somewhere; try again", copy.display())));
    }
    clear_beside(copy)
}

fn clear(copy: &Path) -> Result<(), Failure> {
    clear_beside(copy)?;
    files::remove(&with_end(copy, "-note"))?;
    files::remove(copy)
}

/// Removes what SQLite and we make beside a database.
fn clear_beside(copy: &Path) -> Result<(), Failure> {
    ["-wal", "-shm", "-journal", ".lock", ".wake"].iter().try_for_each(|end| files::remove(&with_end(copy, end)))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Databases that are kept beside the one that is used.
const BEFORE_MAX: u32 = 100;

/// The database that was, under another name, its log with it; and no log where the backup comes. The database goes first: without it, its log alone
/// is never taken for that of another. Where it goes is written down before.
fn set_aside(path: &Path, like: &fs::Metadata) -> Result<Option<PathBuf>, Failure> {
    let mut before = (1..=BEFORE_MAX).map(|n| path.with_added_extension(format!("before-{n}")));
    let free = before.find(|aside| !aside.exists() && !log_of(aside).exists());
    let aside = free.ok_or_else(|| Failure::Refused(format!("there are {BEFORE_MAX} kept databases beside {}; move some away", path.display())))?;
    if path.exists() {
        let note = with_end(&restoring(path), "-note");
        fs::write(&note, aside.file_name().unwrap_or_default().as_encoded_bytes())?;
        fs::File::open(&note)?.sync_all()?;
        files::own(&note, like)?;
        files::put(&note, &set_aside_note(path))?;
        files::put(path, &aside)?;
    }
    take_log(path, &aside)?;
    Ok(aside.exists().then_some(aside))
}

/// What an earlier restoration, which was cut off, has begun: the name that it gave to the database, which has its log from now on.
fn finish_setting_aside(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let note = set_aside_note(path);
    if path.exists() {
        if let Some(error) = file::left_behind(path) {
            return Err(error.into());
        }
        // It was cut off before the database had its other name, or after the backup had its place.
        files::remove(&note)?;
        return Ok(None);
    }
    let unclear = |e: std::io::Error| {
        Failure::Refused(format!(
            "{}: {e}; a restoration was cut off, and only this note says which database was set aside: move that one and its log back to {}, remove the note, and try again",
            note.display(),
            path.display()
        ))
    };
    let Some(aside) = file::set_aside(path).map_err(unclear)? else { return Ok(None) };
    if !aside.exists() {
        return Err(unclear(std::io::Error::new(std::io::ErrorKind::NotFound, format!("{} is not there", aside.display()))));
    }
    take_log(path, &aside)?;
    Ok(Some(aside))
}

/// A database has its log beside it under whatever name.
fn take_log(path: &Path, aside: &Path) -> Result<(), Failure> {
    if has_log(path) {
        if has_log(aside) {
            return Err(Failure::Refused(format!(
                "{} and {} both hold something: which one belongs to {}? Move the other away, and try again",
                log_of(path).display(),
                log_of(aside).display(),
                aside.display()
            )));
        }
        files::put(&log_of(path), &log_of(aside))?;
    }
    files::remove(&log_of(path))?;
    files::remove(&with_end(path, "-shm"))
}

/// The backup never comes beside the log of another.
fn no_log_is_left(path: &Path) -> Result<(), Failure> {
    let log = log_of(path);
    if log.symlink_metadata().is_ok() {
        return Err(Failure::Refused(format!("{} is there: whose log is it? Move it away, and try again", log.display())));
    }
    Ok(())
}
