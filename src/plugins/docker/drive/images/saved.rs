//! Saved images: selecting one from an archive, and the archive that is sent to the engine.
//!
//! An archive contains the names of its images. An engine that loads it assigns these names, and
//! takes them away from the images to which the user gave them. The archive that is sent therefore
//! contains no names; the image is tagged afterwards, as the blueprint declares.

use crate::{
    plugins::docker::{
        declare::{
            image::{GivenName, strip_registry},
            json::{list, strings, text},
            platform::Platform,
        },
        drive::images::{
            archive::{Files, invalid},
            variant::{Selection, Variant, select},
        },
    },
    printable::truncated,
};
use serde_json::{Value as Json, json};
use std::{
    io::{self, Read, Write},
    path::{Component, Path},
};

/// Most names in an error.
const MAX_LISTED: usize = 20;
/// Longest name in an error, in characters.
const MAX_NAME: usize = 200;
/// Files that list the images of an archive and their names.
const NAMING_FILES: [&str; 4] = ["manifest.json", "repositories", "index.json", "oci-layout"];

/// Image of an archive, with its names in that archive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate<T> {
    pub names: Vec<String>,
    pub image: T,
}

/// Selects an image of an archive: the only one, or the one with the given name.
///
/// # Errors
///
/// Returns an error if there are several images and no name is given, or if no image or several
/// images have it.
pub(crate) fn choose<T>(candidates: Vec<Candidate<T>>, given: Option<&GivenName>) -> io::Result<T> {
    let several = candidates.len() > 1;
    let mut names: Vec<String> = candidates
        .iter()
        .flat_map(|it| it.names.iter().map(|name| truncated(name, MAX_NAME)))
        .collect();
    names.extend(
        candidates
            .iter()
            .filter(|it| it.names.is_empty())
            .map(|_| "an image without a name".to_owned()),
    );
    let unclear = |why: &str| {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{why}: {}", list_names(&names)),
        ))
    };
    let Some(given) = given.filter(|_| several) else {
        return match candidates.into_iter().next() {
            Some(only) if !several => Ok(only.image),
            None => Err(invalid("it contains no image")),
            Some(_) => unclear("contains several images, but `repository` is not set"),
        };
    };
    let tag = given.tag.as_deref();
    let is_exact = |name: &String| is_named(name, &given.repository, Some(tag.unwrap_or("latest")));
    let is_of = |name: &String| is_named(name, &given.repository, tag);
    let count = |fits: &dyn Fn(&String) -> bool| {
        candidates
            .iter()
            .filter(|it| it.names.iter().any(fits))
            .count()
    };
    let separator = if tag.is_some_and(|tag| tag.contains(':')) {
        '@'
    } else {
        ':'
    };
    let wanted = tag.map_or_else(
        || given.repository.clone(),
        |tag| format!("{}{separator}{tag}", given.repository),
    );
    let exact = count(&is_exact) > 0;
    match count(&is_of) {
        _ if exact => Ok(first(candidates, is_exact)?),
        0 => unclear(&format!(
            "contains several images, but none is named `{wanted}`"
        )),
        1 => first(candidates, is_of),
        _ => unclear(&format!(
            "contains several images named `{wanted}`, but `tag` is not set"
        )),
    }
}

fn first<T>(candidates: Vec<Candidate<T>>, fits: impl Fn(&String) -> bool) -> io::Result<T> {
    let found = candidates.into_iter().find(|it| it.names.iter().any(&fits));
    found
        .map(|it| it.image)
        .ok_or_else(|| invalid("it does not contain the image"))
}

/// Returns true if a name belongs to a repository, and has the tag if one is given.
fn is_named(name: &str, repository: &str, tag: Option<&str>) -> bool {
    let (own, own_tag) = name
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .unwrap_or((name, "latest"));
    strip_registry(own) == strip_registry(repository) && tag.is_none_or(|tag| tag == own_tag)
}

fn list_names(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(MAX_LISTED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        all if all > MAX_LISTED => format!("found {shown} and {} more", all - MAX_LISTED),
        _ => format!("found {shown}"),
    }
}

/// Follows a `manifest.json` of `docker save` to one image.
pub(crate) fn resolve(
    manifest: &Json,
    meant: &Selection,
    files: &mut Files<'_>,
) -> io::Result<SavedImage> {
    let entries = choose(by_names(manifest), meant.name.as_ref())?;
    let variant = |entry: &Json| Variant {
        id: entry["Config"].to_string(),
        platform: Platform::of_manifest(&files(text(&entry["Config"])).unwrap_or_default()),
        image: SavedImage::new(&entry["Config"], &entry["Layers"]),
    };
    select(entries.into_iter().map(variant).collect(), meant)
}

