//! What can be done about a run, as links: the same that the command line names at the end of `show`.

use super::facts::{AwaitedFacts, RunFacts, StepFacts};
use crate::frame::Frame;
use crate::words;

/// As much of what an action is for as a button has room for.
const WHY_CHARS: usize = 24;

/// Who may follow a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ActNeeds {
    /// Whoever reads.
    Reading,
    /// Who decides tasks and has one of these roles.
    Deciding(Vec<String>),
    /// Who steers runs.
    Steering,
}

/// An action as a link to where it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextAct {
    pub(crate) label: String,
    pub(crate) href: String,
    /// It opens in the page's dialog.
    pub(crate) is_dialog: bool,
    pub(crate) is_danger: bool,
    /// What it is for.
    pub(crate) why: String,
    pub(crate) needs: ActNeeds,
}

impl NextAct {
    fn steer(run: &RunFacts, verb: &str, label: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            href: format!("/runs/{}/act/{verb}", run.short_id),
            is_dialog: true,
            is_danger: false,
            why: why.into(),
            needs: ActNeeds::Steering,
        }
    }

    fn read(label: impl Into<String>, href: String, why: impl Into<String>) -> Self {
        let needs = ActNeeds::Reading;
        Self { label: label.into(), href, is_dialog: false, is_danger: false, why: why.into(), needs }
    }

    /// With a pair in its query.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.href = crate::frame::with_query(&self.href, name, value);
        self
    }

    /// Whether this caller may do it on this page.
    pub(crate) fn is_open_to(&self, frame: &Frame) -> bool {
        match &self.needs {
            ActNeeds::Reading => true,
            ActNeeds::Deciding(roles) => frame.is_now() && frame.who.decides(false, roles),
            ActNeeds::Steering => frame.may_operate(),
        }
    }

    /// Whether it is what is asked for now, and not a way to do it over.
    pub(crate) fn is_pressing(&self) -> bool {
        self.does()
            && !["/act/restart", "/act/recheck", "/act/cancel", "/act/breakpoints"]
                .iter()
                .any(|verb| self.href.contains(verb))
    }

    /// Whether something is done, and not only read.
    pub(crate) fn does(&self) -> bool {
        self.needs != ActNeeds::Reading
    }
}

/// The most likely first; the first that does something is the one to be stressed.
pub(crate) fn acts(run: &RunFacts) -> Vec<NextAct> {
    let mut found: Vec<NextAct> = run.awaits.iter().flat_map(|awaited| for_awaited(run, awaited)).collect();
    let is_without_engine = !run.driven && !run.is_ended() && run.paused.is_empty();
    match run.status.as_str() {
        "running" | "queued" | "stopping" if is_without_engine => {
            found.push(NextAct::steer(run, "resume", "Resume", "no engine goes on with it"));
        }
        "waiting" | "blocked" if is_without_engine && waits_for_time(run) => {
            found.push(NextAct::steer(run, "resume", "Resume", "no engine looks after its timers"));
        }
        "failed" => found.extend(for_failed(run)),
        _goes_on => {}
    }
    if !run.notices_given_up.is_empty() {
        found.push(NextAct::read("Notices that failed", "/system".to_owned(), "they were given up"));
    }
    let mut seen: Vec<String> = Vec::new();
    found.retain(|act| {
        let is_new = !seen.contains(&act.href);
        seen.push(act.href.clone());
        is_new
    });
    found.truncate(8);
    found
}

/// The same, where several have the same words each with what it is for: two questions are told apart by what they ask.
pub(crate) fn with_distinct_labels(mut acts: Vec<NextAct>) -> Vec<NextAct> {
    let labels: Vec<String> = acts.iter().map(|act| act.label.clone()).collect();
    for act in &mut acts {
        let is_doubled = labels.iter().filter(|label| **label == act.label).count() > 1;
        if is_doubled && !act.why.is_empty() {
            act.label = format!("{}: {}", act.label.trim_end_matches('…'), excerpt(&act.why, WHY_CHARS));
        }
    }
    acts
}

