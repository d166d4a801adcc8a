//! Places for the routes backwards: tracks to the right of the boxes.
//!
//! Law: the boxes and the needs lie as they would without routes backwards, so that a pipeline with many of them is read
//! from top to bottom as one without. All routes back to one step share a track; a line leaves its box to the right, where
//! its label stands, and crosses no box.

use super::geometry::{BoxContent, Point, Rect, text_width};
use super::sketch::Back;

/// Between tracks.
const TRACK: f64 = 11.0;
/// From a box to its label.
const TO_LABEL: f64 = 12.0;
/// How far a line bends before a corner.
const CORNER: f64 = 6.0;
/// How far a step's route to itself goes out.
const LOOP: f64 = 14.0;
/// Between lines in the same gap of boxes.
const GAP_LINE: f64 = 11.0;

/// A line from the failing step to the reworked one, and its label's middle.
pub(super) type PlacedBack = (Vec<Point>, Point);

/// A label as far as a picture has room for it, in pixels of its size.
pub(super) fn label_width(label: &str, content: BoxContent) -> f64 {
    let most = match content {
        BoxContent::Full => 300.0,
        BoxContent::Names => 150.0,
    };
    (text_width(label, 11.0) + 12.0).min(most)
}

/// The lines of all routes backwards.
pub(super) fn tracks(backs: &[Back], boxes: &[Rect], content: BoxContent) -> Vec<PlacedBack> {
    let tracks = Tracks::of(backs, boxes, content);
    let mut gaps = Vec::new();
    backs.iter().enumerate().map(|(at, back)| tracks.line(at, back, &mut gaps)).collect()
}

struct Tracks<'a> {
    backs: &'a [Back],
    boxes: &'a [Rect],
    content: BoxContent,
    /// The targets, the inmost track first.
    targets: Vec<usize>,
    /// Where the inmost track lies.
    first: f64,
    /// The right end of all boxes.
    right: f64,
}

/// Whether a line at this height crosses a box.
fn crosses(rect: &Rect, y: f64) -> bool {
    rect.y - 3.0 < y && y < rect.y + rect.height + 3.0
}

impl<'a> Tracks<'a> {
    fn of(backs: &'a [Back], boxes: &'a [Rect], content: BoxContent) -> Self {
        let right = boxes.iter().map(|rect| rect.x + rect.width).fold(0.0, f64::max);
        let mut tracks = Self { backs, boxes, content, targets: Vec::new(), first: right, right };
        for back in backs.iter().filter(|back| back.from != back.to) {
            if !tracks.targets.contains(&back.to) {
                tracks.targets.push(back.to);
            }
        }
        let span = |target: &usize| -> f64 {
            let top = boxes[*target].y;
            let of = backs.iter().filter(|back| back.to == *target && back.from != back.to);
            of.map(|back| (boxes[back.from].y - top).abs()).fold(0.0, f64::max)
        };
        let mut targets = std::mem::take(&mut tracks.targets);
        targets.sort_by(|one, other| span(one).total_cmp(&span(other)));
        tracks.targets = targets;
        let ends = backs.iter().map(|back| tracks.label_from(back) + label_width(&back.label, content));
        tracks.first = ends.fold(right, f64::max) + TRACK;
        tracks
    }

    /// Whether a line to the right of a box at this height crosses no other box.
    fn is_free(&self, of: usize, y: f64) -> bool {
        let own = &self.boxes[of];
        !self.boxes.iter().enumerate().any(|(at, rect)| at != of && rect.x > own.x && crosses(rect, y))
    }

    /// The heights at which lines come in and go out at the right of a box: first one that comes in.
    fn place_at(&self, of: usize, which: usize) -> f64 {
        let comes_in = usize::from(self.targets.contains(&of));
        let count = comes_in + self.backs.iter().filter(|back| back.from == of).count();
        let rect = &self.boxes[of];
        rect.y + rect.height * (which as f64 + 0.5) / count.max(1) as f64
    }

    /// The height at which a route leaves its box.
    fn leaves_at(&self, at: usize) -> f64 {
        let from = self.backs[at].from;
        let comes_in = usize::from(self.targets.contains(&from));
        let before = self.backs[..at].iter().filter(|back| back.from == from).count();
        self.place_at(from, comes_in + before)
    }

    /// The left end of a label.
    fn label_from(&self, back: &Back) -> f64 {
        let own = self.boxes[back.from];
        let is_free = self.is_free(back.from, own.y + own.height / 2.0);
        let out = if back.from == back.to { LOOP } else { 0.0 };
        TO_LABEL + out + if is_free { own.x + own.width } else { self.right }
    }

