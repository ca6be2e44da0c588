//! The log of an instance, across restarts and replacements of its object.

use super::{
    target::{InstanceObject, no_object, targets},
    workspace::Workspace,
};
use crate::{
    plugins::Drivers,
    seam::{Failure, LogChunk, LogOptions, ObjectRef},
};
use futures_util::{StreamExt as _, stream, stream::LocalBoxStream};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

/// Interval of checks whether an object was started again. Engines wait at least as long before
/// they restart a container that exited.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Interval of the checks of an instance that has been down for a while.
const LATER_INTERVAL: Duration = Duration::from_secs(2);
/// Time that all instances stay down before their logs end, unless a run is at work.
const PATIENCE: Duration = Duration::from_secs(5);

/// A log, in pieces. It can end with a failure.
pub(crate) type InstanceLog<'a> = LocalBoxStream<'a, Result<LogChunk, Failure>>;

/// Reads the log of one instance.
pub(crate) struct LogReader<'a> {
    pub workspace: &'a Workspace<'a>,
    pub drivers: &'a Drivers<'a>,
    /// Name of the deployment.
    pub deployment: &'a str,
    /// Id of the instance.
    pub instance: String,
    /// The logs that are followed at the same time.
    pub open: OpenLogs,
}

/// The logs that are being read at the same time. While one is, the others may continue.
#[derive(Clone, Default)]
pub(crate) struct OpenLogs(Rc<Cell<OpenLogsState>>);

#[derive(Clone, Copy, Default)]
struct OpenLogsState {
    number: usize,
    /// The last end of a log.
    ended: Option<Instant>,
}

impl OpenLogs {
    /// Counts a log as long as the result lives.
    fn count(&self) -> OpenLog {
        let mut state = self.0.get();
        state.number += 1;
        self.0.set(state);
        OpenLog(self.clone())
    }

    /// Returns true if no log has been read for some time, which begins at `start` at the earliest.
    fn is_quiet_since(&self, start: Instant) -> bool {
        let OpenLogsState { number, ended } = self.0.get();
        let last = ended.map_or(start, |ended| ended.max(start));
        number == 0 && last.elapsed() >= PATIENCE
    }
}

struct OpenLog(OpenLogs);

impl Drop for OpenLog {
    fn drop(&mut self) {
        let Self(OpenLogs(state)) = self;
        let number = state.get().number.saturating_sub(1);
        let ended = Some(Instant::now());
        state.set(OpenLogsState { number, ended });
    }
}

/// A start of an object.
struct Start {
    object: ObjectRef,
    /// Time of the start, since 1970 UTC.
    at: Option<Duration>,
}

