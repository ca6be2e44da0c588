//! `install`: what is missing is created, what stands still is started, what matches is kept.

use super::{
    InstanceState::{self, Configured, Configuring, Created, Creating, Initializing, Started, Starting},
    Proposal, TaskId,
    chain::{Chain, Phase, done_of},
    order::Order,
    uninstall,
};
use crate::{
    backend::{self, Observed, Standing},
    model::{Definition, Deployment, Instance},
    state::Record,
};
use std::collections::{BTreeSet, HashMap, HashSet};

const fn phase(operation: &'static str, enters: Option<InstanceState>, leaves: Option<InstanceState>) -> Phase {
    Phase { operation, enters, leaves }
}

const CREATE: [Phase; 4] = [
    phase("cloudify.interfaces.validation.creation", Some(Initializing), None),
    phase("cloudify.interfaces.validation.create", Some(Initializing), None),
    phase("cloudify.interfaces.lifecycle.precreate", Some(Initializing), None),
    phase("cloudify.interfaces.lifecycle.create", Some(Creating), Some(Created)),
];
const CONFIGURE: [Phase; 1] = [phase("cloudify.interfaces.lifecycle.configure", Some(Configuring), Some(Configured))];
const START: [Phase; 3] = [
    phase("cloudify.interfaces.lifecycle.start", Some(Starting), Some(Started)),
    phase("cloudify.interfaces.lifecycle.poststart", None, None),
    phase("cloudify.interfaces.monitoring.start", None, None),
];

/// Whether this workflow runs an operation of a node.
pub(super) fn runs(operation: &str) -> bool {
    CREATE.iter().chain(&CONFIGURE).chain(&START).any(|phase| phase.operation == operation)
}

/// Plans what leads from what is there to what is wanted. An empty stage means: up to date.
#[must_use]
pub fn next(deployment: &Deployment, record: &Record, observed: &Observed) -> Proposal {
    let mut planner = Planner {
        deployment,
        order: Order::new(deployment),
        record,
        observed,
        proposal: Proposal::default(),
        last: HashMap::new(),
        renewed: HashSet::new(),
        images: HashMap::new(),
    };
    let dropped = uninstall::of_dropped(deployment, record, observed, &mut planner.proposal);
    for instance in planner.order.instances() {
        if let Some(node) = deployment.node(instance) {
            planner.instance(instance, node, &dropped);
        }
    }
    planner.proposal
}

struct Planner<'a> {
    deployment: &'a Deployment,
    order: Order<'a>,
    record: &'a Record,
    observed: &'a Observed,
    proposal: Proposal,
    /// The last task of each instance that has any.
    last: HashMap<&'a str, TaskId>,
    /// Instances whose objects are made anew: what was bound to the old ones is made anew too.
    renewed: HashSet<&'a str>,
    /// The task that brings each image, so that two nodes with the same image cause one pull.
    images: HashMap<String, TaskId>,
}

impl<'a> Planner<'a> {
    fn instance(&mut self, instance: &'a Instance, node: &'a Definition, dropped: &[TaskId]) {
        let standing = self.standing(instance, node);
        let needs: BTreeSet<TaskId> = self.order.needed_by(instance).iter().filter_map(|id| self.last.get(id).copied()).collect();
        let first = self.proposal.stage.tasks().len();
        let goes_on = matches!(standing, Standing::Unfinished | Standing::Stopped | Standing::NotReady);
        let mut chain = Chain {
            deployment: self.deployment,
            instance,
            node,
            done: if goes_on { done_of(instance, node, self.record, self.observed) } else { Vec::new() },
            cause: standing.to_string(),
            after: needs.into_iter().chain(dropped.iter().copied()).collect(),
            proposal: &mut self.proposal,
            last: None,
        };
        match standing {
            Standing::UpToDate => return,
            Standing::Outdated | Standing::Bound => {
                chain.phases(&uninstall::PHASES);
                Self::from_the_start(&mut chain);
            }
            Standing::Stopped | Standing::NotReady if node.operations.contains_key(START[0].operation) => Self::start(&mut chain),
            // Without a start of its own it is started by the operation that creates it.
            Standing::Absent | Standing::Unfinished | Standing::Stopped | Standing::NotReady => Self::from_the_start(&mut chain),
        }
        chain.end_in(Started, "install");
        self.last.extend(chain.last.map(|last| (instance.id.as_str(), last)));
        // An image that is built here cannot come before it is built.
        if !self.order.needed_by(instance).iter().any(|id| backend::makes_image(self.deployment, id)) {
            self.bring_image_early(TaskId(first), dropped);
        }
    }

    fn standing(&mut self, instance: &'a Instance, node: &Definition) -> Standing {
        let mut standing = backend::standing(instance, node, self.record, self.observed);
        let exists = matches!(standing, Standing::UpToDate | Standing::Unfinished | Standing::Stopped | Standing::NotReady);
        if exists && self.order.bound_to(instance).iter().any(|id| self.renewed.contains(id.as_str())) {
            standing = Standing::Bound;
        }
        if matches!(standing, Standing::Absent | Standing::Outdated | Standing::Bound) {
            self.renewed.insert(&instance.id);
        }
        standing
    }

    fn from_the_start(chain: &mut Chain<'_>) {
        chain.phases(&CREATE);
        chain.relationship_operations(&["preconfigure"]);
        chain.phases(&CONFIGURE);
        chain.relationship_operations(&["postconfigure"]);
        Self::start(chain);
    }

    fn start(chain: &mut Chain<'_>) {
        chain.phases(&START);
        chain.relationship_operations(&["establish"]);
    }

    /// An image needs nothing but itself: it is brought while the instance still waits for others.
    /// Two nodes with the same image cause one pull: the second waits for the first, and finds it there.
    fn bring_image_early(&mut self, first: TaskId, dropped: &[TaskId]) {
        let next = TaskId(first.0 + 1);
        let task = self.proposal.stage.task_mut(first);
        let Some(key) = task.step.image_key().filter(|_| !task.step.is_late()) else { return };
        let waited_for = std::mem::replace(&mut task.needs, dropped.to_vec());
        let enters = task.enters.replace(Initializing);
        match self.images.get(&key) {
            Some(earlier) => task.needs.push(*earlier),
            None => drop(self.images.insert(key, first)),
        }
        let creation = self.proposal.stage.task_mut(next);
        creation.needs.extend(waited_for);
        creation.enters = creation.enters.or(enters);
    }
}
