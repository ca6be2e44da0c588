//! Files of blueprints that the state directory keeps, so that a deployment needs its blueprint's
//! directory no longer: each content once, named by its digest, and a list per deployment.

use super::{
    JournalError, StateDir,
    files::{create_dir, open_without_links, write_private},
};
use crate::digest::hex;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Largest file that is kept, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Size of all files of a deployment that are kept, in bytes.
const MAX_TOTAL: u64 = 256 << 20;
/// Number of files of a deployment that are kept.
const MAX_FILES: usize = 10_000;
/// Deepest directory that is searched.
const MAX_DEPTH: usize = 32;
/// Format of the list of a deployment.
const FORMAT: u32 = 1;

/// The files below some directories.
#[derive(Debug, Default)]
pub struct Inventory {
    bases: Vec<PathBuf>,
    /// Files by path below their directory. The first directory wins.
    files: IndexMap<PathBuf, (PathBuf, Stamp)>,
    /// Files that are not kept, because they exceed a limit.
    pub left_out: Vec<PathBuf>,
}

/// Shows whether a file changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Stamp {
    size: u64,
    modified: i64,
    nanoseconds: i64,
    inode: u64,
}

impl Stamp {
    fn of(data: &Metadata) -> Self {
        Self {
            size: data.len(),
            modified: data.mtime(),
            nanoseconds: data.mtime_nsec(),
            inode: data.ino(),
        }
    }
}

/// The kept files of a deployment.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Manifest {
    format: u32,
    bases: Vec<PathBuf>,
    files: IndexMap<PathBuf, KeptFile>,
}

#[derive(Debug, Deserialize, Serialize)]
struct KeptFile {
    digest: String,
    #[serde(flatten)]
    stamp: Stamp,
}

impl Manifest {
    /// Keeps the files that were kept before and are no longer in the directory: instances of an
    /// earlier definition may still need them.
    fn keep_deleted(&mut self, before: Self, left_out: &[PathBuf]) {
        let mut total: u64 = self.files.values().map(|file| file.stamp.size).sum();
        for (path, file) in before.files {
            let is_deleted = !self.files.contains_key(&path) && !left_out.contains(&path);
            if is_deleted && total + file.stamp.size <= MAX_TOTAL {
                total += file.stamp.size;
                self.files.insert(path, file);
            }
        }
    }
}

impl Inventory {
    /// Finds the regular files in directories and below them, without names that begin with `.`.
    /// Links to files count if they lead to a file below the same directory. `first` are paths that
    /// must not be left out in favor of others. What cannot be read is skipped.
    #[must_use]
    pub fn of(bases: &[PathBuf], first: &BTreeSet<String>, except: &Path) -> Self {
        let mut inventory = Self {
            bases: bases.to_vec(),
            ..Self::default()
        };
        let except = except.canonicalize().unwrap_or_else(|_| except.to_owned());
        let mut found = Vec::new();
        for base in bases.iter().filter_map(|base| base.canonicalize().ok()) {
            find(&base, (&base, 0), &except, &mut found);
        }
        found.extend(first.iter().filter_map(|inner| named(bases, inner)));
        found.sort_by_cached_key(|(inner, ..)| {
            let is_first = inner.to_str().is_some_and(|inner| first.contains(inner));
            (!is_first, inner.clone())
        });
        let mut total = 0;
        for (inner, path, stamp) in found {
            // The manifest is text.
            let fits = inner.to_str().is_some()
                && stamp.size <= MAX_FILE
                && total + stamp.size <= MAX_TOTAL
                && inventory.files.len() < MAX_FILES;
            if inventory.files.contains_key(&inner) {
                continue;
            }
            if fits {
                total += stamp.size;
                inventory.files.insert(inner, (path, stamp));
            } else {
                inventory.left_out.push(inner);
            }
        }
        inventory
    }
}

/// Returns a file that is named explicitly, also if its name or that of its directory begins with
/// `.`.
fn named(bases: &[PathBuf], inner: &str) -> Option<Found> {
    let is_inner = |path: &Path| {
        path.components()
            .all(|it| matches!(it, Component::Normal(_)))
    };
    let inner = Path::new(inner.strip_prefix("./").unwrap_or(inner));
    let candidates = bases.iter().filter(|_| is_inner(inner));
    let mut files = candidates.filter_map(|base| {
        let base = base.canonicalize().ok()?;
        let path = base.join(inner).canonicalize().ok()?;
        let data = fs::metadata(&path).ok().filter(Metadata::is_file)?;
        path.starts_with(&base)
            .then(|| (inner.to_owned(), path, Stamp::of(&data)))
    });
    files.next()
}

