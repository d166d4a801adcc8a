//! The run over time: a row for each step.
//!
//! Law: what is drawn is bounded. A row with more spans than it can show is a histogram with its worst, whatever the
//! number of its attempts.

use std::collections::BTreeMap;

use super::facts::{RunFacts, StepFacts};
use super::spans::{Span, SpanKind, Tick};
use crate::words;

/// More spans of one step than these are a histogram.
const SPANS_MAX: usize = 60;
/// The columns of a histogram.
const COLUMNS: usize = 80;
/// How many of the worst are shown by themselves.
const WORST: usize = 10;
/// Gates shown in a row.
const TICKS_MAX: usize = 40;
/// What took no time is still to be seen: percent of the width.
const SHORTEST_BAR: f64 = 0.2;
/// A chart is at least so many milliseconds wide.
const SHORTEST_MS: i64 = 50;

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

    /// The whole scaled around its middle, within a run that is so long.
    fn scaled(self, factor: f64, whole: i64) -> Option<Self> {
        let width = ((self.to - self.from) as f64 * factor) as i64;
        if width < SHORTEST_MS * 2 {
            return None;
        }
        let from = ((self.from + self.to - width) / 2).clamp(0, (whole - width).max(0));
        let to = from + width;
        (to < whole || from > 0).then_some(Self { from, to })
    }

    fn moved(self, by: f64, whole: i64) -> Option<Self> {
        let width = self.to - self.from;
        let from = (self.from + (width as f64 * by) as i64).clamp(0, (whole - width).max(0));
        (from != self.from).then_some(Self { from, to: from + width })
    }
}

/// The chart, with places in percent of its width.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chart {
    /// Milliseconds since 1970 of both ends.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Milliseconds since 1970 when the run began, and how long it is.
    pub(crate) begin: i64,
    pub(crate) whole: i64,
    /// The right end moves.
    pub(crate) grows: bool,
    pub(crate) axis: Vec<Mark>,
    pub(crate) rows: Vec<Row>,
    pub(crate) zoom: ZoomLinks,
    /// The time of machines and that of people, each without overlaps.
    pub(crate) machines: i64,
    pub(crate) people: i64,
}

/// Where the zoom leads to, as values of `zoom`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ZoomLinks {
    pub(crate) is_zoomed: bool,
    pub(crate) closer: Option<String>,
    pub(crate) wider: Option<String>,
    pub(crate) earlier: Option<String>,
    pub(crate) later: Option<String>,
}

/// A mark of the axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) label: String,
}

/// A step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) step: String,
    /// An item, below its step.
    pub(crate) is_item: bool,
    pub(crate) status: String,
    pub(crate) glyph: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) is_selected: bool,
    pub(crate) bars: Vec<Bar>,
    pub(crate) columns: Vec<ChartColumn>,
    pub(crate) ticks: Vec<TickMark>,
    /// How long it took in all, or how many there are.
    pub(crate) note: String,
}

/// A span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bar {
    pub(crate) x: f64,
    pub(crate) width: f64,
    /// `work`, `queue`, `human`, `wait`.
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    pub(crate) instance: String,
    /// Milliseconds since 1970 when it began, where it goes on.
    pub(crate) since: Option<i64>,
    pub(crate) about: String,
    pub(crate) is_selected: bool,
}

/// A column of a histogram: heights in pixels of 18.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChartColumn {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) top: f64,
    pub(crate) height: f64,
    pub(crate) failed_top: f64,
    pub(crate) failed: f64,
}

/// A gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct TickMark {
    pub(crate) x: f64,
    pub(crate) glyph: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) about: String,
}

/// What the chart is drawn from.
pub(crate) struct ChartOf<'a> {
    pub(crate) run: &'a RunFacts,
    pub(crate) spans: &'a [Span],
    pub(crate) ticks: &'a [Tick],
    pub(crate) zoom: Option<Zoom>,
    /// The selected step or item, and its attempt.
    pub(crate) selected: Option<&'a str>,
    pub(crate) attempt: Option<&'a str>,
    /// The shown moment, in milliseconds since 1970.
    pub(crate) now: i64,
}

