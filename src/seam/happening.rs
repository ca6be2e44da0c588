//! Events of watched objects.

/// An event of an instance's object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Happening {
    /// Id of the instance.
    pub instance: String,
    /// The kind of event.
    pub what: What,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// It received a signal that terminates it.
    Signalled,
    /// A user stopped it. Docker sends this event last. Podman sends it before the exit, and not
    /// always.
    Stopped,
    /// Podman cleaned up after its exit: once if it exited by itself, twice after a stop.
    Cleaned,
    /// It exited.
    Died,
    /// It was removed.
    Gone,
    /// It was started.
    Started,
    /// Its health check reports that it is unhealthy.
    Unhealthy,
}
