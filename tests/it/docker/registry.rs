//! Image pulls from a real registry on this machine.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test, docker, eventually, free_port, project_root, tarball},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

/// A registry process that is killed at the end of the test.
pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
}

impl Registry {
    pub(crate) fn start(test: &Test) -> Self {
        Self::start_with(test, "")
    }

    /// Starts a registry that requires the user name `tester` and the password `open sesame`.
    fn with_password(test: &Test) -> Self {
        test.write(
            "htpasswd",
            "tester:$2y$05$MWb9s5YZJHMxiULBMaiCne8vooPdATnjdcfq3sFIpUjaKL46EHzn6\n",
        );
        let file = test.path("htpasswd").display().to_string();
        Self::start_with(
            test,
            &format!("auth: {{htpasswd: {{realm: test, path: {file}}}}}\n"),
        )
    }

    fn start_with(test: &Test, more: &str) -> Self {
        let program = project_root().join("target/docker-registry");
        if !program.exists() {
            let fetched = Command::new(project_root().join("scripts/registry"))
                .output()
                .expect("start scripts/registry");
            assert!(
                fetched.status.success(),
                "scripts/registry failed: {}",
                String::from_utf8_lossy(&fetched.stderr)
            );
        }
        // The engine does not require TLS for registries on the loopback interface.
        let address = format!("127.0.0.1:{}", free_port());
        let data = test.path("registry").display().to_string();
        let config = test.write(
            "registry.yml",
            &format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: '{address}'}}\n{more}"),
        );
        let process = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the registry");
        eventually("the registry", || TcpStream::connect(&address).ok());
        Self { process, address }
    }

    /// Pushes a unique image to the registry and removes it from the engine. Returns its repository
    /// and digest.
    fn push(&self, test: &Test, login: Option<&str>) -> (String, String) {
        let repository = format!("{}/team/{}", self.address, test.prefix);
        let remote = format!("{repository}:v1");
        docker(&["import", &unique_tarball(test), &remote]);
        let config = test.path("pusher");
        fs::create_dir_all(&config).unwrap();
        let auths =
            login.map(|login| json!({ &self.address: { "auth": BASE64_STANDARD.encode(login) } }));
        fs::write(
            config.join("config.json"),
            json!({ "auths": auths }).to_string(),
        )
        .unwrap();
        docker(&[
            "--config",
            &config.display().to_string(),
            "push",
            "-q",
            &remote,
        ]);
        let digest = docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &remote]);
        docker(&["rmi", "-f", &remote]);
        (repository, digest.rsplit('@').next().unwrap().to_owned())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes the demo image with a unique file and returns the path. The engine does not download a
/// layer that it already has.
fn unique_tarball(test: &Test) -> String {
    let path = test.path("unique.tar");
    fs::copy(tarball(), &path).unwrap();
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(3 << 20)
        .collect();
    fs::write(test.path("noise"), noise).unwrap();
    let appended = Command::new("tar")
        .args(["-rf", "unique.tar", "noise"])
        .current_dir(test.directory.path())
        .status()
        .unwrap();
    assert!(appended.success());
    path.display().to_string()
}

#[test]
fn image_is_pulled_once_with_progress_in_bytes() {
    let test = Test::new("pull");
    let registry = Registry::start(&test);
    let remote = format!("{}/team/{}:v1", registry.address, test.prefix);
    docker(&["import", &unique_tarball(&test), &remote]);
    docker(&["push", "-q", &remote]);
    docker(&["rmi", "-f", &remote]);
    let image = format!(
        "{{repository: '{}/team/PREFIX', tag: v1}}",
        registry.address
    );
    let web = SLEEPER.replace("{src: TARBALL, repository: dockctl-demo}", &image);
    let other = web
        .replace("\nnode_templates:\n", "")
        .replace("web", "other");
    test.blueprint(&(web + &other));
    let run = test.run(&["install", "--progress", "json"]).exits_with(0);
    assert_eq!(
        run.stderr.matches("\"note\":\"pulling").count(),
        1,
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .lines()
            .any(|line| line.contains("\"event\":\"progress\"") && line.contains("\"bytes\":")),
        "{}",
        run.stderr
    );
    assert_eq!(
        test.containers(),
        ["PREFIX-other running", "PREFIX-web running"]
    );
    test.run(&["uninstall"]).exits_with(0);
    // Without the registry, install uses the image on the engine.
    drop(registry);
    test.run(&["install"]).exits_with(0);
    docker(&["rm", "-f", &test.name("web"), &test.name("other")]);
    docker(&["rmi", "-f", &remote]);
}

