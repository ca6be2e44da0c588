//! Download of a tarball to a temporary file, with a size limit and progress.

use crate::{
    seam::{Failure, Progress, ProgressSink},
    web,
};
use std::{
    io::{self, Read, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Longest wait for a connection, and for the head of the response.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time without data.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Downloads a URL. Accepts only http and https, including redirects, and rejects redirects from
/// https to http.
pub(crate) async fn download(
    url: &str,
    limit: u64,
    stop: &CancellationToken,
    progress: ProgressSink<'_>,
) -> Result<NamedTempFile, Failure> {
    let state = Arc::new(State::default());
    let (answer, mut done) = oneshot::channel();
    let (owned, shared) = (url.to_owned(), state.clone());
    // Uses a detached thread: a hanging download must not keep dockctl from exiting.
    std::thread::spawn(move || drop(answer.send(fetch(&owned, limit, &shared))));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let (mut last, mut since) = (0, Instant::now());
    let _abandon = AbandonOnDrop(state.clone());
    loop {
        tokio::select! {
            file = &mut done => {
                let file = file.unwrap_or_else(|_| Err(Failure::fatal("the download ended unexpectedly")));
                return file.map_err(|failure| Failure { message: format!("cannot download {url}: {}", failure.message), ..failure });
            }
            () = stop.cancelled() => return Err(Failure::cancelled(format!("cancelled while downloading {url}"))),
            _ = tick.tick() => {}
        }
        let now = state.done.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
            progress(Progress::Bytes {
                done: now,
                total: state.total.load(Ordering::Relaxed),
            });
        } else if since.elapsed() > IDLE_TIMEOUT {
            let message = format!(
                "cannot download {url}: no data for {} seconds",
                IDLE_TIMEOUT.as_secs()
            );
            return Err(Failure::fatal(message).temporary());
        }
    }
}

#[derive(Default)]
struct State {
    done: AtomicU64,
    total: AtomicU64,
    abandoned: AtomicBool,
}

/// Stops the thread when the download is no longer needed.
struct AbandonOnDrop(Arc<State>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

fn fetch(url: &str, limit: u64, state: &State) -> Result<NamedTempFile, Failure> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(CONNECT_TIMEOUT))
        .max_redirects(0)
        .user_agent(concat!("dockctl/", env!("CARGO_PKG_VERSION")))
        .build();
    let response = web::get(&config, url).map_err(|error| download_failure(&error))?;
    // A body that is compressed for transport has another length than its header declares.
    let encoded = response.headers().contains_key("content-encoding");
    let total = response
        .body()
        .content_length()
        .filter(|_| !encoded)
        .unwrap_or(0);
    let too_large = || {
        Failure::fatal(format!("larger than {limit} bytes"))
            .hint("increase `max_size` of the image, for example: max_size: 20g")
    };
    if total > limit {
        return Err(too_large());
    }
    state.total.store(total, Ordering::Relaxed);
    let cannot_write = |error: io::Error| {
        Failure::fatal(format!(
            "cannot write to {}: {error}",
            std::env::temp_dir().display()
        ))
    };
    let mut file = NamedTempFile::with_prefix("dockctl-").map_err(cannot_write)?;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = body
            .read(&mut buffer)
            .map_err(|error| Failure::fatal(error.to_string()).temporary())?;
        size += read as u64;
        match read {
            0 => break,
            _ if size > limit => return Err(too_large()),
            _ if state.abandoned.load(Ordering::Relaxed) => {
                return Err(Failure::fatal("the download was cancelled"));
            }
            read => file.write_all(&buffer[..read]).map_err(cannot_write)?,
        }
        state.done.store(size, Ordering::Relaxed);
    }
    if total > size {
        return Err(
            Failure::fatal(format!("the response ended after {size} of {total} bytes")).temporary(),
        );
    }
    file.flush().map_err(cannot_write)?;
    Ok(file)
}

fn download_failure(error: &ureq::Error) -> Failure {
    let may_pass = match error {
        ureq::Error::StatusCode(code) => *code >= 500 || *code == 429,
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied
        ),
        ureq::Error::Timeout(_) => true,
        _ => false,
    };
    let failure = Failure::fatal(error.to_string());
    if may_pass {
        failure.temporary()
    } else {
        failure
    }
}
