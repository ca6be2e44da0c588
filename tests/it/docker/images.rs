//! Images from files, directories and URLs, in every format and compression.

use crate::{
    docker::install::SLEEPER,
    support::{
        Test, docker,
        oci::{OciImage, sha256},
        tarball,
    },
};
use serde_json::Value as Json;

use std::{
    collections::HashMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const DEMO: &str = "{src: TARBALL, repository: dockctl-demo}";

/// A web server for some files. A file that starts with `-> ` is a redirect to the rest of it.
struct Server {
    address: String,
    request_count: Arc<AtomicUsize>,
}

impl Server {
    fn new(files: HashMap<&'static str, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            address,
            request_count: Arc::default(),
        };
        let requests_before = server.request_count.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                requests_before.fetch_add(1, Ordering::SeqCst);
                let file = files.get(request.split(' ').nth(1).unwrap_or_default());
                let head = match file {
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    Some(text) if text.starts_with(b"-> ") => {
                        format!(
                            "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
                            String::from_utf8_lossy(&text[3..])
                        )
                    }
                    Some(text) => format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        text.len()
                    ),
                };
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(
                    file.filter(|text| !text.starts_with(b"-> "))
                        .map_or(&[], Vec::as_slice),
                );
            }
        });
        server
    }
}

fn with_image(test: &Test, image: &str) {
    test.blueprint(&SLEEPER.replace(DEMO, image));
}

/// Asserts that install runs a container from the image, and that nothing is left to do. Then
/// uninstalls.
#[track_caller]
fn assert_installs(test: &Test, image: &str) {
    with_image(test, image);
    test.run(&["install"]).exits_with(0);
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

/// Returns the demo image with a unique file.
fn unique_tarball(test: &Test) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(fs::File::open(tarball()).unwrap())
        .entries()
        .unwrap()
    {
        let entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        match entry.link_name().unwrap().map(std::borrow::Cow::into_owned) {
            Some(link) => archive.append_link(&mut header, path, link).unwrap(),
            None => archive.append_data(&mut header, path, entry).unwrap(),
        }
    }
    append(&mut archive, "unique", test.prefix.as_bytes());
    archive.into_inner().unwrap()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content).unwrap();
}

fn saved_image(test: &Test) -> Vec<u8> {
    test.import_image();
    let file = test.path("saved.tar").display().to_string();
    docker(&["save", "-o", &file, &format!("{}:latest", test.prefix)]);
    docker(&["rmi", "-f", &format!("{}:latest", test.prefix)]);
    fs::read(file).unwrap()
}

#[test]
fn tarballs_load_in_every_compression_format() {
    let test = Test::new("compressed");
    for (kind, plain) in [
        ("root", unique_tarball(&test)),
        ("saved", saved_image(&test)),
    ] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&plain).unwrap();
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
        xz.write_all(&plain).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(
            &plain[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for (ending, bytes) in [
            ("gz", gzip.finish().unwrap()),
            ("bz2", bzip2.finish().unwrap()),
            ("xz", xz.finish().unwrap()),
            ("zst", zstd),
        ] {
            // The compression is detected from the content, not from the file name.
            fs::write(test.path(&format!("{kind}-{ending}")), bytes).unwrap();
            assert_installs(
                &test,
                &format!("{{src: {kind}-{ending}, repository: PREFIX-{kind}, tag: {ending}}}"),
            );
            let layers = docker(&[
                "inspect",
                "--format",
                "{{len .RootFS.Layers}} {{.Config.Cmd}}",
                &format!("{}-{kind}:{ending}", test.prefix),
            ]);
            assert!(layers.starts_with("1 "), "{layers}");
            docker(&["rmi", "-f", &format!("{}-{kind}:{ending}", test.prefix)]);
        }
    }
}

#[test]
fn oci_layouts_load_from_an_archive_and_a_directory() {
    let test = Test::new("layout");
    let image = OciImage::new(&test.prefix, &["linux/amd64"]);
    image.write_archive(None, &test.path("layout.tar"));
    for (name, content) in image.layout(None) {
        let path = test.path("directory").join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for src in ["layout.tar", "directory"] {
        assert_installs(&test, &format!("{{src: {src}, repository: PREFIX-oci}}"));
        assert_eq!(
            docker(&[
                "inspect",
                "--format",
                "{{index .Config.Labels \"made-for\"}}",
                &format!("{}-oci", test.prefix)
            ]),
            "linux/amd64"
        );
        docker(&["rmi", "-f", &format!("{}-oci", test.prefix)]);
    }
    fs::create_dir(test.path("nothing")).unwrap();
    with_image(&test, "{src: nothing}");
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["the directory is not an OCI layout"]);
}

