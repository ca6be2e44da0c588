//! The plugin in the directory of plugins: its files, other plugins, TCP, the service manager.

use super::{Served, command, run};
use crate::support::{Test, eventually, fetch, free_port};
use serde_json::json;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::{UnixDatagram, UnixListener},
    },
    path::PathBuf,
    process::Command,
};

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(test: &Test) -> Vec<String> {
    let entries = fs::read_dir(test.path("plugins")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.replace(&test.prefix, "NAME"))
        .collect();
    names.sort();
    names
}

#[test]
fn socket_and_process_are_announced_until_the_end() {
    let test = Test::in_memory("ik-files");
    let served = Served::start(&test, &[]);
    assert_eq!(files(&test), ["NAME", "NAME.pid"]);
    let at = |ending: &str| {
        test.path("plugins")
            .join(format!("{}{ending}", test.prefix))
    };
    assert_eq!(
        (mode(test.path("plugins")), mode(at("")), mode(at(".pid"))),
        (0o700, 0o600, 0o644)
    );
    assert_eq!(
        fs::read_to_string(at(".pid")).unwrap(),
        served.process.id().to_string()
    );
    assert_eq!(served.stop(), 0);
    assert_eq!(files(&test), Vec::<String>::new());
}

#[test]
fn living_plugin_is_not_displaced() {
    let test = Test::in_memory("ik-second");
    let served = Served::start(&test, &[]);
    let inode = || {
        fs::metadata(test.path("plugins").join(&test.prefix))
            .unwrap()
            .ino()
    };
    let before = inode();
    let second = ["serve", "--name", &test.prefix];
    // With another state directory, only the socket shows the first one.
    let mut other = command(&test, &second);
    other.env("DOCKCTL_STATE_DIR", test.path("other"));
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8(output.stderr).unwrap();
    let known = format!(
        "a plugin `{}` is already running (process {})",
        test.prefix,
        served.process.id()
    );
    assert!(text.contains(&known), "{text}");
    run(&test, &second)
        .exits_with(5)
        .stderr_contains(&["is in use by `dockctl infrakit serve`"]);
    assert_eq!(inode(), before);
    assert_eq!(files(&test), ["NAME", "NAME.pid"]);
    served.describe(&json!(null));
}

