//! Why an event never met a status: because no history can hold the two, or because that is rarer than ten
//! thousand seeds are many.
//!
//! The tests fail where a pair that is called impossible is met, and where one is never met and stands here
//! neither way.

use super::coverage::{OF_STEPS, Pair};

/// Events of these kinds, on a run or a step of these statuses.
struct Row {
    statuses: &'static [&'static str],
    events: &'static [&'static str],
    why: &'static str,
}

fn find(rows: &[Row], (status, event): Pair) -> Option<&'static str> {
    let is_of = |row: &&Row| row.statuses.contains(&status) && row.events.contains(&event);
    rows.iter().find(is_of).map(|row| row.why)
}

/// Why no history holds this event on a run of this status; `None`: it may.
pub fn never_of_run(pair: Pair) -> Option<&'static str> {
    let is_over = matches!(pair.0, "succeeded" | "failed" | "cancelled");
    match pair {
        ("none", "RunStarted") => None,
        ("none", _) => Some("a history begins with RunStarted"),
        (_, "RunStarted") => Some("a run starts once"),
        // The outbox outlives the run; a history goes on as another run's; work that was stopped late is reported.
        (_, "NoticeQueued" | "NoticeSent" | "NoticeFailed" | "RunForked" | "NoteAdded" | "SpendReported")
            if is_over =>
        {
            None
        }
        (_, "WorkspaceRemoved") => {
            Some("this machine keeps its folders; the driver's tests have some that go")
        }
        (_, "RunAbandoned") => Some("no plan abandons a run; the tests of the runtime do"),
        _ if is_over => Some("L30: ended runs never change"),
        (_, "WorktreeReset") => Some("this machine has no worktrees of git; the tests of workspaces have"),
        (_, "WorkspaceShared") => Some("no plan has a workspace of its parent's; the driver's tests have"),
        _ => find(NEVER_OF_RUN, pair),
    }
}

/// Why it may be, and hardly ever is.
pub fn rare_of_run(pair: Pair) -> Option<&'static str> {
    if pair.1 == "ClockRead" {
        return Some("the clock is set back a few times in every other plan");
    }
    find(RARE_OF_RUN, pair)
}

const NEVER_OF_RUN: &[Row] = &[
    Row {
        statuses: &["queued"],
        events: &[
            "StepScheduled",
            "ItemsExpanded",
            "AttemptStarted",
            "AttemptSucceeded",
            "AttemptLost",
            "AttemptAsked",
            "ChildStarted",
            "ChildFinished",
            "ChildStopped",
            "ApprovalRequested",
            "QuestionAsked",
            "TimerFired",
            "BreakpointHit",
            "WorkspacePrepared",
            "UsageRecorded",
            "ProgressReported",
            "SearchSet",
            "WorkSpared",
            "ProbeFailed",
            "BudgetExceeded",
            "FundsRequested",
            "FundsAnswered",
            "FundsGranted",
        ],
        why: "D9: nothing of a queued run is at work",
    },
    Row {
        statuses: &["queued"],
        events: &["RetryScheduled", "StepSucceeded", "StepCancelled", "ProbeScheduled", "Advanced"],
        why: "what follows from something waits until the run is admitted; one that is to end is a running one",
    },
    Row {
        statuses: &["queued"],
        events: &["GateEvaluated"],
        why: "a fork forgets its origin's probes, and no other queued run has asked anything",
    },
    Row {
        statuses: &["queued"],
        events: &["RunQueued"],
        why: "a run is queued once, and a fork of a queued run is none before",
    },
    Row {
        statuses: &["queued", "paused"],
        events: &["BudgetsOpened"],
        why: "it comes with the start or the fork",
    },
    Row { statuses: &["paused"], events: &["RunQueued"], why: "it comes with the start or the fork" },
    Row { statuses: &["waiting", "blocked"], events: &["RunAdmitted"], why: "only a queued run is admitted" },
    Row {
        statuses: &["queued", "waiting", "blocked"],
        events: &["RunSucceeded", "RunFailed", "RunCancelled"],
        why: "a run whose end is certain, and not recorded yet, is a running one",
    },
    Row {
        statuses: &["waiting", "blocked"],
        events: &[
            "StepScheduled",
            "StepSucceeded",
            "StepSkipped",
            "StepCancelled",
            "RetryScheduled",
            "BreakpointHit",
            "ProbeScheduled",
            "Advanced",
        ],
        why: "it follows from a fact, and what follows from one makes the run a running one",
    },
    Row {
        statuses: &["waiting", "blocked"],
        events: &[
            "AttemptStarted",
            "AttemptSucceeded",
            "AttemptAsked",
            "AttemptLost",
            "ChildStarted",
            "ChildFinished",
            "ChildStopped",
            "UsageRecorded",
            "ProgressReported",
            "SearchSet",
            "WorkSpared",
            "ProbeFailed",
        ],
        why: "work in progress, or that is stopped, makes the run a running one",
    },
    Row {
        statuses: &["waiting"],
        events: &["AttemptFailed", "WorkspacePrepared", "FundsRequested", "FundsAnswered", "FundsGranted"],
        why: "an attempt that is scheduled makes the run a running one, and held by a budget a paused one",
    },
    Row {
        statuses: &["waiting"],
        events: &["RunUnblocked"],
        why: "what is blocked makes the run a blocked one",
    },
    Row {
        statuses: &["queued", "running", "waiting", "blocked"],
        events: &["RunReleased"],
        why: "a run that stands still with others is a paused one",
    },
    Row {
        statuses: &["queued"],
        events: &["RunResumed"],
        why: "a run with a pause of its own is a paused one",
    },
    Row {
        statuses: &["paused"],
        events: &["BreakpointHit"],
        why: "it stands before a step that is about to begin, by which a run is one that goes on",
    },
];