/// The chart of a run.
pub(crate) fn chart(of: &ChartOf<'_>) -> Chart {
    let begin = words::millis(&of.run.started_at).unwrap_or(of.now);
    let last = of.spans.iter().filter_map(|span| span.to).max().unwrap_or(begin);
    let end = of.run.ended_at.as_deref().and_then(words::millis).unwrap_or(of.now).max(last);
    let whole = (end - begin).max(SHORTEST_MS);
    let shown = of.zoom.unwrap_or(Zoom { from: 0, to: whole });
    let scale = Scale { from: begin + shown.from, to: begin + shown.to, now: end };
    let mut by_step: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in of.spans {
        by_step.entry(span.step()).or_default().push(span);
    }
    let mut rows = Vec::new();
    for step in &of.run.steps {
        let spans = by_step.remove(step.id.as_str()).unwrap_or_default();
        if spans.is_empty() && step.round == 0 {
            continue;
        }
        rows.extend(step_rows(of, &scale, step, &spans));
    }
    let covered =
        |wanted: &[SpanKind]| covered(of.spans.iter().filter(|span| wanted.contains(&span.kind)), end);
    Chart {
        from: scale.from,
        to: scale.to,
        begin,
        whole,
        grows: !of.run.is_ended() && of.zoom.is_none(),
        axis: axis(shown),
        rows,
        zoom: ZoomLinks {
            is_zoomed: of.zoom.is_some(),
            closer: shown.scaled(0.5, whole).map(Zoom::written),
            wider: of.zoom.and_then(|zoom| zoom.scaled(2.0, whole)).map(Zoom::written),
            earlier: of.zoom.and_then(|zoom| zoom.moved(-0.5, whole)).map(Zoom::written),
            later: of.zoom.and_then(|zoom| zoom.moved(0.5, whole)).map(Zoom::written),
        },
        machines: covered(&[SpanKind::Work, SpanKind::Probe]),
        people: covered(&[SpanKind::Human]),
    }
}

/// Places in percent.
struct Scale {
    from: i64,
    to: i64,
    /// Where what goes on ends for now.
    now: i64,
}

impl Scale {
    fn x(&self, at: i64) -> f64 {
        let share = (at - self.from) as f64 / (self.to - self.from) as f64;
        (share.clamp(0.0, 1.0) * 10_000.0).round() / 100.0
    }

    fn shows(&self, span: &Span) -> bool {
        span.from <= self.to && span.to.unwrap_or(self.now) >= self.from
    }
}

fn step_rows(of: &ChartOf<'_>, scale: &Scale, step: &StepFacts, spans: &[&Span]) -> Vec<Row> {
    let mut seen: Vec<&Span> = spans.iter().copied().filter(|span| scale.shows(span)).collect();
    if seen.len() > SPANS_MAX {
        seen.retain(|span| span.kind != SpanKind::Probe);
    }
    let is_many = step.items.is_some() || seen.len() > SPANS_MAX;
    let base = of.selected.map(|selected| selected.split('.').next().unwrap_or(selected));
    let mut row = Row {
        step: step.id.clone(),
        status: step.word().to_owned(),
        glyph: words::glyph(step.word()),
        tone: words::tone(step.word()),
        is_selected: base == Some(step.id.as_str()),
        ticks: tick_marks(of, scale, &step.id),
        note: match step.items {
            Some(items) => format!("{} items", items.total),
            None => took(spans.iter().copied().filter(|span| span.kind != SpanKind::Queue), scale.now),
        },
        ..Row::default()
    };
    if !is_many {
        row.bars = seen.iter().map(|span| bar(of, scale, span)).collect();
        return vec![row];
    }
    row.columns = columns(scale, &seen);
    // Decisions of people are told one by one also where there are many attempts.
    let of_people =
        seen.iter().filter(|span| span.kind == SpanKind::Human && !span.path.contains('.')).take(WORST);
    row.bars = of_people.map(|span| bar(of, scale, span)).collect();
    let mut rows = vec![row];
    if base == Some(step.id.as_str()) {
        rows.extend(worst(of, scale, spans));
    }
    rows
}

