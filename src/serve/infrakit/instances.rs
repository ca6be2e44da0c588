//! The instance plugin: provisions, describes, labels and destroys containers. Steps are lowered as
//! for blueprints, and the driver carries them out without plan and executor.

use super::{
    api::{Description, Spec, Tags},
    template::{Template, faults_error, namespace_error},
    turns::Turns,
};
use crate::{
    journal::{Intent, JournalError, Overlay, RequestOutcome, ServerStore},
    model::Deployment,
    plugins::{ConnectedPlugins, InstanceRef, ObjectFilter, ObjectIndex, Plugins},
    printable::{on_one_line, printable},
    seam::{
        Failure, LabeledObject, ObjectState, Step, Target,
        labeling::{RESERVED_LABELS, SERVER_REQUEST, is_public, names_infrakit},
    },
    serve::json_rpc::RpcError,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};
use tokio::{sync::Mutex, time::Instant};

/// Requests after which the oldest ones are forgotten.
const PRUNED: u64 = 100;
/// Characters of an instance's ID.
pub(super) const ID_LENGTH: usize = 12;
/// States of containers that are instances.
pub(super) const LIVING: [ObjectState; 4] = [
    ObjectState::Created,
    ObjectState::Running,
    ObjectState::Paused,
    ObjectState::Restarting,
];
/// The instances of one server.
pub(crate) struct Instances {
    /// Name of the server.
    pub name: String,
    pub template: Template,
    pub plugins: ConnectedPlugins,
    pub store: ServerStore,
    /// Engines by subtype; the default subtype has no name.
    pub subtypes: IndexMap<String, Engine>,
    pub(super) state: State,
}

/// The engine of a subtype.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub target: Target,
    /// Its address.
    pub address: String,
}

/// Begin and answer of a check.
type LastCheck = Option<(Instant, Result<(), RpcError>)>;

/// The changing state of a server.
#[derive(Default)]
pub(super) struct State {
    /// Labels that clients set, by container.
    pub overlay: RefCell<Overlay>,
    /// Requests of earlier runs, or whose outcome is unknown.
    pub unsettled: RefCell<Vec<(String, Intent)>>,
    /// Only one request settles them.
    pub settling: Mutex<()>,
    /// The last check of each engine, by subtype.
    checks: RefCell<HashMap<String, Rc<Mutex<LastCheck>>>>,
    /// Time of the last attempt to settle them, by subtype.
    pub settled: RefCell<HashMap<String, Instant>>,
    /// Containers that have exited and are being removed.
    pub removing: RefCell<HashSet<String>>,
    /// Number of requests that have ended.
    ended: Cell<u64>,
    /// Requests that run.
    pub running: RefCell<HashSet<String>>,
    pub turns: Turns,
}

/// The parts that a server of instances consists of.
pub(crate) struct Parts {
    pub name: String,
    pub template: Template,
    pub plugins: ConnectedPlugins,
    pub store: ServerStore,
    pub subtypes: IndexMap<String, Engine>,
}

