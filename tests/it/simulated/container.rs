//! Actions on containers of the simulated engine.

use super::{Change, SimulatedEngine, object};
use dockctl::{
    instance_record::{PREDECESSOR, SUCCESSOR},
    plugins::docker::declare::{
        action::{Action, Creation, ObjectCreation},
        change::{SUCCESSOR_SUFFIX, base_name},
    },
    seam::{Call, Failure, Namespace, Object, ObjectState, Outputs},
};
use serde_json::Value as Json;

/// Suffixes of the names of predecessors: owned, adopted.
const PREDECESSOR_SUFFIXES: [&str; 2] = [".dockctl-former", ".before-dockctl"];

/// The definition that a container was created from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ContainerSpec {
    pub declaration: String,
    command: String,
    /// IDs of containers that must be running when this one starts.
    joins: Vec<String>,
    /// Those whose namespaces it shares.
    pub shares: Vec<(Namespace, String)>,
    /// Fixed host ports.
    ports: Vec<String>,
    auto_remove: bool,
}

fn property<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.properties().get(name).and_then(Json::as_str)
}

fn outputs<const N: usize>(set: [(&str, &str); N], unset: &[&str]) -> Outputs {
    let set = set
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Outputs {
        set,
        unset: unset.iter().map(|name| (*name).to_owned()).collect(),
        ..Outputs::default()
    }
}

fn removed_outputs() -> Outputs {
    outputs([], &["container_id", "image_id", SUCCESSOR, PREDECESSOR])
}

/// Returns the IDs of the containers that replace the predecessor.
fn successors(call: &Call) -> Vec<String> {
    let (mine, next) = (property(call, "container_id"), property(call, SUCCESSOR));
    let before = property(call, PREDECESSOR).or(mine);
    let new = [mine, next].into_iter().flatten();
    let new = new.filter(|id| Some(*id) != before);
    new.map(str::to_owned).collect()
}

fn is_owned_by(object: &Object, call: &Call) -> bool {
    object
        .owner
        .as_ref()
        .is_some_and(|owner| owner.instance == call.instance())
}

impl SimulatedEngine {
    pub(super) fn carry_out(&self, call: &Call, action: &Action) -> Result<Outputs, Failure> {
        match action {
            Action::Image { .. } => return Ok(outputs([("image_id", "sha256:simulated")], &[])),
            Action::Create(creation) => return self.create(call, creation),
            Action::CreateSuccessor(creation) => return self.create_successor(call, creation),
            Action::StepAside { keeps, .. } => self.step_aside(call, *keeps),
            Action::Swap { name, keeps } => {
                return self.swap(call, name.as_str().unwrap_or_default(), *keeps);
            }
            Action::Withdraw => {
                self.remove(&successors(call), call);
            }
            Action::Start { .. } => self.start(call)?,
            Action::RestartPredecessor => {
                self.start(call)?;
                return Ok(outputs([], &[SUCCESSOR, PREDECESSOR]));
            }
            Action::CheckUp => self.stay_up(call)?,
            Action::Stop { .. } => self.stop(&self.own_containers(call), call),
            Action::Restart { .. } => {
                self.stop(&self.own_containers(call), call);
                self.start(call)?;
            }
            Action::Remove { .. } => {
                self.remove(&self.containers_of(call), call);
                return Ok(removed_outputs());
            }
            Action::Discard { keeps, .. } => {
                let others = [PREDECESSOR, SUCCESSOR]
                    .iter()
                    .filter_map(|name| property(call, name));
                let others: Vec<String> = others
                    .filter(|id| Some(*id) != property(call, "container_id"))
                    .map(str::to_owned)
                    .collect();
                if !keeps {
                    self.remove(&others, call);
                }
                return Ok(outputs([], &[PREDECESSOR, SUCCESSOR]));
            }
            Action::RestorePredecessor { .. } => return self.restore_predecessor(call),
            Action::Adopt { name, .. } => {
                let found = self.id_of(name.as_str().unwrap_or_default());
                let found =
                    found.ok_or_else(|| Failure::fatal("the container to adopt does not exist"))?;
                return Ok(outputs(
                    [("container_id", &found), ("adopted_state", "running")],
                    &[],
                ));
            }
            Action::CreateNetwork(making) => return Ok(self.create_object(call, making, "network")),
            Action::CreateVolume(making) => return Ok(self.create_object(call, making, "volume")),
            Action::RemoveNetwork | Action::RemoveVolume { .. } => {
                self.networks_and_volumes
                    .borrow_mut()
                    .retain(|object| !is_owned_by(object, call));
                return Ok(outputs([], &["network_id", "volume_name"]));
            }
            Action::Release => return Ok(outputs([], &["container_id", "adopted_state"])),
            _ => {}
        }
        Ok(Outputs::default())
    }

