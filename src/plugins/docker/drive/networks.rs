//! Networks of dockctl's own node type, and containers on them.

use crate::{
    engine::{EngineError, Kind, KnownMessage, Version, encode_path, failure, status},
    plugins::docker::{
        declare::{
            action::{Attachment, ObjectCreation},
            exclusive::fixed_addresses,
            infrakit,
            json::{list, pairs, text},
            label::{self, names_deployment, names_instance},
            network::{self, request, runtime_properties},
        },
        drive::{
            containers::{invalid_arguments, recorded_id},
            engine::Engine,
        },
    },
    printable::printable,
    seam::{Call, Failure, Labeling, Outputs, labeling},
    syntax::without_marks,
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
use tokio::sync::Mutex;

/// First API version that honors the MAC address when it connects a container.
const MAC_ADDRESS_ON_CONNECTION: Version = Version(1, 54);

/// Age at which an endpoint without a container counts as left behind.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// Locks by name of a network. Without them, engines would create two networks of one name.
pub(crate) type NetworkLocks = RefCell<HashMap<String, Rc<Mutex<()>>>>;

/// The containers on a network.
#[derive(Default)]
struct NetworkUsers {
    /// IDs and names of the containers of the deployment.
    own: Vec<(String, String)>,
    /// Names of other containers.
    foreign: Vec<String>,
    /// Names of endpoints that the engine keeps although their containers are gone.
    stale: Vec<String>,
}

impl NetworkUsers {
    /// Returns the refusal to remove the network, if others use it.
    fn refusal(&self, network: &str) -> Option<Failure> {
        let disconnect = |user: &str| format!("docker network disconnect -f {network} {user}");
        if let Some(user) = self.foreign.first() {
            let message = format!(
                "the network `{network}` cannot be removed: container `{user}`, outside this deployment, uses it"
            );
            let hint = format!("remove the container, or run: {}", disconnect(user));
            return Some(Failure::fatal(message).hint(hint));
        }
        let user = self.stale.first()?;
        let message = format!(
            "the network `{network}` cannot be removed: the engine keeps its endpoint `{user}` without a container"
        );
        let hint = format!("run: {}, or restart the engine", disconnect(user));
        Some(Failure::fatal(message).hint(hint))
    }
}

impl Engine {
    /// Creates the network of an instance, or uses the one that a run created for it before it
    /// died.
    pub(crate) async fn create_network(
        &self,
        call: &Call,
        creation: &ObjectCreation,
    ) -> Result<Outputs, Failure> {
        let mut body =
            request(&creation.properties).map_err(|fault| invalid_arguments(&[fault]))?;
        let name = creation.name.as_str().unwrap_or_default().to_owned();
        body["Name"] = name.clone().into();
        self.add_labels(
            &mut body,
            call,
            &creation.declaration,
            (&creation.record, &name),
        );
        self.add_seal(&mut body, Kind::Network, &name);
        if let Some(found) = self.unique_network(call, &name).await? {
            return self.reuse_network(call, &name, &found);
        }
        let created = self.client.post("/networks/create", &[], &body).await;
        if let Err(error) = &created
            && status(error) != Some(409)
        {
            return Err(failure(error, &format!("creating network `{name}`")));
        }
        match (self.unique_network(call, &name).await?, created) {
            (Some(found), _) => self.reuse_network(call, &name, &found),
            (None, Err(error)) => Err(failure(&error, &format!("creating network `{name}`"))),
            (None, Ok(_)) => Err(Failure::fatal(format!(
                "the engine reported success, but network {name} does not exist"
            ))),
        }
    }

    /// Returns the network with exactly this name. Engines create two networks of one name if they
    /// are called twice at the same moment, for example when a response was lost and the call was
    /// repeated: of those created for the instance, all but the first are removed.
    async fn unique_network(&self, call: &Call, name: &str) -> Result<Option<Json>, Failure> {
        let listed = self.networks_named(name).await?;
        let (mut mine, others): (Vec<&Json>, Vec<&Json>) = listed
            .iter()
            .partition(|found| self.is_created_for(call, found));
        mine.sort_by_key(|found| found["Created"].as_str().unwrap_or_default());
        for duplicate in mine.iter().skip(1) {
            self.delete_network(call, duplicate).await?;
        }
        Ok(mine
            .first()
            .or(others.first())
            .map(|found| (*found).clone()))
    }

    fn is_created_for(&self, call: &Call, found: &Json) -> bool {
        let is_known = call
            .properties()
            .get("network_id")
            .is_some_and(|id| *id == found["Id"]);
        names_instance(&found["Labels"], call)
            && (is_known || self.is_proven_as(found, Kind::Network))
    }

    /// Accepts an existing network of this name if a run that died created it for the same
    /// instance.
    fn reuse_network(&self, call: &Call, name: &str, found: &Json) -> Result<Outputs, Failure> {
        if self.is_created_for(call, found) {
            Ok(runtime_properties(found))
        } else {
            Err(name_conflict("network", name, &found["Labels"]))
        }
    }

    /// Returns the network with exactly this name or ID.
    pub(crate) async fn network_named(&self, name: &str) -> Result<Option<Json>, Failure> {
        let found = self.client.object(Kind::Network, name).await;
        let found =
            found.map_err(|error| failure(&error, &format!("looking up network {name}")))?;
        // The engine also matches a part of an ID.
        Ok(found.filter(|found| found["Name"] == name || found["Id"] == name))
    }

    pub(crate) async fn adopt_network(&self, name: &str) -> Result<Outputs, Failure> {
        let found = self.network_named(name).await?;
        found.as_ref().map(runtime_properties).ok_or_else(|| {
            Failure::fatal(format!("cannot adopt network `{name}`: it does not exist"))
                .hint("create the network first, or remove `use_external_resource` to let dockctl create it")
        })
    }

    /// Removes the network, and any that a run created for the instance but did not record before
    /// it died.
    pub(crate) async fn remove_network(&self, call: &Call) -> Result<Outputs, Failure> {
        for found in self.objects_of_instance(call, Kind::Network).await? {
            self.delete_network(call, &found).await?;
        }
        Ok(removed_outputs())
    }

    async fn delete_network(&self, call: &Call, found: &Json) -> Result<(), Failure> {
        let id = found["Id"].as_str().unwrap_or_default();
        let path = format!("/networks/{}", encode_path(id));
        // Podman would disconnect the containers of others.
        if self.client.is_podman() {
            let users = self.network_users(call, id).await?;
            if let Some(refusal) = users.refusal(text(&found["Name"])) {
                return Err(refusal);
            }
        }
        let Err(error) = self.client.delete(&path, &[]).await else {
            return Ok(());
        };
        if status(&error) == Some(404) {
            return Ok(());
        }
        let name = printable(text(&found["Name"]));
        let removing = format!("removing network `{name}`");
        let cannot = failure(&error, &removing);
        if !KnownMessage::InUse.matches_error(&error) {
            return Err(cannot);
        }
        // The deployment's containers on this network are recreated afterwards.
        let mut users = self.network_users(call, id).await?;
        if !users.stale.is_empty() {
            // A container that was just removed keeps its endpoint for a moment.
            tokio::time::sleep(STALE_AFTER).await;
            users = self.network_users(call, id).await?;
        }
        if let Some(refusal) = users.refusal(text(&found["Name"])) {
            return Err(refusal);
        }
        if users.own.is_empty() {
            return Err(cannot.temporary());
        }
        let disconnect = format!("{path}/disconnect");
        for (id, container) in &users.own {
            let body = json!({ "Container": id, "Force": true });
            let disconnected = self.client.post_and_confirm(&disconnect, &body).await;
            disconnected.map_err(|error| {
                let container = printable(container);
                let action = format!("disconnecting container `{container}` from network `{name}`");
                failure(&error, &action)
            })?;
        }
        match self.client.delete(&path, &[]).await {
            Err(error) if status(&error) != Some(404) => Err(failure(&error, &removing)),
            _ => Ok(()),
        }
    }

    async fn network_users(&self, call: &Call, id: &str) -> Result<NetworkUsers, Failure> {
        let network = self
            .client
            .object(Kind::Network, id)
            .await
            .map_err(|error| failure(&error, "inspecting the network"))?;
        let network = network.unwrap_or_default();
        let mut users = NetworkUsers::default();
        for (id, endpoint) in pairs(&network["Containers"]) {
            let Some(container) = self.inspect(id).await? else {
                users.stale.push(text(&endpoint["Name"]).to_owned());
                continue;
            };
            let names_it = names_deployment(
                container.labels(),
                &call.deployment.name,
                &call.deployment.id,
            );
            if names_it && self.is_proven(&container).await? {
                users.own.push((id.clone(), container.name()));
            } else {
                users.foreign.push(container.name());
            }
        }
        Ok(users)
    }

    /// Returns the networks or volumes of an instance: the recorded one, and those with its labels
    /// and the seal of this state directory. A recorded object whose labels name another
    /// deployment, or none, is an error.
    pub(crate) async fn objects_of_instance(
        &self,
        call: &Call,
        kind: Kind,
    ) -> Result<Vec<Json>, Failure> {
        let property = if kind == Kind::Volume {
            "volume_name"
        } else {
            "network_id"
        };
        let filter = [
            (label::DEPLOYMENT, call.deployment.name.as_str()),
            (label::INSTANCE, call.instance()),
        ]
        .map(|(name, value)| format!("{name}={value}"));
        let filters = json!({ "label": filter }).to_string();
        let listed = self
            .client
            .list(kind, &[("filters", filters)])
            .await
            .map_err(|error| failure(&error, "looking up the objects of the instance"))?;
        let is_mine = |found: &&Json| {
            names_instance(&found["Labels"], call) && self.is_proven_as(found, kind)
        };
        let mut all: Vec<Json> = listed.iter().filter(is_mine).cloned().collect();
        let id = |found: &Json| [found["Id"].clone(), found["Name"].clone()];
        if let Some(known) = call
            .properties()
            .get(property)
            .filter(|known| known.is_string() && !all.iter().any(|found| id(found).contains(known)))
        {
            all.extend(
                self.recorded_object(call, kind, known.as_str().unwrap_or_default())
                    .await?,
            );
        }
        Ok(all)
    }

    async fn recorded_object(
        &self,
        call: &Call,
        kind: Kind,
        id: &str,
    ) -> Result<Option<Json>, Failure> {
        let found = self
            .client
            .object(kind, id)
            .await
            .map_err(|error| failure(&error, "looking up the objects of the instance"))?;
        let Some(found) = found else { return Ok(None) };
        // The journal proves the ID; the labels name the present owner.
        let labels = &found["Labels"];
        let is_proven = labels[label::DEPLOYMENT] == call.deployment.name.as_str()
            && self.is_proven_as(&found, kind);
        if is_proven || names_deployment(labels, &call.deployment.name, &call.deployment.id) {
            return Ok(Some(found));
        }
        // This happens only to volumes: another volume can have the recorded name.
        let error = name_conflict(kind.as_str(), id, &found["Labels"]);
        Err(Failure {
            hints: vec![
                "the volume of the deployment is gone: uninstall without --volumes".to_owned(),
            ],
            ..error
        })
    }

    /// Connects the container to a network, unless it is already connected.
    pub(crate) async fn connect_network(
        &self,
        call: &Call,
        attachment: &Attachment,
    ) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        let network = attachment.network.as_str().unwrap_or_default();
        let endpoint = attachment
            .converted()
            .map_err(|fault| invalid_arguments(&[fault]))?;
        let container = self.inspect(&id).await?;
        let attached = container.is_some_and(|container| {
            container.json["NetworkSettings"]["Networks"]
                .get(network)
                .is_some()
        });
        if attached {
            return Ok(Outputs::default());
        }
        self.expect_mac_address_counts(network, &endpoint)?;
        let path = format!("/networks/{}/connect", encode_path(network));
        let body = json!({ "Container": id, "EndpointConfig": endpoint });
        match self.client.post_and_confirm(&path, &body).await {
            // A repeated call may find that the lost one has succeeded.
            Err(error) if !KnownMessage::AlreadyConnected.matches_error(&error) => {
                let failed = format!("connecting the container to network {network}");
                let failure = failure(&error, &failed);
                let endpoints = [(network, &endpoint)].into_iter();
                Err(self.with_address_holder(failure, &error, endpoints).await)
            }
            _ => Ok(Outputs::default()),
        }
    }

    /// Adds to a failure which of these endpoints has an address that another container holds, and
    /// the name of that container.
    pub(crate) async fn with_address_holder<'e>(
        &self,
        failure: Failure,
        error: &EngineError,
        endpoints: impl Iterator<Item = (&'e str, &'e Json)>,
    ) -> Failure {
        if !KnownMessage::AddressTaken.matches_error(error) {
            return failure;
        }
        for (network, endpoint) in endpoints {
            for address in fixed_addresses(endpoint) {
                if let Some(holder) = self.address_holder(network, &address).await {
                    let message = format!(
                        "{}: {holder} has the address {address} on network {network}",
                        failure.message
                    );
                    let hint = "choose another address, or start this container before those that get any address of the network";
                    return Failure { message, ..failure }.hint(hint);
                }
            }
        }
        failure
    }

    /// Describes the container that has an address on a network.
    async fn address_holder(&self, network: &str, address: &str) -> Option<String> {
        let found = self.client.object(Kind::Network, network).await.ok()??;
        let has_address = |endpoint: &Json| {
            let own = ["IPv4Address", "IPv6Address"].map(|it| text(&endpoint[it]));
            own.iter().any(|own| own.split('/').next() == Some(address))
        };
        let mut endpoints = pairs(&found["Containers"]);
        let endpoint = endpoints.find(|(_, endpoint)| has_address(endpoint));
        if let Some((id, endpoint)) = endpoint {
            let name = printable(text(&endpoint["Name"]));
            let is_gone = self.inspect(id).await.ok()?.is_none();
            return Some(if is_gone {
                format!("a stale endpoint of `{name}`, without a container,")
            } else {
                format!("container `{name}`")
            });
        }
        let mut pools = list(&found["IPAM"]["Config"]);
        let is_gateway = |pool: &Json| match text(&pool["Gateway"]) {
            "" => network::first_address(text(&pool["Subnet"])).as_deref() == Some(address),
            gateway => gateway == address,
        };
        pools.any(is_gateway).then(|| "the gateway".to_owned())
    }

    /// Fails if the engine would ignore the MAC address of an endpoint when it connects an existing
    /// container.
    fn expect_mac_address_counts(&self, network: &str, endpoint: &Json) -> Result<(), Failure> {
        let is_ignored =
            self.client.version() < MAC_ADDRESS_ON_CONNECTION && !self.client.is_podman();
        if text(&endpoint["MacAddress"]).is_empty() || !is_ignored {
            return Ok(());
        }
        let message = format!(
            "the engine would ignore `mac_address` when it connects the existing container to network {network}"
        );
        Err(Failure::fatal(message)
            .hint("engines honor it when they create a container: remove the container, then run: dockctl heal"))
    }
}

