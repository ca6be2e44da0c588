//! Reads a node's `image` and builds the request that pulls or imports it.

use crate::{
    diagnostic::Fault,
    model::function::{contains_call, contains_late_call, is_call},
    plugins::docker::declare::{
        action::is_late,
        json::strings,
        params::{Form, convert, kind},
    },
};
use serde_json::{Map as JsonMap, Value as Json};
use std::path::{Path, PathBuf};

/// A parsed `image` of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Image {
    pub src: Option<String>,
    /// Existing image that gets a new name (key `image`).
    pub source: Option<String>,
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

/// Query parameters of a request.
type Query = Vec<(&'static str, String)>;

/// When an image is pulled; an extension of dockctl.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum PullPolicy {
    #[default]
    Missing,
    Always,
    Never,
}

/// A key of `image`, the form of its value, and its meaning.
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

/// All keys of `image`: arguments of docker-py's `pull` and `import_image`, and extensions of
/// dockctl.
pub(crate) const KEYS: &[Key] = &[
    key(
        "repository",
        Form::Text,
        "name of the image, optionally with registry, tag or digest",
    ),
    key(
        "tag",
        Form::Text,
        "tag or digest; overrides the one in `repository` (default: `latest`)",
    ),
    key(
        "src",
        Form::Text,
        "tarball, directory or URL to import the image from",
    ),
    key(
        "image",
        Form::Text,
        "another image to import under this name",
    ),
    key("platform", Form::Text, "`os[/arch[/variant]]`"),
    key("all_tags", Form::Bool, "pull every tag of the repository"),
    key(
        "auth_config",
        Form::Raw,
        "credentials for the registry: `username`, `password`, …",
    ),
    key(
        "insecure_registry",
        Form::Bool,
        "accepted, no effect: configure it in the engine",
    ),
    key("stream", Form::Bool, "accepted, no effect"),
    key("decode", Form::Bool, "accepted, no effect"),
    key(
        "changes",
        Form::Strings,
        "Dockerfile instructions to apply to an imported root file system",
    ),
    key(
        "pull_policy",
        Form::Text,
        "`missing` (default), `always` or `never`; extension of dockctl",
    ),
    key(
        "sha256",
        Form::Text,
        "expected digest of the file that `src` names; extension of dockctl",
    ),
    key(
        "max_size",
        Form::Bytes,
        "size limit of the download (default: `10g`); extension of dockctl",
    ),
];

/// Default of `max_size`, in bytes.
const MAX_SIZE: u64 = 10 << 30;
/// Keys of `auth_config`.
const AUTH_KEYS: [&str; 7] = [
    "username",
    "password",
    "email",
    "auth",
    "serveraddress",
    "identitytoken",
    "registrytoken",
];

/// Syntax of an image, for messages.
const SYNTAX: &str = "image: {repository: NAME, tag: TAG}, or image: {src: TARBALL}";

/// Keys that identify the image.
const NAME_KEYS: [&str; 4] = ["src", "image", "repository", "tag"];

impl Image {
    /// Reads an image. Late values are left out.
    ///
    /// # Errors
    ///
    /// All invalid keys and values.
    pub(crate) fn read(image: &Json) -> Result<Self, Vec<Fault>> {
        let entries = image
            .as_object()
            .ok_or_else(|| vec![not_a_mapping(image)])?;
        let (read, faults) = Self::from_entries(entries);
        if !faults.is_empty() {
            return Err(faults);
        }
        read.check(image).map_err(|fault| vec![fault])?;
        Ok(read)
    }

    /// Reads the entries that are already known, and returns their faults.
    fn from_entries(entries: &JsonMap<String, Json>) -> (Self, Vec<Fault>) {
        let mut read = Self::default();
        let is_known = |value: &Json| !value.is_null() && !contains_call(value);
        let known = entries.iter().filter(|(_, value)| is_known(value));
        let faults = known.filter_map(|(name, value)| read.entry(name, value).err());
        let faults = faults.collect();
        (read, faults)
    }

