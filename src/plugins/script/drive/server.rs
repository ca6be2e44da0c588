//! The private socket of one operation.

use crate::plugins::script::{
    declare::request::{Reply, Request},
    socket::{self, short_path},
};
use futures_util::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use std::{fs::File, io, path::Path, time::Duration};
use tokio::net::{UnixListener, UnixStream};

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests.
pub(super) trait Handler {
    /// Returns the reply to a request.
    fn handle(&self, request: Request) -> LocalBoxFuture<'_, Reply>;

    /// Returns the reply to a text.
    fn handle_text<'a>(&'a self, text: &'a [u8]) -> LocalBoxFuture<'a, Reply> {
        Box::pin(async move {
            match serde_json::from_slice(text) {
                Ok(request) => self.handle(request).await,
                Err(error) => Reply::Error {
                    class: "ValueError".to_owned(),
                    message: format!("the request is invalid: {error}"),
                    traceback: String::new(),
                },
            }
        })
    }
}

/// Opens a socket in a directory that nobody else can enter.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
    UnixListener::bind(short_path(&directory, path))
}

/// Serves a socket. Never ends.
pub(super) async fn serve(listener: UnixListener, handler: &dyn Handler) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.push(answer(stream, handler)),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(()) = connections.next() => {}
        }
    }
}

/// Answers the requests of one connection until it ends.
async fn answer(mut stream: UnixStream, handler: &dyn Handler) {
    while let Ok(request) = socket::receive(&mut stream).await {
        let reply = handler.handle_text(&request).await;
        let text = serde_json::to_vec(&reply).unwrap_or_default();
        let sent = socket::send(&mut stream, &text).await;
        if sent.is_err() {
            let too_long = Reply::Error {
                class: "ValueError".to_owned(),
                message: "the answer is longer than 1 MiB".to_owned(),
                traceback: String::new(),
            };
            let text = serde_json::to_vec(&too_long).unwrap_or_default();
            if socket::send(&mut stream, &text).await.is_err() {
                return;
            }
        }
    }
}