impl Engine {
    /// Attaches the container to a network of InfraKit, unless it is already attached. The network
    /// is created if it is missing, and never removed: other containers may use it.
    pub(crate) async fn join_network(
        &self,
        call: &Call,
        given: &Json,
        labeling: &Labeling,
    ) -> Result<Outputs, Failure> {
        let mut request = infrakit::network_request(&without_marks(given))
            .map_err(|fault| invalid_arguments(&[fault]))?;
        if let Labeling::Server { server, .. } = labeling {
            let labels = request.entry("Labels").or_insert_with(|| json!({}));
            labels[labeling::SERVER] = server.as_str().into();
        }
        let network = self.provide_network(&request).await?;
        let body = json!({ "Container": recorded_id(call)?, "EndpointConfig": {} });
        let path = format!("/networks/{}/connect", encode_path(&network));
        match self.client.post_and_confirm(&path, &body).await {
            Err(error) if !KnownMessage::AlreadyConnected.matches_error(&error) => {
                let what = format!("connecting the container to network {}", request["Name"]);
                Err(failure(&error, &what))
            }
            _ => Ok(Outputs::default()),
        }
    }

    /// Returns the ID of the network with exactly this name, and creates it if it is missing.
    async fn provide_network(&self, request: &JsonMap<String, Json>) -> Result<String, Failure> {
        let text = |field: &str| {
            request
                .get(field)
                .and_then(Json::as_str)
                .unwrap_or_default()
        };
        let name = text("Name");
        let lock = self.network_lock(name);
        let _held = lock.lock().await;
        if let Some(found) = self.only_network(name).await? {
            return fitting(&found, request);
        }
        let body = Json::Object(request.clone());
        let created = self.client.post("/networks/create", &[], &body).await;
        if let Ok(created) = &created {
            self.remove_duplicate(name, created["Id"].as_str().unwrap_or_default())
                .await?;
        }
        let missing = || match &created {
            Err(error) => failure(error, &format!("creating network `{name}`")),
            Ok(_) => Failure::fatal(format!(
                "the engine reported success, but network {name} does not exist"
            )),
        };
        let found = self.only_network(name).await?.ok_or_else(missing)?;
        fitting(&found, request)
    }

