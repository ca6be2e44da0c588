//! Host paths that are relative to the directory of the blueprint, in binds and mounts.

use super::json::{list, text};
use serde_json::Value as Json;
use std::path::Path;

/// Returns the host paths of a request that are relative to the blueprint.
pub(crate) fn relative_sources(body: &Json) -> Vec<String> {
    let host = &body["HostConfig"];
    let binds = list(&host["Binds"]).map(|bind| bind_source(text(bind)));
    let mounts = list(&host["Mounts"]).filter(|mount| mount["Type"] == "bind");
    let mounts = mounts.map(|mount| text(&mount["Source"]));
    let relative = binds.chain(mounts).filter(|path| is_relative(path));
    relative.map(str::to_owned).collect()
}

/// Says why a host path that is relative to the blueprint cannot be used.
pub(crate) fn not_local(path: &str) -> String {
    format!(
        "the host path `{path}` is relative to the blueprint, but only an engine behind a local socket is known to have it: use an absolute path"
    )
}

/// Replaces host paths that are relative to the blueprint by absolute ones.
pub(crate) fn resolve_sources(body: &mut Json, directory: &Path) {
    let absolute = |path: &str| {
        directory
            .join(path)
            .components()
            .collect::<std::path::PathBuf>()
    };
    let host = &mut body["HostConfig"];
    for bind in host["Binds"].as_array_mut().into_iter().flatten() {
        let whole = text(bind);
        let source = bind_source(whole);
        if is_relative(source) {
            let rest = &whole[source.len()..];
            *bind = format!("{}{rest}", absolute(source).display()).into();
        }
    }
    for mount in host["Mounts"].as_array_mut().into_iter().flatten() {
        let source = text(&mount["Source"]);
        if mount["Type"] == "bind" && is_relative(source) {
            mount["Source"] = absolute(source).display().to_string().into();
        }
    }
}

fn bind_source(bind: &str) -> &str {
    bind.split(':').next().unwrap_or_default()
}

/// Returns true for `.`, `..` and paths that begin with them. Other names are those of volumes.
fn is_relative(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    matches!(first, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_that_begin_with_dots_are_relative_to_the_blueprint() {
        let mut body = json!({ "HostConfig": {
            "Binds": ["./a:/a:ro", "..:/b", "volume:/c", "/d:/d", ".hidden:/e"],
            "Mounts": [
                { "Type": "bind", "Source": "./f", "Target": "/f" },
                { "Type": "volume", "Source": "g", "Target": "/g" },
            ],
        } });
        assert_eq!(relative_sources(&body), ["./a", "..", "./f"]);
        resolve_sources(&mut body, Path::new("/x/y"));
        let host = &body["HostConfig"];
        let binds = [
            "/x/y/a:/a:ro",
            "/x/y/..:/b",
            "volume:/c",
            "/d:/d",
            ".hidden:/e",
        ];
        assert_eq!(host["Binds"], json!(binds));
        assert_eq!(
            (&host["Mounts"][0]["Source"], &host["Mounts"][1]["Source"]),
            (&json!("/x/y/f"), &json!("g"))
        );
        assert!(relative_sources(&body).is_empty());
    }
}
