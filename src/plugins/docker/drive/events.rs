//! Container events of a deployment, for workflows that watch it.

use crate::{
    engine::Client,
    plugins::docker::{declare::label, drive::engine::Engine},
    seam::{ObjectEvent, ObjectEventKind},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value as Json, json};

/// Numbers of signals that are sent to stop a container.
const STOP_SIGNALS: [&str; 4] = ["2", "3", "9", "15"];
/// How long before now the event stream starts, in milliseconds: engines count whole seconds.
const LOOKBACK_MS: u64 = 1000;

impl Engine {
    /// Streams events from now on, until the connection is lost.
    pub(crate) fn events(&self, deployment: &str) -> impl Stream<Item = ObjectEvent> + use<> {
        // Does not filter by event: Podman names some events differently in filters and in
        // messages.
        let filters = json!({ "type": ["container"], "label": [format!("{}={deployment}", label::DEPLOYMENT)] });
        let client = self.client.clone();
        let events = client.events(client.now().saturating_sub(LOOKBACK_MS), &filters);
        events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(|event| std::future::ready(event.ok()))
            .then(move |event| {
                let client = client.clone();
                async move { happenings(&client, &event).await }
            })
            .flat_map(stream::iter)
    }
}

/// Returns what an event of the engine reports. The end of a container also reports the stop, if
/// the engine may send no event for it.
async fn happenings(client: &Client, event: &Json) -> Vec<ObjectEvent> {
    let Some(reported) = to_event(event) else {
        return Vec::new();
    };
    let id = event["Actor"]["ID"].as_str().unwrap_or_default();
    let is_stop = reported.kind == ObjectEventKind::Exited
        && client.tells_stops_only_on_request()
        && client.was_stopped_by_user(id).await;
    let stop = is_stop.then(|| ObjectEvent {
        kind: ObjectEventKind::Stopped,
        ..reported.clone()
    });
    stop.into_iter().chain([reported]).collect()
}

fn to_event(event: &Json) -> Option<ObjectEvent> {
    let attributes = &event["Actor"]["Attributes"];
    let what = match event["Action"].as_str()? {
        "kill" => attributes["signal"]
            .as_str()
            .is_none_or(|signal| STOP_SIGNALS.contains(&signal))
            .then_some(ObjectEventKind::Signaled)?,
        "stop" => ObjectEventKind::Stopped,
        "die" => ObjectEventKind::Exited,
        "cleanup" => ObjectEventKind::Cleaned,
        // Podman sends `remove`.
        "destroy" | "remove" => ObjectEventKind::Removed,
        "start" => ObjectEventKind::Started,
        status => status
            .ends_with(": unhealthy")
            .then_some(ObjectEventKind::Unhealthy)?,
    };
    Some(ObjectEvent {
        instance: attributes[label::INSTANCE].as_str()?.to_owned(),
        kind: what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(action: &str, signal: Option<&str>) -> Option<ObjectEventKind> {
        let mut attributes = json!({ "dockctl.instance": "web_1" });
        if let Some(signal) = signal {
            attributes["signal"] = signal.into();
        }
        to_event(&json!({ "Action": action, "Actor": { "Attributes": attributes } }))
            .map(|happening| happening.kind)
    }

    #[test]
    fn only_stop_signals_count_as_user_stops() {
        assert_eq!(seen("kill", Some("15")), Some(ObjectEventKind::Signaled));
        assert_eq!(
            seen("kill", Some("1")),
            None,
            "SIGHUP makes many programs reload"
        );
        assert_eq!(
            (seen("stop", None), seen("die", None)),
            (
                Some(ObjectEventKind::Stopped),
                Some(ObjectEventKind::Exited)
            )
        );
        assert_eq!(
            (seen("destroy", None), seen("remove", None)),
            (
                Some(ObjectEventKind::Removed),
                Some(ObjectEventKind::Removed)
            )
        );
        assert_eq!(
            seen("health_status: unhealthy", None),
            Some(ObjectEventKind::Unhealthy)
        );
        assert_eq!(seen("health_status: healthy", None), None);
    }
}