    fn network_lock(&self, name: &str) -> Rc<Mutex<()>> {
        let mut locks = self.network_locks.borrow_mut();
        locks.entry(name.to_owned()).or_default().clone()
    }

    /// Removes a network that was just created if another process has created one with its name at
    /// the same moment: of several, the first one stays.
    async fn remove_duplicate(&self, name: &str, id: &str) -> Result<(), Failure> {
        let mut named = self.networks_named(name).await?;
        named.sort_by_key(|found| [&found["Created"], &found["Id"]].map(ToString::to_string));
        if named.first().is_none_or(|first| first["Id"] == id) {
            return Ok(());
        }
        let removed = self
            .client
            .delete(&format!("/networks/{}", encode_path(id)), &[])
            .await;
        match removed {
            Err(error) if status(&error) != Some(404) => Err(failure(
                &error,
                "removing a second network of the same name",
            )),
            _ => Ok(()),
        }
    }

    /// Returns the network with exactly this name. Engines cannot start a container in one of
    /// several networks with the same name.
    async fn only_network(&self, name: &str) -> Result<Option<Json>, Failure> {
        let mut named = self.networks_named(name).await?;
        if named.len() < 2 {
            return Ok(named.pop());
        }
        let message = format!("{} networks have the name `{name}`", named.len());
        Err(Failure::fatal(message).hint(format!(
            "remove all but one: docker network ls --filter name={name}; docker network rm ID"
        )))
    }

