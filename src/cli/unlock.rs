//! `dockctl unlock`.

use super::{
    Outcome,
    args::Global,
    error::{CliError, Kind},
    runtime, selection,
    terminal::Terminal,
};
use crate::{journal::Holder, plugins::GuardHolder};
use serde_json::json;

/// Removes the guard of a dead process from the engine. The lock in the state directory needs no
/// command: it is released when its process dies.
pub(crate) fn unlock(
    global: &Global,
    given: Option<&str>,
    force: bool,
) -> Result<Outcome, CliError> {
    let terminal = Terminal::new(global);
    let workspace = terminal.workspace()?;
    let name = selection::name(&workspace, given)?;
    let holder = Holder::this_process("unlock", "");
    let lock = workspace.state.lock(&name, &holder)?;
    runtime()?.block_on(async {
        let systems = workspace.connect()?;
        let drivers = systems.drivers();
        let me = GuardHolder::this_process(holder, &lock);
        let guards = drivers.list_guards(&name, &me).await?;
        if let Some(live) = guards
            .iter()
            .find(|guard| guard.expires_in > 0)
            .filter(|_| !force)
        {
            let error = CliError::new(
                Kind::Busy,
                format!("the deployment is in use on the engine by {}", live.holder),
            );
            let expiry_hint = format!(
                "if that process is dead, its guard expires in {} s",
                live.expires_in
            );
            return Err(error
                .hint(expiry_hint)
                .hint("to remove the guard now, add --force; first make sure that no process is changing the deployment"));
        }
        drivers.remove_guards(&name).await?;
        let holders: Vec<String> = guards
            .iter()
            .map(|guard| guard.holder.to_string())
            .collect();
        let text = match holders.first() {
            Some(holder) => format!("removed the guard of {holder} from `{name}`\n"),
            None => format!("`{name}` has no guard\n"),
        };
        Ok(Outcome::new(
            json!({ "deployment": name, "removed": holders }),
            text,
        ))
    })
}
