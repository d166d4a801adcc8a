//! Places and sizes of pictures: all numbers are pixels.

use super::sketch::StepBox;

/// A place: x and y in pixels.
pub(super) type Point = (f64, f64);

/// A box by its left upper corner.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    pub(super) fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// What stands in the boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoxContent {
    /// What the step does, its notes, a line for each gate.
    Full,
    /// Two lines, of which the name is one.
    Names,
}

/// The width of a text in pixels, near enough for boxes.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let units: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' | 'I' | ' ' => 0.36,
            'm' | 'w' | 'M' | 'W' | '—' | '…' => 0.92,
            c if c.is_ascii_uppercase() => 0.70,
            _ => 0.60,
        })
        .sum();
    units * size
}

/// How large the box of a step is at least: width, height.
pub(super) fn box_size(step: &StepBox, content: BoxContent) -> (f64, f64) {
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

/// The width that a picture has for the label of a route backwards, in pixels.
pub(super) fn label_width(label: &str, content: BoxContent) -> f64 {
    match content {
        BoxContent::Full => (text_width(label, 11.0) + 12.0).min(300.0),
        // How often a run took the route stands behind it.
        BoxContent::Names => (text_width(label, 11.0) + 42.0).min(150.0),
    }
}
