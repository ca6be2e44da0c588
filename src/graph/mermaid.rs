//! Mermaid output, which code forges render in Markdown.

use super::{Condition, Graph, RelationshipKind};
use crate::printable::printable;

/// Returns the graph as a Mermaid flowchart.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (at, vertex) in graph.vertices.iter().enumerate() {
        text += &format!(
            "  n{at}[\"{}<br/><small>{}</small>\"]{}\n",
            escaped(&vertex.name),
            escaped(&vertex.caption),
            class(vertex.condition)
        );
    }
    for arrow in &graph.arrows {
        let line = match arrow.kind {
            RelationshipKind::ContainedIn => "==>",
            RelationshipKind::ConnectedTo => "-->",
            RelationshipKind::DependsOn => "-.->",
        };
        text += &format!("  n{} {line} n{}\n", arrow.from, arrow.to);
    }
    for condition in [
        Condition::Healthy,
        Condition::Pending,
        Condition::Stopped,
        Condition::Unhealthy,
    ] {
        if graph
            .vertices
            .iter()
            .any(|vertex| vertex.condition == condition)
        {
            let (border, background) = condition.colors();
            text += &format!(
                "  classDef {} fill:{background},stroke:{border},color:#1f2328\n",
                class_name(condition)
            );
        }
    }
    text
}

fn class_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Unknown => "plain",
        Condition::Healthy => "healthy",
        Condition::Pending => "pending",
        Condition::Stopped => "stopped",
        Condition::Unhealthy => "unhealthy",
    }
}

fn class(condition: Condition) -> String {
    if condition == Condition::Unknown {
        String::new()
    } else {
        format!(":::{}", class_name(condition))
    }
}

/// Escapes a text for a label, in which Mermaid reads HTML and Markdown.
fn escaped(text: &str) -> String {
    let text = printable(&text.replace('\n', " "));
    text.replace('&', "&amp;")
        .replace('#', "&#35;")
        .replace('`', "&#96;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
