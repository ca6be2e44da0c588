//! Resources that only one object can have at a time, such as host ports.

use ipnet::IpNet;
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
    /// The name of an object that can get another name.
    Name,
    /// The name of an object that keeps it until it is removed.
    FixedName,
    /// A subnet of a network.
    Subnet,
    /// The network of the host.
    HostNetwork,
    /// A volume or a directory.
    Mount,
}

impl ResourceKind {
    /// Returns true if another object can have the resource while its former holder is kept.
    #[must_use]
    pub fn is_handed_on(self) -> bool {
        matches!(self, Self::Port | Self::Address | Self::Name)
    }

    /// Returns true if another object can have the resource as soon as its holder is removed. Other
    /// resources are shared by several objects on purpose.
    #[must_use]
    pub fn is_freed(self) -> bool {
        self.is_handed_on() || matches!(self, Self::FixedName | Self::Subnet)
    }

    /// Returns true if an object has the resource from its creation, and not only while it runs.
    #[must_use]
    pub fn is_taken_at_creation(self) -> bool {
        matches!(self, Self::Name | Self::FixedName | Self::Subnet)
    }
}

/// A network that an object joins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JoinedNetwork {
    /// Name of the network.
    pub network: String,
    /// The fixed address of the object; none if the system gives it any address.
    pub address: Option<String>,
    /// The system gives the fixed address to no other object.
    pub is_reserved: bool,
}

/// The addresses on which an object needs a resource.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// All addresses.
    #[default]
    Everywhere,
    /// One address, or all of its family if it is unspecified.
    At(IpAddr),
    /// The addresses of a subnet.
    In(IpNet),
}

impl Scope {
    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Everywhere, _) | (_, Self::Everywhere) => true,
            (Self::At(one), Self::At(other)) => {
                let is_any = one.is_unspecified() || other.is_unspecified();
                one == other || (is_any && one.is_ipv4() == other.is_ipv4())
            }
            (Self::In(one), Self::In(other)) => one.contains(&other) || other.contains(&one),
            (Self::In(subnet), Self::At(address)) | (Self::At(address), Self::In(subnet)) => {
                subnet.contains(&address)
            }
        }
    }
}

impl ExclusiveResource {
    /// Returns an address on a network.
    #[must_use]
    pub fn address(address: String) -> Self {
        Self {
            kind: ResourceKind::Address,
            shown: format!("address {address}"),
            key: address,
            scope: Scope::default(),
            is_shared: false,
        }
    }

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

    #[test]
    fn subnets_conflict_if_they_have_an_address_in_common() {
        let clash = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|it| Scope::In(it.parse().unwrap()));
            assert_eq!(one.overlaps(other), other.overlaps(one));
            one.overlaps(other)
        };
        assert!(clash("10.7.0.0/16", "10.7.3.0/24"));
        assert!(clash("fd00::/64", "fd00::/64"));
        assert!(!clash("10.7.0.0/24", "10.7.1.0/24"));
        assert!(!clash("10.7.0.0/24", "fd00::/64"));
    }
}
