//! Files of the blueprint.

use crate::{
    journal::StateDir,
    plugins::script::declare::{
        action::{CERTIFICATE, PATH, PROCESS, SOURCE},
        context::ContextError,
        language::{Language, dedent},
    },
    seam::{Call, Failure},
    web,
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::Duration,
};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

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

    /// Returns the name and the content of a script. A download trusts the authorities of
    /// `certificate`, which is PEM text; without it, the usual ones.
    ///
    /// # Errors
    ///
    /// If it does not exist or cannot be downloaded. A later attempt may find it.
    pub(super) async fn script(
        &self,
        path: &str,
        certificate: Option<&str>,
    ) -> Result<(String, Vec<u8>), Failure> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.split(['?', '#']).next().unwrap_or(name);
        let name = if matches!(name, "" | "." | "..") {
            "script"
        } else {
            name
        };
        let text = match path.split_once("://") {
            Some(("file", file)) => fs::read(file).map_err(|error| not_found(file, &error))?,
            Some(("http" | "https", _)) => {
                download(path.to_owned(), certificate.map(str::to_owned)).await?
            }
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

async fn download(url: String, certificate: Option<String>) -> Result<Vec<u8>, Failure> {
    let shown = url.clone();
    let fetched = tokio::task::spawn_blocking(move || fetch(&url, certificate.as_deref())).await;
    let fetched = fetched.unwrap_or_else(|error| Err(error.to_string()));
    fetched.map_err(|error| {
        Failure::fatal(format!("ConnectionError: cannot download {shown}: {error}")).temporary()
    })
}

fn authorities(certificate: &str) -> Result<TlsConfig, String> {
    let certificates = ureq::tls::parse_pem(certificate.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error.to_string())),
    });
    let certificates = certificates.collect::<Result<Vec<_>, _>>();
    match certificates.map_err(|error| format!("{CERTIFICATE} is not PEM: {error}"))? {
        none if none.is_empty() => Err(format!("{CERTIFICATE} contains no certificate")),
        all => {
            let roots = RootCerts::new_with_certs(&all);
            Ok(TlsConfig::builder().root_certs(roots).build())
        }
    }
}

fn fetch(url: &str, certificate: Option<&str>) -> Result<Vec<u8>, String> {
    let trusted = certificate.map_or_else(|| Ok(TlsConfig::default()), authorities)?;
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(DOWNLOAD_TIMEOUT))
        .max_redirects(0)
        .tls_config(trusted)
        .build();
    web::download(&config, url, MAX_DOWNLOAD)
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::Arc,
    };
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream, pki_types};

    /// Serves a script over TLS on a free port. Returns its address and the PEM text of the
    /// authority that signed its certificate.
    fn serve() -> (String, String) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let trusted = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &issuer).unwrap();
        let key = pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(
            config
                .with_single_cert(vec![own.der().clone()], key)
                .unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = Stream::new(&mut connection, &mut socket);
                let mut head = [0; 4096];
                // A client that does not trust the certificate ends the connection.
                if stream.read(&mut head).is_ok() {
                    let answer = if head.starts_with(b"GET /moved") {
                        "302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
                    } else {
                        "200 OK\r\nContent-Length: 4\r\n\r\necho"
                    };
                    write!(stream, "HTTP/1.1 {answer}").unwrap();
                }
            }
        });
        (format!("https://127.0.0.1:{port}"), trusted)
    }

    #[test]
    fn a_download_trusts_the_given_authority_and_no_other() {
        let (address, trusted) = serve();
        assert_eq!(fetch(&address, Some(&trusted)), Ok(b"echo".to_vec()));
        let (_, other) = serve();
        for certificate in [None, Some(other.as_str())] {
            let error = fetch(&address, certificate).unwrap_err();
            assert!(error.contains("invalid peer certificate"), "{error}");
        }
        let error = fetch(&address, Some("no certificate")).unwrap_err();
        assert_eq!(error, "ssl_cert_content contains no certificate");
    }

    #[test]
    fn a_redirect_stays_encrypted() {
        let (address, trusted) = serve();
        let error = fetch(&format!("{address}/moved"), Some(&trusted)).unwrap_err();
        assert!(
            error.contains("refused redirect from https to http"),
            "{error}"
        );
    }
}
