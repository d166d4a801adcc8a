//! What a decision led to, in one line above the next question.

use serde_json::Value;

use super::history::{Decided, History, RunOfTask, What, plain_step};
use super::task::TaskList;
use crate::frame::Visit;
use crate::problem::Problem;

/// What the former decision led to.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// What was done: `Approved`.
    pub(crate) done: String,
    /// The status that it reads like, for its sign.
    pub(crate) tone: &'static str,
    /// What follows: `send begins`.
    pub(crate) follows: String,
    /// The run, by name.
    pub(crate) run: String,
    /// Its page.
    pub(crate) run_path: String,
}

impl Effect {
    /// Reads what came of the task of an id, from the run itself: the address that names it proves nothing.
    pub(crate) async fn load(visit: &Visit, task: &str, open: &TaskList) -> Result<Option<Self>, Problem> {
        let mut parts = task.split(':');
        let (Some(run), Some(step)) = (parts.next(), parts.next()) else { return Ok(None) };
        if !run.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let (view, history) = match (RunOfTask::load(visit, run).await, History::load(visit, run, None).await)
        {
            (Ok(view), Ok(history)) => (view, history),
            (Err(problem), _) | (_, Err(problem)) if problem.status == 404 => return Ok(None),
            (Err(problem), _) | (_, Err(problem)) => return Err(problem),
        };
        let is_open = open.get(task).is_some();
        let last = history.last_of(step);
        let (done, tone) = match last {
            Some(Decided { what: What::Recheck { .. }, .. }) if asks(&view, step) => {
                ("Asked anew".to_owned(), "tone-waiting")
            }
            Some(last) => (done(last), last.tone()),
            None if is_open => ("Kept".to_owned(), "tone-waiting"),
            None => ("Done".to_owned(), "tone-waiting"),
        };
        Ok(Some(Self {
            done,
            tone,
            follows: follows(&view, task, step, is_open, last.and_then(|last| last.sends_back())),
            run: view.name().to_owned(),
            run_path: format!("/runs/{}", view.short_id),
        }))
    }
}

/// Whether a step asks people for a decision.
fn asks(view: &RunOfTask, step: &str) -> bool {
    view.awaits.iter().any(|awaited| {
        awaited.get("kind").and_then(Value::as_str) == Some("approval")
            && awaited.get("step").and_then(Value::as_str) == Some(step)
    })
}

fn done(last: &Decided) -> String {
    match &last.what {
        What::Vote { vote, .. } => match vote.as_str() {
            "approve" => "Approved".to_owned(),
            "reject" => "Rejected".to_owned(),
            _ => "Changes asked for".to_owned(),
        },
        What::Answer { .. } => "Answered".to_owned(),
        What::Override { decision, .. } => format!("Unblocked ({decision})"),
        What::Recheck { .. } => "Judged again".to_owned(),
        _ => "Done".to_owned(),
    }
}

/// What goes on in a run after a decision, in a few words.
/// `sent_back` is the place of the route of a decision that has a step done again: `on_reject`, `on_changes`.
fn follows(view: &RunOfTask, task: &str, step: &str, is_open: bool, sent_back: Option<&str>) -> String {
    if is_open {
        let votes =
            view.awaits.iter().find(|awaited| awaited.get("task").and_then(Value::as_str) == Some(task));
        let approvals = votes
            .and_then(|awaited| awaited.get("votes")?.as_object())
            .map(|votes| votes.values().filter(|vote| vote.as_str() == Some("approve")).count());
        let quorum = votes.and_then(|awaited| awaited.get("quorum")?.as_u64());
        return match (approvals, quorum) {
            (Some(given), Some(quorum)) => format!("{given} of {quorum} approvals so far"),
            _ => "the question stays open".to_owned(),
        };
    }
    if matches!(view.status.as_str(), "succeeded" | "failed" | "cancelled") {
        return format!("the run {}", if view.status == "cancelled" { "is cancelled" } else { &view.status });
    }
    let active = |status: &str| {
        let steps = view.steps.iter().filter(|known| known.status == status && known.id != step);
        steps.map(|known| known.id.clone()).collect::<Vec<_>>().join(", ")
    };
    let own_status = view.step(step).map(|own| own.status.as_str()).unwrap_or_default();
    if own_status == "blocked" {
        return format!("{step} is blocked");
    }
    if let Some(to) = sent_back.and_then(|place| view.leads_back_to(step, place)) {
        return match own_status {
            "waiting" if to != plain_step(step) => format!("{to} was done again, and {step} asks anew"),
            "waiting" => format!("{step} asks anew"),
            _ => format!("{to} is done again"),
        };
    }
    let own = own_status == "running";
    match (active("running"), active("waiting"), active("blocked")) {
        (steps, _, _) if !steps.is_empty() => format!("{steps} begins"),
        _ if own => format!("{step} goes on"),
        (_, steps, _) if !steps.is_empty() => format!("{steps} waits"),
        (_, _, steps) if !steps.is_empty() => format!("{steps} is blocked"),
        _ => "the run goes on".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(status: &str, steps: Value, awaits: Value) -> RunOfTask {
        serde_json::from_value(json!({
            "short_id": "3b2cabce", "pipeline": "p", "title": null, "status": status, "version": 3,
            "started_by": "user:ada", "steps": steps, "awaits": awaits,
        }))
        .expect("the run is whole")
    }

    fn step(id: &str, status: &str) -> Value {
        json!({"id": id, "status": status, "round": 1, "ended_at": null, "failure": null})
    }

    #[test]
    fn the_effect_names_what_goes_on() {
        let running = run("running", json!([step("sign", "succeeded"), step("send", "running")]), json!([]));
        assert_eq!(follows(&running, "3b2cabce:sign:1", "sign", false, None), "send begins");
        let over = run("succeeded", json!([]), json!([]));
        assert_eq!(follows(&over, "3b2cabce:sign:1", "sign", false, None), "the run succeeded");
    }

    #[test]
    fn a_decision_that_sends_back_says_what_is_done_again() {
        let of = |write: &str, sign: &str| {
            let mut run = run("running", json!([step("write", write), step("sign", sign)]), json!([]));
            run.routes =
                serde_json::from_value(json!([{"step": "sign", "place": "on_reject.to", "to": "write"}]))
                    .expect("the route is whole");
            follows(&run, "3b2cabce:sign:1", "sign", false, Some("on_reject"))
        };
        assert_eq!(of("running", "pending"), "write is done again");
        assert_eq!(of("pending", "pending"), "write is done again");
        assert_eq!(of("succeeded", "waiting"), "write was done again, and sign asks anew");
        assert_eq!(of("succeeded", "blocked"), "sign is blocked");
    }

    #[test]
    fn a_vote_that_does_not_suffice_says_how_many_there_are() {
        let awaits = json!([{"task": "3b2cabce:sign:1", "quorum": 2, "votes": {"user:ada": "approve"}}]);
        let waiting = run("waiting", json!([step("sign", "waiting")]), awaits);
        assert_eq!(follows(&waiting, "3b2cabce:sign:1", "sign", true, None), "1 of 2 approvals so far");
    }
}