    fn entry(&mut self, name: &str, value: &Json) -> Result<(), Fault> {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            return Err(Fault::unknown_among(name, &known));
        };
        let converted = convert(key.form, value, &mut Vec::new());
        let set = converted.and_then(|value| self.set(name, &value));
        set.map_err(|fault| fault.at_key(name))
    }

    fn set(&mut self, name: &str, value: &Json) -> Result<(), Fault> {
        let text = value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        match name {
            "src" => self.src = text,
            "image" => self.source = text,
            "repository" => self.repository = text,
            "tag" => self.tag = text,
            "platform" => self.platform = text,
            "pull_policy" => self.pull = pull_policy(text.as_deref())?,
            "all_tags" => self.all_tags = *value == true,
            "auth_config" => self.auth = auth(value)?,
            "changes" => self.changes = strings(value).map(str::to_owned).collect(),
            "sha256" => self.sha256 = text.map(|text| sha256(&text)).transpose()?,
            "max_size" => self.max_size = value.as_u64(),
            _ => {}
        }
        Ok(())
    }

    fn check(&self, image: &Json) -> Result<(), Fault> {
        let given = |name: &str| !image[name].is_null() && image[name] != "";
        if given("src") {
            self.check_src(given("image"))?;
        } else {
            check_pulled(given)?;
        }
        self.check_reference()
    }

    fn check_src(&self, has_base: bool) -> Result<(), Fault> {
        if self.src.as_deref().is_some_and(has_unsupported_scheme) {
            return Err(Fault::new("a URL in `src` must start with http or https").at_key("src"));
        }
        if has_base {
            return Err(Fault::new("`src` and `image` cannot be combined").at_key("image"));
        }
        Ok(())
    }

    /// Applies the engine's rules: a repository is lower case, except for the registry's host; a
    /// tag has no spaces.
    fn check_reference(&self) -> Result<(), Fault> {
        let Some(name) = &self.repository else {
            return Ok(());
        };
        let (repository, tag) = self.reference("");
        let checked = check_scheme(name).and_then(|()| check_repository(&repository));
        checked.map_err(|fault| fault.at_key("repository"))?;
        let key = self.tag.as_ref().map_or("repository", |_| "tag");
        check_tag(&tag).map_err(|fault| fault.at_key(key))
    }

    /// Returns repository and tag or digest in the engine's format. The key `tag` overrides a tag
    /// in `repository`.
    pub(crate) fn reference(&self, fallback: &str) -> (String, String) {
        let given = self.repository.as_deref().or(self.source.as_deref());
        let repository = given.unwrap_or(fallback);
        let (name, digest) = split_off(repository, repository.split_once('@'));
        let in_name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (name, tag) = split_off(name, in_name);
        let tag = digest.or(self.tag.as_deref()).or(tag);
        (name.to_owned(), tag.unwrap_or("latest").to_owned())
    }

    /// Returns repository and tag as one string; the default tag is `latest`.
    fn name(&self) -> String {
        let (repository, tag) = self.reference("");
        join_reference(&repository, &tag)
    }

    /// Returns the name that the blueprint gives the image, if any.
    pub(crate) fn given_name(&self) -> Option<GivenName> {
        let name = self.repository.as_deref()?;
        let (repository, tag) = self.reference("");
        let has_tag = self.tag.is_some() || name != repository;
        Some(GivenName {
            repository,
            tag: has_tag.then_some(tag),
        })
    }

    /// Returns the name by which users know the image: repository and tag or digest. `None` if it
    /// has no name, or only an ID.
    pub(crate) fn declared_name(&self) -> Option<String> {
        let is_named = self.repository.is_some() || self.source.is_some();
        (is_named && !self.is_id()).then(|| self.name())
    }

    /// Returns true if the name is an image ID, which docker-py accepts too but which cannot be
    /// pulled.
    pub(crate) fn is_id(&self) -> bool {
        let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        let name = self.repository.as_deref().unwrap_or_default();
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        self.tag.is_none() && (12..=64).contains(&id.len()) && id.bytes().all(is_hex)
    }

    /// Returns the largest download, in bytes.
    pub(crate) fn download_limit(&self) -> u64 {
        self.max_size.unwrap_or(MAX_SIZE)
    }

    /// Returns the query of the request that pulls or imports the image; several values of one name
    /// are several parameters. dockctl downloads URLs itself and uploads the content, to check its
    /// size, digest and type.
    pub(crate) fn query(&self, fallback: &str) -> Query {
        let reference = self.reference(fallback);
        let changes = self.changes.iter().map(|it| ("changes", it.clone()));
        match (&self.src, &self.source) {
            (Some(_), _) => {
                let platform = self.platform.clone().map(|it| ("platform", it));
                let renamed = rename_query("fromSrc", "-", reference).into_iter();
                renamed.chain(changes).chain(platform).collect()
            }
            (None, Some(image)) => rename_query("fromImage", image, reference),
            (None, None) => self.pull_query(reference),
        }
    }

    fn pull_query(&self, (repository, tag): (String, String)) -> Query {
        let tag = (!self.all_tags).then_some(("tag", tag));
        let platform = self.platform.clone().map(|it| ("platform", it));
        let image = [("fromImage", repository)].into_iter();
        image.chain(tag).chain(platform).collect()
    }

    /// Returns a key that is equal only for images from the same source.
    fn key(&self, src: &Json) -> String {
        let (repository, tag) = self.reference("");
        let platform = self.platform.as_deref().unwrap_or_default();
        let changes = &self.changes;
        format!("{src}\n{repository}\n{tag}\n{platform}\n{changes:?}")
    }
}

