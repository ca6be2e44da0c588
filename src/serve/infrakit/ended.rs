//! Containers that have exited: they are no instances any more.

use super::{
    api::Spec,
    instances::{Instances, short},
};
use crate::{
    plugins::ObjectFilter,
    printable::on_one_line,
    seam::{
        LabeledObject, ObjectState, Target,
        labeling::{GROUP, SERVER, SERVER_REQUEST},
    },
    serve::json_rpc::RpcError,
};

/// States of containers that are not instances any more.
const ENDED: [ObjectState; 2] = [ObjectState::Exited, ObjectState::Dead];

impl Instances {
    /// Removes containers that are no instances any more and are in the way of a new one: those
    /// with its name, and those of its group.
    pub(super) async fn remove_ended(&self, target: &Target, spec: &Spec) -> Result<(), RpcError> {
        let filter = ObjectFilter {
            labels: vec![(SERVER.to_owned(), None)],
            states: ENDED.to_vec(),
            id: None,
        };
        let ended = self
            .with_index(async |index| index.list(target, &filter).await)
            .await?;
        let group = spec.tags.get(GROUP);
        for found in ended.iter().map(|found| self.overlaid(found.clone())) {
            let has_name = spec.logical_id.as_ref() == Some(&found.name);
            let has_group = group.is_some() && found.labels.get(GROUP) == group;
            let is_running = found
                .labels
                .get(SERVER_REQUEST)
                .is_some_and(|id| self.state.running.borrow().contains(id));
            if (has_name || has_group && self.is_in_namespace(&found)) && !is_running {
                self.remove_ended_one(target, &found).await?;
            }
        }
        Ok(())
    }

    async fn remove_ended_one(
        &self,
        target: &Target,
        found: &LabeledObject,
    ) -> Result<(), RpcError> {
        let log = self
            .with_index(async |index| index.last_log_lines(target, &found.id).await)
            .await?;
        let log = on_one_line(&log.join("\n"));
        tracing::warn!(instance = short(&found.id), name = %on_one_line(&found.name), log, "removing a container that has exited");
        self.remove(&found.id, target).await
    }
}
