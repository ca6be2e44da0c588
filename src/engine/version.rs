//! Versions of the engine's API, and the one that dockctl speaks with an engine.

use std::fmt;

/// Oldest API version that dockctl supports, and the newest that it was checked with.
pub(crate) const OLDEST: Version = Version(1, 24);
pub(crate) const NEWEST: Version = Version(1, 52);

/// A version of the engine's API.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version(pub u32, pub u32);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// API versions that an engine supports, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supported {
    pub oldest: Version,
    pub newest: Version,
}

impl Supported {
    /// Returns the version to speak: the engine's newest, but at most [`NEWEST`]. If the engine
    /// supports only newer ones, its oldest is tried. `requested` is only a preference: blueprints
    /// name the version that was current when they were written.
    ///
    /// Returns `None` if the engine supports only versions before [`OLDEST`].
    pub(crate) fn choose(self, requested: Option<Version>) -> Option<Version> {
        if self.newest < OLDEST {
            return None;
        }
        let newest = self.newest.min(NEWEST).max(self.oldest);
        let range = self.oldest.max(OLDEST)..=newest;
        let preferred = requested.filter(|version| range.contains(version));
        Some(preferred.unwrap_or(newest))
    }

    /// Returns true if dockctl was not checked with any of these versions.
    pub(crate) fn are_unchecked(self) -> bool {
        self.oldest > NEWEST
    }
}

impl fmt::Display for Supported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version::parse("1.9") < Version::parse("1.41"));
        assert_eq!(Version::parse("x"), None);
    }

    #[test]
    fn newest_common_version_is_chosen() {
        let choose = |oldest, newest, requested: Option<u32>| {
            let supported = Supported {
                oldest: Version(1, oldest),
                newest: Version(1, newest),
            };
            let chosen = supported.choose(requested.map(|minor| Version(1, minor)));
            chosen.map(|version| version.1)
        };
        assert_eq!(choose(12, 41, None), Some(41));
        assert_eq!(choose(24, 51, None), Some(51));
        assert_eq!(choose(44, 60, None), Some(52));
        assert_eq!(choose(12, 24, None), Some(24));
        assert_eq!(choose(12, 23, None), None);
        assert_eq!(choose(24, 51, Some(30)), Some(30));
        assert_eq!(choose(44, 51, Some(30)), Some(51), "the engine is too new");
        assert_eq!(choose(24, 41, Some(52)), Some(41), "the engine is too old");
        assert_eq!(choose(12, 30, Some(20)), Some(30), "dockctl is too new");
    }

    #[test]
    fn oldest_version_of_a_newer_engine_is_tried() {
        let newer = Supported {
            oldest: Version(1, 53),
            newest: Version(1, 60),
        };
        assert!(newer.are_unchecked());
        assert_eq!(newer.choose(None), Some(Version(1, 53)));
        assert_eq!(newer.choose(Some(Version(1, 41))), Some(Version(1, 53)));
        let checked = Supported {
            oldest: NEWEST,
            newest: Version(1, 60),
        };
        assert!(!checked.are_unchecked());
    }
}
