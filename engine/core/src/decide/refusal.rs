//! What an input may not do, typed.

use super::fork_check::Misfit;
use super::policy_error::PolicyError;
use crate::event::{HaltScope, UnblockDecision};
use crate::state::{RunStatus, StepStatus};
use everfold_base::actor::Actor;
use everfold_base::id::{Attempt, Round, RunId, StepId, StepPath, Version};
use everfold_language::definition::Vote;

/// Why an input was refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The run was started before.
    #[error("the run is there already")]
    AlreadyStarted,
    /// There is no such run yet.
    #[error("the run was not started")]
    NotStarted,
    /// The run is over; it never changes again.
    #[error("the run is over: it {}", how_ended(*.0))]
    Ended(RunStatus),
    /// Only a run that cannot continue is abandoned.
    #[error("the run is not set aside: it can be cancelled in order")]
    NotSetAside,
    /// The input does not fit the pipeline's schema.
    #[error("the input does not fit: {}", .0.join("; "))]
    InvalidInput(Vec<String>),
    /// An expression that the start needs failed.
    #[error("the run cannot start: {0}")]
    Start(String),
    /// Nothing of the run is to be retried.
    #[error("nothing of the run is to be retried: it {}", how_ended(*.0))]
    NothingToRetry(RunStatus),
    /// The settings documents cannot be had.
    #[error("config “{name}”: {why}")]
    Config {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// Another run has the key.
    #[error("run {holder} has the key “{key}”")]
    KeyTaken {
        /// The key.
        key: String,
        /// The run.
        holder: RunId,
    },
    /// As many runs as may hold a slot.
    #[error("no slot of “{key}” is free: {limit} at once")]
    NoSlot {
        /// The key.
        key: String,
        /// How many may.
        limit: u32,
    },
    /// A gate of `admit` failed.
    #[error("not admitted: gate “{gate}”{}: {reason}", in_brackets(code.as_deref()))]
    NotAdmitted {
        /// The gate.
        gate: String,
        /// Its own code.
        code: Option<String>,
        /// Why.
        reason: String,
    },
    /// A gate of `admit` asks for credentials that the request did not bring.
    #[error("gate “{gate}” of admit asks for the {} {} with the request", if .missing.len() == 1 { "credential" } else { "credentials" }, .missing.join(", "))]
    CredentialRequired {
        /// The gate.
        gate: String,
        /// Their names.
        missing: Vec<String>,
    },
    /// A gate of `admit` failed that was given credentials of the request.
    #[error("gate “{gate}” of admit{} refused the {} {}: {reason}", in_brackets(code.as_deref()), if .names.len() == 1 { "credential" } else { "credentials" }, .names.join(", "))]
    CredentialRefused {
        /// The gate.
        gate: String,
        /// The names of what it was given.
        names: Vec<String>,
        /// The gate's own code.
        code: Option<String>,
        /// Why.
        reason: String,
    },
    /// There is no such step.
    #[error("there is no step “{0}”")]
    UnknownStep(StepPath),
    /// The step runs when its run ends, and no run begins anew at it.
    #[error("“{0}” is a step of `on_finish`: it runs when its run ends, and no run begins anew at it")]
    FinishStep(StepPath),
    /// There is no such question.
    #[error("“{0}” asks no question")]
    NotAsking(StepPath),
    /// Another round or attempt of the step asks.
    #[error("“{path}” asks nothing in {}: open is {}", try_words(*.round, *.attempt), try_words(*.open_round, *.open_attempt))]
    OtherOpen {
        /// The step.
        path: StepPath,
        /// The round that was named.
        round: Round,
        /// The attempt that was named.
        attempt: Attempt,
        /// The round that asks.
        open_round: Round,
        /// The attempt that asks.
        open_attempt: Attempt,
    },
    /// What was asked was withdrawn, because its step went on, began again, or ended with its run.
    #[error("what “{0}” asked is superseded: its step went on, began again, or ended with its run")]
    Superseded(StepPath),
    /// Nobody answered before its time was over.
    #[error("nobody answered “{0}” in time, and it takes no answer any more")]
    Expired(StepPath),
    /// It was decided otherwise.
    #[error("“{path}” was decided already: {}", vote_word(*.decision))]
    Decided {
        /// The step.
        path: StepPath,
        /// What was decided.
        decision: Vote,
    },
    /// It was decided so, on something else than the vote names, or with another value.
    #[error("“{path}” was decided already: {}, {what}", vote_word(*.decision))]
    DecidedOn {
        /// The step.
        path: StepPath,
        /// What was decided.
        decision: Vote,
        /// What is different.
        what: &'static str,
    },
    /// A step of a run decides what is for people to decide of a run that this one came of, or of its own.
    #[error("what is for people to decide of run {} is decided by no step of it, nor of a run below it", .0.short())]
    FromBelow(RunId),
    /// Who started a run would decide on it by another run, a schedule or a delivery, and its approval excludes them.
    #[error("run {} is not decided by who started it, nor by what they had started or sent ({by})", .run.short())]
    OwnDecision {
        /// The run.
        run: RunId,
        /// Who is behind it.
        by: Actor,
    },
    /// A delivery that a person made up, or had handled once more, would decide what is for people: whom it names did not send
    /// it now.
    #[error("what is for people to decide of run {} is decided by no delivery that {by} submitted or had handled again", .run.short())]
    ByHand {
        /// The run.
        run: RunId,
        /// Who did.
        by: Actor,
    },
    /// The voter has none of the roles.
    #[error("“{path}” asks {}", .roles.join(" or "))]
    WrongRole {
        /// The step.
        path: StepPath,
        /// Who may vote.
        roles: Vec<String>,
    },
    /// The actor that started the run may not vote.
    #[error("who started the run, and the run's own steps, may not decide on “{0}”")]
    SelfApproval(StepPath),
    /// This decision needs a comment.
    #[error("“{path}” wants a comment with {}", vote_word(*.vote))]
    CommentNeeded {
        /// The step.
        path: StepPath,
        /// The decision.
        vote: Vote,
    },
    /// The vote is on something else than what the task shows, or what it shows has changed in the workspace.
    #[error("“{path}”: it changed since you looked{}", in_words(.what))]
    Changed {
        /// The step.
        path: StepPath,
        /// What lies in the workspace and has changed; empty: the vote names something else.
        what: Vec<String>,
    },
    /// The approval does not offer that.
    #[error("“{path}” does not offer {}", vote_word(*.vote))]
    NotOffered {
        /// The step.
        path: StepPath,
        /// The decision.
        vote: Vote,
    },
    /// The task is of the other kind: it wants a decision, or an answer.
    #[error("“{path}” wants {wants}")]
    WrongKind {
        /// The step.
        path: StepPath,
        /// What it wants.
        wants: &'static str,
    },
    /// It was answered otherwise.
    #[error("“{0}” was answered already, and otherwise")]
    Answered(StepPath),
    /// The answer is not one that the question takes.
    #[error("the answer to “{path}” does not fit: {}", .problems.join("; "))]
    InvalidAnswer {
        /// The step.
        path: StepPath,
        /// What is wrong.
        problems: Vec<String>,
    },
    /// The value cannot be replaced so.
    #[error("the value of “{path}” cannot be replaced: {why}")]
    InvalidEdit {
        /// The step.
        path: StepPath,
        /// Why not.
        why: String,
    },
    /// A word is to be said to interrupted work, and there is none.
    #[error("nothing of the run was interrupted: there is no agent to say it to")]
    NothingInterrupted,
    /// The step is not blocked.
    #[error("“{0}” is not blocked")]
    NotBlocked(StepPath),
    /// Nothing of the run is blocked.
    #[error("no step is blocked")]
    NothingBlocked,
    /// Several steps are blocked; one must be named.
    #[error("several steps are blocked, name one: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    SeveralBlocked(Vec<StepPath>),
    /// The decision makes no sense there.
    #[error("“{path}” cannot be unblocked by `{}`: {why}", unblock_word(*.decision))]
    CannotUnblock {
        /// The step or item.
        path: StepPath,
        /// The decision.
        decision: UnblockDecision,
        /// Why not.
        why: &'static str,
    },
    /// What a person puts in the place of the pipeline's own verdict is recorded with a reason.
    #[error("{what} needs a reason: it overrides what the pipeline decides, and stands in the audit")]
    ReasonNeeded {
        /// What was asked for.
        what: &'static str,
    },
    /// A step that is skipped has no output, and an expression relies on it.
    #[error("“{path}” cannot be skipped: {reader} reads {chain}, which would be missing")]
    Needed {
        /// The step.
        path: StepPath,
        /// What reads it.
        reader: String,
        /// What it reads.
        chain: String,
    },
    /// No gate of the step is open, so there is nothing to judge again.
    #[error("no gate of “{0}” is being judged or blocks it")]
    NotJudged(StepPath),
    /// The step has no such gate.
    #[error("“{path}” has no gate “{gate}”; it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownGate {
        /// The step.
        path: StepPath,
        /// The gate that was named.
        gate: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A policy that was given cannot judge anything.
    #[error("the policy for gate “{gate}” cannot be used: {error}")]
    BadPolicy {
        /// The gate.
        gate: String,
        /// What is wrong, and where in its text.
        error: Box<PolicyError>,
    },
    /// The run is not paused.
    #[error("the run is not paused")]
    NotPaused,
    /// The run is not paused by itself.
    #[error("the run stands still because {0} is paused; resume that")]
    Halted(HaltScope),
    /// The step is not in progress.
    #[error("“{path}” is not in progress: it is {}", .status.as_str())]
    NotActive {
        /// The step or item.
        path: StepPath,
        /// What the step is doing.
        status: StepStatus,
    },
    /// The step runs when the run ends.
    #[error("“{0}” runs when the run ends; it takes no breakpoint")]
    NoBreakpoint(StepId),
    /// A fork is to pause before a step that has begun by the moment that it goes on from.
    #[error("the step “{0}” has begun by that moment, so the run would not pause before it")]
    BegunBefore(StepId),
    /// The run has no budget.
    #[error("the run has no budget")]
    NoBudgets,
    /// The run has no budget of that name.
    #[error("the run has no budget “{budget}”; it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownBudget {
        /// The name.
        budget: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The run has several budgets; one must be named.
    #[error("the run has several budgets, name one: {}", .0.join(", "))]
    SeveralBudgets(Vec<String>),
    /// The budget cannot be raised so.
    #[error("budget “{budget}” cannot be raised {why}")]
    BadRaise {
        /// Which.
        budget: String,
        /// Why not.
        why: &'static str,
    },
    /// Paid work waits for a budget; no pause is to be lifted.
    #[error("the run waits for its budget “{0}”; raise that, or wait for its next period")]
    OverBudget(String),
    /// A signal has no usable name.
    #[error("“{0}” is no name of a signal: it has 1 to 128 bytes, no blanks and no control characters")]
    BadSignal(String),
    /// The definition that a fork is to go on by is that of another pipeline.
    #[error("the definition is that of “{is}”, the run is one of “{was}”")]
    OtherPipeline {
        /// Whose definition was given.
        is: String,
        /// The run's pipeline.
        was: String,
    },
    /// What has begun has no place in the definition that a fork is to go on by.
    #[error("the history does not fit the definition: {}", unfit(.misfits, .first.as_ref()))]
    Unfit {
        /// Everything that does not fit, in the order of the file.
        misfits: Vec<Misfit>,
        /// The first event that names any of it, and which of the misfits that is.
        first: Option<(Version, &'static str, usize)>,
    },
    /// A text or value is over its limit.
    #[error("{what} is over the limit of {max} bytes")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A value is nested too deeply.
    #[error("a value is nested {depth} levels deep; {max} are the most")]
    TooDeep {
        /// Its depth.
        depth: usize,
        /// The limit.
        max: usize,
    },
    /// A name under which something is found later looks like a credential: masked it would name nothing.
    #[error("{what} holds what looks like a credential ({pattern}), and would be recorded")]
    Credential {
        /// What it is the name of.
        what: &'static str,
        /// Which pattern found it.
        pattern: String,
    },
    /// There are more of them than may be.
    #[error("there may be at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl Refusal {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyStarted => "already_started",
            Self::NotStarted => "not_started",
            Self::Ended(_) => "ended",
            Self::NotSetAside => "not_set_aside",
            Self::InvalidInput(_) => "invalid_input",
            Self::Start(_) => "start",
            Self::Config { .. } => "config",
            Self::KeyTaken { .. } => "key_taken",
            Self::NoSlot { .. } => "no_slot",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::CredentialRequired { .. } => "credential_required",
            Self::CredentialRefused { .. } => "credential_refused",
            Self::NothingToRetry(_) => "nothing_to_retry",
            Self::UnknownStep(_) => "unknown_step",
            Self::FinishStep(_) => "finish_step",
            Self::NotAsking(_) | Self::OtherOpen { .. } => "not_asking",
            Self::Superseded(_) => "superseded",
            Self::Expired(_) => "expired",
            Self::Decided { .. } | Self::DecidedOn { .. } => "decided",
            Self::FromBelow(_) => "from_below",
            Self::OwnDecision { .. } => "own_decision",
            Self::ByHand { .. } => "by_hand",
            Self::WrongRole { .. } => "wrong_role",
            Self::SelfApproval(_) => "self_approval",
            Self::CommentNeeded { .. } => "comment_needed",
            Self::Changed { .. } => "changed",
            Self::NotOffered { .. } => "not_offered",
            Self::WrongKind { .. } => "wrong_kind",
            Self::Answered(_) => "answered",
            Self::InvalidAnswer { .. } => "invalid_answer",
            Self::InvalidEdit { .. } => "invalid_edit",
            Self::NotBlocked(_) => "not_blocked",
            Self::NothingBlocked => "nothing_blocked",
            Self::SeveralBlocked(_) => "several_blocked",
            Self::CannotUnblock { .. } => "cannot_unblock",
            Self::ReasonNeeded { .. } => "reason_needed",
            Self::Needed { .. } => "needed",
            Self::NotJudged(_) => "not_judged",
            Self::UnknownGate { .. } => "no_gate",
            Self::BadPolicy { .. } => "bad_policy",
            Self::NotPaused => "not_paused",
            Self::Halted(_) => "halted",
            Self::NotActive { .. } => "not_active",
            Self::NoBreakpoint(_) => "no_breakpoint",
            Self::BegunBefore(_) => "begun_before",
            Self::NoBudgets => "no_budget",
            Self::UnknownBudget { .. } => "unknown_budget",
            Self::SeveralBudgets(_) => "several_budgets",
            Self::BadRaise { .. } => "bad_raise",
            Self::OverBudget(_) => "over_budget",
            Self::BadSignal(_) => "bad_signal",
            Self::OtherPipeline { .. } => "other_pipeline",
            Self::Unfit { .. } => "unfit",
            Self::TooLarge { .. } => "too_large",
            Self::TooDeep { .. } => "too_deep",
            Self::Credential { .. } => "credential",
            Self::NothingInterrupted => "nothing_interrupted",
            Self::TooMany { .. } => "too_many",
        }
    }
}

