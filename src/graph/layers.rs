//! Layered layout of boxes and arrows: dependents above their dependencies.

use super::Graph;
use rust_sugiyama::{
    configure::{Config, CrossingMinimization, RankingType},
    from_vertices_and_edges,
};
use std::collections::{BTreeSet, HashMap};

/// Height of a box.
pub(super) const BOX_HEIGHT: f64 = 44.0;
/// Distance from one layer to the next.
const LAYER_DISTANCE: f64 = 104.0;
/// Space between the boxes of a layer, and around the drawing.
const GAP: f64 = 28.0;
/// Width of a letter.
const LETTER_WIDTH: f64 = 7.6;
/// Connected parts are placed in rows up to this width.
const MAX_WIDTH: f64 = 1600.0;
/// Number of passes that improve the positions.
const PASSES: usize = 24;
/// Width of a line where it crosses a layer.
const LINE_WIDTH: f64 = 2.0;

/// A box: its center and its width.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct BoxPosition {
    pub x: f64,
    pub y: f64,
    pub width: f64,
}

/// The finished layout.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub boxes: Vec<BoxPosition>,
    /// For each arrow, the points on its way from box to box.
    pub lines: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

pub(super) fn layout(graph: &Graph) -> Layout {
    let layers = Layers::of(graph);
    let mut page = Drawing::default();
    let edges = layers.edges();
    for (layout, _, _) in from_vertices_and_edges(&layers.vertices(), &edges, &config()) {
        page.add(layers.part(&layout, &edges), &layers);
    }
    let spot = |at: &usize| page.positions.get(at).copied().unwrap_or_default();
    let placed = |(at, width): (usize, &f64)| BoxPosition {
        x: spot(&at).0,
        y: spot(&at).1,
        width: *width,
    };
    let line = |chain: &Vec<usize>| chain.iter().map(spot).collect();
    Layout {
        boxes: layers.widths.iter().enumerate().map(placed).collect(),
        lines: layers.chains.iter().map(line).collect(),
        width: page.widest.max(GAP * 2.0),
        height: page.top + page.row + GAP,
    }
}

/// Uses the layers that `ranks` computes: the other ranking types of the library do not always
/// terminate.
fn config() -> Config {
    Config {
        vertex_spacing: GAP,
        dummy_vertices: false,
        ranking_type: RankingType::Down,
        c_minimization: CrossingMinimization::Barycenter,
        ..Config::default()
    }
}

/// The layer of each vertex: boxes first, then the points where lines cross a layer.
struct Layers {
    /// Width of each box.
    widths: Vec<f64>,
    /// Layer of each box and of each point.
    ranks: Vec<usize>,
    /// For each arrow, the boxes and points on its way.
    chains: Vec<Vec<usize>>,
}

impl Layers {
    fn of(graph: &Graph) -> Self {
        let vertices = graph.vertices.iter();
        let mut ranks = ranks(graph);
        let (points, chains) = crossings(graph, &ranks);
        ranks.extend(points);
        Self {
            widths: vertices.map(|it| width(&it.name, &it.caption)).collect(),
            ranks,
            chains,
        }
    }

    fn size(&self, at: usize) -> f64 {
        self.widths.get(at).copied().unwrap_or(LINE_WIDTH)
    }

    fn vertices(&self) -> Vec<(u32, (f64, f64))> {
        let all = 0..self.ranks.len();
        all.map(|at| (vertex_id(at), (self.size(at), BOX_HEIGHT)))
            .collect()
    }

