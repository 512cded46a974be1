//! The file of a SQLite database: where a link leads, its lock, and what an unlucky moment left beside it.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Result, StoreError};

/// Bytes of a SQLite page.
const PAGE: u64 = 4096;
/// The log may grow to this part of what is free.
const WAL_SHARE: u64 = 32;
/// The fewest and the most pages of the log.
const WAL_PAGES: (u64, u64) = (250, 16_000);
/// Links that are followed at most, as by the kernel.
const LINKS: usize = 40;

/// How often a lock is tried, and how long a look at it takes at most.
const LOOKED_AT: usize = 5;
const LOOK: Duration = Duration::from_millis(10);

/// Held by the one daemon on a SQLite file; released when dropped or when the process ends.
#[derive(Debug)]
pub struct DaemonLock {
    pub(crate) _file: Option<File>,
}

/// Takes the place of the one daemon on a SQLite file, which need not be there. Every name of a file leads to one lock.
pub fn lock_file(path: &Path) -> Result<DaemonLock> {
    let path = behind_links(path);
    let lock = path.with_added_extension("lock");
    let io = |e: std::io::Error| StoreError::Broken(format!("lock file {}: {e}", lock.display()));
    let file = File::options().create(true).append(true).open(&lock).map_err(io)?;
    // Somebody may just look whether it is held.
    for _ in 0..LOOKED_AT {
        if file.try_lock().is_ok() {
            return Ok(DaemonLock { _file: Some(file) });
        }
        std::thread::sleep(LOOK);
    }
    Err(StoreError::Locked(path.display().to_string()))
}

/// Whether a daemon has its place on a SQLite file.
pub(crate) fn is_locked(path: &Path) -> bool {
    let lock = File::open(behind_links(path).with_added_extension("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The name that a link leads to, also where nothing is there.
pub fn behind_links(path: &Path) -> PathBuf {
    let mut file = path.to_path_buf();
    for _ in 0..LINKS {
        let Ok(target) = std::fs::read_link(&file) else { break };
        file = file.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    match (folder(&file).canonicalize(), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file,
    }
}

/// The log beside a database.
pub fn log_of(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", database.display()))
}

/// Whether some of a database stands in its log only.
pub fn has_log(database: &Path) -> bool {
    log_of(database).metadata().is_ok_and(|log| log.len() > 0)
}

/// Where a backup is made ready that is to take a database's place.
pub fn restoring(database: &Path) -> PathBuf {
    database.with_added_extension("restoring")
}

/// Where it is written down under which name in its folder a database is set aside for a backup, until that has its place.
pub fn set_aside_note(database: &Path) -> PathBuf {
    database.with_added_extension("set-aside")
}

/// What the note says; none: there is none.
pub fn set_aside(database: &Path) -> std::io::Result<Option<PathBuf>> {
    let name = match std::fs::read_to_string(set_aside_note(database)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        said => said?,
    };
    let before = database.file_name().map(|own| format!("{}.before-", own.to_string_lossy()));
    match before {
        Some(before) if name.starts_with(&before) && !name.contains('/') => Ok(Some(folder(database).join(name))),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it names no database that was set aside")),
    }
}

/// Why a database must not be made anew, or used as it is: something of it lies elsewhere still.
pub fn left_behind(path: &Path) -> Option<StoreError> {
    let file = behind_links(path);
    let path = file.display().to_string();
    if identity(&file).is_some() {
        // Moved back by hand, without what stands in its log only.
        let aside = set_aside(&file).ok().flatten().filter(|aside| is_absent(aside) && has_log(aside))?;
        return Some(StoreError::LogElsewhere { path, log: log_of(&aside).display().to_string() });
    }
    let aside = match set_aside(&file) {
        Ok(Some(aside)) => aside.display().to_string(),
        // What cannot be read is there.
        Err(error) => format!("named in {}, which cannot be read ({error})", set_aside_note(&file).display()),
        Ok(None) if is_absent(&restoring(&file)) => return has_log(&file).then_some(StoreError::LogAlone { path }),
        Ok(None) => "none: there was none".into(),
    };
    Some(StoreError::CutOff { path, aside })
}

fn is_absent(file: &Path) -> bool {
    matches!(file.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound)
}

/// A database that is in its place was set aside before, if ever: what was written down of that means nothing any more, unless it is being done.
pub(crate) fn forget_set_aside(path: &Path) {
    if is_locked(path) {
        return;
    }
    let note = set_aside_note(&behind_links(path));
    if let Err(error) = std::fs::remove_file(&note)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "{} is left from a restoration that was cut off, and misleads the next one: remove it", note.display());
    }
}

/// Device and number of a file, as long as it is there.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// The folder of a file.
pub(crate) fn folder(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Pages that the log beside a SQLite file may grow to before it is written back: as many as are good for long runs of writes (64 MB), fewer
/// where the volume is small.
pub(crate) fn wal_pages(file: &Path) -> u64 {
    // What cannot be asked is taken for small.
    let free = rustix::fs::statvfs(folder(file)).map_or(0, |s| s.f_bavail * s.f_frsize);
    (free / WAL_SHARE / PAGE).clamp(WAL_PAGES.0, WAL_PAGES.1)
}