    fn create_object(&self, call: &Call, creation: &ObjectCreation, kind: &'static str) -> Outputs {
        let name = creation.name.as_str().unwrap_or_default();
        let is_there = self
            .networks_and_volumes
            .borrow()
            .iter()
            .any(|it| is_owned_by(it, call));
        if !is_there {
            self.add_object(kind, name, name, Some(call.instance()));
        }
        match kind {
            "network" => outputs([("network_id", name)], &[]),
            _ => outputs([("volume_name", name)], &[]),
        }
    }

    /// Returns the outputs of an action whose outcome was lost, or `None` if it did not take
    /// effect.
    pub(super) fn settled_outputs(&self, call: &Call, action: &Action) -> Option<Outputs> {
        let (mine, made) = (self.own_containers(call), self.containers_of(call));
        let runs = mine.iter().any(|id| self.runs(id));
        match action {
            Action::Create(_) => made.first().map(|id| outputs([("container_id", id)], &[])),
            Action::CreateSuccessor(_) => {
                let next = made.iter().find(|id| {
                    self.name(id)
                        .is_some_and(|name| name.ends_with(SUCCESSOR_SUFFIX))
                });
                next.map(|id| outputs([(SUCCESSOR, id)], &[]))
                    .filter(|_| property(call, PREDECESSOR).is_none())
            }
            Action::Start { .. } => runs.then(Outputs::default),
            Action::Stop { .. } => (!runs).then(Outputs::default),
            Action::Remove { .. } => made.is_empty().then(removed_outputs),
            _ => None,
        }
    }

    /// Returns the IDs of the containers that an action affects: the one in the record or, without
    /// one, all containers created for the instance.
    fn own_containers(&self, call: &Call) -> Vec<String> {
        property(call, "container_id")
            .map_or_else(|| self.containers_of(call), |id| vec![id.to_owned()])
    }

    fn containers_of(&self, call: &Call) -> Vec<String> {
        self.containers
            .borrow()
            .iter()
            .filter(|object| is_owned_by(object, call))
            .map(|object| object.id.clone())
            .collect()
    }

    fn id_of(&self, name: &str) -> Option<String> {
        self.containers
            .borrow()
            .iter()
            .find(|object| object.name == name || object.id == name)
            .map(|object| object.id.clone())
    }

    fn name(&self, id: &str) -> Option<String> {
        self.containers
            .borrow()
            .iter()
            .find(|object| object.id == id)
            .map(|object| object.name.clone())
    }

    pub(super) fn runs(&self, id: &str) -> bool {
        self.containers
            .borrow()
            .iter()
            .any(|object| object.id == id && object.state == ObjectState::Running)
    }

    fn spec(&self, id: &str) -> ContainerSpec {
        self.specs.borrow().get(id).cloned().unwrap_or_default()
    }

    fn set(&self, id: &str, change: impl Fn(&mut Object)) {
        self.containers
            .borrow_mut()
            .iter_mut()
            .filter(|object| object.id == id)
            .for_each(change);
    }

    fn create(&self, call: &Call, creation: &Creation) -> Result<Outputs, Failure> {
        let id = self.create_as(call, creation, creation.name.as_str().unwrap_or_default())?;
        Ok(outputs([("container_id", &id)], &[]))
    }

