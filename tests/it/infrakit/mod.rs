//! `dockctl infrakit`: the plugin over its socket, and the client.

mod client;
mod crash;
mod defects;
mod group_crash;
mod group_daemon;
mod groups;
mod init;
mod instances;
mod metadata;
mod presence;
mod protocol;
mod trouble;

use crate::support::{Run, Test, eventually};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

/// A running plugin.
pub(crate) struct Served {
    process: Child,
    socket: PathBuf,
    log: Arc<Mutex<String>>,
}

/// A response: its head, and its body.
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Returns the command that serves in the test's directory, on the test's engine.
pub(crate) fn command(test: &Test, arguments: &[&str]) -> Command {
    let mut command = test.command(&[&["infrakit"], arguments].concat());
    command.env("INFRAKIT_PLUGINS_DIR", test.path("plugins"));
    for variable in ["INFRAKIT_HOME", "INFRAKIT_CLIENT_TIMEOUT", "NOTIFY_SOCKET"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command on plugins to its end.
pub(crate) fn run(test: &Test, arguments: &[&str]) -> Run {
    Run::from_output(&command(test, arguments).output().unwrap())
}

impl Served {
    /// Starts the plugin under the name of the test.
    pub(crate) fn start(test: &Test, arguments: &[&str]) -> Self {
        let named = ["serve", "--name", &test.prefix];
        Self::start_command(test, command(test, &[&named, arguments].concat()))
    }

    /// Starts the plugin with a prepared command, and waits until it listens.
    pub(crate) fn start_command(test: &Test, mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(process.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut served = Self {
            process,
            socket: test.path("plugins").join(&test.prefix),
            log,
        };
        eventually("the plugin", || {
            assert!(
                served.process.try_wait().unwrap().is_none(),
                "{}",
                served.log()
            );
            served.log().contains("listening").then_some(())
        });
        served
    }

    /// Returns what the plugin has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has a text.
    pub(crate) fn await_log(&self, text: &str) {
        eventually(text, || self.log().contains(text).then_some(()));
    }

    /// Sends bytes and returns the response.
    pub(crate) fn send(&self, request: &[u8]) -> Response {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(request).unwrap();
        read_response(&mut BufReader::new(stream))
    }

    /// Posts a body and returns the response.
    pub(crate) fn post(&self, body: &str) -> Response {
        self.send(&post(body))
    }

    /// Calls a method and returns the whole reply.
    pub(crate) fn reply(&self, method: &str, params: &Json) -> Json {
        let call = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        serde_json::from_str(&self.post(&call.to_string()).body).unwrap()
    }

    /// Calls a method and returns its result. Panics if it fails.
    pub(crate) fn call(&self, method: &str, params: &Json) -> Json {
        let reply = self.reply(method, params);
        assert!(reply.get("error").is_none(), "{method} {params}: {reply}");
        reply["result"].clone()
    }

    /// Calls a method that fails, and returns the message.
    pub(crate) fn error(&self, method: &str, params: &Json) -> String {
        let reply = self.reply(method, params);
        let message = reply["error"]["message"].as_str();
        message
            .unwrap_or_else(|| panic!("{method} {params}: {reply}"))
            .to_owned()
    }

    /// Creates an instance and returns its ID.
    pub(crate) fn provision(&self, spec: &Json) -> String {
        let result = self.call("Instance.Provision", &json!({ "Type": "", "Spec": spec }));
        result["ID"].as_str().unwrap().to_owned()
    }

    /// Returns the error of a creation.
    pub(crate) fn provision_error(&self, spec: &Json) -> String {
        self.error("Instance.Provision", &json!({ "Type": "", "Spec": spec }))
    }

    /// Lists the instances with these tags.
    pub(crate) fn describe(&self, tags: &Json) -> Vec<Json> {
        let params = json!({ "Type": "", "Tags": tags, "Properties": true });
        let result = self.call("Instance.DescribeInstances", &params);
        result["Descriptions"].as_array().unwrap().clone()
    }

    pub(crate) fn destroy(&self, instance: &str) {
        let params =
            json!({ "Type": "", "Instance": instance, "Context": { "Reason": "terminate" } });
        let result = self.call("Instance.Destroy", &params);
        assert_eq!(result, json!({ "Type": "", "OK": true }));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.process.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Ends the plugin with SIGTERM and returns its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.process.wait().unwrap().code().unwrap()
    }

    /// Waits until the plugin ends.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Ends the plugin at once.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a blueprint with the node `web` of the node type, with these further properties.
pub(crate) fn blueprint(properties: &str) -> String {
    let head = "
  - plugin:dockctl
node_templates:
  web:
    type: dockctl.nodes.infrakit.Instance
    properties:
      logical_id: PREFIX-web
      config: {image: PREFIX, Cmd: [sleep, '1000'], StopSignal: SIGKILL}
      ";
    format!("{head}{properties}\n")
}

/// Returns the request that posts a body.
pub(crate) fn post(body: &str) -> Vec<u8> {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Reads one response from a connection.
pub(crate) fn read_response(stream: &mut BufReader<UnixStream>) -> Response {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        assert_ne!(
            stream.read_line(&mut line).unwrap(),
            0,
            "the connection was closed: {head}"
        );
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Response {
        head,
        body: String::from_utf8(body).unwrap(),
    }
}

/// Returns the specification of an instance that sleeps. `more` adds fields to it.
pub(crate) fn spec(test: &Test, more: &Json) -> Json {
    let mut spec = json!({ "Properties": properties(test), "Tags": {}, "Init": "", "LogicalID": null, "Attachments": null });
    merge(&mut spec, more);
    spec
}

/// Returns properties of an instance that sleeps.
pub(crate) fn properties(test: &Test) -> Json {
    let config =
        json!({ "Image": test.prefix, "Cmd": ["sleep", "100000"], "StopSignal": "SIGKILL" });
    json!({ "Config": config, "HostConfig": {}, "Tags": { "test": test.prefix } })
}

fn merge(base: &mut Json, more: &Json) {
    match (base, more) {
        (Json::Object(base), Json::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (base, more) => *base = more.clone(),
    }
}