/// The ten worst: what failed, then what goes on, then what took longest; the selected one is among them.
fn worst(of: &ChartOf<'_>, scale: &Scale, spans: &[&Span]) -> Vec<Row> {
    let mut by_path: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.path.contains('.')) {
        by_path.entry(&span.path).or_default().push(span);
    }
    let mut items: Vec<(&str, Vec<&Span>)> = by_path.into_iter().collect();
    items.sort_by_key(|(path, spans)| {
        let work = spans.iter().rev().find(|span| span.kind == SpanKind::Work);
        let length = work.map_or(0, |span| span.to.unwrap_or(scale.now) - span.from);
        let fails = work.is_some_and(|span| span.state == "failed");
        let goes_on = work.is_none_or(|span| span.to.is_none());
        (of.selected != Some(*path), !fails, !goes_on, -length)
    });
    items.truncate(WORST);
    let row = |(path, spans): (&str, Vec<&Span>)| {
        let work = spans.iter().rev().find(|span| span.kind == SpanKind::Work);
        let state = work.map_or("queued", |span| span.state);
        Row {
            step: path.to_owned(),
            is_item: true,
            status: state.to_owned(),
            glyph: words::glyph(state),
            tone: words::tone(state),
            is_selected: of.selected == Some(path),
            bars: spans
                .iter()
                .filter(|span| scale.shows(span))
                .take(SPANS_MAX)
                .map(|span| bar(of, scale, span))
                .collect(),
            note: took(spans.iter().copied().filter(|span| span.kind == SpanKind::Work), scale.now),
            ..Row::default()
        }
    };
    items.into_iter().map(row).collect()
}

fn bar(of: &ChartOf<'_>, scale: &Scale, span: &Span) -> Bar {
    let (x, end) = (scale.x(span.from), scale.x(span.to.unwrap_or(scale.now)));
    let kind = match span.kind {
        SpanKind::Work => "work",
        SpanKind::Queue => "queue",
        SpanKind::Human => "human",
        SpanKind::Wait => "wait",
        SpanKind::Probe => "probe",
    };
    let took = words::duration(span.to.unwrap_or(scale.now) - span.from);
    let what = match span.kind {
        SpanKind::Work => span.state,
        SpanKind::Queue => "stood in line",
        SpanKind::Human => "waited for people",
        SpanKind::Wait => "waited",
        SpanKind::Probe => "a gate was asked",
    };
    Bar {
        x,
        width: round2((end - x).max(SHORTEST_BAR)),
        kind,
        state: span.state,
        instance: span.instance.clone(),
        since: span.to.is_none().then_some(span.from),
        about: format!("{} {}: {what}, {took}", span.path, span.instance),
        is_selected: of.selected == Some(span.path.as_str()) && of.attempt == Some(span.instance.as_str()),
    }
}