    fn create_as(&self, call: &Call, creation: &Creation, name: &str) -> Result<String, Failure> {
        let made = self.spec_from(creation)?;
        // Reuse a container that a dead run created from the same definition.
        match self.id_of(name) {
            Some(id) if self.containers_of(call).contains(&id) && self.spec(&id) == made => {
                return Ok(id);
            }
            Some(id) if self.containers_of(call).contains(&id) && !self.runs(&id) => {
                self.remove(&[id], call)
            }
            Some(_) => return Err(Failure::fatal(format!("the name `{name}` is in use"))),
            None => {}
        }
        let count = self
            .specs
            .borrow()
            .keys()
            .filter(|id| id.starts_with(&format!("id-{}", call.instance())))
            .count();
        let id = if count == 0 {
            format!("id-{}", call.instance())
        } else {
            format!("id-{}-{count}", call.instance())
        };
        self.containers.borrow_mut().push(object(
            id.clone(),
            name,
            Some(call.instance()),
            ObjectState::Created,
        ));
        self.specs.borrow_mut().insert(id.clone(), made);
        self.log_change(call, Change::Created);
        Ok(id)
    }

    /// Reads the definition. Resolves names of other containers to their present IDs.
    fn spec_from(&self, creation: &Creation) -> Result<ContainerSpec, Failure> {
        let body = creation
            .converted()
            .map(|converted| Json::Object(converted.body))
            .unwrap_or_default();
        let host = &body["HostConfig"];
        let modes = [
            (Namespace::Network, "NetworkMode"),
            (Namespace::Processes, "PidMode"),
            (Namespace::Ipc, "IpcMode"),
        ];
        let shared = modes.iter().filter_map(|(namespace, field)| {
            let owner = host[*field].as_str()?.strip_prefix("container:")?;
            Some((*namespace, owner))
        });
        let linked = host["Links"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|link| link.as_str()?.split(':').next());
        let id_of = |name: &str| {
            self.id_of(name.trim_start_matches('/'))
                .ok_or_else(|| Failure::fatal(format!("container `{name}` does not exist")))
        };
        let shares: Vec<(Namespace, String)> = shared
            .map(|(namespace, name)| Ok((namespace, id_of(name)?)))
            .collect::<Result<_, Failure>>()?;
        let joined = shares.iter().map(|(_, id)| id.clone());
        let linked: Vec<String> = linked.map(id_of).collect::<Result<_, _>>()?;
        let bindings = host["PortBindings"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(_, all)| all.as_array().into_iter().flatten());
        Ok(ContainerSpec {
            declaration: creation.declaration.clone(),
            command: body["Cmd"].to_string(),
            joins: joined.chain(linked).collect(),
            shares,
            ports: bindings
                .filter_map(|binding| binding["HostPort"].as_str().map(str::to_owned))
                .collect(),
            auto_remove: host["AutoRemove"] == true,
        })
    }

    fn create_successor(&self, call: &Call, creation: &Creation) -> Result<Outputs, Failure> {
        let mut restored = None;
        if let Some(before) = property(call, PREDECESSOR).filter(|id| self.name(id).is_some()) {
            let unproven = property(call, "container_id")
                .filter(|id| *id != before)
                .map(str::to_owned);
            self.remove(&unproven.into_iter().collect::<Vec<_>>(), call);
            self.set(before, |object| {
                object.name = base_name(&object.name).to_owned()
            });
            restored = Some(before.to_owned());
        }
        let wanted = self.spec_from(creation)?;
        let existing = property(call, SUCCESSOR)
            .filter(|id| self.spec(id) == wanted && self.name(id).is_some());
        if let (None, Some(stale)) = (existing, property(call, SUCCESSOR)) {
            self.remove(&[stale.to_owned()], call);
        }
        let id = match existing {
            Some(id) => id.to_owned(),
            None => self.create_as(
                call,
                creation,
                &format!(
                    "{}{SUCCESSOR_SUFFIX}",
                    creation.name.as_str().unwrap_or_default()
                ),
            )?,
        };
        let mut made = outputs([(SUCCESSOR, &id)], &[]);
        if let Some(restored) = restored {
            made.set.insert("container_id".to_owned(), restored.into());
            made.unset.push(PREDECESSOR.to_owned());
        }
        Ok(made)
    }

