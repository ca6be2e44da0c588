//! The plugin for InfraKit: many instances at once, next to the same creations and starts without
//! the plugin, and the list of a thousand instances of an engine that answers at once.
//!
//! Needs a Docker engine with the image `dockctl-demo`, which `scripts/demo` imports.

#![allow(
    missing_docs,
    clippy::print_stdout,
    reason = "a program that prints its results"
)]

use serde_json::{Value as Json, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ENGINE: &str = "/var/run/docker.sock";

fn main() {
    thousand_instances();
    for count in [50, 200] {
        let bare = [4, 8, 16]
            .map(|at_once| bare(count, at_once))
            .into_iter()
            .min();
        let bare = bare.expect("there are three results");
        let (visible, done) = plugin(count);
        println!(
            "{count} instances: all listed after {:.2} s, all created after {:.2} s; without the plugin {:.2} s; ratio {:.2}",
            visible.as_secs_f64(),
            done.as_secs_f64(),
            bare.as_secs_f64(),
            done.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

/// Sends a request on a new connection. Returns the status and the body.
fn request(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let stream = UnixStream::connect(socket).expect("connect");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\n"
    );
    let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    (&stream).write_all(text.as_bytes()).expect("send");
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer).expect("receive");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

fn call(socket: &Path, method: &str, params: &Json) -> Json {
    let call = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
    let (_, body) = request(socket, "POST", "/", &call.to_string());
    let reply: Json = serde_json::from_str(&body).expect("a reply");
    assert!(reply.get("result").is_some(), "{method}: {reply}");
    reply["result"].clone()
}

/// Runs a function for each number, on so many threads.
fn parallel(count: usize, threads: usize, run: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|n| *n < count)
                {
                    run(n);
                }
            });
        }
    });
}

/// Creates and starts containers without the plugin. Returns the time that it took.
fn bare(count: usize, at_once: usize) -> Duration {
    let engine = Path::new(ENGINE);
    let ids = Mutex::new(Vec::new());
    let begun = Instant::now();
    let body = json!({ "Image": "dockctl-demo", "Cmd": ["sleep", "1000"] }).to_string();
    parallel(count, at_once, |_| {
        let (status, answer) = request(engine, "POST", "/containers/create", &body);
        assert_eq!(status, 201, "{answer}");
        // The body may be in chunks: the ID is the only long word.
        let id = answer
            .split('"')
            .find(|word| word.len() == 64)
            .expect("an ID")
            .to_owned();
        ids.lock().expect("no thread panics").push(id);
    });
    let ids = ids.into_inner().expect("no thread panics");
    parallel(count, at_once, |n| {
        assert_eq!(
            request(engine, "POST", &format!("/containers/{}/start", ids[n]), "").0,
            204
        );
    });
    let took = begun.elapsed();
    parallel(count, 8, |n| {
        drop(request(
            engine,
            "DELETE",
            &format!("/containers/{}?force=1", ids[n]),
            "",
        ))
    });
    took
}

/// A running plugin with its own directories.
struct Plugin {
    process: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Plugin {
    fn start(engine: &Path) -> Self {
        let directory = tempfile::tempdir().expect("create a directory");
        let at = |name: &str| directory.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        command.args([
            "infrakit",
            "serve",
            "--url",
            &format!("unix://{}", engine.display()),
        ]);
        command
            .env("INFRAKIT_PLUGINS_DIR", at("plugins"))
            .env("DOCKCTL_STATE_DIR", at("state"));
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("start dockctl");
        let mut log = BufReader::new(process.stderr.take().expect("it is piped"));
        log.read_line(&mut String::new())
            .expect("the plugin listens");
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            process,
            socket: at("plugins/instance-docker"),
            _directory: directory,
        }
    }

    fn ids(&self) -> Vec<String> {
        let result = call(
            &self.socket,
            "Instance.DescribeInstances",
            &json!({ "Tags": { "bench": "plugin" } }),
        );
        let all = result["Descriptions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.iter()
            .filter_map(|it| it["ID"].as_str().map(str::to_owned))
            .collect()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Creates instances through the plugin, all at once. Returns the times until all were listed, and
/// until all were created.
fn plugin(count: usize) -> (Duration, Duration) {
    let plugin = Plugin::start(Path::new(ENGINE));
    plugin.ids();
    let properties = json!({ "Config": { "Image": "dockctl-demo", "Cmd": ["sleep", "1000"] } });
    let params = json!({ "Spec": { "Properties": properties, "Tags": { "bench": "plugin" } } });
    let (begun, visible) = (Instant::now(), Mutex::new(Duration::MAX));
    let is_done = AtomicBool::new(false);
    let mut done = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            while plugin.ids().len() < count && !is_done.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(50));
            }
            *visible.lock().expect("no thread panics") = begun.elapsed();
        });
        parallel(count, count, |_| {
            drop(call(&plugin.socket, "Instance.Provision", &params))
        });
        done = begun.elapsed();
        is_done.store(true, Ordering::SeqCst);
    });
    let ids = plugin.ids();
    assert_eq!(ids.len(), count);
    parallel(count, 8, |n| {
        drop(call(
            &plugin.socket,
            "Instance.Destroy",
            &json!({ "Instance": ids[n] }),
        ))
    });
    (visible.into_inner().expect("no thread panics"), done)
}

/// Lists a thousand instances of an engine that only has a list.
fn thousand_instances() {
    let directory = tempfile::tempdir().expect("create a directory");
    let socket = directory.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).expect("listen");
    let labels = json!({ "infrakit.group": "g", "infrakit.config_sha": "s", "bench": "plugin", "tier": "web" });
    let one = |n: usize| json!({ "Id": format!("{n:064x}"), "Names": [format!("/c{n}")], "State": "running", "Labels": labels });
    let list = (0..1000).map(one).collect::<Json>().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let list = list.clone();
            thread::spawn(move || answer_all(&stream, &list));
        }
    });
    let plugin = Plugin::start(&socket);
    assert_eq!(plugin.ids().len(), 1000);
    let times = (0..20).map(|_| {
        let begun = Instant::now();
        plugin.ids();
        begun.elapsed()
    });
    let slowest = times.max().unwrap_or_default();
    println!("1,000 instances: listed within {} ms", slowest.as_millis());
}

/// Answers the requests of one connection.
fn answer_all(stream: &UnixStream, list: &str) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        lines.by_ref().find(String::is_empty);
        let body = match () {
            () if first.contains("/version") => {
                r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10"}"#
            }
            () if first.contains("/containers/json") => list,
            () => "\"OK\"",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        if stream.write_all((head + body).as_bytes()).is_err() {
            return;
        }
    }
}
