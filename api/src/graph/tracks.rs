//! Places for the routes backwards: tracks to the right of the boxes.
//!
//! Law: the cells and the needs lie in the order that they have without routes backwards, so that a pipeline with many of
//! them is read from top to bottom as one without. All routes back to one cell share a track; a line leaves its cell to
//! the right, or through the gap below where something stands beside it. It crosses no box, and no two labels lie on
//! each other: each has a slot of its own height, at the side of its cell or in a gap.

use super::blocks::{CellBack, Cells};
use super::geometry::{BoxContent, Point, label_width};
use super::ranks::Ranks;
use super::rows::{BackHeights, PlacedRows};

/// Between tracks.
const TRACK: f64 = 11.0;
/// From a cell to its label.
const TO_LABEL: f64 = 12.0;
/// How far a line bends before a corner.
const CORNER: f64 = 6.0;
/// How far a cell's route to itself goes out.
const LOOP: f64 = 14.0;
/// The height that a line with its label takes, and that one that comes in takes.
const LABEL_SLOT: f64 = 19.0;
const ENTRY_SLOT: f64 = 9.0;
/// Above and below the slots of a gap.
const GAP_EDGE: f64 = 6.0;
/// Where lines leave a cell downwards: from its right end, and between them.
const STUB: f64 = 14.0;
const STUB_STEP: f64 = 7.0;

/// A line from the failing step to the reworked one, and its label's middle.
pub(super) type PlacedBack = (Vec<Point>, Point);

/// Where a line leaves or enters its cell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LineSide {
    /// At the right, at this part of the cell's height.
    Right(f64),
    /// Through the gap, in this slot of it.
    Gap(usize),
}

/// Which way each route backwards goes: known before anything has a height.
pub(super) struct Tracks<'a> {
    backs: &'a [CellBack],
    content: BoxContent,
    /// The targets, the inmost track first.
    targets: Vec<usize>,
    /// By route, then by target.
    leaves: Vec<LineSide>,
    enters: Vec<LineSide>,
    /// By route: the left end of its label.
    labels: Vec<f64>,
    /// By cell: the height that its slots take.
    heights: Vec<f64>,
    /// By gap, the one above all ranks first: lines with labels, lines that come in.
    gaps: Vec<(usize, usize)>,
    /// Where the inmost track lies.
    first: f64,
}

/// The room to the right of each cell for its route to itself.
pub(super) fn loop_rooms(cells: &Cells, content: BoxContent) -> Vec<f64> {
    let mut rooms = vec![0.0; cells.cells.len()];
    for back in cells.backs.iter().filter(|back| back.from == back.to) {
        rooms[back.from] = LOOP + TO_LABEL + label_width(&back.label, content);
    }
    rooms
}

impl<'a> Tracks<'a> {
    pub(super) fn of(cells: &'a Cells, ranks: &Ranks, rooms: &[f64], content: BoxContent) -> Self {
        let backs = cells.backs.as_slice();
        let ends = (0..cells.cells.len()).map(|at| ranks.x[at] + cells.cells[at].width + rooms[at]);
        let passages = ranks.passages.iter().flatten().map(|passage| passage.x);
        let right = ends.chain(passages).fold(0.0, f64::max);
        let mut tracks = Self {
            backs,
            content,
            targets: targets(backs, ranks),
            leaves: Vec::new(),
            enters: Vec::new(),
            labels: Vec::new(),
            heights: vec![0.0; cells.cells.len()],
            gaps: vec![(0, 0); ranks.count + 1],
            first: right + TRACK,
        };
        let is_free = |cell: usize| {
            !(0..cells.cells.len())
                .any(|other| ranks.rank[other] == ranks.rank[cell] && ranks.x[other] > ranks.x[cell])
        };
        tracks.enter(ranks, is_free);
        tracks.leave(ranks, is_free);
        for (at, back) in backs.iter().enumerate() {
            let own = ranks.x[back.from] + cells.cells[back.from].width;
            let width = label_width(&back.label, content);
            let passes = |from: f64, to: f64| {
                let is_between = |x: f64| x > from && x < to + TO_LABEL;
                let mut passages = ranks.passages.iter().flatten();
                passages.any(|passage| passage.rank == ranks.rank[back.from] && is_between(passage.x))
            };
            let from = match tracks.leaves[at] {
                LineSide::Right(_) if back.from == back.to => own + LOOP + TO_LABEL,
                LineSide::Right(_) if !passes(own, own + TO_LABEL + width) => own + TO_LABEL,
                _ => right + TO_LABEL,
            };
            tracks.labels.push(from);
            tracks.first = tracks.first.max(from + width + TRACK);
        }
        tracks
    }

