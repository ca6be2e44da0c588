//! A client of plugins that implement InfraKit's interfaces `Instance` or `Group`.

use super::{
    api::{Description, Role, Tags, get},
    directory::Address,
};
use crate::{
    engine::{Tls, Verify},
    serve::listener::Stream,
};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::{Value as Json, json};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Largest response, in bytes.
const MAX_RESPONSE: usize = 64 << 20;
/// Most characters of a response in an error.
const MAX_SHOWN: usize = 300;

/// A plugin that is called.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub address: Address,
    /// Its subtype; empty for the default one.
    pub subtype: String,
    /// Longest time for a call.
    pub timeout: Duration,
    /// Files for TLS, if the address requires it.
    pub tls: ClientTls,
}

/// Files for the TLS of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// Certificates that sign that of the plugin; those of the system if absent.
    pub ca: Option<PathBuf>,
    /// Certificate and key of the client.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A call that failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The plugin cannot be reached.
    #[error("the plugin cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The connection was lost.
    #[error("the connection to the plugin was lost: {0}")]
    Lost(String),
    /// The plugin did not respond in time.
    #[error("the plugin did not respond within {} s; it may still complete the request", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The response is not one of a plugin.
    #[error("the response is not one of a plugin: {0}")]
    Invalid(String),
    /// The plugin does not implement the interface.
    #[error("the plugin does not implement the interface {0}; it implements: {1}")]
    Interface(&'static str, String),
    /// The plugin returned an error.
    #[error("{0}")]
    Refused(String),
    /// A file for TLS cannot be used.
    #[error("{0}")]
    Files(String),
}

impl Client {
    /// Checks that the plugin implements the interface in a known version.
    ///
    /// # Errors
    ///
    /// If it does not, or does not answer.
    pub async fn check(&self, interface: &'static str) -> Result<(), ClientError> {
        let found = match self.call("Handshake.Implements", json!({})).await {
            Err(ClientError::Refused(_)) => {
                let hello = self.call("Handshake.Hello", json!({})).await?;
                keys(&hello["Objects"])
            }
            implemented => interfaces(&implemented?["APIs"]),
        };
        let roles = [Role::Instances, Role::Groups].into_iter();
        let known = roles.flat_map(|role| role.interfaces().iter().chain(role.newer_interfaces()));
        let mut known = known.filter(|it| it.name == interface);
        if known.any(|it| found.contains(&format!("{}/{}", it.name, it.version))) {
            return Ok(());
        }
        let found = found.join(", ");
        Err(ClientError::Interface(interface, found))
    }

