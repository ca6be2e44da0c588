//! Building images: the image type of the docker plugin 2.x, extended by a build context.

use crate::{
    engine::{encode_path, failure},
    plugins::docker::{
        declare::{
            build_config::{BuildConfig, properties},
            image::{is_url, resolve_path},
            label,
        },
        drive::{
            engine::Engine,
            images::{self, ImageRequest},
        },
    },
    printable::truncated,
    seam::{Call, Failure, Outputs, Progress, ProgressSink},
};
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Largest Dockerfile to download, in bytes.
const MAX_DOCKERFILE: u64 = 1 << 20;
/// Longest time without build output: a command of the build may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_hours(1);
/// Most lines of build output shown with a failure.
const SHOWN_LINES: usize = 20;
/// Longest of these lines, in characters.
const MAX_LINE: usize = 400;
/// Size to which long build output is cut, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// Output of a build; only its end if it is long.
#[derive(Default)]
struct BuildOutput {
    lines: Vec<String>,
    size: usize,
}

impl BuildOutput {
    fn push(&mut self, line: &str) {
        let line: String = line.chars().take(MAX_OUTPUT / 4).collect();
        self.size += line.len();
        self.lines.push(line);
        // Drops half of the output at once, so that lines are not moved often.
        if self.size > 2 * MAX_OUTPUT {
            let too_much = self.size - MAX_OUTPUT;
            let dropped = self.lines.iter().scan(0, |sum, line| {
                *sum += line.len();
                Some(*sum)
            });
            let count = dropped.take_while(|sum| *sum <= too_much).count();
            self.size -= self
                .lines
                .drain(..count)
                .map(|line| line.len())
                .sum::<usize>();
        }
    }
}

impl Engine {
    /// Builds or pulls the image. If the node only names an existing image, uses it unchanged;
    /// uninstall keeps it.
    pub(crate) async fn build(
        &self,
        call: &Call,
        config: &Json,
        dir: &str,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let recipe = BuildConfig::read(config)
            .map_err(|fault| super::containers::invalid_arguments(&[fault]))?;
        if recipe.builds() {
            return self
                .build_recipe(call, &recipe, Path::new(dir), progress)
                .await;
        }
        let there = self.image(&recipe.tag).await?;
        if let (Some(found), _) | (None, Some(found)) =
            (&there, there.as_ref().filter(|_| !recipe.pull))
        {
            return Ok(Outputs {
                set: properties(found, &recipe.tag, None),
                unset: Vec::new(),
                ..Outputs::default()
            });
        }
        if !recipe.pull {
            let message = format!(
                "image {} does not exist, and the node does not declare how to build or pull it",
                recipe.tag
            );
            return Err(Failure::fatal(message)
                .hint("set `image_content` to a Dockerfile, or set `pull_image: true`"));
        }
        let image = json!({ "repository": recipe.tag });
        self.ensure_image(
            &ImageRequest {
                image: &image,
                dir,
                default_repository: call.instance(),
            },
            call,
            progress,
        )
        .await?;
        let found = self.image(&recipe.tag).await?.unwrap_or_default();
        Ok(Outputs {
            set: properties(&found, &recipe.tag, Some("Image was pull".into())),
            unset: Vec::new(),
            ..Outputs::default()
        })
    }

    async fn build_recipe(
        &self,
        call: &Call,
        recipe: &BuildConfig,
        dir: &Path,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let dockerfile = match &recipe.content {
            Some(content) => Some(dockerfile(content, dir, call, progress).await?),
            None => None,
        };
        let context = recipe
            .context
            .as_ref()
            .map(|context| resolve_path(context, dir));
        let labels = json!({ (label::BUILT_FOR): call.deployment.name });
        let mut query = vec![
            ("t", recipe.tag.clone()),
            ("labels", labels.to_string()),
            ("forcerm", "1".to_owned()),
        ];
        query.extend(
            dockerfile
                .as_ref()
                .map(|_| ("dockerfile", DOCKERFILE_NAME.to_owned())),
        );
        query.extend(
            (!recipe.args.is_empty())
                .then(|| ("buildargs", Json::Object(recipe.args.clone()).to_string())),
        );
        query.extend(recipe.target.clone().map(|target| ("target", target)));
        progress(Progress::Note(format!("building {}", recipe.tag)));
        let body = images::stream_of(move |out| {
            write_context(context.as_deref(), dockerfile.as_deref(), out)
        });
        let mut lines = std::pin::pin!(self.client.lines_with_idle_timeout(
            IDLE_TIMEOUT,
            "/build",
            &query,
            None,
            Some(Box::pin(body))
        ));
        let mut output = BuildOutput::default();
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| {
                build_failure(
                    &failure(&error, &format!("cannot build image {}", recipe.tag)),
                    &output,
                )
            })?;
            let text = line["stream"]
                .as_str()
                .or_else(|| line["status"].as_str())
                .unwrap_or_default();
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                progress(Progress::Note(line.trim().to_owned()));
                output.push(line.trim_end());
            }
        }
        let found = self.image(&recipe.tag).await?;
        let found = found.ok_or_else(|| {
            Failure::fatal(format!(
                "the engine reported a successful build, but image {} does not exist",
                recipe.tag
            ))
        })?;
        Ok(Outputs {
            set: properties(&found, &recipe.tag, Some(output.lines.join("\n").into())),
            unset: Vec::new(),
            ..Outputs::default()
        })
    }

    /// Removes the image if it was built or pulled for the instance. Keeps an image that existed
    /// before.
    pub(crate) async fn remove_image(&self, call: &Call) -> Result<Outputs, Failure> {
        let done = || {
            Ok(Outputs {
                unset: ["build_result", "image", "image_id"]
                    .map(str::to_owned)
                    .to_vec(),
                ..Outputs::default()
            })
        };
        let was_created = call.properties().contains_key("build_result");
        let Some(tag) = call
            .properties()
            .get("image_tag")
            .and_then(Json::as_str)
            .filter(|_| was_created)
        else {
            return done();
        };
        match self
            .client
            .delete(&format!("/images/{}", encode_path(tag)), &[])
            .await
        {
            Err(error) if !matches!(crate::engine::status(&error), Some(404 | 409)) => {
                Err(failure(&error, &format!("removing image `{tag}`")))
            }
            _ => done(),
        }
    }
}

