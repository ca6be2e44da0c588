//! Logs of containers.

use super::{
    daemon::{LogLine, SharedDaemon, State, format_time},
    response::{HandlerResult, stream_response},
    routes::ParsedRequest,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream as streams;

/// The selection and format of log lines in a request.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the request")]
struct LogQuery {
    /// Run of the container to follow.
    run: u64,
    /// Seconds since the Unix epoch.
    since: i64,
    stdout: bool,
    stderr: bool,
    follows: bool,
    timestamps: bool,
    has_terminal: bool,
}

/// Returns the log of a container. With `follow`, the response ends when the container exits.
pub(super) fn logs(world: &SharedDaemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let state = world.state();
    let id = state.container_id(name)?;
    let it = &state.containers[&id];
    let tail = asked.query("tail").and_then(|it| it.parse::<usize>().ok());
    let first = tail.map_or(0, |tail| it.log.len().saturating_sub(tail));
    let since = asked
        .query("since")
        .and_then(|it| it.split('.').next()?.parse().ok());
    let excerpt = LogQuery {
        run: it.run,
        since: since.unwrap_or_default(),
        stdout: asked.is_set("stdout"),
        stderr: asked.is_set("stderr"),
        follows: asked.is_set("follow"),
        timestamps: asked.is_set("timestamps"),
        has_terminal: it.config["Tty"] == true,
    };
    let pieces = streams::unfold((world.clone(), id, first), move |from| next(excerpt, from));
    Ok(stream_response(
        200,
        "application/vnd.docker.raw-stream",
        pieces,
    ))
}

/// Returns the next line and the position after it.
async fn next(
    excerpt: LogQuery,
    (world, id, at): (SharedDaemon, String, usize),
) -> Option<(Bytes, (SharedDaemon, String, usize))> {
    let line = world.wait_for(|state| excerpt.line(state, &id, at)).await?;
    Some((excerpt.formatted(&line), (world, id, at + 1)))
}

impl LogQuery {
    /// Returns a line of a log. Returns `None` if it does not exist yet, and `Some(None)` if it
    /// never will.
    #[expect(clippy::option_option, reason = "`not yet` differs from `never`")]
    fn line(self, state: &State, id: &str, at: usize) -> Option<Option<LogLine>> {
        let Some(it) = state.containers.get(id) else {
            return Some(None);
        };
        let is_over = !self.follows || !it.status.is_running() || it.run != self.run;
        match it.log.get(at) {
            Some(line) => Some(Some(line.clone())),
            None => is_over.then_some(None),
        }
    }

    /// Returns a line in the format of the response; empty if the request excludes it.
    fn formatted(self, line: &LogLine) -> Bytes {
        let is_selected = if line.is_error {
            self.stderr
        } else {
            self.stdout
        };
        if !is_selected || line.at.as_second() < self.since {
            return Bytes::new();
        }
        let stamp = if self.timestamps {
            format!("{} ", format_time(Some(line.at)))
        } else {
            String::new()
        };
        let bytes = [stamp.as_bytes(), &line.bytes].concat();
        frame(&bytes, line.is_error, self.has_terminal)
    }
}

/// Adds Docker's stream header to the bytes, unless they come from a terminal.
pub(super) fn frame(bytes: &[u8], is_error: bool, raw: bool) -> Bytes {
    let mut framed = BytesMut::new();
    if !raw {
        framed.put_slice(&[1 + u8::from(is_error), 0, 0, 0]);
        framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }
    framed.put_slice(bytes);
    framed.freeze()
}