type Found = (PathBuf, PathBuf, Stamp);

fn find(base: &Path, (directory, depth): (&Path, usize), except: &Path, found: &mut Vec<Found>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_enough = found.len() > MAX_FILES * 2 || depth > MAX_DEPTH;
        if name.as_encoded_bytes().starts_with(b".") || path == except || is_enough {
            continue;
        }
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            find(base, (&path, depth + 1), except, found);
            continue;
        }
        let target = path
            .canonicalize()
            .ok()
            .filter(|target| target.starts_with(base));
        let data = target.and_then(|target| fs::metadata(target).ok());
        let data = data.filter(Metadata::is_file);
        let inner = path.strip_prefix(base).map(Path::to_owned);
        if let (Some(data), Ok(inner)) = (data, inner) {
            found.push((inner, path, Stamp::of(&data)));
        }
    }
}

impl StateDir {
    fn resources(&self) -> PathBuf {
        self.resolved().path().join("resources")
    }

    /// Keeps the files of a deployment, instead of those that were kept before.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be written.
    pub fn keep_resources(
        &self,
        deployment: &str,
        inventory: &Inventory,
    ) -> Result<(), JournalError> {
        let root = self.prepare()?.resources();
        create_dir(&root.join("content"))?;
        let _lock = lock(&root)?;
        let io = |source| JournalError::Io {
            path: root.clone(),
            source,
        };
        let before = read_manifest(&root, deployment)
            .map_err(io)?
            .unwrap_or_default();
        let mut manifest = Manifest {
            format: FORMAT,
            bases: inventory.bases.clone(),
            files: IndexMap::new(),
        };
        for (inner, (path, stamp)) in &inventory.files {
            let known = before
                .files
                .get(inner)
                .filter(|known| known.stamp == *stamp);
            let known = known.map(|known| known.digest.clone());
            let known = known.filter(|digest| content_path(&root, digest).exists());
            // A file that cannot be read now is read from its directory when a script asks for it.
            let digest = known.map_or_else(|| keep(&root, path), |digest| Ok(Some(digest)));
            if let Some(digest) = digest.map_err(io)? {
                let stamp = *stamp;
                manifest
                    .files
                    .insert(inner.clone(), KeptFile { digest, stamp });
            }
        }
        manifest.keep_deleted(before, &inventory.left_out);
        let json = serde_json::to_vec(&manifest).map_err(|error| io(error.into()))?;
        write_atomically(&manifest_path(&root, deployment), &json).map_err(io)?;
        drop_unused(&root).map_err(io)
    }

    /// Drops the files of a deployment that no other deployment uses.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be written.
    pub fn drop_resources(&self, deployment: &str) -> Result<(), JournalError> {
        let root = self.resources();
        if !manifest_path(&root, deployment).exists() {
            return Ok(());
        }
        let root = self.prepare()?.resources();
        let _lock = lock(&root)?;
        let io = |source| JournalError::Io {
            path: root.clone(),
            source,
        };
        fs::remove_file(manifest_path(&root, deployment))
            .and_then(|()| drop_unused(&root))
            .map_err(io)
    }

    /// Returns the content of a file that is kept for a deployment; none if it is not kept. Its
    /// digest is checked.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read_resource(
        &self,
        deployment: &str,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let root = self.resources();
        let io = |source| JournalError::Io {
            path: root.clone(),
            source,
        };
        let manifest = read_manifest(&root, deployment).map_err(io)?;
        let Some(kept) = manifest
            .as_ref()
            .and_then(|manifest| manifest.files.get(path))
        else {
            return Ok(None);
        };
        let content = read_content(&root, &kept.digest).map_err(io)?;
        Ok(content.filter(|content| hex(&Sha256::digest(content)) == kept.digest))
    }

    /// Returns the directories that the files of a deployment came from; empty if none are kept.
    #[must_use]
    pub fn resource_bases(&self, deployment: &str) -> Vec<PathBuf> {
        let manifest = read_manifest(&self.resources(), deployment);
        let manifest = manifest.ok().flatten();
        manifest.map(|manifest| manifest.bases).unwrap_or_default()
    }
}

fn manifest_path(root: &Path, deployment: &str) -> PathBuf {
    root.join(format!("{deployment}.json"))
}

fn content_path(root: &Path, digest: &str) -> PathBuf {
    root.join("content").join(digest)
}

