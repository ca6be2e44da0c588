//! The script of an instance of InfraKit: it runs once in a new container.
//!
//! The shell reads the script from its input, so that the script needs no file, no certain
//! directory and no certain user, leaves nothing behind, and no list of processes shows it.

use super::{attach::AttachedCommand, containers::recorded_id, engine::Engine};
use crate::{
    engine::failure,
    plugins::{
        NoteSink,
        docker::declare::{action::Creation, infrakit::Init, params::Removal},
    },
    printable::printable,
    seam::{Call, Command, Exit, Failure, Outputs, StepNote},
};
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Runtime property with the ID of the container in which the script began.
const BEGUN: &str = "init_begun";
/// Runtime property with the ID of the container in which the script succeeded.
const DONE: &str = "init_done";
/// Reads a script up to the mark `$1`, then runs it without input. Without the mark, the connection
/// was lost, and nothing runs.
const READER: &str = r#"init=; while IFS= read -r line; do
[ "$line" = "$1" ] && { shift; exec </dev/null; eval "unset init line
$init"; exit; }
init="$init$line
"; done; exit 125"#;
/// First and longest pause between two checks of a script that prints nothing.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Time to read the rest of the output of a script that has ended. A process that it left behind
/// may hold the output open.
const REST: Duration = Duration::from_millis(200);
/// Bytes of output to keep, and what is shown of them.
const MAX_TAIL: usize = 16 << 10;
const MAX_LINES: usize = 20;
const MAX_LINE_CHARS: usize = 400;

impl Engine {
    /// Runs the script of a container. A script that a run interrupted is not run again in the same
    /// container: the container is removed and created again.
    pub(crate) async fn initialize(
        &self,
        call: &Call,
        init: &Init,
        (creation, networks): (&Creation, &[Json]),
        notes: NoteSink<'_>,
    ) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        let is = |name: &str| {
            call.properties()
                .get(name)
                .is_some_and(|known| *known == id[..])
        };
        if is(DONE) {
            return Ok(Outputs::default());
        }
        let call = if is(BEGUN) {
            &self
                .create_again(call, &id, (creation, networks), notes)
                .await?
        } else {
            call
        };
        let id = recorded_id(call)?;
        notes(StepNote::Outputs(property(BEGUN, &id))).await;
        tokio::select! {
            ran = timeout(init.limit(), self.run_script(&id, init)) => match ran {
                Ok(ran) => ran.map(|()| property(DONE, &id)),
                Err(_) => Err(Failure::fatal(format!(
                    "init script did not end within {} s for container {}", init.timeout, short(&id)
                ))),
            },
            () = call.stop.cancelled() => Err(Failure::cancelled("cancelled while the init script ran")),
        }
    }

    /// Replaces a container whose script was interrupted. Returns the call with the new container.
    async fn create_again(
        &self,
        call: &Call,
        id: &str,
        (creation, networks): (&Creation, &[Json]),
        notes: NoteSink<'_>,
    ) -> Result<Call, Failure> {
        let all = Removal {
            volumes: true,
            force: true,
            ..Removal::default()
        };
        self.delete_owned(call, id, all).await?;
        let created = self.create(call, creation, &|_| {}).await?;
        let mut properties = call.properties().clone();
        properties.extend(created.set.clone());
        notes(StepNote::Outputs(created)).await;
        let call = call.with_properties(properties);
        for network in networks {
            self.join_network(&call, network, &creation.labeling)
                .await?;
        }
        let started = self.start(&call).await?;
        notes(StepNote::Outputs(started)).await;
        Ok(call)
    }

    async fn run_script(&self, id: &str, init: &Init) -> Result<(), Failure> {
        let mark = format!("{:032x}", fastrand::u128(..));
        let script = init.script.as_str().unwrap_or_default();
        if script.contains('\0') {
            return Err(Failure::fatal("the init script contains a NUL character"));
        }
        let command = Command {
            arguments: ["/bin/sh", "-c", READER, "sh", &mark]
                .map(str::to_owned)
                .to_vec(),
            has_input: true,
            ..Command::default()
        };
        let mut attached = self.attach(id, &command).await?;
        attached
            .write_input(format!("{script}\n{mark}\n").as_bytes())
            .await;
        let mut tail = Tail::default();
        let code = self.follow_script(&mut attached, &mut tail).await?;
        match code {
            0 => Ok(()),
            code => Err(script_failure(id, code, &tail)),
        }
    }

    /// Reads the output of a script until it has ended, and returns its exit code.
    async fn follow_script(
        &self,
        attached: &mut AttachedCommand,
        tail: &mut Tail,
    ) -> Result<i64, Failure> {
        let ([mut pause, longest], mut is_open) = (PAUSES, true);
        let mut next_check = Instant::now() + pause;
        loop {
            tokio::select! {
                piece = attached.output.next(), if is_open => if let Some(Ok(piece)) = piece {
                    tail.push(&piece.bytes);
                } else {
                    (is_open, pause, next_check) = (false, PAUSES[0], Instant::now());
                },
                () = sleep_until(next_check) => {
                    if let Some(code) = self.ended_with(&attached.id).await? {
                        if is_open {
                            let _ = timeout(REST, read_rest(attached, tail)).await;
                        }
                        return Ok(code);
                    }
                    next_check = Instant::now() + pause;
                    pause = (2 * pause).min(longest);
                }
            }
        }
    }

    /// Returns the exit code of a command; none while it runs.
    async fn ended_with(&self, command: &str) -> Result<Option<i64>, Failure> {
        let found = self
            .client
            .mapping(&format!("/exec/{command}/json"), &[])
            .await;
        let found =
            found.map_err(|error| failure(&error, "reading the exit code of the init script"))?;
        Ok(found["ExitCode"]
            .as_i64()
            .filter(|_| found["Running"] != true))
    }
}

