//! The results that people read, with their layout.

use crate::{
    cli::PAIR,
    support::{Test, project_root},
};

/// Returns a text in which values that differ from run to run are replaced by words of their width.
fn settled(test: &Test, text: &str) -> String {
    let directory = test.directory.path().display().to_string();
    let checkout = project_root().display().to_string();
    let text = text
        .replace(&directory, "DIRECTORY")
        .replace(&checkout, "CHECKOUT");
    text.split_inclusive(char::is_whitespace)
        .map(|part| {
            let word = part.trim_end();
            part.replacen(word, &placeholder(word), 1)
        })
        .collect()
}

fn placeholder(word: &str) -> String {
    let digits = word.trim_end_matches(['s', 'm', 'h']);
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    match word.len() {
        12 if is_hex(word) => "CONTAINER-ID".to_owned(),
        20 if word.ends_with('Z') => "YYYY-MM-DDThh:mm:ssZ".to_owned(),
        // A time since, such as `3s`, or the duration of a run, such as `0.4`.
        _ if digits.len() < word.len() && is_number(digits) => "#s".to_owned(),
        _ if word
            .split_once('.')
            .is_some_and(|(a, b)| is_number(a) && is_number(b)) =>
        {
            "#.#".to_owned()
        }
        _ => word.to_owned(),
    }
}

/// Runs commands one after the other, and collects their results.
struct Transcript {
    test: Test,
    text: String,
}

impl Transcript {
    fn run(&mut self, arguments: &[&str]) -> &mut Self {
        let fixed = ["-d", "shop", "--seed", "7", "--progress", "quiet"];
        let named = !matches!(arguments[0], "list" | "explain" | "validate");
        let fixed = if named { &fixed[..] } else { &[] };
        let run = self.test.run(&[arguments, fixed].concat());
        let text = settled(&self.test, &(run.stdout + &run.stderr));
        self.text += &format!("$ dockctl {}\n{text}\n", arguments.join(" "));
        self
    }
}

#[test]
fn results_as_people_read_them() {
    let test = Test::in_memory("tables");
    let published =
        "stop_timeout: 0, ports: [80], host_config: {port_bindings: {80: ['127.0.0.1', 18080]}}";
    let pair = PAIR.replace("PREFIX", "shop").replace(
        "web says hello; sleep 1000', stop_timeout: 0",
        &format!("web says hello; sleep 1000', {published}"),
    );
    test.blueprint(&pair);
    let mut transcript = Transcript {
        test,
        text: String::new(),
    };
    transcript
        .run(&["list"])
        .run(&["plan", "--steps"])
        .run(&["install"]);
    transcript
        .run(&["status"])
        .run(&["install"])
        .run(&["outputs"])
        .run(&["list"]);
    transcript.test.docker(&["kill", "shop-web"]);
    transcript.run(&["status"]).run(&["plan"]).run(&["heal"]);
    let changed = pair
        .replace("web says hello", "web says hi")
        .replace("it's here", "there");
    transcript.test.blueprint(&changed);
    transcript
        .run(&["plan"])
        .run(&["plan", "--output", "markdown"]);
    transcript.run(&["install"]).run(&["update", "--yes"]);
    transcript
        .run(&["scale", "db", "--to", "2"])
        .run(&["status"]);
    transcript
        .run(&["stop", "web"])
        .run(&["heal"])
        .run(&["start"]);
    transcript
        .run(&["uninstall", "--yes"])
        .run(&["uninstall", "--yes"]);
    let executions = transcript
        .test
        .run(&["executions", "-d", "shop", "--output", "json"]);
    transcript.run(&["executions"]).run(&["list"]);
    for execution in executions.exits_with(0).json()["executions"]
        .as_array()
        .unwrap()
    {
        let id = execution["id"].as_str().unwrap();
        transcript.text = transcript.text.replace(id, "EXECUTIO");
    }
    insta::assert_snapshot!("tables", transcript.text);
}
