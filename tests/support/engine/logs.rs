//! Logs of containers.

use super::{
    body::{Answered, stream},
    routes::Asked,
    world::{Shared, State, Written, time},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream as streams;

/// The selection and format of log lines in a request.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the request")]
struct Excerpt {
    /// Run of the container to follow.
    run: u64,
    /// Seconds since the Unix epoch.
    since: i64,
    stdout: bool,
    stderr: bool,
    follows: bool,
    stamps: bool,
    is_raw: bool,
}

/// Returns the log of a container. With `follow`, the response ends when the container exits.
pub(super) fn logs(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let state = world.state();
    let id = state.container_id(name)?;
    let it = &state.containers[&id];
    let tail = asked.query("tail").and_then(|it| it.parse::<usize>().ok());
    let first = tail.map_or(0, |tail| it.log.len().saturating_sub(tail));
    let since = asked
        .query("since")
        .and_then(|it| it.split('.').next()?.parse().ok());
    let excerpt = Excerpt {
        run: it.run,
        since: since.unwrap_or_default(),
        stdout: asked.is_set("stdout"),
        stderr: asked.is_set("stderr"),
        follows: asked.is_set("follow"),
        stamps: asked.is_set("timestamps"),
        is_raw: it.config["Tty"] == true,
    };
    let pieces = streams::unfold((world.clone(), id, first), move |from| next(excerpt, from));
    Ok(stream(200, "application/vnd.docker.raw-stream", pieces))
}

/// Returns the next line and the position after it.
async fn next(
    excerpt: Excerpt,
    (world, id, at): (Shared, String, usize),
) -> Option<(Bytes, (Shared, String, usize))> {
    let written = world.when(|state| excerpt.line(state, &id, at)).await?;
    Some((excerpt.piece(&written), (world, id, at + 1)))
}

impl Excerpt {
    /// Returns a line of a log. Returns `None` if it does not exist yet, and `Some(None)` if it
    /// never will.
    #[expect(clippy::option_option, reason = "`not yet` differs from `never`")]
    fn line(self, state: &State, id: &str, at: usize) -> Option<Option<Written>> {
        let Some(it) = state.containers.get(id) else {
            return Some(None);
        };
        let is_over = !self.follows || !it.status.is_running() || it.run != self.run;
        match it.log.get(at) {
            Some(written) => Some(Some(written.clone())),
            None => is_over.then_some(None),
        }
    }

    /// Returns a line in the format of the response; empty if the request excludes it.
    fn piece(self, written: &Written) -> Bytes {
        let is_wanted = if written.is_error {
            self.stderr
        } else {
            self.stdout
        };
        if !is_wanted || written.at.as_second() < self.since {
            return Bytes::new();
        }
        let stamp = if self.stamps {
            format!("{} ", time(Some(written.at)))
        } else {
            String::new()
        };
        let bytes = [stamp.as_bytes(), &written.bytes].concat();
        frame(&bytes, written.is_error, self.is_raw)
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