async fn read_rest(attached: &mut AttachedCommand, tail: &mut Tail) {
    while let Some(Ok(piece)) = attached.output.next().await {
        tail.push(&piece.bytes);
    }
}

fn property(name: &str, id: &str) -> Outputs {
    let set = json!({ name: id });
    Outputs {
        set: set.as_object().cloned().unwrap_or_default(),
        ..Outputs::default()
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn script_failure(id: &str, code: i64, tail: &Tail) -> Failure {
    let message = format!(
        "init script failed with code {code} for container {}",
        short(id)
    );
    Failure {
        exit: Some(Exit {
            container: short(id).to_owned(),
            code,
            oom_killed: false,
            health: Vec::new(),
            log: tail.lines(),
        }),
        ..Failure::fatal(message)
    }
}

/// The last bytes of an output.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * MAX_TAIL {
            self.0.drain(..self.0.len() - MAX_TAIL);
        }
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let all: Vec<&str> = text.lines().collect();
        let last = &all[all.len().saturating_sub(MAX_LINES)..];
        let cut = |line: &&str| {
            printable(
                &line
                    .trim_end()
                    .chars()
                    .take(MAX_LINE_CHARS)
                    .collect::<String>(),
            )
        };
        last.iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write as _,
        process::{Command, Output, Stdio},
    };

    fn read(input: &str) -> Output {
        let mut shell = Command::new("sh");
        let piped = shell
            .args(["-c", READER, "sh", "MARK"])
            .stdin(Stdio::piped());
        let mut child = piped
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    #[test]
    fn script_is_read_to_its_mark_and_runs_without_input() {
        let script =
            "a='x  \\y'\n\necho \"$a\" $#\ncat\necho \"[$init$line]\"\nexit 3\nMARK\nrest\n";
        let ran = read(script);
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "x  \\y 0\n[]\n");
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(read("true\nMARK\n").status.code(), Some(0));
    }

    #[test]
    fn part_of_a_script_does_not_run() {
        let ran = read("echo half\n");
        assert_eq!((ran.status.code(), ran.stdout), (Some(125), Vec::new()));
    }

    #[test]
    fn tail_keeps_the_last_lines_and_escapes_them() {
        let mut tail = Tail::default();
        (0..20_000).for_each(|n| tail.push(format!("line {n}\n").as_bytes()));
        tail.push(b"\x1b[31m\xff");
        let lines = tail.lines();
        assert_eq!((lines.len(), &lines[18][..]), (20, "line 19999"));
        assert!(
            tail.0.len() <= 2 * MAX_TAIL && !lines[19].contains('\u{1b}'),
            "{lines:?}"
        );
    }
}
