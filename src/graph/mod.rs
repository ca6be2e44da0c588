//! Dependency graphs of blueprints and deployments.
//!
//! [`Graph`] is independent of the output format: [`dot()`], [`mermaid()`], or [`svg()`], which
//! needs no other program.

mod dot;
mod layers;
mod mermaid;
mod svg;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

use crate::model::RelationshipKind;
use std::collections::HashSet;

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub struct Vertex {
    /// The name.
    pub name: String,
    /// The line below the name: a type or a state.
    pub caption: String,
    /// The condition.
    pub condition: Condition,
}

/// The condition of an instance. It determines the color.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Condition {
    /// Unknown.
    #[default]
    Unknown,
    /// Healthy.
    Healthy,
    /// Between two states.
    Pending,
    /// Stopped or missing.
    Stopped,
    /// Unhealthy or drifted.
    Unhealthy,
}

impl Condition {
    /// Returns the colors of the border and the background.
    fn colors(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("#57606a", "#f6f8fa"),
            Self::Healthy => ("#1a7f37", "#dafbe1"),
            Self::Pending => ("#9a6700", "#fff8c5"),
            Self::Stopped => ("#8c959f", "#eaeef2"),
            Self::Unhealthy => ("#cf222e", "#ffebe9"),
        }
    }
}

/// An arrow from a dependent to its dependency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrow {
    /// Index of the box where it starts.
    pub from: usize,
    /// Index of the box that it points to.
    pub to: usize,
    /// The kind of the relationship.
    pub kind: RelationshipKind,
}

/// A dependency graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The boxes.
    pub vertices: Vec<Vertex>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
}

impl Graph {
    /// Returns the subgraph of some boxes with all their dependencies and dependents.
    #[must_use]
    pub fn focused(&self, on: impl Fn(&Vertex) -> bool) -> Self {
        let roots: Vec<usize> = (0..self.vertices.len())
            .filter(|at| on(&self.vertices[*at]))
            .collect();
        let mut kept = self.reachable(&roots, |arrow| (arrow.from, arrow.to));
        kept.extend(self.reachable(&roots, |arrow| (arrow.to, arrow.from)));
        let places: Vec<usize> = (0..self.vertices.len())
            .filter(|at| kept.contains(at))
            .collect();
        let place = |at: usize| places.binary_search(&at).ok();
        let arrow = |arrow: &Arrow| {
            Some(Arrow {
                from: place(arrow.from)?,
                to: place(arrow.to)?,
                kind: arrow.kind,
            })
        };
        Self {
            vertices: places.iter().map(|at| self.vertices[*at].clone()).collect(),
            arrows: self.arrows.iter().filter_map(arrow).collect(),
        }
    }

