//! Tarballs: recognizing their content and sending them to the engine. Everything is streamed:
//! nothing is unpacked on this machine.

use crate::{
    digest::hex,
    plugins::docker::{
        declare::json::list,
        drive::images::{
            layout,
            saved::{self, SavedImage},
            variant::Selection,
        },
    },
    seam::{Failure, Progress, ProgressSink},
};
use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// Largest manifest to read, in bytes.
const MANIFEST_LIMIT: u64 = 4 << 20;
/// Total size of the small files to keep while an archive is read, in bytes; layers are far larger.
const METADATA_LIMIT: u64 = 64 << 20;
/// Bytes to send at once.
const CHUNK: usize = 1 << 16;

/// Content of a tarball.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Archive {
    /// Root file system, to import.
    FileSystem,
    /// Saved image, to load: the selected one.
    Image(SavedImage),
}

impl Archive {
    /// Returns the digest of the configuration of a saved image.
    pub(crate) fn config(&self) -> Option<String> {
        match self {
            Self::FileSystem => None,
            Self::Image(saved) => saved.id(),
        }
    }
}

/// Compression of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    fn of(file: &mut File) -> io::Result<Self> {
        let mut magic = [0; 6];
        let mut read = 0;
        while read < magic.len() {
            match file.read(&mut magic[read..])? {
                0 => break,
                n => read += n,
            }
        }
        file.rewind()?;
        Ok(match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        })
    }

    fn decoder<'r>(self, file: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
        let file = BufReader::with_capacity(CHUNK, file);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(file, true)),
            Self::Zstd => {
                Box::new(ruzstd::decoding::StreamingDecoder::new(file).map_err(io::Error::other)?)
            }
        })
    }
}

/// Runs blocking work on a file and converts its errors to failures.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned)).await;
    let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic.to_string())));
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::fatal(format!("file {} does not exist", path.display()))
            .hint("set `src` to an absolute path, a path relative to the blueprint, or an http(s) URL"),
        io::ErrorKind::InvalidInput => Failure::fatal(format!("{} {error}", path.display()))
            .hint("select an image: set `repository` and `tag` to a name from the archive"),
        io::ErrorKind::Unsupported => Failure::fatal(format!("{} {error}", path.display()))
            .hint("set `platform` of the image to one of these"),
        io::ErrorKind::InvalidData => {
            Failure::fatal(format!("{} is not an image: {error}", path.display()))
                .hint("set `src` to a tarball of a root file system, or to an archive created by `docker save`")
        }
        _ => Failure::fatal(format!("cannot read {}: {error}", path.display())),
    })
}

/// The file that an image was loaded or imported from. For a directory, it is the index in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArchiveFile {
    /// SHA-256 of its content, with the prefix `sha256:`.
    pub digest: String,
    /// ID of the image that came from it; empty if unknown.
    pub image: String,
    /// Digest of the configuration of a saved image. Engines with another image store have another
    /// ID for it.
    pub config: Option<String>,
    /// Size in bytes.
    size: u64,
    /// Time of its last change, in nanoseconds since 1970 UTC.
    changed: i128,
}

impl ArchiveFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let (size, changed) = stamp(path)?;
        Ok(Self {
            digest: digest(path)?,
            image: String::new(),
            config: None,
            size,
            changed,
        })
    }

    pub(crate) fn with_image(self, id: &str) -> Self {
        Self {
            image: id.to_owned(),
            ..self
        }
    }

    /// Returns the file as it is now. Its content is read only if size or time differ.
    pub(crate) async fn again(&self, path: &Path) -> Result<Self, Failure> {
        let known = self.clone();
        blocking(path, move |path| {
            if stamp(path)? == (known.size, known.changed) {
                Ok(known)
            } else {
                Self::read(path)
            }
        })
        .await
    }

    pub(crate) fn to_json(&self) -> Json {
        // JSON numbers cannot hold nanoseconds exactly in every program.
        json!({ "digest": self.digest, "image_id": self.image, "config": self.config, "size": self.size, "changed_ns": self.changed.to_string() })
    }

    pub(crate) fn from_json(json: &Json) -> Option<Self> {
        Some(Self {
            digest: json["digest"].as_str()?.to_owned(),
            image: json["image_id"].as_str()?.to_owned(),
            config: json["config"].as_str().map(str::to_owned),
            size: json["size"].as_u64()?,
            changed: json["changed_ns"].as_str()?.parse().ok()?,
        })
    }
}