/// Locks the directory until the file is dropped.
fn lock(root: &Path) -> Result<File, JournalError> {
    let path = root.join("lock");
    let options = &mut OpenOptions::new();
    let opened = open_without_links(&path, options.write(true).create(true).truncate(false));
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| JournalError::Io { path, source })
}

fn read_manifest(root: &Path, deployment: &str) -> io::Result<Option<Manifest>> {
    let path = manifest_path(root, deployment);
    let json = match open_without_links(&path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => io::read_to_string(file?)?,
    };
    // A newer dockctl may have written another format: then the directory is read.
    let manifest = serde_json::from_str(&json).ok();
    Ok(manifest.filter(|manifest: &Manifest| manifest.format == FORMAT))
}

fn read_content(root: &Path, digest: &str) -> io::Result<Option<Vec<u8>>> {
    let path = content_path(root, digest);
    match open_without_links(&path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => {
            let mut content = Vec::new();
            file?.take(MAX_FILE).read_to_end(&mut content)?;
            Ok(Some(content))
        }
    }
}

/// Copies a file, and returns its digest; none if the file cannot be read, or grew.
fn keep(root: &Path, path: &Path) -> io::Result<Option<String>> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content));
    if read.is_err() || content.len() as u64 > MAX_FILE {
        return Ok(None);
    }
    let digest = hex(&Sha256::digest(&content));
    let kept = content_path(root, &digest);
    if !kept.exists() {
        write_atomically(&kept, &content)?;
    }
    Ok(Some(digest))
}

fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    write_private(&temporary, content)?;
    fs::rename(temporary, path)
}

/// Removes the content that no deployment uses.
fn drop_unused(root: &Path) -> io::Result<()> {
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(root)?.flatten() {
        let name = entry.file_name();
        let Some(deployment) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        match read_manifest(root, deployment)? {
            Some(manifest) => used.extend(manifest.files.into_values().map(|it| it.digest)),
            // Its content is unknown: nothing may be removed.
            None => return Ok(()),
        }
    }
    for entry in fs::read_dir(root.join("content"))?.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| used.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(directory: &Path) -> Inventory {
        let first = BTreeSet::from(["scripts/a.sh".to_owned()]);
        Inventory::of(&[directory.to_owned()], &first, &directory.join("state"))
    }

    #[test]
    fn files_are_kept_once_and_dropped_with_their_last_deployment() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        fs::create_dir_all(base.join("scripts")).unwrap();
        fs::write(base.join("scripts/a.sh"), "one").unwrap();
        fs::write(base.join("b.txt"), "one").unwrap();
        fs::write(base.join(".hidden"), "secret").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", base.join("outside")).unwrap();
        std::os::unix::fs::symlink("b.txt", base.join("inside")).unwrap();
        let state = StateDir::new(base.join("state"));
        state.keep_resources("one", &inventory(base)).unwrap();
        state.keep_resources("two", &inventory(base)).unwrap();
        let content = || {
            fs::read_dir(base.join("state/resources/content"))
                .unwrap()
                .count()
        };
        assert_eq!(content(), 1);
        fs::remove_file(base.join("scripts/a.sh")).unwrap();
        let read = |path| state.read_resource("one", Path::new(path)).unwrap();
        assert_eq!(read("scripts/a.sh").as_deref(), Some(&b"one"[..]));
        assert_eq!(read("inside").as_deref(), Some(&b"one"[..]));
        for other in [".hidden", "outside", "nope", "state/key"] {
            assert_eq!(read(other), None, "{other}");
        }
        state.drop_resources("one").unwrap();
        assert_eq!(content(), 1);
        state.drop_resources("two").unwrap();
        assert_eq!((content(), read("b.txt")), (0, None));
    }

    #[test]
    fn damaged_content_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        fs::write(base.join("a"), "one").unwrap();
        let state = StateDir::new(base.join("state"));
        state.keep_resources("one", &inventory(base)).unwrap();
        let content = fs::read_dir(base.join("state/resources/content")).unwrap();
        let path = content.flatten().next().unwrap().path();
        fs::write(path, "other").unwrap();
        assert_eq!(state.read_resource("one", Path::new("a")).unwrap(), None);
    }

    #[test]
    fn large_files_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        let large = File::create(base.join("large")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        fs::write(base.join("small"), "x").unwrap();
        let inventory = inventory(base);
        assert_eq!(inventory.left_out, [PathBuf::from("large")]);
        assert_eq!(inventory.files.len(), 1);
    }
}
