//! A Docker engine in the test's own process: HTTP on a unix socket. It keeps containers, images,
//! networks and volumes, tells events and logs, and lies when a test wants it to.
//!
//! Containers are processes of this machine, run by busybox: no file system, network or process
//! table of their own. Paths of mounts are replaced in their arguments. So it serves every test for
//! which the isolation, the registry and the builder of a real engine do not matter.

mod body;
mod containers;
mod execs;
mod health;
mod images;
mod lies;
mod life;
mod logs;
mod mounts;
mod networks;
mod ports;
mod processes;
mod routes;
mod shown;
mod volumes;
mod world;

pub(crate) use lies::Answer;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};
use tokio::{net::UnixListener, sync::oneshot};
use world::World;

/// The engine. It ends with everything that runs on it when this is dropped.
pub(crate) struct Engine {
    /// The socket that always tells the truth.
    socket: PathBuf,
    /// The socket that lies when a test wants it to.
    hostile: PathBuf,
    world: Arc<World>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Starts one that keeps its files in a directory.
    pub(crate) fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("the directory can be made");
        let (socket, hostile) = (
            directory.join("engine.sock"),
            directory.join("hostile.sock"),
        );
        let world = Arc::new(World::new(directory));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (at, mine) = ([socket.clone(), hostile.clone()], world.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                let [honest, hostile] =
                    at.map(|at| UnixListener::bind(at).expect("the socket is free"));
                ready.send(()).expect("somebody waits");
                tokio::select! {
                    () = accept(honest, &mine, false) => {}
                    () = accept(hostile, &mine, true) => {}
                    _ = stopped => {}
                }
                mine.kill_all();
            });
        });
        is_ready.recv().expect("the engine starts");
        Self {
            socket,
            hostile,
            world,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The address, as `DOCKER_HOST` takes it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The address that dockctl gets: answers that a test dictates come from there.
    pub(crate) fn hostile_address(&self) -> String {
        format!("unix://{}", self.hostile.display())
    }

    /// The path of the socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on dockctl gets this answer for a method and path; `*` stands for one part of the
    /// path.
    pub(crate) fn lies(&self, method: &str, path: &str, answer: Answer) {
        self.world.lies.tell(method, path, answer);
    }

    /// How many requests dockctl made whose method and path hold a text.
    pub(crate) fn asked(&self, text: &str) -> usize {
        let asked = self.world.asked.lock().expect("no request died here");
        asked.iter().filter(|line| line.contains(text)).count()
    }

    /// From now on it tells the truth.
    pub(crate) fn repents(&self) {
        self.world.lies.forget();
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

async fn accept(listener: UnixListener, world: &Arc<World>, is_hostile: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = world.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let world = world.clone();
                async move { Ok::<_, Infallible>(routes::answer(&world, request, is_hostile).await) }
            });
            // A client that hangs up is no fault of the engine.
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}
