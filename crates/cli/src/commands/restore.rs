//! `leasehold restore`: a backup in the place of the database, and the way back to work.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use leasehold_commands::restore::{self, Numbered, Standing};
use leasehold_store::{Options, Store, activity::Actor, lock_file};
use serde_json::json;

use super::Context;
use crate::{
    config,
    exit::Failure,
    files,
    output::{show, table},
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
    /// Nobody knows the last numbers: from now on the year is followed by these letters, like 2026B-000001.
    #[arg(long, value_name = "LETTERS", requires = "release", conflicts_with = "last_invoice")]
    new_series: Option<String>,
    /// Machines that no row knows stay where they are.
    #[arg(long, requires = "release")]
    keep_orphans: bool,
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
        let new = restore::declare(&app.store, &app.actor, "an operator says that the database was restored").await?;
        show(c.json(), &json!({ "new": new }), || say!("{}", if new { NEXT } else { "that is known already" }));
        return Ok(());
    }
    if options.release {
        let since = restore::release(&app.store, &app.actor, numbered(&options)?, &options.without, options.keep_orphans).await?;
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

/// Puts a backup in the place of a SQLite database. Cut off at any point, the database is the old one or the backup, and the old one is kept whole.
async fn replace(c: &Context, file: &Path) -> Result<(), Failure> {
    let config = config::load(&c.cli.config)?;
    let Some(path) = config.database.url.strip_prefix("sqlite:").map(|p| std::path::absolute(p).unwrap_or_else(|_| p.into())) else {
        let line = format!("pg_restore --clean --if-exists --single-transaction --dbname=\"$DATABASE_URL\" {}", file.display());
        show(c.json(), &json!({ "command": line, "then": "leasehold restore --declare" }), || {
            say!("stop every leasehold process, then:");
            say!("{line}");
            say!("leasehold migrate && leasehold restore --declare");
        });
        return Ok(());
    };
    let path = path.canonicalize().unwrap_or(path);
    let _held = lock_file(&path)?;
    let next = path.with_added_extension("restoring");
    files::remove(&next)?;
    copy(file, &next)?;
    let prepared = prepare(file, &next, &config.clock.mode).await;
    if let Err(error) = prepared {
        files::remove(&next)?;
        return Err(error);
    }
    // Whoever runs this, the daemon's user has it as before.
    let lock = path.with_added_extension("lock");
    if let Ok(is) = fs::metadata(&path).or_else(|_| fs::metadata(path.parent().unwrap_or(&path))) {
        for file in [&next, &lock] {
            files::own(file, &is)?;
        }
    }
    let aside = set_aside(&path)?;
    files::put(&next, &path)?;
    show(c.json(), &json!({ "database": path, "before": aside }), || {
        match &aside {
            Some(aside) => say!("{} is in the place of {}, which is kept as {}", file.display(), path.display(), aside.display()),
            None => say!("{} is now {}", file.display(), path.display()),
        }
        say!("{NEXT}");
    });
    Ok(())
}

/// A copy for its owner only, on the disk before this returns.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let missing = |e: std::io::Error| Failure::NotFound(format!("{}: {e}", from.display()));
    let mut source = fs::File::open(from).map_err(missing)?;
    if has_log(from) {
        return Err(Failure::Refused(format!("{} has a log beside it and is no whole copy; make one from it with: leasehold backup", from.display())));
    }
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut source, &mut target)?;
    Ok(target.sync_all()?)
}

/// Brings the copy up to date and has it know that it is one, before anybody works on it.
async fn prepare(file: &Path, copy: &Path, clock_mode: &str) -> Result<(), Failure> {
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
    restore::declare(&store, &Actor::operator("restore"), &format!("the database is the backup {}", file.display())).await?;
    store.close().await;
    if has_log(copy) {
        return Err(Failure::Failed(format!("{} is still open somewhere; try again", copy.display())));
    }
    for end in ["-wal", "-shm"] {
        files::remove(&with_end(copy, end))?;
    }
    files::remove(&copy.with_added_extension("lock"))?;
    files::remove(&copy.with_added_extension("wake"))
}

/// Whether some of a database stands in its log only.
fn has_log(database: &Path) -> bool {
    with_end(database, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Databases that are kept beside the one that is used.
const BEFORE_MAX: u32 = 100;

/// The database that was, under another name, its log with it; and no log where the backup comes.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let free = |aside: &PathBuf| ["", "-wal"].iter().all(|end| !with_end(aside, end).exists());
    let aside = (1..=BEFORE_MAX).map(|n| path.with_added_extension(format!("before-{n}"))).find(free);
    let aside = aside.ok_or_else(|| Failure::Refused(format!("there are {BEFORE_MAX} kept databases beside {}; move some away", path.display())))?;
    let mut kept = None;
    for end in ["", "-wal"] {
        let (from, to) = (with_end(path, end), with_end(&aside, end));
        if from.exists() {
            fs::hard_link(&from, &to).map_err(|e| Failure::Failed(format!("{} cannot be kept as {}: {e}", from.display(), to.display())))?;
            kept = Some(aside.clone());
        }
    }
    for end in ["-wal", "-shm"] {
        files::remove(&with_end(path, end))?;
    }
    Ok(kept)
}
