//! OCI image layouts: the variants of the selected image.

use crate::{
    plugins::docker::{
        declare::{
            image::GivenName,
            json::{list, text},
            platform::Platform,
        },
        drive::images::{
            archive::{Files, invalid},
            saved::{Candidate, SavedImage, choose},
            variant::{Selection, Variant, select},
        },
    },
    printable::truncated,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
};

/// Annotations with the name of an image. The first may be only a tag.
const NAMES: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// Deepest nesting of indexes, and most entries in them. More does not occur in practice.
const MAX_DEPTH: usize = 4;
const MAX_ENTRIES: usize = 1000;

/// Follows the index of a layout to one image.
pub(crate) fn resolve(meant: &Selection, files: &mut Files<'_>) -> io::Result<SavedImage> {
    let index = files("index.json")?;
    let index = entries_by_name(&index, meant.name.as_ref())?;
    let mut variants = Variants::default();
    variants.add_all(&index, MAX_DEPTH, files);
    match (variants.found.is_empty(), variants.error) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(invalid("its index contains no image")),
        _ => select(variants.found, meant),
    }
}

/// The variants of an image that a layout contains. An index can list variants whose content was
/// left out.
#[derive(Default)]
struct Variants {
    found: Vec<Variant>,
    /// Digests of the entries that were read.
    read: HashSet<String>,
    /// First error of a variant that cannot be read.
    error: Option<io::Error>,
}

impl Variants {
    fn add_all(&mut self, index: &Json, depth: usize, files: &mut Files<'_>) {
        for entry in list(&index["manifests"]).filter(|entry| is_image(entry)) {
            if let Err(error) = self.add(entry, depth, files) {
                self.error.get_or_insert(error);
            }
        }
    }

    fn add(&mut self, entry: &Json, depth: usize, files: &mut Files<'_>) -> io::Result<()> {
        if !self.read.insert(text(&entry["digest"]).to_owned()) {
            return Ok(());
        }
        if self.read.len() > MAX_ENTRIES {
            return Err(invalid("its index has too many entries"));
        }
        let document = files(&path_of(&entry["digest"])?)?;
        if !document["layers"].is_array() {
            if depth == 0 {
                return Err(invalid("its index does not lead to an image"));
            }
            self.add_all(&document, depth - 1, files);
            return Ok(());
        }
        self.found.push(Variant {
            id: entry["digest"].to_string(),
            platform: platform(entry, &document, files)?,
            image: image(&document)?,
        });
        Ok(())
    }
}

/// Returns the platform of a variant: that of its entry, or of its configuration.
fn platform(entry: &Json, manifest: &Json, files: &mut Files<'_>) -> io::Result<Platform> {
    if entry["platform"].is_object() {
        return Ok(Platform::of_manifest(&entry["platform"]));
    }
    let config = files(&path_of(&manifest["config"]["digest"])?)?;
    Ok(Platform::of_manifest(&config))
}

/// Returns the names of an index entry. A tag without a full name next to it is a tag of the
/// requested repository.
fn names_of(entry: &Json, given: Option<&GivenName>) -> Vec<String> {
    let is_tag = |name: &&str| !name.contains(['/', ':']);
    let (tags, names): (Vec<&str>, Vec<&str>) = NAMES
        .iter()
        .filter_map(|name| entry["annotations"][*name].as_str())
        .partition(is_tag);
    match given {
        _ if !names.is_empty() => names.into_iter().map(str::to_owned).collect(),
        Some(given) => tags
            .into_iter()
            .map(|tag| format!("{}:{tag}", given.repository))
            .collect(),
        None => tags.into_iter().map(str::to_owned).collect(),
    }
}

