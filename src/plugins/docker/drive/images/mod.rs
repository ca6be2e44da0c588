//! Images: pulled from a registry, imported or loaded from a tarball.

mod archive;
mod credentials;
mod download;
mod layout;
pub(crate) mod moved;
mod saved;
mod variant;

pub(crate) use archive::stream_of;
pub(crate) use download::download;

use crate::{
    engine::{EngineError, Kind, KnownMessage, Version, encode_path, failure, status},
    plugins::docker::{
        declare::{
            action::is_late,
            image::{Image, PullPolicy, is_url, join_reference, resolve_path, source_key},
            json::list,
            label,
            platform::Platform,
        },
        drive::engine::Engine,
    },
    seam::{Call, Failure, Outputs, Progress, ProgressSink},
};
use archive::{Archive, ArchiveFile, Upload, blocking, recognize, with_progress};
use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use futures_util::{StreamExt as _, TryStreamExt as _};
use moved::IMAGE_ARCHIVE;
use serde_json::{Map as JsonMap, Value as Json};
use std::{collections::HashMap, path::Path};
use variant::Selection;

/// Runtime property with the name that the blueprint gives the image.
pub(crate) const IMAGE_NAME: &str = "image_name";
/// Runtime property with the platform that the blueprint requests for the image.
pub(crate) const IMAGE_PLATFORM: &str = "image_platform";

/// First API version that inspects the variant of an image for a platform.
const PLATFORM_OF_INSPECTION: Version = Version(1, 49);

/// Image that a node needs.
pub(crate) struct ImageRequest<'a> {
    pub image: &'a Json,
    /// Directory of the blueprint.
    pub dir: &'a str,
    /// Repository of an imported image without a name.
    pub default_repository: &'a str,
}

/// Image that was provided since the connection was opened.
#[derive(Clone, Debug)]
pub(crate) struct ProvidedImage {
    /// Its ID.
    pub id: String,
    /// The archive that it was loaded or imported from.
    file: Option<ArchiveFile>,
}

/// Image that is being pulled, imported or loaded.
struct ImageFetch<'a> {
    image: Image,
    repository: String,
    tag: String,
    /// Platform that the blueprint requests.
    platform: Option<Platform>,
    call: &'a Call,
    progress: ProgressSink<'a>,
}

impl ImageFetch<'_> {
    fn reference(&self) -> String {
        join_reference(&self.repository, &self.tag)
    }
}

impl Engine {
    /// Ensures that an image exists and returns its `image_id`.
    pub(crate) async fn ensure_image(
        &self,
        wanted: &ImageRequest<'_>,
        call: &Call,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        // Another node may have provided the same image in this run.
        let image = Image::read(wanted.image).map_err(|faults| {
            crate::plugins::docker::drive::containers::invalid_arguments(&faults)
        })?;
        let key = source_key(wanted.image).map(|key| format!("{key}\n{}", wanted.dir));
        let known = key
            .as_ref()
            .and_then(|key| self.provided_images.borrow().get(key).cloned());
        if let Some(provided) = known
            && self.image(&provided.id).await?.is_some()
        {
            return Ok(image_outputs(&provided, &image));
        }
        let (repository, tag) = image.reference(wanted.default_repository);
        let it = ImageFetch {
            platform: self.requested_platform(&image).await?,
            image,
            repository,
            tag,
            call,
            progress,
        };
        let (found, file) = match &it.image.src {
            Some(src) if is_url(src) => (self.provide_url(&it, src).await?, None),
            Some(src) => {
                let path = resolve_path(src, Path::new(wanted.dir));
                let (found, file) = self.provide_file(&it, &path).await?;
                (found, Some(file))
            }
            None => (self.pull(&it).await?, None),
        };
        let id = found["Id"].as_str().ok_or_else(|| {
            Failure::fatal(format!(
                "the engine returned no ID for image {}",
                it.reference()
            ))
        })?;
        let provided = ProvidedImage {
            id: id.to_owned(),
            file: file.map(|file| file.with_image(id)),
        };
        let outputs = image_outputs(&provided, &it.image);
        self.provided_images
            .borrow_mut()
            .extend(key.map(|key| (key, provided)));
        Ok(outputs)
    }