/// Name of the Dockerfile in the build context. No file of the context has this name.
const DOCKERFILE_NAME: &str = ".dockctl.Dockerfile";

fn build_failure(failure: &Failure, output: &BuildOutput) -> Failure {
    let last = &output.lines[output.lines.len().saturating_sub(SHOWN_LINES)..];
    let lines = last
        .iter()
        .map(|line| format!("\n    | {}", truncated(line, MAX_LINE)))
        .collect::<String>();
    Failure {
        message: format!("{}{lines}", failure.message),
        ..failure.clone().permanent()
    }
}

/// Returns the Dockerfile: downloaded from a URL, read from a file, or given as text, in which `\n`
/// can represent a line break.
async fn dockerfile(
    content: &str,
    dir: &Path,
    call: &Call,
    progress: ProgressSink<'_>,
) -> Result<String, Failure> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| {
            Failure::fatal(format!(
                "cannot read Dockerfile {}: {error}",
                path.display()
            ))
        })
    };
    if is_url(content) {
        let file = images::download(content, MAX_DOCKERFILE, &call.stop, progress).await?;
        return read(file.path());
    }
    let path = resolve_path(content, dir);
    let is_line = !content.contains('\n') && !content.contains("\\n");
    if is_line && path.is_file() {
        return read(&path);
    }
    if is_line && !content.trim_start().to_uppercase().starts_with("FROM ") {
        let message = format!("Dockerfile {} does not exist", path.display());
        return Err(Failure::fatal(message).hint("set `image_content` to a URL, a path relative to the blueprint, or the text of a Dockerfile: FROM …"));
    }
    Ok(content.replace("\\n", "\n"))
}

/// Writes the build context for the engine: the directory without the files that its
/// `.dockerignore` excludes, and the Dockerfile.
fn write_context(
    context: Option<&Path>,
    dockerfile: Option<&str>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    builder.follow_symlinks(false);
    if let Some(dir) = context {
        let ignored = Ignored::read(dir);
        add(&mut builder, dir, &PathBuf::new(), &ignored)?;
    }
    if let Some(text) = dockerfile {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, DOCKERFILE_NAME, text.as_bytes())?;
    }
    builder.finish()
}

fn add(
    builder: &mut tar::Builder<&mut dyn io::Write>,
    root: &Path,
    inside: &Path,
    ignored: &Ignored,
) -> io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(root.join(inside))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = inside.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            // A `!` pattern may include files of an ignored directory.
            if !ignored.is_ignored(&path) {
                builder.append_dir(&path, entry.path())?;
            }
            add(builder, root, &path, ignored)?;
        } else if !ignored.is_ignored(&path) && (kind.is_file() || kind.is_symlink()) {
            builder.append_path_with_name(entry.path(), &path)?;
        }
    }
    Ok(())
}

/// Patterns of `.dockerignore`, in order: the last match decides.
struct Ignored {
    patterns: Vec<(bool, glob::Pattern)>,
}

impl Ignored {
    fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join(".dockerignore")).unwrap_or_default();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pattern = |line: &str| {
            let (kept, pattern) = line
                .strip_prefix('!')
                .map_or((false, line), |rest| (true, rest));
            let pattern = pattern.trim().trim_start_matches("./").trim_matches('/');
            Some((kept, glob::Pattern::new(pattern).ok()?))
        };
        Self {
            patterns: lines.filter_map(pattern).collect(),
        }
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        // A pattern that matches a directory matches everything in it.
        let fits = |pattern: &glob::Pattern| {
            path.ancestors().any(|part| {
                !part.as_os_str().is_empty() && pattern.matches_path_with(part, options)
            })
        };
        self.patterns
            .iter()
            .rev()
            .find(|(_, pattern)| fits(pattern))
            .is_some_and(|(kept, _)| !kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_are_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("node_modules/x")).unwrap();
        for (name, text) in [
            (".dockerignore", "node_modules\n*.log\n!keep.log\n"),
            ("app", "1"),
            ("a.log", "2"),
            ("keep.log", "3"),
            ("node_modules/x/y", "4"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut out = Vec::new();
        write_context(Some(dir.path()), Some("FROM scratch"), &mut out).unwrap();
        let mut archive = tar::Archive::new(&out[..]);
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, [".dockerignore", "app", "keep.log", DOCKERFILE_NAME]);
    }
}
