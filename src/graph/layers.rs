//! Where boxes and arrows are: in layers, what needs above what is needed.

use super::Graph;
use rust_sugiyama::{
    configure::{Config, CrossingMinimization, RankingType},
    from_vertices_and_edges,
};
use std::collections::{BTreeSet, HashMap};

/// Height of a box.
pub(super) const HEIGHT: f64 = 44.0;
/// From one layer to the next.
const LAYER: f64 = 104.0;
/// Between two boxes of a layer, and around everything.
const GAP: f64 = 28.0;
/// Width of a letter.
const LETTER: f64 = 7.6;
/// Parts that hang together are put beside each other up to this width, then below.
const WIDTH: f64 = 1600.0;
/// How often places are improved.
const ROUNDS: usize = 24;
/// Room that a line takes where it passes a layer.
const PASSAGE: f64 = 2.0;

/// A box, by its middle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub x: f64,
    pub y: f64,
    pub width: f64,
}

/// Everything in its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    pub boxes: Vec<Place>,
    /// For each arrow the points that it goes through, from box to box.
    pub lines: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

pub(super) fn place(graph: &Graph) -> Placed {
    let widths: Vec<f64> = graph
        .vertices
        .iter()
        .map(|it| width(&it.name, &it.below))
        .collect();
    let ranks = ranks(graph);
    let (points, chains) = passages(graph, &ranks);
    let size = |at: usize| {
        if at < widths.len() {
            widths[at]
        } else {
            PASSAGE
        }
    };
    let rank = |at: usize| {
        if at < ranks.len() {
            ranks[at]
        } else {
            points[at - ranks.len()]
        }
    };
    let vertices: Vec<(u32, (f64, f64))> = (0..ranks.len() + points.len())
        .map(|at| (number(at), (size(at), HEIGHT)))
        .collect();
    let pairs = chains
        .iter()
        .flat_map(|chain| chain.windows(2))
        .map(|pair| (number(pair[0]), number(pair[1])));
    // Twice the same, and what closes a circle, says nothing about layers.
    let edges: Vec<(u32, u32)> = pairs
        .filter(|(from, to)| rank(index(*from)) < rank(index(*to)))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    // The layers are those of `ranks`: the other ways to find them do not always come to an end.
    let config = Config {
        vertex_spacing: GAP,
        dummy_vertices: false,
        ranking_type: RankingType::Down,
        c_minimization: CrossingMinimization::Barycenter,
        ..Config::default()
    };
    let mut spots: HashMap<usize, (f64, f64)> = HashMap::new();
    let (mut left, mut top, mut row, mut widest) = (GAP, GAP, 0.0_f64, 0.0_f64);
    for (layout, _, _) in from_vertices_and_edges(&vertices, &edges, &config) {
        let least_rank = layout
            .iter()
            .map(|(at, _)| rank(*at))
            .min()
            .unwrap_or_default();
        let part = spread(
            layout
                .iter()
                .map(|(at, (x, _))| (*at, rank(*at) - least_rank, *x))
                .collect(),
            &edges,
            &size,
        );
        let (wide, high) = part
            .iter()
            .fold((0.0_f64, 0.0_f64), |(wide, high), (at, x, y)| {
                (wide.max(x + size(*at) / 2.0), high.max(y + HEIGHT))
            });
        if left > GAP && left + wide > WIDTH {
            (left, top, row) = (GAP, top + row + GAP * 2.0, 0.0);
        }
        spots.extend(
            part.into_iter()
                .map(|(at, x, y)| (at, (left + x, top + y + HEIGHT / 2.0))),
        );
        left += wide + GAP * 2.0;
        row = row.max(high);
        widest = widest.max(left - GAP);
    }
    let spot = |at: &usize| spots.get(at).copied().unwrap_or_default();
    let boxes = widths
        .iter()
        .enumerate()
        .map(|(at, width)| Place {
            x: spot(&at).0,
            y: spot(&at).1,
            width: *width,
        })
        .collect();
    let lines = chains
        .iter()
        .map(|chain| chain.iter().map(spot).collect())
        .collect();
    Placed {
        boxes,
        lines,
        width: widest.max(GAP * 2.0),
        height: top + row + GAP,
    }
}

