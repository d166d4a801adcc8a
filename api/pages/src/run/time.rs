//! The run over time: a row for each step.
//!
//! Law: what is drawn is bounded. A row with more spans than it can show is a histogram with its worst, whatever the
//! number of its attempts.

use std::collections::BTreeMap;

use super::axis::{Mark, SHORTEST_MS, Scale, Zoom, axis, round2};
use super::facts::{RunFacts, StepFacts};
use super::histogram::{ChartColumn, columns};
use super::spans::{self, AttemptFacts, Span, SpanKind, Tick};
use crate::words;

/// More spans of one step than these are a histogram.
const SPANS_MAX: usize = 60;
/// How many of the worst are shown by themselves.
const WORST: usize = 10;
/// Gates shown in a row.
const TICKS_MAX: usize = 40;
/// What took no time is still to be seen: percent of the width.
const SHORTEST_BAR: f64 = 0.2;

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
    /// How many steps there are, where every one was skipped.
    pub(crate) skipped: usize,
    pub(crate) axis: Vec<Mark>,
    pub(crate) rows: Vec<Row>,
    pub(crate) zoom: ZoomLinks,
    /// The time of machines and that of people, each without overlaps.
    pub(crate) machines: Measured,
    pub(crate) people: Measured,
}

/// A time that spans cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) ms: i64,
    /// Some of it goes on.
    pub(crate) goes_on: bool,
}

impl Measured {
    /// As readers see it.
    pub(crate) fn words(self) -> String {
        words::duration(self.ms)
    }
}

/// Where the zoom leads to, as values of `zoom`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ZoomLinks {
    /// The shown part; none: the whole.
    pub(crate) shown: Option<String>,
    pub(crate) closer: Option<String>,
    pub(crate) wider: Option<String>,
    pub(crate) earlier: Option<String>,
    pub(crate) later: Option<String>,
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
    /// How long it took in all; none where that is not measured.
    pub(crate) took: Option<Measured>,
    /// What stands in place of that.
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
    pub(crate) attempts: &'a [AttemptFacts],
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
    let zoom = of.zoom.and_then(|zoom| zoom.within(whole));
    let shown = zoom.unwrap_or(Zoom { from: 0, to: whole });
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
    let of_people = of.spans.iter().filter(|span| span.kind == SpanKind::Human);
    let people = covered(of_people.map(stretch), begin, end);
    let machines = covered(of_machines(of.spans.iter()).iter().map(stretch), begin, end);
    let is_skipped = of.run.steps.iter().all(|step| step.word() == "skipped");
    Chart {
        from: scale.from,
        to: scale.to,
        begin,
        whole,
        grows: !of.run.is_ended() && zoom.is_none(),
        skipped: if is_skipped { of.run.steps.len() } else { 0 },
        axis: axis(shown),
        rows,
        zoom: ZoomLinks {
            shown: zoom.map(Zoom::written),
            closer: shown.scaled(0.5, whole).map(Zoom::written),
            wider: zoom.and_then(|zoom| zoom.scaled(2.0, whole)).map(Zoom::written),
            earlier: zoom.and_then(|zoom| zoom.moved(-0.5, whole)).map(Zoom::written),
            later: zoom.and_then(|zoom| zoom.moved(0.5, whole)).map(Zoom::written),
        },
        machines,
        people,
    }
}