    fn swap(&self, call: &Call, name: &str, keeps: bool) -> Result<Outputs, Failure> {
        let next =
            property(call, SUCCESSOR).ok_or_else(|| Failure::fatal("the successor is unknown"))?;
        let old = property(call, "container_id");
        self.step_aside(call, keeps);
        if self.id_of(name).is_some_and(|holder| holder != next) {
            return Err(Failure::fatal(format!("the name `{name}` is in use")));
        }
        self.set(next, |object| name.clone_into(&mut object.name));
        let mut swapped = outputs([("container_id", next)], &[SUCCESSOR]);
        swapped
            .set
            .extend(old.map(|old| (PREDECESSOR.to_owned(), old.into())));
        Ok(swapped)
    }

    fn step_aside(&self, call: &Call, keeps: bool) {
        let ending = PREDECESSOR_SUFFIXES[usize::from(keeps)];
        if let Some(old) = property(call, "container_id") {
            self.set(old, |object| {
                if !object.name.ends_with(ending) {
                    object.name = format!("{}{ending}", object.name);
                }
            });
        }
    }

    fn restore_predecessor(&self, call: &Call) -> Result<Outputs, Failure> {
        let before = property(call, PREDECESSOR).or_else(|| property(call, "container_id"));
        self.remove(&successors(call), call);
        let Some(id) = before.filter(|id| self.name(id).is_some()) else {
            let mut removed = outputs([], &["container_id", SUCCESSOR]);
            let before = before.map(|id| (PREDECESSOR.to_owned(), id.into()));
            removed.set.extend(before);
            return Ok(removed);
        };
        let name = base_name(&self.name(id).unwrap_or_default()).to_owned();
        if self.id_of(&name).is_some_and(|holder| holder != id) {
            return Err(Failure::fatal(format!("the name `{name}` is in use")));
        }
        self.set(id, |object| object.name.clone_from(&name));
        Ok(outputs(
            [("container_id", id), (PREDECESSOR, id)],
            &[SUCCESSOR],
        ))
    }

    fn start(&self, call: &Call) -> Result<(), Failure> {
        let mine = self.own_containers(call);
        if mine.is_empty() {
            return Err(Failure::fatal("the container is unknown"));
        }
        for id in mine.into_iter().filter(|id| !self.runs(id)) {
            let made = self.spec(&id);
            if self.name(&id).is_none() {
                return Err(Failure::fatal("the container does not exist"));
            }
            if made.command.contains("missing") {
                return Err(Failure::fatal("the command does not exist"));
            }
            if let Some(other) = made.joins.iter().find(|id| !self.runs(id)) {
                return Err(Failure::fatal(format!(
                    "container {other}, which this one uses, is not running"
                )));
            }
            let running = self
                .containers
                .borrow()
                .iter()
                .filter(|it| it.state == ObjectState::Running)
                .map(|it| it.id.clone())
                .collect::<Vec<_>>();
            if running.iter().any(|other| {
                self.spec(other)
                    .ports
                    .iter()
                    .any(|port| made.ports.contains(port))
            }) {
                return Err(Failure::fatal("the port is in use"));
            }
            self.set(&id, |object| object.state = ObjectState::Running);
            self.log_change(call, Change::Started);
            self.starts.borrow_mut().push(id);
        }
        Ok(())
    }

    fn stay_up(&self, call: &Call) -> Result<(), Failure> {
        let mine = self.own_containers(call);
        for id in mine
            .iter()
            .filter(|id| self.spec(id).command.contains("exit"))
        {
            self.exit(id);
        }
        if mine.iter().all(|id| self.runs(id)) {
            Ok(())
        } else {
            Err(Failure::fatal("the container exited right after its start"))
        }
    }

    fn exit(&self, id: &str) {
        self.set(id, |object| {
            (object.state, object.exit_code) = (ObjectState::Exited, Some(1))
        });
        if self.spec(id).auto_remove {
            self.containers
                .borrow_mut()
                .retain(|object| object.id != id);
        }
    }

    fn stop(&self, ids: &[String], call: &Call) {
        for id in ids.iter().filter(|id| self.runs(id)) {
            self.exit(id);
            self.log_change(call, Change::Stopped);
        }
    }

    fn remove(&self, ids: &[String], call: &Call) {
        for id in ids {
            let before = self.containers.borrow().len();
            self.containers
                .borrow_mut()
                .retain(|object| !(object.id == *id && is_owned_by(object, call)));
            if self.containers.borrow().len() < before {
                self.log_change(call, Change::Removed);
            }
        }
    }
}