const LOGIN: &str = "tester:open sesame";
const DEMO: &str = "{src: TARBALL, repository: dockctl-demo}";

fn with_image(test: &Test, image: &str) {
    test.blueprint(&SLEEPER.replace(DEMO, image));
}

/// Installs with a configuration of the Docker CLI. If that succeeds, uninstalls and removes the
/// image.
fn install_with(test: &Test, config: &serde_json::Value, remote: &str) -> Run {
    let directory = test.path("config");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    let path = format!(
        "{}:{}",
        test.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = test.command(&["install"]);
    command
        .env("DOCKER_CONFIG", &directory)
        .env("PATH", path)
        .env("DOCKCTL_SECRET_SESAME", "open sesame");
    let run = Run::from_output(&command.output().unwrap());
    if run.code == 0 {
        test.run(&["uninstall"]).exits_with(0);
        docker(&["rmi", "-f", remote]);
    }
    run
}

#[test]
fn credentials_come_from_the_docker_cli_configuration() {
    let test = Test::new("password");
    let registry = Registry::with_password(&test);
    let (repository, _) = registry.push(&test, Some(LOGIN));
    let remote = format!("{repository}:v1");
    with_image(&test, &format!("{{repository: '{repository}', tag: v1}}"));
    let refused = install_with(&test, &json!({}), &remote).exits_with(1);
    refused.stderr_contains(&[
        "cannot pull image",
        "the registry requires credentials: run docker login, or set `auth_config`",
    ]);
    let auths = |login: &str| json!({ "auths": { format!("http://{}/v2/", registry.address): { "auth": BASE64_STANDARD.encode(login) } } });
    install_with(&test, &auths("tester:wrong"), &remote)
        .exits_with(1)
        .stderr_contains(&["the registry rejected the credentials"]);
    install_with(&test, &auths(LOGIN), &remote).exits_with(0);

    // As with the Docker CLI, a credential helper reads the registry's address from its stdin.
    fs::create_dir(test.path("bin")).unwrap();
    let helper = test.path("bin/docker-credential-test");
    let response = json!({ "Username": "tester", "Secret": "open sesame" });
    fs::write(
        &helper,
        format!(
            "#!/bin/sh\n[ \"$(cat)\" = {} ] && [ $1 = get ] && echo '{response}'\n",
            registry.address
        ),
    )
    .unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    install_with(
        &test,
        &json!({ "credHelpers": { &registry.address: "test" } }),
        &remote,
    )
    .exits_with(0);
    install_with(&test, &json!({ "credsStore": "test" }), &remote).exits_with(0);
    install_with(&test, &json!({ "credsStore": "absent" }), &remote)
        .exits_with(1)
        .stderr_contains(&["credential helper docker-credential-absent failed"]);
}

#[test]
fn credentials_of_a_node_are_used_and_not_leaked() {
    let test = Test::new("auth");
    let registry = Registry::with_password(&test);
    let (repository, _) = registry.push(&test, Some(LOGIN));
    let remote = format!("{repository}:v1");
    let auth = |password: &str| {
        format!(
            "{{repository: '{repository}', tag: v1, auth_config: {{username: tester, password: {password}}}}}"
        )
    };
    with_image(&test, &auth("{get_secret: sesame}"));
    install_with(&test, &json!({}), &remote).exits_with(0);
    // A plain-text password is not stored either.
    with_image(&test, &auth("open sesame"));
    let mut run = test.command(&["install", "-vv"]);
    let run = Run::from_output(&run.output().unwrap()).exits_with(0);
    test.run(&["install"]).exits_with(0);
    test.run(&["status", "--exit-code"]).exits_with(0);
    let labels = test.inspect("web", "{{json .Config.Labels}}");
    let shown = [
        run.stdout,
        run.stderr,
        labels,
        test.run(&["executions"]).stdout,
    ]
    .concat();
    assert!(
        !shown.contains("open sesame")
            && !crate::failures::secrets::contains_text(&test.path("state"), "open sesame"),
        "{shown}"
    );
    test.run(&["uninstall"]).exits_with(0);
    docker(&["rmi", "-f", &remote]);
}

#[test]
fn digest_is_accepted_in_repository_and_tag() {
    let test = Test::new("digest");
    let registry = Registry::start(&test);
    let (repository, digest) = registry.push(&test, None);
    for image in [
        format!("{{repository: '{repository}@{digest}'}}"),
        format!("{{repository: '{repository}', tag: '{digest}'}}"),
        format!("{{repository: '{repository}:v1@{digest}'}}"),
    ] {
        with_image(&test, &image);
        test.run(&["install"]).exits_with(0);
        test.run(&["plan", "--exit-code"]).exits_with(0);
        test.run(&["uninstall"]).exits_with(0);
        docker(&["rmi", "-f", &format!("{repository}@{digest}")]);
    }
    with_image(
        &test,
        &format!("{{repository: '{repository}@sha256:{}'}}", "0".repeat(64)),
    );
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "cannot pull image",
        "check the name and the tag of the image",
    ]);
}

