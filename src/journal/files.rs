//! Files in the state directory: opened without following links, readable only by their owner.

use super::{JournalError, error::ROOM};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Bytes in the key of seals and digests.
pub(super) const KEY: usize = 32;

/// Opens a file without following links. A file that it creates is readable only by its owner.
/// Fails unless the path is a regular file.
pub(super) fn open_no_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = options
        .mode(0o600)
        .custom_flags(no_link | at_once)
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
pub(super) fn expect_room(path: &Path) -> Result<(), JournalError> {
    let Ok(disk) = rustix::fs::statvfs(path) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < ROOM {
        Err(JournalError::NoRoom {
            path: path.to_owned(),
            free,
        })
    } else {
        Ok(())
    }
}

/// Fails if the database or one of SQLite's files next to it is a link. SQLite itself checks only
/// the database.
pub(super) fn expect_no_links(path: &Path) -> Result<(), JournalError> {
    let beside = ["", "-wal", "-shm", "-journal"]
        .map(|ending| PathBuf::from(format!("{}{ending}", path.display())));
    let is_other = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| !data.is_file());
    match beside.into_iter().find(is_other) {
        Some(path) => Err(JournalError::Distrusted {
            path,
            why: "it is a link or not a regular file",
        }),
        None => Ok(()),
    }
}

pub(super) fn make_folder(path: &Path) -> Result<(), JournalError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| JournalError::Io {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn new_key() -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

/// Creates the key file. The key is written to another file and then linked into place, so that two
/// processes that start at the same time end up with the same key.
pub(super) fn make_key(path: &Path) -> io::Result<()> {
    let key = new_key()?;
    let aside = path.with_extension(std::process::id().to_string());
    write_private(&aside, &key)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    linked.or_else(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Ok(())
        } else {
            Err(error)
        }
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_no_link(
        path,
        OpenOptions::new().write(true).create(true).truncate(true),
    )?;
    file.write_all(bytes)?;
    file.sync_all()
}
