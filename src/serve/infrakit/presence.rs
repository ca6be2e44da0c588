//! The files of a running plugin: its socket and `NAME.pid`, or `NAME.listen` and `NAME.pid`. A
//! living plugin is never displaced, and only own files are removed.

use super::directory::{self, Address};
use crate::serve::listener::Listener;
use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    net::TcpStream,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Most bytes in the path of a socket.
const MAX_PATH: usize = 107;

/// A reason why a plugin cannot be present in the directory.
#[derive(Debug, Error)]
pub enum PresenceError {
    /// A plugin with this name answers.
    #[error("a plugin `{name}` is already running{}", pid.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Living {
        /// Its name.
        name: String,
        /// Its process, if it is known.
        pid: Option<String>,
    },
    /// Something that is not a socket has the name.
    #[error("{} is in the way: it is not a socket", .0.display())]
    InTheWay(PathBuf),
    /// The path of the socket is longer than the operating system permits.
    #[error("the path of the socket is too long ({} of {MAX_PATH} bytes): {}", .0.as_os_str().len(), .0.display())]
    TooLong(PathBuf),
    /// The operating system returned an error.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The files of a plugin that is present. They are removed when it is dropped.
pub(crate) struct Presence {
    directory: PathBuf,
    name: String,
    /// The file that makes it a plugin, with its identity.
    announced: Announced,
}

/// The file that makes a process a plugin.
enum Announced {
    /// A socket, with device and inode.
    Socket(u64, u64),
    /// `NAME.listen` with this address.
    Listen(String),
}

impl Presence {
    /// Listens on the socket of a plugin. A socket that nobody listens on is replaced.
    pub(crate) fn with_socket(
        directory: &Path,
        name: &str,
    ) -> Result<(Self, Listener), PresenceError> {
        let _turn = prepare(directory, name)?;
        let path = directory.join(name);
        if path.as_os_str().len() > MAX_PATH {
            return Err(PresenceError::TooLong(path));
        }
        let io = |source| PresenceError::Io {
            path: path.clone(),
            source,
        };
        let listener = bind(directory, &path).map_err(io)?;
        let data = fs::symlink_metadata(&path).map_err(io)?;
        let presence = Self::new(directory, name, Announced::Socket(data.dev(), data.ino()));
        presence.write_pid()?;
        Ok((presence, listener))
    }

    /// Announces the address of a plugin that listens elsewhere.
    pub(crate) fn with_address(
        directory: &Path,
        name: &str,
        address: &str,
    ) -> Result<Self, PresenceError> {
        let _turn = prepare(directory, name)?;
        let presence = Self::new(directory, name, Announced::Listen(address.to_owned()));
        presence.write(&presence.file("listen"), address)?;
        presence.write_pid()?;
        Ok(presence)
    }

    fn new(directory: &Path, name: &str, announced: Announced) -> Self {
        Self {
            directory: directory.to_owned(),
            name: name.to_owned(),
            announced,
        }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", self.name))
    }

    fn write_pid(&self) -> Result<(), PresenceError> {
        self.write(&self.file("pid"), &std::process::id().to_string())
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), PresenceError> {
        // Readers never see a part of the file.
        let written = tempfile::NamedTempFile::new_in(&self.directory).and_then(|file| {
            fs::write(file.path(), text)?;
            fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
            file.persist(path).map(drop).map_err(|error| error.error)
        });
        written.map_err(|source| PresenceError::Io {
            path: path.to_owned(),
            source,
        })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Ok(_turn) = take_turn(&self.directory) else {
            return;
        };
        let is_own =
            |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|found| found == text);
        match &self.announced {
            Announced::Socket(device, inode) => {
                let path = self.directory.join(&self.name);
                let is_same = |data: fs::Metadata| (data.dev(), data.ino()) == (*device, *inode);
                if fs::symlink_metadata(&path).is_ok_and(is_same) {
                    let _ = fs::remove_file(path);
                }
            }
            Announced::Listen(address) => {
                let path = self.file("listen");
                if is_own(&path, address) {
                    let _ = fs::remove_file(path);
                }
            }
        }
        let pid = self.file("pid");
        if is_own(&pid, &std::process::id().to_string()) {
            let _ = fs::remove_file(pid);
        }
    }
}

/// Creates the directory and checks that the name is free. Until the returned file is closed, no
/// other server of dockctl starts or stops in the directory.
fn prepare(directory: &Path, name: &str) -> Result<File, PresenceError> {
    let io = |source| PresenceError::Io {
        path: directory.to_owned(),
        source,
    };
    directory::create(directory).map_err(io)?;
    let mode = fs::metadata(directory).map_err(io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let directory = directory.display();
        tracing::warn!(%directory, mode = %format!("{mode:o}"), "other users can use the directory of plugins; chmod 700 makes it yours alone");
    }
    let turn = take_turn(directory).map_err(io)?;
    check_free(directory, name)?;
    Ok(turn)
}

fn take_turn(directory: &Path) -> io::Result<File> {
    let turn = File::open(directory)?;
    turn.lock()?;
    Ok(turn)
}

/// Fails if a plugin with this name lives, and removes what a dead one left.
fn check_free(directory: &Path, name: &str) -> Result<(), PresenceError> {
    let socket = directory.join(name);
    let listen = directory.join(format!("{name}.listen"));
    let living = || PresenceError::Living {
        name: name.to_owned(),
        pid: fs::read_to_string(directory.join(format!("{name}.pid"))).ok(),
    };
    match fs::symlink_metadata(&socket) {
        Ok(data) if !data.file_type().is_socket() => return Err(PresenceError::InTheWay(socket)),
        Ok(_) if !is_dead(UnixStream::connect(&socket).map(drop)) => return Err(living()),
        Ok(_) => remove(&socket)?,
        Err(_) => {}
    }
    let Ok(address) = fs::read_to_string(&listen) else {
        return Ok(());
    };
    let lives = match Address::read(address.trim_end()) {
        Some(Address::Unix(path)) => UnixStream::connect(path).is_ok(),
        Some(Address::Tcp(address) | Address::Tls(address)) => TcpStream::connect(address).is_ok(),
        None => false,
    };
    if lives {
        Err(living())
    } else {
        remove(&listen)
    }
}

/// Returns true if nobody listens on a socket. Any other error says nothing.
fn is_dead(connected: io::Result<()>) -> bool {
    let dead = [ErrorKind::ConnectionRefused, ErrorKind::NotFound];
    connected.is_err_and(|error| dead.contains(&error.kind()))
}

fn remove(path: &Path) -> Result<(), PresenceError> {
    fs::remove_file(path).map_err(|source| PresenceError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Listens on a socket that only this user can connect to, from its first moment on.
fn bind(directory: &Path, path: &Path) -> io::Result<Listener> {
    let private = directory.join(format!(".{:06x}", fastrand::u32(..1 << 24)));
    fs::DirBuilder::new().mode(0o700).create(&private)?;
    let inner = private.join("s");
    let bound = Listener::unix(&inner).and_then(|listener| {
        fs::set_permissions(&inner, Permissions::from_mode(0o600))?;
        fs::rename(&inner, path)?;
        Ok(listener)
    });
    let _ = fs::remove_file(&inner);
    let _ = fs::remove_dir(&private);
    bound
}
