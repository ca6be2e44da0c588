//! Containers with the tag of a group that is not managed here: dockctl takes them over as they
//! are.
//!
//! Those that this state directory created, or had taken over before the group was freed, are taken
//! back without a question. Others may belong to somebody else: the user must agree.

use super::{
    super::{
        caller::{Question, QuestionSubject},
        claims,
        error::{Error, Kind},
        recover,
        session::Session,
        workspace::Workspace,
    },
    listing,
};
use crate::{
    discovery::RecoveredDeployment,
    event::Event,
    front::infrakit::{Allocation, GroupSpec, NODE},
    instance_record::InstanceRecord,
    model::{Deployment, Instance, Structure, random_id},
    plugins::{Drivers, ObjectPlaces},
    printable::printable,
    record::Record,
    report::count,
    seam::{LabeledObject, Target, labeling::DEPLOYMENT},
};
use indexmap::IndexMap;

/// Containers that a commit takes over.
#[derive(Default)]
pub(crate) struct Found {
    /// Those that this state directory created, as their labels describe them.
    own: Option<RecoveredDeployment>,
    /// Those that it had taken over before, with their instances.
    again: Vec<(Instance, InstanceRecord)>,
    /// Those of others.
    foreign: Vec<LabeledObject>,
}

impl Found {
    /// Looks for the containers of a group that is not managed.
    ///
    /// # Errors
    ///
    /// If the engine does not respond.
    pub(super) async fn of(
        workspace: &Workspace<'_>,
        drivers: &Drivers<'_>,
        (id, record): (&str, Option<&Record>),
    ) -> Result<Self, Error> {
        let discovery = workspace.discover(drivers, id).await?;
        if !discovery.claims().is_empty() {
            return Err(claims::created_elsewhere(id, &discovery.claims()));
        }
        let own = discovery.own();
        let is_own = |object: &LabeledObject| {
            own.as_ref()
                .is_some_and(|own| own.object_ids.contains(&object.id))
        };
        let mut found = Self {
            again: Vec::new(),
            foreign: Vec::new(),
            own: own.clone(),
        };
        for object in listing::tagged(drivers, id).await? {
            // Labels of dockctl are claims of another state directory, which `recover` handles.
            if is_own(&object) || object.labels.contains_key(DEPLOYMENT) {
                continue;
            }
            match record.and_then(|record| freed_instance(record, &object)) {
                Some(freed) => found.again.push(freed),
                None => found.foreign.push(object),
            }
        }
        // The oldest one gets the first number.
        found.foreign.reverse();
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_none() && self.again.is_empty() && self.foreign.is_empty()
    }

    /// Returns how many containers of others there are, their names, and how many of all containers
    /// are not needed; `None` if there are no containers of others.
    pub(super) fn description(&self, spec: &GroupSpec) -> Option<String> {
        if self.foreign.is_empty() {
            return None;
        }
        let names: Vec<String> = self.foreign.iter().map(|it| printable(&it.name)).collect();
        let containers = count(names.len(), "container");
        let surplus = match self.surplus(spec) {
            0 => String::new(),
            surplus => format!("; {} will be removed", count(surplus, "surplus container")),
        };
        let id = &spec.id;
        Some(format!(
            "{containers} that dockctl did not create, with the tag of group `{id}`: {}{surplus}",
            names.join(", ")
        ))
    }

    /// Returns the number of containers that the group does not need.
    fn surplus(&self, spec: &GroupSpec) -> usize {
        let own = self.own.as_ref().map_or(0, |own| own.instances.len());
        let all = own + self.again.len() + self.foreign.len();
        match &spec.allocation {
            Allocation::Size(size) => all.saturating_sub(*size),
            Allocation::LogicalIds(ids) => {
                let foreign = self.foreign.iter();
                foreign.filter(|it| !ids.contains(&it.name)).count()
            }
        }
    }