/// Returns the images of a `manifest.json`. Entries with the same names are one image for several
/// platforms.
fn by_names(manifest: &Json) -> Vec<Candidate<Vec<&Json>>> {
    let mut all: Vec<Candidate<Vec<&Json>>> = Vec::new();
    for entry in list(manifest).filter(|entry| entry["Layers"].is_array()) {
        let names: Vec<String> = strings(&entry["RepoTags"]).map(str::to_owned).collect();
        let same = all
            .iter_mut()
            .find(|it| !names.is_empty() && it.names == names);
        match same {
            Some(same) => same.image.push(entry),
            None => all.push(Candidate {
                names,
                image: vec![entry],
            }),
        }
    }
    all
}

/// Image to send to an engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SavedImage {
    /// `manifest.json` as `docker save` writes it, without names.
    manifest: Json,
}

impl SavedImage {
    /// Creates an image from its configuration and layers, each a path in the archive.
    pub(crate) fn new(config: &Json, layers: &Json) -> Self {
        Self {
            manifest: json!([{ "Config": config, "RepoTags": [], "Layers": layers }]),
        }
    }

    /// Returns the ID of the image on an engine that names images by their configuration.
    pub(crate) fn id(&self) -> Option<String> {
        let config = self.manifest[0]["Config"].as_str()?;
        let name = config.rsplit('/').next()?.trim_end_matches(".json");
        let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| format!("sha256:{name}"))
    }

    /// Writes a copy of an archive without the files that name images. The manifest comes last, so
    /// that it overwrites any other entry with its path.
    pub(crate) fn write_archive(&self, reader: impl Read, out: &mut dyn Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(out);
        for entry in tar::Archive::new(reader).entries()? {
            let entry = entry?;
            let path = entry.path()?.into_owned();
            let mut header = entry.header().clone();
            match header.entry_type() {
                _ if names_images(&path) => {}
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry
                        .link_name()?
                        .ok_or_else(|| invalid("it contains a link without a target"))?
                        .into_owned();
                    builder.append_link(&mut header, path, target)?;
                }
                tar::EntryType::Directory => builder.append_data(&mut header, path, io::empty())?,
                kind if kind.is_file() => builder.append_data(&mut header, path, entry)?,
                _ => {}
            }
        }
        self.write_manifest(builder)
    }

    /// Writes an archive from a directory: the blobs that the manifest lists.
    pub(crate) fn write_dir(&self, directory: &Path, out: &mut dyn Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(out);
        let image = &self.manifest[0];
        let mut names: Vec<&str> = image["Layers"]
            .as_array()
            .into_iter()
            .flatten()
            .chain([&image["Config"]])
            .filter_map(Json::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            builder.append_path_with_name(directory.join(name), name)?;
        }
        self.write_manifest(builder)
    }

    fn write_manifest(&self, mut builder: tar::Builder<&mut dyn Write>) -> io::Result<()> {
        let text = self.manifest.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "manifest.json", text.as_bytes())?;
        builder.finish()
    }
}

