//! The bar of time below the board: from when to when it reaches, and what happened there.

use std::fmt::Write as _;

use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;

use super::counts::Counts;
use super::filter::RunFilter;
use super::moment::shortest;
use super::row::RunList;
use crate::frame::{Visit, with_query};
use crate::problem::Problem;

/// How far the bar may reach, with its length in seconds; the last: the whole log.
pub(crate) const SPANS: [(&str, &str, i64); 6] = [
    ("1h", "1 hour", 3600),
    ("6h", "6 hours", 21_600),
    ("1d", "1 day", 86_400),
    ("7d", "7 days", 604_800),
    ("30d", "30 days", 2_592_000),
    ("all", "all", i64::MAX),
];

/// The shortest bar: a log that began a moment ago has one, too.
const SHORTEST_MS: i64 = 60_000;
/// Entries of each list that are read for marks.
const MARKS_MAX: usize = 500;
/// Stretches in which runs are counted where lists do not reach.
const STRETCHES: i64 = 24;
/// The verdicts by which a gate decides; one that is pending looks again.
const DECIDED: [&str; 2] = ["pass", "fail"];
/// Marks stand in so many places of the bar.
const PLACES: usize = 300;

/// The bar of time.
#[derive(Debug, Clone)]
pub(crate) struct TimeBar {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// The shown moment where it is a time.
    pub(crate) at_ms: Option<i64>,
    pub(crate) span: &'static str,
    /// Whether it ends now.
    pub(crate) ends_now: bool,
    /// The shown moment where it is a position whose time is not known.
    pub(crate) position: Option<String>,
}

impl TimeBar {
    /// The bar around a moment, in a log that began at some time.
    pub(crate) fn around(at_ms: Option<i64>, first_ms: i64, now_ms: i64, span: Option<&str>) -> Self {
        let age = (now_ms - first_ms).max(0);
        // Without a wish: the shortest span that holds the log; beyond a day, a day.
        let chosen = SPANS.iter().find(|(name, _, _)| Some(*name) == span).unwrap_or_else(|| {
            let fits = |(_, _, seconds): &&(&str, &str, i64)| seconds.saturating_mul(1000) >= age;
            SPANS.iter().take(3).find(fits).unwrap_or(&SPANS[2])
        });
        let length = chosen.2.saturating_mul(1000);
        // The first run's start stands a little behind the bar's beginning.
        let start = first_ms - age / 50 - 1000;
        let (from_ms, to_ms) = match at_ms {
            Some(at) if at < now_ms.saturating_sub(length) => (at - length / 2, at + length / 2),
            _within => (now_ms.saturating_sub(length), now_ms),
        };
        let from_ms = from_ms.max(start).min(to_ms - SHORTEST_MS);
        Self { from_ms, to_ms, at_ms, span: chosen.0, ends_now: to_ms == now_ms, position: None }
    }

    /// Reads when the log's first run began, and draws the bar for the shown moment.
    ///
    /// # Errors
    /// The list of runs cannot be read.
    pub(crate) async fn load(visit: &Visit, span: Option<&str>) -> Result<Self, Problem> {
        let now = crate::words::now_millis();
        let oldest: RunList = visit.rest.get("/runs?sort=started&limit=1").await?;
        let first = oldest.items.first().and_then(|run| crate::words::millis(&run.started_at)).unwrap_or(now);
        let at = visit.then.as_deref().and_then(crate::words::millis);
        let position = visit.at.clone().filter(|_| at.is_none());
        Ok(Self { position, ..Self::around(at, first, now, span) })
    }

    /// Whether a span is the one that is shown.
    pub(crate) fn is_span(&self, span: &str) -> bool {
        self.span == span
    }

    /// Where the slider stands.
    pub(crate) fn value(&self) -> i64 {
        self.at_ms.unwrap_or(self.to_ms)
    }

    /// How far one press of an arrow goes: a 240th of the bar, in whole seconds where it is long.
    pub(crate) fn step(&self) -> i64 {
        let step = (self.to_ms - self.from_ms) / 240;
        if step > 1000 { step / 1000 * 1000 } else { step.max(1) }
    }
}

/// What happened, where on the bar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    pub(crate) started: MarkTrack,
    pub(crate) failed: MarkTrack,
    pub(crate) decided: MarkTrack,
    /// All their times, for steps from mark to mark, in milliseconds.
    pub(crate) times: String,
    /// More happened than was read.
    pub(crate) is_cut: bool,
}

/// One kind of marks.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkTrack {
    pub(crate) count: u64,
    /// The path that draws them, in a view box that is `PLACES` wide and 10 high.
    pub(crate) path: String,
}

