//! Tarballs: what is in them, and how they get to the engine.

use super::digest::hex;
use crate::backend::{Failure, Progress, ProgressSink};
use flate2::read::GzDecoder;
use futures_util::{Stream, TryStreamExt as _};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::io::ReaderStream;

/// Longest manifest that is read, in bytes.
const MANIFEST_LIMIT: u64 = 4 << 20;

/// What a tarball is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tarball {
    /// A root file system, to be imported.
    FileSystem,
    /// A saved image, to be loaded.
    SavedImage,
}

pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned)).await;
    let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic.to_string())));
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::fatal(format!("there is no file {}", path.display()))
            .hint("`src` is an absolute path, a path beside the blueprint, or an http(s) address"),
        io::ErrorKind::InvalidData => Failure::fatal(format!("{} is no image: {error}", path.display()))
            .hint("`src` takes a tarball of a root file system, or what `docker save` writes"),
        _ => Failure::fatal(format!("{} cannot be read: {error}", path.display())),
    })
}

pub(super) fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("sha256:{}", hex(&hasher.finalize()))),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Tells from its content what a tarball is.
pub(super) fn recognise(path: &Path) -> io::Result<Tarball> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    let mut file = File::open(path)?;
    let mut magic = [0; 6];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    match &magic[..read] {
        [0x1f, 0x8b, ..] => look_inside(GzDecoder::new(file)),
        // The engine unpacks these itself; whether a saved image is inside is not looked at.
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Tarball::FileSystem),
        _ => look_inside(file),
    }
}

fn look_inside(reader: impl Read) -> io::Result<Tarball> {
    let invalid = |error: io::Error| io::Error::new(io::ErrorKind::InvalidData, format!("it is no tarball ({error})"));
    let mut archive = tar::Archive::new(reader);
    let mut entries = 0;
    for entry in archive.entries().map_err(invalid)? {
        let entry = entry.map_err(invalid)?;
        entries += 1;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if (name == "manifest.json" && is_manifest(entry)) || name == "oci-layout" {
            return Ok(Tarball::SavedImage);
        }
    }
    if entries == 0 {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is no tarball, or an empty one"))
    } else {
        Ok(Tarball::FileSystem)
    }
}

/// A saved image lists the layers of each image; a file of this name in a root file system does not.
fn is_manifest(entry: impl Read) -> bool {
    let manifest: Json = serde_json::from_reader(entry.take(MANIFEST_LIMIT)).unwrap_or_default();
    manifest.as_array().is_some_and(|images| images.iter().any(|image| image["Layers"].is_array()))
}

/// A file on its way to the engine.
pub(super) struct Upload {
    pub stream: std::pin::Pin<Box<dyn Stream<Item = io::Result<bytes::Bytes>> + Send>>,
    pub size: u64,
    pub sent: Arc<AtomicU64>,
}

impl Upload {
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| Failure::fatal(format!("{} cannot be read: {error}", path.display()));
        let file = tokio::fs::File::open(path).await.map_err(cannot)?;
        let size = file.metadata().await.map_err(cannot)?.len();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let stream = ReaderStream::with_capacity(file, 1 << 16).inspect_ok(move |chunk| {
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        });
        Ok(Self { stream: Box::pin(stream), size, sent })
    }
}

/// Shows how much of an upload is sent while `work` goes on.
pub(super) async fn watched<T>(work: impl Future<Output = T>, sent: &AtomicU64, total: u64, progress: ProgressSink<'_>) -> T {
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => progress(Progress::Bytes { done: sent.load(Ordering::Relaxed), total }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_what_a_tarball_is() {
        let mut file_system = tar::Builder::new(Vec::new());
        append(&mut file_system, "bin/sh", b"#!");
        append(&mut file_system, "manifest.json", b"{\"name\": \"an app of its own\"}");
        assert_eq!(look_inside(&file_system.into_inner().unwrap()[..]).unwrap(), Tarball::FileSystem);
        let mut saved = tar::Builder::new(Vec::new());
        append(&mut saved, "manifest.json", br#"[{"Config": "x.json", "Layers": ["l.tar"]}]"#);
        assert_eq!(look_inside(&saved.into_inner().unwrap()[..]).unwrap(), Tarball::SavedImage);
        assert_eq!(look_inside(&b"just some text, and far too short"[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, content).unwrap();
    }
}