    /// Returns the edges between layers, without duplicates and without edges that close a cycle.
    fn edges(&self) -> Vec<(u32, u32)> {
        let pairs = self.chains.iter().flat_map(|chain| chain.windows(2));
        let down = pairs.filter(|pair| self.ranks[pair[0]] < self.ranks[pair[1]]);
        let edges = down.map(|pair| (vertex_id(pair[0]), vertex_id(pair[1])));
        edges.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the positions of one connected part, relative to its top left corner.
    fn part(&self, layout: &[(usize, (f64, f64))], edges: &[(u32, u32)]) -> Vec<(usize, f64, f64)> {
        let ranks = layout.iter().map(|(at, _)| self.ranks[*at]);
        let first = ranks.min().unwrap_or_default();
        let placed = layout.iter();
        let placed = placed.map(|(at, (x, _))| (*at, self.ranks[*at] - first, *x));
        position_part(placed.collect(), edges, &|at| self.size(at))
    }
}

/// A drawing that is filled row by row with connected parts.
struct Drawing {
    positions: HashMap<usize, (f64, f64)>,
    left: f64,
    top: f64,
    /// Height of the current row.
    row: f64,
    widest: f64,
}

impl Default for Drawing {
    fn default() -> Self {
        Self {
            positions: HashMap::new(),
            left: GAP,
            top: GAP,
            row: 0.0,
            widest: 0.0,
        }
    }
}

impl Drawing {
    fn add(&mut self, part: Vec<(usize, f64, f64)>, layers: &Layers) {
        let edges = part.iter().map(|(at, x, _)| x + layers.size(*at) / 2.0);
        let width = edges.fold(0.0, f64::max);
        let height = part
            .iter()
            .map(|(_, _, y)| y + BOX_HEIGHT)
            .fold(0.0, f64::max);
        if self.left > GAP && self.left + width > MAX_WIDTH {
            (self.left, self.top, self.row) = (GAP, self.top + self.row + GAP * 2.0, 0.0);
        }
        let (left, top) = (self.left, self.top + BOX_HEIGHT / 2.0);
        let spots = part.into_iter();
        self.positions
            .extend(spots.map(|(at, x, y)| (at, (left + x, top + y))));
        self.left += width + GAP * 2.0;
        self.row = self.row.max(height);
        self.widest = self.widest.max(self.left - GAP);
    }
}

fn width(name: &str, below: &str) -> f64 {
    let letters = |text: &str, each: f64| {
        each * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
    };
    letters(name, LETTER_WIDTH).max(letters(below, LETTER_WIDTH * 0.84)) + 24.0
}

fn vertex_id(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Returns the layer of each box, counted from the top: as low as possible, just above its
/// dependencies. Ignores arrows that close a cycle.
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
    split_wide_layers(
        graph,
        heights.into_iter().map(|height| highest - height).collect(),
    )
}

/// Splits layers that are wider than a screen. This is safe because no arrow connects two boxes of
/// one layer.
fn split_wide_layers(graph: &Graph, ranks: Vec<usize>) -> Vec<usize> {
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
            let width = width(&graph.vertices[at].name, &graph.vertices[at].caption) + GAP;
            if left > 0.0 && left + width > MAX_WIDTH {
                (left, top) = (0.0, top + 1);
            }
            narrow[at] = top;
            left += width;
        }
        top += 1;
    }
    narrow
}

/// Returns the layers of the points where long arrows cross the layers in between, and for each
/// arrow the boxes and points on its way.
fn crossings(graph: &Graph, ranks: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
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

/// Positions a connected part. The order within each layer is given; the positions follow from the
/// connected boxes. The left edge is 0.
fn position_part(
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
    let mut neighbors: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, to) in edges {
        neighbors.entry(index(*from)).or_default().push(index(*to));
        neighbors.entry(index(*to)).or_default().push(index(*from));
    }
    let mut x: HashMap<usize, f64> = layers
        .iter()
        .flat_map(|layer| separate(layer, &vec![0.0; layer.len()], size))
        .collect();
    for round in 0..PASSES {
        for at in 0..layers.len() {
            let layer = &layers[if round % 2 == 0 {
                at
            } else {
                layers.len() - 1 - at
            }];
            let middle = |vertex: &usize| {
                let near: Vec<f64> = neighbors
                    .get(vertex)
                    .into_iter()
                    .flatten()
                    .filter_map(|it| x.get(it).copied())
                    .collect();
                #[expect(clippy::cast_precision_loss, reason = "no vertex has 2^53 neighbors")]
                let mean = near.iter().sum::<f64>() / near.len() as f64;
                if near.is_empty() { x[vertex] } else { mean }
            };
            let desired: Vec<f64> = layer.iter().map(middle).collect();
            x.extend(separate(layer, &desired, size));
        }
    }
    let left = x
        .iter()
        .map(|(at, x)| x - size(*at) / 2.0)
        .fold(f64::MAX, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "no graph has 2^53 layers")]
    let placed = layers.iter().enumerate().flat_map(|(rank, layer)| {
        layer
            .iter()
            .map(move |at| (*at, rank as f64 * LAYER_DISTANCE))
    });
    placed.map(|(at, y)| (at, x[&at] - left, y)).collect()
}

/// Returns the positions nearest to the desired ones (least squares), without overlaps and in the
/// same order. Neighbors that would overlap form a block at the average of their desired positions.
fn separate(layer: &[usize], desired: &[f64], size: &dyn Fn(usize) -> f64) -> Vec<(usize, f64)> {
    let mut offsets = vec![0.0; layer.len()];
    for at in 1..layer.len() {
        offsets[at] = offsets[at - 1] + f64::midpoint(size(layer[at - 1]), size(layer[at])) + GAP;
    }
    // Blocks: the sum of the desired positions, and the number of members.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for (desired, offset) in desired.iter().zip(&offsets) {
        let mut block = (desired - offset, 1.0);
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
        reason = "it is a count"
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
