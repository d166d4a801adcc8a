//! The graph of the steps, as the run stands.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::facts::{RouteFacts, RunFacts, StepFacts};
use crate::words;

/// `GET /runs/{run}/graph`: boxes and arrows with places.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GraphLayout {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) nodes: Vec<LayoutNode>,
    pub(crate) arrows: Vec<LayoutArrow>,
    pub(crate) backs: Vec<LayoutBack>,
    pub(crate) blocks: Vec<LayoutBlock>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutNode {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) summary: String,
    pub(crate) notes: Vec<String>,
    pub(crate) gates: Vec<LayoutGate>,
    pub(crate) routes: Vec<LayoutRoute>,
    pub(crate) foreach: bool,
    pub(crate) standby: bool,
    pub(crate) on_finish: bool,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutGate {
    pub(crate) id: String,
    pub(crate) probe: String,
    pub(crate) route: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutRoute {
    pub(crate) cause: String,
    pub(crate) to: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutArrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) points: Vec<Point>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutBack {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) label: String,
    pub(crate) label_at: Point,
    pub(crate) points: Vec<Point>,
}

/// Steps side by side, which share their lines.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayoutBlock {
    pub(crate) steps: Vec<String>,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A place.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A picture wider than this does not fit beside the rest of the page, in pixels.
const WIDE: f64 = 560.0;

/// The room of a label at a route backwards, in pixels, as the layout leaves it; and of one of its characters.
pub(crate) const LABEL: f64 = 140.0;
pub(crate) const PER_CHAR: f64 = 5.8;

/// The picture, ready to be drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) boxes: Vec<PictureBox>,
    pub(crate) arrows: Vec<PictureArrow>,
    pub(crate) backs: Vec<PictureBack>,
    pub(crate) blocks: Vec<LayoutBlock>,
}

/// What is to be seen of a step beside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxSign {
    Selected,
    /// It begins only where something goes wrong, and has not begun.
    Standby,
    /// It is done for each item of a list.
    Foreach,
    /// The run pauses before it.
    Breakpoint,
    /// It begins next, once the run goes on.
    Next,
}

/// A step.
#[derive(Debug, Clone, Default)]
pub(crate) struct PictureBox {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) glyph: &'static str,
    pub(crate) tone: &'static str,
    /// The second line: how it stands.
    pub(crate) line: String,
    /// Its round, where it is done again; `×60` of items.
    pub(crate) mark: String,
    /// Everything, for those who hover or hear it.
    pub(crate) about: String,
    /// What else is to be seen of it.
    pub(crate) signs: Vec<BoxSign>,
    /// Parts of the items that are done: succeeded, failed, active, of 1.
    pub(crate) parts: Option<[f64; 3]>,
    /// The verdict of each gate.
    pub(crate) gates: Vec<GateMark>,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Picture {
    /// Whether it is so wide that it needs the whole width of the page, and can be made to fit.
    pub(crate) fn is_wide(&self) -> bool {
        self.width > WIDE
    }
}

impl PictureBox {
    pub(crate) fn is_selected(&self) -> bool {
        self.signs.contains(&BoxSign::Selected)
    }

    pub(crate) fn is_standby(&self) -> bool {
        self.signs.contains(&BoxSign::Standby)
    }

    pub(crate) fn is_foreach(&self) -> bool {
        self.signs.contains(&BoxSign::Foreach)
    }

    pub(crate) fn has_breakpoint(&self) -> bool {
        self.signs.contains(&BoxSign::Breakpoint)
    }

    pub(crate) fn is_next(&self) -> bool {
        self.signs.contains(&BoxSign::Next)
    }

    /// The width of a part of the items.
    pub(crate) fn part_width(&self, share: &f64) -> f64 {
        ((self.width - 24.0) * share * 10.0).round() / 10.0
    }

