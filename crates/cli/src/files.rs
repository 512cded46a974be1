//! Files that stand for a whole house: put in place whole, for their owner, and on the disk.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use crate::exit::Failure;

/// Removes a file, if it is there.
pub(crate) fn remove(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Failure::Failed(format!("{}: {e}", file.display()))),
        _ => Ok(()),
    }
}

/// Gives a file to the owner of another, whoever runs this.
pub(crate) fn own(file: &Path, like: &fs::Metadata) -> Result<(), Failure> {
    let is = fs::metadata(file)?;
    if (is.uid(), is.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    let why = |e| Failure::Failed(format!("{} cannot be given to the user of the file that it replaces: {e}; run this as that user", file.display()));
    chown(file, Some(like.uid()), Some(like.gid())).map_err(why)
}

/// Renames a file into the place of another; when this returns, it is there also after the host lost power.
pub(crate) fn put(next: &Path, file: &Path) -> Result<(), Failure> {
    fs::rename(next, file)?;
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok(fs::File::open(folder)?.sync_all()?)
}