#[test]
fn download_checks_size_limit_and_digest() {
    let test = Test::new("address");
    let tarball = unique_tarball(&test);
    let digest = sha256(&tarball);
    let files = [
        ("/image.tar", tarball.clone()),
        ("/moved.tar", b"-> /image.tar".to_vec()),
        ("/file", b"-> file:///etc/passwd".to_vec()),
        ("/page", b"<html>please log in</html>".to_vec()),
    ];
    let server = Server::new(files.into_iter().collect());
    let url = |path: &str| format!("'{}{path}'", server.address);
    assert_installs(
        &test,
        &format!(
            "{{src: {}, repository: PREFIX-web, sha256: {digest}}}",
            url("/moved.tar")
        ),
    );
    // An image whose digest is already on the engine is not downloaded again.
    let requests_before = server.request_count.load(Ordering::SeqCst);
    assert_installs(
        &test,
        &format!(
            "{{src: {}, repository: PREFIX-web, sha256: 'sha256:{digest}'}}",
            url("/image.tar")
        ),
    );
    assert_eq!(server.request_count.load(Ordering::SeqCst), requests_before);
    let assert_refused = |image: &str, says: &[&str]| {
        with_image(&test, image);
        test.run(&["install", "--task-retries", "0"])
            .exits_with(1)
            .stderr_contains(says);
    };
    assert_refused(
        &format!(
            "{{src: {}, sha256: '{}'}}",
            url("/image.tar"),
            "0".repeat(64)
        ),
        &[&format!(
            "has digest sha256:{digest}, but the blueprint expects sha256:000"
        )],
    );
    assert_refused(
        &format!("{{src: {}, max_size: 1m}}", url("/image.tar")),
        &["/image.tar: larger than 1048576 bytes", "max_size: 20g"],
    );
    assert_refused(
        &format!("{{src: {}}}", url("/absent")),
        &["cannot download", "/absent: ", "404"],
    );
    assert_refused(
        &format!("{{src: {}}}", url("/page")),
        &["/page is not an image: not a tarball"],
    );
    assert_refused(
        &format!("{{src: {}}}", url("/file")),
        &["cannot download", "/file: "],
    );
    assert_refused(
        "{src: 'http://127.0.0.1:1/x'}",
        &["cannot download", "refused"],
    );
    with_image(&test, "{src: 'ftp://127.0.0.1/x'}");
    test.run(&["install"])
        .exits_with(3)
        .stderr_contains(&["a URL in `src` must start with http or https"]);
    docker(&["rmi", "-f", &format!("{}-web", test.prefix)]);
}

