//! An execution as `JUnit` XML, for pipelines that show test results: an instance is a suite, a
//! step is a case.

use super::lines::failure_text;
use crate::{
    event::{Entry, Event, timestamp},
    record::{FailedTask, Record},
    stage::{Task, TaskId},
};
use indexmap::IndexMap;

/// A step of the execution.
#[derive(Default)]
struct Case {
    name: String,
    started: Option<u64>,
    seconds: f64,
    failure: Option<(String, String)>,
    done: bool,
}

/// Collects the results of one execution.
#[derive(Default)]
pub struct Junit {
    name: String,
    at: u64,
    /// Cases by instance.
    suites: IndexMap<String, Vec<Case>>,
    /// Instance and index of each case of the present stage.
    places: Vec<(String, usize)>,
}

impl Junit {
    fn plan(&mut self, tasks: &[Task]) {
        for task in tasks {
            let cases = self.suites.entry(task.instance.clone()).or_default();
            self.places.push((task.instance.clone(), cases.len()));
            cases.push(Case {
                name: format!("{}: {}", task.operation, task.step),
                ..Case::default()
            });
        }
    }

    /// Records an event.
    pub fn record(&mut self, record: &Record, entry: &Entry) {
        match &entry.event {
            Event::ExecutionStarted {
                execution,
                parameters,
                ..
            } => {
                self.name = format!("{} {execution}", parameters.workflow());
                self.at = entry.at;
            }
            Event::StageStarted { stage } => {
                self.places.clear();
                self.plan(stage.tasks());
            }
            Event::StageExtended { tasks } => self.plan(tasks),
            Event::TaskStarted { task, .. } => drop(
                self.case(*task)
                    .map(|case| case.started.get_or_insert(entry.at)),
            ),
            Event::TaskSucceeded { task, .. } | Event::TaskSettled { task, .. } => {
                self.end(*task, entry.at, None)
            }
            Event::TaskFailed {
                task,
                failure: cause,
                retry_in: None,
                ignored,
                ..
            } => {
                let planned = record.stage().task(*task);
                let failed = FailedTask {
                    instance: planned.instance.clone(),
                    operation: planned.operation.clone(),
                    failure: cause.clone(),
                    ignored: *ignored,
                    tried_again: false,
                };
                let shown = (!ignored).then(|| (cause.message.clone(), failure_text(&failed)));
                self.end(*task, entry.at, shown);
            }
            _ => {}
        }
    }

    fn case(&mut self, task: TaskId) -> Option<&mut Case> {
        let (instance, at) = self.places.get(task.0)?;
        self.suites.get_mut(instance)?.get_mut(*at)
    }

    fn end(&mut self, task: TaskId, at: u64, failed: Option<(String, String)>) {
        if let Some(case) = self.case(task) {
            case.seconds = case.started.map_or(0.0, |started| {
                super::lines::seconds(at.saturating_sub(started))
            });
            case.failure = failed;
            case.done = true;
        }
    }

    /// Returns the document.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let all = || self.suites.values().flatten();
        let (tests, failures) = (
            all().count(),
            all().filter(|case| case.failure.is_some()).count(),
        );
        let skipped = all().filter(|case| !case.done).count();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">\n",
            escaped(&self.name)
        );
        for (instance, cases) in &self.suites {
            let time: f64 = cases.iter().map(|case| case.seconds).sum();
            let failures = cases.iter().filter(|case| case.failure.is_some()).count();
            let skipped = cases.iter().filter(|case| !case.done).count();
            xml += &format!(
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{time:.3}\" timestamp=\"{}\">\n",
                escaped(instance),
                cases.len(),
                timestamp(self.at)
            );
            xml.extend(cases.iter().map(|case| case_xml(instance, case)));
            xml += "  </testsuite>\n";
        }
        xml + "</testsuites>\n"
    }
}

fn case_xml(instance: &str, case: &Case) -> String {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        escaped(instance),
        escaped(&case.name),
        case.seconds
    );
    match &case.failure {
        Some((message, text)) => {
            format!(
                "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                escaped(message),
                escaped(text)
            )
        }
        None if case.done => format!("{head}/>\n"),
        None => format!("{head}>\n      <skipped/>\n    </testcase>\n"),
    }
}

/// Escapes text for XML. Omits characters that XML cannot represent.
fn escaped(text: &str) -> String {
    let written = |c: char| match c {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\n' | '\t' => c.to_string(),
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => String::new(),
        c => c.to_string(),
    };
    text.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_xml_characters_are_escaped_or_omitted() {
        assert_eq!(
            escaped("a<b> & \"c\" \u{1b}[31mred\u{0}"),
            "a&lt;b&gt; &amp; &quot;c&quot; [31mred"
        );
    }
}
