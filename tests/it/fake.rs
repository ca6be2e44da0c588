//! An engine that lies: HTTP on a unix socket. What a test says nothing of goes to the real engine,
//! and comes back as it is.

use crate::support::{Run, Test};
use serde_json::Value as Json;
use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A document.
    Json(u16, Json),
    /// These bytes, so often, and then the end: of a body whose length is not said.
    Bytes(u16, Vec<u8>, usize),
    /// The head of an answer, and nothing more for as long as anybody listens.
    Silence,
}

/// Answers by method and path; the path without its version and parameters, in which `*` stands for
/// one part.
type Answers = Arc<Mutex<Vec<(String, String, Answer)>>>;

/// It lies for as long as it is held.
pub(crate) struct Fake {
    socket: PathBuf,
    answers: Answers,
}

impl Fake {
    pub(crate) fn start(test: &Test) -> Self {
        let socket = test.path(&format!("fake-{}.sock", fastrand::u32(..)));
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = Answers::default();
        let shared = answers.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = shared.clone();
                thread::spawn(move || drop(serve(stream, &answers)));
            }
        });
        Self { socket, answers }
    }

    /// From now on this is what it says.
    pub(crate) fn lies(&self, method: &str, path: &str, answer: Answer) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, of, _)| (known.as_str(), of.as_str()) != (method, path));
        answers.push((method.to_owned(), path.to_owned(), answer));
    }

    /// From now on it tells the truth.
    pub(crate) fn repents(&self) {
        self.answers.lock().unwrap().clear();
    }

    /// dockctl against it.
    pub(crate) fn command(&self, test: &Test, arguments: &[&str]) -> Command {
        let mut command = test.command(arguments);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// Runs dockctl against it, with so much memory that an answer of any size does not fit.
    pub(crate) fn run(&self, test: &Test, arguments: &[&str]) -> Run {
        let command = self.command(test, arguments);
        let mut limited = Command::new("bash");
        limited
            .args(["-c", "ulimit -v 2000000; exec \"$@\"", "bash"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited.stdin(std::process::Stdio::null());
        limited.current_dir(test.folder.path());
        Run::of(&limited.output().unwrap())
    }
}

fn serve(mut client: UnixStream, answers: &Answers) -> std::io::Result<()> {
    let (head, body) = request(&mut client)?;
    let mut words = head.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let lie = answers
        .lock()
        .unwrap()
        .iter()
        .find(|(known, of, _)| known == method && is_at(of, path))
        .map(|(_, _, answer)| answer.clone());
    match lie {
        None => forward(client, &head, &body),
        Some(Answer::Json(status, json)) => {
            let text = json.to_string();
            let kind = "Content-Type: application/json\r\nConnection: close";
            write!(
                client,
                "HTTP/1.1 {status} x\r\n{kind}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
        }
        Some(Answer::Bytes(status, bytes, times)) => {
            write!(
                client,
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
            )?;
            (0..times).try_for_each(|_| client.write_all(&bytes))
        }
        Some(Answer::Silence) => {
            write!(
                client,
                "HTTP/1.1 200 x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            client.set_read_timeout(Some(Duration::from_mins(1)))?;
            client.read(&mut [0; 1]).map(drop)
        }
    }
}

/// The head of a request, and its body.
fn request(client: &mut UnixStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())
                .unwrap_or(0);
            let is_whole = if lower.contains("transfer-encoding: chunked") {
                bytes.ends_with(b"0\r\n\r\n")
            } else {
                bytes.len() >= end + 4 + length
            };
            if is_whole {
                return Ok((head, bytes[end + 4..].to_vec()));
            }
        }
        match client.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn is_at(of: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let parts = if parts.first().is_some_and(|part| is_version(part)) {
        &parts[1..]
    } else {
        &parts[..]
    };
    let of: Vec<&str> = of.split('/').filter(|part| !part.is_empty()).collect();
    of.len() == parts.len()
        && of
            .iter()
            .zip(parts)
            .all(|(of, part)| *of == "*" || of == part)
}

/// Passes a request on to the real engine, and its answer back.
fn forward(mut client: UnixStream, head: &str, body: &[u8]) -> std::io::Result<()> {
    let mut engine = UnixStream::connect("/var/run/docker.sock")?;
    let lines: Vec<&str> = head
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("connection:"))
        .collect();
    write!(
        engine,
        "{}\r\nConnection: close\r\n\r\n",
        lines.join("\r\n")
    )?;
    engine.write_all(body)?;
    std::io::copy(&mut engine, &mut client).map(drop)
}
