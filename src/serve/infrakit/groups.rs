//! The group plugin: commits, describes and removes groups. A task per group works until the group
//! matches its specification, and then heals it.
//!
//! A request is stored before it is answered, and its task carries it out. So clients do not wait,
//! and no accepted request is lost if the daemon dies.

use super::{
    daemon::Daemon,
    group_api::{CommitRequest, GroupMethod, description},
    supervisor::{self, Control},
};
use crate::{
    executor::StopRequests,
    front::{self, infrakit::GroupSpec},
    journal::ServerStore,
    operate::{
        self, Settings, Workspace,
        error::Detail,
        group::{self, commit},
    },
    serve::json_rpc::RpcError,
    stage::parameters::Update,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use tokio::task::spawn_local;

/// A request that is accepted and not carried out yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Pending {
    /// Change the group until it matches a specification.
    Commit {
        /// The specification in its normal form.
        spec: Json,
        /// Text of the script that it refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        script: Option<String>,
        /// IDs of the instances that are removed first.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        removed_first: BTreeSet<String>,
        /// Parameters of a rolling update.
        #[serde(default)]
        rolling: Update,
    },
    /// Remove the group.
    Destroy,
}

impl Pending {
    fn spec(&self) -> Option<GroupSpec> {
        match self {
            Self::Commit { spec, .. } => GroupSpec::from_json(spec),
            Self::Destroy => None,
        }
    }
}

/// Settings of the group plugin.
pub(crate) struct GroupSettings {
    /// Settings of the application.
    pub settings: Settings,
    /// Take over containers of others without a question.
    pub takes_over: bool,
    /// Time between two checks of a group.
    pub poll_interval: Duration,
}

/// The groups of one daemon.
pub(crate) struct Groups {
    pub(super) settings: GroupSettings,
    /// Requests that are accepted and not carried out yet.
    pub(super) store: ServerStore,
    /// Requests to stop the daemon.
    pub(super) stop: StopRequests,
    pub(super) pending: RefCell<BTreeMap<String, Pending>>,
    pub(super) tasks: RefCell<BTreeMap<String, Rc<Control>>>,
}

fn rpc_error(error: &operate::Error) -> RpcError {
    let fault = match &error.detail {
        Detail::Faults(faults) => faults.diagnostics.iter().find(|it| it.is_error()),
        _ => None,
    };
    RpcError::new(fault.map_or_else(|| error.message.clone(), |fault| fault.message.clone()))
}

/// Adds how the daemon gets the consent that nobody can give now.
fn without_consent(error: operate::Error) -> operate::Error {
    let message = &error.message;
    operate::Error {
        message: format!("{message}; a daemon takes them over if it is started with --take-over"),
        ..error
    }
}

fn unknown(id: &str) -> RpcError {
    RpcError::new(format!("Group '{id}' is not being watched"))
}

