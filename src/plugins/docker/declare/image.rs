//! What a node says of its image, and the request that brings it.

use crate::{
    diagnostic::Fault,
    model::function::{holds_call, holds_late_call, is_call},
    plugins::docker::declare::{
        action::is_late,
        params::{Form, convert, kind},
    },
};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// A node's `image`, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Image {
    pub src: Option<String>,
    /// Another image that the new one is made from.
    pub base: Option<String>,
    pub repository: Option<String>,
    pub tag: Option<String>,
    pub platform: Option<String>,
    pub pull: PullPolicy,
    pub all_tags: bool,
    pub auth: Option<Json>,
    pub changes: Vec<String>,
    pub sha256: Option<String>,
    /// Largest download, in bytes.
    pub max_size: Option<u64>,
}

/// When an image is pulled; dockctl's extension.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum PullPolicy {
    #[default]
    Missing,
    Always,
    Never,
}

/// A key of `image`, the form of its value, and what it means.
pub(crate) struct Key {
    pub name: &'static str,
    pub form: Form,
    pub meaning: &'static str,
}

const fn key(name: &'static str, form: Form, meaning: &'static str) -> Key {
    Key {
        name,
        form,
        meaning,
    }
}

/// Everything that `image` takes: arguments of docker-py's `pull` and `import_image`, and dockctl's
/// own.
pub(crate) const KEYS: &[Key] = &[
    key(
        "repository",
        Form::Text,
        "name of the image, perhaps with a registry, a tag or a digest",
    ),
    key(
        "tag",
        Form::Text,
        "tag or digest; beats the one in `repository` (default: `latest`)",
    ),
    key(
        "src",
        Form::Text,
        "tarball, folder or address that the image is made from",
    ),
    key(
        "image",
        Form::Text,
        "another image to bring under this name",
    ),
    key("platform", Form::Text, "`os[/arch[/variant]]`"),
    key("all_tags", Form::Bool, "pull every tag of the repository"),
    key(
        "auth_config",
        Form::Raw,
        "who asks the registry: `username`, `password`, …",
    ),
    key(
        "insecure_registry",
        Form::Bool,
        "accepted, without effect: it is a setting of the engine",
    ),
    key("stream", Form::Bool, "accepted, without effect"),
    key("decode", Form::Bool, "accepted, without effect"),
    key(
        "changes",
        Form::Strings,
        "instructions of a Dockerfile for an imported file system",
    ),
    key(
        "pull_policy",
        Form::Text,
        "`missing` (default), `always` or `never`; dockctl's own",
    ),
    key(
        "sha256",
        Form::Text,
        "digest that the content of `src` must have; dockctl's own",
    ),
    key(
        "max_size",
        Form::Bytes,
        "largest download, such as `2g` (default: `10g`); dockctl's own",
    ),
];

/// Largest download where nothing is said.
const MAX_SIZE: u64 = 10 << 30;
/// Who asks a registry.
const AUTH: [&str; 7] = [
    "username",
    "password",
    "email",
    "auth",
    "serveraddress",
    "identitytoken",
    "registrytoken",
];

impl Image {
    /// Reads an image. Values that are computed later are left out.
    ///
    /// # Errors
    ///
    /// All keys and values that cannot be used.
    pub(crate) fn read(image: &Json) -> Result<Self, Vec<Fault>> {
        let Some(entries) = image.as_object() else {
            let fault = Fault::new(format!(
                "`image` must be a mapping, and this is {}",
                kind(image)
            ));
            return Err(vec![fault.hint(
                "image: {repository: NAME, tag: TAG}, or image: {src: TARBALL}",
            )]);
        };
        let (mut read, mut faults) = (Self::default(), Vec::new());
        for (name, value) in entries
            .iter()
            .filter(|(_, value)| !value.is_null() && !holds_call(value))
        {
            if let Err(fault) = read.entry(name, value) {
                faults.push(fault);
            }
        }
        if faults.is_empty() {
            faults.extend(read.check(image).err());
        }
        if faults.is_empty() {
            Ok(read)
        } else {
            Err(faults)
        }
    }

