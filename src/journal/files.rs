//! Files in the state directory: opened without following links, readable only by their owner.

use super::{JournalError, error::MIN_FREE_BYTES};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Bytes in the key of seals and digests.
pub(super) const KEY_BYTES: usize = 32;

/// Opens a file without following links. A file that it creates is readable only by its owner.
/// Fails unless the path is a regular file.
pub(super) fn open_without_links(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = options
        .mode(0o600)
        .custom_flags(no_link | nonblocking)
        .open(path)?;
    // Opening and reading a pipe would block.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ))
    }
}

/// Fails if the disk is too full to keep a journal.
pub(super) fn check_free_space(path: &Path) -> Result<(), JournalError> {
    let Ok(disk) = rustix::fs::statvfs(path) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < MIN_FREE_BYTES {
        Err(JournalError::DiskFull {
            path: path.to_owned(),
            free,
        })
    } else {
        Ok(())
    }
}

/// Fails if the database or one of SQLite's files next to it is a link. SQLite itself checks only
/// the database.
pub(super) fn check_no_links(path: &Path) -> Result<(), JournalError> {
    let files = ["", "-wal", "-shm", "-journal"]
        .map(|ending| PathBuf::from(format!("{}{ending}", path.display())));
    let is_other = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| !data.is_file());
    match files.into_iter().find(is_other) {
        Some(path) => Err(JournalError::Untrusted {
            path,
            why: "it is a link or not a regular file",
        }),
        None => Ok(()),
    }
}

pub(super) fn create_dir(path: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| JournalError::Io {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn generate_key() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

/// Creates the key file. The key is written to another file and then linked into place, so that two
/// processes that start at the same time end up with the same key.
pub(super) fn create_key(path: &Path) -> io::Result<()> {
    let key = generate_key()?;
    let temporary = path.with_extension(std::process::id().to_string());
    write_private(&temporary, &key)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked.or_else(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Ok(())
        } else {
            Err(error)
        }
    })
}

pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_without_links(
        path,
        OpenOptions::new().write(true).create(true).truncate(true),
    )?;
    file.write_all(bytes)?;
    file.sync_all()
}