impl Groups {
    /// Reads the requests that an earlier daemon accepted.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn new(
        settings: GroupSettings,
        store: ServerStore,
        stop: StopRequests,
    ) -> Result<Rc<Self>, operate::Error> {
        let pending = store.pending()?.into_iter().collect();
        Ok(Rc::new(Self {
            settings,
            store,
            stop,
            pending: RefCell::new(pending),
            tasks: RefCell::default(),
        }))
    }

    /// Returns the settings for reading specifications.
    pub(crate) fn documents(&self) -> &front::Options {
        &self.settings.settings.imports.documents
    }

    /// Starts the tasks of all known groups.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be read.
    pub(crate) fn start(self: &Rc<Self>) -> Result<(), operate::Error> {
        let caller = Daemon::new("", self.stop.child());
        let workspace = Workspace::new(self.settings.settings.clone(), &caller);
        let pending: Vec<String> = self.pending.borrow().keys().cloned().collect();
        let all: BTreeSet<String> = group::ids(&workspace)?.into_iter().chain(pending).collect();
        for id in &all {
            self.supervise(id);
        }
        Ok(())
    }

    /// Starts the task of a group, or interrupts its work because there is a new request.
    fn supervise(self: &Rc<Self>, id: &str) {
        let known = self.tasks.borrow().get(id).cloned();
        if let Some(control) = known {
            return control.interrupt();
        }
        let control = Rc::new(Control::default());
        self.tasks
            .borrow_mut()
            .insert(id.to_owned(), control.clone());
        let (groups, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            Box::pin(supervisor::run(&groups, &id, &control)).await;
            groups.tasks.borrow_mut().remove(&id);
            control.end();
        });
    }

    /// Waits until all tasks have ended, after a request to stop.
    pub(crate) async fn ended(&self) {
        loop {
            let next = self.tasks.borrow().values().next().cloned();
            match next {
                Some(control) => control.wait().await,
                None => return,
            }
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// If it is refused.
    pub(crate) async fn answer(self: &Rc<Self>, method: &GroupMethod) -> Result<Json, RpcError> {
        match method {
            GroupMethod::Commit(request) => self.commit(request).await,
            GroupMethod::Describe(id) => self.describe(id).await,
            GroupMethod::Inspect => self.inspect(),
            GroupMethod::Free(id) => self.free(id).await,
            GroupMethod::Destroy(id) => self.destroy(id),
            GroupMethod::Size(id) => {
                let spec = self.spec(id)?;
                let spec = spec.ok_or_else(|| RpcError::new(format!("group {id} not found")))?;
                Ok(json!({ "ID": id, "Size": spec.allocation.size() }))
            }
            GroupMethod::SetSize(id, size) => self.resize(id, &group::Resize::To(*size)).await,
            GroupMethod::DestroyInstances(id, instances) => {
                let resize = group::Resize::Without(instances.clone());
                self.resize(id, &resize).await
            }
        }
    }

    /// Calls a function with a workspace for one request.
    async fn with_workspace<T>(
        &self,
        id: &str,
        act: impl AsyncFnOnce(&Workspace<'_>) -> Result<T, operate::Error>,
    ) -> Result<T, RpcError> {
        let caller = Daemon::new(id, self.stop.child());
        let workspace = Workspace::new(self.settings.settings.clone(), &caller);
        act(&workspace).await.map_err(|error| rpc_error(&error))
    }

    /// Returns the specification of a group: the one that was accepted last.
    fn spec(&self, id: &str) -> Result<Option<GroupSpec>, RpcError> {
        if let Some(pending) = self.pending.borrow().get(id) {
            return Ok(pending.spec());
        }
        let caller = Daemon::new(id, self.stop.child());
        let workspace = Workspace::new(self.settings.settings.clone(), &caller);
        let known = group::find(&workspace, id).map_err(|error| rpc_error(&error))?;
        Ok(known.map(|known| known.spec))
    }

    async fn commit(self: &Rc<Self>, given: &CommitRequest) -> Result<Json, RpcError> {
        let id = given.spec["ID"].as_str().unwrap_or_default().to_owned();
        let committed = self.spec(&id)?;
        let takes_over = self.settings.takes_over;
        let prepared = self.with_workspace(&id, async |workspace| {
            let settings = workspace.settings.with_script(given.script.clone());
            let workspace = Workspace::new(settings, workspace.caller);
            let request = commit::Request::of_json(&given.spec, takes_over);
            let prepared = commit::describe(&workspace, &request, committed.as_ref()).await?;
            if !given.pretend {
                let checked = prepared.check_consent(&workspace, takes_over);
                checked.map_err(without_consent)?;
            }
            Ok(prepared)
        });
        let prepared = prepared.await?;
        let details = prepared.details.clone();
        if !given.pretend {
            let pending = Pending::Commit {
                spec: prepared.spec.to_json(),
                script: prepared.script,
                removed_first: BTreeSet::new(),
                rolling: given.rolling,
            };
            self.accept(&id, pending)?;
        }
        Ok(json!({ "ID": id, "Details": details }))
    }

    /// Stores a request and starts its task.
    fn accept(self: &Rc<Self>, id: &str, pending: Pending) -> Result<(), RpcError> {
        let stored = self.store.set_pending(id, &pending);
        stored.map_err(|error| RpcError::new(error.to_string()))?;
        self.pending.borrow_mut().insert(id.to_owned(), pending);
        self.supervise(id);
        Ok(())
    }

    async fn describe(&self, id: &str) -> Result<Json, RpcError> {
        let spec = self.spec(id)?.ok_or_else(|| unknown(id))?;
        let is_pending = self.pending.borrow().contains_key(id);
        let described = self.with_workspace(id, async |workspace| {
            let Some(mut known) = group::find(workspace, id)? else {
                return Ok(description(&[], false));
            };
            let members = group::members(workspace, &known.record).await?;
            known.spec = spec;
            let is_converged = !is_pending && known.is_converged(&members);
            Ok(description(&members, is_converged))
        });
        Ok(json!({ "ID": id, "Description": described.await? }))
    }

    fn inspect(&self) -> Result<Json, RpcError> {
        let ids: Vec<String> = self.tasks.borrow().keys().cloned().collect();
        let specs = ids.iter().map(|id| self.spec(id));
        let specs = specs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        let specs: Vec<Json> = specs.map(|spec| spec.to_json()).collect();
        let groups = if specs.is_empty() {
            Json::Null
        } else {
            specs.into()
        };
        Ok(json!({ "ID": "", "Groups": groups }))
    }

    /// Gives up a group, after its task has ended.
    async fn free(&self, id: &str) -> Result<Json, RpcError> {
        self.spec(id)?.ok_or_else(|| unknown(id))?;
        self.forget(id)?;
        let control = self.tasks.borrow().get(id).cloned();
        if let Some(control) = control {
            control.stop();
            control.wait().await;
        }
        let freed = self.with_workspace(id, async |workspace| match group::find(workspace, id)? {
            Some(_) => group::free(workspace, id).await,
            None => Ok(()),
        });
        freed.await?;
        Ok(json!({ "ID": id }))
    }

    /// Forgets an accepted request, because it is carried out or no longer wanted.
    pub(super) fn forget(&self, id: &str) -> Result<(), RpcError> {
        self.pending.borrow_mut().remove(id);
        let forgotten = self.store.clear_pending(id);
        forgotten.map_err(|error| RpcError::new(error.to_string()))
    }

    fn destroy(self: &Rc<Self>, id: &str) -> Result<Json, RpcError> {
        self.spec(id)?.ok_or_else(|| unknown(id))?;
        self.accept(id, Pending::Destroy)?;
        Ok(json!({ "ID": id }))
    }

    async fn resize(self: &Rc<Self>, id: &str, resize: &group::Resize) -> Result<Json, RpcError> {
        let spec = self.spec(id)?;
        let spec = spec.ok_or_else(|| match resize {
            group::Resize::To(_) => RpcError::new(format!("group {id} not found")),
            group::Resize::Without(_) => unknown(id),
        })?;
        let script = self.script(id);
        let resized = self.with_workspace(id, async |workspace| {
            let (spec, removed_first) = group::resized_spec(workspace, &spec, resize).await?;
            Ok(Pending::Commit {
                spec: spec.to_json(),
                script,
                removed_first,
                rolling: Update::default(),
            })
        });
        self.accept(id, resized.await?)?;
        Ok(json!({ "ID": id }))
    }

    /// Returns the text of the script that the specification of a group refers to.
    fn script(&self, id: &str) -> Option<String> {
        if let Some(Pending::Commit { script, .. }) = self.pending.borrow().get(id) {
            return script.clone();
        }
        let caller = Daemon::new(id, self.stop.child());
        let workspace = Workspace::new(self.settings.settings.clone(), &caller);
        let known = group::find(&workspace, id).ok()??;
        known.record.deployment?.document?.script
    }
}
