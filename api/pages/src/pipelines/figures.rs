//! What the newest runs of a pipeline say about it, counted here from rows of `GET /runs`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::words;

/// As many runs are looked at, of one pipeline or of all.
pub(crate) const RUNS_MAX: usize = 500;
/// As many days a bar shows.
pub(crate) const DAYS: i64 = 14;

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;
const DAY_WIDTH: u32 = 5;
const BAR_HEIGHT: u32 = 20;

/// A run, as lists show it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PipelineRun {
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) started_by: String,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    #[serde(default)]
    pub(crate) active_steps: Vec<String>,
    pub(crate) note: Option<String>,
    pub(crate) failure: Option<PipelineRunFailure>,
    pub(crate) usage: PipelineRunUsage,
}

/// How a run failed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PipelineRunFailure {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) step: Option<String>,
}

/// What a run used up.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PipelineRunUsage {
    pub(crate) cost_usd: String,
}

impl PipelineRun {
    /// The title, or the short id where there is none.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.short_id)
    }

    /// The address of its page.
    pub(crate) fn path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }

    /// From its start to its end, or until now.
    pub(crate) fn took(&self, then: Option<&str>) -> String {
        words::took(&self.started_at, self.ended_at.as_deref().or(then))
    }
}

/// What runs amount to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) runs: usize,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
    pub(crate) cancelled: usize,
    pub(crate) going: usize,
    /// Of runs that succeeded, in milliseconds from start to end, the shortest first.
    durations: Vec<i64>,
    days: BTreeMap<i64, DayCounts>,
    cost_micros: i64,
    /// The last day that the bar shows, in days since 1970; none: today.
    last_day: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct DayCounts {
    succeeded: u32,
    failed: u32,
    going: u32,
    other: u32,
}

/// One rectangle of a bar of days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DayPiece {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) height: u32,
    pub(crate) class: &'static str,
}

