//! A proxy between dockctl and the engine that counts requests and injects a fault at one of them.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A fault at a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// dockctl is killed before the engine receives the request.
    KillBefore,
    /// dockctl is killed after the engine has responded, before dockctl receives the response.
    KillAfter,
    /// The connection is closed before the engine receives the request.
    ResetBefore,
    /// The connection is closed after the engine has responded.
    ResetAfter,
    /// dockctl receives this status; the engine does not receive the request.
    Status(u16),
    /// The engine carries out the request, but dockctl's wait for the response times out.
    Freeze,
    /// dockctl receives half of the response.
    Truncate,
    /// The engine creates the object without labels and dockctl receives an error, as when an
    /// engine is stopped while it creates an object.
    PartialObject,
    /// The engine is restarted before it receives the request.
    Restart,
}

/// Delay of a frozen response, at least as long as dockctl's timeout in these tests.
pub(crate) const FREEZE_DURATION: Duration = Duration::from_secs(4);

struct Shared {
    engine: PathBuf,
    requests: AtomicUsize,
    /// Requests in order with the status of the response; 0 if the engine did not respond.
    log: Mutex<Vec<(String, u16)>>,
    fault: Mutex<Option<(usize, Fault)>>,
    /// Requests whose first line contains this text are refused.
    refused_text: Mutex<Option<String>>,
    /// Name of the volume that the engine creates without labels once.
    partial_volume: Mutex<Option<String>>,
    kill_target: AtomicU32,
    restart: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Shared {
    fn takes_partial_volume(&self, request: &Message) -> bool {
        let mut partial = self.partial_volume.lock().unwrap();
        let name = partial
            .as_ref()
            .filter(|_| request.head.contains("/volumes/create"));
        let hit = name.is_some_and(|name| {
            String::from_utf8_lossy(&request.body).contains(&format!("\"Name\":\"{name}\""))
        });
        hit && partial.take().is_some()
    }
}

/// The running proxy.
pub(crate) struct Proxy {
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on `socket` and forwards requests to `engine`.
    pub(crate) fn start(socket: &Path, engine: &Path) -> Self {
        let shared = Arc::new(Shared {
            engine: engine.to_owned(),
            requests: AtomicUsize::new(0),
            log: Mutex::default(),
            fault: Mutex::default(),
            refused_text: Mutex::default(),
            partial_volume: Mutex::default(),
            kill_target: AtomicU32::new(0),
            restart: Mutex::default(),
        });
        let listener = UnixListener::bind(socket).unwrap();
        let for_thread = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = for_thread.clone();
                // Ignored: broken connections are the purpose of this proxy.
                std::thread::spawn(move || drop(serve(client, &shared)));
            }
        });
        Self {
            socket: socket.to_owned(),
            shared,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Resets the count and sets the fault for the request of this number, counted from 1.
    pub(crate) fn arm(&self, fault: Option<(usize, Fault)>) {
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.kill_target.store(0, Ordering::SeqCst);
        self.shared.log.lock().unwrap().clear();
    }

    /// Removes the fault without resetting the count.
    pub(crate) fn disarm(&self) {
        *self.shared.fault.lock().unwrap() = None;
    }

    /// Sets the process that the kill faults kill.
    pub(crate) fn set_kill_target(&self, process: u32) {
        self.shared.kill_target.store(process, Ordering::SeqCst);
    }

    /// Refuses all requests whose first line contains a text.
    pub(crate) fn refuse(&self, text: &str) {
        *self.shared.refused_text.lock().unwrap() = Some(text.to_owned());
    }

    /// Lets the engine create a volume without its labels, once.
    pub(crate) fn create_partial_volume(&self, volume: &str) {
        *self.shared.partial_volume.lock().unwrap() = Some(volume.to_owned());
    }

    /// Sets the function that restarts the engine.
    pub(crate) fn set_restart(&self, restart: impl Fn() + Send + 'static) {
        *self.shared.restart.lock().unwrap() = Some(Box::new(restart));
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the requests since the proxy was armed, with the status of the responses.
    pub(crate) fn log(&self) -> Vec<(String, u16)> {
        self.shared.log.lock().unwrap().clone()
    }
}

/// A request or response: its head and its encoded body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    fn without_labels(&self) -> Self {
        let mut document: serde_json::Value =
            serde_json::from_slice(&self.body).unwrap_or_default();
        document["Labels"] = serde_json::json!({});
        let body = document.to_string().into_bytes();
        let kept = self
            .head
            .trim_end()
            .lines()
            .filter(|line| !line.to_lowercase().starts_with("content-length"));
        let head = kept.map(|line| format!("{line}\r\n")).collect::<String>()
            + &format!("Content-Length: {}\r\n\r\n", body.len());
        Self { head, body }
    }
}

