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
    /// Removes the container that has exited and has the name of a new instance.
    pub(super) async fn free_name(&self, target: &Target, spec: &Spec) -> Result<(), RpcError> {
        let Some(name) = &spec.logical_id else {
            return Ok(());
        };
        for found in self.ended(target).await? {
            if found.name == *name {
                self.remove_ended(target, &found).await?;
            }
        }
        Ok(())
    }

    /// Removes the containers that have exited and are of the group of a new instance, each once.
    /// One that cannot be removed is no reason to fail: it is tried again with the next instance.
    pub(super) async fn remove_ended_of_group(&self, target: &Target, spec: &Spec) {
        let Some(group) = spec.tags.get(GROUP) else {
            return;
        };
        let is_of_group = |found: &LabeledObject| {
            found.labels.get(GROUP) == Some(group) && self.is_in_namespace(found)
        };
        let removed = async {
            for found in self.ended(target).await? {
                if is_of_group(&found) {
                    self.remove_ended(target, &found).await?;
                }
            }
            Ok(())
        };
        if let Err::<(), RpcError>(error) = removed.await {
            let error = on_one_line(&error.message);
            tracing::warn!(%error, "cannot remove a container that has exited");
        }
    }

    /// Returns the containers of this and other servers that have exited. Those of requests that
    /// run belong to these requests.
    async fn ended(&self, target: &Target) -> Result<Vec<LabeledObject>, RpcError> {
        let filter = ObjectFilter {
            labels: vec![(SERVER.to_owned(), None)],
            states: ENDED.to_vec(),
            id: None,
        };
        let found = self.with_index(async |index| index.list(target, &filter).await);
        let found = found.await?.into_iter().map(|found| self.overlaid(found));
        let running = self.state.running.borrow();
        let is_running = |found: &LabeledObject| {
            let request = found.labels.get(SERVER_REQUEST);
            request.is_some_and(|request| running.contains(request))
        };
        Ok(found.filter(|found| !is_running(found)).collect())
    }

    async fn remove_ended(&self, target: &Target, found: &LabeledObject) -> Result<(), RpcError> {
        let is_new = self.state.removing.borrow_mut().insert(found.id.clone());
        if !is_new {
            return Ok(());
        }
        let removed = self.log_and_remove(target, found).await;
        self.state.removing.borrow_mut().remove(&found.id);
        removed
    }

    async fn log_and_remove(&self, target: &Target, found: &LabeledObject) -> Result<(), RpcError> {
        let log = self.with_index(async |index| index.last_log_lines(target, &found.id).await);
        let (log, name) = (
            on_one_line(&log.await?.join("\n")),
            on_one_line(&found.name),
        );
        tracing::warn!(
            instance = short(&found.id),
            name,
            log,
            "removing a container that has exited"
        );
        self.remove(&found.id, target).await
    }
}
