//! The plugin as an HTTP service: JSON-RPC calls, and documents that describe it.

use super::{
    api::{self, InstanceMethod, InstanceRequest, Request, Role},
    flavor,
    groups::Groups,
    info,
    instances::Instances,
    metadata,
};
use crate::{
    front,
    printable::{on_one_line, printable},
    serve::{
        http::{HttpRequest, MAX_BODY, ResponseBody, Service, response, text},
        json_rpc::{self, Call, RpcError},
    },
};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::Value as Json;
use std::{convert::Infallible, pin::Pin, rc::Rc, time::Instant};
use tokio_util::sync::CancellationToken;

const JSON: &str = "application/json";

/// What answers the requests to a plugin.
pub(crate) enum Handler {
    Instances(Rc<Instances>),
    Groups(Rc<Groups>),
    /// The vanilla flavor, with the settings to read its scripts.
    Flavor(front::Options),
}

/// A plugin of the server.
pub(crate) struct Plugin {
    pub handler: Handler,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// Cancelled when running requests have no more time.
    pub abort: CancellationToken,
}

impl Service for Plugin {
    fn answer(
        self: Rc<Self>,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>>>> {
        Box::pin(async move {
            // Only browsers send this header: a web page must not reach the plugin.
            if request.headers.contains_key(header::ORIGIN) {
                return text(StatusCode::FORBIDDEN, "requests of web pages are refused\n");
            }
            match (&request.method, &request.path[..]) {
                (&Method::GET | &Method::HEAD, "/info/api.json") => {
                    document(&info::api(self.role(), &self.subtypes()))
                }
                (&Method::GET | &Method::HEAD, "/info/functions.json") => {
                    document(&info::functions())
                }
                (&Method::GET, "/events") => self.events(),
                (&Method::POST, "/") => self.post(&request).await,
                (method, "/") => not_post(method),
                _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            }
        })
    }
}

fn document(json: &Json) -> Response<ResponseBody> {
    response(StatusCode::OK, JSON, format!("{json}\n").into_bytes())
}

fn not_post(method: &Method) -> Response<ResponseBody> {
    let message = format!("rpc: POST method required, received {method}");
    text(StatusCode::METHOD_NOT_ALLOWED, &message)
}

impl Plugin {
    fn role(&self) -> Role {
        match &self.handler {
            Handler::Instances(_) => Role::Instances,
            Handler::Groups(_) => Role::Groups,
            Handler::Flavor(_) => Role::Flavor,
        }
    }

    /// Returns the names of the subtypes, without the default one.
    fn subtypes(&self) -> Vec<String> {
        let Handler::Instances(instances) = &self.handler else {
            return Vec::new();
        };
        let names = instances.subtypes.keys();
        names.filter(|name| !name.is_empty()).cloned().collect()
    }

    /// Returns a stream of events. The plugin publishes none; the stream ends with the daemon.
    fn events(&self) -> Response<ResponseBody> {
        let stop = self.stop.clone();
        let none = stream::unfold(stop, |stop| async move {
            stop.cancelled().await;
            None::<(Result<Frame<Bytes>, Infallible>, _)>
        });
        let mut response = Response::new(StreamBody::new(none).boxed());
        let events = header::HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, events);
        response
    }

    async fn post(&self, request: &HttpRequest) -> Response<ResponseBody> {
        if let Some(refused) = wrong_content_type(request) {
            return refused;
        }
        let reply = match &request.body {
            Some(body) => self.reply(body).await,
            None => json_rpc::unread(&format!(
                "the request is larger than {} MiB",
                MAX_BODY >> 20
            )),
        };
        response(StatusCode::OK, JSON, reply)
    }

    async fn reply(&self, body: &[u8]) -> Vec<u8> {
        let call = match json_rpc::parse(body) {
            Ok(call) => call,
            Err(reply) => return reply,
        };
        let begun = Instant::now();
        let result = tokio::select! {
            result = self.call(&call) => result,
            () = self.abort.cancelled() => Err(RpcError::new(
                "the plugin stops; its next start settles this request",
            )),
        };
        let (method, seconds) = (printable(&call.method), begun.elapsed().as_secs_f64());
        match result {
            Ok(result) => {
                tracing::debug!(method, seconds, "answered");
                json_rpc::success(call.id.as_deref(), &result)
            }
            Err(error) => {
                tracing::error!(method, seconds, error = %on_one_line(&error.message), "failed");
                json_rpc::failure(call.id.as_deref(), &error)
            }
        }
    }

    async fn call(&self, call: &Call) -> Result<Json, RpcError> {
        let request = Request::read(self.role(), &call.method, &call.params)?;
        match (&self.handler, request) {
            (Handler::Instances(instances), request) => {
                self.about_instances(instances, request).await
            }
            (Handler::Groups(groups), Request::Group(method)) => groups.answer(&method).await,
            (Handler::Flavor(options), Request::Flavor(request)) => {
                flavor::answer(&request, options)
            }
            (_, handshake) => Ok(api::handshake(self.role(), &handshake, &self.subtypes())),
        }
    }

    async fn about_instances(
        &self,
        instances: &Instances,
        request: Request,
    ) -> Result<Json, RpcError> {
        match request {
            Request::Instance(request) => answer(instances, &request).await,
            Request::MetadataList(path) => metadata::list(instances, &path).await,
            Request::MetadataGet(path) => metadata::get(instances, &path).await,
            handshake => Ok(api::handshake(self.role(), &handshake, &self.subtypes())),
        }
    }
}

/// Answers a request about instances.
async fn answer(instances: &Instances, request: &InstanceRequest) -> Result<Json, RpcError> {
    let InstanceRequest { subtype, method } = request;
    match method {
        InstanceMethod::Validate(properties) => instances.validate(subtype, properties).await?,
        InstanceMethod::Label(instance, labels) => {
            instances.label(subtype, instance, labels).await?
        }
        InstanceMethod::Destroy(instance, reason) => {
            instances.destroy(subtype, instance, reason).await?
        }
        InstanceMethod::Provision(spec) => {
            let id = instances.provision(subtype, spec).await?;
            tracing::info!(instance = id, "provisioned");
            return Ok(api::provisioned(subtype, &id));
        }
        InstanceMethod::Describe(tags) => {
            let all = instances.describe(subtype, tags).await?;
            return Ok(api::descriptions(subtype, &all));
        }
    }
    Ok(api::ok(subtype))
}

/// Returns the response to a body that is not JSON. A request may leave its type out.
fn wrong_content_type(request: &HttpRequest) -> Option<Response<ResponseBody>> {
    let given = request.headers.get(header::CONTENT_TYPE)?;
    let given = String::from_utf8_lossy(given.as_bytes()).into_owned();
    let kind = given.split(';').next().unwrap_or_default().trim();
    let message = format!("rpc: unrecognized Content-Type: {}", printable(kind));
    (!kind.eq_ignore_ascii_case(JSON)).then(|| text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message))
}