/// Returns the file with the content of an archive: the index of a directory.
fn content_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("index.json")
    } else {
        path.to_owned()
    }
}

/// Returns the size and the time of the last change of an archive.
fn stamp(path: &Path) -> io::Result<(u64, i128)> {
    let metadata = content_file(path).metadata()?;
    let seconds = i128::from(metadata.mtime()) * 1_000_000_000;
    Ok((metadata.len(), seconds + i128::from(metadata.mtime_nsec())))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(content_file(path))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("sha256:{}", hex(&hasher.finalize()))),
            n => hasher.update(&buffer[..n]),
        }
    }
}

pub(crate) fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Returns a JSON file of an archive or a directory by its path.
pub(crate) type Files<'f> = dyn FnMut(&str) -> io::Result<Json> + 'f;

/// Recognizes the content of a file or directory. Selects one of several images.
pub(crate) fn recognize(path: &Path, meant: &Selection) -> io::Result<Archive> {
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        return from_dir(path, meant).map(Archive::Image);
    }
    if !metadata.is_file() {
        return Err(invalid("not a regular file"));
    }
    let mut file = File::open(path)?;
    let compression = Compression::of(&mut file)?;
    let content = detect_content(compression.decoder(file)?)?;
    if content == Content::FileSystem {
        return Ok(Archive::FileSystem);
    }
    let small = small_files(compression.decoder(File::open(path)?)?)?;
    let missing = |name: &str| invalid(format!("{name} is missing"));
    let mut files = |name: &str| small.get(name).cloned().ok_or_else(|| missing(name));
    let image = match content {
        Content::SavedImages(manifest) => saved::resolve(&manifest, meant, &mut files),
        _ => layout::resolve(meant, &mut files),
    };
    image.map(Archive::Image)
}

/// Selects an image of the layout in a directory.
fn from_dir(directory: &Path, meant: &Selection) -> io::Result<SavedImage> {
    if !directory.join("oci-layout").is_file() {
        return Err(invalid("the directory is not an OCI layout"));
    }
    layout::resolve(meant, &mut |name| {
        read_json(File::open(directory.join(name))?)
    })
}

/// Reads all small JSON files of an archive, because a file may come after those that it refers to.
fn small_files(archive: impl Read) -> io::Result<HashMap<String, Json>> {
    let (mut small, mut kept) = (HashMap::new(), 0);
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let size = entry.size();
        let is_small = size <= MANIFEST_LIMIT && kept + size <= METADATA_LIMIT;
        if is_small && entry.header().entry_type().is_file() {
            kept += size;
            let name = plain_name(&entry)?;
            small.extend(read_json(entry).ok().map(|json| (name, json)));
        }
    }
    Ok(small)
}

fn plain_name(entry: &tar::Entry<'_, impl Read>) -> io::Result<String> {
    let path = entry.path()?;
    Ok(path.to_string_lossy().trim_start_matches("./").to_owned())
}

fn read_json(file: impl Read) -> io::Result<Json> {
    serde_json::from_reader(file.take(MANIFEST_LIMIT))
        .map_err(|error| invalid(format!("it contains a file that is not JSON ({error})")))
}

#[derive(Debug, Eq, PartialEq)]
enum Content {
    FileSystem,
    /// With their `manifest.json`.
    SavedImages(Json),
    Layout,
}

/// Recognizes the content of a tarball. Does not report the reader's errors, because they quote the
/// file.
///
/// Newer engines write a layout next to `manifest.json`. Only the layout lists the variants for all
/// platforms.
fn detect_content(reader: impl Read) -> io::Result<Content> {
    let broken = |_: io::Error| invalid("not a tarball");
    let mut archive = tar::Archive::new(reader);
    let (mut entries, mut found, mut saved) = (0, [false; 2], None);
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        entries += 1;
        match plain_name(&entry).map_err(broken)?.as_str() {
            "oci-layout" => found[0] = true,
            "index.json" => found[1] = true,
            "manifest.json" => saved = manifest(entry),
            _ => {}
        }
    }
    match (entries, found, saved) {
        (0, ..) => Err(invalid("not a tarball, or an empty one")),
        (_, [true, true], _) | (_, [true, _], None) => Ok(Content::Layout),
        (_, _, Some(manifest)) => Ok(Content::SavedImages(manifest)),
        (_, _, None) => Ok(Content::FileSystem),
    }
}