impl MarkTrack {
    /// Draws how often something happened at which times.
    fn of(happened: &[(i64, u64)], from: i64, to: i64) -> Self {
        let mut counts = [0_u64; PLACES];
        for (time, times) in happened {
            let at = (time - from).saturating_mul(PLACES as i64) / (to - from).max(1);
            if let Some(count) = usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
                *count += times;
            }
        }
        let mut path = String::new();
        for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // One is seen as well as many; many are higher.
            let height = (4 + count.ilog2() * 2).min(10);
            // A `String` takes every write.
            let _ = write!(path, "M{at} 10v-{height}");
        }
        Self { count: happened.iter().map(|(_, times)| times).sum(), path }
    }
}

impl Marks {
    /// What the marks are, in words.
    pub(crate) fn legend(&self) -> String {
        let newest = if self.is_cut { ", the newest" } else { "" };
        let [started, failed, decided] =
            [&self.started, &self.failed, &self.decided].map(|track| crate::words::count(track.count));
        format!("{started} started · {failed} failed · {decided} decided by gates{newest}")
    }

    /// Reads the newest starts, failures and decisions of a stretch of time.
    ///
    /// # Errors
    /// A list cannot be read.
    pub(crate) async fn load(
        visit: &Visit,
        filter: &RunFilter,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Self, Problem> {
        let [from, to] =
            [from_ms, to_ms].map(|ms| Timestamp::from_millisecond(ms).map(shortest).unwrap_or_default());
        let limit = MARKS_MAX.to_string();
        let began = filter.with("started_after", &from).with("status", "");
        let began = began.address("/runs", &[("limit", &limit), ("at", &to)]);
        let failed = filter.with("started_after", "").with("status", "failed");
        let failed = failed.address("/runs", &[("sort", "-ended"), ("limit", &limit), ("at", &to)]);
        let pipeline = filter.get("pipeline").unwrap_or_default();
        let none = RunFilter::default();
        let pairs = [("since", from.as_str()), ("at", &to), ("pipeline", pipeline), ("limit", "200")];
        let [passed, refused] = DECIDED
            .map(|verdict| none.address("/audit/gates", &[&pairs[..], &[("verdict", verdict)]].concat()));
        let (began, failed, passed, refused): (RunList, RunList, Verdicts, Verdicts) = tokio::try_join!(
            visit.rest.get(&began),
            visit.rest.get(&failed),
            visit.rest.get(&passed),
            visit.rest.get(&refused)
        )?;
        let is_cut_verdicts = passed.next_cursor.is_some() || refused.next_cursor.is_some();
        let within = |time: &String| crate::words::millis(time).filter(|ms| (from_ms..=to_ms).contains(ms));
        let once = |time: i64| (time, 1);
        let mut started: Vec<(i64, u64)> =
            began.items.iter().filter_map(|run| within(&run.started_at)).map(once).collect();
        let mut ended: Vec<(i64, u64)> =
            failed.items.iter().filter_map(|run| within(run.ended_at.as_ref()?)).map(once).collect();
        let decided: Vec<(i64, u64)> = passed
            .items
            .iter()
            .chain(&refused.items)
            .filter_map(|verdict| within(&verdict.at))
            .map(once)
            .collect();
        let is_many = began.next_cursor.is_some() || failed.next_cursor.is_some();
        let mut is_cut = is_many || is_cut_verdicts;
        if is_many && filter.is_empty() {
            // What the lists do not reach back to is counted, stretch by stretch.
            let counted = Counted::load(visit, from_ms, to_ms).await?;
            counted.before(&mut started, began.next_cursor.is_some(), |counts| counts.total);
            counted.before(&mut ended, failed.next_cursor.is_some(), |counts| counts.of("failed"));
            is_cut = is_cut_verdicts;
        }
        let mut times: Vec<i64> =
            started.iter().chain(&ended).chain(&decided).map(|(time, _)| *time).collect();
        times.sort_unstable();
        times.dedup_by_key(|time| *time / 1000);
        let times: Vec<String> = times.iter().map(|time| (time - from_ms).to_string()).collect();
        let track = |happened: &[(i64, u64)]| MarkTrack::of(happened, from_ms, to_ms);
        Ok(Self {
            started: track(&started),
            failed: track(&ended),
            decided: track(&decided),
            times: times.join(" "),
            is_cut,
        })
    }
}

/// How many runs there were at some times, evenly from a beginning to an end.
#[derive(Debug)]
struct Counted(Vec<(i64, Counts)>);

impl Counted {
    async fn load(visit: &Visit, from_ms: i64, to_ms: i64) -> Result<Self, Problem> {
        let count = |at: i64| async move {
            let ms = from_ms + (to_ms - from_ms) * at / STRETCHES;
            let time = Timestamp::from_millisecond(ms).map(shortest).unwrap_or_default();
            let counts: Counts = visit.rest.get(&with_query("/stats", "at", &time)).await?;
            Ok::<_, Problem>((ms, counts))
        };
        Ok(Self(try_join_all((0..=STRETCHES).map(count)).await?))
    }

