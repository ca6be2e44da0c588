//! Versions of the DSL.

use std::fmt;

/// A version of the DSL, the value of `tosca_definitions_version`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// `cloudify_dsl_1_0`.
    V1_0,
    /// `cloudify_dsl_1_1`.
    V1_1,
    /// `cloudify_dsl_1_2`.
    V1_2,
    /// `cloudify_dsl_1_3`.
    V1_3,
    /// `cloudify_dsl_1_4`.
    V1_4,
    /// `cloudify_dsl_1_5`.
    V1_5,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 6] = [
        Self::V1_0,
        Self::V1_1,
        Self::V1_2,
        Self::V1_3,
        Self::V1_4,
        Self::V1_5,
    ];

    /// The newest version.
    pub const LATEST: Self = Self::V1_5;

    /// Returns the name of the version in blueprints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "cloudify_dsl_1_0",
            Self::V1_1 => "cloudify_dsl_1_1",
            Self::V1_2 => "cloudify_dsl_1_2",
            Self::V1_3 => "cloudify_dsl_1_3",
            Self::V1_4 => "cloudify_dsl_1_4",
            Self::V1_5 => "cloudify_dsl_1_5",
        }
    }

    /// Parses the name of a version in a blueprint.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == name)
    }

    /// Returns the suffix of file names for this version, for example `1_3`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        &self.as_str()["cloudify_dsl_".len()..]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_round_trip() {
        assert!(
            Version::ALL
                .into_iter()
                .all(|version| Version::parse(version.as_str()) == Some(version))
        );
        assert_eq!(Version::parse("cloudify_dsl_1_3_0"), None);
        assert_eq!(Version::V1_3.suffix(), "1_3");
    }
}
