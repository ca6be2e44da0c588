//! Images: pulled from a registry, imported or loaded from a tarball.

use super::{
    connect::{failure, status},
    engine::{Engine, label},
    tarball::{Tarball, Upload, blocking, digest, recognise, watched},
};
use crate::{
    backend::{Failure, Outputs, Progress, ProgressSink},
    model::function::holds_call,
};
use bollard::{
    body_try_stream,
    errors::Error,
    models::{BuildInfo, CreateImageInfo, ImageInspect, ProgressDetail},
    query_parameters::{CreateImageOptions, ImportImageOptions, ListImagesOptions, TagImageOptions},
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// A node's `image`, read.
#[derive(Debug, PartialEq)]
pub(super) struct Image {
    pub src: Option<String>,
    pub repository: Option<String>,
    pub tag: Option<String>,
    pub pull: PullPolicy,
}

/// When an image is pulled; dockctl's extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PullPolicy {
    Missing,
    Always,
    Never,
}

/// Keys of `image`.
pub(super) const KEYS: [&str; 4] = ["src", "repository", "tag", "pull_policy"];

impl Image {
    pub(super) fn read(image: &Json) -> Result<Self, String> {
        let text = |key: &str| match &image[key] {
            Json::Null => Ok(None),
            Json::String(text) if text.is_empty() => Ok(None),
            Json::String(text) => Ok(Some(text.clone())),
            Json::Number(number) => Ok(Some(number.to_string())),
            _ => Err(format!("`{key}` of `image` must be a string")),
        };
        let pull = match text("pull_policy")?.as_deref() {
            None | Some("missing") => PullPolicy::Missing,
            Some("always") => PullPolicy::Always,
            Some("never") => PullPolicy::Never,
            Some(other) => return Err(format!("there is no pull policy `{other}`: it is missing, always or never")),
        };
        let image = Self { src: text("src")?, repository: text("repository")?, tag: text("tag")?, pull };
        match (&image.src, &image.repository) {
            (None, None) => Err("`image` needs a `repository` to pull or a `src` to import".to_owned()),
            (_, Some(repository)) if repository.contains("://") => {
                Err(format!("the repository `{repository}` must not start with a scheme"))
            }
            (_, Some(_)) => image.check_reference().map(|()| image),
            _ => Ok(image),
        }
    }

    /// The engine's rules: a repository is lower case (the registry's host may not be), a tag has no spaces.
    fn check_reference(&self) -> Result<(), String> {
        let (repository, tag) = self.reference("");
        let path = repository.split_once('/').map_or(repository.as_str(), |(_, path)| path);
        let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if path.is_empty() || !path.chars().all(in_path) {
            return Err(format!("`{repository}` is no name of an image: it has lower case letters, digits and any of `._-/`"));
        }
        let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if tag.is_empty() || tag.len() > 135 || !tag.chars().all(in_tag) {
            return Err(format!("`{tag}` is no tag of an image: it has letters, digits and any of `._-`"));
        }
        Ok(())
    }

    /// Repository and tag or digest, as the engine takes them. A tag of its own beats one in the repository.
    fn reference(&self, fallback: &str) -> (String, String) {
        let repository = self.repository.as_deref().unwrap_or(fallback);
        if let Some((name, digest)) = repository.split_once('@') {
            return (name.to_owned(), digest.to_owned());
        }
        let in_repository = repository.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (name, tag) = in_repository.map_or((repository, None), |(name, tag)| (name, Some(tag)));
        (name.to_owned(), self.tag.as_deref().or(tag).unwrap_or("latest").to_owned())
    }
}

/// Repository and tag as one text.
fn joined(repository: &str, tag: &str) -> String {
    let separator = if tag.starts_with("sha256:") { '@' } else { ':' };
    format!("{repository}{separator}{tag}")
}

/// An image as a plan shows it.
pub(super) fn shown(image: &Json) -> String {
    if holds_call(image) {
        return "(known after install)".to_owned();
    }
    match Image::read(image) {
        Ok(Image { src: Some(src), .. }) => format!("from {src}"),
        Ok(image) => {
            let (repository, tag) = image.reference("");
            joined(&repository, &tag)
        }
        Err(_) => image.to_string(),
    }
}

/// Where a tarball is looked for: as given if absolute, else beside the blueprint.
pub(super) fn path_of(src: &str, folder: &Path) -> PathBuf {
    folder.join(src.strip_prefix("file://").unwrap_or(src))
}

pub(super) fn is_url(src: &str) -> bool {
    src.starts_with("http://") || src.starts_with("https://")
}

