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
/// Room that a line takes where it passes a layer.
const PASSAGE: f64 = 14.0;

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
    let widths: Vec<f64> = graph.vertices.iter().map(|it| width(&it.name, &it.below)).collect();
    let ranks = ranks(graph);
    let (points, chains) = passages(graph, &ranks);
    let size = |at: usize| if at < widths.len() { widths[at] } else { PASSAGE };
    let rank = |at: usize| if at < ranks.len() { ranks[at] } else { points[at - ranks.len()] };
    let vertices: Vec<(u32, (f64, f64))> = (0..ranks.len() + points.len()).map(|at| (number(at), (size(at) + GAP, HEIGHT))).collect();
    let pairs = chains.iter().flat_map(|chain| chain.windows(2)).map(|pair| (number(pair[0]), number(pair[1])));
    // Twice the same, and what closes a circle, says nothing about layers.
    let edges: Vec<(u32, u32)> =
        pairs.filter(|(from, to)| rank(index(*from)) < rank(index(*to))).collect::<BTreeSet<_>>().into_iter().collect();
    // The layers are those of `ranks`: the other ways to find them do not always come to an end.
    let config = Config {
        vertex_spacing: GAP,
        dummy_vertices: false,
        ranking_type: RankingType::Up,
        c_minimization: CrossingMinimization::Barycenter,
        ..Config::default()
    };
    let mut spots: HashMap<usize, (f64, f64)> = HashMap::new();
    let (mut left, mut top, mut row, mut widest) = (GAP, GAP, 0.0_f64, 0.0_f64);
    for (layout, _, _) in from_vertices_and_edges(&vertices, &edges, &config) {
        let least_rank = layout.iter().map(|(at, _)| rank(*at)).min().unwrap_or_default();
        let part = spread(layout.iter().map(|(at, (x, _))| (*at, rank(*at) - least_rank, *x)).collect(), &size);
        let (wide, high) =
            part.iter().fold((0.0_f64, 0.0_f64), |(wide, high), (at, x, y)| (wide.max(x + size(*at) / 2.0), high.max(y + HEIGHT)));
        if left > GAP && left + wide > WIDTH {
            (left, top, row) = (GAP, top + row + GAP * 2.0, 0.0);
        }
        spots.extend(part.into_iter().map(|(at, x, y)| (at, (left + x, top + y + HEIGHT / 2.0))));
        left += wide + GAP * 2.0;
        row = row.max(high);
        widest = widest.max(left - GAP);
    }
    let spot = |at: &usize| spots.get(at).copied().unwrap_or_default();
    let boxes = widths.iter().enumerate().map(|(at, width)| Place { x: spot(&at).0, y: spot(&at).1, width: *width }).collect();
    let lines = chains.iter().map(|chain| chain.iter().map(spot).collect()).collect();
    Placed { boxes, lines, width: widest.max(GAP * 2.0), height: top + row + GAP }
}

fn width(name: &str, below: &str) -> f64 {
    let letters = |text: &str, each: f64| each * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    letters(name, LETTER).max(letters(below, LETTER * 0.84)) + 24.0
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The layer of each box, from the top: as deep as the longest way to it. Arrows that close a circle do not count.
fn ranks(graph: &Graph) -> Vec<usize> {
    let mut ranks = vec![0; graph.vertices.len()];
    let arrows = || graph.arrows.iter().filter(|arrow| arrow.from != arrow.to);
    for _ in 0..graph.vertices.len() {
        let mut changed = false;
        for arrow in arrows() {
            let least = ranks[arrow.from] + 1;
            if ranks[arrow.to] < least && least < graph.vertices.len() {
                ranks[arrow.to] = least;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    ranks
}

/// Points at which long arrows pass the layers between, by their layer; and for each arrow the boxes and points that it goes through.
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

/// Puts a part into its layers, by its order from left to right, so that nothing overlaps. Its left edge is 0.
fn spread(mut part: Vec<(usize, usize, f64)>, size: &dyn Fn(usize) -> f64) -> Vec<(usize, f64, f64)> {
    part.sort_by(|a, b| a.1.cmp(&b.1).then(a.2.total_cmp(&b.2)));
    let mut placed: Vec<(usize, f64, f64)> = Vec::with_capacity(part.len());
    let mut edge: Option<(usize, f64)> = None;
    for (at, rank, x) in part {
        let half = size(at) / 2.0;
        let free = edge.filter(|(layer, _)| *layer == rank).map_or(f64::MIN, |(_, right)| right + GAP + half);
        let x = x.max(free);
        edge = Some((rank, x + half));
        #[expect(clippy::cast_precision_loss, reason = "nobody draws 2^53 layers")]
        placed.push((at, x, rank as f64 * LAYER));
    }
    let left = placed.iter().map(|(at, x, _)| x - size(*at) / 2.0).fold(f64::MAX, f64::min);
    placed.into_iter().map(|(at, x, y)| (at, x - left, y)).collect()
}
