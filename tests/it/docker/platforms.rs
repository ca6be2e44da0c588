//! Images for several platforms: the requested variant is selected, pulled, used and checked.

use crate::{
    docker::{install::SLEEPER, registry::Registry},
    support::{Test, api_minor, docker, is_podman, oci::OciImage},
};
use serde_json::Value as Json;

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];
const DEMO: &str = "{src: TARBALL, repository: dockctl-demo}";

fn with_image(test: &Test, image: &str) {
    test.blueprint(&SLEEPER.replace(DEMO, image));
}

/// Installs a container from the image, asserts the platform that its image was made for, and that
/// nothing is left to do, and uninstalls it.
#[track_caller]
fn assert_made_for(test: &Test, image: &str, platform: &str) {
    with_image(test, image);
    test.run(&["install"]).exits_with(0);
    let label = "{{index .Config.Labels \"made-for\"}}";
    assert_eq!(test.inspect("web", label), platform, "{image}");
    test.run(&["plan", "--exit-code"]).exits_with(0);
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn variant_of_an_archive_is_selected_by_platform() {
    let test = Test::new("variant");
    let image = OciImage::new(&test.prefix, &BOTH);
    image.write_archive(None, &test.path("plain.tar"));
    image.write_archive(Some("shop:1"), &test.path("named.tar"));
    image.write_archive(Some("1"), &test.path("tagged.tar"));
    for platform in BOTH {
        let image = format!("{{src: plain.tar, platform: {platform}}}");
        assert_made_for(&test, &image, platform);
    }
    assert_made_for(&test, "{src: named.tar, platform: linux/arm64}", BOTH[1]);
    // Another name than that of the archive.
    for src in ["named.tar", "tagged.tar"] {
        let image = format!("{{src: {src}, repository: PREFIX-own, tag: '2'}}");
        assert_made_for(&test, &image, BOTH[0]);
        docker(&["rmi", "-f", &format!("{}-own:2", test.prefix)]);
    }
    with_image(&test, "{src: named.tar, platform: linux/s390x}");
    test.run(&["install"]).exits_with(1).stderr_contains(&[
        "named.tar contains no image for linux/s390x: found linux/amd64, linux/arm64",
        "set `platform` of the image to one of these",
    ]);
}

/// An engine with the image store of containerd writes all variants, others write one.
#[test]
fn saved_image_is_checked_for_its_platform() {
    let test = Test::new("saved");
    let name = format!("{}:1", test.prefix);
    OciImage::new(&test.prefix, &["linux/arm64"]).write_archive(None, &test.path("arm.tar"));
    with_image(&test, "{src: arm.tar, repository: PREFIX, tag: '1'}");
    test.run(&["install"]).exits_with(0);
    let saved = test.path("saved.tar").display().to_string();
    docker(&["save", "-o", &saved, &name]);
    test.run(&["uninstall"]).exits_with(0);
    docker(&["rmi", "-f", &name]);
    let image = "{src: saved.tar, platform: linux/arm64}";
    assert_made_for(&test, image, "linux/arm64");
    with_image(&test, "{src: saved.tar, platform: linux/amd64}");
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["saved.tar contains no image for linux/amd64: found linux/arm64"]);
}

/// Some engines ignore a platform, and some look only at that of the parameters.
#[test]
fn container_of_another_platform_than_requested_is_refused() {
    let test = Test::new("refused");
    let image = OciImage::new(&test.prefix, &BOTH);
    image.write_archive(None, &test.path("both.tar"));
    let refuses = |image: &str, params: &str| {
        let container = SLEEPER.replace(DEMO, image);
        test.blueprint(&container.replace("command: sleep 1000", params));
        test.run(&["install"]).exits_with(1);
        assert!(test.containers().is_empty(), "{:?}", test.containers());
        test.run(&["uninstall"]).exits_with(0);
    };
    let params = "command: sleep 1000, platform: linux/arm64";
    refuses("{src: both.tar, platform: linux/amd64}", params);
    // An image by its ID, and one by its name.
    OciImage::new(&test.prefix, &["linux/arm64"]).write_archive(None, &test.path("arm.tar"));
    with_image(&test, "{src: arm.tar, repository: PREFIX-arm, tag: '1'}");
    test.run(&["install"]).exits_with(0);
    let name = format!("{}-arm:1", test.prefix);
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
    test.run(&["uninstall"]).exits_with(0);
    let params = "command: sleep 1000";
    refuses(
        &format!("{{repository: '{id}', platform: linux/amd64}}"),
        params,
    );
    let params = "command: sleep 1000, platform: linux/amd64";
    let image = "{repository: PREFIX-arm, tag: '1', pull_policy: never}";
    refuses(image, params);
    docker(&["rmi", "-f", &name]);
}

