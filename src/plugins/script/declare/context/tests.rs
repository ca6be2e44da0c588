#![expect(clippy::needless_pass_by_value, reason = "tests are shorter")]

use super::*;
use crate::model::Instance;

fn participant(id: &str, properties: Json) -> Participant {
    let node = Definition {
        hierarchy: vec!["cloudify.nodes.Root".to_owned(), "t".to_owned()],
        properties: json!({ "s": "text", "m": { "k": [1] } })
            .as_object()
            .cloned()
            .unwrap(),
        ..Definition::default()
    };
    Participant {
        instance: Instance::placeholder(id, id.split('_').next().unwrap()),
        node: node.into(),
        properties: properties.as_object().cloned().unwrap(),
    }
}

fn subtree(id: &str) -> Subtree {
    Subtree {
        participant: Some(participant(id, json!({}))),
        count: 1,
        host_ip: None,
    }
}

fn context() -> Context {
    Context {
        own: subtree("n_0"),
        source: Subtree::default(),
        target: Subtree::default(),
        end: None,
        related: Vec::new(),
        operation: "cloudify.interfaces.lifecycle.create".to_owned(),
        plugin: "script".to_owned(),
        retry_number: 0,
        max_retries: 5.0,
        deployment: "dep".to_owned(),
        workflow: "install".to_owned(),
        execution: "x".to_owned(),
        is_python: false,
        verdict: Verdict::default(),
        requested_retry: None,
        hints: Vec::new(),
    }
}

fn ask(context: &mut Context, arguments: Json) -> Result<Answer, String> {
    let answer = context.answer(arguments.as_array().unwrap());
    answer.map_err(|error| error.to_string())
}

fn value(context: &mut Context, arguments: Json) -> Json {
    match ask(context, arguments.clone()) {
        Ok(Answer::Value(value)) => value,
        other => panic!("{arguments}: {other:?}"),
    }
}

#[test]
fn attributes_are_reached_by_name() {
    let mut context = context();
    for (arguments, expected) in [
        (json!(["node", "id"]), json!("n")),
        (
            json!(["node", "type-hierarchy"]),
            json!(["cloudify.nodes.Root", "t"]),
        ),
        (json!(["node", "properties", "m.k[0]"]), json!(1)),
        (json!(["instance", "id"]), json!("n_0")),
        (json!(["instance", "relationships"]), json!([])),
        (json!(["workflow_id"]), json!("install")),
        (json!(["operation", "max-retries"]), json!(5)),
        (json!(["capabilities", "get-all"]), json!({})),
        (json!(["type"]), json!("node-instance")),
    ] {
        assert_eq!(value(&mut context, arguments), expected);
    }
}

#[test]
fn errors_have_the_words_of_cloudify() {
    let mut context = context();
    for (arguments, error) in [
        (
            json!(["nope"]),
            "RuntimeError: nope cannot be processed in ['nope']",
        ),
        (
            json!(["logger", "shout", "x"]),
            "RuntimeError: shout cannot be processed in ['logger', 'shout', 'x']",
        ),
        (
            json!(["node"]),
            "TypeError: Object of type NodeContext is not JSON serializable",
        ),
        (
            json!(["node", "properties", "s", "x"]),
            "NonRecoverableError: Cannot override read only properties",
        ),
        (
            json!(["instance", "runtime-properties", "a", "b", "c"]),
            "RuntimeError: Illegal argument while accessing dict",
        ),
        (
            json!(["instance", "host-ip"]),
            "NonRecoverableError: host_id missing",
        ),
        (
            json!(["source", "node", "id"]),
            "NonRecoverableError: ctx.source/ctx.target can only be used in a relationship-instance context but used in a node-instance context.",
        ),
        (
            json!(["returns", { "a": 1 }]),
            "TypeError: process_execution.<locals>.returns() got an unexpected keyword argument 'a'",
        ),
        (
            json!(["returns"]),
            "TypeError: process_execution.<locals>.returns() missing 1 required positional argument: 'value'",
        ),
        (
            json!(["logger", "info", "%s", { "k": 1 }]),
            "TypeError: Logger._log() got an unexpected keyword argument 'k'",
        ),
        (
            json!(["download-resource-and-render", "t", { "template_variables": { "ctx": 1 } }]),
            "NonRecoverableError: Key not allowed - a key named ctx is in template_variables",
        ),
    ] {
        assert_eq!(ask(&mut context, arguments).unwrap_err(), error);
    }
    assert_eq!(context.verdict, Verdict::Open);
}

#[test]
fn a_write_shows_at_once_and_is_an_edit() {
    let mut context = context();
    let arguments = json!(["instance", "runtime-properties", "a.b", "v"]);
    let Ok(Answer::Write(Side::Own, edit)) = ask(&mut context, arguments) else {
        panic!("no write")
    };
    assert_eq!(edit.path, ["a", "b"]);
    let all = value(&mut context, json!(["instance", "runtime-properties"]));
    assert_eq!(all, json!({ "a": { "b": "v" } }));
    assert!(context.hints.is_empty());
    ask(
        &mut context,
        json!(["instance", "runtime-properties", "items", 1]),
    )
    .unwrap();
    assert_eq!(context.hints.len(), 1);
}

#[test]
fn ends_of_a_relationship_replace_the_own_instance() {
    let mut context = Context {
        own: Subtree::default(),
        source: subtree("a_0"),
        target: subtree("b_0"),
        end: Some(RelationshipEnd::Source),
        ..context()
    };
    assert_eq!(
        value(&mut context, json!(["target", "node", "name"])),
        json!("b")
    );
    assert_eq!(
        value(&mut context, json!(["operation", "relationship"])),
        json!("source")
    );
    let write = json!(["target", "instance", "runtime-properties", "seen", "x"]);
    assert!(matches!(
        ask(&mut context, write),
        Ok(Answer::Write(Side::Target, _))
    ));
    assert!(ask(&mut context, json!(["instance", "id"])).is_err());
    let described = context.to_json();
    assert_eq!(
        described["target"]["instance"]["runtime_properties"],
        json!({ "seen": "x" })
    );
    assert_eq!(described.get("instance"), None);
}

#[test]
fn a_script_decides_once() {
    let mut shell = context();
    assert_eq!(
        ask(&mut shell, json!(["returns", null])),
        Ok(Answer::Returned(Json::Null))
    );
    ask(&mut shell, json!(["returns", [1]])).unwrap();
    let twice = ask(&mut shell, json!(["abort-operation", "m"])).unwrap_err();
    assert_eq!(twice, "RuntimeError: ctx may only abort or return once");
    assert_eq!(shell.verdict, Verdict::Contradiction);
    let mut python = Context {
        is_python: true,
        ..context()
    };
    ask(&mut python, json!(["returns", 1])).unwrap();
    assert!(ask(&mut python, json!(["returns", 2])).is_err());
    assert_eq!(python.verdict, Verdict::Returned(json!(1)));
    let mut aborted = context();
    assert_eq!(
        ask(&mut aborted, json!(["abort-operation"])),
        Ok(Answer::Stop("None".to_owned()))
    );
}

#[test]
fn a_retry_with_another_delay_than_a_number_is_a_retry() {
    for (delay, after) in [
        (json!("soon"), None),
        (json!("2"), Some(2.0)),
        (json!(-1), None),
    ] {
        let mut context = context();
        ask(&mut context, json!(["retry-operation", "later", delay])).unwrap();
        let message = "later".to_owned();
        let expected = Verdict::Stopped(Stop::Retry { message, after });
        assert_eq!(context.verdict, expected);
    }
}