impl Engine {
    /// Sees to it that an image is there; `image_id` says which it is.
    pub(super) async fn ensure_image(
        &self,
        image: &Json,
        folder: &str,
        fallback: &str,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let image = Image::read(image).map_err(Failure::fatal)?;
        let (repository, tag) = image.reference(fallback);
        let found = match &image.src {
            Some(src) if is_url(src) => self.import_url(src, &repository, &tag, progress).await?,
            Some(src) => self.bring_file(&path_of(src, Path::new(folder)), &repository, &tag, image.repository.is_some(), progress).await?,
            None => self.pull(&repository, &tag, image.pull, progress).await?,
        };
        let id = found.id.ok_or_else(|| Failure::fatal(format!("the engine names no id for image {}", joined(&repository, &tag))))?;
        Ok(Outputs { set: JsonMap::from_iter([("image_id".to_owned(), id.into())]), unset: Vec::new() })
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInspect>, Failure> {
        match self.client.repeat(|| self.client.docker().inspect_image(reference)).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failure(&error, &format!("looking for image {reference}"))),
        }
    }

    async fn expect_image(&self, reference: &str) -> Result<ImageInspect, Failure> {
        self.image(reference)
            .await?
            .ok_or_else(|| Failure::fatal(format!("image {reference} is not there although the engine said that it is done")))
    }

    async fn pull(&self, repository: &str, tag: &str, policy: PullPolicy, progress: ProgressSink<'_>) -> Result<ImageInspect, Failure> {
        let reference = joined(repository, tag);
        let there = self.image(&reference).await?;
        match (there, policy) {
            (Some(image), PullPolicy::Missing | PullPolicy::Never) => return Ok(image),
            (None, PullPolicy::Never) => {
                return Err(Failure::fatal(format!("image {reference} is not there, and `pull_policy: never` forbids to pull it")));
            }
            _ => {}
        }
        progress(Progress::Note(format!("pulling {reference}")));
        let options = CreateImageOptions { from_image: Some(repository.to_owned()), tag: Some(tag.to_owned()), ..Default::default() };
        let mut layers = Layers::default();
        let mut lines = std::pin::pin!(self.client.docker().create_image(Some(options), None, None));
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| cannot_pull(&error, &reference))?;
            if let Some(bytes) = layers.add(&line) {
                progress(bytes);
            }
        }
        self.expect_image(&reference).await
    }

    async fn import_url(&self, src: &str, repository: &str, tag: &str, progress: ProgressSink<'_>) -> Result<ImageInspect, Failure> {
        progress(Progress::Note(format!("importing {src}")));
        let options = CreateImageOptions {
            from_src: Some(src.to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            ..Default::default()
        };
        let lines = self.client.docker().create_image(Some(options), None, None);
        let id = imported(lines).await.map_err(|error| cannot_import(&error, src))?;
        self.expect_image(&id.unwrap_or_else(|| joined(repository, tag))).await
    }

    /// Imports or loads a file, unless the image that it makes is there already.
    async fn bring_file(
        &self,
        path: &Path,
        repository: &str,
        tag: &str,
        named: bool,
        progress: ProgressSink<'_>,
    ) -> Result<ImageInspect, Failure> {
        progress(Progress::Note(format!("reading {}", path.display())));
        let (kind, digest) = blocking(path, |path| Ok((recognise(path)?, digest(path)?))).await?;
        match kind {
            Tarball::FileSystem if !named => match self.imported_from(&digest).await? {
                Some(image) => Ok(image),
                None => self.import(path, repository, tag, &digest, progress).await,
            },
            Tarball::FileSystem => self.import(path, repository, tag, &digest, progress).await,
            Tarball::SavedImage => self.load(path, repository, tag, named, progress).await,
        }
    }

    /// The image that was made of a tarball before, whatever it is called: nodes that give no name share one.
    async fn imported_from(&self, digest: &str) -> Result<Option<ImageInspect>, Failure> {
        let filters = [("label".to_owned(), vec![format!("{}={digest}", label::SOURCE)])].into();
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let found = self.client.repeat(|| self.client.docker().list_images(Some(options.clone()))).await;
        match found.map_err(|error| failure(&error, "looking for the image"))?.into_iter().next() {
            Some(image) => self.image(&image.id).await,
            None => Ok(None),
        }
    }

    async fn import(
        &self,
        path: &Path,
        repository: &str,
        tag: &str,
        digest: &str,
        progress: ProgressSink<'_>,
    ) -> Result<ImageInspect, Failure> {
        let reference = joined(repository, tag);
        if let Some(image) = self.image(&reference).await? {
            let labels = image.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
            if labels.get(label::SOURCE).is_some_and(|source| source == digest) {
                return Ok(image);
            }
        }
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes: vec![format!("LABEL {}={digest}", label::SOURCE)],
            ..Default::default()
        };
        let upload = Upload::open(path).await?;
        let lines = self.client.docker().create_image(Some(options), Some(body_try_stream(upload.stream)), None);
        let id = watched(imported(lines), &upload.sent, upload.size, progress).await;
        let id = id.map_err(|error| cannot_import(&error, &path.display().to_string()))?;
        self.expect_image(&id.unwrap_or(reference)).await
    }

    async fn load(
        &self,
        path: &Path,
        repository: &str,
        tag: &str,
        named: bool,
        progress: ProgressSink<'_>,
    ) -> Result<ImageInspect, Failure> {
        let upload = Upload::open(path).await?;
        let lines = self.client.docker().import_image_stream(ImportImageOptions::default(), upload.stream, None);
        let loaded = watched(lines.try_collect::<Vec<BuildInfo>>(), &upload.sent, upload.size, progress).await;
        let loaded = loaded.map_err(|error| cannot_import(&error, &path.display().to_string()))?;
        let name = loaded.iter().filter_map(|line| line.stream.as_deref()).find_map(loaded_name);
        let name = name.ok_or_else(|| Failure::fatal(format!("{} holds no image that the engine could load", path.display())))?;
        if named {
            let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
            let tagged = self.client.repeat(|| self.client.docker().tag_image(&name, Some(options.clone()))).await;
            tagged.map_err(|error| failure(&error, &format!("naming the image {}", joined(repository, tag))))?;
        }
        self.expect_image(&name).await
    }
}

