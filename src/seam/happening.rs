//! What systems tell of objects while they are watched.

/// Something that happened to the object of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Happening {
    /// Id of the instance.
    pub instance: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// A signal was sent to it that ends it.
    Signalled,
    /// Somebody stopped it. Podman sends this before its death, and not always; Docker sends it
    /// last.
    Stopped,
    /// Podman cleaned up after its death: once after one that it died by itself, twice after a
    /// stop.
    Cleaned,
    /// It ended.
    Died,
    /// It was removed.
    Gone,
    /// It was started.
    Started,
    /// Its health check says that it is ill.
    Unhealthy,
}
