//! Container events of a deployment, for workflows that watch it.

use crate::{
    plugins::docker::{declare::label, drive::engine::Engine},
    seam::{Happening, What},
};
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value as Json, json};

/// Numbers of signals that are sent to stop a container.
const ENDING: [&str; 4] = ["2", "3", "9", "15"];
/// How long before now the event stream starts, in milliseconds: engines count whole seconds.
const BACK: u64 = 1000;

impl Engine {
    /// Streams events from now on, until the connection is lost.
    pub(crate) fn happenings(&self, deployment: &str) -> impl Stream<Item = Happening> + use<> {
        // Does not filter by event: Podman names some events differently in filters and in
        // messages.
        let filters = json!({ "type": ["container"], "label": [format!("{}={deployment}", label::DEPLOYMENT)] });
        let events = self
            .client
            .events(self.client.now().saturating_sub(BACK), &filters);
        events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(|event| std::future::ready(event.ok().as_ref().and_then(happening)))
    }
}

fn happening(event: &Json) -> Option<Happening> {
    let attributes = &event["Actor"]["Attributes"];
    let what = match event["Action"].as_str()? {
        "kill" => attributes["signal"]
            .as_str()
            .is_none_or(|signal| ENDING.contains(&signal))
            .then_some(What::Signalled)?,
        "stop" => What::Stopped,
        "die" => What::Died,
        "cleanup" => What::Cleaned,
        // Podman sends `remove`.
        "destroy" | "remove" => What::Gone,
        "start" => What::Started,
        status => status.ends_with(": unhealthy").then_some(What::Unhealthy)?,
    };
    Some(Happening {
        instance: attributes[label::INSTANCE].as_str()?.to_owned(),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(action: &str, signal: Option<&str>) -> Option<What> {
        let mut attributes = json!({ "dockctl.instance": "web_1" });
        if let Some(signal) = signal {
            attributes["signal"] = signal.into();
        }
        happening(&json!({ "Action": action, "Actor": { "Attributes": attributes } }))
            .map(|happening| happening.what)
    }

    #[test]
    fn signals_that_end_nothing_are_no_sign_of_a_persons_will() {
        assert_eq!(seen("kill", Some("15")), Some(What::Signalled));
        assert_eq!(
            seen("kill", Some("1")),
            None,
            "SIGHUP makes many programs reload"
        );
        assert_eq!(
            (seen("stop", None), seen("die", None)),
            (Some(What::Stopped), Some(What::Died))
        );
        assert_eq!(
            (seen("destroy", None), seen("remove", None)),
            (Some(What::Gone), Some(What::Gone))
        );
        assert_eq!(
            seen("health_status: unhealthy", None),
            Some(What::Unhealthy)
        );
        assert_eq!(seen("health_status: healthy", None), None);
    }
}
