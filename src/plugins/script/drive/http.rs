//! The HTTP server of one operation, for scripts that use `CTX_SOCKET_URL` themselves.

use super::server::Handler;
use crate::{digest::hex, plugins::script::declare::request::MAX_FRAME};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read as _},
    net::Ipv4Addr,
};
use tokio::net::TcpListener;

/// A server on a random port, with a random path that only its script knows.
pub(super) struct HttpServer {
    listener: TcpListener,
    path: String,
    /// Address for scripts.
    pub url: String,
}

impl HttpServer {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let secret = hex(&random);
        Ok(Self {
            url: format!(
                "http://localhost:{}/{secret}",
                listener.local_addr()?.port()
            ),
            path: format!("/{secret}"),
            listener,
        })
    }

    /// Serves requests. Never ends.
    pub(super) async fn serve(&self, handler: &dyn Handler) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = self.listener.accept() => {
                    let service = service_fn(move |request| self.answer(request, handler));
                    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    connections.push(served);
                }
                Some(_) = connections.next() => {}
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        handler: &dyn Handler,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.uri().path().trim_end_matches('/') != self.path {
            return Ok(status(StatusCode::NOT_FOUND));
        }
        if request.method() != Method::POST {
            return Ok(status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let Ok(body) = Limited::new(request.into_body(), MAX_FRAME).collect().await else {
            return Ok(status(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let reply = handler.handle_text(&body.to_bytes()).await;
        let text = serde_json::to_vec(&reply).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(text)));
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
