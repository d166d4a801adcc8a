//! The attempts of a run, and which one of them a page of logs shows.

use serde::Deserialize;

use super::address::address;
use crate::frame::Visit;
use crate::problem::Problem;
use crate::run::RunHead;
use crate::words::{self, encoded};

/// The attempts that the page lists beside the log; others are reached by their step.
const LISTED_MAX: usize = 200;

/// An attempt as `GET /runs/{run}/timeline` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AttemptFact {
    pub(crate) step: String,
    pub(crate) round: u64,
    pub(crate) attempt: u64,
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) scheduled_at: String,
    pub(crate) started_at: Option<String>,
    pub(crate) end: Option<AttemptEndFact>,
    /// Until when it is shown to go on; none: until now.
    #[serde(skip)]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AttemptEndFact {
    pub(crate) at: String,
    pub(crate) failure: Option<AttemptFailureFact>,
    pub(crate) log: Option<LogSealFact>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AttemptFailureFact {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LogSealFact {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) lost_bytes: u64,
}

impl AttemptFact {
    /// Whether something was done for it: it began, or ended otherwise than by being cancelled before.
    pub(super) fn has_worked(&self) -> bool {
        let is_done = |end: &AttemptEndFact| end.failure.as_ref().is_none_or(|it| it.kind != "cancelled");
        self.started_at.is_some() || self.end.as_ref().is_some_and(is_done)
    }

