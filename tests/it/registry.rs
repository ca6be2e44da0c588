//! Pulls from a real registry on this machine.

use crate::{
    install::SLEEPER,
    support::{Test, docker, eventually, free_port, project, tarball},
};
use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// A registry that is gone when the test is over.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start(test: &Test) -> Self {
        let program = project().join("target/docker-registry");
        if !program.exists() {
            let fetched = Command::new(project().join("scripts/registry")).output().expect("scripts/registry starts");
            assert!(fetched.status.success(), "scripts/registry fails: {}", String::from_utf8_lossy(&fetched.stderr));
        }
        // The engine reaches registries on the loopback without TLS.
        let address = format!("127.0.0.1:{}", free_port());
        let data = test.path("registry").display().to_string();
        let config = test.write(
            "registry.yml",
            &format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: '{address}'}}\n"),
        );
        let process = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        eventually("the registry", || TcpStream::connect(&address).ok());
        Self { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The demo image with a file that no other image has: a layer that the engine has already is not downloaded.
fn unique_tarball(test: &Test) -> String {
    let path = test.path("unique.tar");
    std::fs::copy(tarball(), &path).unwrap();
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(3 << 20).collect();
    std::fs::write(test.path("noise"), noise).unwrap();
    let appended = Command::new("tar").args(["-rf", "unique.tar", "noise"]).current_dir(test.folder.path()).status().unwrap();
    assert!(appended.success());
    path.display().to_string()
}

#[test]
fn an_image_is_pulled_once_with_its_bytes_shown_and_never_again() {
    let test = Test::new("pull");
    let registry = Registry::start(&test);
    let remote = format!("{}/team/{}:v1", registry.address, test.prefix);
    docker(&["import", &unique_tarball(&test), &remote]);
    docker(&["push", "-q", &remote]);
    docker(&["rmi", "-f", &remote]);
    let image = format!("{{repository: '{}/team/PREFIX', tag: v1}}", registry.address);
    let web = SLEEPER.replace("{src: TARBALL, repository: dockctl-demo}", &image);
    let other = web.replace("\nnode_templates:\n", "").replace("web", "other");
    test.blueprint(&(web + &other));
    let run = test.run(&["install", "--progress", "json"]).exits(0);
    assert_eq!(run.stderr.matches("\"note\":\"pulling").count(), 1, "{}", run.stderr);
    assert!(run.stderr.lines().any(|line| line.contains("\"event\":\"progress\"") && line.contains("\"bytes\":")), "{}", run.stderr);
    assert_eq!(test.containers(), ["PREFIX-other running", "PREFIX-web running"]);
    test.run(&["uninstall"]).exits(0);
    // With the registry gone the image is still there.
    drop(registry);
    test.run(&["install"]).exits(0);
    docker(&["rm", "-f", &test.name("web"), &test.name("other")]);
    docker(&["rmi", "-f", &remote]);
}