    /// Puts what happened before the earliest of some times in front of them, where a list was cut there.
    fn before(&self, happened: &mut Vec<(i64, u64)>, is_cut: bool, of: impl Fn(&Counts) -> u64) {
        let Some(earliest) = happened.iter().map(|(time, _)| *time).min().filter(|_| is_cut) else { return };
        let listed = happened.clone();
        for pair in self.0.windows(2) {
            let [(from, before), (to, after)] = pair else { continue };
            let known = listed.iter().filter(|(time, _)| time > from && time <= to).count() as u64;
            let times = of(after).saturating_sub(of(before)).saturating_sub(known);
            if *from < earliest && times > 0 {
                happened.push(((from + to.min(&earliest)) / 2, times));
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Verdicts {
    items: Vec<Verdict>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_young_log_is_shown_whole() {
        let bar = TimeBar::around(None, 100 * HOUR, 102 * HOUR, None);
        assert_eq!((bar.span, bar.to_ms, bar.ends_now), ("6h", 102 * HOUR, true));
        assert!(bar.from_ms < 100 * HOUR && bar.from_ms > 99 * HOUR);
    }

    #[test]
    fn a_moment_before_the_span_stands_in_its_middle() {
        let bar = TimeBar::around(Some(500 * HOUR), 0, 1000 * HOUR, Some("1d"));
        assert_eq!((bar.from_ms, bar.to_ms, bar.ends_now), (488 * HOUR, 512 * HOUR, false));
    }

    #[test]
    fn a_log_without_runs_has_a_bar() {
        let bar = TimeBar::around(None, HOUR, HOUR, Some("all"));
        assert_eq!(bar.to_ms - bar.from_ms, SHORTEST_MS);
    }

    #[test]
    fn what_a_list_does_not_reach_is_counted() {
        let counts = |total| Counts { total, ..Counts::default() };
        let counted = Counted(vec![(0, counts(1)), (10, counts(4)), (20, counts(4)), (30, counts(9))]);
        let mut happened = vec![(26, 1), (28, 1)];
        counted.before(&mut happened, true, |counts| counts.total);
        assert_eq!(happened, [(26, 1), (28, 1), (5, 3), (23, 3)]);
        counted.before(&mut happened, false, |counts| counts.total);
        assert_eq!(happened.len(), 4);
    }

    /// REST with a run of which a gate looked once and then passed.
    async fn rest(
        request: axum::extract::Request,
    ) -> Result<axum::response::Response, std::convert::Infallible> {
        let uri = request.uri().to_string();
        let verdict = |name: &str| format!("verdict={name}");
        let body = match uri.split('?').next().unwrap_or_default() {
            "/api/v1/session" => r#"{"actor":"user:ada","role":"viewer"}"#,
            "/api/v1/audit/gates" if uri.contains(&verdict("pass")) => {
                r#"{"items":[{"at":"1970-01-01T00:00:05Z"}],"next_cursor":null}"#
            }
            "/api/v1/audit/gates" if uri.contains(&verdict("fail")) => r#"{"items":[],"next_cursor":null}"#,
            "/api/v1/audit/gates" => {
                r#"{"items":[{"at":"1970-01-01T00:00:04Z"},{"at":"1970-01-01T00:00:05Z"}],"next_cursor":null}"#
            }
            _ => r#"{"items":[],"next_cursor":null}"#,
        };
        Ok(axum::response::Response::new(axum::body::Body::from(body)))
    }

    #[tokio::test]
    async fn a_gate_that_looks_again_has_not_decided() {
        use tower::ServiceExt as _;
        let changes = crate::ChangeSource::new(|| Box::pin(futures::stream::pending()));
        let pages = crate::beside(crate::Rest::new(tower::service_fn(rest)), changes);
        let asked = axum::extract::Request::get("/?part=marks&from=0&to=10000")
            .header("accept", "text/html")
            .body(axum::body::Body::empty())
            .unwrap();
        let Ok(answer) = pages.oneshot(asked).await;
        let bytes = crate::form::taken_in(answer.into_body()).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("1 decided by gates"), "{text}");
    }

    #[test]
    fn many_marks_in_one_place_are_one_that_is_higher() {
        let track = MarkTrack::of(&[(0, 1), (0, 3), (500, 1)], 0, 1000);
        assert_eq!((track.count, track.path.as_str()), (5, "M0 10v-8M150 10v-4"));
    }
}