    /// Returns the platform that an image declares; none if it declares none.
    async fn requested_platform(&self, image: &Image) -> Result<Option<Platform>, Failure> {
        match &image.platform {
            Some(platform) => Ok(Some(self.platform(platform).await?)),
            None => Ok(None),
        }
    }

    /// Reads a platform. Missing parts are those of the engine.
    pub(crate) async fn platform(&self, platform: &str) -> Result<Platform, Failure> {
        Ok(Platform::parse(platform, &self.engine_platform().await?))
    }

    async fn engine_platform(&self) -> Result<Platform, Failure> {
        let version = self.client.mapping("/version", &[]).await;
        let version =
            version.map_err(|error| failure(&error, "reading the platform of the engine"))?;
        Ok(Platform::of_engine(&version))
    }

    /// Inspects an image. Returns `None` if it does not exist.
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<Json>, Failure> {
        self.client
            .object(Kind::Image, reference)
            .await
            .map_err(|error| failure(&error, &format!("looking up image {reference}")))
    }

    /// Inspects an image. Returns `None` if it does not exist, or not for the platform. Its ID is
    /// that of all variants together, because containers show it.
    async fn image_for(
        &self,
        reference: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<Json>, Failure> {
        let found = self.image(reference).await?;
        let (Some(found), Some(platform)) = (&found, platform) else {
            return Ok(found);
        };
        let is_there = if self.client.version() >= PLATFORM_OF_INSPECTION {
            let query = [("platform", platform.to_json().to_string())];
            let variant = self
                .client
                .object_with(Kind::Image, reference, &query)
                .await;
            variant
                .map_err(|error| failure(&error, &format!("looking up image {reference}")))?
                .is_some()
        } else {
            Platform::of_image(found).satisfies(platform)
        };
        Ok(is_there.then(|| found.clone()))
    }

    /// Returns an image that was just pulled, imported or loaded.
    async fn expect_image(&self, reference: &str, it: &ImageFetch<'_>) -> Result<Json, Failure> {
        if let Some(found) = self.image_for(reference, it.platform.as_ref()).await? {
            return Ok(found);
        }
        Err(match (self.image(reference).await?, &it.platform) {
            (Some(found), _) if self.may_have_more_variants().await? => return Ok(found),
            (Some(found), Some(platform)) => Failure::fatal(format!(
                "image {} is for {}, but {platform} is requested",
                it.reference(),
                Platform::of_image(&found)
            ))
            .hint("correct `platform` of the image, or the image itself"),
            _ => Failure::fatal(format!(
                "the engine reported success, but image {reference} does not exist"
            )),
        })
    }

    /// Returns true if the engine may have more variants of an image than it shows: before
    /// [`PLATFORM_OF_INSPECTION`], engines with the image store of containerd show only one. The
    /// creation of the container tells whether the requested one is there.
    pub(crate) async fn may_have_more_variants(&self) -> Result<bool, Failure> {
        if self.client.version() >= PLATFORM_OF_INSPECTION {
            return Ok(false);
        }
        let info = self.info_of_engine().await?;
        let mut status = list(&info["DriverStatus"]);
        Ok(status.any(|pair| pair[1] == "io.containerd.snapshotter.v1"))
    }

    async fn pull(&self, it: &ImageFetch<'_>) -> Result<Json, Failure> {
        if it.image.is_id() {
            let id = it.image.repository.clone().unwrap_or_default();
            if let Some(found) = self.image(&id).await? {
                return Ok(found);
            }
        }
        let reference = it.reference();
        let there = self.image_for(&reference, it.platform.as_ref()).await?;
        let policy = match it.image.pull {
            PullPolicy::Missing if self.asks_registry => PullPolicy::Always,
            policy => policy,
        };
        match (there, policy) {
            (Some(image), PullPolicy::Missing | PullPolicy::Never) => return Ok(image),
            (None, PullPolicy::Never) => return self.unpulled(it, &reference).await,
            _ => {}
        }
        (it.progress)(Progress::Note(format!("pulling {reference}")));
        let auth = auth_header(&it.image, &it.repository).await?;
        let mut layers = Layers::default();
        let mut lines = std::pin::pin!(self.client.lines(
            "/images/create",
            &it.image.query(&it.repository),
            auth.as_deref(),
            None
        ));
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| pull_failure(&error, &reference, auth.is_some()))?;
            if let Some(bytes) = layers.add(&line) {
                (it.progress)(bytes);
            }
        }
        self.expect_image(&reference, it).await
    }

    /// Returns an image that must not be pulled. If the engine does not tell whether it has the
    /// variant for the platform, the creation of the container will.
    async fn unpulled(&self, it: &ImageFetch<'_>, reference: &str) -> Result<Json, Failure> {
        let found = self.image(reference).await?;
        let why = match (found, &it.platform) {
            (Some(found), _) if self.may_have_more_variants().await? => return Ok(found),
            (Some(_), Some(platform)) => format!("image {reference} does not exist for {platform}"),
            _ => format!("image {reference} does not exist"),
        };
        Err(Failure::fatal(format!(
            "{why}, and `pull_policy: never` forbids pulling it"
        )))
    }

    /// Downloads a tarball and uses it like a file, unless its image already exists.
    async fn provide_url(&self, it: &ImageFetch<'_>, url: &str) -> Result<Json, Failure> {
        let platform = self.selection(it).await?.platform;
        let before = match &it.image.sha256 {
            Some(digest) => {
                let source = source_of(&it.image, digest);
                self.imported_before(it, (label::SOURCE, &source), &platform)
                    .await?
            }
            None if it.image.pull == PullPolicy::Always => None,
            None => {
                let source = self.digest(&source_of(&it.image, url));
                self.imported_before(it, (label::SOURCE_URL, &source), &platform)
                    .await?
            }
        };
        if let Some(found) = before {
            return Ok(found);
        }
        (it.progress)(Progress::Note(format!("downloading {url}")));
        let file = download(url, it.image.download_limit(), &it.call.stop, it.progress).await?;
        let provided = self.provide_file(it, file.path()).await;
        provided.map(|(found, _)| found).map_err(|failure| Failure {
            // The path of the temporary copy means nothing to users.
            message: failure
                .message
                .replace(&file.path().display().to_string(), url),
            ..failure
        })
    }

    /// Imports or loads a file, unless its image already exists.
    async fn provide_file(
        &self,
        it: &ImageFetch<'_>,
        path: &Path,
    ) -> Result<(Json, ArchiveFile), Failure> {
        (it.progress)(Progress::Note(format!("reading {}", path.display())));
        let meant = self.selection(it).await?;
        let platform = meant.platform.clone();
        let (archive, mut file) = blocking(path, move |path| {
            Ok((recognize(path, &meant)?, ArchiveFile::read(path)?))
        })
        .await?;
        file.config = archive.config();
        let digest = &file.digest;
        if let Some(wanted) = it.image.sha256.as_ref().filter(|wanted| *wanted != digest) {
            return Err(Failure::fatal(format!(
                "{} has digest {digest}, but the blueprint expects {wanted}",
                path.display()
            ))
            .hint("check whether the file was changed, or correct `sha256` of the image"));
        }
        let source = source_of(&it.image, digest);
        let found = match archive {
            Archive::FileSystem => match self
                .imported_before(it, (label::SOURCE, &source), &platform)
                .await?
            {
                Some(image) => image,
                None => self.import(it, path, digest).await?,
            },
            image @ Archive::Image(_) => self.load(it, path, image).await?,
        };
        Ok((found, file))
    }

    /// Returns the image to select in a tarball; by default for the platform of the engine.
    async fn selection(&self, it: &ImageFetch<'_>) -> Result<Selection, Failure> {
        let platform = match &it.platform {
            Some(platform) => platform.clone(),
            None => self.engine_platform().await?,
        };
        Ok(Selection {
            platform,
            is_requested: it.platform.is_some(),
            name: it.image.given_name(),
        })
    }

    /// Returns the image that was imported from a tarball before. It must have the requested name,
    /// if there is one, and the platform: the requested one, or that of the engine. Nodes without a
    /// name share an image. An image built from such an image inherits its labels, but does not
    /// count.
    async fn imported_before(
        &self,
        it: &ImageFetch<'_>,
        (name, value): (&str, &str),
        platform: &Platform,
    ) -> Result<Option<Json>, Failure> {
        // If a digest is requested, only imports by this state directory are trusted to have it.
        let trusted = |image: &Json| it.image.sha256.is_none() || self.is_sealed_image(image);
        let is_for_platform = |image: &Json| Platform::of_image(image).satisfies(platform);
        let fits = |image: &Json| {
            image["Config"]["Labels"][name] == value
                && is_imported(image)
                && trusted(image)
                && is_for_platform(image)
        };
        if it.image.repository.is_some() {
            return Ok(self.image(&it.reference()).await?.filter(fits));
        }
        let filter = serde_json::json!({ "label": [format!("{name}={value}")] }).to_string();
        let listed = self.client.list(Kind::Image, &[("filters", filter)]).await;
        let listed = listed.map_err(|error| failure(&error, "listing images"))?;
        for found in listed.iter().filter_map(|found| found["Id"].as_str()) {
            if let Some(image) = self.image(found).await?.filter(fits) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// Returns true if this state directory imported the image, or an image that it is based on.
    fn is_sealed_image(&self, image: &Json) -> bool {
        let labels = &image["Config"]["Labels"];
        labels[label::SEAL]
            == self
                .digest(labels[label::SOURCE].as_str().unwrap_or_default())
                .as_str()
    }

    async fn import(
        &self,
        it: &ImageFetch<'_>,
        path: &Path,
        digest: &str,
    ) -> Result<Json, Failure> {
        let mut query = it.image.query(&it.repository);
        let source = source_of(&it.image, digest);
        query.push(("changes", format!("LABEL {}={source}", label::SOURCE)));
        query.push((
            "changes",
            format!("LABEL {}={}", label::SEAL, self.digest(&source)),
        ));
        if let Some(url) = it.image.src.as_ref().filter(|src| is_url(src)) {
            query.push((
                "changes",
                format!(
                    "LABEL {}={}",
                    label::SOURCE_URL,
                    self.digest(&source_of(&it.image, url))
                ),
            ));
        }
        if it.image.repository.is_none() {
            query.push(("changes", format!("LABEL {}=true", label::UNNAMED)));
        }
        let upload = Upload::open(path, Archive::FileSystem).await?;
        let lines = self
            .client
            .lines("/images/create", &query, None, Some(upload.stream));
        // The last status is the ID of the image.
        let last = lines.try_fold(None, |last, line| {
            std::future::ready(Ok(line["status"].as_str().map(str::to_owned).or(last)))
        });
        let id = with_progress(last, &upload.sent, upload.size, it.progress).await;
        let id = id
            .map_err(|error| import_failure(&error, &path.display().to_string()))?
            .filter(|id| id.starts_with("sha256:"));
        self.expect_image(&id.unwrap_or_else(|| it.reference()), it)
            .await
    }

    async fn load(
        &self,
        it: &ImageFetch<'_>,
        path: &Path,
        archive: Archive,
    ) -> Result<Json, Failure> {
        if let Some(instruction) = it.image.changes.first() {
            let message = format!(
                "{} is a saved image, so `changes` do not apply: `{instruction}`",
                path.display()
            );
            return Err(Failure::fatal(message)
                .hint("use `changes` only with a tarball of a root file system"));
        }
        let upload = Upload::open(path, archive).await?;
        let lines = self.client.lines(
            "/images/load",
            &[("quiet", "1".to_owned())],
            None,
            Some(upload.stream),
        );
        // Any name will do: only one image was sent.
        let name = |line: &Json| {
            line["stream"]
                .as_str()
                .into_iter()
                .flat_map(str::lines)
                .flat_map(loaded_names)
                .next()
        };
        let first = lines.try_fold(None, |first, line| {
            std::future::ready(Ok(first.or_else(|| name(&line))))
        });
        let loaded = with_progress(first, &upload.sent, upload.size, it.progress).await;
        let loaded = loaded.map_err(|error| import_failure(&error, &path.display().to_string()))?;
        let reference = it.reference();
        let Some(name) = loaded else {
            return Err(Failure::fatal(format!(
                "{} contains no image that the engine can load",
                path.display()
            )));
        };
        let name = &name;
        if it.image.repository.is_some() {
            let query = [("repo", it.repository.clone()), ("tag", it.tag.clone())];
            let tagged = self
                .client
                .send(&format!("/images/{}/tag", encode_path(name)), &query)
                .await;
            tagged
                .map_err(|error| failure(&error, &format!("tagging the image as {reference}")))?;
        }
        self.expect_image(name, it).await
    }

    /// Removes an image that was imported without a name, unless it is still in use.
    pub(crate) async fn remove_unnamed_image(&self, id: &str) -> Result<(), Failure> {
        let Some(found) = self.image(id).await? else {
            return Ok(());
        };
        // Keeps an image that this run provided: a container that is created later needs it.
        let is_wanted = self
            .provided_images
            .borrow()
            .values()
            .any(|provided| provided.id == id);
        if is_wanted || !self.is_removed_with_container(&found) {
            return Ok(());
        }
        match self
            .client
            .delete(&format!("/images/{}", encode_path(id)), &[])
            .await
        {
            Err(error) if !matches!(status(&error), Some(404 | 409)) => {
                Err(failure(&error, &format!("removing image `{id}`")))
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// Returns true if this state directory imported the image and the blueprint does not name it.
    /// Such an image is removed with its container.
    pub(crate) fn is_removed_with_container(&self, image: &Json) -> bool {
        image["Config"]["Labels"][label::UNNAMED] == "true"
            && is_imported(image)
            && self.is_sealed_image(image)
    }
}

/// Returns true if an image was imported itself, and is not based on an imported image whose labels
/// it inherited. An imported image has one layer, and a comment about its origin, which Docker and
/// Podman write differently. Its parent tells nothing: for Podman, any image with the same layer is
/// the parent.
fn is_imported(image: &Json) -> bool {
    let layers = image["RootFS"]["Layers"].as_array().map_or(0, Vec::len);
    let comment = image["Comment"].as_str().unwrap_or_default();
    layers == 1 && comment.to_ascii_lowercase().starts_with("imported from")
}

/// Returns the runtime properties of an image: its ID, and the name and platform that the blueprint
/// declares.
fn image_outputs(provided: &ProvidedImage, image: &Image) -> Outputs {
    let id = provided.id.as_str();
    let mut outputs = Outputs {
        set: JsonMap::from_iter([("image_id".to_owned(), id.into())]),
        ..Outputs::default()
    };
    let declared: [(&str, Option<Json>); 3] = [
        (IMAGE_NAME, image.declared_name().map(Json::from)),
        (IMAGE_PLATFORM, image.platform.clone().map(Json::from)),
        (
            IMAGE_ARCHIVE,
            provided.file.as_ref().map(ArchiveFile::to_json),
        ),
    ];
    for (property, value) in declared {
        match value {
            Some(value) => drop(outputs.set.insert(property.to_owned(), value)),
            None => outputs.unset.push(property.to_owned()),
        }
    }
    outputs
}

/// Returns the value that identifies the source of an imported image. The same file with other
/// changes results in another image.
fn source_of(image: &Image, digest: &str) -> String {
    if image.changes.is_empty() {
        digest.to_owned()
    } else {
        format!(
            "{digest}+{}",
            image.changes.join("+").replace(['"', '\\', '\n', ' '], "_")
        )
    }
}

/// Returns true if an imported image matches the source in the present definition, or `None` if
/// that is unknown.
pub(crate) async fn matches_source(
    found: &Json,
    declared: &Json,
    directory: &Path,
) -> Option<bool> {
    let image = Image::read(declared)
        .ok()
        .filter(|_| !is_late(declared, &["src", "sha256", "changes"]))?;
    let source = found["Config"]["Labels"][label::SOURCE]
        .as_str()
        .filter(|_| is_imported(found))?;
    let src = image.src.as_ref()?;
    if let Some(digest) = &image.sha256 {
        return Some(source == source_of(&image, digest));
    }
    if is_url(src) {
        // A download only for a comparison is too expensive.
        let digest = source.split('+').next().unwrap_or_default();
        return (source != source_of(&image, digest)).then_some(false);
    }
    let path = resolve_path(src, directory);
    let file = blocking(&path, ArchiveFile::read).await.ok()?;
    Some(source == source_of(&image, &file.digest))
}

/// Returns the header with registry credentials: those of the node, otherwise those of the docker
/// CLI.
async fn auth_header(image: &Image, repository: &str) -> Result<Option<String>, Failure> {
    let header = |credentials: &Json| BASE64_URL_SAFE.encode(credentials.to_string());
    if let Some(credentials) = &image.auth {
        return Ok(Some(header(credentials)));
    }
    let registry = credentials::registry_of(repository).to_owned();
    let found = tokio::task::spawn_blocking(move || credentials::of_registry(&registry)).await;
    let found = found
        .unwrap_or_else(|panic| Err(panic.to_string()))
        .map_err(Failure::fatal)?;
    Ok(found.as_ref().map(header))
}

/// Parses `Loaded image: name:tag` or `Loaded image ID: sha256:…`. Podman names all images of an
/// archive in one line.
fn loaded_names(line: &str) -> Vec<String> {
    let named = line
        .trim()
        .strip_prefix("Loaded image")
        .and_then(|rest| rest.split_once(": "));
    named
        .into_iter()
        .flat_map(|(_, names)| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn pull_failure(error: &EngineError, reference: &str, has_credentials: bool) -> Failure {
    let failure = failure(error, &format!("cannot pull image {reference}"));
    let reports = |reports: KnownMessage| reports.matches_error(error);
    let permanent = [
        KnownMessage::ImageNotFound,
        KnownMessage::RegistryUnreachable,
        KnownMessage::RegistryWithoutTls,
        KnownMessage::AccessDenied,
    ];
    let failure = if permanent.into_iter().any(reports) {
        failure.permanent()
    } else {
        failure
    };
    if reports(KnownMessage::RegistryWithoutTls) {
        return failure
            .hint("the registry does not use TLS: add it to `insecure-registries` in the engine's /etc/docker/daemon.json, and restart the engine")
            .hint("`insecure_registry` of a node has no effect: only old engines supported it");
    }
    if reports(KnownMessage::AccessDenied) {
        let problem = if has_credentials {
            "the registry rejected the credentials"
        } else {
            "the registry requires credentials"
        };
        return failure.hint(format!("{problem}: run docker login, or set `auth_config` of the image: {{username: …, password: {{get_secret: …}}}}"));
    }
    failure
        .hint("check the name and the tag of the image, and that the engine can reach the registry and has access")
        .hint("dockctl does not pull an image that the engine already has; list its images: docker image ls")
}

fn import_failure(error: &EngineError, src: &str) -> Failure {
    let failure = failure(error, &format!("cannot import {src}"));
    // An engine error about the content is permanent; a lost connection may be temporary.
    let is_reported = status(error).is_some() || matches!(error, EngineError::Reported(_));
    if is_reported {
        failure.permanent()
    } else {
        failure
    }
}

/// Progress of a pull, in bytes of all layers.
#[derive(Default)]
struct Layers {
    layers: HashMap<String, (u64, u64)>,
}

impl Layers {
    fn add(&mut self, line: &Json) -> Option<Progress> {
        let (Some(id), Some("Downloading" | "Download complete")) =
            (line["id"].as_str(), line["status"].as_str())
        else {
            return None;
        };
        let known = self.layers.entry(id.to_owned()).or_default();
        let detail = |field: &str| line["progressDetail"][field].as_u64();
        match (detail("current"), detail("total")) {
            (Some(current), Some(total)) => *known = (current, total),
            _ => known.0 = known.1,
        }
        let (done, total) = self
            .layers
            .values()
            .fold((0, 0), |(done, total), (d, t)| (done + d, total + t));
        Some(Progress::Bytes { done, total })
    }
}
