//! The `ctx` command: dockctl under another name, in the PATH of scripts.

use super::{
    HelperCall,
    declare::{
        command_line::{Invocation, Printed, parse, print},
        request::{MAX_FRAME, Reply, Request},
    },
    socket::{self, CUT_MARK, SOCKET_VARIABLE, URL_VARIABLE, short_path},
};
use std::{io, os::unix::net::UnixStream, path::Path, time::Duration};

/// Longest path that the address of a Unix socket holds, in bytes.
const MAX_SOCKET_PATH: usize = 100;

/// Runs the command.
#[must_use]
pub(super) fn run(call: &HelperCall<'_>) -> Printed {
    let arguments = call.arguments.iter();
    let arguments: Vec<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let done = parse(&arguments).and_then(|invocation| {
        let reply = ask(&invocation, call)?;
        Ok(print(reply, invocation.is_json))
    });
    done.unwrap_or_else(|printed| printed)
}

fn ask(invocation: &Invocation, call: &HelperCall<'_>) -> Result<Reply, Printed> {
    let text = |name: &str| {
        let value = (call.variable)(name).filter(|value| !value.is_empty());
        value.map(|value| value.to_string_lossy().into_owned())
    };
    let request = Request::Call {
        args: invocation.arguments.clone(),
        cwd: call.working_dir.as_ref().map(|it| it.display().to_string()),
    };
    let timeout = Duration::from_secs_f64(invocation.timeout.clamp(0.001, 1e6));
    if let Some(url) = &invocation.socket_url {
        return ask_http(url, &request, timeout);
    }
    if let Some(path) = text(SOCKET_VARIABLE) {
        return ask_socket(Path::new(&path), &request, timeout);
    }
    match text(URL_VARIABLE) {
        Some(url) => ask_http(&url, &request, timeout),
        None => Err(Printed::failed(
            "RuntimeError",
            "Missing CTX_SOCKET_URL environment variable or socket_url command line argument",
        )),
    }
}

fn ask_socket(path: &Path, request: &Request, timeout: Duration) -> Result<Reply, Printed> {
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    if bytes.len() > MAX_FRAME {
        return Err(Printed::failed(
            "ValueError",
            "the arguments are longer than 1 MiB",
        ));
    }
    let answer = exchange(path, &bytes, timeout);
    let answer = answer.map_err(|error| {
        // The next dockctl must not take the exit code of this script for its outcome.
        if let Some(directory) = path.parent() {
            let _ = std::fs::write(directory.join(CUT_MARK), "");
        }
        no_answer(&error, timeout)
    })?;
    read_reply(&answer)
}

fn exchange(path: &Path, request: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(path)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    socket::write(&mut stream, request)?;
    socket::read(&mut stream)
}

/// Connects to a socket. Addresses hold only short paths: a long one is reached through its
/// directory.
fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(path);
    }
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    UnixStream::connect(short_path(&directory, path))
}

fn no_answer(error: &io::Error, timeout: Duration) -> Printed {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Printed::failed(
            "TimeoutError",
            &format!("no answer from dockctl within {} s", timeout.as_secs_f64()),
        ),
        _ => Printed::failed(
            "ConnectionError",
            &format!("dockctl no longer serves this operation ({error})"),
        ),
    }
}

fn ask_http(url: &str, request: &Request, timeout: Duration) -> Result<Reply, Printed> {
    let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
    if scheme != "http" {
        let message = format!("Unsupported protocol: {scheme}");
        return Err(Printed::failed("RuntimeError", &message));
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .proxy(None)
        .http_status_as_error(false)
        .build();
    let body = serde_json::to_vec(request).unwrap_or_default();
    let response = config
        .new_agent()
        .post(url)
        .content_type("application/json")
        .send(&body[..]);
    let mut response = response.map_err(|error| url_error(&error))?;
    if response.status() != 200 {
        let message = format!("HTTP Error {}", response.status());
        return Err(Printed::failed("HTTPError", &message));
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_vec();
    read_reply(&body.map_err(|error| url_error(&error))?)
}

fn url_error(error: &ureq::Error) -> Printed {
    let what = match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "[Errno 111] Connection refused".to_owned()
        }
        other => other.to_string(),
    };
    Printed::failed("URLError", &format!("<urlopen error {what}>"))
}

fn read_reply(bytes: &[u8]) -> Result<Reply, Printed> {
    serde_json::from_slice(bytes)
        .map_err(|error| Printed::failed("ValueError", &format!("the reply is invalid: {error}")))
}
