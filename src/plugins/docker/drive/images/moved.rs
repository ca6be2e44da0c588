//! Images that changed under their reference: a tag that names another image now, an archive with
//! other content, a newer image in the registry.

use super::{Selection, archive::ArchiveFile, auth_header, blocking, recognize};
use crate::{
    engine::{Kind, failure, status},
    model::{Definition, Difference, Instance},
    plugins::{
        ObserveContext,
        docker::{
            declare::{
                action::is_late,
                declared,
                image::{
                    Image, find_tagged, is_url, resolve_path, short_id, short_image_id,
                    strip_registry,
                },
                json::{strings, text},
                operation::is_infrakit,
            },
            drive::engine::Engine,
        },
    },
    seam::{Failure, Object, Observed},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Runtime property with the archive that an image was loaded or imported from.
pub(crate) const IMAGE_ARCHIVE: &str = "image_archive";

/// The image of a container, and its declaration.
struct UsedImage<'a> {
    instance: &'a Instance,
    object: &'a Object,
    declared: Image,
}

impl<'a> UsedImage<'a> {
    /// Returns `None` if the declaration names no image, or names it only later.
    fn of(
        instance: &'a Instance,
        node: &Definition,
        observed: &'a Observed,
    ) -> Option<UsedImage<'a>> {
        let object = observed.of_instance(&instance.id)?;
        if node.is_adopted() || is_infrakit(node) || object.image_id.is_empty() {
            return None;
        }
        let image = declared::image(node);
        if is_late(&image, &["src", "image", "repository", "tag"]) {
            return None;
        }
        let declared = Image::read(&image).ok()?;
        Some(Self {
            instance,
            object,
            declared,
        })
    }

    /// Returns the name that the image has on the engine, if another image can get it.
    fn movable_name(&self) -> Option<String> {
        let is_local = self.declared.src.is_some() || self.declared.source.is_some();
        let name = self.declared.declared_name().filter(|_| !is_local);
        name.filter(|name| !name.contains('@'))
    }

    /// Returns true if the container was created from the image with this ID.
    fn is_of(&self, id: &str) -> bool {
        short_id(id) == short_id(&self.object.image_id)
    }

    fn moved_to(&self, after: &str) -> (String, Vec<Difference>) {
        self.moved(&self.object.image_id, after)
    }

    fn moved(&self, before: &str, after: &str) -> (String, Vec<Difference>) {
        let difference = Difference {
            field: "image".to_owned(),
            before: Some(short_image_id(before).into()),
            after: Some(short_image_id(after).into()),
        };
        (self.instance.id.clone(), vec![difference])
    }
}

impl Engine {
    /// Returns the images of these instances that are no longer those that their declarations
    /// name. With `asks_registry`, that includes images that are newer in their registry.
    ///
    /// # Errors
    ///
    /// If the images cannot be listed, or a registry does not answer.
    pub(crate) async fn moved_images(
        &self,
        scene: ObserveContext<'_>,
        instances: &[&Instance],
        observed: &Observed,
    ) -> Result<BTreeMap<String, Vec<Difference>>, Failure> {
        let used = instances.iter().filter_map(|instance| {
            let node = scene.deployment.node(instance)?;
            UsedImage::of(instance, node, observed)
        });
        let used: Vec<UsedImage<'_>> = used.collect();
        let mut moved = BTreeMap::new();
        for it in &used {
            moved.extend(self.moved_archive(it, scene).await);
        }
        if used.iter().any(|it| it.movable_name().is_some()) {
            moved.extend(self.moved_names(&used).await?);
        }
        Ok(moved)
    }

