//! What a run waits for, in words.

use super::facts::{AwaitedFacts, GateFacts, RunFacts, WaitingFacts};
use crate::words;

/// A thing that is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wait {
    /// A word of `words::tone` and `words::glyph`.
    pub(crate) state: &'static str,
    /// Who or what, in a few words.
    pub(crate) whom: String,
    /// What for.
    pub(crate) what: String,
    /// The step that waits.
    pub(crate) step: Option<String>,
    pub(crate) since: Option<String>,
    /// When it ends by itself.
    pub(crate) until: Option<String>,
    /// The runs that it is about.
    pub(crate) runs: Vec<String>,
    /// The page where it can be decided.
    pub(crate) task: Option<String>,
    /// What is waited for asks again then, and does not end.
    pub(crate) asks_again: bool,
    /// It is a run that was started that waits.
    pub(crate) in_run: bool,
    /// What was said so far, how often people were reminded.
    pub(crate) note: String,
}

impl Wait {
    /// The address of the task.
    pub(crate) fn task_path(&self) -> Option<String> {
        self.task.as_deref().map(|task| format!("/inbox/{}", words::encoded(task)))
    }
}

/// All that a run waits for, people first.
pub(crate) fn waits(run: &RunFacts) -> Vec<Wait> {
    let mut found: Vec<Wait> = run.awaits.iter().flat_map(|awaited| of(Some(run), awaited)).collect();
    if run.disk_full && !run.is_ended() {
        found.insert(0, room_on_the_disk());
    }
    if !run.awaited_runs.is_empty() {
        let count = run.awaited_runs.len();
        found.push(Wait {
            state: "waiting",
            whom: if count == 1 { "a run".to_owned() } else { format!("{count} runs") } + " that it started",
            runs: run.awaited_runs.iter().take(8).cloned().collect(),
            ..Wait::default()
        });
    }
    if run.in_line_total > 0 && !run.is_ended() {
        found.push(Wait {
            state: "queued",
            whom: "a place".to_owned(),
            what: match run.in_line_total {
                1 => "one attempt stands in line".to_owned(),
                count => format!("{count} attempts stand in line"),
            },
            note: run.in_line.first().map(|first| line_reason(&first.reasons)).unwrap_or_default(),
            since: run.in_line.first().map(|first| first.since.clone()),
            ..Wait::default()
        });
    }
    found
}

/// What every run of a data folder waits for whose disk is full.
fn room_on_the_disk() -> Wait {
    Wait {
        state: "blocked",
        whom: "room on the disk".to_owned(),
        what: "it is full, so that nothing is recorded; the run goes on by itself when there is room"
            .to_owned(),
        ..Wait::default()
    }
}

/// What one entry means, of a run that is known whole, or of another.
pub(crate) fn of(run: Option<&RunFacts>, awaited: &AwaitedFacts) -> Vec<Wait> {
    let step = (!awaited.step.is_empty()).then(|| awaited.step.clone());
    let common = Wait { step, since: awaited.since.clone(), note: reminders(awaited), ..Wait::default() };
    let people = || if awaited.roles.is_empty() { "anyone".to_owned() } else { awaited.roles.join(", ") };
    let one = match awaited.kind.as_str() {
        "approval" => Wait {
            state: "waiting",
            whom: people(),
            what: awaited.title.clone(),
            until: awaited.expires_at.clone(),
            task: Some(awaited.task.clone()),
            note: joined(votes(awaited), reminders(awaited)),
            ..common
        },
        "question" => Wait {
            state: "waiting",
            whom: people(),
            what: awaited.title.clone(),
            until: awaited.expires_at.clone(),
            task: Some(awaited.task.clone()),
            ..common
        },
        "unblock" => Wait {
            state: "blocked",
            whom: if awaited.roles.is_empty() { "somebody to decide".to_owned() } else { people() },
            what: run.map_or_else(|| awaited.message.clone(), |run| blocked_by(run, awaited)),
            ..common
        },
        "timer" => timer(run, awaited, common),
        "signal" => Wait { state: "waiting", whom: format!("the signal {}", awaited.name), ..common },
        "budget" => Wait {
            state: "blocked",
            whom: format!("room in the budget {}", awaited.budget),
            what: awaited.message.clone(),
            until: awaited.until.clone(),
            ..common
        },
        "slot" => Wait {
            state: "queued",
            whom: format!("the place {} that other runs hold", awaited.key),
            runs: awaited.holders.iter().take(8).cloned().collect(),
            ..common
        },
        "resume" => {
            return run
                .into_iter()
                .flat_map(|run| &run.paused)
                .map(|pause| Wait {
                    state: "paused",
                    whom: "being resumed".to_owned(),
                    what: match &pause.reason {
                        Some(reason) => format!("paused by {}: {reason}", words::actor(&pause.by)),
                        None => format!("paused by {}", words::actor(&pause.by)),
                    },
                    since: Some(pause.since.clone()),
                    ..Wait::default()
                })
                .collect();
        }
        other => Wait { state: "waiting", whom: other.to_owned(), ..common },
    };
    vec![one]
}

/// What a timer means: a gate that is asked again, a limit of time, or a moment that is waited for.
fn timer(run: Option<&RunFacts>, awaited: &AwaitedFacts, common: Wait) -> Wait {
    let until = awaited.at.clone();
    let gate = run.and_then(|run| polling(run, &awaited.step)).filter(|_| !awaited.limit);
    if let Some(gate) = gate {
        let (whom, what) = (format!("the gate {}", gate.gate), gate.reason.clone());
        return Wait { state: "waiting", whom, what, until, asks_again: true, ..common };
    }
    let whom = if awaited.limit { "a limit of time" } else { "a moment" };
    Wait { state: "waiting", whom: whom.to_owned(), until, ..common }
}

