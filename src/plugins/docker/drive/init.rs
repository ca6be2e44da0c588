//! The script of an instance of InfraKit: it runs once in a new container.
//!
//! The shell reads the script from its input, so that the script needs no file, no certain
//! directory and no certain user, leaves nothing behind, and no list of processes shows it.

use super::{attach::AttachedCommand, containers::recorded_id, engine::Engine};
use crate::{
    engine::failure,
    plugins::{
        NoteSink,
        docker::declare::{action::Creation, infrakit::Init, label::names_owner, params::Removal},
    },
    printable::printable,
    seam::{Call, Command, Exit, Failure, ObjectState, Outputs, StepNote},
};
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Runtime property with the ID of the container that was created for the script. A container that
/// was recovered from labels has none: its script ran before.
pub(super) const PENDING: &str = "init_pending";
/// Runtime property with the ID of the container in which the script began.
const BEGUN: &str = "init_begun";
/// Runtime property with the ID of the container in which the script succeeded.
const DONE: &str = "init_done";
/// Runs the shell that reads the script, then prints the mark `$1` with its exit code. Without the
/// mark, the script was interrupted.
const RUNNER: &str = r#"/bin/sh; set -- "$1" $?; echo; echo "$1 $2"; exit "$2""#;
/// Most containers that are tried if the connection to the engine is lost while the script runs.
const ATTEMPTS: usize = 3;
/// First and longest pause between two checks of a script whose output has ended.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Time until a container that is being stopped does not count as running.
const SETTLING: Duration = Duration::from_secs(1);
/// Time to read the rest of the output after the mark. A process that the script left behind may
/// hold the output open.
const REST: Duration = Duration::from_millis(200);
/// Time without output after which the container is looked at: a busy engine may leave the output
/// open when it removes a container.
const SILENCE: Duration = Duration::from_secs(5);
/// Bytes of output to keep, and the part of them that is shown.
const MAX_TAIL: usize = 16 << 10;
const MAX_LINES: usize = 20;
const MAX_LINE_CHARS: usize = 400;

/// The end of a script.
enum Ended {
    /// With this exit code.
    Code(i64),
    /// Without the mark of the runner: it was killed, or the shell could not be started.
    Interrupted(i64),
}

impl Engine {
    /// Runs the script of a container. A script that was interrupted is not run again in the same
    /// container: the container is removed and created again.
    pub(crate) async fn initialize(
        &self,
        call: &Call,
        init: &Init,
        made: (&Creation, &[Json]),
        notes: NoteSink<'_>,
    ) -> Result<Outputs, Failure> {
        let known = |name: &str| call.properties().get(name).and_then(Json::as_str);
        let id = recorded_id(call)?;
        if known(DONE) == Some(&id) || known(PENDING).is_none() {
            return Ok(Outputs::default());
        }
        let mut was_begun = known(BEGUN) == Some(&id);
        let mut call = call.clone();
        for _ in 0..ATTEMPTS {
            if was_begun {
                call = self.create_again(&call, made, notes).await?;
            }
            was_begun = true;
            let id = recorded_id(&call)?;
            notes(StepNote::Outputs(property(BEGUN, &id))).await;
            if self.run_in(&call, &id, init).await? {
                return Ok(property(DONE, &id));
            }
        }
        let message = "the init script was interrupted again and again";
        Err(Failure::fatal(message).hint("check the connection to the engine"))
    }

    /// Replaces a container whose script was interrupted. Returns the call with the new container.
    async fn create_again(
        &self,
        call: &Call,
        (creation, networks): (&Creation, &[Json]),
        notes: NoteSink<'_>,
    ) -> Result<Call, Failure> {
        self.remove_interrupted(call, creation).await?;
        let created = self.create(call, creation, &|_| {}).await?;
        let mut properties = call.properties().clone();
        properties.extend(created.set.clone());
        let call = call.with_properties(properties);
        for network in networks {
            self.join_network(&call, network, &creation.labeling)
                .await?;
        }
        let started = self.start(&call).await?;
        // Noted only now: a later run must not find the container without its networks.
        notes(StepNote::Outputs(created)).await;
        notes(StepNote::Outputs(started)).await;
        Ok(call)
    }

    async fn remove_interrupted(&self, call: &Call, creation: &Creation) -> Result<(), Failure> {
        let id = recorded_id(call)?;
        let everything = Removal {
            volumes: true,
            force: true,
            ..Removal::default()
        };
        match self.inspect(&id).await? {
            Some(found)
                if names_owner(found.labels(), call, &creation.labeling)
                    || self.is_of_instance(&found, call) =>
            {
                self.delete(&id, everything).await
            }
            _ => Ok(()),
        }
    }