    /// Where it stands.
    pub(crate) fn status(&self) -> &'static str {
        match (&self.end, &self.started_at) {
            (Some(end), _) if end.failure.is_some() => "failed",
            (Some(_), _) => "succeeded",
            (None, Some(_)) => "running",
            (None, None) => "pending",
        }
    }

    /// Whether it may have, or get, a log.
    pub(crate) fn has_log(&self) -> bool {
        match &self.end {
            Some(end) => end.log.is_some(),
            None => self.started_at.is_some(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// The step and the round and attempt, as people name them.
    pub(crate) fn words(&self) -> String {
        format!("{} {}.{}", self.step, self.round, self.attempt)
    }

    /// How long it took, or takes so far.
    pub(crate) fn took(&self) -> String {
        let from = self.started_at.as_ref().unwrap_or(&self.scheduled_at);
        words::took(from, self.ends_at())
    }

    /// When it ended, or the shown moment of the past at which it goes on.
    pub(crate) fn ends_at(&self) -> Option<&str> {
        self.end.as_ref().map(|end| end.at.as_str()).or(self.until.as_deref())
    }

    /// How many lines it wrote, once that is known.
    pub(crate) fn lines(&self) -> Option<u64> {
        Some(self.end.as_ref()?.log.as_ref()?.lines)
    }

    /// The names in the query of its log.
    pub(crate) fn query(&self) -> [(&'static str, String); 3] {
        [
            ("step", self.step.clone()),
            ("round", self.round.to_string()),
            ("attempt", self.attempt.to_string()),
        ]
    }

    /// An address below the run's log page with this attempt and further pairs.
    pub(crate) fn path(&self, run: &str, end: &str, more: &[(&str, &str)]) -> String {
        let query = self.query();
        let mut pairs: Vec<(&str, &str)> =
            query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pairs.extend_from_slice(more);
        address(&format!("/runs/{run}/log{end}"), &pairs)
    }

    /// The log of REST.
    pub(crate) fn rest_path(&self, run: &str, query: &str) -> String {
        format!("/runs/{run}/attempts/{}/{}/{}/log?{query}", encoded(&self.step), self.round, self.attempt)
    }

    /// A name for elements of the page: the same while the attempt is.
    pub(crate) fn key(&self) -> String {
        format!("{}-{}-{}", encoded(&self.step).replace('%', "_"), self.round, self.attempt)
    }
}

/// The attempts of a run at the shown moment, in which those that go on do so until then.
pub(crate) async fn attempts(visit: &Visit, head: &RunHead) -> Result<Vec<AttemptFact>, Problem> {
    #[derive(Deserialize)]
    struct AttemptList {
        items: Vec<AttemptFact>,
    }
    let path = visit.at_moment(&format!("/runs/{}/timeline", head.facts.id));
    let list: AttemptList = visit.rest.get(&path).await?;
    let until = &visit.then;
    Ok(list.items.into_iter().map(|row| AttemptFact { until: until.clone(), ..row }).collect())
}

/// The attempt that is asked for: of the step the newest, where neither round nor attempt is said; without a step what
/// goes on, else what failed last, else the last that wrote something.
pub(crate) fn asked<'a>(
    attempts: &'a [AttemptFact],
    step: &str,
    round: Option<u64>,
    attempt: Option<u64>,
) -> Option<&'a AttemptFact> {
    let newest = |fits: &dyn Fn(&AttemptFact) -> bool| attempts.iter().rev().find(|row| fits(row));
    if step.is_empty() {
        return newest(&|row| row.status() == "running" && row.has_log())
            .or_else(|| newest(&|row| row.status() == "failed" && row.has_log()))
            .or_else(|| newest(&AttemptFact::has_log))
            .or(attempts.last());
    }
    let is_of =
        |row: &AttemptFact| row.step == step || row.step.split_once('.').is_some_and(|(of, _)| of == step);
    let fits = |row: &AttemptFact| {
        is_of(row)
            && round.is_none_or(|round| row.round == round)
            && attempt.is_none_or(|attempt| row.attempt == attempt)
    };
    newest(&|row| fits(row) && row.has_log()).or_else(|| newest(&fits))
}

/// The attempts beside the log: all, or those of the same step where there are too many.
pub(crate) fn listed<'a>(attempts: &'a [AttemptFact], shown: Option<&AttemptFact>) -> Vec<&'a AttemptFact> {
    let with_log: Vec<&AttemptFact> = attempts.iter().filter(|row| row.has_log()).collect();
    if with_log.len() <= LISTED_MAX {
        return with_log;
    }
    let of = |step: &str| step.split('.').next().unwrap_or_default().to_owned();
    let wanted = shown.map(|row| of(&row.step)).unwrap_or_default();
    let mut of_step: Vec<&AttemptFact> = with_log.into_iter().filter(|row| of(&row.step) == wanted).collect();
    let here =
        of_step.iter().position(|row| shown.is_some_and(|shown| row.key() == shown.key())).unwrap_or(0);
    let from = here.saturating_sub(LISTED_MAX / 2).min(of_step.len().saturating_sub(LISTED_MAX));
    of_step.drain(..from);
    of_step.truncate(LISTED_MAX);
    of_step
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn attempts() -> Vec<AttemptFact> {
        let at = "2026-11-22T10:00:00Z";
        let log = json!({"lines": 1, "bytes": 2});
        let ended = |failure: serde_json::Value| json!({"at": at, "failure": failure, "log": log});
        let row = |step: &str, round: u64, attempt: u64, end: serde_json::Value| json!({"step": step, "round": round, "attempt": attempt, "scheduled_at": at, "started_at": at, "end": end});
        let rows = json!([
            row("build", 1, 1, ended(json!({"kind": "exit_code"}))),
            row("build", 1, 2, ended(json!(null))),
            row("test.0", 1, 1, ended(json!(null))),
            row("test.1", 1, 1, ended(json!(null))),
        ]);
        serde_json::from_value(rows).unwrap_or_default()
    }

    #[test]
    fn without_a_step_what_failed_is_shown_and_with_one_the_newest() {
        let rows = attempts();
        let words = |step: &str, round, attempt| asked(&rows, step, round, attempt).map(AttemptFact::words);
        assert_eq!(words("", None, None).as_deref(), Some("build 1.1"));
        assert_eq!(words("build", None, None).as_deref(), Some("build 1.2"));
        assert_eq!(words("build", Some(1), Some(1)).as_deref(), Some("build 1.1"));
        assert_eq!(words("test", None, None).as_deref(), Some("test.1 1.1"));
        assert_eq!(words("build", Some(7), None), None);
    }

    #[test]
    fn a_step_of_any_name_is_one_part_of_the_path() {
        let mut row = attempts().remove(0);
        row.step = "a/b?c".to_owned();
        assert_eq!(row.rest_path("r", "tail=1"), "/runs/r/attempts/a%2Fb%3Fc/1/1/log?tail=1");
        assert_eq!(row.path("r", "/text", &[]), "/runs/r/log/text?step=a%2Fb%3Fc&round=1&attempt=1");
    }
}