    /// Returns the networks with exactly this name.
    async fn networks_named(&self, name: &str) -> Result<Vec<Json>, Failure> {
        let filters = json!({ "name": [name] }).to_string();
        let query = [("filters", filters)];
        let listed = self.client.list(Kind::Network, &query).await;
        let mut listed =
            listed.map_err(|error| failure(&error, &format!("looking up network {name}")))?;
        listed.retain(|found| found["Name"] == name);
        Ok(listed)
    }
}

/// Returns the ID of a network, unless it differs from the request.
fn fitting(found: &Json, request: &JsonMap<String, Json>) -> Result<String, Failure> {
    let Some((field, existing, requested)) = network::difference(found, request) else {
        return Ok(found["Id"].as_str().unwrap_or_default().to_owned());
    };
    let name = &found["Name"];
    let message =
        format!("network {name} has {existing} as `{field}`, but {requested} is requested");
    Err(Failure::fatal(message).hint("request what the network has, or use another name"))
}

/// Returns the changes of runtime properties after a removal.
pub(crate) fn removed_outputs() -> Outputs {
    Outputs {
        unset: ["network_id", "network_name", "network"]
            .map(str::to_owned)
            .to_vec(),
        ..Outputs::default()
    }
}

/// Returns the failure for a name that a foreign object has.
pub(crate) fn name_conflict(what: &str, name: &str, labels: &Json) -> Failure {
    let ownership = match labels[label::DEPLOYMENT].as_str() {
        None => "was not created by dockctl".to_owned(),
        Some(owner) => format!(
            "belongs to `{}` of deployment `{owner}`",
            labels[label::INSTANCE].as_str().unwrap_or_default()
        ),
    };
    Failure::fatal(format!(
        "the name `{name}` is taken by a {what} that {ownership}; it was not touched"
    ))
    .hint("to adopt it, add `use_external_resource: true` to the node's properties")
    .hint("to keep both, give the node another `name`")
}