/// Sends a request to a registry, and returns the type and the body of the response.
fn ask_registry(
    registry: &Registry,
    request: &str,
    (kind, body): (&str, &[u8]),
) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(&registry.address).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: {MANIFESTS}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        registry.address,
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let end = response
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .unwrap();
    let body = response.split_off(end + 4);
    let head = String::from_utf8(response).unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{head}");
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Type: "));
    (kind.unwrap_or_default().to_owned(), body)
}

const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

#[test]
fn newer_image_in_the_registry_is_found_with_pull() {
    let test = Test::new("newer");
    let registry = Registry::start(&test);
    let (repository, first) = registry.push(&test, None);
    let name = repository.split_once('/').unwrap().1;
    let manifest = |tag: &str| format!("/v2/{name}/manifests/{tag}");
    let get = || ask_registry(&registry, &format!("GET {}", manifest("v1")), ("", b""));
    let put = |(kind, body): &(String, Vec<u8>)| {
        ask_registry(&registry, &format!("PUT {}", manifest("v1")), (kind, body));
    };
    let old = get();
    let (_, second) = registry.push(&test, None);
    let new = get();
    put(&old);
    test.blueprint(&SLEEPER.replace(
        "{src: TARBALL, repository: dockctl-demo}",
        &format!("{{repository: '{repository}', tag: v1}}"),
    ));
    test.run(&["install"]).exits_with(0);
    let digest = || {
        let image = test.inspect("web", "{{.Image}}");
        docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &image])
    };
    assert!(digest().ends_with(&first), "{} {first}", digest());
    test.run(&["plan", "--exit-code", "--pull"]).exits_with(0);
    put(&new);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["update", "--yes"]).exits_with(0);
    assert!(digest().ends_with(&first));
    test.run(&["install", "--pull"])
        .exits_with(0)
        .stdout_contains(&["the image of web_"]);
    let plan = test.run(&["plan", "--exit-code", "--pull"]).exits_with(6);
    let [before, short] = [&first, &second].map(|it| &it[.."sha256:".len() + 12]);
    assert!(
        plan.stdout
            .contains(&format!("image: {before} → {short}\n")),
        "{}",
        plan.stdout
    );
    assert!(digest().ends_with(&first), "a plan changes nothing");
    test.run(&["update", "--yes", "--pull"]).exits_with(0);
    assert!(digest().ends_with(&second));
    test.run(&["plan", "--exit-code", "--pull"]).exits_with(0);
    // A local name of the image means nothing to a registry.
    let local = format!("{}-local:v1", test.prefix);
    docker(&["tag", &format!("{repository}:v1"), &local]);
    let name = format!("{}-local", test.prefix);
    let text = std::fs::read_to_string(test.path("blueprint.yaml")).unwrap();
    let text = text.replace(&repository, &name);
    let text = text.replace(&test.name("web"), &test.name("local-web"));
    test.write("local.yaml", &text);
    let of_local = ["local.yaml", "-d", &name];
    test.run(&[&["install"], &of_local[..]].concat())
        .exits_with(0);
    // The image store of containerd gives a digest to every name: a registry is asked for it.
    let digests = docker(&["inspect", "--format", "{{.RepoDigests}}", &local]);
    let expected = if digests.contains(&format!("{name}@")) {
        4
    } else {
        0
    };
    test.run(&[&["plan", "--pull"], &of_local[..]].concat())
        .exits_with(expected);
    test.run(&["uninstall", &name]).exits_with(0);
    docker(&["rmi", &local]);
    drop(registry);
    test.run(&["plan", "--pull"])
        .exits_with(4)
        .stderr_contains(&["asking the registry for image", "leave out --pull"]);
    test.run(&["uninstall"]).exits_with(0);
    docker(&["rmi", "-f", &format!("{repository}:v1")]);
}
