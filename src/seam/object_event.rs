//! Events of watched objects.

/// An event of an instance's object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectEvent {
    /// Id of the instance.
    pub instance: String,
    /// The kind of event.
    pub kind: ObjectEventKind,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectEventKind {
    /// It received a signal that terminates it.
    Signaled,
    /// A user stopped it. Docker sends this event last. Podman sends it before the exit, and not
    /// always.
    Stopped,
    /// Podman cleaned up after its exit: once if it exited by itself, twice after a stop.
    Cleaned,
    /// It exited.
    Exited,
    /// It was removed.
    Removed,
    /// It was started.
    Started,
    /// Its health check reports that it is unhealthy.
    Unhealthy,
}
