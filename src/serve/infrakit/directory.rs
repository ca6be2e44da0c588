//! The directory of plugins: every socket in it is a plugin of that name, and `NAME.listen` has the
//! address of a plugin elsewhere.

use http::Uri;
use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _},
    path::{Path, PathBuf},
};

/// Address of a plugin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// Path of a unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
    /// Host and port, with TLS.
    Tls(String),
}

impl Address {
    /// Reads an address: a path, or `unix://PATH`, `tcp://HOST:PORT`, `http(s)://HOST:PORT`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let with_port = |authority: &str, default: Option<u16>| {
            let authority = authority.trim_end_matches('/');
            let uri: Uri = format!("http://{authority}/").parse().ok()?;
            let host = uri.host().filter(|host| !host.is_empty())?;
            Some(format!("{host}:{}", uri.port_u16().or(default)?))
        };
        match text.split_once("://") {
            None if text.starts_with('/') => Some(Self::Unix(text.into())),
            Some(("unix", path)) if path.starts_with('/') => Some(Self::Unix(path.into())),
            Some(("tcp", rest)) => with_port(rest, None).map(Self::Tcp),
            Some(("http", rest)) => with_port(rest, Some(80)).map(Self::Tcp),
            Some(("https", rest)) => with_port(rest, Some(443)).map(Self::Tls),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// Returns the directory that these settings select, as InfraKit does.
#[must_use]
pub fn path(
    plugins: Option<PathBuf>,
    infrakit: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let infrakit = infrakit.or_else(|| home.map(|home| home.join(".infrakit")));
    plugins.or_else(|| infrakit.map(|infrakit| infrakit.join("plugins")))
}

/// Creates the directory, for this user only, unless it exists.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Returns the address of a plugin: of its socket, or in its file `NAME.listen`.
///
/// # Errors
///
/// If there is no such plugin, or its address cannot be used.
pub fn find(directory: &Path, name: &str) -> Result<Address, String> {
    let socket = directory.join(name);
    if fs::metadata(&socket).is_ok_and(|data| data.file_type().is_socket()) {
        return Ok(Address::Unix(socket));
    }
    let listen = directory.join(format!("{name}.listen"));
    match fs::read_to_string(&listen) {
        Ok(text) => Address::read(text.trim_end()).ok_or_else(|| {
            let address = text.trim_end();
            format!(
                "{} has an address that cannot be used: `{address}`",
                listen.display()
            )
        }),
        Err(_) => Err(format!(
            "there is no plugin `{name}` in {}",
            directory.display()
        )),
    }
}

/// Returns the names of the plugins in a directory, sorted.
#[must_use]
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| {
        let (name, kind) = (
            entry.file_name().into_string().ok()?,
            entry.file_type().ok()?,
        );
        if kind.is_socket() {
            return Some(name);
        }
        name.strip_suffix(".listen")
            .filter(|_| kind.is_file())
            .map(str::to_owned)
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// Returns true if a name can be that of a plugin: it is a file name, and names have no `/`.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_inner)
        && ![".pid", ".listen"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn addresses_are_those_of_infrakit() {
        let tcp = |text: &str| Some(Address::Tcp(text.to_owned()));
        assert_eq!(
            Address::read("/run/p"),
            Some(Address::Unix("/run/p".into()))
        );
        assert_eq!(
            Address::read("unix:///run/p"),
            Some(Address::Unix("/run/p".into()))
        );
        assert_eq!(Address::read("tcp://localhost:9000"), tcp("localhost:9000"));
        assert_eq!(Address::read("http://[::1]:9000/"), tcp("[::1]:9000"));
        assert_eq!(Address::read("http://host"), tcp("host:80"));
        assert_eq!(
            Address::read("https://host"),
            Some(Address::Tls("host:443".to_owned()))
        );
        for wrong in [
            "",
            "plugin",
            "tcp://",
            "tcp://host",
            "ftp://host",
            "unix://p",
            "http://",
        ] {
            assert_eq!(Address::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn directory_is_selected_as_in_infrakit() {
        let path = |plugins: &str, infrakit: &str, home: &str| {
            let given = |text: &str| Some(PathBuf::from(text)).filter(|_| !text.is_empty());
            super::path(given(plugins), given(infrakit), given(home))
        };
        assert_eq!(path("/p", "/i", "/h"), Some("/p".into()));
        assert_eq!(path("", "/i", "/h"), Some("/i/plugins".into()));
        assert_eq!(path("", "", "/h"), Some("/h/.infrakit/plugins".into()));
        assert_eq!(path("", "", ""), None);
    }

    #[test]
    fn sockets_and_files_with_addresses_are_plugins() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _socket = UnixListener::bind(at("local")).unwrap();
        fs::write(at("far.listen"), "tcp://localhost:9000").unwrap();
        fs::write(at("odd.listen"), "nonsense\n").unwrap();
        fs::write(at("local.pid"), "1").unwrap();
        assert_eq!(names(directory.path()), ["far", "local", "odd"]);
        assert_eq!(
            find(directory.path(), "local"),
            Ok(Address::Unix(at("local")))
        );
        assert_eq!(
            find(directory.path(), "far"),
            Ok(Address::Tcp("localhost:9000".to_owned()))
        );
        assert!(
            find(directory.path(), "odd")
                .unwrap_err()
                .contains("`nonsense`")
        );
        assert!(
            find(directory.path(), "none")
                .unwrap_err()
                .contains("no plugin `none`")
        );
    }

    #[test]
    fn names_are_file_names() {
        assert!(is_valid_name("instance-docker") && is_valid_name("a.b_c"));
        for wrong in ["", "a/b", ".a", "../a", "a.pid", "a.listen", "a b"] {
            assert!(!is_valid_name(wrong), "{wrong}");
        }
    }
}
