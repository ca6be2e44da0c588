//! Mermaid output, which code forges render in Markdown.

use super::{Graph, Mood, RelationshipKind};

/// Returns the graph as a Mermaid flowchart.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (at, vertex) in graph.vertices.iter().enumerate() {
        text += &format!(
            "  n{at}[\"{}<br/><small>{}</small>\"]{}\n",
            escaped(&vertex.name),
            escaped(&vertex.below),
            class(vertex.mood)
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
    for mood in [Mood::Well, Mood::Underway, Mood::Resting, Mood::Ill] {
        if graph.vertices.iter().any(|vertex| vertex.mood == mood) {
            let (border, ground) = mood.colours();
            text += &format!(
                "  classDef {} fill:{ground},stroke:{border},color:#1f2328\n",
                name(mood)
            );
        }
    }
    text
}

fn name(mood: Mood) -> &'static str {
    match mood {
        Mood::Plain => "plain",
        Mood::Well => "healthy",
        Mood::Underway => "pending",
        Mood::Resting => "stopped",
        Mood::Ill => "unhealthy",
    }
}

fn class(mood: Mood) -> String {
    if mood == Mood::Plain {
        String::new()
    } else {
        format!(":::{}", name(mood))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
