//! Graphviz output (DOT).

use super::{Graph, RelationshipKind};
use crate::printable::printable;

/// Returns the graph in the DOT language.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut text = "digraph deployment {\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n".to_owned();
    for (at, vertex) in graph.vertices.iter().enumerate() {
        let (border, background) = vertex.condition.colors();
        let label = format!("{}\\n{}", quoted(&vertex.name), quoted(&vertex.caption));
        text += &format!(
            "  n{at} [label=\"{label}\", color=\"{border}\", fillcolor=\"{background}\"];\n"
        );
    }
    for arrow in &graph.arrows {
        let style = match arrow.kind {
            RelationshipKind::ContainedIn => " [style=bold, arrowhead=diamond]",
            RelationshipKind::ConnectedTo => "",
            RelationshipKind::DependsOn => " [style=dashed]",
        };
        text += &format!("  n{} -> n{}{style};\n", arrow.from, arrow.to);
    }
    text + "}\n"
}

/// Escapes a text for a quoted string. Graphviz reads entities of HTML in it.
fn quoted(text: &str) -> String {
    let text = printable(&text.replace('\n', " "));
    text.replace('&', "&amp;")
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}
