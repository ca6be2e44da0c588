//! Type libraries inside the binary, found by the addresses and names that blueprints import.

use crate::syntax::Version;

/// A type library inside the binary.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Catalog {
    /// Product that the types belong to.
    pub family: Family,
    /// The edition.
    pub edition: &'static str,
    /// Oldest version of the DSL that supports all of it.
    pub since: Version,
    /// The text.
    pub text: &'static str,
}

/// Product that the types of a library belong to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Family {
    Types,
    Docker,
    Swarm,
    Kubernetes,
    Script,
    Dockctl,
}

impl Catalog {
    /// Returns the name of the family, for people.
    pub(crate) fn family_name(&self) -> &'static str {
        if self.family == Family::Types {
            "types"
        } else {
            self.family.product()
        }
    }
}

impl Family {
    const ALL: [Self; 6] = [
        Self::Types,
        Self::Docker,
        Self::Swarm,
        Self::Kubernetes,
        Self::Script,
        Self::Dockctl,
    ];

    /// Returns the product in published addresses: `spec/PRODUCT/EDITION/FILE`.
    fn product(self) -> &'static str {
        match self {
            Self::Types => "cloudify",
            Self::Docker => "docker-plugin",
            Self::Swarm => "swarm-plugin",
            Self::Kubernetes => "kubernetes-plugin",
            Self::Script => "script-plugin",
            Self::Dockctl => "dockctl",
        }
    }
}

macro_rules! catalogs {
    ($($family:ident $edition:literal $since:ident $path:literal;)+) => {
        const CATALOGS: &[Catalog] =
            &[$(Catalog { family: Family::$family, edition: $edition, since: Version::$since, text: include_str!($path) },)+];
    };
}

// Oldest first. Editions that differ only in their number share a text.
catalogs! {
    Types "3.2.1" V1_0 "types/3.2.1.yaml";
    Types "3.3.1" V1_2 "types/3.3.1.yaml";
    Types "3.4" V1_3 "types/3.4.yaml";
    Types "4.0" V1_3 "types/4.0.yaml";
    Types "4.1" V1_3 "types/4.0.yaml";
    Types "4.2" V1_3 "types/4.2.yaml";
    Types "4.3.3" V1_3 "types/4.3.3.yaml";
    Types "4.4" V1_3 "types/4.4.yaml";
    Types "4.5" V1_3 "types/4.5.yaml";
    Types "4.6" V1_3 "types/4.6.yaml";
    Types "5.0.5" V1_3 "types/5.0.5.yaml";
    Types "5.1.0" V1_3 "types/5.1.0.yaml";
    Types "5.1.1" V1_3 "types/5.1.0.yaml";
    Types "5.2.0" V1_3 "types/5.2.0.yaml";
    Types "6.1.0" V1_3 "types/6.1.0.yaml";
    Types "6.2.0" V1_3 "types/6.1.0.yaml";
    Types "6.3.0" V1_3 "types/6.3.0.yaml";
    Types "6.3.1" V1_3 "types/6.3.1.yaml";
    Types "7.0.0" V1_5 "types/latest.yaml";
    Docker "1.1" V1_0 "docker/1.1.yaml";
    Docker "1.2" V1_0 "docker/1.2.yaml";
    Docker "1.2.1" V1_0 "docker/1.2.1.yaml";
    Docker "1.3" V1_2 "docker/1.3.yaml";
    Docker "1.3.1" V1_2 "docker/1.3.1.yaml";
    Docker "1.3.2" V1_2 "docker/1.3.2.yaml";
    Docker "2.0.16" V1_2 "docker/2.0.16.yaml";
    Swarm "1.0" V1_2 "swarm/1.0.yaml";
    Kubernetes "2.13" V1_2 "kubernetes/2.13.yaml";
    Script "1.5.4" V1_0 "script/1.5.4.yaml";
    Dockctl "0.1" V1_0 "dockctl/0.1.yaml";
}

/// The types imported by name: the newest ones, and variants for one version of the DSL.
const LATEST_TYPES: Catalog = Catalog {
    family: Family::Types,
    edition: "7.0.0",
    since: Version::V1_5,
    text: include_str!("types/latest.yaml"),
};
const TYPES_1_3: Catalog = Catalog {
    family: Family::Types,
    edition: "dsl_1_3",
    since: Version::V1_3,
    text: include_str!("types/dsl_1_3.yaml"),
};
const TYPES_1_4: Catalog = Catalog {
    family: Family::Types,
    edition: "dsl_1_4",
    since: Version::V1_4,
    text: include_str!("types/dsl_1_4.yaml"),
};
/// The swarm types of which a published blueprint contains a copy, imported by a relative name.
const SWARM_COPY: Catalog = Catalog {
    family: Family::Swarm,
    edition: "blueprint",
    since: Version::V1_2,
    text: include_str!("swarm/blueprint.yaml"),
};