    /// Returns the images whose name another image has now.
    async fn moved_names(
        &self,
        used: &[UsedImage<'_>],
    ) -> Result<BTreeMap<String, Vec<Difference>>, Failure> {
        let listed = self.images_of(used).await?;
        let mut moved = BTreeMap::new();
        let mut latest: BTreeMap<String, Option<(String, String)>> = BTreeMap::new();
        for it in used {
            let Some(name) = it.movable_name() else {
                continue;
            };
            let found = find_tagged(&listed, &name);
            let pulled = found.or_else(|| listed.iter().find(|image| it.is_of(text(&image["Id"]))));
            if let Some(pulled) =
                pulled.filter(|_| self.asks_registry && !latest.contains_key(&name))
            {
                let digest = self.newer_digest(&it.declared, pulled).await?;
                latest.insert(name.clone(), digest);
            }
            let newer = latest.get(&name).and_then(Option::as_ref);
            if let Some((before, after)) = newer {
                moved.extend([it.moved(before, after)]);
                continue;
            }
            let id = found.map(|found| text(&found["Id"]).to_owned());
            let after = id.filter(|id| !it.is_of(id));
            moved.extend(after.map(|after| it.moved_to(&after)));
        }
        Ok(moved)
    }

    /// Returns the images of the engine. An engine with the image store of containerd cannot list
    /// them while one is being removed; then only those that are used are looked up.
    async fn images_of(&self, used: &[UsedImage<'_>]) -> Result<Vec<Json>, Failure> {
        match self.client.list(Kind::Image, &[]).await {
            Ok(listed) => return Ok(listed),
            Err(error) if status(&error).is_some() => {}
            Err(error) => return Err(failure(&error, "listing images")),
        }
        let names = used.iter().filter_map(UsedImage::movable_name);
        let names: BTreeSet<String> = names.collect();
        let mut found = Vec::new();
        for name in names {
            found.extend(self.image(&name).await?);
        }
        Ok(found)
    }

    /// Returns the digest of the image found on the engine and the one in its registry, if they
    /// differ. An image without a digest of its repository was not pulled from there: its name may
    /// mean nothing to a registry.
    async fn newer_digest(
        &self,
        image: &Image,
        found: &Json,
    ) -> Result<Option<(String, String)>, Failure> {
        let (repository, _) = image.reference("");
        let known: Vec<&str> = strings(&found["RepoDigests"])
            .filter_map(|it| it.split_once('@'))
            .filter(|(of, _)| strip_registry(of) == strip_registry(&repository))
            .map(|(_, digest)| digest)
            .collect();
        let Some(first) = known.first() else {
            return Ok(None);
        };
        let digest = self.registry_digest(image).await?;
        let is_known = known.contains(&digest.as_str());
        Ok((!is_known).then(|| ((*first).to_owned(), digest)))
    }

    async fn registry_digest(&self, image: &Image) -> Result<String, Failure> {
        let (repository, tag) = image.reference("");
        let asking = format!("asking the registry for image {repository}:{tag}");
        if self.client.is_podman() {
            let message = format!("{asking}: Podman does not offer that");
            return Err(Failure::fatal(message)
                .hint(format!("pull the image, then repeat the command without --pull: podman pull {repository}:{tag}")));
        }
        let auth = auth_header(image, &repository).await?;
        let found = self.client.distribution(&repository, &tag, auth.as_deref());
        let found = found.await.map_err(|error| {
            failure(&error, &asking).hint(
                "check that the engine can reach the registry and has access, or leave out --pull",
            )
        })?;
        let digest = found["Descriptor"]["digest"].as_str();
        let digest =
            digest.ok_or_else(|| Failure::fatal(format!("{asking}: no digest in the response")))?;
        Ok(digest.to_owned())
    }

    /// Returns the image of an archive that was replaced since the image was created from it.
    /// Without knowledge about the archive, nothing is known to have changed.
    async fn moved_archive(
        &self,
        it: &UsedImage<'_>,
        scene: ObserveContext<'_>,
    ) -> Option<(String, Vec<Difference>)> {
        let src = it.declared.src.as_deref().filter(|src| !is_url(src))?;
        let properties = scene.record.properties(&it.instance.id)?;
        let known = ArchiveFile::from_json(properties.get(IMAGE_ARCHIVE)?)?;
        let directory = scene.deployment.blueprint.parent()?;
        let path = resolve_path(src, directory);
        // A missing file is reported when it is needed.
        let now = known.again(&path).await.ok()?;
        let unchanged = || (!it.is_of(&known.image)).then(|| it.moved_to(&known.image));
        if now.digest == known.digest {
            return unchanged();
        }
        match self.saved_config(&it.declared, &path).await {
            Some(config) if known.config.as_ref() == Some(&config) => unchanged(),
            Some(config) if it.is_of(&config) => None,
            Some(config) => Some(it.moved_to(&config)),
            None => Some(it.moved(&known.digest, &now.digest)),
        }
    }

    /// Returns the digest of the configuration of the image that an archive of `docker save` contains.
    /// It is the ID of the image, unless the engine has the image store of containerd.
    async fn saved_config(&self, image: &Image, path: &Path) -> Option<String> {
        let platform = match &image.platform {
            Some(platform) => self.platform(platform).await.ok()?,
            None => self.engine_platform().await.ok()?,
        };
        let meant = Selection {
            platform,
            is_requested: image.platform.is_some(),
            name: image.given_name(),
        };
        let archive = blocking(path, move |path| recognize(path, &meant)).await;
        archive.ok()?.config()
    }
}
