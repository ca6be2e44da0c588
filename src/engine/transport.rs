//! Transport to an engine, over reused connections.

use crate::engine::{
    address::Address,
    error::EngineError,
    host::{ConnectError, Host},
};
use bytes::Bytes;
use futures_util::{
    FutureExt as _, Stream, TryFutureExt as _, TryStreamExt as _, future::BoxFuture,
};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    header::{HOST, HeaderValue},
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use rustls_pki_types::ServerName;
use std::{
    io,
    pin::Pin,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tower_service::Service;

/// Longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most bytes of ssh's error output to store.
const MAX_SSH_ERROR: u64 = 4096;

/// Body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Returns a body with known content.
pub(crate) fn body(content: Bytes) -> Body {
    Full::new(content)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Returns a body that is produced while it is sent.
pub(crate) fn streamed_body(
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Body {
    StreamBody::new(content.map_ok(Frame::data)).boxed_unsync()
}

/// Transport to one engine.
pub(crate) struct Transport {
    client: Client<Connector, Body>,
    /// Scheme, host and path prefix of every URI. [`Connector`] ignores it.
    base: String,
    is_ssh: bool,
    ssh_error: Arc<Mutex<String>>,
    /// Set if a connection was lost or could not be opened. [`Self::was_disconnected`] resets it.
    disconnected: Arc<AtomicBool>,
}

impl Transport {
    /// Parses an address and reads the TLS files. Sends nothing yet.
    pub(crate) fn open(host: &Host) -> Result<Self, ConnectError> {
        let refuse = |reason: String| ConnectError::Address {
            host: host.clone(),
            reason,
        };
        let address = Address::parse(&host.address).map_err(refuse)?;
        if let Address::Unix(path) = &address
            && !path.exists()
        {
            return Err(ConnectError::Unreachable {
                host: host.clone(),
                reason: format!("socket {} does not exist", path.display()),
            });
        }
        let secure = matches!(address, Address::Tcp { secure: true, .. });
        let tls = host
            .tls
            .clone()
            .or_else(|| secure.then(Default::default))
            .filter(|_| matches!(address, Address::Tcp { .. }));
        let tls = tls
            .map(|tls| tls.config())
            .transpose()
            .map_err(refuse)?
            .map(Arc::new);
        let base = match &address {
            Address::Tcp {
                host, port, prefix, ..
            } => format!("http://{host}:{port}{prefix}"),
            Address::Unix(_) | Address::Ssh { .. } => "http://docker".to_owned(),
        };
        let is_ssh = matches!(address, Address::Ssh { .. });
        let ssh_error = Arc::new(Mutex::new(String::new()));
        let connector = Connector {
            address: Arc::new(address),
            tls,
            ssh_error: ssh_error.clone(),
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base,
            is_ssh,
            ssh_error,
            disconnected: Arc::default(),
        })
    }

    /// Waits until the error output of ssh is read: a connection can fail before.
    pub(crate) async fn wait_for_ssh_error(&self) {
        for _ in 0..50 {
            if !self.is_ssh || self.ssh_error().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the last error line of the program that makes the connection.
    pub(crate) fn ssh_error(&self) -> Option<String> {
        let ssh_error = self
            .ssh_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ssh_error
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .map(|line| line.trim().to_owned())
    }

    /// Returns true if a connection was lost since the last call.
    pub(crate) fn was_disconnected(&self) -> bool {
        self.disconnected.swap(false, Ordering::Relaxed)
    }

    /// Sends a request whose URI is a path.
    pub(crate) fn send(
        &self,
        mut request: Request<Body>,
    ) -> BoxFuture<'static, Result<Response<Incoming>, EngineError>> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        // Does not log the query: it can contain a secret.
        tracing::info!(method = %request.method(), path = request.uri().path(), "request");
        match format!("{}{path}", self.base).parse::<Uri>() {
            Ok(uri) => {
                if let Some(Ok(host)) = uri
                    .authority()
                    .map(|authority| HeaderValue::from_str(authority.as_str()))
                {
                    request.headers_mut().insert(HOST, host);
                }
                *request.uri_mut() = uri;
                let cut = self.disconnected.clone();
                let note =
                    move |_: &hyper_util::client::legacy::Error| cut.store(true, Ordering::Relaxed);
                self.client
                    .request(request)
                    .inspect_err(note)
                    .map_err(EngineError::lost)
                    .boxed()
            }
            Err(error) => std::future::ready(Err(EngineError::lost(error))).boxed(),
        }
    }
}

/// Opens connections to one engine, regardless of the URI of a request.
#[derive(Clone)]
struct Connector {
    address: Arc<Address>,
    tls: Option<Arc<ClientConfig>>,
    ssh_error: Arc<Mutex<String>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<BoxedStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<BoxedStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        async move { connector.connect().await.map(TokioIo::new) }.boxed()
    }
}

impl Connector {
    async fn connect(&self) -> io::Result<BoxedStream> {
        match &*self.address {
            Address::Unix(path) => Ok(BoxedStream(Box::new(UnixStream::connect(path).await?))),
            Address::Tcp { host, port, .. } => self.tcp(host.trim_matches(['[', ']']), *port).await,
            Address::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                let mut command = ssh(user.as_deref(), host, *port, socket.as_deref());
                Ok(BoxedStream(Box::new(ChildStream::start(
                    &mut command,
                    self.ssh_error.clone(),
                )?)))
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> io::Result<BoxedStream> {
        let stream =
            tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await??;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(BoxedStream(Box::new(stream)));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(BoxedStream(Box::new(
            TlsConnector::from(config.clone())
                .connect(name, stream)
                .await?,
        )))
    }
}

/// Returns the ssh command. Like the docker CLI, it runs the docker CLI on the remote machine to
/// forward bytes.
fn ssh(user: Option<&str>, host: &str, port: Option<u16>, socket: Option<&str>) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
    command.args(user.iter().flat_map(|user| ["-l", user]));
    command.args(
        port.iter()
            .flat_map(|port| ["-p".to_owned(), port.to_string()]),
    );
    command.args(["--", host, "docker"]);
    // The remote shell parses these arguments, so the socket is quoted.
    let quoted = |socket: &str| format!("'unix://{}'", socket.replace('\'', "'\\''"));
    command.args(
        socket
            .iter()
            .flat_map(|socket| ["--host".to_owned(), quoted(socket)]),
    );
    command.args(["system", "dial-stdio"]);
    command
}

/// Bidirectional byte stream.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

struct BoxedStream(Box<dyn Duplex>);

impl Connection for BoxedStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for BoxedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoxedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Standard input and output of a program that ends with the connection.
struct ChildStream {
    input: ChildStdin,
    output: ChildStdout,
    _child: Child,
}

impl ChildStream {
    fn start(command: &mut Command, ssh_error: Arc<Mutex<String>>) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C must not reach ssh: dockctl lets running calls finish.
        command.process_group(0);
        let started = command.spawn();
        let mut child =
            started.map_err(|error| io::Error::other(format!("cannot start ssh: {error}")))?;
        let no_pipes = || io::Error::other("ssh has no pipes");
        let (input, output) = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .ok_or_else(no_pipes)?;
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(collect_errors(errors, ssh_error));
        }
        Ok(Self {
            input,
            output,
            _child: child,
        })
    }
}

async fn collect_errors(errors: ChildStderr, ssh_error: Arc<Mutex<String>>) {
    let mut text = Vec::new();
    let mut errors = errors;
    let _ = (&mut errors)
        .take(MAX_SSH_ERROR)
        .read_to_end(&mut text)
        .await;
    *ssh_error.lock().unwrap_or_else(PoisonError::into_inner) =
        String::from_utf8_lossy(&text).into_owned();
    // A program blocks if its error output is not read.
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
}

impl AsyncRead for ChildStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for ChildStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}