/// `Loaded image: name:tag` or `Loaded image ID: sha256:…`.
fn loaded_name(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("Loaded image")?;
    rest.split_once(": ").map(|(_, name)| name.to_owned())
}

fn cannot_pull(error: &Error, reference: &str) -> Failure {
    let failure = failure(error, &format!("image {reference} cannot be pulled"));
    let message = failure.message.clone();
    let absent = ["not found", "manifest unknown", "access denied", "unauthorized", "no such host", "connection refused"];
    let failure = Failure { recoverable: failure.recoverable && !absent.iter().any(|text| message.contains(text)), ..failure };
    failure
        .hint("check `repository` and `tag`, and that the engine reaches the registry and may read it")
        .hint("an image that the engine has already is not pulled: docker image ls")
}

fn cannot_import(error: &Error, src: &str) -> Failure {
    let failure = failure(error, &format!("{src} cannot be imported"));
    // What the engine says of the content stays true; a lost connection may come back.
    let said = status(error).is_some() || matches!(error, Error::DockerStreamError { .. });
    Failure { recoverable: failure.recoverable && !said, ..failure }
}

/// Reads what an import says to its end; the last word is the id of the image.
async fn imported(lines: impl Stream<Item = Result<CreateImageInfo, Error>>) -> Result<Option<String>, Error> {
    let last = lines.try_fold(None, |last, line| std::future::ready(Ok(line.status.or(last)))).await?;
    Ok(last.filter(|id| id.starts_with("sha256:")))
}

/// Bytes of all layers of a pull together.
#[derive(Default)]
struct Layers {
    layers: HashMap<String, (u64, u64)>,
}

impl Layers {
    fn add(&mut self, line: &CreateImageInfo) -> Option<Progress> {
        let (Some(id), Some("Downloading" | "Download complete")) = (&line.id, line.status.as_deref()) else { return None };
        let ProgressDetail { current, total } = line.progress_detail.clone().unwrap_or_default();
        let known = self.layers.entry(id.clone()).or_default();
        match (current, total) {
            (Some(current), Some(total)) => *known = (u64::try_from(current).unwrap_or(0), u64::try_from(total).unwrap_or(0)),
            _ => known.0 = known.1,
        }
        let (done, total) = self.layers.values().fold((0, 0), |(done, total), (d, t)| (done + d, total + t));
        Some(Progress::Bytes { done, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_read_as_docker_py_reads_them() {
        for (image, reference) in [
            (json!({"repository": "busybox"}), "busybox:latest"),
            (json!({"repository": "busybox", "tag": 1}), "busybox:1"),
            (json!({"repository": "busybox:1.36"}), "busybox:1.36"),
            (json!({"repository": "busybox:1.36", "tag": "latest"}), "busybox:latest"),
            (json!({"repository": "localhost:5000/team/app", "tag": "v1"}), "localhost:5000/team/app:v1"),
            (json!({"repository": "localhost:5000/team/app"}), "localhost:5000/team/app:latest"),
            (json!({"repository": "busybox@sha256:aa"}), "busybox@sha256:aa"),
        ] {
            assert_eq!(shown(&image), reference);
        }
        assert!(Image::read(&json!({})).is_err());
        assert!(Image::read(&json!({"repository": "https://reg.test/app"})).is_err());
    }
}