/// How many worked in each stretch of time, and how many failed there.
fn columns(scale: &Scale, spans: &[&Span]) -> Vec<ChartColumn> {
    let width = (scale.to - scale.from) as f64 / COLUMNS as f64;
    let at = |time: i64| (((time - scale.from) as f64 / width) as i64).clamp(0, COLUMNS as i64 - 1) as usize;
    // Counted by begins and ends, so that a thousand long spans are as cheap as short ones.
    let mut steps = vec![0i64; COLUMNS + 1];
    let mut failed = vec![0i64; COLUMNS];
    for span in spans.iter().filter(|span| span.kind == SpanKind::Work) {
        let end = at(span.to.unwrap_or(scale.now));
        steps[at(span.from)] += 1;
        steps[end + 1] -= 1;
        if span.state == "failed" {
            failed[end] += 1;
        }
    }
    let mut active = 0;
    let counts: Vec<i64> = steps
        .iter()
        .take(COLUMNS)
        .map(|step| {
            active += step;
            active
        })
        .collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let share = 100.0 / COLUMNS as f64;
    counts
        .iter()
        .zip(&failed)
        .enumerate()
        .filter(|(_, (count, _))| **count > 0)
        .map(|(at, (count, failed))| {
            let height = (*count as f64 / most * 18.0).max(1.5);
            let bad = (*failed as f64 / most * 18.0).min(height);
            let bad = if *failed > 0 { bad.max(2.0) } else { 0.0 };
            ChartColumn {
                x: round2(at as f64 * share),
                width: round2(share * 0.86),
                top: round2(22.0 - height),
                height: round2(height),
                failed_top: round2(22.0 - bad),
                failed: round2(bad),
            }
        })
        .collect()
}

fn tick_marks(of: &ChartOf<'_>, scale: &Scale, step: &str) -> Vec<TickMark> {
    let own = of.ticks.iter().filter(|tick| tick.step == step && (scale.from..=scale.to).contains(&tick.at));
    own.rev()
        .take(TICKS_MAX)
        .map(|tick| TickMark {
            x: scale.x(tick.at),
            glyph: words::glyph(&tick.verdict),
            tone: words::tone(&tick.verdict),
            about: format!(
                "gate {}: {} · {}",
                tick.gate,
                tick.verdict,
                tick.reason.chars().take(120).collect::<String>()
            ),
        })
        .collect()
}

/// How long these took together; nothing where that is not to be measured.
fn took<'a>(spans: impl Iterator<Item = &'a Span>, now: i64) -> String {
    match covered(spans, now) {
        0 => String::new(),
        time => words::duration(time),
    }
}

/// How much time these cover together.
fn covered<'a>(spans: impl Iterator<Item = &'a Span>, now: i64) -> i64 {
    let mut all: Vec<(i64, i64)> = spans.map(|span| (span.from, span.to.unwrap_or(now))).collect();
    all.sort_unstable();
    let (mut sum, mut reached) = (0, i64::MIN);
    for (from, to) in all {
        let from = from.max(reached);
        sum += (to - from).max(0);
        reached = reached.max(to);
    }
    sum
}

/// Marks at round times, four to eight of them.
fn axis(shown: Zoom) -> Vec<Mark> {
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

fn round2(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(path: &str, kind: SpanKind, state: &'static str, from: i64, to: Option<i64>) -> Span {
        Span { path: path.to_owned(), kind, state, instance: "1.1".to_owned(), from, to }
    }

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
    fn overlapping_work_counts_once() {
        let spans = [
            span("a", SpanKind::Work, "succeeded", 0, Some(100)),
            span("b", SpanKind::Work, "succeeded", 50, Some(150)),
            span("c", SpanKind::Work, "running", 200, None),
        ];
        assert_eq!(covered(spans.iter(), 300), 250);
    }

    #[test]
    fn ten_thousand_spans_are_eighty_columns() {
        let spans: Vec<Span> = (0..10_000)
            .map(|at| {
                span(
                    &format!("each.{at}"),
                    SpanKind::Work,
                    if at % 7 == 0 { "failed" } else { "succeeded" },
                    at,
                    Some(at + 40),
                )
            })
            .collect();
        let refs: Vec<&Span> = spans.iter().collect();
        let drawn = columns(&Scale { from: 0, to: 10_040, now: 10_040 }, &refs);
        assert!(drawn.len() <= COLUMNS);
        assert!(drawn.iter().all(|column| column.height <= 18.0 && column.failed <= column.height.max(2.0)));
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