fn step_rows(of: &ChartOf<'_>, scale: &Scale, step: &StepFacts, spans: &[&Span]) -> Vec<Row> {
    let mut seen: Vec<&Span> = spans.iter().copied().filter(|span| scale.shows(span.from, span.to)).collect();
    if seen.len() > SPANS_MAX {
        seen.retain(|span| span.kind != SpanKind::Probe);
    }
    let is_many = step.items.is_some() || seen.len() > SPANS_MAX;
    let base = of.selected.map(|selected| selected.split('.').next().unwrap_or(selected));
    let begin = words::millis(&of.run.started_at).unwrap_or(scale.from);
    let is_copied = is_copied(of.run, step);
    let mut row = Row {
        step: step.id.clone(),
        status: step.word().to_owned(),
        glyph: words::glyph(step.word()),
        tone: words::tone(step.word()),
        is_selected: base == Some(step.id.as_str()),
        ticks: tick_marks(of, scale, &step.id),
        took: (step.items.is_none() && !is_copied).then(|| took(spans, begin, scale.now)).flatten(),
        note: match step.items {
            _ if is_copied => "copied".to_owned(),
            Some(items) => format!("{} items", items.total),
            None => String::new(),
        },
        ..Row::default()
    };
    if !is_many {
        row.bars = seen.iter().map(|span| bar(of, scale, span)).collect();
        return vec![row];
    }
    let mut counted = of_machines(seen.iter().copied());
    let of_items = |span: &&&Span| span.kind == SpanKind::Human && span.path.contains('.');
    counted.extend(seen.iter().filter(of_items).map(|span| (*span).clone()));
    row.columns = columns(scale, &counted);
    // Decisions of people are told one by one also where there are many attempts.
    let of_people =
        seen.iter().filter(|span| span.kind == SpanKind::Human && !span.path.contains('.')).take(WORST);
    row.bars = of_people.map(|span| bar(of, scale, span)).collect();
    let mut rows = vec![row];
    if base == Some(step.id.as_str()) {
        rows.extend(worst(of, scale, step, spans));
    }
    rows
}

/// Whether the run took this step over from another run: nothing of it lies in the run's own time.
fn is_copied(run: &RunFacts, step: &StepFacts) -> bool {
    let ended_at = step.ended_at.as_deref().and_then(words::millis);
    let is_before = ended_at.zip(words::millis(&run.started_at)).is_some_and(|(ended, began)| ended <= began);
    run.origin.is_some() && is_before
}

