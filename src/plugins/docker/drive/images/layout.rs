//! OCI image layouts: selecting an image.

use crate::{
    plugins::docker::{
        declare::image::GivenName,
        drive::images::{
            archive::{MANIFEST_LIMIT, invalid},
            saved::{Candidate, SavedImage, choose},
        },
    },
    printable::truncated,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Total size of the small files to keep while a layout is read, in bytes; layers are far larger.
const METADATA_LIMIT: u64 = 64 << 20;

/// Annotations with the name of an image. The first may be only a tag.
const NAMES: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// Selection of an image of a layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub platform: &'a str,
    pub name: Option<&'a GivenName>,
}

/// Reads the layout in a directory.
pub(crate) fn from_dir(directory: &Path, meant: Selection<'_>) -> io::Result<SavedImage> {
    if !directory.join("oci-layout").is_file() {
        return Err(invalid("the directory is not an OCI layout"));
    }
    resolve(meant, &mut |name| read(File::open(directory.join(name))?))
}

/// Reads the layout in an archive. Keeps all small files, because the index may come after the
/// files it refers to.
pub(crate) fn from_archive<R: Read>(
    open: impl Fn() -> io::Result<R>,
    meant: Selection<'_>,
) -> io::Result<SavedImage> {
    let mut small = HashMap::new();
    let mut kept = 0;
    for entry in tar::Archive::new(open()?).entries()? {
        let entry = entry?;
        let name = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        if entry.size() <= MANIFEST_LIMIT
            && kept + entry.size() <= METADATA_LIMIT
            && entry.header().entry_type().is_file()
        {
            kept += entry.size();
            if let Ok(json) = read(entry) {
                small.insert(name, json);
            }
        }
    }
    resolve(meant, &mut |name| {
        small
            .get(name)
            .cloned()
            .ok_or_else(|| invalid(format!("{name} is missing")))
    })
}

fn read(file: impl Read) -> io::Result<Json> {
    serde_json::from_reader(file.take(MANIFEST_LIMIT))
        .map_err(|error| invalid(format!("it contains a file that is not JSON ({error})")))
}

/// Returns the names of an index entry. A tag without a full name next to it is a tag of the
/// requested repository.
fn names_of(entry: &Json, meant: Selection<'_>) -> Vec<String> {
    let is_tag = |name: &&str| !name.contains(['/', ':']);
    let (tags, names): (Vec<&str>, Vec<&str>) = NAMES
        .iter()
        .filter_map(|name| entry["annotations"][*name].as_str())
        .partition(is_tag);
    match meant.name {
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
fn entries_by_name(index: &Json, meant: Selection<'_>) -> io::Result<Json> {
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    let mut all: BTreeMap<Vec<String>, Vec<Json>> = BTreeMap::new();
    for entry in entries.into_iter().filter(is_image) {
        all.entry(names_of(&entry, meant)).or_default().push(entry);
    }
    if all.is_empty() {
        return Ok(index.clone());
    }
    choose(
        all.into_iter()
            .map(|(names, same)| Candidate {
                names,
                image: json!({ "manifests": same }),
            })
            .collect(),
        meant.name,
    )
}

fn is_image(entry: &Json) -> bool {
    entry["platform"]["os"] != "unknown"
}

/// Follows the index to one image: the first for the platform, otherwise the only one.
fn resolve(
    meant: Selection<'_>,
    blob: &mut dyn FnMut(&str) -> io::Result<Json>,
) -> io::Result<SavedImage> {
    let platform = meant.platform;
    let mut index = entries_by_name(&blob("index.json")?, meant)?;
    // An index can refer to an index. Deeper nesting does not occur in practice.
    for _ in 0..4 {
        let all = index["manifests"].as_array().cloned().unwrap_or_default();
        let real: Vec<&Json> = all.iter().filter(|entry| is_image(entry)).collect();
        let fitting = real
            .iter()
            .find(|entry| is_for(&entry["platform"], platform));
        let is_twin = |entry: &Json, other: &Json| {
            other["platform"] == entry["platform"] && other["digest"] != entry["digest"]
        };
        let entry = match (&real[..], fitting) {
            ([], _) => return Err(invalid("its index contains no image")),
            (_, Some(entry)) if real.iter().any(|other| is_twin(entry, other)) => {
                return Err(invalid(format!(
                    "it contains several images of the same name for {platform}"
                )));
            }
            (_, Some(entry)) => *entry,
            ([only], None) => *only,
            _ => {
                return Err(invalid(format!(
                    "it contains several images, but none for {platform}: select one with `platform`"
                )));
            }
        };
        let name = path_of(&entry["digest"])?;
        let document = blob(&name)?;
        if document["layers"].is_array() {
            return layout(&document);
        }
        index = document;
    }
    Err(invalid("its index does not lead to an image"))
}

fn is_for(found: &Json, platform: &str) -> bool {
    let mut wanted = platform.split('/');
    let fits =
        |field: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| found[field] == wanted);
    found.is_object()
        && fits("os", wanted.next())
        && fits("architecture", wanted.next())
        && fits("variant", wanted.next())
}

fn layout(manifest: &Json) -> io::Result<SavedImage> {
    let layers: io::Result<Vec<String>> = manifest["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|layer| path_of(&layer["digest"]))
        .collect();
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
        select(platform, None, files)
    }

    fn select(platform: &str, name: Option<&GivenName>, files: &Json) -> io::Result<SavedImage> {
        resolve(Selection { platform, name }, &mut |name| {
            files
                .get(name)
                .cloned()
                .ok_or_else(|| invalid(format!("{name} is missing")))
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
                .contains("none for linux/s390x")
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
        });
        let of = |tag: Option<&str>| {
            let name = GivenName {
                repository: "shop".to_owned(),
                tag: tag.map(str::to_owned),
            };
            select("linux/amd64", Some(&name), &files).map_err(|error| error.to_string())
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
        });
        let name = repository.map(|repository| GivenName {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        });
        let found =
            select("linux/amd64", name.as_ref(), &files).map_err(|error| error.to_string())?;
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
    fn invalid_digest_is_rejected() {
        let files =
            json!({ "index.json": { "manifests": [{ "digest": "sha256:../../etc/passwd" }] } });
        assert_eq!(
            chosen("linux/amd64", &files).unwrap_err().to_string(),
            "`sha256:../../etc/passwd` is not a digest"
        );
    }
}