const RARE_OF_RUN: &[Row] = &[
    Row {
        statuses: &["running"],
        events: &["RunAdmitted"],
        why: "a fork that stands in a queue gets its slots while the work it copied is being stopped; the core's tests have one",
    },
    Row {
        statuses: &["queued"],
        events: &[
            "AttemptFailed",
            "StopRequested",
            "StepFailed",
            "StepBlocked",
            "StepSkipped",
            "TimerSet",
            "AnswerSaved",
            "RecheckRequested",
        ],
        why: "a fork that stands in a queue gets a signal, or people decide on what it copied",
    },
    Row {
        statuses: &["queued", "waiting", "blocked"],
        events: &["BudgetRaised"],
        why: "people of the plans raise only what holds work; the core's tests raise others",
    },
    Row {
        statuses: &["queued"],
        events: &["SpendReported"],
        why: "a shared budget is raised in a run that stands in a queue",
    },
    Row {
        statuses: &["blocked"],
        events: &["AttemptFailed", "WorkspacePrepared", "FundsRequested", "FundsAnswered"],
        why: "work that a budget holds beside a blocked step",
    },
    Row {
        statuses: &["blocked"],
        events: &["StepFailed"],
        why: "the route of a signal fails a step while another one is blocked, and nothing else goes on",
    },
    Row {
        statuses: &["waiting"],
        events: &["StopRequested", "RunResumed"],
        why: "a cancel of a run in which nothing executes: children that are left behind, a pause that is lifted",
    },
    Row {
        statuses: &["paused"],
        events: &["WorkspacePrepared", "ProbeFailed", "FundsRequested", "WorkSpared"],
        why: "a user pauses the run within the moment that this takes",
    },
    Row {
        statuses: &["paused"],
        events: &["ProbeScheduled", "Advanced", "ChildStopped"],
        why: "a run that stands still with others, and whose end is certain, goes on to it until it is released",
    },
    Row {
        statuses: &["paused"],
        events: &["BudgetPeriodBegan"],
        why: "a day, a week or a month ends while a budget holds work",
    },
    Row {
        statuses: &["paused"],
        events: &["ApprovalRequested", "QuestionAsked"],
        why: "a budget holds paid work, and a timer or a person leads to people beside it",
    },
    Row {
        statuses: &["paused"],
        events: &["RecheckRequested"],
        why: "an operator has a gate judged again that was open when the run was paused",
    },
];

/// Why no history holds this event on a step of this status; `None`: it may.
pub fn never_of_step(pair: Pair) -> Option<&'static str> {
    if !OF_STEPS.contains(&pair.1) {
        return Some("an event of the run, not of one step");
    }
    find(NEVER_OF_STEP, pair)
}

/// Why it may be, and hardly ever is.
pub fn rare_of_step(pair: Pair) -> Option<&'static str> {
    find(RARE_OF_STEP, pair)
}

const OVER: &[&str] = &["succeeded", "failed", "skipped", "cancelled"];
const OF_ATTEMPTS: &[&str] = &[
    "AttemptStarted",
    "AttemptSucceeded",
    "AttemptFailed",
    "AttemptLost",
    "AttemptAsked",
    "ChildStarted",
    "ChildFinished",
];

