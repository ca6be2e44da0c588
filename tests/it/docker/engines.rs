//! Connections to engines other than the default socket: TLS, SSH, contexts, several engines.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test, docker, free_port, private_engine::PrivateEngine},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// Creates a directory with ca.pem, cert.pem and key.pem for a client, and with the certificate and
/// key of an engine.
fn certificates(test: &Test, directory: &str) -> PathBuf {
    let path = test.path(directory);
    fs::create_dir_all(&path).unwrap();
    let write = |name: &str, text: String| fs::write(path.join(name), text).unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, directory);
    let key = KeyPair::generate().unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for (certificate, key_file, name) in [
        ("server.pem", "server-key.pem", "127.0.0.1"),
        ("cert.pem", "key.pem", "client"),
    ] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        write(certificate, params.signed_by(&key, &issuer).unwrap().pem());
        write(key_file, key.serialize_pem());
    }
    path
}

fn tls_engine(test: &Test) -> (PrivateEngine, String, PathBuf) {
    let directory = certificates(test, "certificates");
    let address = format!("127.0.0.1:{}", free_port());
    let file = |name: &str| directory.join(name).display().to_string();
    let engine = PrivateEngine::start(
        test,
        &[
            "-H".to_owned(),
            format!("tcp://{address}"),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", file("ca.pem")),
            format!("--tlscert={}", file("server.pem")),
            format!("--tlskey={}", file("server-key.pem")),
        ],
    );
    (engine, address, directory)
}

/// Blueprint of a container that any engine can start, including the private one, which has no
/// networks.
fn sleeper() -> String {
    SLEEPER.replace(
        "{command: sleep 1000",
        "{host_config: {network_mode: none}, command: sleep 1000",
    )
}

fn run_with(test: &Test, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = test.command(arguments);
    command
        .env_remove("DOCKER_HOST")
        .envs(variables.iter().copied());
    Run::from_output(&command.output().expect("start dockctl"))
}

#[test]
fn tls_engine_uses_the_certificates_of_the_docker_cli() {
    let test = Test::new("tls");
    let (engine, address, directory) = tls_engine(&test);
    test.blueprint(&sleeper());
    let host = format!("tcp://{address}");
    let directory_name = directory.display().to_string();
    let tls = [
        ("DOCKER_HOST", host.as_str()),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", directory_name.as_str()),
    ];
    run_with(&test, &["install"], &tls).exits_with(0);
    assert_eq!(
        engine.docker(&["ps", "--format", "{{.Names}}"]),
        test.name("web")
    );
    assert!(test.containers().is_empty());
    run_with(&test, &["install", "--output", "json"], &tls).exits_with(0);
    run_with(&test, &["uninstall"], &tls).exits_with(0);
    assert_eq!(engine.docker(&["ps", "-aq"]), "");

    // Each TLS error has its own message.
    run_with(&test, &["install"], &[("DOCKER_HOST", &host)])
        .exits_with(4)
        .stderr_contains(&[
            "the engine requires TLS: set DOCKER_TLS_VERIFY=1",
            "from DOCKER_HOST",
        ]);
    let other = certificates(&test, "other").display().to_string();
    let foreign = [tls[0], tls[1], ("DOCKER_CERT_PATH", other.as_str())];
    run_with(&test, &["install"], &foreign)
        .exits_with(4)
        .stderr_contains(&["invalid peer certificate: UnknownIssuer"]);
    fs::write(directory.join("cert.pem"), "no certificate").unwrap();
    run_with(&test, &["install"], &tls)
        .exits_with(4)
        .stderr_contains(&["cert.pem contains no certificate"]);
    fs::remove_file(directory.join("cert.pem")).unwrap();
    run_with(&test, &["install"], &tls)
        .exits_with(4)
        .stderr_contains(&["cert.pem cannot be used"]);
    fs::remove_file(directory.join("key.pem")).unwrap();
    run_with(&test, &["install"], &tls)
        .exits_with(4)
        .stderr_contains(&["cannot connect to the engine at tcp://127.0.0.1"]);
    let none = [tls[0], tls[1], ("DOCKER_CERT_PATH", "/nowhere")];
    run_with(&test, &["install"], &none)
        .exits_with(4)
        .stderr_contains(&["DOCKER_TLS_VERIFY is set, but /nowhere/ca.pem does not exist"]);
    run_with(&test, &["install"], &[tls[1], tls[2]]).exits_with(0);
    run_with(&test, &["uninstall"], &[]).exits_with(0);
}

