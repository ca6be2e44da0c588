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
    pub below: String,
    /// The condition.
    pub mood: Mood,
}

/// The condition of an instance. It determines the color.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mood {
    /// Unknown.
    #[default]
    Plain,
    /// Healthy.
    Well,
    /// Between two states.
    Underway,
    /// Stopped or missing.
    Resting,
    /// Unhealthy or drifted.
    Ill,
}

impl Mood {
    /// Returns the colors of the border and the background.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("#57606a", "#f6f8fa"),
            Self::Well => ("#1a7f37", "#dafbe1"),
            Self::Underway => ("#9a6700", "#fff8c5"),
            Self::Resting => ("#8c959f", "#eaeef2"),
            Self::Ill => ("#cf222e", "#ffebe9"),
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
        let vertex = |(name, mood): (&str, Mood)| Vertex {
            name: name.to_owned(),
            below: "t\"<".to_owned(),
            mood,
        };
        let all = [
            ("top", Mood::Well),
            ("left", Mood::Ill),
            ("right", Mood::Underway),
            ("base", Mood::Resting),
            ("aside", Mood::Plain),
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
    fn a_focus_keeps_what_is_needed_and_what_needs() {
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
    fn pictures_in_words() {
        insta::assert_snapshot!("dot", dot(&diamond()));
        insta::assert_snapshot!("mermaid", mermaid(&diamond()));
        insta::assert_snapshot!("svg", svg(&diamond()));
    }

    #[test]
    fn boxes_of_a_hundred_do_not_overlap_and_arrows_go_down() {
        let vertex = |n: usize| Vertex {
            name: format!("node-{n}"),
            below: "a.type".to_owned(),
            mood: Mood::Plain,
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
        let placed = layers::place(&graph);
        for (at, one) in placed.boxes.iter().enumerate() {
            for other in &placed.boxes[at + 1..] {
                let apart = (one.x - other.x).abs() >= f64::midpoint(one.width, other.width)
                    || (one.y - other.y).abs() >= layers::HEIGHT;
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
    fn circles_and_nothing_are_drawn_too() {
        let circle = Graph {
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
        assert_eq!(svg(&circle).matches("<rect").count(), 5);
        assert!(svg(&Graph::default()).starts_with("<svg"));
    }
}