    /// Runs the script in a container. Returns false if it was interrupted.
    async fn run_in(&self, call: &Call, id: &str, init: &Init) -> Result<bool, Failure> {
        let mut tail = Tail::default();
        let ended = tokio::select! {
            ended = timeout(init.limit(), self.run_script(id, init, &mut tail)) => ended,
            () = call.stop.cancelled() => {
                return Err(Failure::cancelled("cancelled while the init script ran"));
            }
        };
        let ended = match ended {
            Ok(Ok(Ended::Code(0))) => return Ok(true),
            Err(_) => return Err(too_slow(id, init, &tail)),
            Ok(ended) => ended,
        };
        if let Ok(Ended::Interrupted(_)) = ended {
            self.expect_to_stay(id).await?;
        }
        // A container that has exited is the reason of any other end.
        if let Some(exit) = self.exit_info(id).await {
            return Err(exited(id, exit, &tail));
        }
        match ended? {
            Ended::Interrupted(_) if tail.is_of_script() => Ok(false),
            Ended::Interrupted(code) | Ended::Code(code) => Err(script_failure(id, code, &tail)),
        }
    }

    /// Fails if a container disappears: whoever removed it ended its script. While an engine stops
    /// a container, it still counts as running.
    async fn expect_to_stay(&self, id: &str) -> Result<(), Failure> {
        let end = Instant::now() + SETTLING;
        while Instant::now() < end {
            match self.inspect(id).await? {
                None => {
                    let id = short(id);
                    let message = format!("container {id} was removed while its init script ran");
                    return Err(Failure::fatal(message));
                }
                Some(found) if found.state() != ObjectState::Running => return Ok(()),
                Some(_) => sleep(PAUSES[0]).await,
            }
        }
        Ok(())
    }

    async fn run_script(&self, id: &str, init: &Init, tail: &mut Tail) -> Result<Ended, Failure> {
        let mark = format!("{:032x}", fastrand::u128(..));
        let arguments = ["/bin/sh", "-c", RUNNER, "sh", &mark];
        let command = Command {
            arguments: arguments.map(str::to_owned).to_vec(),
            has_input: true,
            ..Command::default()
        };
        let mut attached = self.attach(id, &command).await?;
        let script = input(init.script.as_str().unwrap_or_default());
        attached.write_input(script.as_bytes()).await;
        self.follow_script((id, &mut attached), &mark, tail).await
    }

    /// Reads the output of a script until its mark or until it has ended.
    async fn follow_script(
        &self,
        (container, attached): (&str, &mut AttachedCommand),
        mark: &str,
        tail: &mut Tail,
    ) -> Result<Ended, Failure> {
        loop {
            let piece = match timeout(SILENCE, attached.output.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(_) => break,
                Err(_) if self.is_running(container).await? => continue,
                Err(_) => return Ok(Ended::Interrupted(0)),
            };
            tail.push(&piece.bytes);
            if let Some(code) = tail.take_mark(mark) {
                let _ = timeout(REST, read_rest(attached, tail)).await;
                return Ok(Ended::Code(code));
            }
        }
        let ([mut pause, longest], mut next_check) = (PAUSES, Instant::now());
        loop {
            sleep_until(next_check).await;
            if let Some(code) = self.ended_with(&attached.id).await? {
                return Ok(Ended::Interrupted(code));
            }
            next_check += pause;
            pause = (2 * pause).min(longest);
        }
    }

    async fn is_running(&self, id: &str) -> Result<bool, Failure> {
        let found = self.inspect(id).await?;
        Ok(found.is_some_and(|found| found.flag("/State/Running")))
    }

    /// Returns the exit code of a command; none while it runs.
    async fn ended_with(&self, command: &str) -> Result<Option<i64>, Failure> {
        let path = format!("/exec/{command}/json");
        let found = self.client.mapping(&path, &[]).await;
        let found =
            found.map_err(|error| failure(&error, "reading the exit code of the init script"))?;
        let code = found["ExitCode"].as_i64();
        Ok(code.filter(|_| found["Running"] != true))
    }
}

/// Reads the rest of the output: the engine does not keep the order of its two streams.
async fn read_rest(attached: &mut AttachedCommand, tail: &mut Tail) {
    while let Some(Ok(piece)) = attached.output.next().await {
        tail.push(&piece.bytes);
    }
}

/// Returns the input of the shell. The shell parses the group to its end before it runs any of it:
/// a part of a script never runs, and the script itself has no input.
fn input(script: &str) -> String {
    format!("{{ exec </dev/null; {script}\n\nexit\n}}\n")
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
    with_output(message, id, code, tail)
}