fn respond_with_error(client: &mut UnixStream, status: u16) -> std::io::Result<()> {
    let body = "{\"message\":\"injected fault\"}";
    write!(
        client,
        "HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn serve(mut client: UnixStream, shared: &Shared) -> std::io::Result<()> {
    loop {
        let head = read_head(&mut client)?;
        let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = shared
            .fault
            .lock()
            .unwrap()
            .filter(|(at, _)| *at == number)
            .map(|(_, fault)| fault);
        let line = head
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        let refused = shared
            .refused_text
            .lock()
            .unwrap()
            .as_ref()
            .is_some_and(|text| line.contains(text.as_str()));
        let fault = if refused {
            Some(Fault::Status(403))
        } else {
            fault
        };
        let entry = {
            let mut log = shared.log.lock().unwrap();
            log.push((line, 0));
            log.len() - 1
        };
        if fault == Some(Fault::ResetBefore) {
            // Closing with unread data resets the connection.
            return Ok(());
        }
        let mut body = Vec::new();
        read_body(&mut client, &head, true, &mut body)?;
        let mut request = Message { head, body };
        let fault = if shared.takes_partial_volume(&request) {
            Some(Fault::PartialObject)
        } else {
            fault
        };
        if fault == Some(Fault::PartialObject) {
            request = request.without_labels();
        }
        match fault {
            Some(Fault::KillBefore) => return kill_process(shared),
            Some(Fault::Restart) => shared
                .restart
                .lock()
                .unwrap()
                .as_ref()
                .expect("`set_restart` was called")(),
            Some(Fault::Status(status)) => {
                respond_with_error(&mut client, status)?;
                continue;
            }
            _ => {}
        }
        if !forward(&mut client, shared, (&request, entry), fault)? {
            return Ok(());
        }
    }
}

/// Sends the request to the engine and the response to the client, changed by the fault. Returns
/// false if the connection must be closed.
fn forward(
    client: &mut UnixStream,
    shared: &Shared,
    (request, entry): (&Message, usize),
    fault: Option<Fault>,
) -> std::io::Result<bool> {
    let mut engine = UnixStream::connect(&shared.engine)?;
    engine.write_all(request.head.as_bytes())?;
    engine.write_all(&request.body)?;
    let head = read_head(&mut engine)?;
    let status: u16 = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    shared
        .log
        .lock()
        .unwrap()
        .get_mut(entry)
        .into_iter()
        .for_each(|entry| entry.1 = status);
    let has_no_body = matches!(status, 101 | 204 | 304);
    if fault.is_none() {
        client.write_all(head.as_bytes())?;
        if status == 101 {
            return relay_both_ways(client, &mut engine).map(|()| false);
        }
        relay_body(&mut engine, client, &head, has_no_body)?;
        return Ok(true);
    }
    let mut response = Message {
        head,
        body: Vec::new(),
    };
    if !has_no_body {
        read_body(
            &mut engine,
            &response.head.clone(),
            false,
            &mut response.body,
        )?;
    }
    match fault {
        Some(Fault::KillAfter) => return kill_process(shared).map(|()| false),
        Some(Fault::Freeze) => {
            std::thread::sleep(FREEZE_DURATION);
            return Ok(false);
        }
        Some(Fault::Truncate) => {
            let whole = [response.head.as_bytes(), &response.body].concat();
            let half = if response.body.is_empty() {
                response.head.len() / 2
            } else {
                response.head.len() + response.body.len() / 2
            };
            client.write_all(&whole[..half])?;
            return Ok(false);
        }
        Some(Fault::ResetAfter) => return Ok(false),
        Some(Fault::PartialObject) => respond_with_error(client, 500)?,
        _ => {
            client.write_all(response.head.as_bytes())?;
            client.write_all(&response.body)?;
        }
    }
    Ok(response
        .header("Connection")
        .is_none_or(|connection| !connection.eq_ignore_ascii_case("close")))
}

fn kill_process(shared: &Shared) -> std::io::Result<()> {
    // The request can arrive before `set_kill_target` is called.
    while shared.kill_target.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    Command::new("kill")
        .args([
            "-KILL",
            &shared.kill_target.load(Ordering::SeqCst).to_string(),
        ])
        .status()
        .map(drop)
}

/// Reads up to the empty line, byte by byte, so that the body stays in the stream.
fn read_head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Reads the body. Without a length in the head, a request has no body and a response ends with the
/// connection.
fn read_body(
    stream: &mut impl Read,
    head: &str,
    is_request: bool,
    body: &mut Vec<u8>,
) -> std::io::Result<()> {
    if header(head, "Transfer-Encoding").is_some() {
        while read_chunk(stream, body)? {}
        return Ok(());
    }
    match header(head, "Content-Length").and_then(|length| length.parse().ok()) {
        Some(length) => stream.take(length).read_to_end(body).map(drop),
        None if is_request => Ok(()),
        None => stream.read_to_end(body).map(drop),
    }
}

/// Reads one encoded chunk. Returns false if it was the last one.
fn read_chunk(stream: &mut impl Read, body: &mut Vec<u8>) -> std::io::Result<bool> {
    let (start, mut byte) = (body.len(), [0]);
    while !body[start..].ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        body.push(byte[0]);
    }
    let size = String::from_utf8_lossy(&body[start..])
        .trim()
        .split(';')
        .next()
        .map(|size| u64::from_str_radix(size, 16));
    let size = size.and_then(Result::ok).unwrap_or_default();
    stream.take(size + 2).read_to_end(body)?;
    Ok(size > 0)
}

/// Forwards a body as it arrives, because some are endless.
/// Relays the bytes of a command in a container, its input too, until the engine ends.
fn relay_both_ways(client: &mut UnixStream, engine: &mut UnixStream) -> std::io::Result<()> {
    let (mut input, mut to_engine) = (client.try_clone()?, engine.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut to_engine);
        let _ = to_engine.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(engine, client)?;
    client.shutdown(std::net::Shutdown::Both)
}

fn relay_body(
    engine: &mut UnixStream,
    client: &mut UnixStream,
    head: &str,
    has_no_body: bool,
) -> std::io::Result<()> {
    if has_no_body {
        return Ok(());
    }
    if header(head, "Transfer-Encoding").is_none() {
        let mut body = Vec::new();
        read_body(engine, head, false, &mut body)?;
        return client.write_all(&body);
    }
    loop {
        let mut chunk = Vec::new();
        let more = read_chunk(engine, &mut chunk)?;
        client.write_all(&chunk)?;
        if !more {
            return Ok(());
        }
    }
}