    fn entry(&mut self, name: &str, value: &Json) -> Result<(), Fault> {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            return Err(Fault::unknown_among(
                name,
                &KEYS.iter().map(|key| key.name).collect::<Vec<_>>(),
            ));
        };
        let value = convert(key.form, value, &mut Vec::new())
            .map_err(|fault| fault.within(&[name.to_owned()]))?;
        self.take(name, &value)
            .map_err(|fault| fault.within(&[name.to_owned()]))
    }

    fn take(&mut self, name: &str, value: &Json) -> Result<(), Fault> {
        let text = value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        match name {
            "src" => self.src = text,
            "image" => self.base = text,
            "repository" => self.repository = text,
            "tag" => self.tag = text,
            "platform" => self.platform = text,
            "pull_policy" => self.pull = pull_policy(text.as_deref())?,
            "all_tags" => self.all_tags = *value == true,
            "auth_config" => self.auth = auth(value)?,
            "changes" => {
                self.changes = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|it| it.as_str().map(str::to_owned))
                    .collect()
            }
            "sha256" => self.sha256 = text.map(|text| sha256(&text)).transpose()?,
            "max_size" => self.max_size = value.as_u64(),
            _ => {}
        }
        Ok(())
    }

    fn check(&self, image: &Json) -> Result<(), Fault> {
        let given = |name: &str| {
            image
                .get(name)
                .is_some_and(|value| !value.is_null() && value != "")
        };
        let local = given("src");
        let only_with_src = ["sha256", "changes", "max_size"]
            .into_iter()
            .find(|name| given(name) && !local);
        match only_with_src {
            _ if !local && !given("repository") && !given("image") => Err(Fault::new(
                "`image` needs a `repository` to pull or a `src` to import",
            )
            .hint("image: {repository: NAME, tag: TAG}, or image: {src: TARBALL}")),
            Some(name) => {
                Err(Fault::new(format!("`{name}` goes with `src`")).within(&[name.to_owned()]))
            }
            None if self
                .src
                .as_ref()
                .and_then(|src| src.split_once("://"))
                .is_some_and(|(scheme, _)| {
                    !matches!(scheme.to_lowercase().as_str(), "http" | "https" | "file")
                }) =>
            {
                Err(Fault::new("an address in `src` must be http or https")
                    .within(&["src".to_owned()]))
            }
            None if local && given("image") => {
                Err(Fault::new("`src` and `image` exclude each other")
                    .within(&["image".to_owned()]))
            }
            None => self.check_reference(),
        }
    }

    /// The engine's rules: a repository is lower case (the registry's host may not be), a tag has
    /// no spaces.
    fn check_reference(&self) -> Result<(), Fault> {
        let at = |key: &str, message: String| Err(Fault::new(message).within(&[key.to_owned()]));
        let Some(name) = &self.repository else {
            return Ok(());
        };
        if name.contains("://") {
            return at(
                "repository",
                format!("the repository `{name}` must not start with a scheme"),
            );
        }
        let (repository, tag) = self.reference("");
        let path = repository
            .split_once('/')
            .map_or(repository.as_str(), |(_, path)| path);
        let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if path.is_empty() || !path.chars().all(in_path) {
            let message = format!(
                "`{repository}` is no name of an image: it has lower case letters, digits and any of `._-/`"
            );
            return at("repository", message);
        }
        let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if tag.is_empty() || tag.len() > 135 || !tag.chars().all(in_tag) {
            let key = if self.tag.is_some() {
                "tag"
            } else {
                "repository"
            };
            return at(
                key,
                format!("`{tag}` is no tag of an image: it has letters, digits and any of `._-`"),
            );
        }
        Ok(())
    }

    /// Repository and tag or digest, as the engine takes them. A tag of its own beats one in the
    /// repository.
    pub(crate) fn reference(&self, fallback: &str) -> (String, String) {
        let repository = self
            .repository
            .as_deref()
            .or(self.base.as_deref())
            .unwrap_or(fallback);
        let (name, digest) = repository
            .split_once('@')
            .map_or((repository, None), |(name, digest)| (name, Some(digest)));
        let in_name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (name, tag) = in_name.map_or((name, None), |(name, tag)| (name, Some(tag)));
        (
            name.to_owned(),
            digest
                .or(self.tag.as_deref())
                .or(tag)
                .unwrap_or("latest")
                .to_owned(),
        )
    }

    /// The name that the blueprint gives the image; none if it gives none.
    pub(crate) fn given_name(&self) -> Option<GivenName> {
        self.repository.as_ref()?;
        let (repository, tag) = self.reference("");
        let says_tag = self.tag.is_some()
            || self
                .repository
                .as_deref()
                .is_some_and(|name| name != repository);
        Some(GivenName {
            repository,
            tag: says_tag.then_some(tag),
        })
    }

    /// Whether the name is an image's id, as docker-py takes it too: nothing to be pulled by.
    pub(crate) fn is_id(&self) -> bool {
        let hex = |text: &str| {
            text.len() >= 12
                && text.len() <= 64
                && text
                    .bytes()
                    .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        };
        let name = self.repository.as_deref().unwrap_or_default();
        self.tag.is_none() && hex(name.strip_prefix("sha256:").unwrap_or(name))
    }

    /// Largest download, in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.max_size.unwrap_or(MAX_SIZE)
    }

    /// The request that brings the image; several values of one name are several parameters.
    /// Addresses are fetched by dockctl itself, which sends what it got: that is how it knows size,
    /// digest and kind of what it brings.
    pub(crate) fn query(&self, fallback: &str) -> Vec<(&'static str, String)> {
        let (repository, tag) = self.reference(fallback);
        let platform = self.platform.clone().map(|platform| ("platform", platform));
        match (&self.src, &self.base) {
            (Some(_), _) => {
                let changes = self
                    .changes
                    .iter()
                    .map(|change| ("changes", change.clone()));
                [
                    ("fromSrc", "-".to_owned()),
                    ("repo", repository),
                    ("tag", tag),
                ]
                .into_iter()
                .chain(changes)
                .collect()
            }
            (None, Some(image)) => vec![
                ("fromImage", image.clone()),
                ("repo", repository),
                ("tag", tag),
            ],
            (None, None) if self.all_tags => [("fromImage", repository)]
                .into_iter()
                .chain(platform)
                .collect(),
            (None, None) => [("fromImage", repository), ("tag", tag)]
                .into_iter()
                .chain(platform)
                .collect(),
        }
    }
}

