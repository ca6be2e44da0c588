//! The state that an execution finds after it restored predecessors, for previews.

use super::restore::{cut_off, is_premature, is_unproven};
use crate::{
    instance_record::{InstanceRecord, PREDECESSOR, SUCCESSOR},
    model::InstanceState,
    plugins::Plugins,
    record::Record,
    seam::{Object, ObjectState, Observed, Owner},
};
use serde_json::Value as Json;

/// Returns the record and the objects after everything was restored that the record shows. Drift is
/// left out: restored objects are started.
#[must_use]
pub fn restored(record: &Record, observed: &Observed, plugins: Plugins) -> (Record, Observed) {
    let (mut after, mut objects) = (record.clone(), observed.objects().to_vec());
    for (id, known) in &record.instances {
        if is_premature(record, known) {
            objects.retain(|object| !is_of(object, id));
            after
                .instances
                .insert(id.clone(), InstanceRecord::default());
        } else if is_unproven(record, known) {
            put_back(id, known, &mut objects);
            after.instances.insert(id.clone(), before(known));
        }
    }
    for (id, known) in &record.instances {
        if let Some(back) = predecessor(known).filter(|_| is_unproven(record, known)) {
            let all = after.instances.values_mut();
            all.for_each(|other| other.unmark_stale(id, &back));
        }
    }
    // These are created again, too.
    for id in cut_off(&after, plugins) {
        if let Some(known) = after.instances.get_mut(&id) {
            known.replaced_referents.clear();
        }
    }
    let mut seen = Observed::new(objects, observed.engines.clone());
    seen.unseen.clone_from(&observed.unseen);
    seen.moved.clone_from(&observed.moved);
    (after, seen)
}

fn is_of(object: &Object, instance: &str) -> bool {
    let owner = object.owner.as_ref();
    owner.is_some_and(|owner| owner.instance == instance)
}

/// Returns the ID of the object that an instance has after it was restored.
fn predecessor(known: &InstanceRecord) -> Option<String> {
    known.replaced_object_id().map(str::to_owned)
}

/// Returns the record of an instance after it was restored.
fn before(known: &InstanceRecord) -> InstanceRecord {
    let mut before = known.clone();
    let current = known.object_id().map(str::to_owned);
    if let Some((id, current)) = predecessor(known).zip(current) {
        let values = before.properties.values_mut();
        let own = values.filter(|value| value.as_str() == Some(&current));
        own.for_each(|value| *value = Json::from(id.clone()));
    }
    before.properties.remove(PREDECESSOR);
    before.properties.remove(SUCCESSOR);
    before.exchange = None;
    before.begin_transition(InstanceState::Started);
    before.complete_transition(None, None);
    before
}

/// Leaves one object of an instance: its predecessor, which runs.
fn put_back(instance: &str, known: &InstanceRecord, objects: &mut Vec<Object>) {
    let id = predecessor(known);
    let is_it = |object: &Object| Some(&object.id) == id.as_ref();
    let successor = objects.iter().find(|it| is_of(it, instance) && !is_it(it));
    let name = successor.map(|object| object.name.clone());
    objects.retain(|object| !is_of(object, instance) || is_it(object));
    for object in objects.iter_mut().filter(|object| is_it(object)) {
        object.state = ObjectState::Running;
        object.drift.clear();
        object.name = name.clone().unwrap_or_else(|| object.name.clone());
        object.owner.get_or_insert_with(|| Owner {
            instance: instance.to_owned(),
            as_declared: false,
        });
    }
}
