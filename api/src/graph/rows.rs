//! Heights of ranks and gaps, and the lines of the needs through them.
//!
//! Law: an arrow leaves its cell at the bottom and enters at the top. Where it passes a rank it goes straight down its
//! passage; it goes aside in the gaps between ranks alone, where no box is.

use super::blocks::Cells;
use super::geometry::{BoxContent, Point, Rect};
use super::ranks::Ranks;

/// So far from a rank an arrow turns aside, at most and as a part of the gap.
const TURN: f64 = 16.0;
const TURN_PART: f64 = 0.3;
/// Between the places at which arrows leave or enter one cell, at most.
const PORT_STEP: f64 = 14.0;
/// From the ends of a cell to the places at which arrows leave or enter it.
const PORT_EDGE: f64 = 28.0;
/// So many arrows have a place of their own at a cell; more leave or enter in the middle.
const PORTS_MAX: usize = 7;

/// Cells with their places.
pub(super) struct PlacedRows {
    /// By cell.
    pub(super) cells: Vec<Rect>,
    /// By cell.
    pub(super) rank: Vec<usize>,
    /// By rank.
    pub(super) tops: Vec<f64>,
    pub(super) bottoms: Vec<f64>,
    /// By arrow.
    pub(super) arrows: Vec<Vec<Point>>,
}

/// The heights that routes backwards take.
pub(super) struct BackHeights {
    /// By cell.
    pub(super) cells: Vec<f64>,
    /// By gap, the one above all ranks first.
    pub(super) gaps: Vec<f64>,
}

/// An arrow without heights.
struct Course {
    leaves: f64,
    enters: f64,
}

impl PlacedRows {
    pub(super) fn of(cells: &Cells, ranks: &Ranks, backs: &BackHeights, content: BoxContent) -> Self {
        let height = |at: usize| cells.cells[at].height.max(backs.cells[at]);
        let mut heights = vec![0.0_f64; ranks.count];
        for (at, rank) in ranks.rank.iter().enumerate() {
            heights[*rank] = heights[*rank].max(height(at));
        }
        let courses = courses(cells, ranks);
        let gaps = gaps(cells, ranks, &courses, backs, content);
        let (mut tops, mut bottoms) = (Vec::new(), Vec::new());
        let mut y = 0.0;
        for (height, gap) in heights.iter().zip(&gaps) {
            y += gap;
            tops.push(y);
            y += height;
            bottoms.push(y);
        }
        let rect = |at: usize| {
            let rank = ranks.rank[at];
            let y = (tops[rank] + bottoms[rank] - height(at)) / 2.0;
            Rect { x: ranks.x[at], y, width: cells.cells[at].width, height: height(at) }
        };
        let placed = (0..cells.cells.len()).map(rect).collect();
        let mut rows = Self { cells: placed, rank: ranks.rank.clone(), tops, bottoms, arrows: Vec::new() };
        for (at, (from, to)) in cells.arrows.iter().enumerate() {
            let line = rows.line(ranks, at, (*from, *to), &courses[at]);
            rows.arrows.push(line);
        }
        rows
    }

    fn line(&self, ranks: &Ranks, at: usize, (from, to): (usize, usize), course: &Course) -> Vec<Point> {
        let mut line = vec![(course.leaves, self.cells[from].bottom())];
        // A point half way to the turn keeps the curve that is drawn through the points in its passage until it has left
        // the rank.
        let leave = |line: &mut Vec<Point>, x: f64, rank: usize| {
            let (bottom, turn) = (self.bottoms[rank], self.turn_below(rank));
            line.extend([(x, bottom + turn / 2.0), (x, bottom + turn)]);
        };
        let enter = |line: &mut Vec<Point>, x: f64, rank: usize| {
            let (top, turn) = (self.tops[rank], self.turn_below(rank.saturating_sub(1)));
            line.extend([(x, top - turn), (x, top - turn / 2.0)]);
        };
        leave(&mut line, course.leaves, self.rank[from]);
        for passage in &ranks.passages[at] {
            enter(&mut line, passage.x, passage.rank);
            leave(&mut line, passage.x, passage.rank);
        }
        enter(&mut line, course.enters, self.rank[to]);
        line.push((course.enters, self.cells[to].y));
        line
    }

    /// How far from the ranks beside the gap below a rank arrows turn in it.
    fn turn_below(&self, rank: usize) -> f64 {
        let gap = self.tops.get(rank + 1).map_or(0.0, |next| next - self.bottoms[rank]);
        (gap * TURN_PART).min(TURN)
    }
}

/// Where the arrows leave and enter their cells: in the order of the places that they come from or go to.
fn courses(cells: &Cells, ranks: &Ranks) -> Vec<Course> {
    let middle = |cell: usize| ranks.x[cell] + cells.cells[cell].width / 2.0;
    let mut courses: Vec<Course> =
        cells.arrows.iter().map(|(from, to)| Course { leaves: middle(*from), enters: middle(*to) }).collect();
    for cell in 0..cells.cells.len() {
        let mut out: Vec<(f64, usize)> = Vec::new();
        let mut into: Vec<(f64, usize)> = Vec::new();
        for (at, (from, to)) in cells.arrows.iter().enumerate() {
            if *from == cell {
                out.push((ranks.passages[at].first().map_or_else(|| middle(*to), |passage| passage.x), at));
            }
            if *to == cell {
                into.push((ranks.passages[at].last().map_or_else(|| middle(*from), |passage| passage.x), at));
            }
        }
        let (left, width) = (ranks.x[cell], cells.cells[cell].width);
        for (x, at) in ports(out, left, width) {
            courses[at].leaves = x;
        }
        for (x, at) in ports(into, left, width) {
            courses[at].enters = x;
        }
    }
    courses
}

/// Places at one end of a cell, from left to right.
fn ports(mut others: Vec<(f64, usize)>, left: f64, width: f64) -> Vec<(f64, usize)> {
    others.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let count = others.len();
    let between = match count {
        2..=PORTS_MAX => ((width - 2.0 * PORT_EDGE) / (count - 1) as f64).clamp(0.0, PORT_STEP),
        _ => 0.0,
    };
    let first = left + width / 2.0 - between * count.saturating_sub(1) as f64 / 2.0;
    others.iter().enumerate().map(|(nth, (_, at))| (first + between * nth as f64, *at)).collect()
}

/// The height of each gap, the one above all ranks first: arrows that go far aside have more of it.
fn gaps(
    cells: &Cells,
    ranks: &Ranks,
    courses: &[Course],
    backs: &BackHeights,
    content: BoxContent,
) -> Vec<f64> {
    let mut aside = vec![0.0_f64; ranks.count + 1];
    for ((course, passages), (_, to)) in courses.iter().zip(&ranks.passages).zip(&cells.arrows) {
        let mut x = course.leaves;
        let ends = [(ranks.rank[*to], course.enters)];
        for (rank, next) in passages.iter().map(|passage| (passage.rank, passage.x)).chain(ends) {
            aside[rank] = aside[rank].max((next - x).abs());
            x = next;
        }
    }
    let (least, most) = match content {
        BoxContent::Full => (40.0, 60.0),
        BoxContent::Names => (22.0, 54.0),
    };
    let last = ranks.count;
    let lines = backs.gaps.iter().zip(aside).enumerate();
    lines
        .map(|(gap, (back, aside))| match gap {
            0 => *back,
            gap if gap == last => 0.0,
            _ => least + (aside * 0.12).min(most) + back,
        })
        .collect()
}
