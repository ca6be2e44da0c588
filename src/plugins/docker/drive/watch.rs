//! What happens to containers, told by the engine: one subscription for all that is waited for,
//! instead of a poll each.

use crate::engine::Client;
use futures_util::StreamExt as _;
use serde_json::json;
use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Changes that may wait to be taken by one who waits.
const ROOM: usize = 256;
/// How often it is looked all the same: an engine can lose a message.
const ANYWAY: Duration = Duration::from_secs(10);
/// How far back the subscription asks, in milliseconds: engines count whole seconds.
const BACK: u64 = 1000;

/// What of a wait the engine's messages show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shows {
    /// All of it: nothing need be polled while they come.
    All,
    /// Only that the container ended.
    End,
}

/// The subscription of one engine; made when something is first waited for.
#[derive(Default)]
pub(crate) struct Watch {
    subscription: RefCell<Option<Subscription>>,
    /// A subscription that held has broken: the engine may have been restarted.
    cut: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Subscription {
    changed: Sender<String>,
    /// The engine has answered, and the connection holds.
    holds: Arc<AtomicBool>,
    /// Nothing comes any more.
    ended: Arc<AtomicBool>,
}

/// What one who waits hears of.
pub(crate) struct Changes {
    subscription: Subscription,
    changed: Receiver<String>,
}

impl Watch {
    /// Listens from now on. A subscription that broke is made anew.
    pub(crate) fn subscribe(&self, client: &Client) -> Changes {
        let mut place = self.subscription.borrow_mut();
        let alive = place
            .take()
            .filter(|subscription| !subscription.ended.load(Ordering::Relaxed));
        let subscription = alive.unwrap_or_else(|| Subscription::start(client, self.cut.clone()));
        *place = Some(subscription.clone());
        Changes {
            changed: subscription.changed.subscribe(),
            subscription,
        }
    }
}

impl Watch {
    /// Whether a subscription broke since this was last asked.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut.swap(false, Ordering::Relaxed)
    }
}

impl Subscription {
    fn start(client: &Client, cut: Arc<AtomicBool>) -> Self {
        let subscription = Self {
            changed: broadcast::channel(ROOM).0,
            holds: Arc::default(),
            ended: Arc::default(),
        };
        let events = client.events(
            client.now().saturating_sub(BACK),
            &json!({ "type": ["container"], "event": ["die", "health_status", "destroy"] }),
        );
        let mine = subscription.clone();
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                mine.holds.store(true, Ordering::Relaxed);
                let id = event["Actor"]["ID"]
                    .as_str()
                    .or_else(|| event["id"].as_str())
                    .unwrap_or_default();
                // Nobody waits just now.
                let _ = mine.changed.send(id.to_owned());
            }
            if mine.holds.swap(false, Ordering::Relaxed) {
                cut.store(true, Ordering::Relaxed);
            }
            mine.ended.store(true, Ordering::Relaxed);
        });
        subscription
    }
}

impl Changes {
    /// Comes when it is worth looking at a container again: the engine says that something happened
    /// to it, or `interval` is over and the engine would not have said.
    pub(crate) async fn next(&mut self, id: &str, interval: Duration, shows: Shows) {
        let told = shows == Shows::All && self.subscription.holds.load(Ordering::Relaxed);
        let pause = tokio::time::sleep(if told { ANYWAY.max(interval) } else { interval });
        let mut pause = std::pin::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                changed = self.changed.recv() => match changed {
                    Ok(changed) if changed == id => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return (&mut pause).await,
                },
            }
        }
    }
}