/// The begin of a text that is longer than so many signs.
fn excerpt(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The page where people decide or answer.
pub(crate) fn to_decide(awaited: &AwaitedFacts) -> Option<NextAct> {
    let label = match awaited.kind.as_str() {
        "approval" => "Approve or reject…",
        "question" => "Answer…",
        _other => return None,
    };
    Some(NextAct {
        label: label.to_owned(),
        href: format!("/inbox/{}", words::encoded(&awaited.task)),
        is_dialog: false,
        is_danger: false,
        why: awaited.title.clone(),
        needs: ActNeeds::Deciding(awaited.roles.clone()),
    })
}

fn for_awaited(run: &RunFacts, awaited: &AwaitedFacts) -> Vec<NextAct> {
    match awaited.kind.as_str() {
        "approval" | "question" => to_decide(awaited).into_iter().collect(),
        "unblock" => for_blocked(run, awaited),
        "signal" => vec![
            NextAct::steer(
                run,
                "signal",
                format!("Send the signal {}…", awaited.name),
                format!("{} waits for it", awaited.step),
            )
            .with("name", &awaited.name),
        ],
        "resume" => match run.paused.iter().find(|pause| !pause.shared) {
            Some(_own) => vec![NextAct::steer(run, "resume", "Resume", "it is paused")],
            // What stands still with its pipeline or the engine is resumed there.
            None => {
                vec![NextAct::read(
                    "See what is paused",
                    "/system".to_owned(),
                    "more than this run is paused",
                )]
            }
        },
        "budget" => vec![
            NextAct::steer(
                run,
                "budget",
                format!("Raise the budget {}…", awaited.budget),
                "paid work waits for it",
            )
            .with("budget", &awaited.budget),
        ],
        "slot" => awaited
            .holders
            .first()
            .map(|holder| {
                let short = words::short(holder);
                NextAct::read(
                    format!("Show {short}"),
                    format!("/runs/{short}"),
                    "it waits for this run's end",
                )
            })
            .into_iter()
            .collect(),
        _timer => Vec::new(),
    }
}

/// What can be done about a step that is blocked.
fn for_blocked(run: &RunFacts, awaited: &AwaitedFacts) -> Vec<NextAct> {
    let mut found = vec![
        NextAct::steer(run, "unblock", format!("Decide on {}…", awaited.step), awaited.message.clone())
            .with("step", &awaited.step),
    ];
    let step = run.step(&awaited.step);
    if step.is_some_and(|step| !step.gates.is_empty()) {
        let why = "asks its gates again; the work stays as it is";
        found.push(
            NextAct::steer(run, "recheck", format!("Recheck {}", awaited.step), why)
                .with("step", &awaited.step),
        );
    }
    found.extend(log_of(run, &awaited.step));
    found
}

fn for_failed(run: &RunFacts) -> Vec<NextAct> {
    let mut found = vec![NextAct::steer(run, "retry", "Retry…", "as a new run that keeps what succeeded")];
    match failed_step(run) {
        Some(step) => {
            let base = step.split('.').next().unwrap_or(&step).to_owned();
            let why = "with another input or definition, as a new run that keeps what came before";
            found.push(
                NextAct::steer(run, "restart", format!("Restart from {base}…"), why).with("from", &base),
            );
            found.push(fork(run));
            found.extend(log_of(run, &step));
        }
        None => found.push(NextAct::read(
            "Events",
            format!("/runs/{}/events", run.short_id),
            "everything that happened",
        )),
    }
    found
}

fn failed_step(run: &RunFacts) -> Option<String> {
    let named = run.failure.as_ref().and_then(|failure| failure.step.clone());
    named.or_else(|| run.steps.iter().rev().find(|step| step.status == "failed").map(|step| step.id.clone()))
}

fn fork(run: &RunFacts) -> NextAct {
    NextAct::steer(run, "fork", "Fork here…", "a new run that goes on from this moment")
        .with("version", &run.version.to_string())
}

/// The log of a step's newest attempt.
fn log_of(run: &RunFacts, step: &str) -> Option<NextAct> {
    let facts = run.step(step).filter(|facts| facts.has_log())?;
    let href = log_path(&run.short_id, step, facts.round, facts.attempt);
    Some(NextAct::read(format!("Log of {step}"), href, "what it wrote"))
}

/// The address of an attempt's log.
pub(crate) fn log_path(run: &str, step: &str, round: u32, attempt: u32) -> String {
    let mut path = format!("/runs/{run}/log?step={}", words::encoded(step));
    if round > 0 {
        path.push_str(&format!("&round={round}"));
    }
    if attempt > 0 {
        path.push_str(&format!("&attempt={attempt}"));
    }
    path
}

fn waits_for_time(run: &RunFacts) -> bool {
    run.awaits.iter().any(|awaited| awaited.kind == "timer" || awaited.reminded > 0)
}

/// What can be done about one step of a run.
pub(crate) fn for_step(run: &RunFacts, step: &StepFacts, path: &str) -> Vec<NextAct> {
    let of_step =
        |awaited: &&AwaitedFacts| awaited.step == path || awaited.step.starts_with(&format!("{path}."));
    let mut found: Vec<NextAct> =
        run.awaits.iter().filter(of_step).take(4).flat_map(|it| for_awaited(run, it)).collect();
    if step.round > 0 {
        let why = "a new run that keeps what came before this step";
        found.push(
            NextAct::steer(run, "restart", format!("Restart from {}…", step.id), why).with("from", &step.id),
        );
        if !step.gates.is_empty() && !run.is_ended() {
            let why = "asks its gates again; the work stays as it is";
            found.push(
                NextAct::steer(run, "recheck", format!("Recheck {}", step.id), why).with("step", &step.id),
            );
        }
    }
    if !run.is_ended() {
        found.extend(for_open_step(run, step, path));
    }
    let mut seen: Vec<String> = Vec::new();
    found.retain(|act| {
        let is_new = act.does() && !seen.contains(&act.href);
        seen.push(act.href.clone());
        is_new
    });
    found
}

/// What can be done about a step, or an item of it, of a run that goes on: pause before it, end it.
fn for_open_step(run: &RunFacts, step: &StepFacts, path: &str) -> Vec<NextAct> {
    let mut found = Vec::new();
    if run.breakpoints.contains(&step.id) {
        let why = "the run pauses before this step";
        found.push(NextAct::steer(run, "breakpoints", "Breakpoints…", why));
    } else if path == step.id && matches!(step.status.as_str(), "" | "pending") {
        let why = "a breakpoint: the run pauses before this step begins";
        found.push(
            NextAct::steer(run, "breakpoints", format!("Pause before {path}…"), why).with("step", path),
        );
    }
    if !matches!(step.status.as_str(), "succeeded" | "failed" | "cancelled" | "skipped") && step.round > 0 {
        let why = "ends this step alone: it fails as cancelled";
        let cancel = NextAct::steer(run, "cancel", format!("Cancel {path}…"), why).with("step", path);
        found.push(NextAct { is_danger: true, ..cancel });
    }
    found
}

/// What else can be done, for the menu.
pub(crate) fn further(run: &RunFacts) -> Vec<NextAct> {
    let shown = acts(run);
    let mut found = Vec::new();
    if run.is_ended() {
        found.push(NextAct::steer(run, "retry", "Retry…", "as a new run that keeps what succeeded"));
        found.push(NextAct::steer(run, "restart", "Restart from a step…", "as a new run"));
    } else {
        if run.paused.is_empty() {
            found.push(NextAct::steer(run, "pause", "Pause…", "what runs ends, nothing new begins"));
            found.push(NextAct::steer(
                run,
                "interrupt",
                "Interrupt…",
                "stops its work, which goes on when it is resumed",
            ));
        } else {
            found.push(NextAct::steer(run, "resume", "Resume", "it is paused"));
        }
        found.push(NextAct::steer(run, "signal", "Send a signal…", "to steps and gates that wait for one"));
        found.push(NextAct::steer(run, "breakpoints", "Breakpoints…", "pause before a step begins"));
    }
    found.push(fork(run));
    if !run.budget.is_empty() {
        found.push(NextAct::steer(run, "budget", "Raise a budget…", "for this run"));
    }
    found.push(NextAct::steer(run, "note", "Add a note…", "to its history"));
    if !run.is_ended() {
        let cancel = NextAct::steer(run, "cancel", "Cancel…", "stops its work and ends it");
        found.push(NextAct { is_danger: true, ..cancel });
    }
    found.retain(|act| !shown.iter().any(|it| it.href == act.href));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::{Value, json};

    fn run(more: Value) -> RunFacts {
        let mut base = json!({
            "id": "01a203f3-1e1b-74e2-960c-8ac6f3ebf39e", "short_id": "f3ebf39e", "pipeline": "release", "title": null,
            "status": "waiting", "version": 30, "started_by": "user:ada", "started_at": "2026-11-22T15:49:54.332Z",
            "ended_at": null, "driven": true,
        });
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RunFacts::deserialize(base).unwrap()
    }

    fn hrefs(acts: &[NextAct]) -> Vec<&str> {
        acts.iter().map(|act| act.href.as_str()).collect()
    }

    #[test]
    fn two_questions_are_with_distinct_labels_by_what_they_ask() {
        let ask = |step: &str, title: &str| json!({"kind": "approval", "step": step, "task": step, "title": title, "roles": []});
        let labels = |asked: Vec<Value>| -> Vec<String> {
            let acts = acts(&run(json!({"awaits": asked})));
            with_distinct_labels(acts).into_iter().map(|act| act.label).collect()
        };
        assert_eq!(labels(vec![ask("one", "Send it?")]), ["Approve or reject…"]);
        let two = labels(vec![ask("one", "Send it?"), ask("two", "Merge the branch that is so long?")]);
        assert_eq!(two, ["Approve or reject: Send it?", "Approve or reject: Merge the branch that i…"]);
    }

    #[test]
    fn a_failed_run_can_be_retried_and_restarted_from_the_step_that_failed() {
        let run = run(json!({
            "status": "failed", "failure": {"step": "unit", "round": 1, "attempt": 2},
            "steps": [{"id": "unit", "kind": "command", "status": "failed", "round": 1, "attempt": 2}],
        }));
        assert_eq!(
            hrefs(&acts(&run)),
            [
                "/runs/f3ebf39e/act/retry",
                "/runs/f3ebf39e/act/restart?from=unit",
                "/runs/f3ebf39e/act/fork?version=30",
                "/runs/f3ebf39e/log?step=unit&round=1&attempt=2",
            ]
        );
        assert!(
            further(&run).iter().all(|act| !act.href.ends_with("/retry")),
            "what is a button is not in the menu"
        );
        assert!(further(&run).iter().all(|act| !act.href.ends_with("/cancel")));
    }

    #[test]
    fn a_step_of_a_run_that_goes_on_can_be_cancelled_or_paused_before() {
        let step = |status: &str, round: u32| json!({"id": "build", "kind": "command", "status": status, "round": round, "attempt": round});
        let offered = |more: Value| {
            let run = run(more);
            let found = for_step(&run, &run.steps[0], "build");
            found.into_iter().map(|act| act.href.replace("/runs/f3ebf39e/act/", "")).collect::<Vec<_>>()
        };
        assert_eq!(
            offered(json!({"status": "running", "steps": [step("running", 1)]})),
            ["restart?from=build", "cancel?step=build"]
        );
        assert_eq!(
            offered(json!({"status": "running", "steps": [step("pending", 0)]})),
            ["breakpoints?step=build"]
        );
        assert_eq!(
            offered(json!({"status": "running", "steps": [step("pending", 0)], "breakpoints": ["build"]})),
            ["breakpoints"]
        );
        assert_eq!(
            offered(json!({"status": "failed", "steps": [step("failed", 1)]})),
            ["restart?from=build"]
        );
    }

    #[test]
    fn what_users_wrote_is_encoded_in_addresses() {
        let run = run(json!({"awaits": [
            {"kind": "signal", "step": "s", "name": "a&b=<c>"},
            {"kind": "approval", "task": "f3ebf39e:ok:1", "step": "ok", "title": "Go?"},
        ]}));
        assert_eq!(
            hrefs(&acts(&run)),
            ["/runs/f3ebf39e/act/signal?name=a%26b%3D%3Cc%3E", "/inbox/f3ebf39e:ok:1",]
        );
    }

    #[test]
    fn a_decision_is_offered_to_its_roles_alone() {
        let run = run(json!({"awaits": [
            {"kind": "approval", "task": "f3ebf39e:ok:1", "step": "ok", "title": "Go?", "roles": ["release"]},
        ]}));
        let frame = |approves: Value| {
            let who = json!({"actor": "user:x", "role": "approver", "approves": approves});
            crate::frame::Frame {
                title: String::new(),
                place: crate::frame::NavPlace::Elsewhere,
                who: serde_json::from_value(who).expect("who"),
                at: None,
                then: None,
                here: "/".into(),
                waiting: 0,
                follows: None,
                live: false,
            }
        };
        let offered = |approves: Value| acts(&run).iter().any(|act| act.is_open_to(&frame(approves.clone())));
        assert_eq!(
            [offered(json!(["release"])), offered(json!(["qa"])), offered(json!([]))],
            [true, false, false]
        );
    }

    #[test]
    fn a_run_that_no_engine_drives_can_be_resumed() {
        let alone = run(json!({"status": "running", "driven": false}));
        assert_eq!(hrefs(&acts(&alone)), ["/runs/f3ebf39e/act/resume"]);
        assert!(acts(&run(json!({"status": "running"}))).is_empty());
    }
}