fn width(name: &str, below: &str) -> f64 {
    let letters = |text: &str, each: f64| {
        each * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
    };
    letters(name, LETTER).max(letters(below, LETTER * 0.84)) + 24.0
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The layer of each box, from the top: as low as can be, just above what it needs. Arrows that
/// close a circle do not count.
fn ranks(graph: &Graph) -> Vec<usize> {
    let mut heights = vec![0; graph.vertices.len()];
    for _ in 0..heights.len() {
        let mut changed = false;
        for arrow in graph.arrows.iter().filter(|arrow| arrow.from != arrow.to) {
            let least = heights[arrow.to] + 1;
            if heights[arrow.from] < least && least < heights.len() {
                heights[arrow.from] = least;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let highest = heights.iter().max().copied().unwrap_or_default();
    narrowed(
        graph,
        heights.into_iter().map(|height| highest - height).collect(),
    )
}

/// Layers that are wider than a screen become several, one below the other: no arrow leads from one
/// box of a layer to another.
fn narrowed(graph: &Graph, ranks: Vec<usize>) -> Vec<usize> {
    let mut layers: Vec<Vec<usize>> =
        vec![Vec::new(); ranks.iter().max().map_or(0, |deepest| deepest + 1)];
    ranks
        .iter()
        .enumerate()
        .for_each(|(at, rank)| layers[*rank].push(at));
    let (mut narrow, mut top) = (ranks, 0);
    for layer in layers {
        let mut left = 0.0;
        for at in layer {
            let wide = width(&graph.vertices[at].name, &graph.vertices[at].below) + GAP;
            if left > 0.0 && left + wide > WIDTH {
                (left, top) = (0.0, top + 1);
            }
            narrow[at] = top;
            left += wide;
        }
        top += 1;
    }
    narrow
}

/// Points at which long arrows pass the layers between, by their layer; and for each arrow the
/// boxes and points that it goes through.
fn passages(graph: &Graph, ranks: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut points = Vec::new();
    let chain = |arrow: &super::Arrow| {
        let mut chain = vec![arrow.from];
        for rank in ranks[arrow.from] + 1..ranks[arrow.to] {
            chain.push(ranks.len() + points.len());
            points.push(rank);
        }
        chain.push(arrow.to);
        chain
    };
    let chains = graph.arrows.iter().map(chain).collect();
    (points, chains)
}

/// Puts a part into its layers. The order from left to right in each is given; where each stands
/// follows from what it is connected with. Its left edge is 0.
fn spread(
    part: Vec<(usize, usize, f64)>,
    edges: &[(u32, u32)],
    size: &dyn Fn(usize) -> f64,
) -> Vec<(usize, f64, f64)> {
    let deepest = part
        .iter()
        .map(|(_, rank, _)| *rank)
        .max()
        .unwrap_or_default();
    let mut layers: Vec<Vec<(usize, f64)>> = vec![Vec::new(); deepest + 1];
    for (at, rank, x) in part {
        layers[rank].push((at, x));
    }
    for layer in &mut layers {
        layer.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    let layers: Vec<Vec<usize>> = layers
        .into_iter()
        .map(|layer| layer.into_iter().map(|(at, _)| at).collect())
        .collect();
    let mut neighbours: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, to) in edges {
        neighbours.entry(index(*from)).or_default().push(index(*to));
        neighbours.entry(index(*to)).or_default().push(index(*from));
    }
    let mut x: HashMap<usize, f64> = layers
        .iter()
        .flat_map(|layer| apart(layer, &vec![0.0; layer.len()], size))
        .collect();
    for round in 0..ROUNDS {
        for at in 0..layers.len() {
            let layer = &layers[if round % 2 == 0 {
                at
            } else {
                layers.len() - 1 - at
            }];
            let middle = |vertex: &usize| {
                let near: Vec<f64> = neighbours
                    .get(vertex)
                    .into_iter()
                    .flatten()
                    .filter_map(|it| x.get(it).copied())
                    .collect();
                #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 neighbours")]
                let mean = near.iter().sum::<f64>() / near.len() as f64;
                if near.is_empty() { x[vertex] } else { mean }
            };
            let wanted: Vec<f64> = layer.iter().map(middle).collect();
            x.extend(apart(layer, &wanted, size));
        }
    }
    let left = x
        .iter()
        .map(|(at, x)| x - size(*at) / 2.0)
        .fold(f64::MAX, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "nobody draws 2^53 layers")]
    let placed = layers
        .iter()
        .enumerate()
        .flat_map(|(rank, layer)| layer.iter().map(move |at| (*at, rank as f64 * LAYER)));
    placed.map(|(at, y)| (at, x[&at] - left, y)).collect()
}

/// Places as near to those that are wanted as can be (least squares) without changing the order or
/// overlapping: neighbours that would overlap become a block that stands where its members on
/// average want to.
fn apart(layer: &[usize], wanted: &[f64], size: &dyn Fn(usize) -> f64) -> Vec<(usize, f64)> {
    let mut offsets = vec![0.0; layer.len()];
    for at in 1..layer.len() {
        offsets[at] = offsets[at - 1] + f64::midpoint(size(layer[at - 1]), size(layer[at])) + GAP;
    }
    // Blocks: the sum of what is wanted, and how many want it.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        let mut block = (wanted - offset, 1.0);
        while let Some(before) = blocks
            .last()
            .copied()
            .filter(|before| before.0 / before.1 > block.0 / block.1)
        {
            blocks.pop();
            block = (block.0 + before.0, block.1 + before.1);
        }
        blocks.push(block);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was counted"
    )]
    let starts = blocks
        .iter()
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / count, *count as usize));
    layer
        .iter()
        .zip(starts)
        .zip(offsets)
        .map(|((at, start), offset)| (*at, start + offset))
        .collect()
}