    /// Lists the instances with these tags.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub async fn describe(&self, tags: &Tags) -> Result<Vec<Description>, ClientError> {
        let params = json!({ "Type": self.subtype, "Tags": tags, "Properties": false });
        let result = self.call("Instance.DescribeInstances", params).await?;
        let all = get(&result, "Descriptions").and_then(Json::as_array);
        Ok(all
            .into_iter()
            .flatten()
            .map(Description::from_json)
            .collect())
    }

    /// Creates an instance from a specification and returns its ID.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub async fn provision(&self, spec: &Json) -> Result<String, ClientError> {
        let params = json!({ "Type": self.subtype, "Spec": spec });
        let result = self.call("Instance.Provision", params).await?;
        let id = get(&result, "ID").and_then(Json::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| ClientError::Invalid(shown(&result.to_string())))
    }

    /// Removes an instance.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub async fn destroy(&self, instance: &str) -> Result<(), ClientError> {
        let params = json!({ "Type": self.subtype, "Instance": instance, "Context": { "Reason": "terminate" } });
        self.call("Instance.Destroy", params).await.map(drop)
    }

    /// Checks properties.
    ///
    /// # Errors
    ///
    /// If they are invalid, or the call fails.
    pub async fn validate(&self, properties: &Json) -> Result<(), ClientError> {
        let params = json!({ "Type": self.subtype, "Properties": properties });
        self.call("Instance.Validate", params).await.map(drop)
    }

    /// Sets labels of an instance.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub async fn label(&self, instance: &str, labels: &Tags) -> Result<(), ClientError> {
        let params = json!({ "Type": self.subtype, "Instance": instance, "Labels": labels });
        self.call("Instance.Label", params).await.map(drop)
    }

    /// Calls a method and returns its result.
    ///
    /// # Errors
    ///
    /// If the call fails.
    pub(crate) async fn call(&self, method: &str, params: Json) -> Result<Json, ClientError> {
        let id = fastrand::u64(..1 << 53);
        let call = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id });
        let answered = timeout(self.timeout, self.post(call.to_string()));
        let answer = answered
            .await
            .map_err(|_| ClientError::TimedOut(self.timeout))??;
        let reply: Json = serde_json::from_slice(&answer)
            .map_err(|_| ClientError::Invalid(shown(&String::from_utf8_lossy(&answer))))?;
        if let Some(error) = get(&reply, "error").filter(|error| !error.is_null()) {
            let message = get(error, "message").and_then(Json::as_str);
            let message = message.map_or_else(|| error.to_string(), str::to_owned);
            return Err(ClientError::Refused(message));
        }
        let is_ours = get(&reply, "id") == Some(&Json::from(id));
        let is_ok = |result: &&Json| get(result, "OK") != Some(&Json::Bool(false));
        let result = get(&reply, "result").filter(|result| result.is_object() && is_ours);
        let result = result.filter(is_ok);
        result
            .cloned()
            .ok_or_else(|| ClientError::Invalid(shown(&reply.to_string())))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream: io::Result<Box<dyn Stream>> = match &self.address {
            Address::Unix(path) => UnixStream::connect(path).await.map(|it| Box::new(it) as _),
            Address::Tcp(address) => TcpStream::connect(address)
                .await
                .map(|it| Box::new(it) as _),
            Address::Tls(address) => self.connect_tls(address).await?,
        };
        stream.map_err(ClientError::Unreachable)
    }

    async fn connect_tls(&self, address: &str) -> Result<io::Result<Box<dyn Stream>>, ClientError> {
        let tls = Tls {
            ca: self.tls.ca.clone(),
            client: self.tls.client.clone(),
            verify: Verify::Full,
        };
        let config = Arc::new(tls.config().map_err(ClientError::Files)?);
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host);
        let name = name.map_err(|error| ClientError::Unreachable(io::Error::other(error)))?;
        let opened = async {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(config).connect(name, stream).await
        };
        Ok(opened.await.map(|stream| Box::new(stream) as _))
    }

    async fn post(&self, body: String) -> Result<Bytes, ClientError> {
        let lost = |error: hyper::Error| ClientError::Lost(error.to_string());
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(lost)?;
        let request = Request::post("/")
            .header(header::HOST, "h")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| ClientError::Invalid(error.to_string()))?;
        let answered =
            std::pin::pin!(async { read(sender.send_request(request).await.map_err(lost)?).await });
        match select(answered, std::pin::pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, answered)) => answered.await,
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_RESPONSE)
        .collect()
        .await;
    let body = body
        .map_err(|error| ClientError::Lost(error.to_string()))?
        .to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    let text = shown(&String::from_utf8_lossy(&body));
    Err(ClientError::Invalid(format!(
        "HTTP status {status}: {text}"
    )))
}

fn shown(text: &str) -> String {
    text.trim().chars().take(MAX_SHOWN).collect()
}

fn keys(object: &Json) -> Vec<String> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(key, _)| key.clone()).collect()
}

fn interfaces(list: &Json) -> Vec<String> {
    let text = |it: &Json, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let items = list.as_array().into_iter().flatten();
    items
        .map(|it| format!("{}/{}", text(it, "Name"), text(it, "Version")))
        .collect()
}
