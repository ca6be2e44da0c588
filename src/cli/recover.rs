//! `dockctl recover`, and making good for a journal that is damaged.

use super::{
    Outcome,
    args::Global,
    claims, complain,
    error::{CliError, Kind},
    session::Session,
    status::known_table,
    workspace::Workspace,
};
use crate::{
    backend::{
        Places,
        docker::{Recovered, Told},
    },
    event::{Entry, Event},
    journal::Holder,
    printable::printable,
    report::count,
    state::Record,
};
use serde_json::json;

/// Rebuilds what is known of a deployment from the labels on the engine. The user says by that that its objects are theirs.
pub(crate) fn recover(global: &Global, given: Option<&str>, id: Option<&str>) -> Result<Outcome, CliError> {
    let workspace = Workspace::new(global)?;
    let name = workspace.name(given)?;
    Workspace::runtime()?.block_on(async {
        if mend(&workspace, &name).await? {
            return Ok(known(&name, &workspace.record(&name)?, true));
        }
        if let Some(record) = workspace.state.read(&name)?.filter(Record::is_installed) {
            let text = format!("`{name}` is known here: there is nothing to recover\n");
            return Ok(Outcome { text, ..known(&name, &Record::default(), record.deployment.is_none()) });
        }
        let engines = workspace.engines()?;
        let told = engines.default_engine().await?.told(&name).await?;
        if claims::chosen(&told, &name, id, "--id")?.is_none() {
            let error = CliError::usage(format!("nothing on the engine carries the labels of a deployment `{name}`"));
            return Err(error.hint("dockctl list --all shows those there are"));
        }
        let mut session = Session::begin(&workspace, &engines, &name, "recover")?;
        let noted = put_down(&mut session, &name, |told| claims::chosen(told, &name, id, "--id")).await;
        let record = session.end().await;
        let recovered = noted?;
        let mut outcome = known(&name, &record, true);
        let left_out = recovered.iter().flat_map(|it| &it.left_out);
        outcome.fields["not_recovered"] = left_out.map(|(name, why)| json!({ "name": name, "reason": why })).collect();
        outcome.text += &recovered.as_ref().map(words).unwrap_or_default();
        Ok(outcome)
    })
}

/// What is known of a deployment, whether or not it was recovered now.
fn known(name: &str, record: &Record, recovered: bool) -> Outcome {
    let fields = json!({ "deployment": name, "recovered": recovered, "instances": super::status::known_instances(record) });
    Outcome::new(fields, known_table(record))
}

/// What labels tell once nobody works on the deployment any more.
async fn put_down(
    session: &mut Session<'_>,
    name: &str,
    choose: impl Fn(&Told) -> Result<Option<Recovered>, CliError>,
) -> Result<Option<Recovered>, CliError> {
    session.settle(name, &Places::new(), "recover").await?;
    if session.record.is_installed() {
        return Err(known_by_now(name));
    }
    let recovered = choose(&session.told(name).await?)?;
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
    engines.default_engine().await?.told(name).await?;
    let lock = workspace.state.lock(name, &Holder::this("recover", ""))?;
    if !workspace.state.read(name).is_err_and(|error| error.is_damage()) {
        return Ok(false);
    }
    let kept = workspace.state.set_aside(name)?;
    drop(lock);
    let mut session = Session::begin(workspace, &engines, name, "recover")?;
    // Nobody was asked: only what this state directory sealed is taken.
    let noted = put_down(&mut session, name, |told| Ok(told.ours())).await;
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
    let line = |(name, why): &(String, String)| format!("  not recovered: {}: {}\n", printable(name), printable(why));
    recovered.left_out.iter().map(line).collect()
}

/// What labels tell, and what they do not.
pub(crate) fn words(recovered: &Recovered) -> String {
    let names: Vec<&str> = recovered.instances.keys().map(String::as_str).collect();
    format!("  recovered: {} ({})\n{}", count(names.len(), "instance"), printable(&names.join(", ")), left_out(recovered))
}
