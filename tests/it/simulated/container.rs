//! Actions on containers of the simulated engine.

use super::{Change, Simulated, object};
use dockctl::{
    known::{PREDECESSOR, SUCCESSOR},
    plugins::docker::declare::{
        action::{Action, Creation, Making},
        change::{NEXT, lasting_name},
    },
    seam::{Call, Failure, Object, ObjectState, Outputs},
};
use serde_json::Value as Json;

/// Suffixes of the names of predecessors: owned, adopted.
const ASIDE: [&str; 2] = [".dockctl-former", ".before-dockctl"];

/// The definition that a container was created from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Made {
    pub declaration: String,
    command: String,
    /// IDs of containers that must be running when this one starts.
    joins: Vec<String>,
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

fn gone() -> Outputs {
    outputs([], &["container_id", "image_id", SUCCESSOR, PREDECESSOR])
}

fn is_of(object: &Object, call: &Call) -> bool {
    object
        .owner
        .as_ref()
        .is_some_and(|owner| owner.instance == call.instance())
}

impl Simulated {
    pub(super) fn carry_out(&self, call: &Call, action: &Action) -> Result<Outputs, Failure> {
        match action {
            Action::Image { .. } => return Ok(outputs([("image_id", "sha256:simulated")], &[])),
            Action::Create(creation) => return self.create(call, creation),
            Action::CreateSuccessor(creation) => return self.create_successor(call, creation),
            Action::Swap { name, keeps } => {
                return self.swap(call, name.as_str().unwrap_or_default(), *keeps);
            }
            Action::Start { .. } => self.start(call)?,
            Action::PutBack => {
                self.start(call)?;
                return Ok(outputs([], &[SUCCESSOR, PREDECESSOR]));
            }
            Action::Endure => self.endure(call)?,
            Action::Stop { .. } => self.stop(&self.mine(call), call),
            Action::Remove { .. } => {
                self.remove(&self.made_for(call), call);
                return Ok(gone());
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
            Action::StepBack { .. } => return Ok(self.step_back(call)),
            Action::Adopt { name, .. } => {
                let found = self.id_of(name.as_str().unwrap_or_default());
                let found =
                    found.ok_or_else(|| Failure::fatal("the container to adopt does not exist"))?;
                return Ok(outputs(
                    [("container_id", &found), ("adopted_state", "running")],
                    &[],
                ));
            }
            Action::CreateNetwork(making) => return Ok(self.make(call, making, "network")),
            Action::CreateVolume(making) => return Ok(self.make(call, making, "volume")),
            Action::RemoveNetwork | Action::RemoveVolume { .. } => {
                self.others
                    .borrow_mut()
                    .retain(|object| !is_of(object, call));
                return Ok(outputs([], &["network_id", "volume_name"]));
            }
            Action::Release => return Ok(outputs([], &["container_id", "adopted_state"])),
            _ => {}
        }
        Ok(Outputs::default())
    }

    fn make(&self, call: &Call, making: &Making, kind: &'static str) -> Outputs {
        let name = making.name.as_str().unwrap_or_default();
        let is_there = self.others.borrow().iter().any(|it| is_of(it, call));
        if !is_there {
            self.has(kind, name, name, Some(call.instance()));
        }
        match kind {
            "network" => outputs([("network_id", name)], &[]),
            _ => outputs([("volume_name", name)], &[]),
        }
    }

    /// Returns the outputs of an action whose outcome was lost, or `None` if it did not take
    /// effect.
    pub(super) fn look(&self, call: &Call, action: &Action) -> Option<Outputs> {
        let (mine, made) = (self.mine(call), self.made_for(call));
        let runs = mine.iter().any(|id| self.runs(id));
        match action {
            Action::Create(_) => made.first().map(|id| outputs([("container_id", id)], &[])),
            Action::CreateSuccessor(_) => {
                let next = made
                    .iter()
                    .find(|id| self.name(id).is_some_and(|name| name.ends_with(NEXT)));
                next.map(|id| outputs([(SUCCESSOR, id)], &[]))
                    .filter(|_| property(call, PREDECESSOR).is_none())
            }
            Action::Start { .. } => runs.then(Outputs::default),
            Action::Stop { .. } => (!runs).then(Outputs::default),
            Action::Remove { .. } => made.is_empty().then(gone),
            _ => None,
        }
    }

    /// Returns the IDs of the containers that an action affects: the one in the record or, without
    /// one, all containers created for the instance.
    fn mine(&self, call: &Call) -> Vec<String> {
        property(call, "container_id").map_or_else(|| self.made_for(call), |id| vec![id.to_owned()])
    }

    fn made_for(&self, call: &Call) -> Vec<String> {
        self.containers
            .borrow()
            .iter()
            .filter(|object| is_of(object, call))
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

    fn runs(&self, id: &str) -> bool {
        self.containers
            .borrow()
            .iter()
            .any(|object| object.id == id && object.state == ObjectState::Running)
    }

    fn made(&self, id: &str) -> Made {
        self.made.borrow().get(id).cloned().unwrap_or_default()
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
        let made = self.read(creation)?;
        // Reuse a container that a dead run created from the same definition.
        match self.id_of(name) {
            Some(id) if self.made_for(call).contains(&id) && self.made(&id) == made => {
                return Ok(id);
            }
            Some(id) if self.made_for(call).contains(&id) && !self.runs(&id) => {
                self.remove(&[id], call)
            }
            Some(_) => return Err(Failure::fatal(format!("the name `{name}` is in use"))),
            None => {}
        }
        let count = self
            .made
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
        self.made.borrow_mut().insert(id.clone(), made);
        self.note(call, Change::Created);
        Ok(id)
    }

    /// Reads the definition. Resolves names of other containers to their present IDs.
    fn read(&self, creation: &Creation) -> Result<Made, Failure> {
        let body = creation
            .converted()
            .map(|converted| Json::Object(converted.body))
            .unwrap_or_default();
        let host = &body["HostConfig"];
        let shared = ["NetworkMode", "PidMode", "IpcMode"]
            .iter()
            .filter_map(|field| host[*field].as_str()?.strip_prefix("container:"));
        let linked = host["Links"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|link| link.as_str()?.split(':').next());
        let named = shared.chain(linked).map(|name| {
            self.id_of(name.trim_start_matches('/'))
                .ok_or_else(|| Failure::fatal(format!("container `{name}` does not exist")))
        });
        let bindings = host["PortBindings"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(_, all)| all.as_array().into_iter().flatten());
        Ok(Made {
            declaration: creation.declaration.clone(),
            command: body["Cmd"].to_string(),
            joins: named.collect::<Result<_, _>>()?,
            ports: bindings
                .filter_map(|binding| binding["HostPort"].as_str().map(str::to_owned))
                .collect(),
            auto_remove: host["AutoRemove"] == true,
        })
    }

    fn create_successor(&self, call: &Call, creation: &Creation) -> Result<Outputs, Failure> {
        let mut back = None;
        if let Some(before) = property(call, PREDECESSOR).filter(|id| self.name(id).is_some()) {
            let unproven = property(call, "container_id")
                .filter(|id| *id != before)
                .map(str::to_owned);
            self.remove(&unproven.into_iter().collect::<Vec<_>>(), call);
            self.set(before, |object| {
                object.name = lasting_name(&object.name).to_owned()
            });
            back = Some(before.to_owned());
        }
        let there = property(call, SUCCESSOR).filter(|id| {
            self.made(id).declaration == creation.declaration && self.name(id).is_some()
        });
        if let (None, Some(stale)) = (there, property(call, SUCCESSOR)) {
            self.remove(&[stale.to_owned()], call);
        }
        let id = match there {
            Some(id) => id.to_owned(),
            None => self.create_as(
                call,
                creation,
                &format!("{}{NEXT}", creation.name.as_str().unwrap_or_default()),
            )?,
        };
        let mut made = outputs([(SUCCESSOR, &id)], &[]);
        if let Some(back) = back {
            made.set.insert("container_id".to_owned(), back.into());
            made.unset.push(PREDECESSOR.to_owned());
        }
        Ok(made)
    }

    fn swap(&self, call: &Call, name: &str, keeps: bool) -> Result<Outputs, Failure> {
        let next =
            property(call, SUCCESSOR).ok_or_else(|| Failure::fatal("the successor is unknown"))?;
        let old = property(call, "container_id");
        if let Some(old) = old {
            let ending = ASIDE[usize::from(keeps)];
            self.set(old, |object| {
                if !object.name.ends_with(ending) {
                    object.name = format!("{}{ending}", object.name);
                }
            });
        }
        self.set(next, |object| name.clone_into(&mut object.name));
        let mut swapped = outputs([("container_id", next)], &[SUCCESSOR]);
        swapped
            .set
            .extend(old.map(|old| (PREDECESSOR.to_owned(), old.into())));
        Ok(swapped)
    }

    fn step_back(&self, call: &Call) -> Outputs {
        let (mine, next) = (property(call, "container_id"), property(call, SUCCESSOR));
        let before = property(call, PREDECESSOR).or(mine);
        let new: Vec<String> = [mine, next]
            .into_iter()
            .flatten()
            .filter(|id| Some(*id) != before)
            .map(str::to_owned)
            .collect();
        self.remove(&new, call);
        match before.filter(|id| self.name(id).is_some()) {
            None => {
                let mut gone = outputs([], &["container_id", SUCCESSOR]);
                let before = before.map(|id| (PREDECESSOR.to_owned(), id.into()));
                gone.set.extend(before);
                gone
            }
            Some(id) => {
                self.set(id, |object| {
                    object.name = lasting_name(&object.name).to_owned()
                });
                outputs([("container_id", id), (PREDECESSOR, id)], &[SUCCESSOR])
            }
        }
    }

    fn start(&self, call: &Call) -> Result<(), Failure> {
        let mine = self.mine(call);
        if mine.is_empty() {
            return Err(Failure::fatal("the container is unknown"));
        }
        for id in mine.into_iter().filter(|id| !self.runs(id)) {
            let made = self.made(&id);
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
                self.made(other)
                    .ports
                    .iter()
                    .any(|port| made.ports.contains(port))
            }) {
                return Err(Failure::fatal("the port is in use"));
            }
            self.set(&id, |object| object.state = ObjectState::Running);
            self.note(call, Change::Started);
        }
        Ok(())
    }

    fn endure(&self, call: &Call) -> Result<(), Failure> {
        let mine = self.mine(call);
        for id in mine
            .iter()
            .filter(|id| self.made(id).command.contains("exit"))
        {
            self.end(id);
        }
        if mine.iter().all(|id| self.runs(id)) {
            Ok(())
        } else {
            Err(Failure::fatal("the container exited right after its start"))
        }
    }

    fn end(&self, id: &str) {
        self.set(id, |object| {
            (object.state, object.exit_code) = (ObjectState::Exited, Some(1))
        });
        if self.made(id).auto_remove {
            self.containers
                .borrow_mut()
                .retain(|object| object.id != id);
        }
    }

    fn stop(&self, ids: &[String], call: &Call) {
        for id in ids.iter().filter(|id| self.runs(id)) {
            self.end(id);
            self.note(call, Change::Stopped);
        }
    }

    fn remove(&self, ids: &[String], call: &Call) {
        for id in ids {
            let before = self.containers.borrow().len();
            self.containers
                .borrow_mut()
                .retain(|object| !(object.id == *id && is_of(object, call)));
            if self.containers.borrow().len() < before {
                self.note(call, Change::Removed);
            }
        }
    }
}
