//! The connections of a run. Several plugins can work on one engine: they share them.

use super::{Client, ConnectError, Host};
use crate::seam::Target;
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use tokio::sync::OnceCell;

/// The default engine, and those that operations name themselves; each is connected to once, when
/// it is first needed.
pub struct Connections {
    default: Host,
    open: RefCell<HashMap<String, Rc<OnceCell<Rc<Client>>>>>,
}

impl Connections {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(default: Host) -> Self {
        Self {
            default,
            open: RefCell::default(),
        }
    }

    /// Connects, unless that was done. Two that ask at once share one connection.
    pub(crate) async fn get(&self, host: &Host) -> Result<Rc<Client>, ConnectError> {
        let place = self.place(host);
        let connect = async || Client::connect(host).await.map(Rc::new);
        place.get_or_try_init(connect).await.cloned()
    }

    fn place(&self, host: &Host) -> Rc<OnceCell<Rc<Client>>> {
        let mut open = self.open.borrow_mut();
        open.entry(host.key()).or_default().clone()
    }

    /// Whether an engine takes a new connection.
    pub(crate) async fn accepts(&self, host: &Host) -> bool {
        Client::connect(host).await.is_ok()
    }

    /// Which engine a target is.
    pub(crate) fn host(&self, target: &Target) -> Result<Host, ConnectError> {
        match target {
            Target::Default => Ok(self.default.clone()),
            Target::At { arguments, .. } => Host::of_client(arguments, &self.default),
        }
    }

    /// Whether an engine is the default one.
    pub(crate) fn is_default(&self, host: &Host) -> bool {
        host.address == self.default.address
    }
}