fn pull_policy(name: Option<&str>) -> Result<PullPolicy, Fault> {
    match name {
        None | Some("missing") => Ok(PullPolicy::Missing),
        Some("always") => Ok(PullPolicy::Always),
        Some("never") => Ok(PullPolicy::Never),
        Some(other) => Err(Fault::new(format!(
            "there is no pull policy `{other}`: it is missing, always or never"
        ))),
    }
}

/// An empty one is none: the credentials of the docker command are used.
fn auth(value: &Json) -> Result<Option<Json>, Fault> {
    let Some(entries) = value.as_object() else {
        return Err(Fault::new(
            "this must be a mapping of username, password and the like",
        ));
    };
    if let Some(name) = entries.keys().find(|name| !AUTH.contains(&name.as_str())) {
        return Err(Fault::unknown_among(name, &AUTH));
    }
    if let Some((name, _)) = entries
        .iter()
        .find(|(_, value)| !value.is_string() && !value.is_null())
    {
        return Err(Fault::new("this must be a string").within(std::slice::from_ref(name)));
    }
    Ok(Some(value.clone()).filter(|_| !entries.is_empty()))
}

fn sha256(text: &str) -> Result<String, Fault> {
    let digest = text.strip_prefix("sha256:").unwrap_or(text).to_lowercase();
    let is_digest = digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit());
    if is_digest {
        Ok(format!("sha256:{digest}"))
    } else {
        Err(Fault::new(
            "this must be a digest of 64 hexadecimal digits, in quotes",
        ))
    }
}

/// Repository and tag as one text.
pub(crate) fn joined(repository: &str, tag: &str) -> String {
    let separator = if tag.contains(':') { '@' } else { ':' };
    format!("{repository}{separator}{tag}")
}

/// An image as a plan shows it.
pub(crate) fn shown(image: &Json) -> String {
    match Image::read(image) {
        Ok(_) if is_late(image, &["src", "image", "repository", "tag"]) => {
            "(known after install)".to_owned()
        }
        Ok(Image { src: Some(src), .. }) => format!("from {src}"),
        Ok(image) if image.is_id() => image.repository.unwrap_or_default(),
        Ok(image) => {
            let (repository, tag) = image.reference("");
            joined(&repository, &tag)
        }
        Err(_) => "that cannot be read".to_owned(),
    }
}

/// The name, or the id, that the engine has the image by; none if it has no name, or one that is
/// only known later.
pub(crate) fn name_of(image: &Json) -> Option<String> {
    let read = Image::read(image)
        .ok()
        .filter(|_| !is_late(image, &["src", "image", "repository", "tag"]))?;
    if read.is_id() {
        return read.repository;
    }
    let is_named = read.repository.is_some() || read.base.is_some();
    let (repository, tag) = read.reference("");
    is_named.then(|| joined(&repository, &tag))
}

/// What tells images apart that need not be brought twice; none if that is only known later.
pub(crate) fn key_of(image: &Json) -> Option<String> {
    let keys = ["src", "image", "repository", "tag", "platform", "changes"];
    if is_call(image) || keys.iter().any(|key| holds_late_call(&image[key])) {
        return None;
    }
    let read = Image::read(image).ok()?;
    let (repository, tag) = read.reference("");
    Some(format!(
        "{}\n{repository}\n{tag}\n{}\n{:?}",
        image["src"],
        read.platform.unwrap_or_default(),
        read.changes
    ))
}