/// Returns the listed image that has a name.
pub(crate) fn find_tagged<'l>(listed: &'l [Json], name: &str) -> Option<&'l Json> {
    let is_it = |tag: &str| strip_registry(tag) == strip_registry(name);
    let mut listed = listed.iter();
    listed.find(|image| strings(&image["RepoTags"]).any(is_it))
}

/// Strips the default registry from a name.
pub(crate) fn strip_registry(name: &str) -> &str {
    ["docker.io/library/", "docker.io/", "localhost/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// Returns an image ID without its algorithm, which Podman does not show.
pub(crate) fn short_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// Returns an image ID for output: with its algorithm and 12 digits.
pub(crate) fn short_image_id(id: &str) -> String {
    let digits: String = short_id(id).chars().take(12).collect();
    format!("sha256:{digits}")
}

/// Returns the query for an image that gets a new name.
fn rename_query(key: &'static str, source: &str, (repository, tag): (String, String)) -> Query {
    let source = (key, source.to_owned());
    vec![source, ("repo", repository), ("tag", tag)]
}

fn not_a_mapping(image: &Json) -> Fault {
    let message = format!("`image` must be a mapping, not {}", kind(image));
    Fault::new(message).hint(SYNTAX)
}

/// Checks an image without `src`: it needs a name, and accepts no keys that apply to `src`.
fn check_pulled(given: impl Fn(&str) -> bool) -> Result<(), Fault> {
    let local = ["sha256", "changes", "max_size"];
    if !given("repository") && !given("image") {
        let fault = Fault::new("`image` needs a `repository` to pull or a `src` to import");
        return Err(fault.hint(SYNTAX));
    }
    let misplaced = local.into_iter().find(|name| given(name));
    let fault = |name: &str| Fault::new(format!("`{name}` requires `src`")).at_key(name);
    misplaced.map_or(Ok(()), |name| Err(fault(name)))
}

fn has_unsupported_scheme(src: &str) -> bool {
    let scheme = src.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        let scheme = scheme.to_lowercase();
        !matches!(scheme.as_str(), "http" | "https" | "file")
    })
}

fn check_scheme(name: &str) -> Result<(), Fault> {
    if name.contains("://") {
        let message = format!("the repository `{name}` must not start with a scheme");
        return Err(Fault::new(message));
    }
    Ok(())
}

fn check_repository(repository: &str) -> Result<(), Fault> {
    let (_, path) = repository.split_once('/').unwrap_or(("", repository));
    let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    if path.is_empty() || !path.chars().all(in_path) {
        return Err(Fault::new(format!(
            "`{repository}` is not a valid image name: use lower case letters, digits and any of `._-/`"
        )));
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), Fault> {
    let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    if tag.is_empty() || tag.len() > 135 || !tag.chars().all(in_tag) {
        return Err(Fault::new(format!(
            "`{tag}` is not a valid image tag: use letters, digits and any of `._-`"
        )));
    }
    Ok(())
}

/// Returns the two parts; without parts, the whole text and none.
fn split_off<'t>(text: &'t str, parts: Option<(&'t str, &'t str)>) -> (&'t str, Option<&'t str>) {
    parts.map_or((text, None), |(first, other)| (first, Some(other)))
}