    /// Asks whether to take over the containers of others.
    ///
    /// # Errors
    ///
    /// If the answer is no, or nobody can answer.
    pub(super) fn confirm(
        &self,
        workspace: &Workspace<'_>,
        (spec, takes_over): (&GroupSpec, bool),
    ) -> Result<(), Error> {
        let Some(description) = self.description(spec).filter(|_| !takes_over) else {
            return Ok(());
        };
        if workspace.caller.is_interactive() {
            return workspace.caller.ask(&Question {
                text: format!("Take over {description}?"),
                danger: None,
                subject: QuestionSubject::Nothing,
            });
        }
        let message = format!("nothing was done: there are {description}");
        let error = Error::new(Kind::Failed, message);
        Err(error.hint("to take them over as they are, pass --take-over"))
    }

    /// Records the containers as instances of the group. `desired` is its new deployment.
    ///
    /// # Errors
    ///
    /// If another run holds the group, or the journal cannot be written.
    pub(super) async fn record(
        self,
        workspace: &Workspace<'_>,
        drivers: &Drivers<'_>,
        desired: Deployment,
    ) -> Result<(), Error> {
        let name = desired.name.clone();
        let mut session = Session::new(workspace, drivers, &name);
        let mut held = session.hold("commit")?;
        let recorded = async {
            let places = ObjectPlaces::new();
            held.guard_and_settle(&name, Some(&places), "commit")
                .await?;
            if held.record().is_installed() {
                return Ok(());
            }
            let event = self.event(workspace, drivers, desired).await?;
            held.record_events(vec![event])
        }
        .await;
        held.release().await;
        recorded
    }

    async fn event(
        self,
        workspace: &Workspace<'_>,
        drivers: &Drivers<'_>,
        desired: Deployment,
    ) -> Result<Event, Error> {
        let (name, first) = (desired.name.clone(), first_number(&desired));
        let recovered = self.own.map(|own| recover::record(&own));
        let mut instances = IndexMap::new();
        let mut all: Vec<Instance> = Vec::new();
        if let Some(own) = recovered {
            all.extend(own.deployment.into_iter().flat_map(|it| it.instances));
            instances.extend(own.instances);
        }
        for (instance, record) in self.again {
            instances.insert(instance.id.clone(), record);
            all.push(instance);
        }
        let mut random = workspace.id_generator(&name, None)?;
        for object in self.foreign {
            let index = drivers.index()?;
            let Some(record) = index.take_over(&Target::Default, &object.id).await? else {
                continue;
            };
            let numbers = all.iter().map(|it| it.index + 1);
            let id = fresh_id(&all, &mut random);
            instances.insert(id.clone(), record);
            all.push(Instance {
                index: numbers.max().unwrap_or(first),
                label: Some(object.name),
                ..Instance::placeholder(&id, NODE)
            });
        }
        Ok(Event::Recovered {
            deployment: Box::new(Deployment {
                instances: all,
                structure: Structure {
                    numbers: IndexMap::new(),
                    ..desired.structure
                },
                recovered: true,
                ..desired
            }),
            instances,
            by_consent: false,
        })
    }
}

/// Returns the instance that an object had before its group was freed, if it is still the same.
fn freed_instance(record: &Record, object: &LabeledObject) -> Option<(Instance, InstanceRecord)> {
    let is_its = |known: &InstanceRecord| {
        known.foreign.as_ref().is_some_and(|seen| {
            seen.id == object.id
                && seen.labels == object.labels
                && known.object_id() == Some(&seen.id)
        })
    };
    let (id, known) = record.freed.iter().find(|(_, known)| is_its(known))?;
    let instance = record.deployment.as_ref()?.instance(id)?;
    Some((instance.clone(), known.clone()))
}

fn first_number(desired: &Deployment) -> usize {
    let numbering = desired.structure.numbering.get(NODE);
    numbering.map_or(0, |numbering| numbering.first)
}

fn fresh_id(used: &[Instance], random: &mut fastrand::Rng) -> String {
    loop {
        let id = random_id(NODE, random);
        if !used.iter().any(|it| it.id == id) {
            return id;
        }
    }
}
