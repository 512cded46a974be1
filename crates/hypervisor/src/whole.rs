//! Files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Writes a file beside and renames it into place, so that also a host that loses power keeps the one or the other.
pub(crate) fn write(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = File::create(&beside)?;
    new.write_all(content.as_ref())?;
    new.sync_all()?;
    fs::rename(beside, file)
}