impl<'a> LogReader<'a> {
    /// Opens the log of the present object. With `follow`, it continues with the next object of the
    /// instance, also if the present one is gone, and ends when all instances stay down.
    ///
    /// # Errors
    ///
    /// If the object no longer exists and is not followed, or its system does not respond.
    pub(crate) async fn open(
        self,
        object: ObjectRef,
        options: LogOptions,
    ) -> Result<InstanceLog<'a>, Failure> {
        let shell = self.drivers.shell(&object)?;
        let presence = shell.presence(&object).await?;
        let gone = || no_object(&self.instance, &object, self.deployment);
        if !options.follow {
            presence.ok_or_else(gone)?;
            return Ok(shell.log(&object, options).await?.boxed_local());
        }
        let missing = presence.is_none().then(gone);
        let start = Start {
            at: presence.and_then(|it| it.started_at),
            object,
        };
        let times = Rc::new(RefCell::new(LineTimes {
            are_shown: options.timestamps,
            ..LineTimes::default()
        }));
        let options = LogOptions {
            timestamps: true,
            ..options
        };
        let first = match missing {
            None => Some(self.counted(shell.log(&start.object, options).await?.boxed_local())),
            Some(_) => None,
        };
        let later = stream::unfold(
            Some((self, start, times.clone(), missing)),
            move |state| async move {
                let (reader, start, seen, missing) = state?;
                let last = seen.borrow().last;
                match (reader.next(start, last, options).await, missing) {
                    (Ok(Some((log, start))), _) => {
                        let log = reader.counted(log);
                        Some((log, Some((reader, start, seen, None))))
                    }
                    (Ok(None), None) => None,
                    // It never came.
                    (Ok(None), Some(failure)) | (Err(failure), _) => Some((failed(failure), None)),
                }
            },
        );
        let all = stream::iter(first).chain(later);
        let all = all.flatten();
        let read = move |chunk| times.borrow_mut().take(&chunk);
        Ok(all.map(move |chunk| chunk.map(&read)).boxed_local())
    }

    /// Counts a log as open until it ends.
    fn counted(&self, log: InstanceLog<'a>) -> InstanceLog<'a> {
        let open = self.open.count();
        let keep = move |chunk| {
            let _ = &open;
            chunk
        };
        log.map(keep).boxed_local()
    }

    /// Waits for the next start of the instance, and opens its log after the last line. Returns
    /// `None` if it stays down, and so do the other instances.
    async fn next(
        &self,
        start: Start,
        last_line: Option<Duration>,
        options: LogOptions,
    ) -> Result<Option<(InstanceLog<'a>, Start)>, Failure> {
        let (mut down_since, mut interval) = (Instant::now(), CHECK_INTERVAL);
        loop {
            if let Some(next) = self.present_start(&start).await? {
                let after = last_line.map(|at| at + Duration::from_nanos(1));
                // Without a line so far, there may be older ones that were not requested.
                let after = after.or(next.at.filter(|_| options.tail.is_some()));
                let is_same = next.object.object == start.object.object;
                let options = LogOptions {
                    since: after.or(options.since).filter(|_| is_same),
                    tail: None,
                    ..options
                };
                let log = self.drivers.shell(&next.object)?.log(&next.object, options);
                return Ok(Some((log.await?.boxed_local(), next)));
            }
            if down_since.elapsed() >= PATIENCE {
                interval = LATER_INTERVAL;
            }
            if self.open.is_quiet_since(down_since) {
                if !self.is_busy() {
                    return Ok(None);
                }
                down_since = Instant::now();
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Returns the present start of the instance, if it is another one.
    async fn present_start(&self, last: &Start) -> Result<Option<Start>, Failure> {
        let Some(object) = self.object() else {
            return Ok(None);
        };
        let presence = self.drivers.shell(&object)?.presence(&object).await?;
        let at = presence.and_then(|it| it.started_at);
        let is_same = object.object == last.object.object && at == last.at;
        Ok((at.is_some() && !is_same).then_some(Start { object, at }))
    }

    /// Returns the present object of the instance.
    fn object(&self) -> Option<ObjectRef> {
        let record = self.workspace.record(self.deployment).ok()?;
        let instance = std::slice::from_ref(&self.instance);
        let found = targets(self.workspace, &record, instance).ok()?;
        found
            .into_iter()
            .next()
            .map(|it: InstanceObject| it.reached)
    }

    /// Returns true if a run holds the deployment: it may be about to start the instance.
    fn is_busy(&self) -> bool {
        let holder = self.workspace.state.holder(self.deployment);
        holder.is_ok_and(|holder| holder.is_some())
    }
}

fn failed<'a>(failure: Failure) -> InstanceLog<'a> {
    stream::iter([Err(failure)]).boxed_local()
}

/// Follows the times of lines, which the engine adds, to know where to continue.
#[derive(Default)]
struct LineTimes {
    /// The times stay in the output.
    are_shown: bool,
    /// Time of the last line, since 1970 UTC.
    last: Option<Duration>,
    /// For standard output and standard error: whether a line is unfinished, and the beginning of a
    /// time that is not complete yet.
    channels: [Channel; 2],
}

#[derive(Default)]
struct Channel {
    is_inside_line: bool,
    pending: Vec<u8>,
}

impl LineTimes {
    /// Reads the times in a chunk, and removes them if they are not shown. Every chunk of an engine
    /// begins with a time, even a part of a long line.
    fn take(&mut self, chunk: &LogChunk) -> LogChunk {
        let channel = &mut self.channels[usize::from(chunk.is_error)];
        let bytes = [&std::mem::take(&mut channel.pending)[..], &chunk.bytes].concat();
        let mut shown = Vec::with_capacity(bytes.len());
        for (at, part) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if at > 0 || !channel.is_inside_line || time_of(part).is_some() {
                if is_beginning_of_time(part) {
                    channel.pending = part.to_vec();
                    channel.is_inside_line = false;
                    break;
                }
                let (time, length) = time_of(part).unzip();
                self.last = time.max(self.last);
                let hidden = length.filter(|_| !self.are_shown).unwrap_or(0);
                shown.extend_from_slice(&part[hidden..]);
            } else {
                shown.extend_from_slice(part);
            }
            channel.is_inside_line = !part.ends_with(b"\n");
        }
        LogChunk {
            bytes: shown.into(),
            is_error: chunk.is_error,
        }
    }
}

/// Longest time that an engine adds to a line, with its space, in bytes.
const MAX_TIME: usize = 36;

/// Returns true if a text may be the beginning of a time, or is a time without a line.
fn is_beginning_of_time(part: &[u8]) -> bool {
    if time_of(part).is_some_and(|(_, length)| length == part.len()) {
        return true;
    }
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || b"-:.TZ+".contains(byte);
    part.len() < MAX_TIME && part.iter().all(is_of_time)
}

/// Returns the time at the beginning of a line, since 1970 UTC, and its length with the space.
fn time_of(line: &[u8]) -> Option<(Duration, usize)> {
    let end = line.iter().take(MAX_TIME).position(|byte| *byte == b' ')?;
    let text = std::str::from_utf8(&line[..end]).ok()?;
    let time = humantime::parse_rfc3339(text).ok()?;
    let time = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((time, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: &[u8]) -> LogChunk {
        LogChunk {
            is_error: false,
            bytes: bytes.to_vec().into(),
        }
    }

    /// Wherever a log is cut into chunks, the times are read and removed.
    #[test]
    fn times_of_lines_are_read_and_removed() {
        let log = b"1970-01-01T00:00:01.000000002Z 2020-01-01T00:00:00Z a\n1970-01-01T00:00:03.000000000Z \n1970-01-01T00:00:04.000000000Z b";
        for size in 1..log.len() {
            let mut times = LineTimes::default();
            let parts = log.chunks(size).map(|part| times.take(&chunk(part)).bytes);
            let shown: Vec<u8> = parts.collect::<Vec<_>>().concat();
            assert_eq!(shown, b"2020-01-01T00:00:00Z a\n\nb", "{size}");
            assert_eq!(times.last, Some(Duration::from_secs(4)));
        }
        let mut shown = LineTimes {
            are_shown: true,
            ..LineTimes::default()
        };
        assert_eq!(shown.take(&chunk(log)).bytes, log[..]);
        let end = b"1970-01-01T00:00:05.000000000Z the rest of a long line\n";
        let mut cut = LineTimes::default();
        cut.take(&chunk(b"1970-01-01T00:00:04.000000000Z a long line"));
        assert_eq!(
            cut.take(&chunk(end)).bytes,
            b"the rest of a long line\n"[..]
        );
    }
}