#[test]
fn variant_is_pulled_and_used_by_platform() {
    let test = Test::new("variants");
    let registry = Registry::start(&test);
    let repository = format!("team/{}", test.prefix);
    OciImage::new(&test.prefix, &BOTH).push(&registry.address, &repository, "1");
    let name = format!("{}/{repository}", registry.address);
    for platform in ["linux/arm64", "linux/amd64", "linux/arm64"] {
        let image =
            |more: &str| format!("{{repository: '{name}', tag: '1', platform: {platform}{more}}}");
        assert_made_for(&test, &image(""), platform);
        // The variant is there now, whatever others the engine has.
        assert_made_for(&test, &image(", pull_policy: never"), platform);
    }
    let image = format!("{{repository: '{name}', tag: '1', platform: linux/s390x");
    with_image(&test, &format!("{image}, pull_policy: never}}"));
    let refused = test.run(&["install"]).exits_with(1);
    refused.stderr_contains(&["does not exist", "`pull_policy: never` forbids pulling it"]);
    with_image(&test, &format!("{image}}}"));
    test.run(&["install"])
        .exits_with(1)
        .stderr_contains(&["cannot pull image"]);
    docker(&["rmi", "-f", &format!("{name}:1")]);
}

/// Docker warns if an image is for another platform than the engine, and none was requested.
#[test]
fn warnings_about_a_new_container_are_shown_and_kept() {
    let test = Test::new("warned");
    OciImage::new(&test.prefix, &["linux/arm64"]).write_archive(None, &test.path("arm.tar"));
    with_image(&test, "{src: arm.tar}");
    let run = test.run(&["install"]).exits_with(0);
    let warning = "The requested image's platform (linux/arm64";
    let properties = || -> Json {
        let shown = test
            .run(&["status", "--output", "json"])
            .exits_with(0)
            .json();
        shown["instances"][0]["runtime_properties"].clone()
    };
    if is_podman() {
        assert!(!run.stderr.contains("the engine warns"), "{}", run.stderr);
        assert_eq!(properties()["engine_warnings"], Json::Null);
        return;
    }
    run.stderr_contains(&["warning: the engine warns: ", warning]);
    let kept = properties()["engine_warnings"][0].to_string();
    assert!(kept.contains(warning), "{kept}");
    // A successor without warnings has none.
    with_image(&test, "{src: arm.tar, platform: linux/arm64}");
    test.run(&["update"]).exits_with(0);
    assert_eq!(properties()["engine_warnings"], Json::Null);
}

#[test]
fn image_is_imported_for_the_requested_platform_or_refused() {
    let test = Test::new("imported");
    let image = "{src: TARBALL, repository: PREFIX-root, platform: linux/arm64}";
    with_image(&test, image);
    let run = test.run(&["install"]);
    let name = format!("{}-root:latest", test.prefix);
    // Docker ignores the architecture before API 1.42.
    if api_minor() < 42 {
        run.exits_with(1)
            .stderr_contains(&["is for linux/amd64, but linux/arm64 is requested"]);
    } else {
        run.exits_with(0);
        let architecture = docker(&["image", "inspect", "--format", "{{.Architecture}}", &name]);
        assert_eq!(architecture, "arm64");
        test.run(&["uninstall"]).exits_with(0);
        // Without `platform`, the import for another one does not count.
        with_image(&test, "{src: TARBALL, repository: PREFIX-root}");
        test.run(&["install"]).exits_with(0);
        let architecture = docker(&["image", "inspect", "--format", "{{.Architecture}}", &name]);
        assert_ne!(architecture, "arm64");
        test.run(&["uninstall"]).exits_with(0);
    }
    docker(&["rmi", "-f", &name]);
}
