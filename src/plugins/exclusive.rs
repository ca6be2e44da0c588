//! Resources that only one object can have at a time, such as host ports.

use std::net::IpAddr;

/// A resource that only one object can have at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExclusiveResource {
    /// Kind of resource.
    pub kind: ResourceKind,
    /// Key: equal keys mean the same resource, if the scopes overlap.
    pub key: String,
    /// The addresses on which the object needs it.
    pub scope: Scope,
    /// Name of the resource in output.
    pub shown: String,
    /// Several objects may share it if all of them set this flag.
    pub is_shared: bool,
}

/// A kind of resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ResourceKind {
    /// A fixed host port.
    Port,
    /// A fixed address on a network.
    Address,
    /// The name of an object.
    Name,
    /// The network of the host.
    HostNetwork,
    /// A volume or a directory.
    Mount,
}

impl ResourceKind {
    /// Returns true if another object can have the resource as soon as its holder gives it up.
    /// Other resources are shared by several objects on purpose.
    #[must_use]
    pub fn is_handed_on(self) -> bool {
        matches!(self, Self::Port | Self::Address | Self::Name)
    }
}

/// A network that an object joins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JoinedNetwork {
    /// Name of the network.
    pub network: String,
    /// The fixed address of the object; none if the system gives it any address.
    pub address: Option<String>,
}

/// The addresses on which an object needs a resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// All addresses.
    #[default]
    Everywhere,
    /// One address, or all of its family if it is unspecified.
    At(IpAddr),
}

impl Scope {
    fn overlaps(self, other: Self) -> bool {
        let (Self::At(one), Self::At(other)) = (self, other) else {
            return true;
        };
        let is_any = one.is_unspecified() || other.is_unspecified();
        one == other || (is_any && one.is_ipv4() == other.is_ipv4())
    }
}

impl ExclusiveResource {
    /// Returns true if two objects cannot have these resources at the same time.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.key == other.key
            && self.scope.overlaps(other.scope)
            && !(self.is_shared && other.is_shared)
    }
}

/// Returns the first resource of one object that conflicts with another object.
#[must_use]
pub fn conflict<'e>(
    one: &'e [ExclusiveResource],
    other: &[ExclusiveResource],
) -> Option<&'e ExclusiveResource> {
    one.iter()
        .find(|mine| other.iter().any(|it| mine.conflicts_with(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: Option<&str>) -> ExclusiveResource {
        ExclusiveResource {
            kind: ResourceKind::Port,
            key: "80/tcp".to_owned(),
            scope: address.map_or(Scope::Everywhere, |it| Scope::At(it.parse().unwrap())),
            shown: "host port 80".to_owned(),
            is_shared: false,
        }
    }

    #[test]
    fn ports_conflict_if_their_addresses_overlap() {
        let clash = |one: Option<&str>, other: Option<&str>| {
            let [one, other] = [port(one), port(other)];
            assert_eq!(one.conflicts_with(&other), other.conflicts_with(&one));
            one.conflicts_with(&other)
        };
        assert!(clash(None, Some("127.0.0.1")));
        assert!(clash(Some("127.0.0.1"), Some("127.0.0.1")));
        assert!(clash(Some("0.0.0.0"), Some("127.0.0.1")));
        assert!(clash(Some("::"), Some("::1")));
        assert!(!clash(Some("127.0.0.1"), Some("127.0.0.2")));
        assert!(!clash(Some("0.0.0.0"), Some("::1")));
    }
}