fn in_words(what: &[String]) -> String {
    if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) }
}

fn in_brackets(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

fn unfit(misfits: &[Misfit], first: Option<&(Version, &'static str, usize)>) -> String {
    let at = first.map_or(0, |(_, _, at)| *at);
    let mut text = misfits.get(at).map_or_else(String::new, ToString::to_string);
    if let Some((version, name, _)) = first {
        text = format!("event {version}, {name}, is of {text}");
    }
    match misfits.len() {
        0 | 1 => text,
        more => format!("{text} (and {} more)", more - 1),
    }
}

fn how_ended(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Cancelled => "was cancelled",
        other => other.as_str(),
    }
}

/// A round, with the attempt where that is not the first.
fn try_words(round: Round, attempt: Attempt) -> String {
    match attempt.0 {
        0 | 1 => format!("round {round}"),
        _later => format!("round {round}, attempt {attempt}"),
    }
}

fn unblock_word(decision: UnblockDecision) -> &'static str {
    match decision {
        UnblockDecision::Retry => "retry",
        UnblockDecision::Recheck => "recheck",
        UnblockDecision::Proceed => "proceed",
        UnblockDecision::Skip => "skip",
        UnblockDecision::Fail => "fail",
    }
}

fn vote_word(vote: Vote) -> &'static str {
    match vote {
        Vote::Approve => "approve",
        Vote::Reject => "reject",
        Vote::Changes => "changes",
    }
}
