//! A Docker engine inside the test process that serves HTTP on a Unix socket. It implements
//! containers, images, networks, volumes, events and logs, and sends canned responses if a test
//! configures them.
//!
//! A container is a busybox process on this machine, without its own file system, network or
//! process table. Mount paths are replaced in its arguments. Tests that depend on isolation, a
//! registry or image builds must use a real engine.

mod canned;
mod containers;
mod daemon;
mod execs;
mod health;
mod images;
mod inspection;
mod lifecycle;
mod logs;
mod mounts;
mod networks;
mod ports;
mod processes;
mod response;
mod routes;
mod volumes;

pub(crate) use canned::CannedResponse;

use daemon::Daemon;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};
use tokio::{net::UnixListener, sync::oneshot};

/// An in-memory engine. Dropping it stops the engine and kills its containers.
pub(crate) struct Engine {
    /// Socket that ignores canned responses.
    socket: PathBuf,
    /// Socket that sends canned responses where the test configured them.
    canned_socket: PathBuf,
    daemon: Arc<Daemon>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine that stores its files in a directory.
    pub(crate) fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("create the directory");
        let (socket, hostile) = (
            directory.join("engine.sock"),
            directory.join("hostile.sock"),
        );
        let world = Arc::new(Daemon::new(directory));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (at, for_thread) = ([socket.clone(), hostile.clone()], world.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("start a runtime");
            runtime.block_on(async {
                let [plain, hostile] =
                    at.map(|at| UnixListener::bind(at).expect("bind the socket"));
                ready.send(()).expect("`start` is waiting");
                tokio::select! {
                    () = accept(plain, &for_thread, false) => {}
                    () = accept(hostile, &for_thread, true) => {}
                    _ = stopped => {}
                }
                for_thread.kill_all();
            });
        });
        is_ready.recv().expect("the engine starts");
        Self {
            socket,
            canned_socket: hostile,
            daemon: world,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns the engine's address in the format of `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns the address for dockctl. Requests to it receive the canned responses.
    pub(crate) fn dockctl_address(&self) -> String {
        format!("unix://{}", self.canned_socket.display())
    }

    /// Returns the path of the socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sets the response that dockctl receives for a method and path. `*` matches one path segment.
    pub(crate) fn respond_with(&self, method: &str, path: &str, answer: CannedResponse) {
        self.daemon.canned.set(method, path, answer);
    }

    /// Returns the number of dockctl's requests whose method and path contain a text.
    pub(crate) fn request_count(&self, text: &str) -> usize {
        let asked = self
            .daemon
            .requests
            .lock()
            .expect("the lock is not poisoned");
        asked.iter().filter(|line| line.contains(text)).count()
    }

    /// Removes all canned responses.
    pub(crate) fn clear_responses(&self) {
        self.daemon.canned.clear();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: UnixListener, world: &Arc<Daemon>, sends_canned: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = world.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let world = world.clone();
                async move { Ok::<_, Infallible>(routes::respond(&world, request, sends_canned).await) }
            });
            // Ignored: a client may disconnect at any time.
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}
