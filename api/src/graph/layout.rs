//! Places for boxes and lines: cells ([`blocks`](super::blocks)) in [`ranks`](super::ranks), the ranks in
//! [`rows`](super::rows), the routes backwards on [`tracks`](super::tracks).

use super::blocks::Cells;
use super::geometry::{BoxContent, Point, Rect, label_width, text_width};
use super::ranks::Ranks;
use super::rows::PlacedRows;
use super::sketch::Sketch;
use super::tracks::{PlacedBack, Tracks, loop_rooms};

/// A placed picture; y grows downwards, all numbers are pixels.
pub(super) struct Placed {
    pub(super) width: f64,
    pub(super) height: f64,
    /// By box: its left upper corner, width and height.
    pub(super) boxes: Vec<Rect>,
    pub(super) blocks: Vec<PlacedBlock>,
    /// By arrow of the sketch.
    pub(super) arrows: Vec<Vec<Point>>,
    /// By route backwards: its line from the failing step to the reworked one, and its label's middle.
    pub(super) backs: Vec<PlacedBack>,
    /// How `on_finish` goes on from one box to the next.
    pub(super) finish: Vec<Vec<Point>>,
}

/// Steps side by side that the same lines lead to and from.
pub(super) struct PlacedBlock {
    pub(super) steps: Vec<usize>,
    pub(super) rect: Rect,
}

/// What is around the boxes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) margin: f64,
    /// The height of the title above, where there is one.
    pub(super) title: Option<f64>,
}

pub(super) const MARGIN: f64 = 24.0;
pub(super) const TITLE: f64 = 64.0;
const BETWEEN_FINISH: f64 = 56.0;
/// Between the boxes of `on_finish`, and between their rows.
const FINISH_GAP: f64 = 36.0;
/// A row of `on_finish` is at most so wide, where the picture is not.
const FINISH_ROW: f64 = 1_040.0;

pub(super) fn place(sketch: &Sketch, content: BoxContent, around: Frame) -> Placed {
    let cells = Cells::of(sketch, content);
    let rooms = loop_rooms(&cells, content);
    let ranks = Ranks::of(&cells, &rooms, content);
    let tracks = Tracks::of(&cells, &ranks, &rooms, content);
    let rows = PlacedRows::of(&cells, &ranks, &tracks.heights(), content);
    let lines = tracks.lines(&rows);
    let mut placed = Placed {
        width: 0.0,
        height: 0.0,
        boxes: vec![Rect::default(); sketch.boxes.len()],
        blocks: Vec::new(),
        arrows: cells.arrow_of.iter().map(|at| rows.arrows[*at].clone()).collect(),
        backs: cells.back_of.iter().map(|at| lines[*at].clone()).collect(),
        finish: Vec::new(),
    };
    for (cell, rect) in cells.cells.iter().zip(&rows.cells) {
        if cell.is_block() {
            placed.blocks.push(PlacedBlock { steps: cell.members.clone(), rect: *rect });
            for (step, inside) in cell.members.iter().zip(&cell.inside) {
                let (x, y) = (rect.x + inside.x, rect.y + inside.y);
                placed.boxes[*step] = Rect { x, y, ..*inside };
            }
        } else {
            cell.members.iter().for_each(|step| placed.boxes[*step] = *rect);
        }
    }
    frame(sketch, &mut placed, content, around);
    placed
}

/// What a picture covers.
struct Extent {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Extent {
    fn of(sketch: &Sketch, placed: &Placed, content: BoxContent) -> Self {
        let mut extent = Self { left: f64::MAX, right: f64::MIN, top: f64::MAX, bottom: f64::MIN };
        let boxes = sketch.boxes.iter().zip(&placed.boxes).filter(|(step, _)| !step.finish);
        for rect in boxes.map(|(_, rect)| rect).chain(placed.blocks.iter().map(|block| &block.rect)) {
            extent.cover(rect.x, rect.y);
            extent.cover(rect.right(), rect.bottom());
        }
        for line in placed.arrows.iter().chain(placed.backs.iter().map(|(line, _)| line)) {
            line.iter().for_each(|(x, y)| extent.cover(*x, *y));
        }
        for (back, (_, (x, y))) in sketch.backs.iter().zip(&placed.backs) {
            let half = label_width(&back.label, content) / 2.0;
            extent.cover(x - half, y - 10.0);
            extent.cover(x + half, y + 10.0);
        }
        if sketch.boxes.iter().all(|step| step.finish) {
            return Self { left: 0.0, right: 0.0, top: 0.0, bottom: 0.0 };
        }
        extent
    }

    fn cover(&mut self, x: f64, y: f64) {
        self.left = self.left.min(x);
        self.right = self.right.max(x);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
    }
}

/// Moves everything into view, with the title above and `on_finish` below.
fn frame(sketch: &Sketch, placed: &mut Placed, content: BoxContent, around: Frame) {
    let extent = Extent::of(sketch, placed, content);
    let margin = around.margin;
    let above = around.title.map_or(margin, |title| title + margin / 2.0);
    let (dx, dy) = (margin - extent.left, above - extent.top);
    let shift = |point: &mut Point| {
        point.0 += dx;
        point.1 += dy;
    };
    for (line, middle) in &mut placed.backs {
        line.iter_mut().for_each(shift);
        shift(middle);
    }
    placed.arrows.iter_mut().flatten().for_each(shift);
    let boxes = sketch.boxes.iter().zip(&mut placed.boxes).filter(|(step, _)| !step.finish);
    for rect in boxes.map(|(_, rect)| rect).chain(placed.blocks.iter_mut().map(|block| &mut block.rect)) {
        rect.x += dx;
        rect.y += dy;
    }
    let (right, bottom) = (extent.right + dx, extent.bottom + dy);
    let (finish_right, finish_bottom) = place_finish(sketch, placed, content, (margin, right, bottom));
    let title = match around.title {
        Some(_) => text_width(&sketch.name, 20.0).max(text_width(&sketch.description, 12.5)) + margin,
        None => 0.0,
    };
    placed.width = (right.max(finish_right).max(title) + margin).ceil();
    placed.height = (bottom.max(finish_bottom) + margin).ceil();
}

/// Places `on_finish`, which goes on in the order of the file, in rows; gives their right and their lower end.
fn place_finish(
    sketch: &Sketch,
    placed: &mut Placed,
    content: BoxContent,
    (margin, right, bottom): (f64, f64, f64),
) -> (f64, f64) {
    let (mut x, mut y) = (margin, bottom + BETWEEN_FINISH);
    let (mut widest, mut lowest) = (right, bottom);
    let mut before: Option<Rect> = None;
    for (at, step) in sketch.boxes.iter().enumerate().filter(|(_, step)| step.finish) {
        let (width, height) = super::geometry::box_size(step, content);
        let is_next_row = before.is_some() && x + width > right.max(FINISH_ROW);
        if is_next_row {
            (x, y) = (margin, lowest + FINISH_GAP);
        }
        let rect = Rect { x, y, width, height };
        if let Some(before) = before {
            placed.finish.push(if is_next_row {
                let between = y - FINISH_GAP / 2.0;
                vec![
                    (before.middle(), before.bottom()),
                    (before.middle(), between),
                    (rect.middle(), between),
                    (rect.middle(), rect.y),
                ]
            } else {
                vec![(before.right(), y + 23.0), (rect.x, y + 23.0)]
            });
        }
        x += width + FINISH_GAP;
        widest = widest.max(rect.right());
        lowest = lowest.max(rect.bottom());
        placed.boxes[at] = rect;
        before = Some(rect);
    }
    (widest, lowest)
}
