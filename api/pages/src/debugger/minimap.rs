//! A run's events as ticks over time.
//!
//! A long pause would press everything else into a corner, so no gap is drawn wider than a share of the whole; a gap
//! that was cut is marked.

use super::event::{EventTone, NamedEvent, is_decision};

/// The width of the drawing; it is stretched over the page.
pub(crate) const WIDTH: f64 = 1000.0;
/// Its height.
pub(crate) const HEIGHT: f64 = 32.0;
/// The largest share of the width that one gap has.
const GAP_SHARE_MAX: f64 = 0.08;
/// The share of the width that is shared equally, so that events of one moment stand apart.
const EQUAL_SHARE: f64 = 0.25;

/// All ticks of one colour, as one path.
#[derive(Debug, Clone)]
pub(crate) struct Ticks {
    pub(crate) tone: &'static str,
    pub(crate) path: String,
}

/// The drawing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Minimap {
    /// The first version in it.
    pub(crate) first: u64,
    pub(crate) ticks: Vec<Ticks>,
    /// Gaps that were cut: where they begin and end.
    pub(crate) cuts: Vec<(String, String)>,
    /// Where each version stands.
    places: Vec<f64>,
    decisions: Vec<u64>,
}

impl Minimap {
    /// Draws events, which are in their order, without gaps in their versions.
    pub(crate) fn of(events: &[NamedEvent]) -> Self {
        let Some(first) = events.first().map(|event| event.version) else { return Self::default() };
        let times: Vec<f64> =
            events.iter().map(|event| crate::words::millis(&event.at).unwrap_or_default() as f64).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).collect();
        let gap_max = cap(&gaps);
        let sum: f64 = gaps.iter().map(|gap| gap.min(gap_max)).sum::<f64>().max(1.0);
        let each = if gaps.is_empty() { 0.0 } else { EQUAL_SHARE / gaps.len() as f64 };
        let (mut places, mut cuts, mut at) = (vec![3.0], Vec::new(), 3.0);
        for gap in &gaps {
            let width = (WIDTH - 6.0) * (gap.min(gap_max) / sum * (1.0 - EQUAL_SHARE) + each);
            if *gap > gap_max {
                cuts.push((number(at + 2.0), number(at + (width - 2.0).max(3.0))));
            }
            at += width;
            places.push(at);
        }
        let mut ticks: Vec<Ticks> = Vec::new();
        for (tone, _) in EventTone::ALL {
            let mut path = String::new();
            for (event, place) in
                events.iter().zip(&places).filter(|(event, _)| EventTone::of_kind(&event.kind) == tone)
            {
                let (top, height) =
                    if is_decision(&event.kind) { (4.0, HEIGHT - 8.0) } else { (10.0, HEIGHT - 20.0) };
                path.push_str(&format!("M{} {top}v{height}", number(*place)));
            }
            if !path.is_empty() {
                ticks.push(Ticks { tone: tone.class(), path });
            }
        }
        let decisions =
            events.iter().filter(|event| is_decision(&event.kind)).map(|event| event.version).collect();
        Self { first, ticks, cuts, places, decisions }
    }

    /// Where a version stands.
    pub(crate) fn place(&self, version: &u64) -> String {
        let at = usize::try_from(version.saturating_sub(self.first)).unwrap_or(usize::MAX);
        number(self.places.get(at).or(self.places.last()).copied().unwrap_or_default())
    }

    /// The places of all versions, for the script that moves the cursor.
    pub(crate) fn places_text(&self) -> String {
        self.places.iter().map(|place| number(*place)).collect::<Vec<_>>().join(" ")
    }

    /// The versions of decisions, for the script that steps over them.
    pub(crate) fn decisions_text(&self) -> String {
        self.decisions.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The last decision before a version, and the first one behind it.
    pub(crate) fn decisions_beside(&self, version: u64) -> (Option<u64>, Option<u64>) {
        let before = self.decisions.iter().rev().find(|decision| **decision < version).copied();
        (before, self.decisions.iter().find(|decision| **decision > version).copied())
    }
}

/// The widest that a gap counts: so that at most [`GAP_SHARE_MAX`] of the width is one gap where there are many.
fn cap(gaps: &[f64]) -> f64 {
    let mut sorted = gaps.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut cap = sorted.last().copied().unwrap_or_default();
    // Each cut makes the whole smaller, and with it the share; a few rounds are enough for the eye.
    for _ in 0..12 {
        let sum: f64 = sorted.iter().map(|gap| gap.min(cap)).sum();
        let next = (sum * GAP_SHARE_MAX).max(250.0);
        if next >= cap {
            break;
        }
        cap = next;
    }
    cap
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(version: u64, second: u64, kind: &str) -> NamedEvent {
        let at = format!("2026-11-22T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
        NamedEvent { version, at, kind: kind.to_owned() }
    }

    #[test]
    fn a_long_wait_leaves_room_for_the_rest() {
        let mut events: Vec<NamedEvent> = (1..=10).map(|n| brief(n, n, "AttemptStarted")).collect();
        events.extend((11..=20).map(|n| brief(n, 40_000 + n, "GateEvaluated")));
        let map = Minimap::of(&events);
        let wait = map.places[10] - map.places[9];
        assert!(wait < WIDTH / 4.0, "{wait}");
        assert!((map.places[19] - (WIDTH - 3.0)).abs() < 0.5, "the last one stands at the end");
        assert_eq!(map.cuts.len(), 1);
        assert_eq!(map.decisions_beside(13), (Some(12), Some(14)));
    }

    #[test]
    fn one_event_and_none_are_drawn() {
        assert_eq!(Minimap::of(&[]).place(&1), "0.0");
        assert_eq!(Minimap::of(&[brief(1, 0, "RunStarted")]).place(&1), "3.0");
    }
}
