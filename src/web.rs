//! HTTP downloads with checked redirects. A redirect from another host must not lead to this
//! machine or its local link. Otherwise a remote server could make dockctl read data behind a
//! firewall. A redirect must not leave encryption either, because scripts are downloaded and run.

use std::{
    io::{self, Read as _},
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};
use ureq::{
    Agent, Body, Error,
    config::Config,
    http::{Response, Uri, header::LOCATION},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// Maximum number of redirects to follow.
const MAX_REDIRECTS: usize = 10;

/// Sends a GET request and follows redirects. `config` must disable redirects.
///
/// # Errors
///
/// If the request fails, or a redirect is forbidden.
pub(crate) fn get(config: &Config, address: &str) -> Result<Response<Body>, Error> {
    let mut url = address.to_owned();
    // The user chose the first address: it may be local.
    let mut agent = agent(config, None);
    for _ in 0..=MAX_REDIRECTS {
        let response = agent.get(&url).call()?;
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|target| target.to_str().ok());
        let Some(target) = target.filter(|_| response.status().is_redirection()) else {
            return Ok(response);
        };
        let next = resolve_redirect(&url, target)
            .ok_or_else(|| refused("redirect target is not an HTTP address"))?;
        if is_encrypted(&url) && !is_encrypted(&next) {
            return Err(refused("refused redirect from https to http"));
        }
        let from = host_of(&url).unwrap_or_default();
        let host =
            host_of(&next).ok_or_else(|| refused("redirect target is not an HTTP address"))?;
        if host != from {
            let is_from_this_machine = is_loopback_name(&from);
            if (is_local_name(&host) && !is_from_this_machine) || is_link_local_name(&host) {
                return Err(refused_local_target(&host));
            }
            agent = self::agent(config, Some(is_from_this_machine));
        }
        url = next;
    }
    Err(refused("too many redirects"))
}

/// Downloads a file of at most `limit` bytes.
///
/// # Errors
///
/// If the request fails, or the file is larger.
pub(crate) fn download(config: &Config, address: &str, limit: u64) -> Result<Vec<u8>, String> {
    let mut response = get(config, address).map_err(|error| error.to_string())?;
    if response.status() != 200 {
        return Err(format!("HTTP status {}", response.status()));
    }
    let (mut bytes, body) = (Vec::new(), response.body_mut().as_reader());
    let read = body.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is longer than {} MiB", limit >> 20));
    }
    Ok(bytes)
}

/// Returns an agent. After a redirect from another host, the agent refuses addresses of this
/// machine and its local link, under any name. `redirected_from_here` is `None` before the first
/// redirect.
fn agent(config: &Config, from_this_machine: Option<bool>) -> Agent {
    let resolver = LocalAddressGuard {
        inner: DefaultResolver::default(),
        allows_local: AtomicBool::new(from_this_machine.unwrap_or(true)),
    };
    Agent::with_parts(config.clone(), DefaultConnector::new(), resolver)
}

#[derive(Debug)]
struct LocalAddressGuard {
    inner: DefaultResolver,
    allows_local: AtomicBool,
}

impl Resolver for LocalAddressGuard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let is_local = found.iter().any(|address| is_local_address(address.ip()));
        if is_local && !self.allows_local.load(Ordering::Relaxed) {
            return Err(refused_local_target(uri.host().unwrap_or_default()));
        }
        Ok(found)
    }
}

fn refused(why: &str) -> Error {
    Error::Io(io::Error::new(
        io::ErrorKind::PermissionDenied,
        why.to_owned(),
    ))
}

fn refused_local_target(host: &str) -> Error {
    refused(&format!(
        "refused redirect from another host to {host}, which is this machine or its local link"
    ))
}

fn is_encrypted(address: &str) -> bool {
    let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https")
}

fn host_of(address: &str) -> Option<String> {
    address.parse::<Uri>().ok()?.host().map(|host| {
        host.trim_matches(['[', ']'])
            .trim_end_matches('.')
            .to_lowercase()
    })
}

fn is_local_name(host: &str) -> bool {
    is_loopback_name(host) || host.parse().is_ok_and(is_local_address)
}

fn is_loopback_name(host: &str) -> bool {
    let is_loopback =
        |address: IpAddr| is_local_address(address) && !is_link_local_address(address);
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_loopback)
}

fn is_link_local_name(host: &str) -> bool {
    host.parse().is_ok_and(is_link_local_address)
}

/// Returns true for an address of this machine or of its local link.
fn is_local_address(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified() || is_link_local_address(address)
}