/// Selects the entries of an index by name, if it contains several images. Entries with the same
/// names, or without names, are one image for several platforms. Attestations are not images.
fn entries_by_name(index: &Json, given: Option<&GivenName>) -> io::Result<Json> {
    let mut all: BTreeMap<Vec<String>, Vec<&Json>> = BTreeMap::new();
    for entry in list(&index["manifests"]).filter(|entry| is_image(entry)) {
        all.entry(names_of(entry, given)).or_default().push(entry);
    }
    if all.is_empty() {
        return Ok(index.clone());
    }
    choose(merged(all), given)
}

/// Returns one candidate for all entries with the same contents: an image has one entry for each of
/// its names.
fn merged(by_name: BTreeMap<Vec<String>, Vec<&Json>>) -> Vec<Candidate<Json>> {
    let mut by_content: BTreeMap<BTreeSet<&str>, Candidate<Json>> = BTreeMap::new();
    for (names, entries) in by_name {
        let digests = entries.iter().map(|entry| text(&entry["digest"]));
        let same = by_content.entry(digests.collect());
        let candidate = same.or_insert_with(|| Candidate {
            names: Vec::new(),
            image: json!({ "manifests": entries }),
        });
        candidate.names.extend(names);
    }
    by_content.into_values().collect()
}

fn is_image(entry: &Json) -> bool {
    entry["platform"]["os"] != "unknown"
}

fn image(manifest: &Json) -> io::Result<SavedImage> {
    let layers = list(&manifest["layers"]).map(|layer| path_of(&layer["digest"]));
    let layers: io::Result<Vec<String>> = layers.collect();
    Ok(SavedImage::new(
        &path_of(&manifest["config"]["digest"])?.into(),
        &layers?.into(),
    ))
}