    fn reachable(
        &self,
        roots: &[usize],
        along: impl Fn(&Arrow) -> (usize, usize),
    ) -> HashSet<usize> {
        let (mut seen, mut open): (HashSet<usize>, Vec<usize>) =
            (roots.iter().copied().collect(), roots.to_vec());
        while let Some(at) = open.pop() {
            let next = self
                .arrows
                .iter()
                .map(&along)
                .filter(|(from, _)| *from == at)
                .map(|(_, to)| to);
            open.extend(next.filter(|to| seen.insert(*to)));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// top → left, right → base; aside alone.
    fn diamond() -> Graph {
        let vertex = |(name, condition): (&str, Condition)| Vertex {
            name: name.to_owned(),
            caption: "t\"<".to_owned(),
            condition,
        };
        let all = [
            ("top", Condition::Healthy),
            ("left", Condition::Unhealthy),
            ("right", Condition::Pending),
            ("base", Condition::Stopped),
            ("aside", Condition::Unknown),
        ];
        let arrow = |(from, to, kind)| Arrow { from, to, kind };
        let arrows = [
            (0, 1, RelationshipKind::ConnectedTo),
            (0, 2, RelationshipKind::DependsOn),
            (1, 3, RelationshipKind::ContainedIn),
            (2, 3, RelationshipKind::ConnectedTo),
            (0, 3, RelationshipKind::ConnectedTo),
        ];
        Graph {
            vertices: all.map(vertex).to_vec(),
            arrows: arrows.map(arrow).to_vec(),
        }
    }

    #[test]
    fn names_are_escaped_in_every_format() {
        let mut graph = diamond();
        graph.vertices.truncate(1);
        graph.arrows.clear();
        graph.vertices[0].name = "a`b\u{1b}<i>&\"\\n#x\ny".to_owned();
        let (dot, mermaid, svg) = (dot(&graph), mermaid(&graph), svg(&graph));
        assert!(
            dot.contains(r#"a`b\\u{1b}<i>&amp;\"\\n#x y\nt\"<"#),
            "{dot}"
        );
        let label = "a&#96;b\\u{1b}&lt;i&gt;&amp;&quot;\\n&#35;x y<br/>";
        assert!(mermaid.contains(label), "{mermaid}");
        assert!(svg.contains("a`b\\u{1b}&lt;i&gt;&amp;\"\\n#x y<"), "{svg}");
    }

    #[test]
    fn focus_keeps_dependencies_and_dependents() {
        let names = |graph: &Graph| {
            graph
                .vertices
                .iter()
                .map(|vertex| vertex.name.clone())
                .collect::<Vec<_>>()
        };
        let left = diamond().focused(|vertex| vertex.name == "left");
        assert_eq!(names(&left), ["top", "left", "base"]);
        assert_eq!(
            left.arrows
                .iter()
                .map(|arrow| (arrow.from, arrow.to))
                .collect::<Vec<_>>(),
            [(0, 1), (1, 2), (0, 2)]
        );
        assert!(diamond().focused(|_| false).vertices.is_empty());
    }

    #[test]
    fn graphs_are_rendered_in_every_format() {
        insta::assert_snapshot!("dot", dot(&diamond()));
        insta::assert_snapshot!("mermaid", mermaid(&diamond()));
        insta::assert_snapshot!("svg", svg(&diamond()));
    }

    #[test]
    fn hundred_boxes_do_not_overlap_and_arrows_point_down() {
        let vertex = |n: usize| Vertex {
            name: format!("node-{n}"),
            caption: "a.type".to_owned(),
            condition: Condition::Unknown,
        };
        let arrows = (1..100)
            .flat_map(|n| [(n, n / 2), (n, n / 3)])
            .filter(|(from, to)| from != to);
        let arrows = arrows
            .map(|(from, to)| Arrow {
                from,
                to,
                kind: RelationshipKind::DependsOn,
            })
            .collect();
        let graph = Graph {
            vertices: (0..100).map(vertex).collect(),
            arrows,
        };
        let placed = layers::layout(&graph);
        for (at, one) in placed.boxes.iter().enumerate() {
            for other in &placed.boxes[at + 1..] {
                let apart = (one.x - other.x).abs() >= f64::midpoint(one.width, other.width)
                    || (one.y - other.y).abs() >= layers::BOX_HEIGHT;
                assert!(apart, "{one:?} {other:?}");
            }
        }
        for arrow in &graph.arrows {
            assert!(
                placed.boxes[arrow.from].y < placed.boxes[arrow.to].y,
                "{arrow:?}"
            );
        }
        assert_eq!(placed.lines.len(), graph.arrows.len());
    }

    #[test]
    fn cycles_and_empty_graphs_are_drawn() {
        let cycle = Graph {
            arrows: vec![
                Arrow {
                    from: 0,
                    to: 1,
                    kind: RelationshipKind::DependsOn,
                },
                Arrow {
                    from: 1,
                    to: 0,
                    kind: RelationshipKind::DependsOn,
                },
            ],
            ..diamond()
        };
        assert_eq!(svg(&cycle).matches("<rect").count(), 5);
        assert!(svg(&Graph::default()).starts_with("<svg"));
    }
}
