//! Bundled type libraries, and the files that a blueprint imports.
//!
//! The catalogs state facts (names, types, defaults, operations) of the published ones, so that
//! blueprints that import those by address need no network. Main function: [`load`].

mod imports;
mod merge;

pub use imports::load;

/// A catalog inside the binary.
pub(crate) struct Bundled {
    /// What it is, for diagnostics.
    pub name: &'static str,
    /// The edition.
    pub edition: &'static str,
    /// The address asks for exactly this edition.
    pub exact: bool,
    /// The text.
    pub text: &'static str,
}

/// Published addresses end in `spec/<product>/<edition>/<file>`.
const CATALOGS: [(&str, &str, &str, &str, &str); 2] = [
    ("cloudify", "types.yaml", "", "3.3.1", include_str!("types-3.3.1.yaml")),
    ("docker-plugin", "plugin.yaml", "1.", "1.3.2", include_str!("docker-plugin-1.3.2.yaml")),
];

/// The catalog for a published address, if there is one. Of another edition the nearest is given.
pub(crate) fn bundled(address: &str) -> Option<Bundled> {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"))?;
    let (host, path) = rest.split_once("/spec/")?;
    if !matches!(host.strip_prefix("www.").unwrap_or(host), "getcloudify.org" | "cloudify.co") {
        return None;
    }
    let [product, wanted, file] = path.split('/').collect::<Vec<_>>()[..] else { return None };
    let (_, name, _, edition, text) =
        CATALOGS.iter().find(|(p, f, editions, ..)| *p == product && *f == file && wanted.starts_with(editions))?;
    Some(Bundled { name, edition, exact: wanted == *edition, text })
}

/// Addresses that are bundled, for advice.
pub(crate) fn addresses() -> impl Iterator<Item = String> {
    CATALOGS.iter().map(|(product, file, _, edition, _)| format!("http://www.getcloudify.org/spec/{product}/{edition}/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_addresses_are_bundled() {
        for address in addresses() {
            assert!(bundled(&address).unwrap().exact, "{address}");
        }
        assert!(!bundled("https://cloudify.co/spec/cloudify/3.4/types.yaml").unwrap().exact);
        assert!(bundled("http://www.getcloudify.org/spec/docker-plugin/2.0.0/plugin.yaml").is_none());
        assert!(bundled("http://example.org/spec/cloudify/3.3.1/types.yaml").is_none());
    }
}
