//! Platforms of images, such as `linux/arm64` or `linux/arm/v7`.

use crate::plugins::docker::declare::json::text;
use serde_json::{Value as Json, json};
use std::fmt;

/// Operating systems that a platform without a slash can name. Anything else is an architecture.
const SYSTEMS: [&str; 6] = ["linux", "windows", "darwin", "freebsd", "wasi", "solaris"];

/// Platform of an image, in the normal form of containerd: `x86_64` is `amd64`, and variants that
/// are the default are left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    /// Empty if the architecture has no variants, for its default one, or if it is unknown:
    /// configurations of images often name none.
    variant: String,
}

impl Platform {
    fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let [architecture, variant] = [architecture, variant].map(str::to_ascii_lowercase);
        let (architecture, variant) = normal_form(&architecture, &variant);
        Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// Parses `os/architecture/variant`. A missing system or architecture is that of the engine.
    pub(crate) fn parse(platform: &str, engine: &Self) -> Self {
        let mut parts = platform.split('/');
        let first = parts.next().unwrap_or_default();
        match (parts.next(), parts.next().unwrap_or_default()) {
            (Some(architecture), variant) => Self::new(first, architecture, variant),
            (None, _) if first.is_empty() => engine.clone(),
            (None, _) if SYSTEMS.contains(&first.to_ascii_lowercase().as_str()) => {
                Self::new(first, &engine.architecture, &engine.variant)
            }
            (None, _) => Self::new(&engine.os, first, ""),
        }
    }

    /// Reads the platform in the format of OCI, which is also that of an image's configuration.
    pub(crate) fn of_manifest(manifest: &Json) -> Self {
        let [os, architecture, variant] =
            ["os", "architecture", "variant"].map(|field| text(&manifest[field]));
        Self::new(os, architecture, variant)
    }

    /// Reads the platform of an inspected image.
    pub(crate) fn of_image(image: &Json) -> Self {
        let [os, architecture, variant] =
            ["Os", "Architecture", "Variant"].map(|field| text(&image[field]));
        Self::new(os, architecture, variant)
    }

    /// Reads the platform of an engine, from its `/version`.
    pub(crate) fn of_engine(version: &Json) -> Self {
        Self::new(text(&version["Os"]), text(&version["Arch"]), "")
    }

    /// Returns true if an image for this platform satisfies a request. A request without a variant
    /// accepts each, and an image without one satisfies each, as for engines.
    pub(crate) fn satisfies(&self, requested: &Self) -> bool {
        let is_open = requested.variant.is_empty() || self.variant.is_empty();
        self.os == requested.os
            && self.architecture == requested.architecture
            && (is_open || self.variant == requested.variant)
    }

    /// Returns true if the variant is the one that containerd prefers for the architecture.
    pub(crate) fn is_preferred_variant(&self) -> bool {
        match self.architecture.as_str() {
            "arm" => self.variant == "v7",
            _ => self.variant.is_empty(),
        }
    }

    /// Returns the platform in the format of OCI.
    pub(crate) fn to_json(&self) -> Json {
        let mut platform = json!({ "os": self.os, "architecture": self.architecture });
        if !self.variant.is_empty() {
            platform["variant"] = self.variant.as_str().into();
        }
        platform
    }
}

/// Returns architecture and variant as containerd compares them.
fn normal_form<'t>(architecture: &'t str, variant: &'t str) -> (&'t str, &'t str) {
    match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "7" | "v7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6" | "v6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.variant)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(platform: &str) -> Platform {
        Platform::parse(platform, &Platform::new("linux", "amd64", ""))
    }

    #[test]
    fn names_of_one_platform_are_equal() {
        for (one, other) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64/v8"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/v7", "linux/arm/7"),
            ("Linux/ARM64", "linux/arm64"),
            ("linux", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("", "linux/amd64"),
            ("windows", "windows/amd64"),
        ] {
            assert_eq!(parse(one), parse(other), "{one}");
        }
        assert_ne!(parse("linux/arm/v6"), parse("linux/arm/v7"));
        assert_eq!(parse("linux/arm64/v8").to_string(), "linux/arm64");
    }

    #[test]
    fn image_satisfies_a_request_without_its_variant() {
        let fits = |image: &str, requested: &str| parse(image).satisfies(&parse(requested));
        assert!(fits("linux/arm64", "linux/arm64"));
        assert!(fits("linux/amd64/v3", "linux/amd64"));
        assert!(
            fits("linux/amd64", "linux/amd64/v3"),
            "its variant is unknown"
        );
        assert!(fits("linux/arm", "linux/arm/v6"), "its variant is unknown");
        assert!(fits("linux/arm/v6", "linux/arm"));
        assert!(!fits("linux/arm/v7", "linux/arm/v6"));
        assert!(!fits("linux/amd64/v2", "linux/amd64/v3"));
        assert!(!fits("windows/amd64", "linux/amd64"));
    }

    #[test]
    fn platform_is_read_from_each_format() {
        let expected = parse("linux/arm/v6");
        let oci = json!({ "os": "linux", "architecture": "arm", "variant": "v6" });
        assert_eq!(Platform::of_manifest(&oci), expected);
        let image = json!({ "Os": "linux", "Architecture": "arm", "Variant": "v6" });
        assert_eq!(Platform::of_image(&image), expected);
        assert_eq!(expected.to_json(), oci);
        assert_eq!(
            Platform::of_engine(&json!({ "Os": "linux", "Arch": "arm64" })).to_json(),
            json!({ "os": "linux", "architecture": "arm64" })
        );
    }
}