    fn line(&self, at: usize, back: &Back, gaps: &mut Vec<f64>) -> PlacedBack {
        let (from, to) = (&self.boxes[back.from], &self.boxes[back.to]);
        let half = label_width(&back.label, self.content) / 2.0;
        let label_x = self.label_from(back) + half;
        let leaves = self.leaves_at(at);
        if back.from == back.to {
            let right = from.x + from.width;
            let out = right + LOOP;
            let (low, high) = (leaves + 5.0, leaves - 5.0);
            let line = vec![(right, low), (out, low), (out, high), (right, high)];
            return (line, (label_x, leaves));
        }
        let track = self.targets.iter().position(|target| *target == back.to).unwrap_or_default();
        let track = self.first + TRACK * track as f64;
        let mut line = Vec::new();
        let low = if self.is_free(back.from, from.y + from.height / 2.0) {
            line.push((from.x + from.width, leaves));
            leaves
        } else {
            let y = self.gap(from, true, gaps);
            let x = from.x + from.width - 16.0;
            line.extend([(x, from.y + from.height), (x, y - 1.0), (x, y), (x + 1.0, y)]);
            y
        };
        let enters = self.place_at(back.to, 0);
        let is_free = self.is_free(back.to, to.y + to.height / 2.0);
        let high = if is_free { enters } else { self.gap(to, false, gaps) };
        let up = if high < low { -CORNER } else { CORNER };
        line.extend([(track - CORNER, low), (track, low), (track, low + up)]);
        line.extend([(track, high - up), (track, high), (track - CORNER, high)]);
        if is_free {
            line.push((to.x + to.width, high));
        } else {
            let x = to.x + to.width - 16.0;
            line.extend([(x + 1.0, high), (x, high), (x, high + 1.0), (x, to.y)]);
        }
        (line, (label_x, low))
    }

    /// A height in the gap below or above the boxes that lie beside a box, where no other line lies.
    fn gap(&self, of: &Rect, below: bool, gaps: &mut Vec<f64>) -> f64 {
        let beside =
            self.boxes.iter().filter(|rect| rect.y < of.y + of.height && of.y < rect.y + rect.height);
        let (mut y, step) = if below {
            (beside.map(|rect| rect.y + rect.height).fold(of.y, f64::max) + 9.0, GAP_LINE)
        } else {
            (beside.map(|rect| rect.y).fold(of.y, f64::min) - 9.0, -GAP_LINE)
        };
        while gaps.iter().any(|other| (other - y).abs() < GAP_LINE - 1.0) {
            y += step;
        }
        gaps.push(y);
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(from: usize, to: usize) -> Back {
        Back { from, to, label: "tests ×3".to_owned() }
    }

    fn column(count: usize) -> Vec<Rect> {
        (0..count)
            .map(|at| Rect { x: 12.0, y: 12.0 + 70.0 * at as f64, width: 140.0, height: 46.0 })
            .collect()
    }

    #[test]
    fn routes_back_to_one_step_share_a_track_and_labels_stand_before_the_tracks() {
        let backs = [back(1, 0), back(2, 0), back(3, 2), back(3, 3)];
        let placed = tracks(&backs, &column(4), BoxContent::Names);
        let track = |at: usize| placed[at].0.iter().map(|(x, _)| *x).fold(0.0, f64::max);
        assert_eq!(track(0), track(1));
        assert!(track(2) < track(0), "the shorter track lies inside");
        assert!(track(3) < track(2), "a step's route to itself stays near it");
        for (line, (x, _)) in &placed[..3] {
            assert!(x + label_width("tests ×3", BoxContent::Names) / 2.0 < line[line.len() / 2].0);
        }
        let (ends, begins) = (placed[2].0[0].1, placed[3].0[0].1);
        assert!((ends - begins).abs() > 10.0, "two routes of one step leave it at two places");
    }

    #[test]
    fn a_line_goes_round_the_boxes_beside_its_own() {
        let mut boxes = column(3);
        boxes.push(Rect { x: 300.0, y: 82.0, width: 140.0, height: 60.0 });
        let [(line, _)] = tracks(&[back(1, 0)], &boxes, BoxContent::Full).try_into().unwrap();
        let level = line.windows(2).filter(|pair| (pair[0].1 - pair[1].1).abs() < 0.1);
        let wide = level.filter(|pair| (pair[0].0 - pair[1].0).abs() > 20.0);
        for pair in wide {
            assert!(!boxes.iter().any(|rect| rect.x > 200.0 && crosses(rect, pair[0].1)), "{pair:?}");
        }
    }
}
