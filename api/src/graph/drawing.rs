//! A picture as numbers and words, for clients that draw it themselves.

use everfold_engine::definition::Definition;
use serde::{Deserialize, Serialize};

use super::geometry::{BoxContent, Point, Rect};
use super::layout::{Frame, Placed, place};
use super::sketch::{Sketch, SketchKind, StepBox};

/// The space around a picture that stands in a page, in pixels.
const AROUND: f64 = 12.0;

/// How much stands in a box, and so how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GraphDetail {
    /// Room for what a step does, its notes and a line for each gate.
    #[default]
    Full,
    /// Room for two lines: its name, and how it stands.
    Names,
}

/// Boxes and arrows with their places: all numbers are pixels, y grows downwards.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphView {
    /// The pipeline's name.
    pipeline: String,
    width: f64,
    height: f64,
    /// In the order of the file, then the steps of `on_finish`.
    nodes: Vec<GraphNode>,
    /// The needs, but for those that follow from others.
    arrows: Vec<GraphArrow>,
    /// The routes backwards, but for those of a signal that sends many steps back: `about` has these.
    backs: Vec<GraphBack>,
    /// Steps side by side with the same needs, dependants and routes backwards, in rows within a frame: the lines from
    /// and to each of them lead from and to the frame, and are the same for all of them.
    blocks: Vec<GraphBlock>,
    /// What surrounds the steps: triggers, the key, slots, budgets, signals, notices.
    about: Vec<String>,
}

/// A step.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphNode {
    id: String,
    kind: GraphKind,
    /// What it does, in a few words.
    summary: String,
    /// What else decides how it runs: `when`, `foreach`, `join`, `deadline`.
    notes: Vec<String>,
    gates: Vec<GraphGate>,
    /// What follows the work itself, where the definition says.
    routes: Vec<GraphRoute>,
    /// It runs for each of several items.
    foreach: bool,
    /// It begins only where a route leads to it.
    standby: bool,
    on_finish: bool,
    /// Its left upper corner.
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// What a step does.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GraphKind {
    Command,
    Agent,
    Function,
    Http,
    Run,
    Signal,
    Approval,
    Question,
    Wait,
    Gates,
}

/// A gate of a step.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphGate {
    id: String,
    /// What it looks at, in a few words.
    probe: String,
    /// Where its failure leads.
    route: String,
}

/// Where a cause leads.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphRoute {
    cause: String,
    to: String,
}

/// `to` needs `from`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphArrow {
    from: String,
    to: String,
    points: Vec<GraphPoint>,
}

/// A route from a step back to one that is done again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphBack {
    from: String,
    to: String,
    /// Its causes, each with how often.
    label: String,
    /// The middle of the label.
    label_at: GraphPoint,
    points: Vec<GraphPoint>,
}

/// Steps side by side, as one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphBlock {
    /// In the order of the file.
    steps: Vec<String>,
    /// The left upper corner of its frame.
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A place.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraphPoint {
    x: f64,
    y: f64,
}

/// The picture of a definition without the steps of these names.
pub(crate) fn drawing(definition: &Definition, detail: GraphDetail, folded: &[String]) -> GraphView {
    let sketch = Sketch::of(definition).drawn(folded);
    let content = match detail {
        GraphDetail::Full => BoxContent::Full,
        GraphDetail::Names => BoxContent::Names,
    };
    let placed = place(&sketch, content, Frame { margin: AROUND, title: None });
    view(sketch, &placed)
}

fn view(sketch: Sketch, placed: &Placed) -> GraphView {
    let id = |at: usize| sketch.boxes.get(at).map(|step| step.id.clone()).unwrap_or_default();
    let arrows = sketch.arrows.iter().zip(&placed.arrows);
    let arrows =
        arrows.map(|((from, to), line)| GraphArrow { from: id(*from), to: id(*to), points: points(line) });
    let backs = sketch.backs.iter().zip(&placed.backs);
    let backs = backs.map(|(back, (line, middle))| GraphBack {
        from: id(back.from),
        to: id(back.to),
        label: back.label.clone(),
        label_at: point(middle),
        points: points(line),
    });
    let (arrows, backs) = (arrows.collect(), backs.collect());
    let blocks = placed.blocks.iter().map(|block| GraphBlock {
        steps: block.steps.iter().map(|step| id(*step)).collect(),
        x: rounded(block.rect.x),
        y: rounded(block.rect.y),
        width: rounded(block.rect.width),
        height: rounded(block.rect.height),
    });
    let blocks = blocks.collect();
    let nodes = sketch.boxes.into_iter().zip(&placed.boxes).map(|(step, rect)| node(step, *rect));
    GraphView {
        pipeline: sketch.name,
        width: placed.width,
        height: placed.height,
        nodes: nodes.collect(),
        arrows,
        backs,
        blocks,
        about: sketch.about,
    }
}

fn node(step: StepBox, rect: Rect) -> GraphNode {
    let gate =
        |gate: super::sketch::GateLine| GraphGate { id: gate.id, probe: gate.probe, route: gate.route };
    let routes = step.routes.into_iter().map(|(cause, to)| GraphRoute { cause, to });
    GraphNode {
        id: step.id,
        kind: kind(step.kind),
        summary: step.summary,
        notes: step.notes,
        gates: step.gates.into_iter().map(gate).collect(),
        routes: routes.collect(),
        foreach: step.foreach,
        standby: step.standby,
        on_finish: step.finish,
        x: rounded(rect.x),
        y: rounded(rect.y),
        width: rounded(rect.width),
        height: rounded(rect.height),
    }
}

fn kind(kind: SketchKind) -> GraphKind {
    match kind {
        SketchKind::Command => GraphKind::Command,
        SketchKind::Agent => GraphKind::Agent,
        SketchKind::Function => GraphKind::Function,
        SketchKind::Http => GraphKind::Http,
        SketchKind::Run => GraphKind::Run,
        SketchKind::Signal => GraphKind::Signal,
        SketchKind::Approval => GraphKind::Approval,
        SketchKind::Question => GraphKind::Question,
        SketchKind::Wait => GraphKind::Wait,
        SketchKind::Gates => GraphKind::Gates,
    }
}

fn points(line: &[Point]) -> Vec<GraphPoint> {
    line.iter().map(point).collect()
}

fn point((x, y): &Point) -> GraphPoint {
    GraphPoint { x: rounded(*x), y: rounded(*y) }
}

/// Tenths of a pixel.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
