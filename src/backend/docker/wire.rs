//! Bytes to and from an engine, over connections that are kept between calls.

use super::host::{ConnectError, Host};
use bollard::{BollardRequest, errors::Error};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, future::BoxFuture};
use http::{Response, Uri};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    header::{HOST, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use hyperlocal::UnixConnector;
use std::{
    env, io,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

/// Longest wait for a TCP connection.
const CONNECT: Duration = Duration::from_secs(2);

/// The bodies that the library makes.
type Body = Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>>>;

/// A way to an engine.
pub(super) enum Wire {
    Unix { client: Client<UnixConnector, Body>, socket: PathBuf },
    Tcp { client: Client<HttpConnector, Body>, authority: String },
}

impl Wire {
    /// Reads an address; nothing is sent yet.
    pub(super) fn open(host: &Host) -> Result<Self, ConnectError> {
        let refuse = |reason: &str| ConnectError::Address { host: host.clone(), reason: reason.to_owned() };
        let (scheme, rest) = host.address.split_once("://").unwrap_or(("", &host.address));
        let tls = env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        match scheme {
            "unix" if !Path::new(rest).is_absolute() => Err(refuse("the path of the socket must be absolute")),
            "unix" if !Path::new(rest).exists() => {
                Err(ConnectError::Silent { host: host.clone(), reason: format!("there is no socket {rest}") })
            }
            "unix" => Ok(Self::Unix { client: Client::builder(TokioExecutor::new()).build(UnixConnector), socket: rest.into() }),
            "tcp" | "http" if tls => Err(refuse("DOCKER_TLS_VERIFY is set, and TLS is not spoken by this version")),
            "tcp" | "http" if !rest.contains(':') => Err(refuse("it lacks a port")),
            "tcp" | "http" => Ok(Self::tcp(rest)),
            "https" => Err(refuse("TLS is not spoken by this version")),
            "ssh" => Err(refuse("ssh is not spoken by this version")),
            _ => Err(refuse("it must start with unix:// or tcp://")),
        }
    }

    fn tcp(authority: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        Self::Tcp { client: Client::builder(TokioExecutor::new()).build(connector), authority: authority.trim_end_matches('/').to_owned() }
    }

    /// Sends a request whose URI is a path.
    pub(super) fn send(&self, mut request: BollardRequest) -> BoxFuture<'static, Result<Response<Incoming>, Error>> {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        // Without the query: it can hold what came from a secret.
        tracing::info!(method = %request.method(), path = request.uri().path(), "request");
        match self {
            Self::Unix { client, socket } => {
                *request.uri_mut() = hyperlocal::Uri::new(socket, &path).into();
                request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
                client.request(request).map(|answer| Ok(answer?)).boxed()
            }
            Self::Tcp { client, authority } => match format!("http://{authority}{path}").parse::<Uri>() {
                Ok(uri) => {
                    *request.uri_mut() = uri;
                    client.request(request).map(|answer| Ok(answer?)).boxed()
                }
                Err(error) => std::future::ready(Err(error.into())).boxed(),
            },
        }
    }
}