fn is_link_local_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Resolves a redirect target. Returns `None` if it is not an HTTP address.
fn resolve_redirect(url: &str, target: &str) -> Option<String> {
    let is_web =
        |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let target = target.split('#').next().unwrap_or_default();
    if let Some((scheme, _)) = target
        .split_once("://")
        .filter(|(scheme, _)| !scheme.contains(['/', '?']))
    {
        return is_web(scheme).then(|| target.to_owned());
    }
    let (scheme, rest) = url.split_once("://")?;
    if let Some(target) = target.strip_prefix("//") {
        return Some(format!("{scheme}://{target}"));
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    match target {
        "" => Some(format!("{scheme}://{rest}")),
        target if target.starts_with('/') => Some(format!("{scheme}://{host}{target}")),
        target if target.starts_with('?') => Some(format!("{scheme}://{host}/{path}{target}")),
        target => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            let directory = if directory.is_empty() {
                String::new()
            } else {
                format!("{directory}/")
            };
            Some(format!("{scheme}://{host}/{directory}{target}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write as _,
        net::{TcpListener, ToSocketAddrs as _},
    };

    #[test]
    fn redirect_is_relative_to_its_source() {
        let url = |target: &str| resolve_redirect("https://host:8/a/b.yaml?x=1", target);
        assert_eq!(url("c.yaml").as_deref(), Some("https://host:8/a/c.yaml"));
        assert_eq!(url("/c.yaml").as_deref(), Some("https://host:8/c.yaml"));
        assert_eq!(url("//other/c").as_deref(), Some("https://other/c"));
        assert_eq!(
            url("http://other/c#part").as_deref(),
            Some("http://other/c")
        );
        assert_eq!(url("?y=2").as_deref(), Some("https://host:8/a/b.yaml?y=2"));
        assert_eq!(
            (url("file:///etc/passwd"), url("gopher://x/")),
            (None, None)
        );
    }

    #[test]
    fn local_addresses_are_recognized_in_every_notation() {
        for local in [
            "127.0.0.1",
            "127.9.9.9",
            "localhost",
            "a.localhost",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_local_name(local), "{local}");
        }
        for other in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "example.com",
            "2001:db8::1",
        ] {
            assert!(!is_local_name(other), "{other}");
        }
        assert_eq!(host_of("http://[::1]:80/x").as_deref(), Some("::1"));
        assert_eq!(host_of("http://LOCALHOST./x").as_deref(), Some("localhost"));
    }

    /// Serves one response per connection, and returns the port.
    fn serve(address: &str, responses: Vec<String>) -> u16 {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for answer in responses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    fn redirect_to(address: &str) -> String {
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

    fn fetch(address: &str) -> Result<String, String> {
        let config = Agent::config_builder().max_redirects(0).proxy(None).build();
        let mut response = get(&config, address).map_err(|error| error.to_string())?;
        response
            .body_mut()
            .read_to_string()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn local_host_may_redirect_to_itself() {
        let last = serve("127.0.0.1", vec![OK.to_owned()]);
        let first = serve(
            "127.0.0.1",
            vec![
                redirect_to("/again"),
                redirect_to(&format!("http://localhost:{last}/x")),
            ],
        );
        assert_eq!(
            fetch(&format!("http://127.0.0.1:{first}/")),
            Ok("ok".to_owned())
        );
    }

    /// The machine's own network address represents the other host.
    #[test]
    fn remote_host_may_not_redirect_to_this_machine() {
        let Some(other) = own_address() else {
            return assert!(
                is_local_name("localhost"),
                "this machine has no other address"
            );
        };
        let secret = serve("127.0.0.1", vec![OK.to_owned()]);
        for target in [
            format!("http://127.0.0.1:{secret}/"),
            format!("http://localhost:{secret}/"),
            "http://169.254.169.254/".to_owned(),
        ] {
            let port = serve(&other, vec![redirect_to(&target)]);
            let error = fetch(&format!("http://{other}:{port}/")).unwrap_err();
            assert!(
                error.contains("which is this machine or its local link"),
                "{target}: {error}"
            );
        }
        // A name can resolve to this machine too.
        assert!(
            ("localhost", 0)
                .to_socket_addrs()
                .is_ok_and(|mut all| all.any(|address| is_local_address(address.ip())))
        );
        let guarded = agent(
            &Agent::config_builder().max_redirects(0).proxy(None).build(),
            Some(false),
        );
        assert!(
            guarded
                .get(format!("http://localhost:{secret}/"))
                .call()
                .unwrap_err()
                .to_string()
                .contains("this machine")
        );
    }

    /// Returns an address of this machine other than loopback. Looking up the route sends nothing.
    fn own_address() -> Option<String> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!is_local_address(address)).then(|| address.to_string())
    }
}
