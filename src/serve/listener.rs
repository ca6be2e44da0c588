//! Listening sockets: a unix socket, TCP, or TCP with TLS.

use super::tls::Acceptor;
use std::{io, path::Path};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// A listening socket.
pub(crate) enum Listener {
    /// A unix socket.
    Unix(UnixListener),
    /// A TCP port, with TLS if there is an acceptor.
    Tcp(TcpListener, Option<Acceptor>),
}

/// A connection that has been accepted, before the handshake of TLS.
pub(crate) enum Accepted {
    /// A connection of a unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream, Option<Acceptor>),
}

/// The bytes of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Listener {
    /// Listens on a unix socket that only this user can connect to. The directory must belong to
    /// this user alone until this returns.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        UnixListener::bind(path).map(Self::Unix)
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
            Self::Tcp(listener, tls) => Ok(Accepted::Tcp(listener.accept().await?.0, tls.clone())),
        }
    }
}

impl Accepted {
    /// Completes the handshake of TLS, if there is one.
    pub(crate) async fn open(self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(stream) => Box::new(stream),
            Self::Tcp(stream, None) => Box::new(stream),
            Self::Tcp(stream, Some(tls)) => Box::new(tls.accept(stream).await?),
        })
    }
}
