//! A crash sweep: kills the plugin at each of its requests to the engine during Provision and
//! Destroy, and starts it again. No container may be left that the next list does not show.

use super::{Served, command, post, spec};
use crate::{
    proxy::{Fault, Proxy},
    support::{Test, eventually},
};
use serde_json::{Value as Json, json};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

/// A test whose requests to the engine go through a proxy.
pub(super) struct Sweep {
    pub(super) test: Test,
    pub(super) proxy: Proxy,
}

impl Sweep {
    pub(super) fn new(name: &str) -> Self {
        let test = Test::in_memory(name);
        test.import_image();
        let proxy = Proxy::start(&test.path("proxy.sock"), test.engine().socket());
        Self { test, proxy }
    }

    /// Starts the plugin, and waits until the requests of its start are done.
    fn serve(&self) -> Served {
        let url = self.proxy.address();
        let serve = ["serve", "--name", &self.test.prefix, "--url", &url];
        let served = Served::start_command(&self.test, command(&self.test, &serve));
        served.await_log("the engine can be used");
        served
    }

    /// Calls a method, and kills the plugin at its request of this number. Returns none if the call
    /// ended without as many requests, and false if it ended although there were as many: another
    /// request had this number, such as one for events, whose response does not end.
    fn kill_during(
        &self,
        served: &mut Served,
        (method, params): (&str, &Json),
        (at, fault): (usize, Fault),
    ) -> Option<bool> {
        self.proxy.arm(Some((at, fault)));
        self.proxy.set_kill_target(served.process.id());
        let call = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        let mut stream = UnixStream::connect(&served.socket).unwrap();
        stream.write_all(&post(&call.to_string())).unwrap();
        let was_killed = {
            let mut first = [0];
            !matches!(stream.read(&mut first), Ok(1))
        };
        let requests = self.proxy.requests();
        self.proxy.arm(None);
        if was_killed {
            served.wait();
        }
        (was_killed || requests >= at).then_some(was_killed)
    }

    /// Returns the IDs of all containers on the engine.
    fn containers(&self) -> Vec<String> {
        self.test
            .docker(&["ps", "-aq"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Checks that every container is an instance that runs, and removes them all.
    fn check(&self, served: &Served, point: &str) -> usize {
        let described = served.describe(&json!(null));
        let mut ids: Vec<String> = described
            .iter()
            .map(|it| it["ID"].as_str().unwrap().to_owned())
            .collect();
        let mut there = self.containers();
        ids.sort();
        there.sort();
        assert_eq!(ids, there, "{point}: {}", served.log());
        let running = self.test.docker(&["ps", "-q"]);
        assert_eq!(
            running.lines().count(),
            ids.len(),
            "{point}: every instance runs"
        );
        for id in &ids {
            served.destroy(id);
        }
        assert_eq!(self.containers(), Vec::<String>::new(), "{point}");
        ids.len()
    }
}

/// Tries every point of a request until it ends before the point. `prepare` returns the request,
/// `most` the number of instances that may be there after a kill at a point.
fn sweep(
    name: &str,
    prepare: impl Fn(&Sweep, &Served) -> (&'static str, Json),
    most: impl Fn(usize) -> usize,
) -> usize {
    let sweep = Sweep::new(name);
    let mut tried = 0;
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for at in 1.. {
            let mut served = sweep.serve();
            let (method, params) = prepare(&sweep, &served);
            let killed = sweep.kill_during(&mut served, (method, &params), (at, fault));
            if killed != Some(true) {
                sweep.check(&served, "without a kill");
            }
            match killed {
                Some(true) => drop(served),
                Some(false) => continue,
                None => break,
            }
            let served = sweep.serve();
            let count = sweep.check(&served, &format!("{method}, {fault:?} request {at}"));
            assert!(
                count <= most(at),
                "{method}, {fault:?} request {at}: {count} instances"
            );
            tried += 1;
        }
    }
    let networks = sweep.test.docker(&[
        "network",
        "ls",
        "-q",
        "--filter",
        &format!("name={}", sweep.test.name("net")),
    ]);
    assert!(
        networks.lines().count() <= 1,
        "no network twice: {networks}"
    );
    println!("{name}: {tried} points tried");
    tried
}

#[test]
fn plugin_killed_during_provision_leaves_no_orphan() {
    let provision = |sweep: &Sweep, _: &Served| {
        let network =
            json!({ "Properties": { "NetworkAttachments": [{ "Name": sweep.test.name("net") }] } });
        (
            "Instance.Provision",
            json!({ "Spec": spec(&sweep.test, &network) }),
        )
    };
    let tried = sweep("ik-sweep-a", provision, |_| 1);
    assert!(tried >= 10, "{tried}");
}

#[test]
fn plugin_killed_during_provision_with_a_script_leaves_no_container() {
    let provision = |sweep: &Sweep, _: &Served| {
        let script = json!({ "LogicalID": sweep.test.name("a"), "Init": "sleep 0.1" });
        (
            "Instance.Provision",
            json!({ "Spec": spec(&sweep.test, &script) }),
        )
    };
    let tried = sweep("ik-sweep-b", provision, |_| 0);
    assert!(tried >= 10, "{tried}");
}

#[test]
fn plugin_killed_during_destroy_is_settled_by_the_next_start() {
    let destroy = |sweep: &Sweep, served: &Served| {
        let id = served.provision(&spec(&sweep.test, &json!({})));
        ("Instance.Destroy", json!({ "Instance": id }))
    };
    // The first two requests find the instance; the intent is stored after them.
    let tried = sweep("ik-sweep-c", destroy, |at| usize::from(at <= 2));
    assert!(tried >= 6, "{tried}");
}

#[test]
fn lost_response_of_a_request_makes_no_second_container() {
    let sweep = Sweep::new("ik-sweep-d");
    let served = sweep.serve();
    for at in 1..12 {
        sweep.proxy.arm(Some((at, Fault::ResetAfter)));
        let reply = served.reply(
            "Instance.Provision",
            &json!({ "Spec": spec(&sweep.test, &json!({})) }),
        );
        sweep.proxy.arm(None);
        let ids: Vec<Json> = served
            .describe(&json!(null))
            .iter()
            .map(|it| it["ID"].clone())
            .collect();
        match reply["result"].get("ID") {
            Some(id) => assert_eq!(ids, std::slice::from_ref(id), "request {at}"),
            None => eventually("the end of the failed request", || {
                served.describe(&json!(null)).is_empty().then_some(())
            }),
        }
        assert_eq!(sweep.containers().len(), ids.len());
        for id in &ids {
            served.destroy(id.as_str().unwrap());
        }
    }
}