#[test]
fn changes_apply_to_the_imported_image() {
    let test = Test::new("changes");
    fs::write(test.path("root.tar"), unique_tarball(&test)).unwrap();
    let image = |more: &str| {
        format!(
            "{{src: root.tar, repository: PREFIX-img, changes: ['ENV COLOR=green', 'EXPOSE 80'{more}]}}"
        )
    };
    assert_installs(&test, &image(""));
    let config = |field: &str| {
        docker(&[
            "inspect",
            "--format",
            field,
            &format!("{}-img", test.prefix),
        ])
    };
    assert_eq!(
        (
            config("{{index .Config.Env 0}}").as_str(),
            config("{{json .Config.ExposedPorts}}").as_str()
        ),
        ("COLOR=green", r#"{"80/tcp":{}}"#)
    );
    // Different `changes` create a different image from the same file.
    assert_installs(&test, &image(", 'WORKDIR /tmp'"));
    assert_eq!(config("{{.Config.WorkingDir}}"), "/tmp");
    docker(&["rmi", "-f", &format!("{}-img", test.prefix)]);
}

#[test]
fn unnamed_image_is_removed_with_its_last_container() {
    let test = Test::new("unnamed");
    fs::write(test.path("root.tar"), unique_tarball(&test)).unwrap();
    let web = SLEEPER.replace(DEMO, "{src: root.tar}");
    let other = web
        .replace("\nnode_templates:\n", "")
        .replace("web", "other");
    test.blueprint(&(web + &other));
    let installed = test
        .run(&["install", "--output", "json"])
        .exits_with(0)
        .json();
    let ids: Vec<&Json> = (0..2)
        .map(|at| &installed["instances"][at]["runtime_properties"]["image_id"])
        .collect();
    assert_eq!(ids[0], ids[1]);
    let exists = || docker(&["images", "-q", "--no-trunc"]).contains(ids[0].as_str().unwrap());
    assert!(exists());
    test.run(&["uninstall"]).exits_with(0);
    assert!(!exists());
}

#[test]
fn invalid_image_keys_are_reported() {
    let test = Test::new("keys");
    let validate = |image: &str| {
        with_image(&test, image);
        test.run(&["validate"])
    };
    validate("{repositry: x}").exits_with(3).stderr_contains(&[
        "`image` has no key `repositry`",
        "did you mean `repository`?",
    ]);
    validate("{repository: x, auth_config: {pasword: y}}")
        .exits_with(3)
        .stderr_contains(&["auth_config.pasword", "did you mean `password`?"]);
    validate("{repository: x, sha256: abc}")
        .exits_with(3)
        .stderr_contains(&["`sha256` must be a quoted digest of 64 hexadecimal digits"]);
    validate("{repository: 'https://reg.test/x'}")
        .exits_with(3)
        .stderr_contains(&["must not start with a scheme"]);
    validate("{repository: x, insecure_registry: true}")
        .exits_with(0)
        .stderr_contains(&["`insecure_registry` has no effect", "insecure-registries"]);
    validate("{repository: x, auth_config: {password: {get_secret: p}}, platform: linux/amd64, all_tags: false}").exits_with(0);
}

#[test]
fn derived_image_is_not_mistaken_for_the_imported_one() {
    let test = Test::new("derived");
    fs::write(test.path("root.tar"), unique_tarball(&test)).unwrap();
    with_image(&test, "{src: root.tar}");
    test.run(&["install"]).exits_with(0);
    // The committed image inherits the labels of the container.
    let snap = format!("{}-snap:1", test.prefix);
    docker(&["commit", "-c", "ENV EVIL=1", &test.name("web"), &snap]);
    test.run(&["uninstall"]).exits_with(0);
    test.run(&["install"]).exits_with(0);
    let environment = test.inspect("web", "{{json .Config.Env}}");
    assert!(!environment.contains("EVIL"), "{environment}");
    test.run(&["uninstall"]).exits_with(0);
    assert_ne!(
        docker(&["images", "-q", &snap]),
        "",
        "the user's image still exists"
    );
    docker(&["rmi", "-f", &snap]);
}

#[test]
fn digest_in_a_label_of_a_foreign_image_is_not_trusted() {
    let test = Test::new("believed");
    let tarball = unique_tarball(&test);
    let digest = sha256(&tarball);
    fs::write(test.path("root.tar"), tarball).unwrap();
    let label = format!("LABEL dockctl.source=sha256:{digest}");
    docker(&[
        "import",
        "-c",
        &label,
        "-c",
        "ENV EVIL=1",
        &crate::support::tarball().display().to_string(),
        &format!("{}-img:latest", test.prefix),
    ]);
    with_image(
        &test,
        &format!("{{src: root.tar, repository: PREFIX-img, sha256: '{digest}'}}"),
    );
    test.run(&["install"]).exits_with(0);
    let environment = test.inspect("web", "{{json .Config.Env}}");
    assert!(!environment.contains("EVIL"), "{environment}");
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn url_is_downloaded_once_and_its_credentials_are_not_stored() {
    let test = Test::new("once");
    let server = Server::new(
        [("/image.tar", unique_tarball(&test))]
            .into_iter()
            .collect(),
    );
    let address = server.address.replace("http://", "http://me:open-sesame@");
    let web = SLEEPER.replace(
        DEMO,
        &format!("{{src: '{address}/image.tar', repository: PREFIX-img}}"),
    );
    let other = web
        .replace("\nnode_templates:\n", "")
        .replace("web", "other");
    test.blueprint(&(web + &other));
    for _ in 0..2 {
        let run = test.run(&["install", "-v"]).exits_with(0);
        assert!(
            !run.stderr.contains("open-sesame")
                && !crate::failures::secrets::contains_text(&test.path("state"), "open-sesame"),
            "{}",
            run.stderr
        );
        test.run(&["uninstall"]).exits_with(0);
    }
    assert_eq!(server.request_count.load(Ordering::SeqCst), 1);
    docker(&["rmi", "-f", &format!("{}-img", test.prefix)]);
}

/// An archive with two images: dockctl uses the one with the declared name, in any order, and does
/// not move names that the user gave to other images.
#[test]
fn archive_with_two_images_loads_the_named_one() {
    let test = Test::new("two-saved");
    let image = test.import_image();
    let (a, b, other) = (
        format!("{}-a:x", test.prefix),
        format!("{}-b:y", test.prefix),
        format!("{}-mine:1", test.prefix),
    );
    let build = |name: &str, text: &str| {
        let id = docker(&[
            "create",
            "--env",
            &format!("IMAGE={text}"),
            &image,
            "sleep",
            "1000",
        ]);
        docker(&["commit", &id, name]);
        docker(&["rm", &id]);
    };
    build(&a, "a");
    build(&b, "b");
    docker(&[
        "save",
        "-o",
        &test.path("two.tar").display().to_string(),
        &a,
        &b,
    ]);
    // Meanwhile the user gave the names to another image.
    docker(&["tag", &image, &a]);
    docker(&["tag", &image, &b]);
    docker(&["tag", &image, &other]);
    let id = |name: &str| docker(&["image", "inspect", "--format", "{{.Id}}", name]);
    let before = [id(&a), id(&b)];
    let repository = format!("{}-b", test.prefix);
    with_image(
        &test,
        &format!("{{src: two.tar, repository: {repository}, tag: 'y'}}"),
    );
    test.run(&["install"]).exits_with(0);
    assert!(test.inspect("web", "{{.Config.Env}}").contains("IMAGE=b"));
    assert_eq!(
        id(&a),
        before[0],
        "the name of the other image in the archive is not moved"
    );
    assert_ne!(id(&b), before[1], "the declared name is moved");
    test.run(&["uninstall"]).exits_with(0);
    for (repository, says) in [
        ("absent", "none is named `absent`"),
        (a.split(':').next().unwrap(), ""),
    ] {
        with_image(
            &test,
            &format!("{{src: two.tar, repository: {repository}}}"),
        );
        let run = test.run(&["install", "--task-retries", "0"]);
        if says.is_empty() {
            run.exits_with(0);
            assert!(test.inspect("web", "{{.Config.Env}}").contains("IMAGE=a"));
            assert_eq!(id(&a), before[0]);
        } else {
            run.exits_with(1).stderr_contains(&[says, &a, &b]);
        }
        test.run(&["uninstall"]).exits_with(0);
    }
    with_image(&test, "{src: two.tar}");
    test.run(&["install", "--task-retries", "0"])
        .exits_with(1)
        .stderr_contains(&["`repository` is not set", &a, &b]);
    test.run(&["uninstall"]).exits_with(0);
}

/// Loading a saved image does not move its saved name if the user gave that name to another image.
#[test]
fn saved_image_does_not_move_image_names_of_the_user() {
    let test = Test::new("moves");
    let image = test.import_image();
    let name = format!("{}-local:1", test.prefix);
    docker(&["tag", &image, &name]);
    let id = docker(&["create", "--env", "IMAGE=other", &image, "sleep", "1000"]);
    docker(&["commit", &id, &name]);
    docker(&["rm", &id]);
    docker(&[
        "save",
        "-o",
        &test.path("one.tar").display().to_string(),
        &name,
    ]);
    docker(&["tag", &image, &name]);
    let before = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
    for source in [
        "{src: one.tar}".to_owned(),
        format!("{{src: one.tar, repository: {}-new}}", test.prefix),
    ] {
        with_image(&test, &source);
        test.run(&["install"]).exits_with(0);
        assert!(
            test.inspect("web", "{{.Config.Env}}")
                .contains("IMAGE=other"),
            "{source}"
        );
        assert_eq!(
            docker(&["image", "inspect", "--format", "{{.Id}}", &name]),
            before,
            "{source}"
        );
        let image_id = test.inspect("web", "{{.Image}}");
        test.run(&["uninstall"]).exits_with(0);
        // The cleanup of the test finds images by name only.
        docker(&["rmi", "-f", &image_id]);
    }
}

/// Expects that the image of `web` has changed, that only `plan` and `update` see it, and that
/// `update` follows it.
fn expect_update(test: &Test) {
    let before = test.inspect("web", "{{.Image}}");
    test.run(&["status", "--exit-code"]).exits_with(0);
    test.run(&["heal"])
        .exits_with(0)
        .stdout_contains(&["no instance needs repair"]);
    let installed = test.run(&["install"]).exits_with(0);
    let lines: Vec<&str> = installed
        .stdout
        .lines()
        .filter(|line| line.contains('`'))
        .collect();
    assert_eq!(lines.len(), 1, "{}", installed.stdout);
    assert!(lines[0].contains("the image of web_"), "{}", lines[0]);
    assert_eq!(test.inspect("web", "{{.Image}}"), before);
    let plan = test.run(&["plan", "--exit-code"]).exits_with(6);
    assert!(plan.stdout.contains("its image changed"), "{}", plan.stdout);
    let change = plan.stdout.lines().find(|line| line.contains("image: "));
    let change = change.unwrap_or_else(|| panic!("{}", plan.stdout));
    let (before_text, after) = change.split_once(" → ").unwrap();
    assert!(before_text.starts_with("      image: sha256:"), "{change}");
    assert!(
        after.starts_with("sha256:") && !before_text.ends_with(after),
        "{change}"
    );
    test.run(&["update", "--yes"]).exits_with(0);
    assert_ne!(test.inspect("web", "{{.Image}}"), before);
    let plan = test.run(&["plan", "--exit-code"]);
    plan.exits_with(0);
    test.run(&["update", "--yes"])
        .exits_with(0)
        .stdout_contains(&["is up to date"]);
}

#[test]
fn tag_of_another_image_is_followed_by_update() {
    let test = Test::new("movedtag");
    let name = format!("{}:v1", test.prefix);
    docker(&["import", &tarball().display().to_string(), &name]);
    with_image(&test, &format!("{{repository: {}, tag: v1}}", test.prefix));
    test.run(&["install"]).exits_with(0);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    let old = test.inspect("web", "{{.Image}}");
    docker(&[
        "import",
        "-c",
        "ENV MOVED=1",
        &tarball().display().to_string(),
        &name,
    ]);
    expect_update(&test);
    test.run(&["uninstall"]).exits_with(0);
    docker(&["rmi", &name, &old]);
}

#[test]
fn replaced_archive_is_followed_by_update() {
    let test = Test::new("movedtar");
    let archive = test.path("image.tar");
    let write = |from: &str| {
        fs::copy(from, &archive).unwrap();
    };
    let demo = tarball().display().to_string();
    write(&demo);
    with_image(
        &test,
        &format!("{{src: image.tar, repository: {}}}", test.prefix),
    );
    test.run(&["install"]).exits_with(0);
    let old = test.inspect("web", "{{.Image}}");
    // The same content at another time.
    write(&demo);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    // Another root file system, then a saved image.
    let text = fs::read(&demo).unwrap();
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&text[..]).entries().unwrap() {
        let entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        match entry.link_name().unwrap() {
            Some(target) => out.append_link(&mut header, path, target).unwrap(),
            None => out.append_data(&mut header, path, entry).unwrap(),
        }
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    out.append_data(&mut header, "moved", &b"moved"[..])
        .unwrap();
    fs::write(&archive, out.into_inner().unwrap()).unwrap();
    expect_update(&test);
    let second = test.inspect("web", "{{.Image}}");
    let saved = format!("{}-saved", test.prefix);
    docker(&["import", "-c", "ENV SAVED=1", &demo, &saved]);
    docker(&["save", "-o", &archive.display().to_string(), &saved]);
    expect_update(&test);
    // Saved again, the archive has other bytes, and the same image.
    docker(&["tag", &saved, &format!("{saved}:again")]);
    docker(&[
        "save",
        "-o",
        &archive.display().to_string(),
        &format!("{saved}:again"),
    ]);
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
    docker(&["rmi", "-f", &test.prefix, &saved, &format!("{saved}:again")]);
    docker(&["rmi", "-f", &old, &second]);
}