/// Returns the path of the content with a digest. Anything but a digest could point outside the
/// layout.
fn path_of(digest: &Json) -> io::Result<String> {
    let digest = digest.as_str().unwrap_or_default();
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
    match digest.split_once(':') {
        Some((kind, hex)) if is_plain(kind) && is_plain(hex) => Ok(format!("blobs/{kind}/{hex}")),
        _ => Err(invalid(format!(
            "`{}` is not a digest",
            truncated(digest, 100)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(platform: &str, files: &Json) -> io::Result<SavedImage> {
        named(platform, None, files)
    }

    fn named(platform: &str, name: Option<&GivenName>, files: &Json) -> io::Result<SavedImage> {
        let engine = Platform::of_manifest(&json!({ "os": "linux", "architecture": "amd64" }));
        let platform = Platform::parse(platform, &engine);
        let meant = Selection {
            is_requested: platform != engine,
            platform,
            name: name.cloned(),
        };
        resolve(&meant, &mut |name| {
            let file = files.get(name).cloned();
            file.ok_or_else(|| invalid(format!("{name} is missing")))
        })
    }

    #[test]
    fn image_for_platform_is_found_in_nested_indexes() {
        let entry = |digest: &str, architecture: &str| json!({ "digest": format!("sha256:{digest}"), "platform": { "os": "linux", "architecture": architecture } });
        let image = |config: &str| json!({ "config": { "digest": format!("sha256:{config}") }, "layers": [{ "digest": "sha256:l1" }] });
        let files = json!({
            "index.json": { "manifests": [{ "digest": "sha256:inner" }] },
            "blobs/sha256/inner": { "manifests": [entry("a", "arm64"), entry("b", "amd64"), { "digest": "sha256:x", "platform": { "os": "unknown" } }] },
            "blobs/sha256/a": image("c1"),
            "blobs/sha256/b": image("c2"),
        });
        let image = |config: &str| {
            SavedImage::new(
                &json!(format!("blobs/sha256/{config}")),
                &json!(["blobs/sha256/l1"]),
            )
        };
        assert_eq!(chosen("linux/amd64", &files).unwrap(), image("c2"));
        assert_eq!(chosen("linux/arm64", &files).unwrap(), image("c1"));
        assert!(
            chosen("linux/s390x", &files)
                .unwrap_err()
                .to_string()
                .contains("contains no image for linux/s390x: found linux/arm64, linux/amd64")
        );
    }

    #[test]
    fn image_is_selected_by_name() {
        let entry = |digest: &str, note: &str, name: &str| json!({ "digest": format!("sha256:{digest}"), "annotations": { note: name } });
        let image = |config: &str| json!({ "config": { "digest": format!("sha256:{config}") }, "layers": [] });
        let files = json!({
            "index.json": { "manifests": [entry("a", NAMES[0], "1"), entry("b", NAMES[1], "docker.io/library/shop:2")] },
            "blobs/sha256/a": image("c1"),
            "blobs/sha256/b": image("c2"),
            "blobs/sha256/c1": { "os": "linux", "architecture": "amd64" },
            "blobs/sha256/c2": { "os": "linux", "architecture": "amd64" },
        });
        let of = |tag: Option<&str>| {
            let name = GivenName {
                repository: "shop".to_owned(),
                tag: tag.map(str::to_owned),
            };
            named("linux/amd64", Some(&name), &files).map_err(|error| error.to_string())
        };
        let image =
            |config: &str| SavedImage::new(&json!(format!("blobs/sha256/{config}")), &json!([]));
        assert_eq!(
            (of(Some("1")), of(Some("2"))),
            (Ok(image("c1")), Ok(image("c2")))
        );
        assert!(
            of(Some("3"))
                .unwrap_err()
                .contains("none is named `shop:3`")
        );
        assert!(of(None).unwrap_err().contains("`tag` is not set"));
        assert!(
            chosen("linux/amd64", &files)
                .unwrap_err()
                .to_string()
                .contains("`repository` is not set")
        );
    }

    /// Returns the configuration of the selected image, or the error.
    fn config_of(
        entries: &[Json],
        repository: Option<&str>,
        tag: Option<&str>,
    ) -> Result<String, String> {
        let image = |config: &str| json!({ "config": { "digest": format!("sha256:{config}") }, "layers": [] });
        let files = json!({
            "index.json": { "manifests": entries },
            "blobs/sha256/a": image("c1"), "blobs/sha256/b": image("c2"),
            "blobs/sha256/c1": { "os": "linux", "architecture": "amd64" },
            "blobs/sha256/c2": { "os": "linux", "architecture": "amd64" },
        });
        let name = repository.map(|repository| GivenName {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        });
        let found =
            named("linux/amd64", name.as_ref(), &files).map_err(|error| error.to_string())?;
        let is = |config: &str| {
            found == SavedImage::new(&json!(format!("blobs/sha256/{config}")), &json!([]))
        };
        Ok(["c1", "c2"]
            .into_iter()
            .find(|config| is(config))
            .unwrap_or_default()
            .to_owned())
    }

    #[test]
    fn tag_next_to_full_name_belongs_to_that_name() {
        let entry = |digest: &str, name: &str| json!({ "digest": format!("sha256:{digest}"), "annotations": { NAMES[0]: "1", NAMES[1]: name } });
        let entries = [
            entry("a", "docker.io/library/oa:1"),
            entry("b", "docker.io/library/ob:1"),
        ];
        assert_eq!(
            config_of(&entries, Some("ob"), Some("1")).as_deref(),
            Ok("c2")
        );
        let error = config_of(&entries, Some("oz"), Some("1")).unwrap_err();
        assert!(
            error.contains(
                "none is named `oz:1`: found docker.io/library/oa:1, docker.io/library/ob:1"
            ),
            "{error}"
        );
    }

    #[test]
    fn unnamed_image_does_not_match_a_name() {
        let amd64 = json!({ "os": "linux", "architecture": "amd64" });
        let entries = [
            json!({ "digest": "sha256:a", "platform": amd64 }),
            json!({ "digest": "sha256:b", "platform": amd64, "annotations": { NAMES[0]: "ob:1" } }),
        ];
        assert_eq!(
            config_of(&entries, Some("ob"), Some("1")).as_deref(),
            Ok("c2")
        );
        assert!(
            config_of(&entries, Some("zzz"), Some("1"))
                .unwrap_err()
                .contains("none is named `zzz:1`")
        );
        assert!(
            config_of(&entries, None, None)
                .unwrap_err()
                .contains("`repository` is not set")
        );
    }

    #[test]
    fn ambiguous_images_are_reported() {
        let entry = |digest: &str| json!({ "digest": format!("sha256:{digest}"), "platform": { "os": "linux", "architecture": "amd64" }, "annotations": { NAMES[0]: "ob:1" } });
        assert!(
            config_of(&[entry("a"), entry("b")], Some("ob"), Some("1"))
                .unwrap_err()
                .contains("several images of the same name")
        );
        assert_eq!(
            config_of(&[entry("a"), entry("a")], Some("ob"), Some("1")).as_deref(),
            Ok("c1")
        );
    }

    #[test]
    fn platform_is_that_of_the_configuration_if_the_index_names_none() {
        let image = |config: &str| json!({ "config": { "digest": format!("sha256:{config}") }, "layers": [] });
        let files = json!({
            "index.json": { "manifests": [{ "digest": "sha256:a" }, { "digest": "sha256:b" }] },
            "blobs/sha256/a": image("c1"), "blobs/sha256/b": image("c2"),
            "blobs/sha256/c1": { "os": "linux", "architecture": "amd64" },
            "blobs/sha256/c2": { "os": "linux", "architecture": "arm64" },
        });
        let image =
            |config: &str| SavedImage::new(&json!(format!("blobs/sha256/{config}")), &json!([]));
        assert_eq!(chosen("linux/amd64", &files).unwrap(), image("c1"));
        assert_eq!(chosen("linux/arm64", &files).unwrap(), image("c2"));
    }

    #[test]
    fn variant_without_content_is_left_out() {
        let entry = |digest: &str, architecture: &str| json!({ "digest": format!("sha256:{digest}"), "platform": { "os": "linux", "architecture": architecture } });
        let files = json!({
            "index.json": { "manifests": [entry("a", "amd64"), entry("b", "arm64")] },
            "blobs/sha256/b": { "config": { "digest": "sha256:c" }, "layers": [] },
        });
        let image = SavedImage::new(&json!("blobs/sha256/c"), &json!([]));
        assert_eq!(chosen("linux/arm64", &files).unwrap(), image);
        assert_eq!(
            chosen("linux/amd64", &files).unwrap(),
            image,
            "the only one"
        );
        let error = chosen("linux/s390x", &files).unwrap_err().to_string();
        assert_eq!(
            error,
            "contains no image for linux/s390x: found linux/arm64"
        );
    }

    #[test]
    fn image_with_two_names_is_one_image() {
        let entry = |name: &str| json!({ "digest": "sha256:a", "annotations": { NAMES[0]: name } });
        let entries = [entry("oa:1"), entry("oa:latest")];
        for name in [None, Some("mine"), Some("oa")] {
            assert_eq!(config_of(&entries, name, None).as_deref(), Ok("c1"));
        }
    }

    #[test]
    fn index_that_contains_itself_ends() {
        let entry = |digest: &str| json!({ "digest": format!("sha256:{digest}") });
        let many: Vec<Json> = (0..2000).map(|n| entry(&n.to_string())).collect();
        let files = json!({
            "index.json": { "manifests": [entry("a"), entry("b")] },
            "blobs/sha256/a": { "manifests": [entry("a"), entry("b")] },
            "blobs/sha256/b": { "manifests": many },
        });
        assert!(chosen("linux/amd64", &files).is_err());
    }

    #[test]
    fn invalid_digest_is_rejected() {
        let files =
            json!({ "index.json": { "manifests": [{ "digest": "sha256:../../etc/passwd" }] } });
        assert_eq!(
            chosen("linux/amd64", &files).unwrap_err().to_string(),
            "`sha256:../../etc/passwd` is not a digest"
        );
    }
}