impl Figures {
    /// Counts runs.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a PipelineRun>) -> Self {
        let mut figures = Self::default();
        for row in rows {
            figures.count(row);
        }
        figures.durations.sort_unstable();
        figures
    }

    /// The figures as they were at a moment: the bar ends there.
    pub(crate) fn up_to(mut self, millis: i64) -> Self {
        self.last_day = Some(millis.div_euclid(DAY_MS));
        self
    }

    fn count(&mut self, row: &PipelineRun) {
        let started = words::millis(&row.started_at);
        let mut unknown_day = DayCounts::default();
        let day = match started {
            Some(at) => self.days.entry(at.div_euclid(DAY_MS)).or_default(),
            None => &mut unknown_day,
        };
        self.runs += 1;
        match row.status.as_str() {
            "succeeded" => {
                self.succeeded += 1;
                day.succeeded += 1;
                let ended = row.ended_at.as_deref().and_then(words::millis);
                self.durations.extend(started.zip(ended).map(|(from, to)| (to - from).max(0)));
            }
            "failed" => {
                self.failed += 1;
                day.failed += 1;
            }
            "cancelled" => {
                self.cancelled += 1;
                day.other += 1;
            }
            _going => {
                self.going += 1;
                day.going += 1;
            }
        }
        self.cost_micros += micros(&row.usage.cost_usd);
    }

    /// The part that succeeded of those that succeeded or failed, in whole percent.
    pub(crate) fn success_percent(&self) -> Option<usize> {
        let ended = self.succeeded + self.failed;
        (ended > 0).then(|| self.succeeded * 100 / ended)
    }

    /// `92 %`, or a dash where nothing ended.
    pub(crate) fn success(&self) -> String {
        self.success_percent().map_or_else(|| "–".to_owned(), |percent| format!("{percent} %"))
    }

    /// `12 of 13`: how many runs the rate is of.
    pub(crate) fn success_of(&self) -> Option<String> {
        let ended = self.succeeded + self.failed;
        (ended > 0).then(|| format!("{} of {ended}", self.succeeded))
    }

    /// The class of the success rate: the eye is led where it is low.
    pub(crate) fn success_tone(&self) -> &'static str {
        match self.success_percent() {
            Some(0..50) => "tone-bad",
            Some(50..90) => "tone-blocked",
            _ => "",
        }
    }

    /// The duration that so many of a hundred runs that succeeded did not exceed.
    pub(crate) fn quantile(&self, percent: usize) -> String {
        let rank = (self.durations.len() * percent).div_ceil(100).max(1);
        self.durations.get(rank - 1).map_or_else(|| "–".to_owned(), |ms| words::duration(*ms))
    }

    /// What all of these runs cost.
    pub(crate) fn cost(&self) -> String {
        words::usd(&dollars(self.cost_micros))
    }

    /// What one of these runs cost, on average.
    pub(crate) fn cost_of_one(&self) -> String {
        let runs = i64::try_from(self.runs).unwrap_or(i64::MAX).max(1);
        words::usd(&dollars(self.cost_micros / runs))
    }

    /// Whether anything was spent.
    pub(crate) fn has_cost(&self) -> bool {
        self.cost_micros > 0
    }

    /// The bar in words.
    pub(crate) fn bar_words(&self) -> String {
        let mut parts = Vec::new();
        let counts = [
            (self.succeeded, "succeeded"),
            (self.failed, "failed"),
            (self.going, "not ended"),
            (self.cancelled, "cancelled"),
        ];
        for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
            parts.push(format!("{count} {word}"));
        }
        if parts.is_empty() { "no runs".to_owned() } else { parts.join(", ") }
    }

    /// The width of the bar.
    pub(crate) fn bar_width(&self) -> u32 {
        u32::try_from(DAYS).unwrap_or(0) * DAY_WIDTH
    }

    /// The last days up to today as rectangles: a column a day, its height by the busiest day.
    pub(crate) fn bar(&self) -> Vec<DayPiece> {
        self.bar_until(self.last_day.unwrap_or_else(|| words::now_millis().div_euclid(DAY_MS)))
    }

    fn bar_until(&self, today: i64) -> Vec<DayPiece> {
        let mut pieces = Vec::new();
        let shown = (today - DAYS + 1)..=today;
        let total = |day: &DayCounts| day.succeeded + day.failed + day.going + day.other;
        let busiest = self.days.range(shown.clone()).map(|(_, day)| total(day)).max().unwrap_or(0).max(1);
        let mut x = 0;
        for day in shown {
            let counts = self.days.get(&day).copied().unwrap_or_default();
            if total(&counts) == 0 {
                pieces.push(DayPiece { x, y: BAR_HEIGHT - 1, height: 1, class: "none" });
            }
            let mut top = BAR_HEIGHT;
            let parts = [
                (counts.succeeded, "good"),
                (counts.other, "other"),
                (counts.going, "going"),
                (counts.failed, "bad"),
            ];
            for (count, class) in parts.into_iter().filter(|(count, _)| *count > 0) {
                // What there was is always seen, however busy another day.
                let height = (count * BAR_HEIGHT / busiest).max(2).min(top);
                top -= height;
                pieces.push(DayPiece { x, y: top, height, class });
            }
            x += DAY_WIDTH;
        }
        pieces
    }
}

/// How often the same step was where runs failed, and how it failed last.
#[derive(Debug, Clone)]
pub(crate) struct FailingStep {
    pub(crate) step: String,
    pub(crate) failed: usize,
    pub(crate) message: String,
    /// The newest run that failed there.
    pub(crate) run: String,
}

/// The steps at which runs failed, the most failing first. Rows come newest first.
pub(crate) fn failing_steps(rows: &[PipelineRun]) -> Vec<FailingStep> {
    let mut steps: Vec<FailingStep> = Vec::new();
    for row in rows.iter().filter(|row| row.status == "failed") {
        let Some(failure) = &row.failure else { continue };
        let step = failure.step.clone().unwrap_or_else(|| "the run itself".to_owned());
        match steps.iter_mut().find(|known| known.step == step) {
            Some(known) => known.failed += 1,
            None => steps.push(FailingStep {
                step,
                failed: 1,
                message: failure.message.clone(),
                run: row.short_id.clone(),
            }),
        }
    }
    steps.sort_by_key(|step| std::cmp::Reverse(step.failed));
    steps
}

