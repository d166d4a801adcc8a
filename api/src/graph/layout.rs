//! Places for boxes and arrows; [`tracks`](super::tracks) has those of the routes backwards.

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, layout};

use super::geometry::{BoxContent, Point, Rect, text_width};
use super::sketch::{Sketch, StepBox};
use super::tracks::{PlacedBack, label_width, tracks};

/// A placed picture; y grows downwards, all numbers are pixels.
pub(super) struct Placed {
    pub(super) width: f64,
    pub(super) height: f64,
    /// By box: its left upper corner, width and height.
    pub(super) boxes: Vec<Rect>,
    /// By arrow of the sketch.
    pub(super) arrows: Vec<Vec<Point>>,
    /// By route backwards: its line from the failing step to the reworked one, and its label's middle.
    pub(super) backs: Vec<PlacedBack>,
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

pub(super) fn size(step: &StepBox, content: BoxContent) -> (f64, f64) {
    if content == BoxContent::Names {
        // A round stands behind the name, and the verdicts of at most six gates behind how the step stands.
        let gates = 76.0 + 13.0 * step.gates.len().min(6) as f64;
        return ((text_width(&step.id, 13.0) + 72.0).max(gates).clamp(132.0, 260.0), 46.0);
    }
    let mut width = text_width(&step.id, 15.0) + 16.0;
    width = width.max(text_width(&step.summary, 12.0));
    for note in &step.notes {
        width = width.max(text_width(note, 11.0));
    }
    for gate in &step.gates {
        width = width.max(text_width(&gate.id, 11.0) + 20.0);
    }
    let height = 52.0 + 17.0 * step.notes.len() as f64;
    let gates = if step.gates.is_empty() { 0.0 } else { 8.0 + 20.0 * step.gates.len() as f64 };
    ((width + 36.0).max(140.0), height + gates)
}

pub(super) fn place(sketch: &Sketch, content: BoxContent, around: Frame) -> Placed {
    let mut graph: Graph<NodeLabel, EdgeLabel> =
        Graph::with_options(GraphOptions { directed: true, multigraph: true, compound: false });
    let name = |at: usize| format!("n{at}");
    for (at, step) in sketch.boxes.iter().enumerate().filter(|(_, step)| !step.finish) {
        let (width, height) = size(step, content);
        graph.set_node(name(at), Some(NodeLabel { width, height, ..NodeLabel::default() }));
    }
    for (at, (from, to)) in sketch.arrows.iter().enumerate() {
        let label = EdgeLabel { weight: 4, ..EdgeLabel::default() };
        graph.set_edge(name(*from), name(*to), Some(label), Some(&format!("a{at}")));
    }
    let (nodesep, edgesep, ranksep) = match content {
        BoxContent::Full => (36.0, 24.0, 44.0),
        BoxContent::Names => (20.0, 14.0, 22.0),
    };
    let options = LayoutOptions { nodesep, edgesep, ranksep, ..LayoutOptions::default() };
    layout(&mut graph, Some(options));
    let points = |from: usize, to: usize, edge: &str| -> Vec<(f64, f64)> {
        graph
            .edge(&name(from), &name(to), Some(edge))
            .map(|label| label.points.iter().map(|point| (point.x, point.y)).collect())
            .unwrap_or_default()
    };
    let mut placed =
        Placed { width: 0.0, height: 0.0, boxes: Vec::new(), arrows: Vec::new(), backs: Vec::new() };
    for (at, step) in sketch.boxes.iter().enumerate() {
        let (width, height) = size(step, content);
        let (x, y) = graph
            .node(&name(at))
            .map_or((0.0, 0.0), |node| (node.x.unwrap_or_default(), node.y.unwrap_or_default()));
        placed.boxes.push(Rect { x: x - width / 2.0, y: y - height / 2.0, width, height });
    }
    for (at, (from, to)) in sketch.arrows.iter().enumerate() {
        placed.arrows.push(points(*from, *to, &format!("a{at}")));
    }
    let laid: Vec<Rect> = sketch
        .boxes
        .iter()
        .zip(&placed.boxes)
        .filter(|(step, _)| !step.finish)
        .map(|(_, rect)| *rect)
        .collect();
    placed.backs = tracks(&sketch.backs, &laid, content);
    frame(sketch, &mut placed, content, around);
    placed
}

/// Moves everything into view, with the title above and `on_finish` below.
fn frame(sketch: &Sketch, placed: &mut Placed, content: BoxContent, around: Frame) {
    let mut left = f64::MAX;
    let mut right = f64::MIN;
    let mut top = f64::MAX;
    let mut bottom = f64::MIN;
    let mut cover = |x: f64, y: f64| {
        left = left.min(x);
        right = right.max(x);
        top = top.min(y);
        bottom = bottom.max(y);
    };
    for (step, rect) in sketch.boxes.iter().zip(&placed.boxes) {
        if !step.finish {
            cover(rect.x, rect.y);
            cover(rect.x + rect.width, rect.y + rect.height);
        }
    }
    for line in placed.arrows.iter().chain(placed.backs.iter().map(|(line, _)| line)) {
        line.iter().for_each(|(x, y)| cover(*x, *y));
    }
    for (back, (_, (x, y))) in sketch.backs.iter().zip(&placed.backs) {
        let half = label_width(&back.label, content) / 2.0;
        cover(x - half, y - 10.0);
        cover(x + half, y + 10.0);
    }
    if sketch.boxes.iter().all(|step| step.finish) {
        (left, right, top, bottom) = (0.0, 0.0, 0.0, 0.0);
    }
    let margin = around.margin;
    let above = around.title.map_or(margin, |title| title + margin / 2.0);
    let (dx, dy) = (margin - left, above - top);
    let shift = |point: &mut (f64, f64)| {
        point.0 += dx;
        point.1 += dy;
    };
    for (line, middle) in &mut placed.backs {
        line.iter_mut().for_each(shift);
        shift(middle);
    }
    placed.arrows.iter_mut().flatten().for_each(shift);
    let mut finish_x = margin;
    let finish_y = bottom + dy + BETWEEN_FINISH;
    let mut lowest = bottom + dy;
    let mut rightmost = right + dx;
    for (step, rect) in sketch.boxes.iter().zip(&mut placed.boxes) {
        if step.finish {
            (rect.x, rect.y) = (finish_x, finish_y);
            finish_x += rect.width + 36.0;
            rightmost = rightmost.max(rect.x + rect.width);
            lowest = lowest.max(rect.y + rect.height);
        } else {
            rect.x += dx;
            rect.y += dy;
        }
    }
    let title = match around.title {
        Some(_) => text_width(&sketch.name, 20.0).max(text_width(&sketch.description, 12.5)) + margin,
        None => 0.0,
    };
    placed.width = (rightmost.max(title) + margin).ceil();
    placed.height = (lowest + margin).ceil();
}
