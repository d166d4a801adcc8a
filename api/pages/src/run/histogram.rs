//! How many attempts worked at a time, and how they ended: a row with too many spans for bars.
//!
//! Law: as many columns as `COLUMNS`, whatever the number of spans.

use super::axis::{Scale, round2};
use super::spans::{Span, SpanKind};

/// The columns of a histogram.
const COLUMNS: usize = 80;
/// The height of the highest column, in pixels, and where its foot is.
const HIGHEST: f64 = 18.0;
const FOOT: f64 = 22.0;
/// What is there is to be seen: pixels.
const LOWEST: f64 = 2.0;
/// The tones of a column, from its foot up.
const TONES: [&str; 5] = ["bad", "running", "human", "still", "good"];

/// A column.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChartColumn {
    pub(crate) x: f64,
    pub(crate) width: f64,
    /// By how the work ended, or that it goes on.
    pub(crate) parts: Vec<ColumnPart>,
}

/// A part of a column: places in pixels.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnPart {
    pub(crate) tone: &'static str,
    pub(crate) top: f64,
    pub(crate) height: f64,
}

/// Which of `TONES` a span has.
fn tone_of(span: &Span) -> usize {
    match (span.kind, span.state) {
        (SpanKind::Human, _) => 2,
        (_, "failed") => 0,
        (_, "running") => 1,
        (_, "succeeded") => 4,
        _stopped => 3,
    }
}

/// How many worked in each stretch of time, by how their work ended, and how many waited for people.
pub(crate) fn columns(scale: &Scale, spans: &[Span]) -> Vec<ChartColumn> {
    let width = (scale.to - scale.from) as f64 / COLUMNS as f64;
    let at = |time: i64| (((time - scale.from) as f64 / width) as i64).clamp(0, COLUMNS as i64 - 1) as usize;
    // Counted by begins and ends, so that a thousand long spans are as cheap as short ones.
    let mut changes = vec![[0i64; TONES.len()]; COLUMNS + 1];
    for span in spans.iter().filter(|span| matches!(span.kind, SpanKind::Work | SpanKind::Human)) {
        let tone = tone_of(span);
        changes[at(span.from)][tone] += 1;
        changes[at(span.to.unwrap_or(scale.now)) + 1][tone] -= 1;
    }
    let mut active = [0i64; TONES.len()];
    let mut counts = Vec::with_capacity(COLUMNS);
    for change in changes.iter().take(COLUMNS) {
        for (count, by) in active.iter_mut().zip(change) {
            *count += by;
        }
        counts.push(active);
    }
    let most = counts.iter().map(|count| count.iter().sum::<i64>()).max().unwrap_or(0).max(1) as f64;
    let share = 100.0 / COLUMNS as f64;
    let column = |(at, count): (usize, &[i64; TONES.len()])| {
        let parts = stacked(count, most);
        (!parts.is_empty()).then(|| ChartColumn {
            x: round2(at as f64 * share),
            width: round2(share * 0.86),
            parts,
        })
    };
    counts.iter().enumerate().filter_map(column).collect()
}

/// One upon the other; what failed stands at the foot, and is seen however little it is.
fn stacked(counts: &[i64; TONES.len()], most: f64) -> Vec<ColumnPart> {
    let mut parts = Vec::new();
    let mut left = (counts.iter().sum::<i64>() as f64 / most * HIGHEST).max(LOWEST);
    let mut top = FOOT;
    for (tone, count) in TONES.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
        let height = (*count as f64 / most * HIGHEST).max(LOWEST).min(left);
        if height <= 0.0 {
            break;
        }
        left -= height;
        top -= height;
        parts.push(ColumnPart { tone, top: round2(top), height: round2(height) });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(item: i64, state: &'static str, from: i64, to: Option<i64>) -> Span {
        Span {
            path: format!("each.{item}"),
            kind: SpanKind::Work,
            state,
            instance: "1.1".to_owned(),
            from,
            to,
        }
    }

    #[test]
    fn ten_thousand_spans_are_eighty_columns() {
        let spans: Vec<Span> = (0..10_000)
            .map(|at| span(at, if at % 7 == 0 { "failed" } else { "succeeded" }, at, Some(at + 40)))
            .collect();
        let drawn = columns(&Scale { from: 0, to: 10_040, now: 10_040 }, &spans);
        assert!(drawn.len() <= COLUMNS);
        for column in drawn {
            let height: f64 = column.parts.iter().map(|part| part.height).sum();
            assert!(height <= HIGHEST + 0.1, "{column:?}");
            assert_eq!(column.parts.first().map(|part| part.tone), Some("bad"));
        }
    }

    #[test]
    fn a_column_says_what_goes_on_and_what_failed() {
        let tones = |spans: &[Span]| -> Vec<&'static str> {
            let drawn = columns(&Scale { from: 0, to: 8_000, now: 8_000 }, spans);
            drawn[0].parts.iter().map(|part| part.tone).collect()
        };
        assert_eq!(tones(&[span(0, "running", 0, None), span(1, "running", 0, None)]), ["running"]);
        assert_eq!(tones(&[span(0, "failed", 0, Some(10)), span(1, "failed", 0, Some(10))]), ["bad"]);
        assert_eq!(
            tones(&[
                span(0, "succeeded", 0, Some(10)),
                span(1, "cancelled", 0, Some(10)),
                span(2, "failed", 0, Some(10)),
                span(3, "running", 0, None),
                Span { kind: SpanKind::Human, ..span(4, "waiting", 0, None) },
            ]),
            ["bad", "running", "human", "still", "good"]
        );
    }
}
