//! The files of a running plugin: its socket and `NAME.pid`, or `NAME.listen` and `NAME.pid`. A
//! living plugin is never displaced, and only own files are removed.

use super::directory::{self, Address};
use crate::serve::listener::Listener;
use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, ErrorKind},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use thiserror::Error;

/// Attempts to get the turn of the directory, with a pause between two of them.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time to find out whether a plugin on TCP lives.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
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
    #[error("{} is in the way: it is neither a socket nor an address", .0.display())]
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

/// A free name in the directory. Until it is dropped, no other server of dockctl starts or stops in
/// the directory.
pub(crate) struct Claim<'d> {
    directory: &'d Path,
    name: &'d str,
    _turn: File,
}

impl<'d> Claim<'d> {
    /// Creates the directory and claims a name. What a dead plugin left under the name is removed.
    pub(crate) fn of(directory: &'d Path, name: &'d str) -> Result<Self, PresenceError> {
        let path = directory.join(name);
        if path.as_os_str().len() > MAX_PATH {
            return Err(PresenceError::TooLong(path));
        }
        let turn = prepare(directory)?;
        check_free(directory, name)?;
        Ok(Self {
            directory,
            name,
            _turn: turn,
        })
    }

    /// Listens on the socket of the plugin.
    pub(crate) fn with_socket(self) -> Result<(Presence, Listener), PresenceError> {
        let path = self.directory.join(self.name);
        let io = |source| PresenceError::Io {
            path: path.clone(),
            source,
        };
        let listener = bind(self.directory, &path).map_err(io)?;
        let data = fs::symlink_metadata(&path).map_err(io)?;
        let presence = self.presence(Announced::Socket(data.dev(), data.ino()));
        presence.write_pid()?;
        Ok((presence, listener))
    }

    /// Announces the address of a plugin that listens elsewhere.
    pub(crate) fn with_address(self, address: &str) -> Result<Presence, PresenceError> {
        let presence = self.presence(Announced::Listen(address.to_owned()));
        presence.write(&presence.file("listen"), address)?;
        presence.write_pid()?;
        Ok(presence)
    }

    fn presence(&self, announced: Announced) -> Presence {
        Presence {
            directory: self.directory.to_owned(),
            name: self.name.to_owned(),
            announced,
        }
    }
}

impl Presence {
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

impl Presence {
    /// Returns the name of the plugin.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the files, so that no new client finds the plugin.
    pub(crate) fn withdraw(&self) {
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

impl Drop for Presence {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Creates the directory, and waits until no other server of dockctl starts or stops in it.
fn prepare(directory: &Path) -> Result<File, PresenceError> {
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
    take_turn(directory).map_err(io)
}

fn take_turn(directory: &Path) -> io::Result<File> {
    let turn = File::open(directory)?;
    for _ in 0..ATTEMPTS {
        match turn.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(turn),
        }
    }
    Err(io::Error::new(
        ErrorKind::WouldBlock,
        "another server starts or stops in this directory",
    ))
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
    let is_dead = match Address::read(address.trim_end()) {
        Some(Address::Unix(path)) => is_dead(UnixStream::connect(path).map(drop)),
        Some(Address::Tcp(address) | Address::Tls(address)) => is_dead(connect(&address)),
        None => return Err(PresenceError::InTheWay(listen)),
    };
    if is_dead {
        remove(&listen)
    } else {
        Err(living())
    }
}

/// Connects to the first address of a host, for a limited time.
fn connect(address: &str) -> io::Result<()> {
    let missing = || io::Error::new(ErrorKind::AddrNotAvailable, "the host has no address");
    let address = address.to_socket_addrs()?.next().ok_or_else(missing)?;
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map(drop)
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