/// The gate of a step that has no verdict yet and is asked again.
fn polling<'a>(run: &'a RunFacts, step: &str) -> Option<&'a GateFacts> {
    let step = run.step(step).filter(|step| step.status == "gating")?;
    step.gates.iter().find(|gate| gate.verdict == "pending")
}

/// Why a step is blocked, with its failure where that says more.
fn blocked_by(run: &RunFacts, awaited: &AwaitedFacts) -> String {
    let failure = run.step(&awaited.step).and_then(|step| step.failure.as_ref());
    match failure {
        Some(failure) => match &failure.detail {
            Some(detail) => format!("{}: {} · {}", awaited.message, failure.message, detail),
            None => format!("{}: {}", awaited.message, failure.message),
        },
        None => awaited.message.clone(),
    }
}

fn votes(awaited: &AwaitedFacts) -> String {
    if awaited.quorum < 2 && awaited.votes.is_empty() {
        return String::new();
    }
    let said = awaited.votes.iter().map(|(who, vote)| format!("{} says {vote}", words::actor(who)));
    joined(
        format!("{} of {} votes", awaited.votes.len(), awaited.quorum.max(1)),
        said.collect::<Vec<_>>().join(", "),
    )
}

fn reminders(awaited: &AwaitedFacts) -> String {
    match awaited.reminded {
        0 => String::new(),
        1 => "reminded once".to_owned(),
        count => format!("reminded {count} times"),
    }
}

fn joined(one: String, other: String) -> String {
    if one.is_empty() || other.is_empty() { one + &other } else { format!("{one} · {other}") }
}

/// Why work of a step stands in line, and since when.
pub(crate) fn in_line(run: &RunFacts, step: &str) -> Option<Wait> {
    let of_step = |it: &&WaitingFacts| {
        it.attempt.pointer("/path/step").and_then(serde_json::Value::as_str) == Some(step)
    };
    let first = run.in_line.iter().find(of_step)?;
    Some(Wait {
        state: "queued",
        whom: "a place".to_owned(),
        what: first.gate.as_ref().map(|gate| format!("for the gate {gate}")).unwrap_or_default(),
        since: Some(first.since.clone()),
        note: line_reason(&first.reasons),
        ..Wait::default()
    })
}

/// Why an attempt stands in line, by the first reason.
fn line_reason(reasons: &[serde_json::Value]) -> String {
    let Some(first) = reasons.first() else { return String::new() };
    let text = |key: &str| first.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let number = |key: &str| first.get(key).and_then(serde_json::Value::as_u64);
    let name = if text("name").is_empty() { text("service") } else { text("name") };
    match (number("in_use"), number("size")) {
        (Some(used), Some(size)) => format!("{name}: {used} of {size} in use"),
        _ => format!("{} {name}", text("kind")).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;

    pub(crate) fn run(more: serde_json::Value) -> RunFacts {
        let mut base = json!({
            "id": "01a203f3-1e1b-74e2-960c-8ac6f3ebf39e", "short_id": "f3ebf39e", "pipeline": "release", "title": null,
            "status": "waiting", "version": 3, "started_by": "user:ada", "started_at": "2026-11-22T15:49:54.332Z",
            "ended_at": null, "driven": true,
        });
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RunFacts::deserialize(base).unwrap()
    }

    #[test]
    fn a_wait_says_for_whom_and_what_was_said() {
        let facts = run(json!({"awaits": [
            {"kind": "approval", "task": "f3ebf39e:ok:1", "step": "ok", "title": "Go?", "roles": ["product", "qa"],
             "quorum": 2, "votes": {"user:ada": "approve"}, "reminded": 2},
            {"kind": "signal", "step": "go", "name": "ci"},
        ]}));
        let found = waits(&facts);
        assert_eq!(found[0].whom, "product, qa");
        assert_eq!(found[0].note, "1 of 2 votes · ada says approve · reminded 2 times");
        assert_eq!(found[0].task_path().as_deref(), Some("/inbox/f3ebf39e:ok:1"));
        assert_eq!(found[1].whom, "the signal ci");
    }

    #[test]
    fn a_run_of_a_full_disk_says_so_first_until_it_has_ended() {
        let facts = json!({"disk_full": true, "awaits": [{"kind": "signal", "step": "go", "name": "ci"}]});
        assert_eq!(waits(&run(facts))[0].whom, "room on the disk");
        let ended = json!({"disk_full": true, "status": "failed", "ended_at": "2026-11-22T16:00:00.000Z"});
        assert_eq!(waits(&run(ended)), []);
    }

    #[test]
    fn a_run_waits_for_those_that_it_started() {
        let found = waits(&run(json!({"status": "running", "awaited_runs": ["a", "b"]})));
        assert_eq!((found.len(), found[0].whom.as_str()), (1, "2 runs that it started"));
    }

    #[test]
    fn a_gate_that_polls_is_named_with_its_reason() {
        let found = waits(&run(json!({
            "awaits": [{"kind": "timer", "step": "ci", "at": "2026-11-22T19:58:07.740Z"},
                       {"kind": "timer", "step": "nap", "at": "2026-11-22T21:08:26.875Z"}],
            "steps": [{"id": "ci", "kind": "command", "status": "gating", "round": 1, "attempt": 1, "gates": [
                {"gate": "green", "verdict": "pending", "reason": "waits for CI", "probe_no": 65}]}],
        })));
        let said: Vec<_> =
            found.iter().map(|it| (it.whom.as_str(), it.what.as_str(), it.asks_again)).collect();
        assert_eq!(said, [("the gate green", "waits for CI", true), ("a moment", "", false)]);
    }
}