#[test]
fn plugin_that_is_not_ours_is_not_displaced_either() {
    let test = Test::in_memory("ik-foreign");
    fs::create_dir(test.path("plugins")).unwrap();
    let path = test.path("plugins").join(&test.prefix);
    let _listener = UnixListener::bind(&path).unwrap();
    let serve = ["serve", "--name", &test.prefix];
    run(&test, &serve)
        .exits_with(5)
        .stderr_contains(&["is already running", "use another name"]);
    assert!(path.exists());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    run(&test, &serve)
        .exits_with(1)
        .stderr_contains(&["is in the way: it is neither a socket nor an address"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

#[test]
fn socket_of_a_dead_plugin_is_replaced() {
    let test = Test::in_memory("ik-stale");
    Served::start(&test, &[]).kill();
    assert_eq!(files(&test), ["NAME", "NAME.pid"]);
    let served = Served::start(&test, &[]);
    served.describe(&json!(null));
    assert_eq!(served.stop(), 0);
    assert_eq!(files(&test), Vec::<String>::new());
}

#[test]
fn files_of_another_plugin_stay_at_the_end() {
    let test = Test::in_memory("ik-taken");
    let served = Served::start(&test, &[]);
    // The original removes the socket of a living plugin and takes its name.
    let path = test.path("plugins").join(&test.prefix);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    fs::write(
        test.path("plugins").join(format!("{}.pid", test.prefix)),
        "1",
    )
    .unwrap();
    assert_eq!(served.stop(), 0);
    assert_eq!(files(&test), ["NAME", "NAME.pid"]);
}

#[test]
fn tcp_on_this_machine_is_announced() {
    let test = Test::in_memory("ik-tcp");
    let address = format!("tcp://127.0.0.1:{}", free_port());
    let served = Served::start(&test, &["--listen", &address]);
    assert_eq!(files(&test), ["NAME.listen", "NAME.pid"]);
    let listen = test.path("plugins").join(format!("{}.listen", test.prefix));
    assert_eq!(fs::read_to_string(listen).unwrap(), address);
    let described = run(&test, &["instance", "--name", &test.prefix, "describe"]);
    assert!(described.exits_with(0).stdout.starts_with("ID "));
    assert!(fetch(&format!("{}/info/api.json", address.replace("tcp", "http"))).contains("Vendor"));
    assert_eq!(served.stop(), 0);
    assert_eq!(files(&test), Vec::<String>::new());
}

#[test]
fn tcp_elsewhere_requires_tls() {
    let test = Test::in_memory("ik-open");
    for address in ["tcp://0.0.0.0:0", "tcp://0.0.0.0:9000", "tcp://[::]:9000"] {
        run(&test, &["serve", "--listen", address]).exits_with(2);
    }
    run(&test, &["serve", "--listen", "tcp://0.0.0.0:9000"])
        .exits_with(2)
        .stderr_contains(&["whoever can connect can start containers", "--tls-cert"]);
    run(&test, &["serve", "--tls-cert", "a"])
        .exits_with(2)
        .stderr_contains(&["--tls-key"]);
    let tls = [
        "serve",
        "--tls-cert",
        "a",
        "--tls-key",
        "b",
        "--tls-client-ca",
        "c",
    ];
    run(&test, &tls)
        .exits_with(2)
        .stderr_contains(&["TLS requires an address"]);
    run(
        &test,
        &[&tls[..], &["--listen", "tcp://127.0.0.1:9000"]].concat(),
    )
    .exits_with(1)
    .stderr_contains(&["c cannot be used"]);
    run(&test, &["serve", "--name", "../x"])
        .exits_with(2)
        .stderr_contains(&["not a valid name of a plugin"]);
}

/// Writes a certificate authority, and a certificate with its key for each name.
fn certificates(test: &Test, names: &[&str]) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let subject = &mut params.distinguished_name;
    subject.push(rcgen::DnType::CommonName, "authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    test.write("ca.pem", &authority.pem());
    let issuer = rcgen::Issuer::new(params, key);
    for name in names {
        let own = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let signed = params.signed_by(&own, &issuer).unwrap();
        test.write(&format!("{name}.pem"), &signed.pem());
        test.write(&format!("{name}-key.pem"), &own.serialize_pem());
    }
}

#[test]
fn tls_requires_a_certificate_of_the_client() {
    let test = Test::in_memory("ik-tls");
    certificates(&test, &["server", "client"]);
    let port = free_port();
    let path = |name: &str| test.path(name).display().to_string();
    let files = [path("server.pem"), path("server-key.pem"), path("ca.pem")];
    let flags = [
        "--tls-cert",
        &files[0],
        "--tls-key",
        &files[1],
        "--tls-client-ca",
        &files[2],
    ];
    let listen = format!("tcp://127.0.0.1:{port}");
    let _served = Served::start(&test, &[&["--listen", &listen], &flags[..]].concat());
    let announced = test.path("plugins").join(format!("{}.listen", test.prefix));
    assert_eq!(
        fs::read_to_string(announced).unwrap(),
        format!("https://127.0.0.1:{port}")
    );
    let url = format!("https://127.0.0.1:{port}/info/functions.json");
    let curl = |more: &[&str]| {
        let ca = path("ca.pem");
        let base = ["-sS", "--cacert", &ca, &url];
        Command::new("curl").args(base).args(more).output().unwrap()
    };
    let (certificate, key) = (path("client.pem"), path("client-key.pem"));
    let ca = path("ca.pem");
    let describe = [
        "instance",
        "--name",
        &test.prefix,
        "describe",
        "--tls-ca",
        &ca,
    ];
    let files = ["--tls-cert", &certificate, "--tls-key", &key];
    run(&test, &[&describe[..], &files].concat()).exits_with(0);
    run(&test, &describe).exits_with(1);
    run(&test, &describe[..4])
        .exits_with(1)
        .stderr_contains(&["UnknownIssuer"]);
    let known = curl(&["--cert", &certificate, "--key", &key]);
    assert_eq!(String::from_utf8_lossy(&known.stdout), "{}\n", "{known:?}");
    assert!(!curl(&[]).status.success());
    let plain = Command::new("curl")
        .args(["-sS", &url.replace("https", "http")])
        .output()
        .unwrap();
    assert!(!plain.status.success());
}

#[test]
fn service_manager_is_told_and_running_requests_finish() {
    let test = Test::in_memory("ik-notify");
    test.import_image();
    let manager = UnixDatagram::bind(test.path("notify.sock")).unwrap();
    let mut serve = command(
        &test,
        &["serve", "--name", &test.prefix, "--log-format", "json"],
    );
    serve.env("NOTIFY_SOCKET", test.path("notify.sock"));
    let mut served = Served::start_command(&test, serve);
    let told = || {
        let mut buffer = [0; 100];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1");
    let spec = super::spec(&test, &json!({ "Init": "sleep 1" }));
    std::thread::scope(|scope| {
        let provisioned =
            scope.spawn(|| served.reply("Instance.Provision", &json!({ "Spec": spec })));
        eventually("the script", || {
            (test.engine().request_count("/exec") > 0).then_some(())
        });
        served.signal("TERM");
        assert_eq!(told(), "STOPPING=1");
        let reply = provisioned.join().unwrap();
        assert!(reply["result"]["ID"].is_string(), "{reply}");
    });
    assert_eq!(served.wait(), Some(0));
    for line in served.log().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            entry["message"].is_string() && entry["level"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn binary_with_the_name_of_the_original_is_the_plugin() {
    let test = Test::in_memory("ik-argv0");
    let program = test.path("infrakit-instance-docker");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dockctl"), &program).unwrap();
    let like = command(&test, &[]);
    let mut plugin = Command::new(&program);
    plugin.envs(
        like.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    plugin.args([
        "--name",
        &test.prefix,
        "--log",
        "5",
        "--retries",
        "5",
        "--version",
        "1.25",
    ]);
    plugin.args([
        "--url",
        &test.engine().dockctl_address(),
        "--namespace-tags",
        "a=b,c=d",
    ]);
    let served = Served::start_command(&test, plugin);
    assert_eq!(
        served.describe(&json!(null)),
        Vec::<serde_json::Value>::new()
    );
    let version = Command::new(&program).arg("version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("dockctl "));
}

#[test]
fn free_port_is_chosen_and_announced() {
    let test = Test::in_memory("ik-port");
    let _served = Served::start(&test, &["--listen", "tcp://127.0.0.1:0"]);
    let listen = test.path("plugins").join(format!("{}.listen", test.prefix));
    let announced = fs::read_to_string(listen).unwrap();
    let port: u16 = announced
        .strip_prefix("tcp://127.0.0.1:")
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(port, 0);
    run(&test, &["instance", "--name", &announced, "describe"]).exits_with(0);
}

#[test]
fn half_sent_requests_do_not_delay_the_end() {
    let test = Test::in_memory("ik-half");
    let served = Served::start(&test, &[]);
    let mut open = Vec::new();
    for part in [
        "",
        "POST / HT",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(&served.socket).unwrap();
        std::io::Write::write_all(&mut stream, part.as_bytes()).unwrap();
        open.push(stream);
    }
    served.describe(&json!(null));
    let begun = std::time::Instant::now();
    assert_eq!(served.stop(), 0);
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
}

#[test]
fn request_without_time_left_is_answered() {
    let test = Test::in_memory("ik-last");
    test.import_image();
    let mut served = Served::start(&test, &[]);
    let spec = super::spec(&test, &json!({ "Init": "sleep 1000" }));
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| served.error("Instance.Provision", &json!({ "Spec": spec })));
        eventually("the script", || {
            (test.engine().request_count("/exec") > 0).then_some(())
        });
        served.signal("TERM");
        let error = lost.join().unwrap();
        assert_eq!(
            error,
            "the plugin stops; its next start settles this request"
        );
    });
    assert_eq!(served.wait(), Some(0));
    drop(served);
    let served = Served::start(&test, &[]);
    assert_eq!(served.describe(&json!(null)).len(), 0);
    assert_eq!(test.containers(), Vec::<String>::new());
}

#[test]
fn settings_that_can_never_work_are_refused() {
    let test = Test::in_memory("ik-flags");
    for (flags, message) in [
        (["--url", "ftp://x"], "is not an address of an engine"),
        (
            ["--subtype", "a=/var/run/docker.sock"],
            "is not an address of an engine",
        ),
        (
            ["--namespace-tags", "infrakit.group=g"],
            "`infrakit.group` cannot be a namespace tag",
        ),
        (
            ["--namespace-tags", "dockctl.x=1"],
            "`dockctl.x` cannot be a namespace tag",
        ),
        (
            ["--namespace-tags", "a=b,a=c"],
            "--namespace-tags has `a` twice",
        ),
        (["--init-timeout", "0s"], "must be a duration"),
    ] {
        run(&test, &[&["serve"], &flags[..]].concat())
            .exits_with(2)
            .stderr_contains(&[message]);
    }
    let twice = [
        "serve",
        "--subtype",
        "a=unix:///x",
        "--subtype",
        "a=unix:///y",
    ];
    run(&test, &twice)
        .exits_with(2)
        .stderr_contains(&["--subtype has `a` twice"]);
    let long = "x".repeat(120);
    run(&test, &["serve", "--name", &long])
        .exits_with(1)
        .stderr_contains(&["the path of the socket is too long"]);
}

#[test]
fn directory_that_others_can_use_is_reported() {
    let test = Test::in_memory("ik-mode");
    fs::create_dir(test.path("plugins")).unwrap();
    fs::set_permissions(test.path("plugins"), fs::Permissions::from_mode(0o755)).unwrap();
    let served = Served::start(&test, &[]);
    served.await_log("other users can use the directory of plugins");
    assert_eq!(mode(test.path("plugins").join(&test.prefix)), 0o600);
}

#[test]
fn plugin_on_tcp_starts_again_after_a_crash() {
    let test = Test::in_memory("ik-again");
    let address = format!("tcp://127.0.0.1:{}", free_port());
    Served::start(&test, &["--listen", &address]).kill();
    assert_eq!(files(&test), ["NAME.listen", "NAME.pid"]);
    let served = Served::start(&test, &["--listen", &address]);
    run(&test, &["instance", "--name", &test.prefix, "describe"]).exits_with(0);
    let second = command(&test, &["serve", "--name", &test.prefix])
        .env("DOCKCTL_STATE_DIR", test.path("other"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    assert_eq!(served.stop(), 0);
    assert_eq!(files(&test), Vec::<String>::new());
}

#[test]
fn address_that_cannot_be_read_is_not_removed() {
    let test = Test::in_memory("ik-odd");
    fs::create_dir(test.path("plugins")).unwrap();
    let listen = test.path("plugins").join(format!("{}.listen", test.prefix));
    fs::write(&listen, "nonsense").unwrap();
    run(&test, &["serve", "--name", &test.prefix])
        .exits_with(1)
        .stderr_contains(&["is in the way"]);
    assert!(listen.exists());
}
