//! The file of a SQLite database: where a link leads, its lock, and what an unlucky moment left beside it.

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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
    file.try_lock().map_err(|_| StoreError::Locked(path.display().to_string()))?;
    Ok(DaemonLock { _file: Some(file) })
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

/// Where it is written down under which name a database is set aside for a backup, until that has its place.
pub fn set_aside_note(database: &Path) -> PathBuf {
    database.with_added_extension("set-aside")
}

/// Why a database that is not there must not be made anew: something of it lies there still.
pub fn left_behind(path: &Path) -> Option<StoreError> {
    let file = behind_links(path);
    if identity(&file).is_some() {
        return None;
    }
    let path = file.display().to_string();
    if let Ok(aside) = std::fs::read_to_string(set_aside_note(&file)) {
        return Some(StoreError::CutOff { path, aside });
    }
    has_log(&file).then_some(StoreError::LogAlone { path })
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
