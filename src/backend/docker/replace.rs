//! Changing a container: as it stands where the engine can, else by another one that takes its
//! place.
//!
//! The new one is made under a temporary name (`NAME.dockctl-next`). Then the old one steps aside
//! (`NAME.dockctl-former`), the new one gets the name, is started and waited for, and only then the
//! old one is removed. Until then it can be put back. One that was adopted steps aside as
//! `NAME.before-dockctl`, and is never removed.

use super::{
    ADOPTED_STATE, Action, Creation,
    connect::{failure, status},
    container::Container,
    containers::{known_id, refused},
    declared::{
        adopted_name, conditions, creation, declaration, engine, expected_exit, input, object_name,
        processes, stop_params,
    },
    engine::{Engine, label},
    images::in_path,
    is_as_declared,
    operation::{is_started, kind},
    params::{self, Removal},
};
use crate::{
    model::{Definition, Deployment, Instance, function::holds_call},
    record::Record,
    seam::{Call, Change, Declares, Failure, ObjectKind, ObjectState, Observed, Outputs, Step},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// What the name of a container ends with that is to take the place of another.
pub(in crate::backend) const NEXT: &str = ".dockctl-next";
/// What the name of a container ends with whose place another took.
pub(super) const FORMER: &str = ".dockctl-former";
/// The same, of one that was there before the deployment and is kept.
const BEFORE: &str = ".before-dockctl";

/// Runtime properties that a change in progress needs: the container that was made for a place, and
/// the one that was there before. If that is `container_id` too, it was put back and is not started
/// yet.
pub(in crate::backend) const SUCCESSOR: &str = "successor_id";
pub(in crate::backend) const PREDECESSOR: &str = "predecessor_id";
/// The restart policy of an adopted container that stepped aside: until it is put back it must not
/// start by itself.
pub(super) const POLICY: &str = "predecessor_restart_policy";
/// Anonymous volumes of the container before, by where they are mounted.
pub(super) const CARRIED: &str = "carried_volumes";

/// Fields of `HostConfig` that engines change while a container runs.
pub(super) const ADJUSTABLE: [&str; 14] = [
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "RestartPolicy",
];

/// The name without what a change in progress put behind it.
pub(in crate::backend) fn lasting_name(name: &str) -> &str {
    [NEXT, FORMER, BEFORE]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

impl Action {
    pub(super) fn declares(&self) -> Option<Declares> {
        match self {
            Self::Create(_)
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_)
            | Self::Swap { .. } => Some(Declares::Anew),
            Self::Adjust { declaration, .. } => Some(Declares::Adjusted(declaration.clone())),
            _ => None,
        }
    }
}

/// What it takes to make an instance what its node says now.
pub(in crate::backend) fn change(
    instance: &Instance,
    node: &Definition,
    record: &Record,
    observed: &Observed,
) -> Change {
    let known = record.instances.get(&instance.id);
    let former = known.and_then(|known| known.former.as_deref());
    let Some(kind) = kind(node) else {
        let does_nothing =
            node.operations.is_empty() && former.is_none_or(|former| former.operations.is_empty());
        return if does_nothing {
            Change::Nothing
        } else {
            Change::Remake
        };
    };
    let Some(deployment) = &record.deployment else {
        return Change::Remake;
    };
    let Some(former) = former else {
        return match kind {
            ObjectKind::Container if !node.is_adopted() => Change::Replace,
            ObjectKind::Volume if !node.is_adopted() => volume_stays(instance, observed),
            _ => Change::Remake,
        };
    };
    let before = Instance {
        ties: known
            .map(|known| known.former_ties.clone())
            .unwrap_or_default(),
        ..instance.clone()
    };
    if engine(node) != engine(former) {
        let why = "it is to move to another engine; take it down first: remove the node, update, put it back, and update again";
        return Change::Refused(why.to_owned());
    }
    match (former.is_adopted(), node.is_adopted()) {
        (true, true) if adopted_name(former) == adopted_name(node) => return Change::Nothing,
        (false, true) => {
            let why = "it was made for the deployment and is to be adopted from now on; uninstall takes it down, and cannot leave it";
            return Change::Refused(why.to_owned());
        }
        (true, false) if kind == ObjectKind::Container => return Change::Replace,
        (true, false)
            if adopted_name(former).as_deref()
                == object_name(&deployment.name, instance, node).as_str() =>
        {
            return Change::Refused(cannot_make_way(kind));
        }
        (false, false)
            if declaration(deployment, &before, former)
                == declaration(deployment, instance, node) =>
        {
            // What other secrets go into, or what was attached that is gone, cannot be changed as
            // it stands; of networks and volumes nobody would notice.
            let as_declared = observed
                .of(&instance.id)
                .is_none_or(|object| is_as_declared(object, instance, node, record));
            let is_other =
                kind == ObjectKind::Container && (former.secrets != node.secrets || !as_declared);
            return if is_other {
                Change::Replace
            } else {
                Change::Nothing
            };
        }
        (false, false) => {}
        _ => return Change::Remake,
    }
    match kind {
        ObjectKind::Volume => volume_stays(instance, observed),
        ObjectKind::Container if former.secrets != node.secrets => Change::Replace,
        ObjectKind::Container => adjustment(deployment, (&before, former), (instance, node))
            .map_or(Change::Replace, |step| Change::Adjust(Box::new(step))),
        ObjectKind::Network | ObjectKind::Image => Change::Remake,
    }
}

fn volume_stays(instance: &Instance, observed: &Observed) -> Change {
    let name = observed
        .of(&instance.id)
        .map_or(instance.node.as_str(), |object| object.name.as_str());
    Change::Refused(format!(
        "volumes cannot be changed; what is in `{name}` would be lost: declare the new one as another node, with another name"
    ))
}

/// Engines rename containers only: what else was adopted cannot give its name to another one.
fn cannot_make_way(kind: ObjectKind) -> String {
    let kind = kind.as_str();
    format!(
        "the adopted {kind} has the name that the new one is to have, and engines cannot rename {kind}s: give the node another `name`, or leave it adopted"
    )
}

/// The step that changes a running container, if that is all it takes.
fn adjustment(
    deployment: &Deployment,
    (before, former): (&Instance, &Definition),
    (instance, node): (&Instance, &Definition),
) -> Option<Step> {
    let wanted = creation(deployment, instance, node);
    let (old_rest, old) = split(
        &creation(deployment, before, former),
        deployment,
        before,
        former,
    )?;
    let (new_rest, new) = split(&wanted, deployment, instance, node)?;
    let mut body = JsonMap::new();
    for (field, value) in new
        .iter()
        .filter(|(field, value)| old.get(*field) != Some(value))
    {
        // Engines take nothing for: as it is.
        (*value != 0 && *value != "").then(|| body.insert(field.clone(), value.clone()))?;
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        // Of what is left out only this one has a value that says so.
        (field == "RestartPolicy").then(|| body.insert(field.clone(), json!({ "Name": "no" })))?;
    }
    add_swap(&mut body, new.get("MemorySwap"));
    let body = Json::Object(body);
    let is_all = !body.as_object().is_none_or(JsonMap::is_empty)
        && old_rest == new_rest
        && !holds_call(&body);
    if !is_all {
        return None;
    }
    let action = Action::Adjust {
        body,
        declaration: declaration(deployment, instance, node),
    };
    Some(action.at(engine(node)))
}

/// Engines take memory and swap together, and make the second twice the first where a container is
/// created with one alone.
pub(super) fn add_swap(body: &mut JsonMap<String, Json>, declared: Option<&Json>) {
    if let Some(memory) = body.get("Memory").and_then(Json::as_i64) {
        body.insert(
            "MemorySwap".to_owned(),
            declared.cloned().unwrap_or_else(|| (memory * 2).into()),
        );
    }
}

/// What a container is made from: what can only be given when it is made, and what can be changed
/// later.
fn split(
    creation: &Creation,
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
) -> Option<(Json, JsonMap<String, Json>)> {
    let mut declared: Json = serde_json::from_str(&declaration(deployment, instance, node)).ok()?;
    let mut body = creation.converted().ok()?.body;
    let mut adjustable = JsonMap::new();
    if let Some(host) = body.get_mut("HostConfig").and_then(Json::as_object_mut) {
        for field in ADJUSTABLE {
            adjustable.extend(
                host.shift_remove(field)
                    .map(|value| (field.to_owned(), value)),
            );
        }
        // What is empty says nothing.
        if host.is_empty() {
            body.shift_remove("HostConfig");
        }
    }
    for arguments in ["create", "start", "container_args"] {
        let given = declared
            .as_object_mut()?
            .shift_remove(arguments)
            .unwrap_or_default();
        // What is only known later is not in the body: it has to be the same as it is written.
        if holds_call(&given) {
            declared[arguments] = without_limits(given);
        }
    }
    body.sort_keys();
    Some((json!([declared, body]), adjustable))
}

/// Arguments without those that say nothing but limits, as far as these are known by now.
fn without_limits(mut arguments: Json) -> Json {
    let known = arguments
        .get("host_config")
        .is_none_or(|host| !holds_call(host));
    if let Some(arguments) = arguments.as_object_mut().filter(|_| known) {
        arguments.shift_remove("host_config");
    }
    arguments
}

/// The step that puts what was made in the place of a container there. One that was there before
/// the deployment is kept.
pub(in crate::backend) fn swap(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    keeps: bool,
) -> Step {
    Action::Swap {
        name: object_name(&deployment.name, instance, node),
        keeps,
    }
    .at(engine(node))
}

/// The step that removes what another container took the place of, or keeps it if it was adopted.
pub(in crate::backend) fn discarding(node: &Definition, keeps: bool) -> Step {
    let stop = stop_params(node, input(node, "stop", "params").clone());
    Action::Discard { stop, keeps }.at(engine(node))
}

/// The step that sees whether what takes the place of a container stays up; none if something else
/// shows that it works, or it is to end.
pub(in crate::backend) fn enduring(node: &Definition) -> Option<Step> {
    let is_shown =
        processes(node).is_some() || !conditions(node).is_empty() || expected_exit(node).is_some();
    (is_started(node) && !is_shown).then(|| Action::Endure.at(engine(node)))
}

/// The step that stops a container for another one, where its own definition says nothing of that.
pub(in crate::backend) fn stopping(node: &Definition) -> Step {
    let params = stop_params(node, input(node, "stop", "params").clone());
    Action::Stop { params }.at(engine(node))
}

/// The step that gives the container back its place that was made from `former`. An adopted one has
/// the name that it is adopted by, unless that is an id.
pub(in crate::backend) fn put_back(former: &Definition) -> Step {
    let name = adopted_name(former).filter(|name| !is_id(name));
    Action::StepBack { name: name.into() }.at(engine(former))
}

/// The step that starts it there.
pub(in crate::backend) fn starting_old(former: &Definition) -> Step {
    Action::PutBack.at(engine(former))
}

/// Whether a name can be an id, whole or in part.
fn is_id(name: &str) -> bool {
    name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a change of a container is in progress.
pub(in crate::backend) fn is_being_replaced(properties: &JsonMap<String, Json>) -> bool {
    [SUCCESSOR, PREDECESSOR]
        .iter()
        .any(|name| properties.contains_key(*name))
}

/// Whether another container has the place, and the one before was not removed yet.
pub(in crate::backend) fn is_replaced(properties: &JsonMap<String, Json>) -> bool {
    properties
        .get(PREDECESSOR)
        .is_some_and(|before| properties.get("container_id") != Some(before))
}

/// Whether the one before has its place back, and was not started yet.
pub(in crate::backend) fn is_put_back(properties: &JsonMap<String, Json>) -> bool {
    properties
        .get(PREDECESSOR)
        .is_some_and(|before| properties.get("container_id") == Some(before))
}

/// Whether the container is gone that another one is to take the place of, or took it.
pub(in crate::backend) fn is_predecessor_gone(
    properties: &JsonMap<String, Json>,
    observed: &Observed,
) -> bool {
    let before = properties
        .get(PREDECESSOR)
        .or_else(|| properties.get("container_id"))
        .and_then(Json::as_str);
    before.is_none_or(|id| !observed.objects.iter().any(|object| object.id == id))
}

/// Removal of a container whatever it does, with its volumes without a name.
const WHOLE: Removal = Removal {
    volumes: true,
    force: true,
    link: false,
};

fn property<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.properties.get(name).and_then(Json::as_str)
}

fn set(values: impl IntoIterator<Item = (&'static str, Json)>, unset: &[&str]) -> Outputs {
    let set = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Outputs {
        set,
        unset: unset.iter().map(|name| (*name).to_owned()).collect(),
    }
}

impl Engine {
    /// Makes the container that is to take the place of the instance's own, under a temporary name.
    /// Volumes without a name are carried over.
    pub(super) async fn create_successor(
        &self,
        call: &Call,
        creation: &Creation,
    ) -> Result<Outputs, Failure> {
        let Some(back) = self.reinstate(call).await? else {
            return self.create_beside(call, creation).await;
        };
        let properties = call
            .properties
            .clone()
            .into_iter()
            .filter(|(name, _)| name != PREDECESSOR);
        let properties = properties
            .chain([("container_id".to_owned(), back.clone().into())])
            .collect();
        let mut outputs = self
            .create_beside(
                &Call {
                    properties,
                    ..call.clone()
                },
                creation,
            )
            .await?;
        outputs.set.insert("container_id".to_owned(), back.into());
        outputs.unset.push(PREDECESSOR.to_owned());
        Ok(outputs)
    }

    /// A change that did not finish left two containers: the one that was there before is the one
    /// to keep. Its id, if it is there.
    async fn reinstate(&self, call: &Call) -> Result<Option<String>, Failure> {
        let Some(id) = property(call, PREDECESSOR) else {
            return Ok(None);
        };
        let Some(before) = self.inspect(id).await? else {
            return Ok(None);
        };
        if let Some(unproven) = property(call, "container_id").filter(|it| *it != id) {
            self.delete_own(call, unproven, WHOLE).await?;
        }
        self.rename(id, lasting_name(&before.name())).await?;
        Ok(Some(id.to_owned()))
    }

    async fn create_beside(&self, call: &Call, creation: &Creation) -> Result<Outputs, Failure> {
        let name = creation.name.as_str().unwrap_or_default();
        let before = self.predecessor(call).await?;
        if before
            .as_ref()
            .is_none_or(|before| lasting_name(&before.name()) != name)
        {
            self.expect_free(call, name).await?;
        }
        if let Some(lost) = before
            .as_ref()
            .filter(|before| is_lost_when_stopped(before))
        {
            return Err(cannot_keep(lost));
        }
        if let Some(adopted) = before.as_ref().filter(|before| {
            before.label(label::DEPLOYMENT).is_none() && !before.name().ends_with(BEFORE)
        }) {
            self.expect_free(call, &format!("{}{BEFORE}", adopted.name()))
                .await?;
        }
        let carried = before.as_ref().map(nameless_volumes).unwrap_or_default();
        if let Some(found) = self.made_already(call, creation, &carried).await? {
            return Ok(found);
        }
        let made = self
            .create_as(
                &with_carried(call, &carried),
                creation,
                &format!("{name}{NEXT}"),
            )
            .await?;
        let id = made.set.get("container_id").cloned().unwrap_or_default();
        let kept = (!carried.is_empty()).then(|| (CARRIED, carried.into()));
        let policy = before
            .as_ref()
            .and_then(foreign_policy)
            .map(|policy| (POLICY, policy));
        Ok(set(
            [(SUCCESSOR, id)].into_iter().chain(kept).chain(policy),
            &[],
        ))
    }

    /// The container that a run made beside the old one before it died, if it made one.
    pub(super) async fn successor_made(&self, call: &Call) -> Result<Option<Outputs>, Failure> {
        if property(call, PREDECESSOR).is_some() {
            return Ok(None);
        }
        for id in self.containers_of(call).await? {
            let made = self.inspect(&id).await?.filter(|it| {
                it.label(label::EXECUTION) == Some(&call.execution) && it.name().ends_with(NEXT)
            });
            if made.is_some() {
                let policy = self
                    .predecessor(call)
                    .await?
                    .as_ref()
                    .and_then(foreign_policy)
                    .map(|policy| (POLICY, policy));
                return Ok(Some(set(
                    [(SUCCESSOR, id.into())].into_iter().chain(policy),
                    &[],
                )));
            }
        }
        Ok(None)
    }

    /// The one that a run which came to no end made, if it was made from the same request; else it
    /// is removed.
    async fn made_already(
        &self,
        call: &Call,
        creation: &Creation,
        carried: &JsonMap<String, Json>,
    ) -> Result<Option<Outputs>, Failure> {
        let Some(id) = property(call, SUCCESSOR) else {
            return Ok(None);
        };
        let Some(found) = self.inspect(id).await? else {
            return Ok(None);
        };
        if self.is_made_from(&found, &with_carried(call, carried), creation)? {
            return Ok(Some(set([(SUCCESSOR, id.into())], &[])));
        }
        self.delete_own(
            call,
            id,
            Removal {
                volumes: false,
                ..WHOLE
            },
        )
        .await?;
        Ok(None)
    }

    async fn predecessor(&self, call: &Call) -> Result<Option<Container>, Failure> {
        match property(call, "container_id") {
            Some(id) => self.inspect(id).await,
            None => Ok(None),
        }
    }

    /// Lets the old container step aside, and gives its name to the new one. What is done of that
    /// is not done again.
    pub(super) async fn swap(
        &self,
        call: &Call,
        name: &Json,
        keeps: bool,
    ) -> Result<Outputs, Failure> {
        let name = name.as_str().unwrap_or_default();
        let Some(id) = property(call, SUCCESSOR) else {
            return Err(Failure::fatal("what is to take the place was never made"));
        };
        let Some(new) = self.inspect(id).await? else {
            return Err(Failure::fatal(
                "the container that is to take the place is gone",
            ));
        };
        if let Some(old) = self.lasting_predecessor(call).await? {
            self.put_aside(&old, name, keeps).await?;
        }
        if new.name() != name {
            self.rename(id, name).await?;
        }
        let former = call
            .properties
            .get("container_id")
            .map(|old| (PREDECESSOR, old.clone()));
        Ok(set(
            [("container_id", id.into())].into_iter().chain(former),
            &[SUCCESSOR, "network_settings", "ports"],
        ))
    }

    /// The container whose place is taken; one with `AutoRemove` that was stopped has no name any
    /// more once it is gone.
    async fn lasting_predecessor(&self, call: &Call) -> Result<Option<Container>, Failure> {
        let Some(old) = self.predecessor(call).await? else {
            return Ok(None);
        };
        let ends = old.flag("/HostConfig/AutoRemove")
            && matches!(old.state(), ObjectState::Exited | ObjectState::Dead);
        if ends {
            self.await_removal(&old.id()).await?;
        }
        Ok(Some(old).filter(|_| !ends))
    }

    async fn put_aside(&self, old: &Container, wanted: &str, keeps: bool) -> Result<(), Failure> {
        if keeps {
            self.set_policy(&old.id(), &json!({ "Name": "no" })).await?;
        }
        let (name, ending) = (old.name(), if keeps { BEFORE } else { FORMER });
        let lasting = if keeps { &name } else { lasting_name(&name) };
        let is_aside = name != wanted && name.ends_with(ending);
        if is_aside {
            Ok(())
        } else {
            self.rename(&old.id(), &format!("{lasting}{ending}")).await
        }
    }

    /// Podman takes no restart policy for a container that exists, and restarts none by itself when
    /// it starts.
    async fn set_policy(&self, id: &str, policy: &Json) -> Result<(), Failure> {
        if self.client.is_podman() {
            return Ok(());
        }
        let set = self
            .client
            .post_to_do(
                &format!("/containers/{id}/update"),
                &json!({ "RestartPolicy": policy }),
            )
            .await;
        set.map(drop).map_err(|error| {
            failure(
                &error,
                "changing the restart policy of the adopted container",
            )
        })
    }

    pub(super) async fn rename(&self, id: &str, name: &str) -> Result<(), Failure> {
        let renamed = self
            .client
            .send(
                &format!("/containers/{id}/rename"),
                &[("name", name.to_owned())],
            )
            .await;
        match renamed {
            Ok(()) => Ok(()),
            // A call that was lost on the way and repeated finds its own work done.
            Err(_)
                if self
                    .inspect(id)
                    .await?
                    .is_some_and(|found| found.name() == name) =>
            {
                Ok(())
            }
            Err(error) if status(&error) == Some(409) => Err(Failure::fatal(format!(
                "the name `{name}` is taken by another container"
            ))
            .hint(format!(
                "docker rename or docker rm that one: docker ps -a --filter name=^/{name}$ shows it"
            ))),
            Err(error) => Err(failure(
                &error,
                &format!("giving the container the name `{name}`"),
            )),
        }
    }

    /// Removes the container whose place another took, unless it is to be kept, and one that was
    /// made for a place and never took it. Volumes without a name are in use by the instance's
    /// container, or go.
    pub(super) async fn discard(
        &self,
        call: &Call,
        stop: &Json,
        keeps: bool,
    ) -> Result<Outputs, Failure> {
        let mine = property(call, "container_id");
        let others = [PREDECESSOR, SUCCESSOR]
            .map(|name| property(call, name).filter(|id| Some(*id) != mine));
        for old in others.into_iter().flatten() {
            let Some(old) = self.inspect(old).await? else {
                continue;
            };
            if matches!(
                old.state(),
                ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
            ) {
                self.stop_container(
                    &old.id(),
                    params::stop(stop).map_err(|faults| refused(&faults))?,
                )
                .await?;
            }
            self.delete_own(call, &old.id(), WHOLE).await?;
            if let Some(image) = old
                .text("/Image")
                .filter(|image| property(call, "image_id") != Some(image))
            {
                self.drop_image(image).await?;
            }
        }
        let adopted = keeps.then_some(ADOPTED_STATE);
        Ok(set(
            [],
            &[PREDECESSOR, SUCCESSOR, POLICY]
                .into_iter()
                .chain(adopted)
                .collect::<Vec<_>>(),
        ))
    }

    /// Removes the new container, and gives the old one its name again. If the old one is gone,
    /// nothing is left, and another one has to be created before this is over.
    pub(super) async fn step_back(&self, call: &Call, name: &Json) -> Result<Outputs, Failure> {
        let (mine, next) = (property(call, "container_id"), property(call, SUCCESSOR));
        let before = property(call, PREDECESSOR).or(mine);
        for new in [mine, next]
            .into_iter()
            .flatten()
            .filter(|new| Some(*new) != before)
        {
            self.delete_own(call, new, WHOLE).await?;
        }
        let old = match before {
            Some(id) => self.lasting_predecessor(&with_container(call, id)).await?,
            None => None,
        };
        let Some(old) = old else {
            return Ok(set(
                [],
                &[
                    "container_id",
                    SUCCESSOR,
                    POLICY,
                    "network_settings",
                    "ports",
                ],
            ));
        };
        let now = old.name();
        let name = name.as_str().unwrap_or_else(|| lasting_name(&now));
        if now != name {
            self.rename(&old.id(), name).await?;
        }
        if let Some(policy) = call.properties.get(POLICY) {
            self.set_policy(&old.id(), policy).await?;
        }
        let image = old.text("/Image").map(|image| ("image_id", image.into()));
        Ok(set(
            [
                ("container_id", old.id().into()),
                (PREDECESSOR, old.id().into()),
            ]
            .into_iter()
            .chain(image),
            &[SUCCESSOR],
        ))
    }

    /// Starts the old container, which has its name again.
    pub(super) async fn put_back(&self, call: &Call) -> Result<Outputs, Failure> {
        let id = known_id(call)?;
        self.start_once(call, &id)
            .await
            .map_err(|error| failure(&error, "starting the container that was put back"))?;
        let mut outputs = self.network(call, &id).await?;
        outputs.unset = [SUCCESSOR, PREDECESSOR, POLICY].map(str::to_owned).to_vec();
        Ok(outputs)
    }

    /// Changes limits and the restart policy of the container as it stands.
    pub(super) async fn adjust(&self, call: &Call, body: &Json) -> Result<Outputs, Failure> {
        let id = known_id(call)?;
        let adjusted = self
            .client
            .post_to_do(&format!("/containers/{id}/update"), body)
            .await;
        adjusted
            .map(|()| Outputs::default())
            .map_err(|error| failure(&error, "changing the limits of the container"))
    }

    /// Removes volumes that were carried over from one container to the next: they have a name
    /// there, and do not go by themselves.
    pub(super) async fn remove_carried(&self, call: &Call) -> Result<(), Failure> {
        let carried = call.properties.get(CARRIED).and_then(Json::as_object);
        for name in carried
            .into_iter()
            .flatten()
            .filter_map(|(_, name)| name.as_str())
        {
            match self
                .client
                .delete(&format!("/volumes/{}", in_path(name)), &[])
                .await
            {
                Err(error) if !matches!(status(&error), Some(404 | 409)) => {
                    return Err(failure(&error, "removing a volume without a name"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The restart policy of a container that dockctl did not make, if it has one.
fn foreign_policy(before: &Container) -> Option<Json> {
    let policy = before
        .json
        .pointer("/HostConfig/RestartPolicy")
        .filter(|policy| !matches!(policy["Name"].as_str(), None | Some("" | "no")));
    policy
        .filter(|_| before.label(label::DEPLOYMENT).is_none())
        .cloned()
}

/// Whether a container that dockctl did not make is removed by the engine once it is stopped.
fn is_lost_when_stopped(before: &Container) -> bool {
    before.flag("/HostConfig/AutoRemove") && before.label(label::DEPLOYMENT).is_none()
}

fn cannot_keep(before: &Container) -> Failure {
    let name = before.name();
    Failure::fatal(format!(
        "container `{name}` was adopted and has AutoRemove: the engine would remove it once it is stopped, and it could not be kept"
    ))
    .hint("leave it adopted, or give the node another `name`")
    .hint(format!("to give it up, remove it first: docker rm -f {name}"))
}

fn with_container(call: &Call, id: &str) -> Call {
    let properties = call
        .properties
        .clone()
        .into_iter()
        .chain([("container_id".to_owned(), id.into())])
        .collect();
    Call {
        properties,
        ..call.clone()
    }
}

fn with_carried(call: &Call, carried: &JsonMap<String, Json>) -> Call {
    let properties = call
        .properties
        .clone()
        .into_iter()
        .chain([(CARRIED.to_owned(), carried.clone().into())])
        .collect();
    Call {
        properties,
        ..call.clone()
    }
}

/// Volumes of a container that have no name of their own, by where they are mounted.
pub(super) fn nameless_volumes(before: &Container) -> JsonMap<String, Json> {
    let anonymous = |mount: &&Json| {
        let name = mount["Name"].as_str().unwrap_or_default();
        mount["Type"] == "volume" && name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
    };
    let mounts = before.json["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(anonymous);
    mounts
        .filter_map(|mount| {
            Some((
                mount["Destination"].as_str()?.to_owned(),
                mount["Name"].clone(),
            ))
        })
        .collect()
}

/// Mounts volumes that are carried over, unless something else is to be in their place.
pub(super) fn mount_carried(body: &mut Json, carried: &JsonMap<String, Json>) {
    let bind = |bind: &Json| {
        bind.as_str()
            .and_then(|bind| bind.split(':').nth(1).map(str::to_owned))
    };
    let target = |mount: &Json| mount["Target"].as_str().map(str::to_owned);
    let host = &body["HostConfig"];
    let taken: Vec<String> = host["Binds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(bind)
        .chain(
            host["Mounts"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(target),
        )
        .chain(
            host["Tmpfs"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(path, _)| path.clone()),
        )
        .collect();
    let free = carried.iter().filter(|(path, _)| !taken.contains(path));
    let mounts: Vec<Json> = free
        .map(|(path, name)| json!({ "Type": "volume", "Source": name, "Target": path }))
        .collect();
    if !mounts.is_empty() {
        let all = host["Mounts"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .chain(mounts)
            .collect::<Vec<_>>();
        body["HostConfig"]["Mounts"] = all.into();
    }
}