/// In which steps runs stand that have not ended, and since when the first of them began.
#[derive(Debug, Clone)]
pub(crate) struct StandingStep {
    pub(crate) step: String,
    pub(crate) runs: usize,
    pub(crate) oldest: String,
}

/// The steps in which something goes on, the fullest first.
pub(crate) fn standing_steps(rows: &[PipelineRun]) -> Vec<StandingStep> {
    let mut steps: Vec<StandingStep> = Vec::new();
    for row in rows.iter().filter(|row| row.ended_at.is_none()) {
        for step in &row.active_steps {
            match steps.iter_mut().find(|known| known.step == *step) {
                Some(known) => {
                    known.runs += 1;
                    known.oldest.clone_from(&row.started_at);
                }
                None => {
                    steps.push(StandingStep { step: step.clone(), runs: 1, oldest: row.started_at.clone() });
                }
            }
        }
    }
    steps.sort_by_key(|step| std::cmp::Reverse(step.runs));
    steps
}

/// A verdict or a rework, as `GET /audit/decisions` lists it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CountedDecision {
    pub(crate) kind: String,
    /// The step that was judged, or that a rework leads to.
    pub(crate) step: String,
    /// The gate; none: something else led to the rework.
    pub(crate) gate: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) round: Option<u32>,
    pub(crate) reason: Option<String>,
    /// Of a rework, as `STEP/PLACE/INDEX`: the step whose gate failed stands first.
    pub(crate) route: Option<String>,
}

impl CountedDecision {
    fn is_rework(&self) -> bool {
        self.kind == "rework"
    }

    /// The step whose gate it is of.
    fn judged_step(&self) -> &str {
        let route = self.route.as_deref().filter(|_| self.is_rework());
        route.and_then(|route| route.split('/').next()).unwrap_or(&self.step)
    }
}

/// What a gate decided.
#[derive(Debug, Clone)]
pub(crate) struct GateFigures {
    pub(crate) gate: String,
    pub(crate) step: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// How often its failure sent a step back.
    pub(crate) reworks: usize,
    pub(crate) most_rounds: u32,
    pub(crate) last_reason: String,
}

/// The gates of which verdicts are given, those that failed most first. Decisions come newest first.
pub(crate) fn gates(rows: &[CountedDecision]) -> Vec<GateFigures> {
    let mut gates: Vec<GateFigures> = Vec::new();
    for row in rows {
        let Some(gate) = row.gate.as_deref().filter(|gate| !gate.is_empty()) else { continue };
        let step = row.judged_step();
        let known = gates.iter().position(|known| known.gate == gate && known.step == step);
        let at = known.unwrap_or_else(|| {
            gates.push(GateFigures {
                gate: gate.to_owned(),
                step: step.to_owned(),
                passed: 0,
                failed: 0,
                reworks: 0,
                most_rounds: 0,
                last_reason: String::new(),
            });
            gates.len() - 1
        });
        let Some(gate) = gates.get_mut(at) else { continue };
        if row.is_rework() {
            gate.reworks += 1;
            continue;
        }
        match row.verdict.as_deref() {
            Some("pass") => gate.passed += 1,
            Some("fail") => {
                gate.failed += 1;
                if gate.last_reason.is_empty() {
                    gate.last_reason = row.reason.clone().unwrap_or_default();
                }
            }
            // Asked again, or left out: no verdict on the step.
            _undecided => continue,
        }
        gate.most_rounds = gate.most_rounds.max(row.round.unwrap_or(1));
    }
    gates.sort_by_key(|gate| std::cmp::Reverse(gate.failed));
    gates
}

/// US dollars of REST (`"0.310000"`) in millionths.
fn micros(usd: &str) -> i64 {
    let (whole, fraction) = usd.split_once('.').unwrap_or((usd, ""));
    let fraction = format!("{fraction:0<6}");
    let whole: i64 = whole.parse().unwrap_or(0);
    let fraction: i64 = fraction.get(..6).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    whole.saturating_mul(1_000_000).saturating_add(fraction)
}

fn dollars(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests;
