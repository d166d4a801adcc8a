//! Places and sizes of pictures: all numbers are pixels.

/// A place: x and y in pixels.
pub(super) type Point = (f64, f64);

/// A box by its left upper corner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
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