/// Returns the manifest of saved images. It lists layers, unlike a file of this name in a root file
/// system.
fn manifest(entry: impl Read) -> Option<Json> {
    let manifest: Json = serde_json::from_reader(entry.take(MANIFEST_LIMIT)).ok()?;
    let is_saved = list(&manifest).any(|image| image["Layers"].is_array());
    is_saved.then_some(manifest)
}

/// File that is sent to the engine.
pub(crate) struct Upload {
    pub stream: std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    /// Total bytes to read; 0 if unknown.
    pub size: u64,
    pub sent: Arc<AtomicU64>,
}

impl Upload {
    /// Opens a recognized file as a stream that engines of any version can read: decompresses it,
    /// except for a root file system in gzip, and adds a manifest to a layout.
    pub(crate) async fn open(path: &Path, archive: Archive) -> Result<Self, Failure> {
        let size = if path.is_dir() {
            0
        } else {
            blocking(path, |path| Ok(path.metadata()?.len())).await?
        };
        let sent = Arc::new(AtomicU64::new(0));
        let (path, counter) = (path.to_owned(), sent.clone());
        Ok(Self {
            stream: Box::pin(stream_of(move |out| write(&path, archive, counter, out))),
            size,
            sent,
        })
    }
}

/// Returns a stream of the bytes that `write` writes in a thread.
pub(crate) fn stream_of(
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut out = io::BufWriter::with_capacity(CHUNK, ChannelWriter(sender.clone()));
        let written = write(&mut out).and_then(|()| io::Write::flush(&mut out));
        if let Err(error) = written {
            let _ = sender.blocking_send(Err(error));
        }
    });
    futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
}

struct ChannelWriter(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len())
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    path: &PathBuf,
    archive: Archive,
    counter: Arc<AtomicU64>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if path.is_dir() {
        return match archive {
            Archive::Image(image) => image.write_dir(path, out),
            Archive::FileSystem => Err(invalid("it is a directory")),
        };
    }
    let mut file = File::open(path)?;
    let compression = Compression::of(&mut file)?;
    let source = CountingReader { file, counter };
    match archive {
        Archive::Image(image) => image.write_archive(compression.decoder(source)?, out),
        Archive::FileSystem if compression == Compression::Gzip => {
            io::copy(&mut Compression::None.decoder(source)?, out).map(drop)
        }
        Archive::FileSystem => io::copy(&mut compression.decoder(source)?, out).map(drop),
    }
}

struct CountingReader {
    file: File,
    counter: Arc<AtomicU64>,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.counter.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reports how much of an upload is sent while `work` runs.
pub(crate) async fn with_progress<T>(
    work: impl Future<Output = T>,
    sent: &AtomicU64,
    total: u64,
    progress: ProgressSink<'_>,
) -> T {
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
    fn content_determines_the_kind_of_tarball() {
        let mut file_system = tar::Builder::new(Vec::new());
        append(&mut file_system, "bin/sh", b"#!");
        append(&mut file_system, "manifest.json", b"{\"name\": \"an app\"}");
        assert_eq!(
            detect_content(&file_system.into_inner().unwrap()[..]).unwrap(),
            Content::FileSystem
        );
        let manifest = br#"[{"Config": "x.json", "Layers": ["l.tar"]}]"#;
        let saved = |more: &[&str]| {
            let mut saved = tar::Builder::new(Vec::new());
            append(&mut saved, "manifest.json", manifest);
            for name in more {
                append(&mut saved, name, b"{}");
            }
            detect_content(&saved.into_inner().unwrap()[..]).unwrap()
        };
        let images = Content::SavedImages(serde_json::from_slice(manifest).unwrap());
        assert_eq!(saved(&[]), images);
        assert_eq!(saved(&["oci-layout"]), images, "no index");
        assert_eq!(saved(&["oci-layout", "index.json"]), Content::Layout);
    }

    #[test]
    fn unreadable_content_is_not_quoted() {
        for text in [
            "just some text, and far too short".to_owned(),
            "root:$6$salt$hash:19000:0:99999:7:::\n".repeat(40),
        ] {
            let error = detect_content(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(
                ["not a tarball", "not a tarball, or an empty one"]
                    .contains(&error.to_string().as_str()),
                "{error}"
            );
        }
    }

    fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, content).unwrap();
    }
}