#[test]
fn context_provides_its_certificates() {
    let test = Test::new("context");
    let (engine, address, directory) = tls_engine(&test);
    test.blueprint(&sleeper());
    let config = test.path("config").display().to_string();
    let file = |name: &str| directory.join(name).display().to_string();
    let endpoint = format!(
        "host=tcp://{address},ca={},cert={},key={}",
        file("ca.pem"),
        file("cert.pem"),
        file("key.pem")
    );
    docker(&[
        "--config", &config, "context", "create", "far", "--docker", &endpoint,
    ]);
    let variables = [("DOCKER_CONFIG", config.as_str())];
    run_with(&test, &["install", "--context", "far"], &variables).exits_with(0);
    assert_eq!(
        engine.docker(&["ps", "--format", "{{.Names}}"]),
        test.name("web")
    );
    run_with(&test, &["uninstall", "--context", "far"], &variables).exits_with(0);
    run_with(&test, &["install", "--context", "near"], &variables)
        .exits_with(4)
        .stderr_contains(&["docker context `near`", "does not exist"]);
}

#[test]
fn nodes_of_one_blueprint_can_use_different_engines() {
    let test = Test::new("two");
    let (engine, address, directory) = tls_engine(&test);
    let file = |name: &str| directory.join(name).display().to_string();
    let client = format!(
        "{{base_url: 'tcp://{address}', timeout: 30, version: '1.18', tls: {{client_cert: [{}, {}], ca_cert: {}}}}}",
        file("cert.pem"),
        file("key.pem"),
        file("ca.pem"),
    );
    // Both containers have the same name, which requires separate engines.
    let remote = sleeper()
        .replace("\nnode_templates:\n", "")
        .replace("web:", "far:")
        .replace(
            "create: {inputs: {",
            &format!("create: {{inputs: {{daemon_client: {client}, "),
        );
    assert!(remote.contains("daemon_client"));
    test.blueprint(&(sleeper() + &remote));
    let plan = test.run(&["plan", "--steps"]).exits_with(0);
    assert!(
        plan.stdout.contains(&format!(
            "create container {} on tcp://{address}",
            test.name("web")
        )),
        "{}",
        plan.stdout
    );
    test.run(&["install"]).exits_with(0);
    assert_eq!(
        engine.docker(&["ps", "--format", "{{.Names}}"]),
        test.name("web")
    );
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    test.run(&["install"]).exits_with(0);
    let status = test
        .run(&["status", "--exit-code", "--output", "json"])
        .exits_with(0)
        .json();
    let engines: Vec<&str> = (0..2)
        .filter_map(|at| status["instances"][at]["objects"][0]["engine"].as_str())
        .collect();
    assert_eq!(engines, ["default", &format!("tcp://{address}")]);
    engine.docker(&["stop", "-t", "0", &test.name("web")]);
    test.run(&["status", "--exit-code"]).exits_with(6);
    test.run(&["install"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(
        (engine.docker(&["ps", "-aq"]), test.containers().len()),
        (String::new(), 0)
    );
}

#[test]
fn errors_in_daemon_client_are_reported_with_their_location() {
    let test = Test::new("client");
    let with = |client: &str| {
        test.blueprint(&SLEEPER.replace(
            "create: {inputs: {",
            &format!("create: {{inputs: {{daemon_client: {client}, "),
        ));
        test.run(&["validate"])
    };
    with("{base_ulr: 'tcp://h:1'}")
        .exits_with(3)
        .stderr_contains(&[
            "there is no argument `base_ulr` here",
            "did you mean `base_url`?",
        ]);
    with("{base_url: 'tcp://h'}")
        .exits_with(3)
        .stderr_contains(&["`daemon_client.base_url`: invalid engine address: missing port"]);
    with("{version: 1.4}")
        .exits_with(3)
        .stderr_contains(&["`1.4` is not an API version"]);
    with("{}").exits_with(0);
    with("{base_url: {get_attribute: [web, x]}}").exits_with(0);
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["`base_url` has no value"]);
    test.run(&["uninstall"]).exits_with(0);
    with("{base_url: 'tcp://127.0.0.1:1'}").exits_with(0);
    let refused = test
        .run(&["install", "-d", &test.name("other")])
        .exits_with(4);
    refused
        .stderr_contains(&["cannot connect to the engine at tcp://127.0.0.1:1 (from daemon_client): Connection refused"]);
}

#[test]
fn ssh_connection_matches_the_docker_cli() {
    let test = Test::new("ssh");
    // Replaces the ssh program: logs its arguments and connects to the engine of this machine.
    fs::create_dir(test.path("bin")).unwrap();
    let log = test.path("ssh.log").display().to_string();
    let program = test.path("bin/ssh");
    fs::write(
        &program,
        format!(
            "#!/bin/sh\necho \"$*\" >>{log}\nexec env -u DOCKER_HOST docker system dial-stdio\n"
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        test.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let host = [
        ("DOCKER_HOST", "ssh://me@far.test:2222"),
        ("PATH", path.as_str()),
    ];
    test.blueprint(SLEEPER);
    run_with(&test, &["install"], &host).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    run_with(&test, &["uninstall"], &host).exits_with(0);
    let arguments = fs::read_to_string(&log).unwrap();
    let expected = "-T -o BatchMode=yes -o ConnectTimeout=10 -l me -p 2222 -- far.test docker system dial-stdio";
    assert!(
        arguments.lines().all(|line| line == expected),
        "{arguments}"
    );
    fs::write(
        &program,
        "#!/bin/sh\necho 'me@far.test: Permission denied (publickey).' >&2\nexit 255\n",
    )
    .unwrap();
    run_with(&test, &["install"], &host)
        .exits_with(4)
        .stderr_contains(&[
            "cannot connect to the engine at ssh://me@far.test:2222",
            "Permission denied (publickey)",
        ]);
}

/// Starts a server that reports an old API version and no objects. Returns its address and the log
/// of its requests.
fn engine_of(oldest: &str, newest: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let version = format!(r#"{{"ApiVersion": "{newest}", "MinAPIVersion": "{oldest}"}}"#);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = requests.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..read])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let body = if line.contains("/version ") {
                version.as_str()
            } else {
                "[]"
            };
            log.lock().unwrap().push(line);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (address, requests)
}

#[test]
fn arguments_that_need_a_newer_engine_are_rejected_before_any_change() {
    let test = Test::new("old");
    let (address, requests) = engine_of("1.12", "1.24");
    test.blueprint(&SLEEPER.replace(
        "{command: sleep 1000",
        "{stop_timeout: 5, host_config: {init: true, Mounts: []}, command: sleep 1000",
    ));
    let host = ["--host", &address];
    let plan = test.run(&[&["plan"], &host[..]].concat()).exits_with(0);
    plan.stderr_contains(&[
        "`stop_timeout` requires engine API 1.25 or newer; this engine is called with 1.24",
    ]);
    let run = test
        .run(&[&["install", "--output", "json"], &host[..]].concat())
        .exits_with(3);
    assert_eq!(run.json()["too_old"].as_array().unwrap().len(), 3);
    run.stderr_contains(&[
        "`host_config.init` requires",
        "`host_config.Mounts` requires",
        "nothing was done",
        "--> blueprint.yaml:10:",
    ]);
    let requests = requests.lock().unwrap();
    assert!(
        requests.len() > 3 && requests.iter().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
}

/// Returns the API versions in the paths of requests.
fn spoken(requests: &Mutex<Vec<String>>) -> Vec<String> {
    let all = requests.lock().unwrap();
    let path = |line: &String| line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut versions: Vec<String> = all
        .iter()
        .map(path)
        .filter_map(|path| Some(path.strip_prefix("/v1.")?.split('/').next()?.to_owned()))
        .map(|minor| format!("1.{minor}"))
        .collect();
    versions.dedup();
    versions
}

#[test]
fn newest_version_of_the_engine_is_spoken_up_to_the_newest_checked_one() {
    for (oldest, newest, expected) in [("1.24", "1.51", "1.51"), ("1.44", "1.60", "1.52")] {
        let test = Test::new("spoken");
        let (address, requests) = engine_of(oldest, newest);
        test.blueprint(SLEEPER);
        let plan = run_with(&test, &["plan"], &[("DOCKER_HOST", &address)]).exits_with(0);
        assert!(!plan.stderr.contains("warning"), "{}", plan.stderr);
        assert_eq!(spoken(&requests), [expected]);
    }
}

#[test]
fn engine_that_supports_only_newer_versions_is_tried_with_a_warning() {
    let test = Test::new("unchecked");
    let (address, requests) = engine_of("1.53", "1.60");
    test.blueprint(SLEEPER);
    let plan = run_with(&test, &["plan"], &[("DOCKER_HOST", &address)]).exits_with(0);
    plan.stderr_contains(&[
        "supports API versions 1.53 to 1.60, but dockctl was only checked up to 1.52; it uses 1.53",
    ]);
    assert_eq!(spoken(&requests), ["1.53"]);
}

#[test]
fn engine_that_is_too_old_is_refused() {
    let test = Test::new("tooold");
    let (address, _) = engine_of("1.12", "1.23");
    test.blueprint(SLEEPER);
    run_with(&test, &["plan"], &[("DOCKER_HOST", &address)])
        .exits_with(4)
        .stderr_contains(&[
            "supports API versions 1.12 to 1.23, but dockctl requires 1.24 or newer",
        ]);
}

/// Returns a blueprint with `near` and `db` on the default engine, and `app`, which depends on
/// `db`, on the engine at `socket`.
fn two_engines(socket: &str) -> String {
    let node = |name: &str, create: &str, rest: &str| {
        format!(
            "  {name}:\n    type: cloudify.docker.Container\n    properties: {{name: PREFIX-{name}, image: {{src: TARBALL, repository: dockctl-demo}}}}\n    interfaces:\n      cloudify.interfaces.lifecycle:\n        create: {{inputs: {{{create}params: {{command: [sh, -c, 'echo {name}; exec sleep 1000'], stop_signal: SIGKILL, host_config: {{network_mode: none}}}}}}}}\n{rest}"
        )
    };
    let client = format!("daemon_client: {{base_url: 'unix://{socket}'}}, ");
    let depends = "    relationships: [{type: cloudify.relationships.depends_on, target: db}]\n";
    format!(
        "node_templates:\n{}{}{}outputs: {{near: {{value: {{get_attribute: [near, container_id]}}}}}}\n",
        node("near", "", ""),
        node("db", "", ""),
        node("app", &client, depends)
    )
}

#[test]
fn silent_engine_hides_no_instance_of_another_one() {
    let test = Test::in_memory("silent");
    let engine = PrivateEngine::isolated(&test);
    let socket = test.path("far.sock");
    let connect = || std::os::unix::fs::symlink(test.path("engine.sock"), &socket).unwrap();
    connect();
    test.blueprint(&two_engines(&socket.display().to_string()));
    test.run(&["install"]).exits_with(0);
    let id = |name: &str| crate::cli::instance_id(&test, name);
    let (near, db, app) = (id("near"), id("db"), id("app"));
    fs::remove_file(&socket).unwrap();

    let json = |arguments: &[&str]| {
        let run = test.run(&[arguments, &["--output", "json"]].concat());
        let document = run.exits_with(4).json();
        assert_eq!(document["ok"], false, "{document}");
        assert_eq!(document["error"]["code"], "engine", "{document}");
        let unseen = &document["unseen"][0];
        assert_eq!(unseen["engine"], format!("unix://{}", socket.display()));
        assert_eq!(unseen["instances"], serde_json::json!([app]));
        let reason = unseen["reason"].as_str().unwrap();
        assert!(reason.contains("cannot connect"), "{reason}");
        document
    };
    let status = json(&["status"]);
    let of = |name: &str| {
        let all = status["instances"].as_array().unwrap().iter();
        all.clone().find(|it| it["node"] == name).unwrap().clone()
    };
    assert_eq!(of("near")["objects"][0]["state"], "running");
    assert_eq!(
        (&of("app")["unseen"], &of("app")["drift"]),
        (&true.into(), &serde_json::json!([]))
    );
    test.run(&["status"]).exits_with(4).stderr_contains(&[
        &format!("unseen: {app} on the engine `unix://"),
        "1 engine did not respond; the result leaves out 1 instance",
    ]);
    let outputs = json(&["outputs"]);
    assert!(outputs["outputs"]["near"].as_str().unwrap().len() == 64);
    let logs = json(&["logs"]);
    assert_eq!(logs["lines"].as_array().unwrap().len(), 2, "{logs}");
    let plan = json(&["plan"]);
    assert_eq!(plan["steps"], serde_json::json!([]), "{plan}");
    let out = test.path("plan.json").display().to_string();
    test.run(&["plan", "--out", &out]).exits_with(4);
    assert!(
        !test.path("plan.json").exists(),
        "an incomplete plan is not saved"
    );

    // Workflows leave the unseen instance out; those that need all instances are refused.
    test.docker(&["rm", "-f", &test.name("near")]);
    let healed = json(&["heal"]);
    assert_eq!(healed["execution"]["outcome"], "terminated", "{healed}");
    assert_eq!(test.inspect("near", "{{.State.Running}}"), "true");
    let before = test.inspect("db", "{{.State.StartedAt}}");
    json(&["restart", "db"]);
    test.run(&["restart", "app"])
        .exits_with(4)
        .stdout_contains(&["the engines of the selected instances do not respond"]);
    assert_ne!(test.inspect("db", "{{.State.StartedAt}}"), before);
    test.run(&["install"]).exits_with(4);
    test.run(&["scale", "near", "--to", "2"]).exits_with(4);

    // `app` may still use `db`.
    let kept = format!("note: kept: {db}, because an instance on an engine");
    test.run(&["uninstall"])
        .exits_with(4)
        .stderr_contains(&[&kept]);
    json(&["uninstall"]);
    assert_eq!(test.containers(), ["PREFIX-db running"]);
    let status = json(&["status"]);
    assert_eq!(status["installed"], true);
    connect();
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(engine.docker(&["ps", "-aq"]), "");
    assert!(test.containers().is_empty(), "{near} {db}");
}

/// The blueprint no longer has the node on the silent engine, and its container still exists.
#[test]
fn removed_node_on_a_silent_engine_is_unseen() {
    let test = Test::in_memory("silentremoved");
    let engine = PrivateEngine::isolated(&test);
    let socket = test.path("far.sock");
    let connect = || std::os::unix::fs::symlink(test.path("engine.sock"), &socket).unwrap();
    connect();
    let both = two_engines(&socket.display().to_string());
    test.blueprint(&both);
    test.run(&["install"]).exits_with(0);
    let (start, outputs) = (both.find("  app:").unwrap(), both.find("outputs:").unwrap());
    test.blueprint(&(both[..start].to_owned() + &both[outputs..]));
    let unseen = serde_json::json!([crate::cli::instance_id(&test, "app")]);
    fs::remove_file(&socket).unwrap();
    let shown = |arguments: &[&str]| {
        let run = test.run(&[arguments, &["--output", "json"]].concat());
        let document = run.exits_with(4).json();
        assert_eq!(document["unseen"][0]["instances"], unseen, "{document}");
    };
    shown(&["plan"]);
    // Nothing is done, and nothing recorded: the update needs the engine.
    test.run(&["update", "--yes"]).exits_with(4);
    shown(&["status"]);
    shown(&["uninstall"]);
    connect();
    test.run(&["uninstall"]).exits_with(0);
    assert_eq!(engine.docker(&["ps", "-aq"]), "");
    assert!(test.containers().is_empty());
}
