//! Tells a service manager the state of the daemon, by the protocol of `sd_notify(3)`.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The socket of a service manager, if one started the daemon.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager(Option<SocketAddr>);

impl ServiceManager {
    /// Reads the value of `NOTIFY_SOCKET`.
    ///
    /// # Errors
    ///
    /// If it is not the address of a unix socket.
    pub(crate) fn at(address: Option<&OsStr>) -> io::Result<Self> {
        let Some(address) = address
            .map(OsStr::as_bytes)
            .filter(|address| !address.is_empty())
        else {
            return Ok(Self(None));
        };
        let address = match address.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(OsStr::from_bytes(address)),
        };
        address.map(|address| Self(Some(address)))
    }

    /// Sends the state, such as `READY=1`. A service manager that is gone is no reason to stop.
    pub(crate) fn tell(&self, state: &str) {
        let Some(address) = &self.0 else { return };
        let sent = UnixDatagram::unbound()
            .and_then(|socket| socket.send_to_addr(state.as_bytes(), address));
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot notify the service manager");
        }
    }
}
