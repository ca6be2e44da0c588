//! Container events: one subscription per engine for all waits, instead of one poll for each.

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

/// Most changes that may be pending for one waiter.
const CHANNEL_CAPACITY: usize = 256;
/// Time between checks despite the subscription: an engine can lose an event.
const FALLBACK_INTERVAL: Duration = Duration::from_secs(10);
/// How long before now the subscription starts, in milliseconds: engines count whole seconds.
const LOOKBACK_MS: u64 = 1000;

/// Part of a wait that events cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EventCoverage {
    /// All of it: no polling is needed while events arrive.
    Full,
    /// Only the exit of the container.
    ExitOnly,
}

/// Event subscription of one engine, started by the first wait.
#[derive(Default)]
pub(crate) struct EventWatch {
    subscription: RefCell<Option<Subscription>>,
    /// A working subscription was lost: the engine may have been restarted.
    disconnected: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Subscription {
    changed: Sender<String>,
    /// The engine has accepted the subscription, and the connection is open.
    is_connected: Arc<AtomicBool>,
    /// The subscription has ended.
    ended: Arc<AtomicBool>,
}

/// Changes for one waiter.
pub(crate) struct Changes {
    subscription: Subscription,
    changed: Receiver<String>,
}

impl EventWatch {
    /// Subscribes from now on. A lost subscription is started again.
    pub(crate) fn subscribe(&self, client: &Client) -> Changes {
        let mut place = self.subscription.borrow_mut();
        let alive = place
            .take()
            .filter(|subscription| !subscription.ended.load(Ordering::Relaxed));
        let subscription =
            alive.unwrap_or_else(|| Subscription::start(client, self.disconnected.clone()));
        *place = Some(subscription.clone());
        Changes {
            changed: subscription.changed.subscribe(),
            subscription,
        }
    }
}

impl EventWatch {
    /// Returns true if a subscription was lost since the last call.
    pub(crate) fn lost_connection(&self) -> bool {
        self.disconnected.swap(false, Ordering::Relaxed)
    }
}

impl Subscription {
    fn start(client: &Client, cut: Arc<AtomicBool>) -> Self {
        let subscription = Self {
            changed: broadcast::channel(CHANNEL_CAPACITY).0,
            is_connected: Arc::default(),
            ended: Arc::default(),
        };
        let events = client.events(
            client.now().saturating_sub(LOOKBACK_MS),
            &json!({ "type": ["container"], "event": ["die", "health_status", "destroy"] }),
        );
        let mine = subscription.clone();
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                mine.is_connected.store(true, Ordering::Relaxed);
                let id = event["Actor"]["ID"]
                    .as_str()
                    .or_else(|| event["id"].as_str())
                    .unwrap_or_default();
                // Ignores the error: there may be no waiter at the moment.
                let _ = mine.changed.send(id.to_owned());
            }
            if mine.is_connected.swap(false, Ordering::Relaxed) {
                cut.store(true, Ordering::Relaxed);
            }
            mine.ended.store(true, Ordering::Relaxed);
        });
        subscription
    }
}

impl Changes {
    /// Waits until it is worth checking a container again: the engine reported an event for it, or
    /// `interval` has passed and events do not cover the wait.
    pub(crate) async fn next(&mut self, id: &str, interval: Duration, coverage: EventCoverage) {
        let is_covered = coverage == EventCoverage::Full
            && self.subscription.is_connected.load(Ordering::Relaxed);
        let pause = tokio::time::sleep(if is_covered {
            FALLBACK_INTERVAL.max(interval)
        } else {
            interval
        });
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
