//! What attempts printed that ended on the way.

use everfold_pages::EventNature;
use serde_json::{Value, json};

use super::breakpoints::PointPlace;
use super::history::RunHistory;
use super::protocol::DapEvent;
use crate::cli::debug::log_view::LogView;
use crate::cli::debug::requests::LoggedAttempt;
use crate::client::encode;
use crate::view::ShownEvent;

/// Attempts whose lines are shown: the last ones on the way.
const ATTEMPTS_MAX: usize = 8;
/// Lines of one of them: the last ones.
const LINES_MAX: usize = 200;

/// Attempts that were passed.
#[derive(Debug, Default)]
pub(super) struct PassedAttempts {
    ended: Vec<(u64, LoggedAttempt)>,
    /// The last one that began and has not ended on the way.
    begun: Option<(u64, LoggedAttempt)>,
    left_out: usize,
}

impl PassedAttempts {
    /// Notes an event.
    pub(super) fn pass(&mut self, event: &Value) {
        let Some(attempt) = attempt_of(event) else { return };
        let version = ShownEvent(event).version();
        match ShownEvent(event).name() {
            "AttemptStarted" => self.begun = Some((version, attempt)),
            "AttemptSucceeded" | "AttemptFailed" | "AttemptLost" => {
                if self.begun.as_ref().is_some_and(|(_, begun)| *begun == attempt) {
                    self.begun = None;
                }
                self.ended.push((version, attempt));
                if self.ended.len() > ATTEMPTS_MAX {
                    self.ended.remove(0);
                    self.left_out += 1;
                }
            }
            _other => {}
        }
    }

    /// What those printed that ended up to a version; at the newest event of a run that goes on, also what is printed so far.
    pub(super) async fn output(self, history: &RunHistory, to: u64) -> Vec<DapEvent> {
        let mut all = Vec::new();
        if self.left_out > 0 {
            let text = format!("the logs of {} attempts before are left out", self.left_out);
            all.push(DapEvent::output("console", &text));
        }
        let is_newest = to == history.last() && !history.is_ended();
        let begun = self.begun.filter(|_| is_newest);
        let attempts: Vec<(u64, LoggedAttempt)> =
            self.ended.into_iter().chain(begun).filter(|(version, _)| *version <= to).collect();
        if attempts.is_empty() {
            return all;
        }
        // Without it logs of agents are shown as they were written.
        let state = history.state(to).await.unwrap_or_default();
        for (_, mut attempt) in attempts {
            attempt.is_agent = is_of_agent(&state, &attempt);
            all.extend(printed(history, &attempt, LINES_MAX).await);
        }
        all
    }
}

/// The attempt that an event is of.
pub(super) fn attempt_of(event: &Value) -> Option<LoggedAttempt> {
    let id = &event["event"]["id"];
    let place = PointPlace::of(event)?;
    let step = match place.item {
        Some(item) => format!("{}.{item}", place.step),
        None => place.step,
    };
    Some(LoggedAttempt {
        step,
        round: id["round"].as_u64()?,
        attempt: id["attempt"].as_u64()?,
        // The event does not say it; the state does.
        is_agent: false,
    })
}

/// Whether an attempt is an agent's: its log is a conversation.
pub(super) fn is_of_agent(state: &Value, attempt: &LoggedAttempt) -> bool {
    let steps = state["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_of = |step: &&Value| {
        let id = step["id"].as_str().unwrap_or_default();
        attempt.step.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    steps.iter().find(is_of).is_some_and(|step| step["kind"] == "agent")
}

/// The last lines of an attempt's log; empty where it has none.
pub(super) async fn printed(history: &RunHistory, attempt: &LoggedAttempt, most: usize) -> Vec<DapEvent> {
    let LoggedAttempt { step, round, attempt: number, .. } = attempt;
    let path = history.path(&format!("/attempts/{}/{round}/{number}/log", encode(step)));
    // Functions and approvals have no log; that is no fault of the step that led over them.
    let records = match history.routes.log(path, most).await {
        Ok(records) => records,
        Err(fault) => {
            tracing::debug!("no log of {}: {fault}", attempt.name());
            return Vec::new();
        }
    };
    let mut view = LogView::open(attempt.clone());
    let mut lines = Vec::new();
    for record in &records {
        let category = match record["source"].as_str() {
            Some("stdout") => "stdout",
            Some("stderr") => "stderr",
            _supervisor => "console",
        };
        view.take(record);
        lines.extend(view.lines.drain(..).map(|line| (category, line)));
    }
    view.end(None);
    lines.extend(view.lines.drain(..).map(|line| ("stdout", line)));
    if lines.is_empty() {
        return Vec::new();
    }
    let mut head = DapEvent::output("console", &format!("── log of {}", attempt.name()));
    head.body["group"] = json!("start");
    let mut all = vec![head];
    all.extend(lines.iter().map(|(category, line)| DapEvent::output(category, line)));
    all.push(DapEvent {
        event: "output",
        body: json!({ "category": "console", "group": "end", "output": "" }),
    });
    all
}

/// Whether an event failed, for who asks what happened there.
pub(super) fn failure_text(event: &Value) -> Option<String> {
    let fields = &event["event"];
    let texts =
        [&fields["failure"]["message"], &fields["message"], &fields["reason"], &fields["failure"]["kind"]];
    let text = texts.into_iter().find_map(Value::as_str).map(crate::text::plain);
    text.filter(|_| EventNature::of(event).is_failure)
}
