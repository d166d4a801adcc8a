//! The axis of time: the shown part, where a moment lies on it, and its marks.
//!
//! Law: `axis` of `assets/run.js` draws the same marks while a run goes on.

/// A chart is at least so many milliseconds wide.
pub(crate) const SHORTEST_MS: i64 = 50;

/// A part of the time of a run, in milliseconds since its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zoom {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Zoom {
    /// Reads `1200-5600`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (from.parse::<i64>().ok()?, to.parse::<i64>().ok()?);
        (from >= 0 && to < i64::MAX / 4 && to - from >= SHORTEST_MS).then_some(Self { from, to })
    }

    /// As it stands in an address.
    pub(crate) fn written(self) -> String {
        format!("{}-{}", self.from, self.to)
    }

    /// What of it a run that is so long has; none where that is the whole run, or nothing.
    pub(crate) fn within(self, whole: i64) -> Option<Self> {
        let shown = Self { from: self.from, to: self.to.min(whole) };
        (shown.to - shown.from >= SHORTEST_MS && (shown.from > 0 || shown.to < whole)).then_some(shown)
    }

    /// The whole scaled around its middle, within a run that is so long.
    pub(crate) fn scaled(self, factor: f64, whole: i64) -> Option<Self> {
        let width = ((self.to - self.from) as f64 * factor) as i64;
        if width < SHORTEST_MS * 2 {
            return None;
        }
        let from = ((self.from + self.to - width) / 2).clamp(0, (whole - width).max(0));
        let to = from + width;
        (to < whole || from > 0).then_some(Self { from, to })
    }

    /// The same width, earlier or later by a share of it.
    pub(crate) fn moved(self, by: f64, whole: i64) -> Option<Self> {
        let width = self.to - self.from;
        let from = (self.from + (width as f64 * by) as i64).clamp(0, (whole - width).max(0));
        (from != self.from).then_some(Self { from, to: from + width })
    }
}

/// A mark of the axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) label: String,
}

/// Places in percent.
pub(crate) struct Scale {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Where what goes on ends for now.
    pub(crate) now: i64,
}

impl Scale {
    pub(crate) fn x(&self, at: i64) -> f64 {
        let share = (at - self.from) as f64 / (self.to - self.from) as f64;
        (share.clamp(0.0, 1.0) * 10_000.0).round() / 100.0
    }

    /// Whether a stretch is seen; what goes on has no end.
    pub(crate) fn shows(&self, from: i64, to: Option<i64>) -> bool {
        from <= self.to && to.unwrap_or(self.now) >= self.from
    }
}

/// Marks at round times, four to eight of them.
pub(crate) fn axis(shown: Zoom) -> Vec<Mark> {
    const ROUND: [i64; 27] = [
        10,
        20,
        50,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        15_000,
        30_000,
        60_000,
        120_000,
        300_000,
        600_000,
        900_000,
        1_800_000,
        3_600_000,
        7_200_000,
        14_400_000,
        21_600_000,
        43_200_000,
        86_400_000,
        172_800_000,
        604_800_000,
        2_592_000_000,
    ];
    let width = shown.to - shown.from;
    let step = ROUND.into_iter().find(|step| width / step <= 6).unwrap_or(width / 4).max(1);
    let first = (shown.from + step - 1) / step * step;
    (0..8)
        .map(|at| first + at * step)
        .take_while(|at| *at <= shown.to)
        .map(|at| Mark { x: round2((at - shown.from) as f64 / width as f64 * 100.0), label: offset(at) })
        // A label at the very end would be cut off.
        .filter(|mark| mark.x < 95.0)
        .collect()
}

/// A time since the begin, short: `0`, `500 ms`, `5 s`, `2 m`, `1 h 30 m`.
fn offset(ms: i64) -> String {
    let seconds = ms / 1000;
    match ms {
        0 => "0".to_owned(),
        _ if ms < 1000 => format!("{ms} ms"),
        _ if ms % 1000 != 0 => format!("{}.{} s", seconds, ms % 1000 / 100),
        _ if seconds < 60 => format!("{seconds} s"),
        _ if seconds < 3600 && seconds % 60 == 0 => format!("{} m", seconds / 60),
        _ if seconds < 3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        _ if seconds < 86_400 => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
        _ if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Percent and pixels with two digits.
pub(crate) fn round2(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zoom_is_read_and_kept_within_the_run() {
        let zoom = Zoom::parse("1000-5000").unwrap();
        assert_eq!(zoom.written(), "1000-5000");
        assert_eq!(zoom.scaled(0.5, 10_000), Some(Zoom { from: 2000, to: 4000 }));
        assert_eq!(zoom.scaled(2.0, 8_000), None, "wider than the run is the whole");
        assert_eq!(zoom.moved(-0.5, 10_000), Some(Zoom { from: 0, to: 4000 }));
        for bad in ["", "5", "5000-1000", "a-b", "-5-10", "0-10", "0-9223372036854775807"] {
            assert_eq!(Zoom::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_zoom_shows_only_what_the_run_has() {
        let within = |from, to| Zoom { from, to }.within(10_000).map(Zoom::written);
        assert_eq!(within(2_000, 99_999_999_999_999_999).as_deref(), Some("2000-10000"));
        assert_eq!(within(0, 99_999_999_999_999_999), None, "the whole");
        assert_eq!(within(20_000, 30_000), None, "nothing of it");
    }

    #[test]
    fn the_axis_has_round_times() {
        let labels =
            |from, to| axis(Zoom { from, to }).into_iter().map(|mark| mark.label).collect::<Vec<_>>();
        assert_eq!(labels(0, 13_000), ["0", "2 s", "4 s", "6 s", "8 s", "10 s", "12 s"]);
        assert_eq!(labels(61_000, 62_000), ["1 m 1 s", "61.2 s", "61.4 s", "61.6 s", "61.8 s"]);
        assert_eq!(labels(0, 7_200_000), ["0", "30 m", "1 h", "1 h 30 m"]);
    }
}
