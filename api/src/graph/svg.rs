//! The picture as SVG: light and dark by the reader's preference, no scripts, nothing loaded.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use everfold_engine::definition::Definition;
use everfold_engine::text::is_direction;

use super::blocks::BLOCK_HEAD;
use super::geometry::{BoxContent, Rect, label_width, text_width};
use super::layout::{Frame, MARGIN, Placed, TITLE, place};
use super::sketch::{Sketch, SketchKind, StepBox};

const STYLE: &str = "
  .paper { fill: #fbfbfd; }
  text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1c2330; }
  .name { font-size: 20px; font-weight: 650; }
  .about { font-size: 12.5px; fill: #667085; }
  .id { font-size: 15px; font-weight: 620; }
  .what { font-size: 12px; fill: #526077; }
  .note { font-size: 11px; font-style: italic; fill: #667085; }
  .gate { font-size: 11px; fill: #3b475c; }
  .box { fill: #ffffff; stroke: #cfd6e1; stroke-width: 1.2; }
  .standby .box { fill: #f4f5f8; stroke-dasharray: 5 4; }
  .standby .id { fill: #526077; }
  .block { fill: #f1f4f8; stroke: #dde3ec; stroke-width: 1; }
  .rule { stroke: #e6eaf1; stroke-width: 1; }
  .need { fill: none; stroke: #8b97ab; stroke-width: 1.6; }
  .need-tip { fill: #8b97ab; }
  .back { fill: none; stroke: #d4583f; stroke-width: 1.4; stroke-dasharray: 5 4; }
  .back-tip { fill: #d4583f; }
  .back-plate { fill: #fbfbfd; }
  .back-label { font-size: 11px; fill: #b3402a; }
  .section { font-size: 12px; font-weight: 600; fill: #667085; }
  .command { fill: #64748b; } .agent { fill: #7c5cd6; } .function { fill: #0f9488; }
  .approval { fill: #d9901a; } .wait { fill: #94a3b8; } .gates { fill: #2f9e5b; }
  .diamond { fill: #2f9e5b; }
  @media (prefers-color-scheme: dark) {
    .paper, .back-plate { fill: #12161d; }
    text { fill: #e8ecf3; }
    .about, .section, .note { fill: #8e9bb0; }
    .what { fill: #a9b4c6; } .gate { fill: #c3ccda; }
    .box { fill: #1b212b; stroke: #38424f; }
    .standby .box { fill: #161b23; } .standby .id { fill: #a9b4c6; }
    .block { fill: #151a22; stroke: #2a323d; }
    .rule { stroke: #2a323d; }
    .need { stroke: #6b788c; } .need-tip { fill: #6b788c; }
    .back { stroke: #ef7a61; } .back-tip { fill: #ef7a61; } .back-label { fill: #f39480; }
  }
";

/// A pipeline as an SVG document.
#[must_use]
pub fn svg(definition: &Definition) -> String {
    let sketch = Sketch::of(definition).drawn(&[]);
    let placed = place(&sketch, BoxContent::Full, Frame { margin: MARGIN, title: Some(TITLE) });
    let mut svg = Svg(String::new());
    let (width, height) = (placed.width, placed.height);
    svg.line(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(&format!("Pipeline {}", sketch.name))
    ));
    svg.line(&format!("<style>{STYLE}</style>"));
    svg.line(
        "<defs>\
         <marker id=\"need-tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"need-tip\" d=\"M0 0.8 L10 5 L0 9.2 z\"/></marker>\
         <marker id=\"back-tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"back-tip\" d=\"M0 0.8 L10 5 L0 9.2 z\"/></marker>\
         </defs>",
    );
    svg.line(&format!("<rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>"));
    svg.text("name", MARGIN, 34.0, &sketch.name);
    svg.text("about", MARGIN, 54.0, &sketch.description);
    svg.blocks(&placed);
    svg.arrows(&placed);
    for (step, rect) in sketch.boxes.iter().zip(&placed.boxes) {
        svg.step(step, *rect);
    }
    svg.labels(&sketch, &placed);
    if let Some((_, first)) = sketch.boxes.iter().zip(&placed.boxes).find(|(step, _)| step.finish) {
        let y = first.y - 14.0;
        svg.text("section", MARGIN, y, "on finish, however the run ends");
    }
    svg.line("</svg>");
    svg.0
}

struct Svg(String);

impl Svg {
    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ok = writeln!(self.0, "{line}");
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        if !text.is_empty() {
            self.line(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text)));
        }
    }

    fn blocks(&mut self, placed: &Placed) {
        for block in &placed.blocks {
            let Rect { x, y, width, height } = block.rect;
            self.line(&format!(
                "<rect class=\"block\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"11\"/>"
            ));
            let words = format!("{} side by side", block.steps.len());
            self.text("section", x + 12.0, y + BLOCK_HEAD - 8.0, &words);
        }
    }

    fn arrows(&mut self, placed: &Placed) {
        // The steps of a block share their lines.
        let mut drawn = BTreeSet::new();
        for line in placed.arrows.iter().map(|line| curve(line)) {
            if drawn.insert(line.clone()) {
                self.line(&format!("<path class=\"need\" d=\"{line}\" marker-end=\"url(#need-tip)\"/>"));
            }
        }
        for (line, _) in &placed.backs {
            // From its end on, so that the dashes of lines in one track lie on each other.
            let path = curve(&line.iter().rev().copied().collect::<Vec<_>>());
            if drawn.insert(path.clone()) {
                self.line(&format!("<path class=\"back\" d=\"{path}\" marker-start=\"url(#back-tip)\"/>"));
            }
        }
        for line in placed.finish.iter().map(|line| curve(line)) {
            self.line(&format!("<path class=\"need\" d=\"{line}\" marker-end=\"url(#need-tip)\"/>"));
        }
    }

    fn labels(&mut self, sketch: &Sketch, placed: &Placed) {
        let mut drawn = BTreeSet::new();
        for (back, (_, (x, y))) in sketch.backs.iter().zip(&placed.backs) {
            if !drawn.insert((x.to_bits(), y.to_bits())) {
                continue;
            }
            let width = label_width(&back.label, BoxContent::Full);
            let shown = fitted(&back.label, width - 8.0);
            self.line(&format!(
                "<rect class=\"back-plate\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"17\" rx=\"5\"/>",
                x - width / 2.0,
                y - 9.0
            ));
            self.line(&format!(
                "<text class=\"back-label\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}<title>{}</title></text>",
                y + 3.5,
                escape(&shown),
                escape(&back.label)
            ));
        }
    }

    fn step(&mut self, step: &StepBox, rect: Rect) {
        let class = match step.kind {
            SketchKind::Command => "command",
            SketchKind::Agent => "agent",
            SketchKind::Function => "function",
            SketchKind::Http | SketchKind::Run | SketchKind::Signal => "function",
            SketchKind::Approval | SketchKind::Question => "approval",
            SketchKind::Wait => "wait",
            SketchKind::Gates => "gates",
        };
        let Rect { x, y, width, height } = rect;
        self.line(&format!("<g class=\"step{}\">", if step.standby { " standby" } else { "" }));
        self.line(&format!("<title>{}</title>", escape(&tooltip(step))));
        if step.kind.is_person() {
            // A person stands here: a box with cut corners.
            let cut = 14.0;
            self.line(&format!(
                "<path class=\"box\" d=\"M{:.1} {y:.1} H{:.1} L{:.1} {:.1} V{:.1} L{:.1} {:.1} H{:.1} L{x:.1} {:.1} V{:.1} z\"/>",
                x + cut, x + width - cut, x + width, y + cut, y + height - cut, x + width - cut, y + height, x + cut,
                y + height - cut, y + cut,
            ));
        } else {
            self.line(&format!(
                "<rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"9\"/>"
            ));
        }
        let (dot_x, dot_y) = (x + 18.0, y + 19.0);
        match step.kind {
            SketchKind::Approval | SketchKind::Question | SketchKind::Gates => self.line(&format!(
                "<path class=\"{class}\" d=\"M{dot_x:.1} {:.1} l6 6 l-6 6 l-6 -6 z\"/>",
                dot_y - 6.0
            )),
            _ => {
                self.line(&format!("<circle class=\"{class}\" cx=\"{dot_x:.1}\" cy=\"{dot_y:.1}\" r=\"5\"/>"))
            }
        }
        self.text("id", x + 31.0, y + 24.0, &step.id);
        self.text("what", x + 18.0, y + 43.0, &step.summary);
        let mut line = y + 60.0;
        for note in &step.notes {
            self.text("note", x + 18.0, line, note);
            line += 17.0;
        }
        if !step.gates.is_empty() {
            let rule = line - 8.0;
            self.line(&format!(
                "<line class=\"rule\" x1=\"{:.1}\" y1=\"{rule:.1}\" x2=\"{:.1}\" y2=\"{rule:.1}\"/>",
                x + 12.0,
                x + width - 12.0
            ));
            line += 9.0;
        }
        for gate in &step.gates {
            self.line(&format!(
                "<path class=\"diamond\" d=\"M{:.1} {:.1} l4 4 l-4 4 l-4 -4 z\"/>",
                x + 22.0,
                line - 8.0
            ));
            self.text("gate", x + 32.0, line, &gate.id);
            line += 20.0;
        }
        self.line("</g>");
    }
}

fn tooltip(step: &StepBox) -> String {
    let mut text = format!("{}: {}", step.id, step.summary);
    for note in &step.notes {
        let _ok = write!(text, "\n{note}");
    }
    for gate in &step.gates {
        let _ok = write!(text, "\ngate {}: {}; else {}", gate.id, gate.probe, gate.route);
    }
    for (cause, route) in &step.routes {
        let _ok = write!(text, "\n{cause}: {route}");
    }
    text
}

/// A text as far as there is room for it.
fn fitted(text: &str, room: f64) -> String {
    if text_width(text, 11.0) <= room {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        shown.push(c);
        if text_width(&shown, 11.0) + 10.0 > room {
            break;
        }
    }
    shown + "…"
}

/// A smooth line through the points: straight ends, curves between the middles.
fn curve(points: &[(f64, f64)]) -> String {
    let Some((first, rest)) = points.split_first() else { return String::new() };
    let mut path = format!("M{:.1} {:.1}", first.0, first.1);
    for (at, point) in rest.iter().enumerate() {
        match rest.get(at + 1) {
            Some(next) => {
                let middle = ((point.0 + next.0) / 2.0, (point.1 + next.1) / 2.0);
                // The last curve ends in the last point itself.
                let end = if at + 2 == rest.len() { *next } else { middle };
                let _ok = write!(path, " Q{:.1} {:.1} {:.1} {:.1}", point.0, point.1, end.0, end.1);
                if at + 2 == rest.len() {
                    break;
                }
            }
            None => {
                let _ok = write!(path, " L{:.1} {:.1}", point.0, point.1);
            }
        }
    }
    path
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if is_direction(c) => {}
            c if c.is_control() && c != '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
