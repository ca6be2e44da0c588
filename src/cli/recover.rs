//! `dockctl recover`, and making good for a journal that is damaged.

use super::{
    Outcome,
    args::Global,
    complain,
    error::{CliError, Kind},
    session::Session,
    status::known_table,
    workspace::Workspace,
};
use crate::{
    backend::{Places, docker::Recovered},
    event::{Entry, Event},
    journal::Holder,
    report::count,
    state::Record,
};
use serde_json::json;

/// Rebuilds what is known of a deployment from the labels on the engine.
pub(crate) fn recover(global: &Global, given: Option<&str>) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(given)?;
    Workspace::runtime()?.block_on(async {
        if mend(&workspace, &name).await? {
            let record = workspace.record(&name)?;
            return Ok(Outcome::new(json!({ "deployment": name, "recovered": true, "instances": super::status::known_instances(&record) }), known_table(&record)));
        }
        if workspace.state.read(&name)?.is_some_and(|record| record.is_installed()) {
            let text = format!("`{name}` is known here: there is nothing to recover\n");
            return Ok(Outcome::new(json!({ "deployment": name, "recovered": false, "instances": [] }), text));
        }
        let engines = workspace.engines()?;
        let recovered = engines.default_engine().await?.recover(&name).await?.ok_or_else(|| {
            CliError::usage(format!("nothing on the engine carries the labels of a deployment `{name}`")).hint("dockctl list --all shows those there are")
        })?;
        let mut session = Session::begin(&workspace, &engines, &name, "recover")?;
        let noted = put_down(&mut session, &name).await;
        let record = session.end().await;
        let recovered = noted?.unwrap_or(recovered);
        let left_out: Vec<_> = recovered.left_out.iter().map(|(name, why)| json!({ "name": name, "reason": why })).collect();
        let fields = json!({ "deployment": name, "recovered": true, "instances": super::status::known_instances(&record), "not_recovered": left_out });
        Ok(Outcome::new(fields, format!("{}{}", known_table(&record), words(&recovered))))
    })
}

/// What labels tell once nobody works on the deployment any more.
async fn put_down(session: &mut Session<'_>, name: &str) -> Result<Option<Recovered>, CliError> {
    session.settle(name, &Places::new(), "recover").await?;
    if session.record.is_installed() {
        return Err(known_by_now(name));
    }
    let recovered = session.recovered(name).await?;
    session.note(recovered.clone().map(event).into_iter().collect())?;
    Ok(recovered)
}

fn known_by_now(name: &str) -> CliError {
    CliError::new(Kind::Busy, format!("another run put down `{name}` in the meantime"))
}

/// Sets a damaged journal aside, and puts what labels tell in its place; whether there was one.
pub(crate) async fn mend(workspace: &Workspace<'_>, name: &str) -> Result<bool, CliError> {
    let damage = match workspace.state.read(name) {
        Err(error) if error.is_damage() => error,
        _ => return Ok(false),
    };
    let engines = workspace.engines()?;
    // Looked at before anything is touched: without an engine there is nothing to put in its place.
    engines.default_engine().await?.recover(name).await?;
    let lock = workspace.state.lock(name, &Holder::this("recover", ""))?;
    if !workspace.state.read(name).is_err_and(|error| error.is_damage()) {
        return Ok(false);
    }
    let kept = workspace.state.set_aside(name)?;
    drop(lock);
    let mut session = Session::begin(workspace, &engines, name, "recover")?;
    let noted = put_down(&mut session, name).await;
    session.end().await;
    let recovered = noted.map_err(|error| error.hint(format!("the damaged journal was kept as {}", kept.display())))?;
    let told = recovered.as_ref().map_or_else(|| format!("nothing on the engine carries the labels of `{name}`\n"), words);
    complain(&format!("warning: {damage}\n  it was kept as {}; from the engine's labels:\n{told}", kept.display()));
    Ok(true)
}

/// The event that puts down what labels tell.
pub(crate) fn event(recovered: Recovered) -> Event {
    Event::Recovered { deployment: Box::new(recovered.deployment), instances: recovered.instances }
}

/// What is known if labels are all that tells.
pub(crate) fn record(recovered: &Recovered) -> Record {
    let mut record = Record::default();
    let told = Entry::now(event(recovered.clone()));
    record.apply(&told).expect("it can always be recovered");
    record
}

/// What labels do not tell, a line each.
pub(crate) fn left_out(recovered: &Recovered) -> String {
    recovered.left_out.iter().map(|(name, why)| format!("  not recovered: {name}: {why}\n")).collect()
}

/// What labels tell, and what they do not.
pub(crate) fn words(recovered: &Recovered) -> String {
    let names: Vec<&str> = recovered.instances.keys().map(String::as_str).collect();
    format!("  recovered: {} ({})\n{}", count(names.len(), "instance"), names.join(", "), left_out(recovered))
}