    /// Which way the routes come to their targets; a line that comes in at the right has the uppermost slot.
    fn enter(&mut self, ranks: &Ranks, is_free: impl Fn(usize) -> bool) {
        for target in &self.targets {
            self.enters.push(if is_free(*target) {
                self.heights[*target] = ENTRY_SLOT;
                LineSide::Right(ENTRY_SLOT / 2.0)
            } else {
                let gap = &mut self.gaps[ranks.rank[*target]];
                gap.1 += 1;
                LineSide::Gap(gap.1 - 1)
            });
        }
    }

    fn leave(&mut self, ranks: &Ranks, is_free: impl Fn(usize) -> bool) {
        for back in self.backs {
            self.leaves.push(if back.from == back.to || is_free(back.from) {
                let height = &mut self.heights[back.from];
                *height += LABEL_SLOT;
                LineSide::Right(*height - LABEL_SLOT / 2.0)
            } else {
                let gap = &mut self.gaps[ranks.rank[back.from] + 1];
                gap.0 += 1;
                LineSide::Gap(gap.0 - 1)
            });
        }
    }

    /// The heights that the lines take.
    pub(super) fn heights(&self) -> BackHeights {
        let height = |(labels, entries): &(usize, usize)| match labels + entries {
            0 => 0.0,
            _ => 2.0 * GAP_EDGE + LABEL_SLOT * *labels as f64 + ENTRY_SLOT * *entries as f64,
        };
        BackHeights { cells: self.heights.clone(), gaps: self.gaps.iter().map(height).collect() }
    }

    /// The lines of all routes backwards.
    pub(super) fn lines(&self, rows: &PlacedRows) -> Vec<PlacedBack> {
        (0..self.backs.len()).map(|at| self.line(at, rows)).collect()
    }

    /// A height at the right of a cell.
    fn at_right(&self, cell: usize, part: f64, rows: &PlacedRows) -> f64 {
        let rect = &rows.cells[cell];
        rect.y + rect.height * part / self.heights[cell].max(1.0)
    }

    fn line(&self, at: usize, rows: &PlacedRows) -> PlacedBack {
        let back = &self.backs[at];
        let (from, to) = (&rows.cells[back.from], &rows.cells[back.to]);
        let middle = self.labels[at] + label_width(&back.label, self.content) / 2.0;
        let mut line = Vec::new();
        let low = match self.leaves[at] {
            LineSide::Right(part) => {
                let y = self.at_right(back.from, part, rows);
                if back.from == back.to {
                    let (right, out) = (from.right(), from.right() + LOOP);
                    let line = vec![(right, y + 5.0), (out, y + 5.0), (out, y - 5.0), (right, y - 5.0)];
                    return (line, (middle, y));
                }
                line.push((from.right(), y));
                y
            }
            LineSide::Gap(slot) => {
                let y = rows.bottoms[rows.rank[back.from]] + GAP_EDGE + LABEL_SLOT * (slot as f64 + 0.5);
                let own = self.backs[..at].iter().filter(|other| other.from == back.from);
                let x = from.right() - STUB - STUB_STEP * (own.count() % 5) as f64;
                line.extend([(x, from.bottom()), (x, y - CORNER), (x, y), (x + CORNER, y)]);
                y
            }
        };
        let nth = self.targets.iter().position(|target| *target == back.to).unwrap_or_default();
        let track = self.first + TRACK * nth as f64;
        let side = self.enters.get(nth).copied().unwrap_or(LineSide::Gap(0));
        let high = match side {
            LineSide::Right(part) => self.at_right(back.to, part, rows),
            LineSide::Gap(slot) => {
                rows.tops[rows.rank[back.to]] - GAP_EDGE - ENTRY_SLOT * (slot as f64 + 0.5)
            }
        };
        let up = if high < low { -CORNER } else { CORNER };
        line.extend([(track - CORNER, low), (track, low), (track, low + up)]);
        line.extend([(track, high - up), (track, high), (track - CORNER, high)]);
        if let LineSide::Right(_) = side {
            line.push((to.right(), high));
        } else {
            let x = to.right() - STUB;
            line.extend([(x + CORNER, high), (x, high), (x, high + CORNER), (x, to.y)]);
        }
        (line, (middle, low))
    }
}

/// The cells that routes lead back to, the one with the shortest way first.
fn targets(backs: &[CellBack], ranks: &Ranks) -> Vec<usize> {
    let mut targets: Vec<usize> = Vec::new();
    for back in backs.iter().filter(|back| back.from != back.to) {
        if !targets.contains(&back.to) {
            targets.push(back.to);
        }
    }
    let span = |target: &usize| {
        let of = backs.iter().filter(|back| back.to == *target && back.from != back.to);
        of.map(|back| ranks.rank[back.from].abs_diff(ranks.rank[*target])).max()
    };
    targets.sort_by_key(span);
    targets
}