/// Where a tarball is looked for: as given if absolute, else beside the blueprint.
pub(crate) fn path_of(src: &str, folder: &Path) -> PathBuf {
    folder.join(src.strip_prefix("file://").unwrap_or(src))
}

/// The tarball on this machine that an image is read from, if it is known by now.
pub(crate) fn file_of(image: &Json, folder: &Path) -> Option<PathBuf> {
    let src = Image::read(image).ok()?.src.filter(|src| !is_url(src))?;
    Some(path_of(&src, folder))
}

pub(crate) fn is_url(src: &str) -> bool {
    let scheme = src
        .split_once("://")
        .map(|(scheme, _)| scheme.to_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// The name that a blueprint gives an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GivenName {
    pub repository: String,
    /// As far as it is said.
    pub tag: Option<String>,
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
            (
                json!({"repository": "busybox:1.36", "tag": "latest"}),
                "busybox:latest",
            ),
            (
                json!({"repository": "localhost:5000/team/app", "tag": "v1"}),
                "localhost:5000/team/app:v1",
            ),
            (
                json!({"repository": "localhost:5000/team/app"}),
                "localhost:5000/team/app:latest",
            ),
            (
                json!({"repository": "busybox@sha256:aa"}),
                "busybox@sha256:aa",
            ),
            (
                json!({"repository": "busybox:1@sha256:aa", "tag": "2"}),
                "busybox@sha256:aa",
            ),
            (
                json!({"repository": "busybox", "tag": "sha256:aa"}),
                "busybox@sha256:aa",
            ),
            (
                json!({"repository": "busybox", "auth_config": {"password": {"get_secret": "p"}}}),
                "busybox:latest",
            ),
            (
                json!({"repository": {"get_secret": "p"}}),
                "(known after install)",
            ),
        ] {
            assert_eq!(shown(&image), reference);
        }
    }

    #[test]
    fn what_no_image_can_be_is_a_fault_with_its_place() {
        for (image, path) in [
            (json!({}), ""),
            (json!({"repository": "https://reg.test/app"}), "repository"),
            (json!({"repository": "App"}), "repository"),
            (json!({"repository": "app", "tag": "a b"}), "tag"),
            (json!({"repository": "app", "tga": "1"}), "tga"),
            (
                json!({"repository": "app", "sha256": "0".repeat(64)}),
                "sha256",
            ),
            (json!({"src": "x.tar", "sha256": "abc"}), "sha256"),
            (json!({"src": "x.tar", "max_size": "5q"}), "max_size"),
            (
                json!({"repository": "app", "auth_config": {"usrname": "u"}}),
                "auth_config.usrname",
            ),
            (
                json!({"repository": "app", "pull_policy": "sometimes"}),
                "pull_policy",
            ),
        ] {
            let faults = Image::read(&image).unwrap_err();
            assert_eq!(faults[0].path.join("."), path, "{image}: {faults:?}");
        }
    }

    #[test]
    fn requests_are_those_of_docker_py() {
        let (mut checked, mut wrong) = (0, Vec::new());
        for line in include_str!("../../../../tests/data/images.jsonl").lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let result = Image::read(&case["params"]);
            let fits = match (&result, case.get("reject")) {
                (Err(_), Some(_)) => true,
                (Ok(image), None) => pairs(&case["engine"]["query"]) == sorted(image.query("r")),
                _ => false,
            };
            checked += 1;
            if !fits {
                wrong.push(format!(
                    "{}: {:?}\n  expected {}",
                    case["id"],
                    result.map(|image| image.query("r")),
                    case["engine"]
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {checked} cases:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert_eq!(checked, 15);
    }

    /// The recorded parameters, sorted. Where the library has the engine fetch an address, dockctl
    /// fetches it itself.
    fn pairs(query: &Json) -> Vec<(String, String)> {
        let of_map = query
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let of_list = query.as_array().into_iter().flatten().map(|pair| {
            (
                pair[0].as_str().unwrap().to_owned(),
                pair[1].as_str().unwrap().to_owned(),
            )
        });
        let mut all: Vec<_> = of_map
            .chain(of_list)
            .map(|(name, value)| {
                if name == "fromSrc" {
                    (name, "-".to_owned())
                } else {
                    (name, value)
                }
            })
            .collect();
        all.sort();
        all
    }

    fn sorted(query: Vec<(&'static str, String)>) -> Vec<(String, String)> {
        let mut all: Vec<_> = query
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        all.sort();
        all
    }
}