fn pull_policy(name: Option<&str>) -> Result<PullPolicy, Fault> {
    match name {
        None | Some("missing") => Ok(PullPolicy::Missing),
        Some("always") => Ok(PullPolicy::Always),
        Some("never") => Ok(PullPolicy::Never),
        Some(other) => Err(Fault::new(format!(
            "unknown pull policy `{other}`: use missing, always or never"
        ))),
    }
}

/// Reads `auth_config`. An empty one is ignored: the credentials of the docker command apply.
fn auth(value: &Json) -> Result<Option<Json>, Fault> {
    let fault = || Fault::new("this must be a mapping with username, password and similar keys");
    let entries = value.as_object().ok_or_else(fault)?;
    check_credentials(entries)?;
    Ok(Some(value.clone()).filter(|_| !entries.is_empty()))
}

fn check_credentials(entries: &JsonMap<String, Json>) -> Result<(), Fault> {
    if let Some(name) = entries
        .keys()
        .find(|name| !AUTH_KEYS.contains(&name.as_str()))
    {
        return Err(Fault::unknown_among(name, &AUTH_KEYS));
    }
    let is_not_text = |value: &Json| !value.is_string() && !value.is_null();
    if let Some((name, _)) = entries.iter().find(|(_, value)| is_not_text(value)) {
        return Err(Fault::new("this must be a string").at_key(name));
    }
    Ok(())
}

fn sha256(text: &str) -> Result<String, Fault> {
    let digest = text.strip_prefix("sha256:").unwrap_or(text).to_lowercase();
    let is_digest = digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit());
    let fault = || Fault::new("this must be a quoted digest of 64 hexadecimal digits");
    let digest = is_digest.then(|| format!("sha256:{digest}"));
    digest.ok_or_else(fault)
}

/// Joins repository and tag or digest.
pub(crate) fn join_reference(repository: &str, tag: &str) -> String {
    let separator = if tag.contains(':') { '@' } else { ':' };
    format!("{repository}{separator}{tag}")
}

/// Formats an image for a plan.
pub(crate) fn display_image(image: &Json) -> String {
    match Image::read(image) {
        Ok(_) if is_late(image, &NAME_KEYS) => "(known after install)".to_owned(),
        Ok(Image { src: Some(src), .. }) => src,
        Ok(image) if image.is_id() => image.repository.unwrap_or_default(),
        Ok(image) => image.name(),
        Err(_) => "(invalid)".to_owned(),
    }
}

/// Returns the name or ID of the image on the engine; none if it has no name or a late one.
pub(crate) fn image_name(image: &Json) -> Option<String> {
    let is_known = !is_late(image, &NAME_KEYS);
    let read = Image::read(image).ok().filter(|_| is_known)?;
    if read.is_id() {
        return read.repository;
    }
    read.declared_name()
}

/// Returns a key that is equal for images that need to be pulled or imported only once; none if it
/// depends on late values.
pub(crate) fn source_key(image: &Json) -> Option<String> {
    let keys = ["src", "image", "repository", "tag", "platform", "changes"];
    if is_call(image) || keys.iter().any(|key| contains_late_call(&image[key])) {
        return None;
    }
    let read = Image::read(image).ok()?;
    Some(read.key(&image["src"]))
}

/// Returns the path of a tarball; relative paths start at the blueprint's directory.
pub(crate) fn resolve_path(src: &str, directory: &Path) -> PathBuf {
    directory.join(src.strip_prefix("file://").unwrap_or(src))
}

/// Returns the local tarball of an image, if it is already known.
pub(crate) fn local_file(image: &Json, directory: &Path) -> Option<PathBuf> {
    let src = Image::read(image).ok()?.src.filter(|src| !is_url(src))?;
    Some(resolve_path(&src, directory))
}

pub(crate) fn is_url(src: &str) -> bool {
    let scheme = src
        .split_once("://")
        .map(|(scheme, _)| scheme.to_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// Name that a blueprint gives an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GivenName {
    pub repository: String,
    /// Tag, if the blueprint names one.
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
            assert_eq!(display_image(&image), reference);
        }
    }

    #[test]
    fn invalid_images_are_faults_with_a_path() {
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

    /// Returns the recorded parameters, sorted. docker-py lets the engine download a URL; dockctl
    /// downloads it itself.
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
