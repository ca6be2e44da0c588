//! OCI image layouts: which image is meant, and the manifest that engines before 25 look for.

use super::archive::{MANIFEST_LIMIT, invalid};
use serde_json::{Value as Json, json};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

/// Small files that are kept while a layout is read, in all; blobs of layers are far larger.
const METADATA_LIMIT: u64 = 64 << 20;

/// What a layout comes to: one image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// `manifest.json` as `docker save` writes it.
    manifest: Json,
}

/// Reads the layout in a folder.
pub(super) fn of_folder(folder: &Path, platform: &str) -> io::Result<Layout> {
    if !folder.join("oci-layout").is_file() {
        return Err(invalid("it is a folder, and no OCI layout"));
    }
    choose(platform, &mut |name| read(File::open(folder.join(name))?))
}

/// Reads the layout in an archive, which is opened twice: the index may come after what it points to.
pub(super) fn of_archive<R: Read>(open: impl Fn() -> io::Result<R>, platform: &str) -> io::Result<Layout> {
    let mut small = HashMap::new();
    let mut kept = 0;
    for entry in tar::Archive::new(open()?).entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.size() <= MANIFEST_LIMIT && kept + entry.size() <= METADATA_LIMIT && entry.header().entry_type().is_file() {
            kept += entry.size();
            if let Ok(json) = read(entry) {
                small.insert(name, json);
            }
        }
    }
    choose(platform, &mut |name| small.get(name).cloned().ok_or_else(|| invalid(format!("it lacks {name}"))))
}

fn read(file: impl Read) -> io::Result<Json> {
    serde_json::from_reader(file.take(MANIFEST_LIMIT)).map_err(|error| invalid(format!("it holds what is no JSON ({error})")))
}

/// Follows the index to one image: the first for the platform, else the only one.
fn choose(platform: &str, blob: &mut dyn FnMut(&str) -> io::Result<Json>) -> io::Result<Layout> {
    let mut index = blob("index.json")?;
    // An index can point to an index; nobody nests them deeper than this.
    for _ in 0..4 {
        let all = index["manifests"].as_array().cloned().unwrap_or_default();
        let real: Vec<&Json> = all.iter().filter(|entry| entry["platform"]["os"] != "unknown").collect();
        let fitting = real.iter().find(|entry| is_for(&entry["platform"], platform));
        let entry = match (&real[..], fitting) {
            ([], _) => return Err(invalid("its index names no image")),
            (_, Some(entry)) => *entry,
            ([only], None) => *only,
            _ => return Err(invalid(format!("it holds several images and none of them is for {platform}: name one with `platform`"))),
        };
        let name = path_of(&entry["digest"])?;
        let document = blob(&name)?;
        if document["layers"].is_array() {
            return layout(&document);
        }
        index = document;
    }
    Err(invalid("its index leads nowhere"))
}

fn is_for(found: &Json, platform: &str) -> bool {
    let mut wanted = platform.split('/');
    let fits = |field: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| found[field] == wanted);
    found.is_object() && fits("os", wanted.next()) && fits("architecture", wanted.next()) && fits("variant", wanted.next())
}

fn layout(manifest: &Json) -> io::Result<Layout> {
    let layers: io::Result<Vec<String>> =
        manifest["layers"].as_array().into_iter().flatten().map(|layer| path_of(&layer["digest"])).collect();
    Ok(Layout { manifest: json!([{ "Config": path_of(&manifest["config"]["digest"])?, "RepoTags": [], "Layers": layers? }]) })
}

/// Where the layout keeps the content with a digest. What is no digest could lead anywhere.
fn path_of(digest: &Json) -> io::Result<String> {
    let digest = digest.as_str().unwrap_or_default();
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
    match digest.split_once(':') {
        Some((kind, hex)) if is_plain(kind) && is_plain(hex) => Ok(format!("blobs/{kind}/{hex}")),
        _ => Err(invalid(format!("`{digest}` in it is no digest"))),
    }
}

impl Layout {
    /// Writes an archive anew, with the manifest.
    pub(super) fn write_archive(&self, reader: impl Read, out: &mut dyn Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(out);
        for entry in tar::Archive::new(reader).entries()? {
            let entry = entry?;
            let path = entry.path()?.into_owned();
            let mut header = entry.header().clone();
            if header.entry_type().is_file() {
                builder.append_data(&mut header, path, entry)?;
            }
        }
        self.end(builder)
    }

    /// Writes the archive of a folder: the blobs that the manifest names.
    pub(super) fn write_folder(&self, folder: &Path, out: &mut dyn Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(out);
        let image = &self.manifest[0];
        let mut names: Vec<&str> =
            image["Layers"].as_array().into_iter().flatten().chain([&image["Config"]]).filter_map(Json::as_str).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            builder.append_path_with_name(folder.join(name), name)?;
        }
        self.end(builder)
    }

    fn end(&self, mut builder: tar::Builder<&mut dyn Write>) -> io::Result<()> {
        let text = self.manifest.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "manifest.json", text.as_bytes())?;
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(platform: &str, files: &Json) -> io::Result<Layout> {
        choose(platform, &mut |name| files.get(name).cloned().ok_or_else(|| invalid(format!("it lacks {name}"))))
    }

    #[test]
    fn the_image_for_the_platform_is_found_through_nested_indexes() {
        let entry = |digest: &str, architecture: &str| json!({ "digest": format!("sha256:{digest}"), "platform": { "os": "linux", "architecture": architecture } });
        let image = |config: &str| json!({ "config": { "digest": format!("sha256:{config}") }, "layers": [{ "digest": "sha256:l1" }] });
        let files = json!({
            "index.json": { "manifests": [{ "digest": "sha256:inner" }] },
            "blobs/sha256/inner": { "manifests": [entry("a", "arm64"), entry("b", "amd64"), { "digest": "sha256:x", "platform": { "os": "unknown" } }] },
            "blobs/sha256/a": image("c1"),
            "blobs/sha256/b": image("c2"),
        });
        let config = |platform: &str| chosen(platform, &files).unwrap().manifest[0]["Config"].clone();
        assert_eq!((config("linux/amd64"), config("linux/arm64")), (json!("blobs/sha256/c2"), json!("blobs/sha256/c1")));
        assert!(chosen("linux/s390x", &files).unwrap_err().to_string().contains("none of them is for linux/s390x"));
    }

    #[test]
    fn what_is_no_digest_leads_nowhere() {
        let files = json!({ "index.json": { "manifests": [{ "digest": "sha256:../../etc/passwd" }] } });
        assert_eq!(chosen("linux/amd64", &files).unwrap_err().to_string(), "`sha256:../../etc/passwd` in it is no digest");
    }
}
