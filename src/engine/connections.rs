//! Engine connections of a run, shared by all plugins.

use super::{Client, ConnectError, Host};
use crate::seam::Target;
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use tokio::sync::OnceCell;

/// Connections to the default engine and to the engines that operations select. Each is opened
/// once, on first use.
pub struct Connections {
    default: Host,
    open: RefCell<HashMap<String, Rc<OnceCell<Rc<Client>>>>>,
}

impl Connections {
    /// Creates the set without opening a connection.
    #[must_use]
    pub fn new(default: Host) -> Self {
        Self {
            default,
            open: RefCell::default(),
        }
    }

    /// Returns the connection to an engine and opens it if needed. Concurrent callers share one
    /// connection.
    pub(crate) async fn get(&self, host: &Host) -> Result<Rc<Client>, ConnectError> {
        let place = self.slot(host);
        let connect = async || Client::connect(host).await.map(Rc::new);
        place.get_or_try_init(connect).await.cloned()
    }

    fn slot(&self, host: &Host) -> Rc<OnceCell<Rc<Client>>> {
        let mut open = self.open.borrow_mut();
        open.entry(host.key()).or_default().clone()
    }

    /// Returns true if an engine accepts a new connection.
    pub(crate) async fn accepts(&self, host: &Host) -> bool {
        Client::connect(host).await.is_ok()
    }

    /// Returns the engine of a target.
    pub(crate) fn host(&self, target: &Target) -> Result<Host, ConnectError> {
        match target {
            Target::Default => Ok(self.default.clone()),
            Target::At { arguments, .. } => Host::from_daemon_client(arguments, &self.default),
        }
    }

    /// Returns true if an engine is the default engine.
    pub(crate) fn is_default(&self, host: &Host) -> bool {
        host.address == self.default.address
    }
}
