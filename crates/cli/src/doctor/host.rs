//! What stands around the daemon: files, database, clock, mail.

use std::{os::unix::fs::PermissionsExt, path::Path};

use leasehold_domain::clock::BadClock;
use leasehold_notifier::Renderer;
use leasehold_store::{KeyRing, Store, file::left_behind};

use super::{Finding, broken, look, ok};
use crate::config::Config;

/// A host's clock this far from the database's is worth a look: logs and certificates follow the host's.
const SKEW_MS: i64 = 5_000;

pub(super) fn secrets(c: &Config) -> Finding {
    let file = &c.secrets.key_file;
    if file.try_exists().is_ok_and(|there| !there) {
        let mend = "put it back from your copy, or mend secrets.key_file; a house without any secrets yet makes one with: leasehold secrets generate";
        return broken("secrets", format!("the key file {} is missing", file.display()), mend);
    }
    match KeyRing::read(file) {
        Ok(_) => ok("secrets", format!("the key file {} is readable by its owner only", file.display())),
        Err(error) => broken("secrets", error.to_string(), "mend the file or its mode: chmod 600"),
    }
}

/// Less room than this is worth a look, or this part of the volume; less than the second is about to stop the daemon.
const FEW_BYTES: u64 = 512 << 20;
const FEW_SHARE: u64 = 20;
const NO_BYTES: u64 = 32 << 20;

/// Whether a SQLite database has room to grow. What PostgreSQL has is its server's to watch.
pub(super) fn space(store: &Store) -> Option<Finding> {
    let (free, all) = store.space()?;
    let says = format!("{} MiB of {} MiB are free on the volume of the database", free >> 20, all >> 20);
    let mend = "make room; while there is none, orders are refused (503) and the daemon goes on by itself when there is";
    Some(match free {
        _ if free < NO_BYTES => broken("space", says, mend),
        _ if free < FEW_BYTES || free < all / FEW_SHARE => look("space", says, mend),
        _ => ok("space", says),
    })
}

/// Who holds others up: the number behind the program is that of its process.
pub(super) async fn blockers(store: &Store) -> Vec<Finding> {
    let mend = "look at that process on its host (is it stopped?); its transaction is ended after 15 s of standing still";
    match store.blockers().await {
        Ok(blockers) => blockers.into_iter().map(|says| look("locks", says, mend)).collect(),
        Err(error) => vec![broken("locks", error.to_string(), "look at the database server's log")],
    }
}

/// Whether the key file opens what is sealed: one secret of each kind and key is tried.
pub(super) async fn sealed(store: &Store, c: &Config) -> Option<Finding> {
    let ring = KeyRing::read(&c.secrets.key_file).ok()?;
    let tried = async { store.read().await?.try_each_secret(&ring).await };
    Some(match tried.await {
        Err(error) => broken("sealed", error.to_string(), "look at the database server's log"),
        Ok(closed) if closed.is_empty() => ok("sealed", "the key file opens a secret of each kind"),
        Ok(closed) => broken("sealed", closed.join("; "), "put the keys that are missing back into the file, from a copy of it; a new key opens none of them"),
    })
}

pub(super) fn templates(c: &Config) -> Finding {
    match Renderer::new(c.mail.templates.as_deref()) {
        Ok(_) => ok("templates", "every mail template reads"),
        Err(error) => broken("templates", error.to_string(), "mend the template, or remove it to use the built-in one"),
    }
}

pub(super) async fn mail(c: &Config) -> Finding {
    let outbox = match c.mail.outbox() {
        Ok(outbox) => outbox,
        Err(error) => return broken("mail", error.to_string(), "mend the [mail] section"),
    };
    match outbox.check().await {
        Ok(()) if c.mail.transport == "stdout" => look("mail", "mails are only printed", "set mail.transport to your mail server"),
        Ok(()) if c.mail.operator.is_none() => look("mail", "nobody gets the operator's digest", "set mail.operator"),
        Ok(()) => ok("mail", format!("{} answers", c.mail.transport)),
        Err(why) => broken("mail", why, "mend mail.transport or the mail server; mails wait meanwhile"),
    }
}

/// A SQLite file that is not there yet: nothing below it can be looked at.
pub(super) fn database_file(c: &Config) -> Option<Finding> {
    let path = c.database.url.strip_prefix("sqlite:")?;
    match std::fs::metadata(path) {
        Ok(_) => None,
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Some(broken("database", format!("{path}: {e}"), "run this as the user that the daemon runs as")),
        Err(_) if let Some(error) = left_behind(Path::new(path)) => Some(broken("database", error.to_string(), "do as it says, before anything else")),
        Err(_) => Some(look("database", format!("there is no database {path} yet"), "it is made by: leasehold migrate")),
    }
}

/// A SQLite file that more than its owner may read: it holds what customers are called and owe.
pub(super) fn database_mode(c: &Config) -> Option<Finding> {
    let path = c.database.url.strip_prefix("sqlite:")?;
    let open = std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
    open.then(|| look("database", format!("{path} can be read by others than its owner"), format!("chmod go= {path} {path}-wal {path}-shm")))
}

pub(super) async fn names(c: &Config) -> Finding {
    let mend = "mend [dns], or let the key of that name update those zones at the DNS server";
    match c.dns.names() {
        Ok(None) => ok("names", "what addresses resolve to is kept and told to webhooks; [dns] names no server to publish it at"),
        Ok(Some(names)) => match names.probe().await {
            Ok(()) => ok("names", format!("{} takes updates of {}", c.dns.server.as_deref().unwrap_or_default(), c.dns.zones.join(", "))),
            Err(why) => broken("names", why, mend),
        },
        Err(error) => broken("names", error.to_string(), mend),
    }
}

pub(super) async fn database(store: &Store, c: &Config) -> Finding {
    let mend = "see the section on databases in docs/operating.md";
    match store.database_facts().await {
        Err(error) => broken("database", error.to_string(), "look at the database server's log"),
        Ok(facts) => match facts.trouble(i64::from(c.database.connections)) {
            None => ok("database", facts.to_string()),
            Some(trouble) => look("database", trouble, mend),
        },
    }
}

pub(super) async fn clock(store: &Store, c: &Config) -> Finding {
    let skew = store.clock_skew_ms();
    match store.clock_mode().await {
        Ok(Some(made_for)) if made_for != c.clock.mode => {
            broken("clock", format!("the database was made for {made_for} time, clock.mode is {}", c.clock.mode), "set clock.mode, or use another database")
        }
        Ok(_) if c.clock.mode == "system" && skew.abs() > SKEW_MS => look(
            "clock",
            format!("this host's clock is {} ms off the database's", -skew),
            "let the host synchronise its time (timedatectl); Leasehold follows the database",
        ),
        Ok(_) => match believed(store).await {
            Ok(Some(bad)) => {
                broken("clock", format!("{bad}: nothing is settled, ended or removed"), "set the clock right, or, if it is right: leasehold clock confirm")
            }
            Ok(None) => ok("clock", format!("{} time, {} ms off the database's", c.clock.mode, skew.abs())),
            Err(error) => broken("clock", error.to_string(), "look at the database server's log"),
        },
        Err(error) => broken("clock", error.to_string(), "look at the database server's log"),
    }
}

/// Why the time is not believed, asked as the scheduler asks.
async fn believed(store: &Store) -> leasehold_store::Result<Option<BadClock>> {
    let reading = store.read().await?.clock_reading().await?;
    Ok(reading.and_then(|reading| reading.check(leasehold_cron::synchronised).err()))
}
