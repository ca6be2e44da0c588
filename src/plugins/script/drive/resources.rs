//! Files of the blueprint.

use crate::{
    journal::StateDir,
    plugins::script::declare::{
        action::{PATH, PROCESS, SOURCE},
        context::ContextError,
        language::{Language, dedent},
    },
    seam::{Call, Failure},
    web,
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// Largest script that is downloaded, in bytes.
const MAX_DOWNLOAD: u64 = 16 << 20;
/// Longest wait for a download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(1);
/// Delimiter of namespaces in names of imported blueprints.
const NAMESPACE: &str = "--";

/// The files of a deployment's blueprint: those that the state directory keeps, else those next to
/// the blueprint.
pub(super) struct Resources {
    state: StateDir,
    deployment: String,
    /// Directories that files may come from.
    bases: Vec<PathBuf>,
}

impl Resources {
    pub(super) fn new(state_dir: &Path, call: &Call, directory: &str) -> Self {
        let state = StateDir::new(state_dir.to_owned());
        let deployment = call.deployment.name.clone();
        let mut bases = state.resource_bases(&deployment);
        if bases.is_empty() {
            bases.push(PathBuf::from(directory));
        }
        Self {
            state,
            deployment,
            bases,
        }
    }

    /// Returns the content of a file.
    ///
    /// # Errors
    ///
    /// If the path leads out of the blueprint's directory, or there is no such file.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, ContextError> {
        let inner = inner_path(path).ok_or_else(|| {
            ContextError::final_error(format!(
                "`{path}` is not a path below the directory of the blueprint"
            ))
        })?;
        if let Ok(Some(kept)) = self.state.read_resource(&self.deployment, &inner) {
            return Ok(kept);
        }
        let mut failed = None;
        for base in &self.bases {
            match read_below(base, &inner) {
                Ok(content) => return Ok(content),
                Err(error) => failed = failed.or(Some((base.join(&inner), error))),
            }
        }
        let (whole, error) = failed.unwrap_or((inner, io::ErrorKind::NotFound.into()));
        Err(unreadable(&whole, &error))
    }

    /// Returns the name and the content of a script.
    ///
    /// # Errors
    ///
    /// If it does not exist or cannot be downloaded. A later attempt may find it.
    pub(super) async fn script(&self, path: &str) -> Result<(String, Vec<u8>), Failure> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.split(['?', '#']).next().unwrap_or(name);
        let name = if matches!(name, "" | "." | "..") {
            "script"
        } else {
            name
        };
        let text = match path.split_once("://") {
            Some(("file", file)) => fs::read(file).map_err(|error| not_found(file, &error))?,
            Some(("http" | "https", _)) => download(path.to_owned()).await?,
            Some((scheme, _)) => {
                return Err(Failure::fatal(format!(
                    "cannot download {path}: unsupported scheme {scheme}"
                ))
                .hint("use http, https or file"));
            }
            None => self.local_script(path)?,
        };
        Ok((name.to_owned(), text))
    }

    /// Reads a script next to the blueprint. A namespace before its path is no directory.
    fn local_script(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let failed = |error: ContextError| Failure::fatal(error.to_string()).temporary();
        let inner = path.rsplit_once(NAMESPACE).map(|(_, path)| path);
        self.read(path).or_else(|error| match inner {
            Some(inner) => self.read(inner).map_err(|_| failed(error)),
            None => Err(failed(error)),
        })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ContextError {
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            format!("[Errno 2] No such file or directory: '{}'", path.display())
        }
        _ => format!("cannot read {}: {error}", path.display()),
    };
    ContextError::new("FileNotFoundError", message)
}

/// Reads a file below a directory. Links that lead out of it are refused.
fn read_below(base: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let base = base.canonicalize()?;
    let whole = base.join(path).canonicalize()?;
    if !whole.starts_with(&base) {
        let message = "its link leads out of the directory of the blueprint";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    fs::read(whole)
}

/// Returns a path that stays below its base; none for an absolute path, and for one with `..`.
fn inner_path(path: &str) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!inner.as_os_str().is_empty()).then_some(inner)
}

fn not_found(path: &str, error: &io::Error) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("[Errno 2] No such file or directory: '{path}'"),
        _ => format!("cannot read {path}: {error}"),
    };
    Failure::fatal(format!("FileNotFoundError: {message}")).temporary()
}

async fn download(url: String) -> Result<Vec<u8>, Failure> {
    let shown = url.clone();
    let fetched = tokio::task::spawn_blocking(move || fetch(&url)).await;
    let fetched = fetched.unwrap_or_else(|error| Err(error.to_string()));
    fetched.map_err(|error| {
        Failure::fatal(format!("ConnectionError: cannot download {shown}: {error}")).temporary()
    })
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(DOWNLOAD_TIMEOUT))
        .max_redirects(0)
        .build();
    let mut response = web::get(&config, url).map_err(|error| error.to_string())?;
    if response.status() != 200 {
        return Err(format!("HTTP status {}", response.status()));
    }
    let (mut text, body) = (Vec::new(), response.body_mut().as_reader());
    let read = body.take(MAX_DOWNLOAD + 1).read_to_end(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_DOWNLOAD {
        Err("it is longer than 16 MiB".to_owned())
    } else {
        Ok(text)
    }
}

/// Returns the name and the text of a script that is certainly Python, as far as it can be read
/// before the run.
pub(super) fn python_text(
    inputs: &JsonMap<String, Json>,
    directory: &str,
) -> Option<(String, String)> {
    let is_python = inputs
        .get(PROCESS)
        .and_then(|it| it["eval_python"].as_bool());
    match (inputs.get(PATH), inputs.get(SOURCE)) {
        (Some(Json::String(path)), _) => {
            let is_script = Language::of_file(path, is_python) == Language::Python;
            let inner = inner_path(path).filter(|_| is_script)?;
            let text = fs::read(Path::new(directory).join(inner)).ok()?;
            Some((path.clone(), String::from_utf8_lossy(&text).into_owned()))
        }
        (None, Some(Json::String(text))) => {
            let is_script = Language::of_text(text, is_python) == Language::Python;
            is_script.then(|| ("an inline script".to_owned(), dedent(text)))
        }
        _ => None,
    }
}