/// Returns true if a path in an archive leads to a file that names images, regardless of its
/// spelling.
fn names_images(path: &Path) -> bool {
    let mut plain: Vec<&std::ffi::OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    matches!(&plain[..], [name] if NAMING_FILES.iter().any(|it| *name == *it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        images: &[&[&str]],
        repository: Option<&str>,
        tag: Option<&str>,
    ) -> Result<usize, String> {
        let of = |(image, names): (usize, &&[&str])| Candidate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            image,
        };
        let given = repository.map(|repository| GivenName {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        });
        choose(images.iter().enumerate().map(of).collect(), given.as_ref())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn image_is_selected_by_name() {
        let two: &[&[&str]] = &[&["a:x"], &["b:y", "docker.io/library/c:latest"]];
        assert_eq!(chosen(two, Some("b"), None), Ok(1));
        assert_eq!(chosen(two, Some("b"), Some("y")), Ok(1));
        assert_eq!(chosen(two, Some("c"), None), Ok(1));
        assert_eq!(chosen(two, Some("docker.io/library/a"), Some("x")), Ok(0));
        let error = chosen(two, Some("d"), None).unwrap_err();
        assert_eq!(
            error,
            "contains several images, but none is named `d`: found a:x, b:y, docker.io/library/c:latest"
        );
        assert!(
            chosen(two, Some("b"), Some("z"))
                .unwrap_err()
                .contains("none is named `b:z`")
        );
        assert!(
            chosen(two, None, None)
                .unwrap_err()
                .contains("`repository` is not set")
        );
        let tags: &[&[&str]] = &[&["a:1"], &["a:2"], &["a:latest"]];
        assert_eq!(
            chosen(tags, Some("a"), None),
            Ok(2),
            "a name without a tag means `latest`"
        );
        assert!(
            chosen(&tags[..2], Some("a"), None)
                .unwrap_err()
                .contains("`tag` is not set")
        );
        assert_eq!(
            chosen(
                &[&["reg:5000/a"], &["b"]],
                Some("reg:5000/a"),
                Some("latest")
            ),
            Ok(0)
        );
    }

    #[test]
    fn only_image_is_selected_without_a_name() {
        assert_eq!(chosen(&[&["a:x"]], Some("mine"), Some("1")), Ok(0));
        assert_eq!(chosen(&[&[]], None, None), Ok(0));
        assert!(chosen(&[], None, None).is_err());
        assert!(
            chosen(&[&[], &[]], Some("a"), None)
                .unwrap_err()
                .ends_with("found an image without a name, an image without a name")
        );
        assert!(
            !chosen(&[&["\u{1b}[31m"], &["b"]], Some("a"), None)
                .unwrap_err()
                .contains('\u{1b}')
        );
    }

    fn resolved(manifest: &Json, platform: &str, files: &Json) -> io::Result<SavedImage> {
        let engine = Platform::of_manifest(&json!({ "os": "linux", "architecture": "amd64" }));
        let platform = Platform::parse(platform, &engine);
        let meant = Selection {
            is_requested: platform != engine,
            platform,
            name: None,
        };
        resolve(manifest, &meant, &mut |name| {
            let file = files.get(name).cloned();
            file.ok_or_else(|| invalid(format!("{name} is missing")))
        })
    }

    #[test]
    fn images_of_one_name_are_told_by_their_platform() {
        let entry =
            |config: &str| json!({ "Config": config, "RepoTags": ["shop:1"], "Layers": [] });
        let manifest = json!([entry("a.json"), entry("b.json")]);
        let files = json!({
            "a.json": { "os": "linux", "architecture": "amd64" },
            "b.json": { "os": "linux", "architecture": "arm64" },
        });
        let image = |config: &str| SavedImage::new(&json!(config), &json!([]));
        let of = |platform: &str| {
            resolved(&manifest, platform, &files).map_err(|error| error.to_string())
        };
        assert_eq!(of("linux/amd64"), Ok(image("a.json")));
        assert_eq!(of("linux/arm64"), Ok(image("b.json")));
        let error = of("linux/s390x").unwrap_err();
        assert_eq!(
            error,
            "contains no image for linux/s390x: found linux/amd64, linux/arm64"
        );
    }

    #[test]
    fn only_image_must_be_for_the_requested_platform() {
        let manifest = json!([{ "Config": "a.json", "RepoTags": ["shop:1"], "Layers": [] }]);
        let files = json!({ "a.json": { "os": "linux", "architecture": "s390x" } });
        assert!(
            resolved(&manifest, "linux/amd64", &files).is_ok(),
            "not requested"
        );
        let error = resolved(&manifest, "linux/arm64", &files).unwrap_err();
        assert_eq!(
            error.to_string(),
            "contains no image for linux/arm64: found linux/s390x"
        );
    }

    #[test]
    fn archive_is_sent_without_names() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind: tar::EntryType, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            if kind.is_symlink() {
                header.set_link_name("../layer.tar").unwrap();
            }
            // The writer of the library rejects such paths.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, content).unwrap();
        };
        let manifest =
            br#"[{"Config": "c.json", "RepoTags": ["busybox:local"], "Layers": ["layer.tar"]}]"#;
        add("layer.tar", tar::EntryType::Regular, b"layer");
        add("other/layer.tar", tar::EntryType::Symlink, b"");
        add("repositories", tar::EntryType::Regular, b"{}");
        add("index.json", tar::EntryType::Regular, b"{}");
        add("./manifest.json", tar::EntryType::Regular, manifest);
        add("x/../manifest.json", tar::EntryType::Regular, manifest);
        add("manifest.json", tar::EntryType::Symlink, b"");
        let bytes = builder.into_inner().unwrap();
        let manifest = serde_json::from_slice(manifest).unwrap();
        let image = resolved(&manifest, "linux/amd64", &json!({})).unwrap();
        let mut out = Vec::new();
        image.write_archive(&bytes[..], &mut out).unwrap();
        let mut names = Vec::new();
        for entry in tar::Archive::new(&out[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            names.push((entry.path().unwrap().display().to_string(), text));
        }
        let sent = r#"[{"Config":"c.json","RepoTags":[],"Layers":["layer.tar"]}]"#;
        let of = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(
            names,
            [
                of("layer.tar", "layer"),
                of("other/layer.tar", ""),
                of("manifest.json", sent)
            ]
        );
    }
}