const NEVER_OF_STEP: &[Row] = &[
    Row {
        statuses: &["pending"],
        events: &[
            "StepSucceeded",
            "ApprovalDecided",
            "QuestionAnswered",
            "VoteCast",
            "AnswerSaved",
            "RetryScheduled",
        ],
        why: "nothing of it has begun",
    },
    Row {
        statuses: &["pending"],
        events: &["ApprovalRequested", "QuestionAsked", "ItemsExpanded", "ProbeScheduled"],
        why: "StepScheduled comes first",
    },
    Row {
        statuses: OVER,
        events: &["StepSucceeded", "StepBlocked", "StepFailed", "StepCancelled"],
        why: "a round ends once",
    },
    // A paused run shows the step as succeeded or failed whose attempt is over; a signal that ends the run may skip it.
    Row { statuses: &["skipped", "cancelled"], events: &["StepSkipped"], why: "a round ends once" },
    Row {
        statuses: OVER,
        events: &["StepScheduled", "RetryScheduled"],
        why: "a rework or a fork takes it back first, and then it is pending",
    },
    Row { statuses: &["gating"], events: &["StepScheduled"], why: "its work is done, or there is none" },
    Row { statuses: &["scheduled"], events: &["StepScheduled"], why: "a round begins once" },
    Row {
        statuses: OVER,
        events: &["ItemsExpanded", "ApprovalRequested", "QuestionAsked"],
        why: "its round is over",
    },
    Row {
        statuses: OVER,
        events: &["ApprovalDecided", "QuestionAnswered", "VoteCast", "AnswerSaved"],
        why: "its task is withdrawn",
    },
    Row {
        statuses: &["scheduled", "gating", "blocked"],
        events: &["ItemsExpanded"],
        why: "it comes right after StepScheduled, which makes the step a running or a waiting one",
    },
    Row {
        statuses: &["scheduled"],
        events: &[
            "StepSucceeded",
            "ProbeScheduled",
            "ProbeFailed",
            "ApprovalRequested",
            "QuestionAsked",
            "VoteCast",
            "ApprovalDecided",
            "AnswerSaved",
            "QuestionAnswered",
        ],
        why: "its attempt has not ended",
    },
    Row {
        statuses: &["gating"],
        events: &["ApprovalRequested", "VoteCast", "ApprovalDecided", "AnswerSaved", "QuestionAnswered"],
        why: "who is asked has the step wait, not be judged",
    },
    Row {
        statuses: &["running", "waiting", "succeeded", "failed", "skipped", "cancelled"],
        events: &["ProbeScheduled", "ProbeFailed"],
        why: "evidence is asked for while the step is judged",
    },
    Row {
        statuses: &["pending"],
        events: &["ProbeFailed"],
        why: "evidence is asked for while the step is judged",
    },
    Row {
        statuses: &["pending", "scheduled", "running", "succeeded", "failed", "skipped", "cancelled"],
        events: &["RecheckRequested"],
        why: "L18: only gates that are open, or block, are judged again",
    },
    Row {
        statuses: &["pending", "succeeded", "failed", "skipped", "cancelled"],
        events: &["StepCancelRequested"],
        why: "only an active step can be cancelled",
    },
    Row {
        statuses: &["cancelled"],
        events: OF_ATTEMPTS,
        why: "L9: steps are cancelled when what was stopped has ended",
    },
    Row {
        statuses: &["cancelled"],
        events: &["ReworkRequested"],
        why: "steps are cancelled when it is certain how the run ends",
    },
];

const RARE_OF_STEP: &[Row] = &[
    Row {
        statuses: &["succeeded", "failed"],
        events: &["StepSkipped"],
        why: "a paused run shows a step whose attempt is over as ended, and a signal that ends the run skips it",
    },
    Row {
        statuses: &["pending", "gating", "waiting", "blocked", "succeeded", "failed", "skipped"],
        events: OF_ATTEMPTS,
        why: "work that was stopped ends, or says that it began, after its step went on otherwise: by a rework, the route of a signal, or a person",
    },
    Row {
        statuses: &["running"],
        events: &["ChildStarted"],
        why: "an item of a `foreach` over child runs; the driver's tests have them",
    },
    Row {
        statuses: &[
            "pending",
            "scheduled",
            "running",
            "waiting",
            "blocked",
            "succeeded",
            "failed",
            "skipped",
            "cancelled",
        ],
        events: &["GateEvaluated"],
        why: "L14: a verdict of a round that was reset while its probe was in progress; the core's laws have them",
    },
    Row {
        statuses: &["scheduled"],
        events: &["StepCancelled"],
        why: "a fork that stands in a queue is cancelled, whose origin had come to `on_finish`",
    },
    Row {
        statuses: &["blocked"],
        events: &["ProbeScheduled", "ProbeFailed"],
        why: "L17: a signal wakes a gate that blocks",
    },
    Row {
        statuses: &["scheduled"],
        events: &["StepFailed", "StepBlocked", "ReworkRequested"],
        why: "the route of a signal interrupts work that has not said that it began",
    },
    Row {
        statuses: &["blocked"],
        events: &[
            "StepScheduled",
            "RetryScheduled",
            "ApprovalRequested",
            "QuestionAsked",
            "VoteCast",
            "ApprovalDecided",
            "AnswerSaved",
        ],
        why: "a `foreach` of which an item is blocked, another one waits for people, and nothing else goes on",
    },
    Row {
        statuses: &["blocked"],
        events: &["StepSucceeded", "StepFailed"],
        why: "a signal decides on a blocked step, and the step ends by it at once",
    },
    Row {
        statuses: &["waiting"],
        events: &["StepSucceeded", "RetryScheduled"],
        why: "it ends without having been settled first: what people or a timer decided leads on at once",
    },
    Row {
        statuses: &["gating"],
        events: &["QuestionAsked"],
        why: "work that asks is asked for its answer while its attempt's end is looked at",
    },
];