/// The ten worst items; the selected one is the first of them.
fn worst(of: &ChartOf<'_>, scale: &Scale, step: &StepFacts, spans: &[&Span]) -> Vec<Row> {
    let mut by_path: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.path.contains('.')) {
        by_path.entry(&span.path).or_default().push(span);
    }
    let own: Vec<&AttemptFacts> =
        of.attempts.iter().filter(|it| it.base() == step.id && it.step.contains('.')).collect();
    let mut items = spans::worst(&own, of.now, WORST);
    let selected = of.selected.filter(|selected| selected.contains('.'));
    if let Some(one) = own.iter().rev().find(|it| Some(it.step.as_str()) == selected) {
        items.retain(|it| it.step != one.step);
        items.insert(0, one);
        items.truncate(WORST);
    }
    let row = |item: &AttemptFacts| {
        let spans = by_path.get(item.step.as_str()).map(Vec::as_slice).unwrap_or_default();
        let state = item.state();
        let shown = spans.iter().filter(|span| scale.shows(span.from, span.to)).take(SPANS_MAX);
        Row {
            step: item.step.clone(),
            is_item: true,
            status: state.to_owned(),
            glyph: words::glyph(state),
            tone: words::tone(state),
            is_selected: selected == Some(item.step.as_str()),
            bars: shown.map(|span| bar(of, scale, span)).collect(),
            took: took(spans, i64::MIN, scale.now),
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

/// How long these took together, without the time in line; none where there is nothing but that.
fn took(spans: &[&Span], begin: i64, now: i64) -> Option<Measured> {
    let mut own = spans.iter().copied().filter(|span| span.kind != SpanKind::Queue).peekable();
    own.peek()?;
    Some(covered(own.map(stretch), begin, now))
}

/// From when until when; what goes on has no end.
type TimeRange = (i64, Option<i64>);

fn stretch(span: &Span) -> TimeRange {
    (span.from, span.to)
}

/// The parts of spans in which machines worked: not while an attempt waits for people or for a moment, as a run that a
/// step started does.
fn of_machines<'a>(spans: impl Iterator<Item = &'a Span> + Clone) -> Vec<Span> {
    let mut waits: BTreeMap<&str, Vec<TimeRange>> = BTreeMap::new();
    for span in spans.clone().filter(|span| matches!(span.kind, SpanKind::Human | SpanKind::Wait)) {
        waits.entry(&span.path).or_default().push(stretch(span));
    }
    for waits in waits.values_mut() {
        waits.sort_unstable_by_key(|(from, _)| *from);
    }
    let mut worked = Vec::new();
    for span in spans.filter(|span| matches!(span.kind, SpanKind::Work | SpanKind::Probe)) {
        let own = waits.get(span.path.as_str()).map(Vec::as_slice).unwrap_or_default();
        let parts = without(stretch(span), own).into_iter();
        worked.extend(parts.map(|(from, to)| Span { from, to, ..span.clone() }));
    }
    worked
}

/// What is left of a stretch without others, which are in the order of their begins.
fn without((mut from, to): TimeRange, others: &[TimeRange]) -> Vec<TimeRange> {
    if others.is_empty() {
        return vec![(from, to)];
    }
    let mut left = Vec::new();
    for (begin, end) in others {
        if to.is_some_and(|to| *begin >= to) {
            break;
        }
        if *begin > from {
            left.push((from, Some(*begin)));
        }
        let Some(end) = end else { return left };
        from = from.max(*end);
    }
    if to.is_none_or(|to| to > from) {
        left.push((from, to));
    }
    left
}

/// How much time these cover together since a begin: a run that goes on with another's work does not count the time
/// before itself.
fn covered(stretches: impl Iterator<Item = TimeRange>, begin: i64, now: i64) -> Measured {
    let mut goes_on = false;
    let mut all: Vec<(i64, i64)> = stretches
        .map(|(from, to)| {
            goes_on |= to.is_none();
            (from, to.unwrap_or(now))
        })
        .collect();
    all.sort_unstable();
    let (mut ms, mut reached) = (0, begin);
    for (from, to) in all {
        let from = from.max(reached);
        ms += (to - from).max(0);
        reached = reached.max(to);
    }
    Measured { ms, goes_on }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(path: &str, kind: SpanKind, state: &'static str, from: i64, to: Option<i64>) -> Span {
        Span { path: path.to_owned(), kind, state, instance: "1.1".to_owned(), from, to }
    }

    #[test]
    fn overlapping_work_counts_once() {
        let spans = [
            span("a", SpanKind::Work, "succeeded", 0, Some(100)),
            span("b", SpanKind::Work, "succeeded", 50, Some(150)),
            span("c", SpanKind::Work, "running", 200, None),
        ];
        assert_eq!(covered(spans.iter().map(stretch), 0, 300), Measured { ms: 250, goes_on: true });
        assert_eq!(covered(spans[..2].iter().map(stretch), 100, 300), Measured { ms: 50, goes_on: false });
    }

    #[test]
    fn no_machine_works_while_a_child_waits_for_people() {
        let spans = [
            span("p", SpanKind::Work, "running", 0, None),
            span("p", SpanKind::Human, "done", 100, Some(900)),
            span("other", SpanKind::Work, "succeeded", 850, Some(950)),
        ];
        let worked: Vec<TimeRange> = of_machines(spans.iter()).iter().map(stretch).collect();
        assert_eq!(worked, [(0, Some(100)), (900, None), (850, Some(950))]);
        assert_eq!(without((0, Some(50)), &[(10, None)]), [(0, Some(10))]);
        assert_eq!(without((0, Some(50)), &[(0, Some(20)), (10, Some(30)), (60, None)]), [(30, Some(50))]);
        assert_eq!(without((0, None), &[(0, None)]), []);
    }

    fn run(steps: serde_json::Value) -> RunFacts {
        serde_json::from_value(serde_json::json!({
            "id": "r", "short_id": "r", "pipeline": "p", "title": null, "version": 1, "steps": steps,
            "status": "running", "started_by": "user:ada", "started_at": "1970-01-01T00:00:10Z",
            "ended_at": null, "origin": {"run": "o", "version": 9, "how": "fork"},
        }))
        .unwrap()
    }

    #[test]
    fn a_run_whose_steps_were_all_skipped_says_so() {
        let skipped = serde_json::json!({"id": "a", "kind": "command", "status": "skipped", "round": 0});
        let pending = serde_json::json!({"id": "b", "kind": "command", "status": "pending", "round": 0});
        let of =
            |steps: &[&serde_json::Value]| chart_of(&run(serde_json::json!(steps)), &[], &[], None).skipped;
        assert_eq!((of(&[&skipped, &skipped]), of(&[&skipped, &pending]), of(&[])), (2, 0, 0));
    }

    fn chart_of(run: &RunFacts, attempts: &[AttemptFacts], spans: &[Span], zoom: Option<&str>) -> Chart {
        let selected = run.steps.first().map(|step| step.id.as_str());
        let zoom = zoom.and_then(Zoom::parse);
        chart(&ChartOf { run, attempts, spans, ticks: &[], zoom, selected, attempt: None, now: 20_000 })
    }

    #[test]
    fn a_copy_counts_only_its_own_time() {
        let run = run(serde_json::json!([
            {"id": "write", "kind": "command", "status": "succeeded", "round": 1, "ended_at": "1970-01-01T00:00:05Z"},
            {"id": "approve", "kind": "approval", "status": "waiting", "round": 1},
        ]));
        let spans = [
            span("write", SpanKind::Probe, "succeeded", 4_000, Some(5_000)),
            span("approve", SpanKind::Human, "waiting", 4_000, None),
        ];
        let chart = chart_of(&run, &[], &spans, None);
        assert_eq!(chart.people, Measured { ms: 10_000, goes_on: true });
        let notes: Vec<_> = chart.rows.iter().map(|row| (row.note.as_str(), row.took)).collect();
        assert_eq!(notes, [("copied", None), ("", Some(Measured { ms: 10_000, goes_on: true }))]);
    }

    #[test]
    fn a_part_that_the_run_does_not_have_is_not_shown() {
        let run = run(serde_json::json!([]));
        assert_eq!(chart_of(&run, &[], &[], Some("0-99999999999999999")).zoom.shown, None);
        let chart = chart_of(&run, &[], &[], Some("4000-99999999999999999"));
        assert_eq!((chart.zoom.shown.as_deref(), chart.to), (Some("4000-10000"), 20_000));
    }

    #[test]
    fn the_worst_items_of_time_are_those_of_the_panel() {
        let items: Vec<AttemptFacts> = (0..40)
            .map(|item| AttemptFacts {
                step: format!("each.{item}"),
                round: 1,
                attempt: 1,
                scheduled_at: "1970-01-01T00:00:11Z".to_owned(),
                started_at: Some("1970-01-01T00:00:11Z".to_owned()),
                end: Some(spans::AttemptEnd {
                    at: format!("1970-01-01T00:00:{}Z", 12 + item % 3),
                    failure: (item % 20 == 2).then(crate::run::facts::FailureFacts::default),
                    log: None,
                }),
                ..AttemptFacts::default()
            })
            .collect();
        let drawn = spans::of_attempts(&items);
        let run = run(serde_json::json!([{"id": "each", "kind": "command", "status": "running", "round": 1,
            "items": {"total": 40}}]));
        let chart = chart_of(&run, &items, &drawn, None);
        let refs: Vec<&AttemptFacts> = items.iter().collect();
        let rows: Vec<&str> =
            chart.rows.iter().filter(|row| row.is_item).map(|row| row.step.as_str()).collect();
        let panel: Vec<&str> = spans::worst(&refs, 20_000, WORST).iter().map(|it| it.step.as_str()).collect();
        assert_eq!(rows, panel);
        assert_eq!(rows[..4], ["each.2", "each.22", "each.5", "each.8"]);
    }
}
