//! Checks of the request for a container, of the plugin 1.x and 2.x, that its parts cannot show
//! alone: what refers to the container itself, what its mounts and relationships share, and what its
//! engine cannot have.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Fault},
    model::{Node, Relationship},
    plugins::docker::declare::{
        binds,
        check::{
            diagnostic,
            objects::{is_attachment, is_mount},
            operation,
        },
        json::{keys, strings, text},
        operation::Operation,
        params::{mounted_twice, mounts, normal_target},
    },
    syntax::Value,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::collections::HashMap;

/// The request for the container of a node.
pub(crate) struct Request<'a> {
    /// The node.
    pub node: &'a Node,
    /// Name of the container, if it is known.
    pub own: Option<&'a str>,
    /// The body of the engine's request.
    pub body: &'a JsonMap<String, Json>,
    /// The value in the blueprint that it was converted from: `params` or `container_args`.
    pub given: Option<&'a Value>,
    /// The operation and the name of that value.
    pub path: [&'static str; 2],
}

impl Request<'_> {
    /// Reports the faults of the request.
    pub(crate) fn check(&self, d: &mut Diagnostics) {
        let own = self.own.and_then(|own| self_reference(own, self.body));
        let relative = self.relative_source();
        for fault in own.into_iter().chain(relative) {
            self.report(&fault, false, d);
        }
        for fault in reserved_labels(self.body) {
            self.report(&fault, true, d);
        }
        self.check_mounts(d);
        self.check_links(d);
    }

    /// Reports links of relationships to networks that lead to the container itself.
    fn check_links(&self, d: &mut Diagnostics) {
        let attachments = self
            .node
            .relationships
            .iter()
            .filter(|it| is_attachment(it));
        let links = attachments.filter_map(|it| it.properties.get("links"));
        for links in links {
            let json = links.to_json();
            let names = strings(&json).chain(keys(&json).map(String::as_str));
            let own = self
                .own
                .filter(|own| names.into_iter().any(|it| names_container(it, own)));
            if let Some(own) = own {
                let fault = uses_itself(own, "links");
                d.push(links.span.error(Code::InvalidAttachment, fault.message));
            }
        }
    }

    fn report(&self, fault: &Fault, is_warning: bool, d: &mut Diagnostics) {
        let mut fault = fault.clone();
        // `container_args` also has the host configuration on its top level.
        let is_flat = |outer: &String| self.given.is_some_and(|it| it.get(outer).is_none());
        if fault.path.len() > 1 && fault.path.first().is_some_and(is_flat) {
            fault.path.remove(0);
        }
        let fault = fault.nested_in(&self.path.map(str::to_owned));
        let place = (self.node.name.span, &*self.node.name.node);
        d.push(diagnostic(&fault, self.given, place.0, place.1, is_warning));
    }

    /// Returns the fault of a host path that only an engine on this machine would have.
    fn relative_source(&self) -> Option<Fault> {
        if !names_remote_engine(self.node) {
            return None;
        }
        let body = json!({ "HostConfig": self.body.get("HostConfig") });
        let path = binds::relative_sources(&body).into_iter().next()?;
        Some(Fault::new(binds::not_local(&path)))
    }

    /// Reports paths that a relationship to a volume mounts, and that something else mounts too.
    fn check_mounts(&self, d: &mut Diagnostics) {
        let host = self.body.get("HostConfig").and_then(Json::as_object);
        let mut seen: HashMap<String, &str> =
            host.map(mounts).unwrap_or_default().into_iter().collect();
        for (relationship, target) in mounted_volumes(self.node) {
            let volume = &*relationship.target.node;
            if let Some(other) = seen.insert(normal_target(target), volume) {
                let fault = mounted_twice(&normal_target(target), [other, volume]);
                let place = relationship.properties.get("target");
                let span = place.map_or(relationship.type_name.span, |value| value.span);
                let error = span.error(Code::InvalidAttachment, fault.message);
                d.push(fault.hint.into_iter().fold(error, Diagnostic::hint));
            }
        }
    }
}

/// Returns the relationships of a node to volumes, with the paths in the container.
fn mounted_volumes(node: &Node) -> impl Iterator<Item = (&Relationship, &str)> {
    let all = node.relationships.iter().filter(|it| is_mount(it));
    all.filter_map(|it| Some((it, it.properties.get("target")?.as_str()?)))
}

/// Returns true if a node names an engine that is not behind a local socket.
fn names_remote_engine(node: &Node) -> bool {
    let create = operation(node, Operation::Create);
    let client = create.and_then(|it| it.inputs.get("daemon_client"));
    let address = client.and_then(|it| it.get("base_url")?.as_str());
    let config = node.properties.get("client_config");
    let given = |name: &str| {
        let value = config.and_then(|it| it.get(name)).map(Value::to_json);
        value.is_some_and(|it| !it.is_null() && it != "")
    };
    let is_remote = |address: &str| {
        let schemes = ["tcp://", "http://", "https://", "ssh://"];
        schemes.iter().any(|scheme| address.starts_with(scheme))
    };
    // A host without a port is ignored, as in Cloudify's plugin.
    address.is_some_and(is_remote) || (given("docker_host") && given("docker_rest_port"))
}

/// Returns the labels that dockctl overwrites.
fn reserved_labels(body: &JsonMap<String, Json>) -> Vec<Fault> {
    let labels = body.get("Labels").into_iter().flat_map(keys);
    let reserved = labels.filter(|label| label.starts_with("dockctl."));
    let fault = |label: &String| {
        let message = format!("the label `{label}` is reserved for dockctl and is overwritten");
        Fault::new(message).nested_in(&["labels".to_owned(), label.clone()])
    };
    reserved.map(fault).collect()
}

/// Returns the fault of a container that uses itself. `own` is its name.
fn self_reference(own: &str, body: &JsonMap<String, Json>) -> Option<Fault> {
    let null = &Json::Null;
    let host = body.get("HostConfig").unwrap_or(null);
    let is_own = |text: &str| names_container(text, own);
    let modes = [
        ("network_mode", "NetworkMode"),
        ("pid_mode", "PidMode"),
        ("ipc_mode", "IpcMode"),
    ];
    let is_mode = |field: &str| {
        text(&host[field])
            .strip_prefix("container:")
            .is_some_and(is_own)
    };
    let lists = [("links", "Links"), ("volumes_from", "VolumesFrom")];
    let is_listed = |field: &str| strings(&host[field]).any(is_own);
    let mode = modes.iter().find(|(_, field)| is_mode(field));
    let list = || lists.iter().find(|(_, field)| is_listed(field));
    let argument = mode
        .or_else(list)
        .map(|(argument, _)| ["host_config", argument]);
    let networks = &body.get("NetworkingConfig").unwrap_or(null)["EndpointsConfig"];
    let mut networks = networks.as_object().into_iter().flatten();
    let mut is_linked = || networks.any(|(_, endpoint)| strings(&endpoint["Links"]).any(is_own));
    let path = argument.or_else(|| is_linked().then_some(["networking_config", "links"]))?;
    Some(uses_itself(own, path[1]).nested_in(&path.map(str::to_owned)))
}

fn uses_itself(own: &str, argument: &str) -> Fault {
    let own = own.trim_start_matches('/');
    Fault::new(format!(
        "container `{own}` cannot use itself in `{argument}`"
    ))
}

/// Returns true if a text such as `NAME` or `NAME:alias` names a container.
fn names_container(text: &str, own: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    name.trim_start_matches('/') == own.trim_start_matches('/')
}