/// A library that was found.
pub(crate) struct Found {
    pub catalog: Catalog,
    /// It is the requested edition.
    pub is_exact: bool,
}

/// Returns the library for a published address:
/// `http(s)://[www.]getcloudify.org/spec/PRODUCT/EDITION/FILE`.
pub(crate) fn by_address(address: &str, version: Version) -> Option<Found> {
    let rest = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))?;
    let (host, path) = rest.split_once("/spec/")?;
    if !matches!(
        host.strip_prefix("www.").unwrap_or(host),
        "getcloudify.org" | "cloudify.co" | "repository.cloudifysource.org/cloudify"
    ) {
        return None;
    }
    let [product, requested, file] = path.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let family = Family::ALL
        .into_iter()
        .find(|family| family.product() == product)?;
    let stem = file.strip_suffix(".yaml")?;
    (family != Family::Types || stem.starts_with("types"))
        .then(|| nearest(family, requested, version))
}

/// Returns the library for a name that a Cloudify Manager would serve: `cloudify/types/types.yaml`,
/// or for one version of the DSL `types_1_3.yaml`. A name without a version depends on the version
/// of the blueprint.
pub(crate) fn by_name(name: &str, version: Version) -> Option<Found> {
    let catalog = match (name, version) {
        ("cloudify/types/types_1_3.yaml", _) | ("cloudify/types/types.yaml", Version::V1_3) => {
            TYPES_1_3
        }
        ("cloudify/types/types_1_4.yaml", _) | ("cloudify/types/types.yaml", Version::V1_4) => {
            TYPES_1_4
        }
        ("cloudify/types/types.yaml", Version::V1_5) => LATEST_TYPES,
        // Older versions had no library of this name.
        ("cloudify/types/types.yaml", _) => return Some(nearest(Family::Types, "", version)),
        ("imports/swarm-plugin.yaml" | "cloudify-swarm-plugin/plugin.yaml", _) => SWARM_COPY,
        _ => return None,
    };
    Some(Found {
        catalog,
        is_exact: true,
    })
}

/// Returns the library of a plugin: `cloudify-docker-plugin?version=1.3.2`. Without a version,
/// returns the newest one that the blueprint can use.
pub(crate) fn by_plugin(plugin: &str, version: Version) -> Option<Found> {
    let (name, query) = plugin.split_once('?').unwrap_or((plugin, ""));
    let product = name.strip_prefix("cloudify-").unwrap_or(name);
    let family = Family::ALL
        .into_iter()
        .find(|family| *family != Family::Types && family.product() == product)?;
    let requested = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("version="));
    match requested {
        // Comma-separated rules such as `>=2.0,<3`: the newest edition that matches.
        Some(rules) if rules.starts_with(['<', '>', '=', '!', '~']) => {
            let fitting = usable(family, version).into_iter().rfind(|catalog| {
                rules
                    .split(',')
                    .all(|rule| satisfies(catalog.edition, rule.trim()))
            });
            Some(fitting.map_or_else(
                || nearest(family, "", version),
                |catalog| Found {
                    catalog: *catalog,
                    is_exact: true,
                },
            ))
        }
        Some(requested) => Some(nearest(family, requested, version)),
        None => Some(Found {
            is_exact: true,
            ..nearest(family, "", version)
        }),
    }
}

fn editions(family: Family) -> impl Iterator<Item = &'static Catalog> {
    CATALOGS
        .iter()
        .filter(move |catalog| catalog.family == family)
}

/// Returns the editions that need no newer version of the DSL than the blueprint declares, or all
/// editions if no edition qualifies.
fn usable(family: Family, version: Version) -> Vec<&'static Catalog> {
    let all: Vec<&Catalog> = editions(family)
        .filter(|catalog| catalog.since <= version)
        .collect();
    if all.is_empty() {
        editions(family).collect()
    } else {
        all
    }
}

/// Returns the requested edition, else the newest older edition of the same major version, else the
/// nearest one. A request without a number, such as `latest`, returns the newest edition.
fn nearest(family: Family, requested: &str, version: Version) -> Found {
    if let Some(catalog) = editions(family).find(|catalog| catalog.edition == requested) {
        return Found {
            catalog: *catalog,
            is_exact: true,
        };
    }
    let all = usable(family, version);
    let key = numbers(requested);
    let with_prefix = all
        .iter()
        .find(|catalog| numbers(catalog.edition).starts_with(&key) && !key.is_empty());
    let major = |catalog: &&&Catalog| numbers(catalog.edition).first() == key.first();
    let older = |catalog: &&&Catalog| key.is_empty() || numbers(catalog.edition) <= key;
    let found = with_prefix
        .or_else(|| all.iter().rev().filter(major).find(older))
        .or_else(|| all.iter().find(major))
        .or_else(|| all.iter().rev().find(older))
        .unwrap_or(&all[0]);
    Found {
        catalog: **found,
        is_exact: false,
    }
}