    /// Where the parts begin: succeeded, failed, active.
    pub(crate) fn part_x(&self, at: usize) -> f64 {
        let before: f64 = self.parts.iter().flatten().take(at).sum();
        12.0 + self.part_width(&before)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GateMark {
    pub(crate) glyph: &'static str,
    pub(crate) tone: &'static str,
    /// From the box's left edge.
    pub(crate) x: f64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PictureArrow {
    pub(crate) path: String,
    /// The run went along it.
    pub(crate) is_passed: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PictureBack {
    pub(crate) path: String,
    pub(crate) label: String,
    /// From where to where, and all causes.
    pub(crate) about: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) half: f64,
    pub(crate) is_used: bool,
}

/// A layout with the state of a run in it.
pub(crate) fn picture(layout: GraphLayout, run: &RunFacts, selected: Option<&str>) -> Picture {
    let mut backs = backs(&layout, run);
    // Those that the run went along lie above the others of their track.
    backs.sort_by_key(|back| back.is_used);
    let arrows = arrows(&layout, run);
    let none = StepFacts::default();
    let boxes = layout.nodes.into_iter().map(|node| {
        let step = run.steps.iter().find(|step| step.id == node.id).unwrap_or(&none);
        let signs = [
            (BoxSign::Selected, selected == Some(node.id.as_str())),
            (BoxSign::Standby, node.standby && step.round == 0),
            (BoxSign::Foreach, node.foreach),
            (BoxSign::Breakpoint, run.breakpoints.contains(&node.id)),
            (BoxSign::Next, run.next_steps.contains(&node.id)),
        ];
        let signs = signs.into_iter().filter(|(_, is_shown)| *is_shown).map(|(sign, _)| sign).collect();
        PictureBox { signs, ..boxed(node, step) }
    });
    let (width, height, blocks) = (layout.width, layout.height, layout.blocks);
    Picture { width, height, boxes: boxes.collect(), arrows, backs, blocks }
}

/// The needs; one line for those that the steps of a block share.
fn arrows(layout: &GraphLayout, run: &RunFacts) -> Vec<PictureArrow> {
    let began = |id: &str| run.step(id).is_some_and(|step| step.round > 0);
    let mut arrows: BTreeMap<String, bool> = BTreeMap::new();
    for arrow in &layout.arrows {
        *arrows.entry(curve(&arrow.points)).or_default() |= began(&arrow.from) && began(&arrow.to);
    }
    arrows.into_iter().map(|(path, is_passed)| PictureArrow { path, is_passed }).collect()
}

/// The routes backwards; one line for those that the steps of a block share.
fn backs(layout: &GraphLayout, run: &RunFacts) -> Vec<PictureBack> {
    let mut lines: BTreeMap<String, Vec<&LayoutBack>> = BTreeMap::new();
    for back in &layout.backs {
        // From its end on, so that the dashes of lines in one track lie on each other.
        let path = curve(&back.points.iter().rev().copied().collect::<Vec<_>>());
        lines.entry(path).or_default().push(back);
    }
    let drawn = lines.into_iter().filter_map(|(path, shared)| {
        let back = *shared.first()?;
        let is_of = |step: &str, to: &str| shared.iter().any(|back| back.from == step && back.to == to);
        let is_used = |route: &&RouteFacts| route.step.as_deref().is_some_and(|step| is_of(step, &route.to));
        let used = run.routes.iter().filter(is_used);
        let used: u32 = used.map(|route| route.used).sum();
        let mark = if used > 0 { format!(" · {used}×") } else { String::new() };
        let room = LABEL - mark.chars().count() as f64 * PER_CHAR;
        let label = fitted(&back.label, room, PER_CHAR) + &mark;
        let ways = match shared.as_slice() {
            [back] => format!("{} back to {}", back.from, back.to),
            [back, ..] if back.from == back.to => format!("each of {} back to itself", shared.len()),
            _ => format!("each of {} back to {}", shared.len(), back.to),
        };
        Some(PictureBack {
            about: format!("{ways}: {}{mark}", back.label),
            path,
            half: label.chars().count() as f64 * PER_CHAR / 2.0 + 4.0,
            label,
            x: back.label_at.x,
            y: back.label_at.y,
            is_used: used > 0,
        })
    });
    drawn.collect()
}

fn boxed(node: LayoutNode, step: &StepFacts) -> PictureBox {
    let status = match step.word() {
        "" => "pending",
        word => word,
    };
    let line = line(&node, step, status);
    let verdicts = step.gates.iter().rev().take(6).collect::<Vec<_>>();
    let gates = verdicts.iter().enumerate().map(|(at, gate)| GateMark {
        glyph: words::glyph(&gate.verdict),
        tone: words::tone(&gate.verdict),
        x: node.width - 16.0 - 13.0 * at as f64,
    });
    let parts = step.items.filter(|items| items.total > 0).map(|items| {
        [items.succeeded(), items.failed, items.active()].map(|part| part as f64 / items.total as f64)
    });
    PictureBox {
        label: fitted_name(&node.id, node.width - 40.0 - 7.0 * mark(step).chars().count() as f64, 7.6),
        glyph: words::glyph(status),
        tone: words::tone(status),
        about: about(&node, step, status, &line),
        mark: mark(step),
        line: fitted(&line, node.width - 36.0 - 13.0 * verdicts.len() as f64, 6.2),
        gates: gates.collect(),
        parts,
        signs: Vec::new(),
        status: status.to_owned(),
        kind: node.kind,
        id: node.id,
        x: node.x,
        y: node.y,
        width: node.width,
        height: node.height,
    }
}

/// The round, where it is not the first; how many items there are.
fn mark(step: &StepFacts) -> String {
    match (&step.items, step.round) {
        (Some(items), _) => format!("×{}", items.total),
        (None, 0 | 1) if step.attempt < 2 => String::new(),
        (None, _) => step.instance(),
    }
}

/// How it stands, in a few words.
fn line(node: &LayoutNode, step: &StepFacts, status: &str) -> String {
    if let Some(items) = step.items {
        let mut parts = vec![format!("{} ✓", items.succeeded())];
        for (count, word) in
            [(items.failed, "✕"), (items.active(), "▸"), (items.blocked, "◆"), (items.asking, "◷")]
        {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        return parts.join(" ");
    }
    let took = match (&step.started_at, &step.ended_at) {
        (Some(from), Some(to)) => words::took(from, Some(to)),
        _ => String::new(),
    };
    match status {
        "pending" if node.standby => "standby".to_owned(),
        "pending" => node.kind.clone(),
        "succeeded" if !took.is_empty() => took,
        "failed, tolerated" => "tolerated".to_owned(),
        _ if !took.is_empty() => format!("{status} · {took}"),
        _ => status.to_owned(),
    }
}

fn about(node: &LayoutNode, step: &StepFacts, status: &str, line: &str) -> String {
    let mut text = format!("{} {}: {status}", node.id, step.instance());
    if line != status {
        text.push_str(&format!(" · {line}"));
    }
    text.push_str(&format!("\n{}", node.summary));
    for note in &node.notes {
        text.push_str(&format!("\n{note}"));
    }
    for gate in &step.gates {
        text.push_str(&format!("\ngate {}: {} · {}", gate.gate, gate.verdict, gate.reason));
    }
    text.chars().take(600).collect()
}

/// A name that fits into so many pixels: of a long one its begin and its end, which tells those apart that begin alike.
fn fitted_name(name: &str, width: f64, per_char: f64) -> String {
    let most = (width / per_char).max(6.0) as usize;
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let end = (most - 1) / 2;
    let begin = most - 1 - end;
    name.chars().take(begin).chain(['…']).chain(name.chars().skip(count - end)).collect()
}

/// A text that fits into so many pixels.
pub(crate) fn fitted(text: &str, width: f64, per_char: f64) -> String {
    let most = (width / per_char).max(4.0) as usize;
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// A smooth line through points.
pub(crate) fn curve(points: &[Point]) -> String {
    let Some((first, rest)) = points.split_first() else { return String::new() };
    let mut path = format!("M{} {}", first.x, first.y);
    let Some((last, between)) = rest.split_last() else { return path };
    let mut corner = between.iter().peekable();
    while let Some(point) = corner.next() {
        let end = match corner.peek() {
            Some(next) => Point { x: (point.x + next.x) / 2.0, y: (point.y + next.y) / 2.0 },
            None => *last,
        };
        path.push_str(&format!(" Q{} {} {:.1} {:.1}", point.x, point.y, end.x, end.y));
    }
    if between.is_empty() {
        path.push_str(&format!(" L{} {}", last.x, last.y));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::facts::ItemsFacts;
    use super::*;

    #[test]
    fn a_line_ends_at_its_last_point() {
        let at = |x: f64, y: f64| Point { x, y };
        assert_eq!(curve(&[at(0.0, 0.0), at(5.0, 9.0)]), "M0 0 L5 9");
        assert_eq!(curve(&[at(0.0, 0.0), at(5.0, 5.0), at(5.0, 9.0)]), "M0 0 Q5 5 5.0 9.0");
        assert_eq!(curve(&[]), "");
    }

    #[test]
    fn steps_of_a_block_share_a_line_and_its_label() {
        let [to, away] = [10.0, 50.0].map(|y| vec![Point { x: 5.0, y: 0.0 }, Point { x: 5.0, y }]);
        let arrow = |to: &str| LayoutArrow { from: "a".into(), to: to.into(), points: away.clone() };
        let back = |from: &str| LayoutBack {
            from: from.into(),
            to: "a".into(),
            label: "tests ×2".into(),
            points: to.clone(),
            ..LayoutBack::default()
        };
        let layout = GraphLayout {
            arrows: vec![arrow("b"), arrow("c")],
            backs: vec![back("b"), back("c")],
            ..GraphLayout::default()
        };
        let run = serde_json::from_value(serde_json::json!({
            "id": "beef", "short_id": "beef", "pipeline": "x", "title": null, "status": "running", "version": 9,
            "started_by": "user:ada", "started_at": "2026-11-20T10:00:00Z", "ended_at": null,
            "steps": [{ "id": "a", "status": "succeeded", "round": 1 }, { "id": "c", "status": "running", "round": 1 }],
        }));
        let drawn = picture(layout, &run.expect("the test writes a run"), None);
        assert_eq!(drawn.arrows.iter().map(|arrow| arrow.is_passed).collect::<Vec<_>>(), [true]);
        let [back] = drawn.backs.try_into().expect("one line");
        assert_eq!((back.label.as_str(), back.about.as_str()), ("tests ×2", "each of 2 back to a: tests ×2"));
    }

    #[test]
    fn long_names_that_begin_alike_are_told_apart_by_their_ends() {
        assert_eq!(fitted_name("part-with-a-rather-long-name-07", 80.0, 8.0), "part-…e-07");
        assert_eq!(fitted_name("short", 80.0, 8.0), "short");
    }

    #[test]
    fn items_are_one_box_with_counts() {
        let items = ItemsFacts { total: 60, scheduled: 30, ended: 20, failed: 4, blocked: 1, asking: 0 };
        let step = StepFacts {
            id: "each".into(),
            status: "running".into(),
            round: 1,
            items: Some(items),
            ..StepFacts::default()
        };
        let node = LayoutNode { id: "each".into(), width: 160.0, ..LayoutNode::default() };
        let drawn = boxed(node, &step);
        assert_eq!((drawn.line.as_str(), drawn.mark.as_str()), ("16 ✓ 4 ✕ 9 ▸ 1 ◆", "×60"));
        assert_eq!(drawn.parts.map(|parts| parts.map(|part| (part * 60.0).round())), Some([16.0, 4.0, 9.0]));
    }
}
