//! Images for one or several platforms, made without an engine.

use super::tarball;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image with one variant for each platform, all with the root file system of the demo image.
/// The label `made-for` of a variant is its platform.
pub(crate) struct OciImage {
    /// Contents that the manifests refer to.
    blobs: Vec<Vec<u8>>,
    manifests: Vec<Vec<u8>>,
    /// Entries of the index, one for each manifest.
    entries: Vec<Json>,
}

/// Returns the digest of a content, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn descriptor(media_type: &str, content: &[u8]) -> Json {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sha256(content)), "size": content.len() })
}

impl OciImage {
    /// Makes an image. `unique` makes its variants differ from those of other tests.
    pub(crate) fn new(unique: &str, platforms: &[&str]) -> Self {
        let layer = fs::read(tarball()).expect("read the demo image");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&layer).expect("compress the layer");
        let compressed = gzip.finish().expect("compress the layer");
        let mut image = Self {
            blobs: vec![compressed.clone()],
            manifests: Vec::new(),
            entries: Vec::new(),
        };
        for platform in platforms {
            image.add(unique, platform, &layer, &compressed);
        }
        image
    }

    fn add(&mut self, unique: &str, platform: &str, layer: &[u8], compressed: &[u8]) {
        let (os, architecture) = platform.split_once('/').expect("a platform");
        let config = json!({
            "os": os, "architecture": architecture,
            "config": { "Labels": { "made-for": platform, "unique": unique } },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(layer))] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", compressed)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        self.entries.push(entry);
        self.blobs.push(config);
        self.manifests.push(manifest);
    }

    fn index(&self) -> Vec<u8> {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries });
        index.to_string().into_bytes()
    }

    /// Returns the files of an OCI layout, by path. A name becomes the annotation
    /// `org.opencontainers.image.ref.name`.
    pub(crate) fn layout(&self, name: Option<&str>) -> Vec<(String, Vec<u8>)> {
        let index = self.index();
        let mut entry = descriptor(INDEX, &index);
        if let Some(name) = name {
            entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        let root = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        let version = br#"{"imageLayoutVersion": "1.0.0"}"#;
        let mut files = vec![
            ("oci-layout".to_owned(), version.to_vec()),
            ("index.json".to_owned(), root.to_string().into_bytes()),
        ];
        let blobs = self.blobs.iter().chain(&self.manifests).chain([&index]);
        files.extend(blobs.map(|blob| (format!("blobs/sha256/{}", sha256(blob)), blob.clone())));
        files
    }

    /// Writes the layout to a tarball.
    pub(crate) fn write_archive(&self, name: Option<&str>, path: &Path) {
        let mut archive = tar::Builder::new(fs::File::create(path).expect("create the archive"));
        for (name, content) in self.layout(name) {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let added = archive.append_data(&mut header, name, &content[..]);
            added.expect("write the archive");
        }
        archive.finish().expect("write the archive");
    }

    /// Pushes all variants to a registry at an address such as `127.0.0.1:5000`.
    pub(crate) fn push(&self, registry: &str, repository: &str, tag: &str) {
        for blob in &self.blobs {
            let path = format!("/v2/{repository}/blobs/uploads/");
            let begun = send(registry, "POST", &path, "text/plain", b"");
            let location = begun
                .lines()
                .find_map(|line| line.strip_prefix("Location: "));
            let location = location.expect("the address of the upload").trim();
            let path = location
                .split_once(registry)
                .map_or(location, |(_, path)| path);
            let path = format!("{path}&digest=sha256:{}", sha256(blob));
            send(registry, "PUT", &path, "application/octet-stream", blob);
        }
        for manifest in &self.manifests {
            let path = format!("/v2/{repository}/manifests/sha256:{}", sha256(manifest));
            send(registry, "PUT", &path, MANIFEST, manifest);
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        send(registry, "PUT", &path, INDEX, &self.index());
    }
}

/// Sends a request and returns the response. Panics if it failed.
fn send(address: &str, method: &str, path: &str, media_type: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connect to the registry");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("send the request");
    stream.write_all(body).expect("send the request");
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .expect("read the response");
    assert!(
        response.starts_with("HTTP/1.1 20"),
        "{method} {path}: {response}"
    );
    response
}
