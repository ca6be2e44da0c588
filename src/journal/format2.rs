//! Upgrade of rows of format 2 and earlier, whose steps were Docker requests without traits. The
//! mapping below is fixed: it describes those versions and must not follow the Docker plugin.

use serde_json::{Map as JsonMap, Value as Json, json};

/// Returns true if a row may contain data in the old format.
pub(super) fn may_need_upgrade(text: &str) -> bool {
    text.contains(r#""backend":""#) || text.contains(r#""recovered":true"#)
}

/// Converts a row or a snapshot to format 3. Data that is already in that format stays the same.
pub(super) fn upgrade(mut row: Json) -> Json {
    let kept = kept_volume_instances(&row["deployment"]);
    if let Some(tasks) = row.pointer_mut("/stage/tasks").and_then(Json::as_array_mut) {
        tasks.iter_mut().for_each(upgrade_step_of);
    }
    let instances = row.get_mut("instances").and_then(Json::as_object_mut);
    for (id, instance) in instances.into_iter().flatten() {
        let done = instance.get_mut("done").and_then(Json::as_array_mut);
        done.into_iter().flatten().for_each(upgrade_step_of);
        if kept.contains(id) {
            instance["outlives"] = true.into();
        }
    }
    row
}

/// Returns the IDs of the instances of a recovered deployment that have kept volumes.
fn kept_volume_instances(deployment: &Json) -> Vec<String> {
    let is_kept = |node: &Json| {
        let operations = node["operations"].as_object().into_iter().flatten();
        let makes_volume = |(_, it): (&String, &Json)| it["operation"] == "volume.create";
        operations.into_iter().any(makes_volume) && node["properties"]["keep"] != false
    };
    let instances = deployment["instances"].as_array().into_iter().flatten();
    instances
        .filter(|_| deployment["recovered"] == true)
        .filter(|it| is_kept(&deployment["nodes"][it["node"].as_str().unwrap_or_default()]))
        .filter_map(|it| it["id"].as_str().map(str::to_owned))
        .collect()
}

fn upgrade_step_of(holder: &mut Json) {
    let Some(Json::Object(mut step)) = holder.get("step").cloned() else {
        return;
    };
    let Some(backend) = step.shift_remove("backend") else {
        return;
    };
    holder["step"] = match backend.as_str() {
        Some("nothing") => json!({ "traits": { "title": "nothing to do" } }),
        Some("refused") => json!({
            "traits": {
                "title": format!("not possible: {}", step["why"].as_str().unwrap_or_default()),
                "effect": "refuses",
            },
            "payload": { "refused": step["why"] },
        }),
        Some("docker") => docker_step(step),
        // Only tests used other back-ends.
        _ => json!({
            "plugin": "dockctl-simulated",
            "traits": { "title": format!("simulate {}", step["name"].as_str().unwrap_or_default()) },
            "payload": step,
        }),
    };
}

fn docker_step(mut step: JsonMap<String, Json>) -> Json {
    let engine = step.shift_remove("engine").unwrap_or_default();
    let record = step.shift_remove("record").unwrap_or_default();
    let action = Json::Object(step.clone());
    let mut upgraded = json!({ "plugin": "docker" });
    let place = place(&engine);
    if let Some((shown, client)) = &place {
        upgraded["target"] = json!({ "at": { "shown": shown, "arguments": client } });
    }
    let on = place.map(|(shown, _)| format!(" on {shown}"));
    upgraded["traits"] = traits(&action, &on.unwrap_or_default());
    let mut payload = JsonMap::new();
    payload.insert("version".to_owned(), 1.into());
    payload.extend(step);
    upgraded["payload"] = payload.into();
    if !record.is_null() {
        upgraded["kept"] = record;
    }
    upgraded
}

/// Returns the name and the client settings of an engine other than the default one.
fn place(engine: &Json) -> Option<(String, Json)> {
    let client = engine.get("client")?;
    let shown = match &client["base_url"] {
        Json::Null => "the default engine",
        Json::String(address) => address,
        _ => "an engine known after install",
    };
    Some((shown.to_owned(), client.clone()))
}

fn traits(action: &Json, on: &str) -> Json {
    let step = action["step"].as_str().unwrap_or_default();
    let mut traits = json!({ "title": format!("{}{on}", title(step, action)) });
    if let Some(effect) = effect(step) {
        traits["effect"] = effect.into();
    }
    if step == "execute" {
        traits["settling"] = "at_least_once".into();
    }
    if deletes(step, action) {
        traits["deletes"] = true.into();
    }
    match step {
        "create" | "create_network" | "create_volume" | "swap" => {
            traits["declares"] = "anew".into()
        }
        "adjust" => traits["declares"] = json!({ "adjusted": action["declaration"] }),
        "create_successor" => traits["makes_successor"] = true.into(),
        "image" => traits["material"] = "brings".into(),
        "build" => traits["material"] = "makes".into(),
        "remove_image" => traits["material"] = "removes".into(),
        _ => {}
    }
    if let Some(property) = property(step) {
        traits["property"] = property.into();
    }
    traits
}

fn effect(step: &str) -> Option<&'static str> {
    Some(match step {
        "create" | "create_network" | "create_volume" | "build" => "creates",
        "adopt" => "adopts",
        "create_successor" | "swap" | "step_back" | "put_back" => "replaces",
        "start" | "wait" | "wait_for" | "follow" | "endure" => "starts",
        "stop" | "restore" => "stops",
        "adjust" | "rename" | "connect" | "discard" => "adjusts",
        "remove" | "remove_network" | "remove_volume" | "remove_image" | "release" => "removes",
        _ => return None,
    })
}

fn deletes(step: &str, action: &Json) -> bool {
    match step {
        "remove" | "remove_network" | "remove_image" => true,
        "remove_volume" => action["keep"] == false || !action["made_by"].is_null(),
        _ => false,
    }
}

fn property(step: &str) -> Option<&'static str> {
    Some(match step {
        "image" => "image",
        "create" | "create_successor" | "recreate" | "adopt" | "create_network"
        | "create_volume" => "name",
        "build" => "resource_config",
        _ => return None,
    })
}

/// Returns the title of a step: the action and, if known, the name of its object.
fn title(step: &str, action: &Json) -> String {
    let named = |what: &str, name: &Json| match name.as_str() {
        Some(name) => format!("{what} {name}"),
        None => what.to_owned(),
    };
    match step {
        "image" => named("pull image", &action["image"]["repository"]),
        "create" | "recreate" | "create_successor" => named("create container", &action["name"]),
        "swap" => named("give the new container the name", &action["name"]),
        "create_network" => named("create network", &action["name"]),
        "create_volume" => named("create volume", &action["name"]),
        "connect" => named("attach container to network", &action["network"]),
        "adopt" => named("adopt", &action["name"]),
        "start" | "stop" | "remove" => format!("{step} container"),
        "put_back" => "restart old container".to_owned(),
        "step_back" => "restore old container".to_owned(),
        "discard" => "remove old container".to_owned(),
        "wait" => "wait for processes".to_owned(),
        "endure" => "check that the container stays up".to_owned(),
        other => other.replace('_', " "),
    }
}