fn too_slow(id: &str, init: &Init, tail: &Tail) -> Failure {
    let (seconds, container) = (init.timeout, short(id));
    let message = format!("init script did not end within {seconds} s for container {container}");
    with_output(message, id, 0, tail)
}

/// Returns the failure of a container that exited before the end of its script. The output of the
/// script follows that of the container.
fn exited(id: &str, mut exit: Exit, tail: &Tail) -> Failure {
    let (id, code) = (short(id), exit.code);
    let lines = tail.lines();
    if tail.is_of_script() && !lines.is_empty() {
        exit.log.push("output of the init script:".to_owned());
        exit.log.extend(lines);
    }
    let message =
        format!("container {id} exited with code {code} before the end of its init script");
    Failure {
        exit: Some(exit),
        ..Failure::fatal(message)
    }
}

fn with_output(message: String, id: &str, code: i64, tail: &Tail) -> Failure {
    let exit = Exit {
        container: short(id).to_owned(),
        code,
        oom_killed: false,
        health: Vec::new(),
        log: tail.lines(),
    };
    Failure {
        exit: Some(exit),
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

    /// Removes the mark with the exit code of the script, if it is there, and returns the code.
    fn take_mark(&mut self, mark: &str) -> Option<i64> {
        let start = format!("\n{mark} ");
        let at = self
            .0
            .windows(start.len())
            .rposition(|part| part == start.as_bytes())?;
        let rest = std::str::from_utf8(&self.0[at + start.len()..]).ok()?;
        let code = rest.split_once('\n')?.0.parse().ok()?;
        self.0.truncate(at);
        Some(code)
    }

    /// Returns false if the engine could not even start the shell.
    fn is_of_script(&self) -> bool {
        !String::from_utf8_lossy(&self.0).contains("OCI runtime exec failed")
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let all: Vec<&str> = text.lines().collect();
        let last = &all[all.len().saturating_sub(MAX_LINES)..];
        let cut = |line: &&str| {
            line.trim_end()
                .chars()
                .take(MAX_LINE_CHARS)
                .collect::<String>()
        };
        last.iter().map(|line| printable(&cut(line))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write as _,
        process::{Command, Output, Stdio},
    };

    fn run(input: &str, variables: &[(&str, &str)]) -> (Tail, Output) {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", RUNNER, "sh", "MARK"])
            .envs(variables.iter().copied());
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        // The shell may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (Tail(output.stdout.clone()), output)
    }

    #[test]
    fn failure_of_an_exited_container_has_both_outputs() {
        let exit = Exit {
            log: vec!["stopping".to_owned()],
            ..with_output(String::new(), "ab12", 9, &Tail::default())
                .exit
                .unwrap()
        };
        let log = |tail: &str| {
            let failure = exited("ab12", exit.clone(), &Tail(tail.into()));
            failure.exit.unwrap().log
        };
        assert_eq!(
            log("half\ndone\n"),
            ["stopping", "output of the init script:", "half", "done"]
        );
        assert_eq!(log(""), ["stopping"]);
        assert_eq!(log("OCI runtime exec failed: not running"), ["stopping"]);
    }

    #[test]
    fn script_runs_without_input_and_its_variables_stay() {
        let script = "#!/bin/sh\necho \"$line $init $#\"\ncat\ncat <<E\na } b\nE\nexit 3 # end";
        let (mut tail, output) = run(&input(script), &[("line", "l"), ("init", "i")]);
        assert_eq!(tail.take_mark("MARK"), Some(3), "{output:?}");
        assert_eq!(tail.lines(), ["l i 0", "a } b"]);
        assert_eq!(output.status.code(), Some(3));
        for (script, code) in [
            ("true", 0),
            ("false", 1),
            ("", 0),
            ("echo a \\", 0),
            ("kill -9 $$", 137),
            ("printf no-line-break", 0),
        ] {
            assert_eq!(
                run(&input(script), &[]).0.take_mark("MARK"),
                Some(code),
                "{script}"
            );
        }
    }

    #[test]
    fn part_of_a_script_does_not_run() {
        let whole = input("echo one\necho two\n");
        for length in 1..whole.len() - 2 {
            let (_, output) = run(&whole[..length], &[]);
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(!text.contains("one"), "{length}: {text}");
        }
    }

    #[test]
    fn tail_keeps_the_last_lines_and_escapes_them() {
        let mut tail = Tail::default();
        (0..20_000).for_each(|n| tail.push(format!("line {n}\n").as_bytes()));
        tail.push(b"\x1b[31m\xff");
        let lines = tail.lines();
        assert_eq!((lines.len(), &lines[18][..]), (20, "line 19999"));
        assert!(tail.0.len() <= 2 * MAX_TAIL && !lines[19].contains('\u{1b}'));
    }
}
