//! The interface `Metadata`.

use super::{Served, spec};
use crate::support::Test;
use serde_json::{Value as Json, json};

#[test]
fn metadata_is_what_the_engine_says_without_the_environment() {
    let test = Test::in_memory("ik-meta");
    test.import_image();
    let served = Served::start(&test, &[]);
    let more = json!({ "Properties": { "Config": { "Env": ["SECRET=x"] } }, "Tags": { "infrakit.group": "g" } });
    // As in the original, only containers of groups are shown.
    served.provision(&spec(&test, &json!({})));
    let id = served.provision(&spec(&test, &more));
    let keys =
        |method: &str, path: &str| served.call(method, &json!({ "Path": path }))["Nodes"].clone();
    assert_eq!(keys("Metadata.List", "."), json!(["containers"]));
    let ids = keys("Metadata.Keys", "containers");
    let long = ids[0].as_str().unwrap();
    assert!(long.len() == 64 && long.starts_with(&id), "{ids}");
    let get = |path: &str| served.call("Metadata.Get", &json!({ "Path": path }))["Value"].clone();
    assert_eq!(
        get(&format!("containers/{long}/Config/Image")),
        test.prefix.clone()
    );
    assert_eq!(get(&format!("containers/{id}/Config/Cmd/0")), "sleep");
    assert_eq!(get(&format!("containers/{id}/Config/Env")), Json::Null);
    assert_eq!(get(&format!("containers/{id}/Config")).get("Env"), None);
    assert!(
        keys("Metadata.Keys", &format!("containers/{id}/Config"))
            .as_array()
            .unwrap()
            .contains(&json!("Cmd"))
    );
    assert_eq!(get("containers/000000000000"), Json::Null);
    assert_eq!(get("networks"), Json::Null);
    served.destroy(&id);
    assert_eq!(keys("Metadata.List", "containers"), json!([]));
}