impl Instances {
    /// Creates the server from the database of its last run.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub(crate) fn new(parts: Parts) -> Result<Self, JournalError> {
        parts.store.prune()?;
        let state = State {
            overlay: RefCell::new(parts.store.overlay()?),
            unsettled: RefCell::new(parts.store.unfinished()?),
            ..State::default()
        };
        let Parts {
            name,
            template,
            plugins,
            store,
            subtypes,
        } = parts;
        Ok(Self {
            name,
            template,
            plugins,
            store,
            subtypes,
            state,
        })
    }

    /// Returns the engine of a subtype, once it can be reached and the requests of earlier runs
    /// are settled.
    pub(crate) async fn ready(&self, subtype: &str) -> Result<Target, RpcError> {
        let engine = self.engine(subtype)?;
        self.check(subtype, engine).await?;
        self.settle(subtype, engine).await;
        Ok(engine.target.clone())
    }

    /// Checks that an engine can be reached. A call that waits for the check of another one shares
    /// a check that began after the call; an earlier answer says nothing about now.
    async fn check(&self, subtype: &str, engine: &Engine) -> Result<(), RpcError> {
        let called = Instant::now();
        let slot = {
            let mut checks = self.state.checks.borrow_mut();
            checks.entry(subtype.to_owned()).or_default().clone()
        };
        let mut last = slot.lock().await;
        if let Some((begun, answer)) = &*last
            && *begun > called
        {
            return answer.clone();
        }
        let begun = Instant::now();
        let answer = self
            .with_index(async |index| index.check(&engine.target).await)
            .await;
        *last = Some((begun, answer.clone()));
        answer
    }

    fn engine(&self, subtype: &str) -> Result<&Engine, RpcError> {
        let engine = self.subtypes.get(subtype);
        engine.ok_or_else(|| RpcError::new(format!("no-plugin:{subtype}")))
    }

    pub(crate) async fn with_index<T>(
        &self,
        ask: impl AsyncFnOnce(&dyn ObjectIndex) -> Result<T, Failure>,
    ) -> Result<T, RpcError> {
        let drivers = self.plugins.drivers();
        let index = drivers.index().map_err(|failure| error(&failure))?;
        ask(index).await.map_err(|failure| error(&failure))
    }

    /// Checks properties.
    pub(crate) async fn validate(&self, subtype: &str, properties: &Json) -> Result<(), RpcError> {
        self.engine(subtype)?;
        let spec = Spec {
            properties: properties.clone(),
            ..Spec::default()
        };
        let deployment = self.template.instance(&spec, "instance")?;
        check(&deployment)?;
        let target = self.ready(subtype).await?;
        let steps = self.steps(&deployment, "create", &target, "")?;
        let steps: Vec<&Step> = steps.iter().collect();
        let drivers = self.plugins.drivers();
        let missing = drivers.unsupported_features(&steps).await;
        let missing = missing.map_err(|failure| error(&failure))?.concat();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(RpcError::new(missing.join("; ")))
        }
    }

    /// Creates an instance and returns its ID.
    pub(crate) async fn provision(&self, subtype: &str, spec: &Spec) -> Result<String, RpcError> {
        let engine = self.engine(subtype)?;
        let request = request_id();
        let name = format!("{}-{}", self.name, &request[..8]);
        let deployment = self.template.instance(spec, &name)?;
        check(&deployment)?;
        let target = self.ready(subtype).await?;
        self.free_name(&target, spec).await?;
        let intent = Intent::Provision {
            name: spec.logical_id.clone().unwrap_or(name),
            engine: engine.address.clone(),
            has_init: !spec.init.is_empty(),
        };
        self.begin(&request, &intent)?;
        let (created, ()) = tokio::join!(
            self.create(&deployment, &target, &request),
            self.remove_ended_of_group(&target, spec)
        );
        self.end_provision(&request, intent, &target, created).await
    }

    fn begin(&self, request: &str, intent: &Intent) -> Result<(), RpcError> {
        self.store
            .begin(request, intent)
            .map_err(|error| stored(&error))?;
        self.state.running.borrow_mut().insert(request.to_owned());
        Ok(())
    }

    pub(super) fn finish(&self, request: &str, outcome: &RequestOutcome) -> Result<(), RpcError> {
        self.state.running.borrow_mut().remove(request);
        let ended = self.state.ended.replace(self.state.ended.get() + 1);
        if ended.is_multiple_of(PRUNED) {
            self.store.prune().map_err(|error| stored(&error))?;
        }
        self.store
            .finish(request, outcome)
            .map_err(|error| stored(&error))
    }

    async fn create(
        &self,
        deployment: &Deployment,
        target: &Target,
        request: &str,
    ) -> Result<String, Failure> {
        let deployment = Rc::new(deployment.clone());
        let mut properties = JsonMap::new();
        for operation in ["create", "start"] {
            let steps = self.steps(&deployment, operation, target, request);
            for step in steps.map_err(|error| Failure::fatal(error.message))? {
                self.perform(&deployment, step, request, &mut properties)
                    .await?;
            }
        }
        let id = properties.get("container_id").and_then(Json::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| Failure::fatal("the engine returned no ID"))
    }

    /// Stores the outcome of a request. A container of a failed request is removed.
    async fn end_provision(
        &self,
        request: &str,
        intent: Intent,
        target: &Target,
        created: Result<String, Failure>,
    ) -> Result<String, RpcError> {
        let failure = match created {
            Ok(id) => match self.finish(request, &RequestOutcome::Done(id.clone())) {
                Ok(()) => return Ok(short(&id).to_owned()),
                // Without an outcome, a later start would remove the instance.
                Err(error) => Failure::fatal(error.message),
            },
            Err(failure) => failure,
        };
        match self.remove_of(request, target).await {
            Ok(()) => self.finish(request, &RequestOutcome::Failed(failure.message.clone()))?,
            Err(left) => {
                tracing::warn!(request, error = %on_one_line(&left.message), "cannot remove the container of a failed request; it is settled later");
                self.state.running.borrow_mut().remove(request);
                self.state
                    .unsettled
                    .borrow_mut()
                    .push((request.to_owned(), intent));
            }
        }
        Err(error(&failure))
    }

    /// Removes the container of a request, if there is one.
    async fn remove_of(&self, request: &str, target: &Target) -> Result<(), RpcError> {
        for found in self.created_for(request, target).await? {
            self.remove(&found.id, target).await?;
        }
        Ok(())
    }

    pub(super) async fn created_for(
        &self,
        request: &str,
        target: &Target,
    ) -> Result<Vec<LabeledObject>, RpcError> {
        let filter = ObjectFilter {
            labels: vec![(SERVER_REQUEST.to_owned(), Some(request.to_owned()))],
            ..ObjectFilter::default()
        };
        self.with_index(async |index| index.list(target, &filter).await)
            .await
    }

    /// Removes a container by the steps of an instance, and forgets its labels.
    pub(super) async fn remove(&self, id: &str, target: &Target) -> Result<(), RpcError> {
        let deployment = Rc::new(self.template.existing("instance"));
        let mut properties = JsonMap::from_iter([("container_id".to_owned(), id.into())]);
        for step in self.steps(&deployment, "delete", target, "")? {
            let removed = self.perform(&deployment, step, "", &mut properties).await;
            removed.map_err(|failure| error(&failure))?;
        }
        self.state.overlay.borrow_mut().remove(id);
        self.store.forget(id).map_err(|error| stored(&error))
    }

    /// Sets labels of an instance.
    pub(crate) async fn label(
        &self,
        subtype: &str,
        instance: &str,
        labels: &Tags,
    ) -> Result<(), RpcError> {
        let is_reserved = |key: &&String| key.starts_with(RESERVED_LABELS);
        if let Some(key) = labels.keys().find(is_reserved) {
            let message = format!("the label `{key}` is reserved for dockctl");
            return Err(RpcError::new(message));
        }
        let target = self.ready(subtype).await?;
        let found = self.find(&target, instance).await?;
        let found = found.filter(|found| LIVING.contains(&found.state));
        let found =
            found.ok_or_else(|| RpcError::new(format!("there is no instance `{instance}`")))?;
        let namespace = self.template.namespace();
        let contradicts = |(key, value): &(&String, &String)| {
            namespace.get(*key).is_some_and(|own| own != *value)
        };
        if let Some((key, _)) = labels.iter().find(contradicts) {
            return Err(namespace_error(key));
        }
        let kept = self.store.set_labels(&found.id, labels);
        kept.map_err(|error| stored(&error))?;
        let mut overlay = self.state.overlay.borrow_mut();
        tracing::info!(instance = short(&found.id), keys = labels.len(), "labeled");
        overlay.entry(found.id).or_default().extend(labels.clone());
        Ok(())
    }

    /// Removes an instance. One that does not exist counts as removed.
    pub(crate) async fn destroy(
        &self,
        subtype: &str,
        instance: &str,
        reason: &str,
    ) -> Result<(), RpcError> {
        let target = self.ready(subtype).await?;
        let Some(found) = self.find(&target, instance).await? else {
            return Ok(());
        };
        let request = request_id();
        let intent = Intent::Destroy {
            container: found.id.clone(),
            engine: self.engine(subtype)?.address.clone(),
        };
        self.begin(&request, &intent)?;
        let removed = self.remove(&found.id, &target).await;
        if let Err(failure) = removed {
            self.finish(&request, &RequestOutcome::Failed(failure.message.clone()))?;
            return Err(failure);
        }
        tracing::info!(instance = short(&found.id), name = %on_one_line(&found.name), reason = %on_one_line(reason), "destroyed");
        self.finish(&request, &RequestOutcome::Done(found.id))
    }

    /// Returns the instance with an ID or a name; none if it does not exist. An ID wins over an
    /// equal name.
    ///
    /// # Errors
    ///
    /// If the container is not an instance, or belongs to another namespace.
    async fn find(
        &self,
        target: &Target,
        instance: &str,
    ) -> Result<Option<LabeledObject>, RpcError> {
        if instance.is_empty() {
            return Err(RpcError::new("`Instance` must be set"));
        }
        let found = match self.with_id(target, instance).await? {
            Some(found) => Some(found),
            None => self.with_name(target, instance).await?,
        };
        let Some(found) = found.map(|found| self.overlaid(found)) else {
            return Ok(None);
        };
        if is_instance(&found) && self.is_in_namespace(&found) {
            return Ok(Some(found));
        }
        let name = printable(&found.name);
        Err(RpcError::new(format!(
            "container `{name}` is not an instance of this plugin; it was not touched"
        )))
    }

    /// Returns the container whose ID begins with these digits, if they are as many as in the IDs
    /// that the plugin returns.
    async fn with_id(
        &self,
        target: &Target,
        digits: &str,
    ) -> Result<Option<LabeledObject>, RpcError> {
        let is_id = digits.len() >= ID_LENGTH && digits.chars().all(|c| c.is_ascii_hexdigit());
        if !is_id {
            return Ok(None);
        }
        let filter = ObjectFilter {
            id: Some(digits.to_ascii_lowercase()),
            ..ObjectFilter::default()
        };
        let found = self.with_index(async |index| index.list(target, &filter).await);
        Ok(found.await?.into_iter().next())
    }

    /// Returns the container with a name.
    ///
    /// # Errors
    ///
    /// If the name is a part of an ID.
    async fn with_name(
        &self,
        target: &Target,
        name: &str,
    ) -> Result<Option<LabeledObject>, RpcError> {
        let found = self
            .with_index(async |index| index.find(target, name).await)
            .await?;
        match found {
            Some(found) if found.name != name => Err(RpcError::new(format!(
                "`{name}` is a part of an ID; give at least {ID_LENGTH} characters"
            ))),
            found => Ok(found),
        }
    }

    pub(super) fn is_in_namespace(&self, found: &LabeledObject) -> bool {
        has_all(found, self.template.namespace())
    }

    /// Lists the instances with these tags, the newest first.
    pub(crate) async fn describe(
        &self,
        subtype: &str,
        tags: &Tags,
    ) -> Result<Vec<Description>, RpcError> {
        let target = self.ready(subtype).await?;
        let all = self.list(&target, tags).await?;
        let description = |it: LabeledObject| Description {
            id: short(&it.id).to_owned(),
            logical_id: Some(it.name),
            tags: it
                .labels
                .into_iter()
                .filter(|(key, _)| is_public(key))
                .collect(),
        };
        Ok(all.into_iter().map(description).collect())
    }

    /// Returns the containers that are instances and have these tags.
    pub(crate) async fn list(
        &self,
        target: &Target,
        tags: &Tags,
    ) -> Result<Vec<LabeledObject>, RpcError> {
        let mut wanted = tags.clone();
        wanted.extend(self.template.namespace().clone());
        if tags
            .iter()
            .any(|(key, value)| wanted.get(key) != Some(value))
        {
            return Ok(Vec::new());
        }
        let filter = self.filter(&wanted);
        let found = self
            .with_index(async |index| index.list(target, &filter).await)
            .await?;
        let found = found.into_iter().map(|found| self.overlaid(found));
        let is_wanted = |it: &LabeledObject| {
            LIVING.contains(&it.state)
                && has_all(it, &wanted)
                && (!tags.is_empty() || is_instance(it))
        };
        Ok(found.filter(is_wanted).collect())
    }

    /// Returns the filter for the engine. It knows no labels that clients set.
    fn filter(&self, wanted: &Tags) -> ObjectFilter {
        let overlay = self.state.overlay.borrow();
        let is_known = |key: &String| !overlay.values().any(|labels| labels.contains_key(key));
        let known = wanted.iter().filter(|(key, _)| is_known(key));
        ObjectFilter {
            labels: known
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
            states: LIVING.to_vec(),
            id: None,
        }
    }

    /// Adds the labels that clients set.
    pub(super) fn overlaid(&self, mut found: LabeledObject) -> LabeledObject {
        if let Some(labels) = self.state.overlay.borrow().get(&found.id) {
            found.labels.extend(labels.clone());
        }
        found
    }
}

