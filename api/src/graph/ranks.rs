//! Ranks: which cells stand beside each other, where they stand, and the passages on which arrows pass them.
//!
//! Law: in a rank no two cells lie on each other and no passage lies on a cell, so that an arrow that keeps to its passages
//! crosses no box.

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, layout};

use super::blocks::Cells;
use super::geometry::BoxContent;

/// Between two cells, at least.
const BETWEEN_CELLS: f64 = 14.0;
/// Between a passage and what is beside it, at least.
const BESIDE_PASSAGE: f64 = 8.0;

/// An arrow passes a rank here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    pub(super) rank: usize,
    pub(super) x: f64,
}

/// Cells in ranks, the uppermost first.
pub(super) struct Ranks {
    pub(super) count: usize,
    /// By cell.
    pub(super) rank: Vec<usize>,
    /// By cell: its left end.
    pub(super) x: Vec<f64>,
    /// By arrow: the ranks that it passes, downwards.
    pub(super) passages: Vec<Vec<Passage>>,
}

/// What takes room in a rank.
#[derive(Debug, Clone, Copy)]
enum Occupant {
    Cell(usize),
    /// An arrow and the place in its passages.
    Passage(usize, usize),
}

impl Ranks {
    /// Ranks, order and places of the cells; each has so much room to its right as `rooms` says.
    pub(super) fn of(cells: &Cells, rooms: &[f64], content: BoxContent) -> Self {
        let laid = laid_out(cells, content);
        let mut heights: Vec<i64> = laid.centres.iter().map(|(_, y)| level(*y)).collect();
        heights.sort_unstable();
        heights.dedup();
        let rank_at = |y: f64| heights.iter().position(|height| (height - level(y)).abs() <= 5);
        let rank = laid.centres.iter().map(|(_, y)| rank_at(*y).unwrap_or_default()).collect();
        let x = laid.centres.iter().zip(&cells.cells).map(|((x, _), cell)| x - cell.width / 2.0).collect();
        let mut ranks = Self { count: heights.len(), rank, x, passages: Vec::new() };
        for ((from, to), points) in cells.arrows.iter().zip(laid.bends) {
            let (first, last) = (ranks.rank[*from], ranks.rank[*to]);
            let mut passages: Vec<Passage> = Vec::new();
            for rank in first + 1..last {
                let bend = points.iter().find(|(_, y)| rank_at(*y) == Some(rank));
                let before = passages.last().map_or(ranks.x[*from], |passage| passage.x);
                passages.push(Passage { rank, x: bend.map_or(before, |(x, _)| *x) });
            }
            ranks.passages.push(passages);
        }
        for rank in 0..ranks.count {
            ranks.make_room(rank, cells, rooms);
        }
        ranks
    }

    /// Moves to the right what would lie on its neighbour.
    fn make_room(&mut self, rank: usize, cells: &Cells, rooms: &[f64]) {
        let mut occupants: Vec<(f64, Occupant)> = Vec::new();
        for (at, cell) in cells.cells.iter().enumerate().filter(|(at, _)| self.rank[*at] == rank) {
            occupants.push((self.x[at] + cell.width / 2.0, Occupant::Cell(at)));
        }
        for (at, passages) in self.passages.iter().enumerate() {
            let here = passages.iter().enumerate().filter(|(_, passage)| passage.rank == rank);
            occupants.extend(here.map(|(nth, passage)| (passage.x, Occupant::Passage(at, nth))));
        }
        occupants.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut end: Option<(f64, bool)> = None;
        for (_, occupant) in occupants {
            let (x, is_cell) = match occupant {
                Occupant::Cell(at) => (&mut self.x[at], true),
                Occupant::Passage(at, nth) => (&mut self.passages[at][nth].x, false),
            };
            if let Some((end, was_cell)) = end {
                let between = if is_cell && was_cell { BETWEEN_CELLS } else { BESIDE_PASSAGE };
                *x = x.max(end + between);
            }
            let width = match occupant {
                Occupant::Cell(at) => cells.cells[at].width + rooms[at],
                Occupant::Passage(..) => 0.0,
            };
            end = Some((*x + width, is_cell));
        }
    }
}

/// What the library gives.
struct LaidOut {
    /// By cell: its middle.
    centres: Vec<(f64, f64)>,
    /// By arrow: where it passes ranks.
    bends: Vec<Vec<(f64, f64)>>,
}

/// Tenths of a pixel.
fn level(y: f64) -> i64 {
    (y * 10.0).round() as i64
}

fn laid_out(cells: &Cells, content: BoxContent) -> LaidOut {
    let mut graph: Graph<NodeLabel, EdgeLabel> =
        Graph::with_options(GraphOptions { directed: true, multigraph: true, compound: false });
    let name = |at: usize| format!("n{at}");
    for (at, cell) in cells.cells.iter().enumerate() {
        let (width, height) = (cell.width, cell.height);
        graph.set_node(name(at), Some(NodeLabel { width, height, ..NodeLabel::default() }));
    }
    for (at, (from, to)) in cells.arrows.iter().enumerate() {
        let label = EdgeLabel { weight: 4, ..EdgeLabel::default() };
        graph.set_edge(name(*from), name(*to), Some(label), Some(&format!("a{at}")));
    }
    let (nodesep, edgesep, ranksep) = match content {
        BoxContent::Full => (36.0, 24.0, 44.0),
        BoxContent::Names => (20.0, 14.0, 22.0),
    };
    let options = LayoutOptions { nodesep, edgesep, ranksep, ..LayoutOptions::default() };
    layout(&mut graph, Some(options));
    let centre = |at: usize| {
        let node = graph.node(&name(at));
        node.map_or((0.0, 0.0), |node| (node.x.unwrap_or_default(), node.y.unwrap_or_default()))
    };
    let bends = |(at, (from, to)): (usize, &(usize, usize))| {
        let edge = graph.edge(&name(*from), &name(*to), Some(&format!("a{at}")));
        edge.map_or_else(Vec::new, |edge| edge.points.iter().map(|point| (point.x, point.y)).collect())
    };
    LaidOut {
        centres: (0..cells.cells.len()).map(centre).collect(),
        bends: cells.arrows.iter().enumerate().map(bends).collect(),
    }
}