fn numbers(edition: &str) -> Vec<u64> {
    edition
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn satisfies(edition: &str, rule: &str) -> bool {
    let requested = rule.trim_start_matches(['<', '>', '=', '!', '~']);
    let (edition, number) = (numbers(edition), numbers(requested));
    match &rule[..rule.len() - requested.len()] {
        ">=" | "~=" => edition >= number,
        "<=" => edition <= number,
        ">" => edition > number,
        "<" => edition < number,
        "!=" => edition != number,
        _ => edition == number,
    }
}

/// Returns one bundled address of each family, for hints.
pub(crate) fn examples() -> impl Iterator<Item = String> {
    Family::ALL.into_iter().filter_map(|family| {
        let newest = editions(family).last()?;
        let file = if family == Family::Types {
            "types.yaml"
        } else {
            "plugin.yaml"
        };
        Some(format!(
            "http://www.getcloudify.org/spec/{}/{}/{file}",
            family.product(),
            newest.edition
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str) -> (&'static str, bool) {
        let found = by_address(address, Version::V1_5).unwrap();
        (found.catalog.edition, found.is_exact)
    }

    #[test]
    fn published_addresses_are_bundled() {
        assert_eq!(
            found("http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml"),
            ("3.3.1", true)
        );
        assert_eq!(
            found("https://cloudify.co/spec/cloudify/3.4.2/types.yaml"),
            ("3.4", false)
        );
        assert_eq!(
            found("http://getcloudify.org/spec/cloudify/3.0/types.yaml"),
            ("3.2.1", false)
        );
        assert_eq!(
            found("http://getcloudify.org/spec/cloudify/4.3/types.yaml"),
            ("4.3.3", false)
        );
        assert_eq!(
            found("http://www.getcloudify.org/spec/cloudify/6.4/types.yaml"),
            ("6.3.1", false)
        );
        assert_eq!(
            found("http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml"),
            ("1.3.2", true)
        );
        assert_eq!(
            found("http://www.getcloudify.org/spec/docker-plugin/2.0.0/plugin.yaml"),
            ("2.0.16", false)
        );
        assert!(
            by_address(
                "http://example.org/spec/cloudify/3.3.1/types.yaml",
                Version::V1_5
            )
            .is_none()
        );
        assert!(
            by_address(
                "http://www.getcloudify.org/spec/aws-plugin/1.4/plugin.yaml",
                Version::V1_5
            )
            .is_none()
        );
        assert!(examples().all(|address| by_address(&address, Version::V1_5).unwrap().is_exact));
    }

    #[test]
    fn plugins_are_found_by_name_and_version() {
        let edition =
            |plugin: &str| by_plugin(plugin, Version::V1_5).map(|found| found.catalog.edition);
        assert_eq!(edition("cloudify-docker-plugin"), Some("2.0.16"));
        assert_eq!(
            edition("cloudify-docker-plugin?version=1.3.1"),
            Some("1.3.1")
        );
        assert_eq!(
            edition("cloudify-docker-plugin?version=>=1.0,<2.0&distribution=centos"),
            Some("1.3.2")
        );
        assert_eq!(edition("cloudify-kubernetes-plugin"), Some("2.13"));
        assert_eq!(
            edition("cloudify-docker-plugin?version=latest"),
            Some("2.0.16")
        );
        assert_eq!(edition("cloudify-aws-plugin"), None);
        let old = by_plugin("cloudify-docker-plugin", Version::V1_0).unwrap();
        assert_eq!((old.catalog.edition, old.is_exact), ("1.2.1", true));
    }

    #[test]
    fn substitutes_need_no_newer_dsl_version() {
        let edition = |version| {
            by_address(
                "http://getcloudify.org/spec/cloudify/master/types.yaml",
                version,
            )
            .unwrap()
            .catalog
            .edition
        };
        assert_eq!(
            (
                edition(Version::V1_0),
                edition(Version::V1_3),
                edition(Version::V1_5)
            ),
            ("3.2.1", "6.3.1", "7.0.0")
        );
    }

    #[test]
    fn type_names_resolve_by_dsl_version() {
        let edition =
            |name: &str, version| by_name(name, version).map(|found| found.catalog.edition);
        assert_eq!(
            edition("cloudify/types/types.yaml", Version::V1_3),
            Some("dsl_1_3")
        );
        assert_eq!(
            edition("cloudify/types/types.yaml", Version::V1_5),
            Some("7.0.0")
        );
        assert_eq!(
            edition("cloudify/types/types.yaml", Version::V1_2),
            Some("3.3.1")
        );
        assert_eq!(edition("types.yaml", Version::V1_5), None);
    }
}