/// Fails if the properties of an instance are invalid.
fn check(deployment: &Deployment) -> Result<(), RpcError> {
    let instance = deployment.instances.first();
    let part = instance.and_then(|instance| InstanceRef::of(deployment, instance));
    let faults = part
        .map(|part| Plugins::default().faults(part))
        .unwrap_or_default();
    faults_error(&faults).map_or(Ok(()), Err)
}

fn has_all(found: &LabeledObject, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| found.labels.get(key) == Some(value))
}

/// Returns true if a container belongs to InfraKit.
fn is_instance(found: &LabeledObject) -> bool {
    names_infrakit(|label| found.labels.contains_key(label))
}

pub(super) fn short(id: &str) -> &str {
    id.get(..ID_LENGTH).unwrap_or(id)
}

/// Returns a random UUID.
fn request_id() -> String {
    let random = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{random:032x}");
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

pub(super) fn stored(error: &JournalError) -> RpcError {
    RpcError::new(error.to_string())
}

/// Returns the error of a failed step: its message, the last lines of its output, and advice.
fn error(failure: &Failure) -> RpcError {
    let log = failure.exit.iter().flat_map(|exit| &exit.log);
    let log: Vec<&str> = log.map(String::as_str).collect();
    let mut text = failure.message.clone();
    if !log.is_empty() {
        text = format!("{text}; its last output:\n{}", log.join("\n"));
    }
    let hints = failure
        .hints
        .iter()
        .map(|hint| format!("\n  = help: {hint}"));
    RpcError::new(text + &hints.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_random_uuids() {
        let id = request_id();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4", "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, request_id());
    }
}
