//! SVG output.

use super::{Graph, RelationshipKind, layers};
use crate::printable::printable;

const STYLE: &str = "text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}.n{font-size:12.5px;font-weight:600}.b{font-size:10.5px;fill:#57606a}path{fill:none;stroke:#8c959f;stroke-width:1.4}.contained{stroke-width:2.6}.depends{stroke-dasharray:5 4}";

/// Returns the graph as an SVG document, readable on light and dark backgrounds.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let placed = layers::layout(graph);
    let (width, height) = (placed.width, placed.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>{STYLE}</style>\n<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:#8c959f;stroke:none\"/></marker></defs>\n"
    );
    for (arrow, line) in graph.arrows.iter().zip(&placed.lines) {
        let class = match arrow.kind {
            RelationshipKind::ContainedIn => " class=\"contained\"",
            RelationshipKind::ConnectedTo => "",
            RelationshipKind::DependsOn => " class=\"depends\"",
        };
        text += &format!(
            "<path{class} d=\"{}\" marker-end=\"url(#a)\"/>\n",
            curve(line)
        );
    }
    for (vertex, place) in graph.vertices.iter().zip(&placed.boxes) {
        let (border, background) = vertex.condition.colors();
        let (left, top) = (
            place.x - place.width / 2.0,
            place.y - layers::BOX_HEIGHT / 2.0,
        );
        text += &format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{}\" rx=\"6\" fill=\"{background}\" stroke=\"{border}\" stroke-width=\"1.6\"/>\n",
            place.width,
            layers::BOX_HEIGHT
        );
        let line = |class: &str, y: f64, text: &str| {
            format!(
                "<text class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n",
                place.x,
                escaped(text)
            )
        };
        text += &line("n", place.y - 3.0, &vertex.name);
        text += &line("b", place.y + 13.0, &vertex.caption);
    }
    text + "</svg>\n"
}

/// Returns a smooth path from the lower edge of a box through points to the upper edge of another.
fn curve(points: &[(f64, f64)]) -> String {
    let half = layers::BOX_HEIGHT / 2.0;
    let mut points = points.to_vec();
    let upwards = points
        .first()
        .zip(points.last())
        .is_some_and(|(first, last)| first.1 > last.1);
    let edge = if upwards { -half } else { half };
    if let Some(first) = points.first_mut() {
        first.1 += edge;
    }
    if let Some(last) = points.last_mut() {
        last.1 -= edge;
    }
    let mut path = points
        .first()
        .map(|(x, y)| format!("M{x:.1} {y:.1}"))
        .unwrap_or_default();
    for pair in points.windows(2) {
        let ((x, y), (next_x, next_y)) = (pair[0], pair[1]);
        let bend = (next_y - y) / 2.0;
        path += &format!(
            "C{x:.1} {:.1} {next_x:.1} {:.1} {next_x:.1} {next_y:.1}",
            y + bend,
            next_y - bend
        );
    }
    path
}

fn escaped(text: &str) -> String {
    let text = printable(&text.replace('\n', " "));
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
