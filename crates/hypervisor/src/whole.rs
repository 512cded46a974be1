//! Files that are there whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a file beside and renames it into place, so that also a host that loses power keeps the one or the other.
pub(crate) fn write(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let beside = file.with_extension("new");
    // A machine's record and its seed are nobody else's to read.
    // One that a crash left may be readable by others.
    let _ = fs::remove_file(&beside);
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    new.write_all(content.as_ref())?;
    new.sync_all()?;
    fs::rename(beside, file)
}
