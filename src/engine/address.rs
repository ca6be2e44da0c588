//! Engine addresses, in every form that the docker CLI and docker-py accept.

use std::path::PathBuf;

/// Address of an engine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Address {
    /// Unix socket on this machine.
    Unix(PathBuf),
    /// TCP port of a machine.
    Tcp {
        host: String,
        port: u16,
        /// Prefix of every request path; usually empty.
        prefix: String,
        /// True if the address itself requires TLS (`https://`).
        secure: bool,
    },
    /// Account on a machine that has the docker CLI.
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
        /// Path of the engine's socket on that machine, if not the default.
        socket: Option<String>,
    },
}

impl Address {
    /// Parses an address: `unix:///path`, `http+unix://…`, `tcp://HOST:PORT[/path]`, `http(s)://…`,
    /// `HOST:PORT`, `:PORT`, `ssh://[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    ///
    /// Returns the reason if the address is invalid.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if text.contains(':') => ("tcp", text),
            None => return Err("must start with unix://, tcp:// or ssh://".to_owned()),
        };
        match scheme {
            "unix" => unix(rest),
            // docker-py's form: the path may be percent-encoded and is always absolute.
            "http+unix" => unix(&format!(
                "/{}",
                rest.replace("%2F", "/")
                    .replace("%2f", "/")
                    .trim_start_matches('/')
            )),
            "tcp" | "http" => tcp(rest, false),
            "https" => tcp(rest, true),
            "ssh" => ssh(rest),
            "npipe" => Err("named pipes exist only on Windows".to_owned()),
            "fd" => Err("fd:// is an address to listen on, not to connect to".to_owned()),
            _ => Err(format!(
                "`{scheme}://` is not supported; use unix://, tcp:// or ssh://"
            )),
        }
    }
}

fn unix(path: &str) -> Result<Address, String> {
    match path {
        "" => Ok(Address::Unix("/var/run/docker.sock".into())),
        path if path.starts_with('/') => Ok(Address::Unix(path.into())),
        _ => Err("the socket path must be absolute".to_owned()),
    }
}

fn tcp(rest: &str, secure: bool) -> Result<Address, String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority
        .rsplit_once(':')
        .filter(|(host, _)| !host.ends_with(':'))
        .ok_or("missing port")?;
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is not a valid port"))?;
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let path = path.trim_end_matches('/');
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
        prefix,
        secure,
    })
}

fn ssh(rest: &str) -> Result<Address, String> {
    let (authority, socket) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, machine) = authority
        .split_once('@')
        .map_or((None, authority), |(user, machine)| (Some(user), machine));
    let (host, port) = match machine
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'))
    {
        Some((host, port)) => (
            host,
            Some(
                port.parse()
                    .map_err(|_| format!("`{port}` is not a valid port"))?,
            ),
        ),
        None => (machine, None),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("passwords are not supported: ssh uses keys".to_owned());
    }
    let host = host.trim_matches(['[', ']']);
    // ssh would read a name that starts with a dash as an option.
    if host.is_empty()
        || host.starts_with('-')
        || user.is_some_and(|user| user.is_empty() || user.starts_with('-'))
    {
        return Err("missing or invalid host".to_owned());
    }
    let socket = (!socket.is_empty()).then(|| format!("/{socket}"));
    Ok(Address::Ssh {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
        socket,
    })
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn tcp(host: &str, port: u16, prefix: &str, secure: bool) -> Address {
        Address::Tcp {
            host: host.into(),
            port,
            prefix: prefix.into(),
            secure,
        }
    }

    #[test]
    fn every_form_is_parsed() {
        let ssh = |user: Option<&str>, port, socket: Option<&str>| Address::Ssh {
            user: user.map(str::to_owned),
            host: "h".into(),
            port,
            socket: socket.map(str::to_owned),
        };
        for (text, address) in [
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("unix://", Address::Unix("/var/run/docker.sock".into())),
            (
                "http+unix://%2Frun%2Fx.sock",
                Address::Unix("/run/x.sock".into()),
            ),
            (
                "http+unix:///run/x.sock",
                Address::Unix("/run/x.sock".into()),
            ),
            ("tcp://10.0.0.5:2375", tcp("10.0.0.5", 2375, "", false)),
            ("tcp://h:2375/a/b/", tcp("h", 2375, "/a/b", false)),
            ("http://h:80", tcp("h", 80, "", false)),
            ("https://h:2376", tcp("h", 2376, "", true)),
            ("h:2375", tcp("h", 2375, "", false)),
            (":2375", tcp("127.0.0.1", 2375, "", false)),
            ("tcp://[::1]:2375", tcp("[::1]", 2375, "", false)),
            ("ssh://h", ssh(None, None, None)),
            (
                "ssh://u@h:2222/run/d.sock",
                ssh(Some("u"), Some(2222), Some("/run/d.sock")),
            ),
        ] {
            assert_eq!(Address::parse(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for (text, reason) in [
            ("tcp://h", "missing port"),
            ("tcp://", "missing port"),
            ("tcp://h:x", "`x` is not a valid port"),
            (
                "fd://",
                "fd:// is an address to listen on, not to connect to",
            ),
            ("unix://run/x", "the socket path must be absolute"),
            ("ssh://-oProxyCommand=x", "missing or invalid host"),
            ("ssh://[-oProxyCommand=x]", "missing or invalid host"),
            ("ssh://u@[[-oProxyCommand=x]]:22", "missing or invalid host"),
            ("ssh://-l@h", "missing or invalid host"),
            ("ssh://[]", "missing or invalid host"),
            ("ssh://u:p@h", "passwords are not supported: ssh uses keys"),
            ("nonsense", "must start with unix://, tcp:// or ssh://"),
        ] {
            assert_eq!(Address::parse(text), Err(reason.to_owned()), "{text}");
        }
        assert!(
            Address::parse("gopher://h:1").is_err()
                && Address::parse("npipe:////./pipe/x").is_err()
        );
    }
}
