//! Test cases of a pipeline: what each step and probe is made to give, who decides what, and what is expected.
//!
//! Law: data. A case names only steps, gates and events that its pipeline has; the reader saw to that.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::Money;
use crate::words::{UnblockDecision, Vote};
use everfold_base::failure::FailureKind;
use everfold_base::id::{StepId, StepPath};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;

/// One case: a run of the pipeline with everything outside of it given.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineCase {
    /// Its name, unique in the file.
    pub name: String,
    /// The line in which it begins, from 1.
    pub line: usize,
    /// The run's input.
    pub input: Value,
    /// The run's title.
    pub title: Option<String>,
    /// Labels that the start adds.
    pub labels: BTreeMap<String, String>,
    /// The user who starts the run.
    pub by: String,
    /// The time at which the run starts.
    pub at: Option<Timestamp>,
    /// Settings documents by name, instead of those that the pipeline names.
    pub config: BTreeMap<String, Value>,
    /// The longest virtual time after the start.
    pub until: Option<Duration>,
    /// What work, probes and people give.
    pub stubs: CaseStubs,
    /// Signals that are sent to the run.
    pub signals: Vec<CaseSignal>,
    /// What must come of it.
    pub expect: CaseExpectation,
}

/// What work, probes and people give a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseStubs {
    /// Work, by step.
    pub steps: BTreeMap<StepId, StepStubs>,
    /// Evidence, by step and gate.
    pub gates: BTreeMap<StepId, BTreeMap<String, ProbeStubs>>,
    /// Evidence of `admit`, by gate.
    pub admit: BTreeMap<String, ProbeStubs>,
    /// Decisions of people; those about one step in their order.
    pub decide: Vec<CaseDecision>,
}

/// Answers to something that is asked again and again.
#[derive(Debug, Clone, PartialEq)]
pub enum StubTurns<T> {
    /// The same answer each time.
    Always(T),
    /// One after the other; asked more often, the case fails.
    InTurn(Vec<T>),
}

impl<T> StubTurns<T> {
    /// The answer of a turn, counted from 0.
    #[must_use]
    pub fn at(&self, turn: usize) -> Option<&T> {
        match self {
            Self::Always(answer) => Some(answer),
            Self::InTurn(answers) => answers.get(turn),
        }
    }
}

/// What the work of a step gives.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStubs {
    /// Attempt by attempt; each item of a `foreach` counts its own.
    Attempts(StubTurns<StepStub>),
    /// By item of a `foreach`.
    Items(Vec<StubTurns<StepStub>>),
}

/// What one attempt of a step's work gives.
#[derive(Debug, Clone, PartialEq)]
pub struct StepStub {
    /// How it ends.
    pub result: StubResult,
    /// How long it works.
    pub takes: Duration,
    /// What it uses up.
    pub usage: Vec<StubUsage>,
    /// Texts of the files that it leaves, by their names in `outputs`; others that the step declares are left empty.
    pub files: BTreeMap<String, String>,
}

/// How an attempt of a step's work ends.
#[derive(Debug, Clone, PartialEq)]
pub enum StubResult {
    /// Well, with this output.
    Output(Value),
    /// It fails.
    Fail(StubFailure),
    /// It asks people: `{text, options, items}`.
    Ask(Value),
    /// It vanishes without a record, for this reason.
    Lost(String),
    /// The child run really runs, with stubs of its own.
    Run(Box<CaseStubs>),
}

/// A failure of stubbed work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StubFailure {
    /// Its kind.
    pub kind: FailureKind,
    /// A code below that.
    pub code: Option<String>,
    /// What happened.
    pub message: String,
}

/// What stubbed work uses up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StubUsage {
    /// The model.
    pub model: Option<String>,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens read from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Money.
    pub cost: Option<Money>,
}

/// What the probe of a gate finds.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeStubs {
    /// Probe by probe, over all rounds.
    Probes(StubTurns<ProbeStub>),
    /// Of a gate with several probes: by their places, indexes from the outermost list on.
    Members(BTreeMap<Vec<usize>, StubTurns<ProbeStub>>),
}

/// What one probe finds.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeStub {
    /// Evidence that passes by the probe's own policy.
    Pass,
    /// Evidence that fails by the probe's own policy.
    Fail,
    /// Evidence that is pending by the probe's own policy.
    Pending,
    /// This evidence, beside the parameters of the probe.
    Evidence(Value),
    /// No evidence, for this reason.
    Unavailable(String),
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseDecision {
    /// The step that asks, or an item of it.
    pub task: StepPath,
    /// What is decided.
    pub kind: CaseDecisionKind,
    /// The user who decides.
    pub by: String,
    /// The user's roles.
    pub roles: Vec<String>,
    /// How long after the step asked.
    pub after: Duration,
    /// The code of the refusal that is expected.
    pub refused: Option<String>,
    /// Its line, from 1.
    pub line: usize,
}

/// What is decided about a task.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseDecisionKind {
    /// A vote on an approval.
    Vote {
        /// The vote.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// What takes the place of the value that may be edited.
        value: Option<Value>,
    },
    /// The answer to a question: `{choice?, text?, items?, states?}`.
    Answer(Value),
    /// A decision on a blocked step.
    Unblock {
        /// What to do.
        decision: UnblockDecision,
        /// The output that `proceed` gives the step.
        output: Option<Value>,
        /// Why.
        reason: Option<String>,
    },
}

impl CaseDecisionKind {
    /// The word by which the command line decides so.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Vote { vote: Vote::Approve, .. } => "approve",
            Self::Vote { vote: Vote::Reject, .. } => "reject",
            Self::Vote { vote: Vote::Changes, .. } => "changes",
            Self::Answer(_) => "answer",
            Self::Unblock { .. } => "unblock",
        }
    }
}

/// A signal that is sent to the run.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSignal {
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: Value,
    /// How long after the start, or after the step first began.
    pub after: Duration,
    /// The step from whose first begin `after` counts.
    pub at: Option<StepId>,
    /// The user who sends it.
    pub by: String,
    /// The source of deliveries that sends it instead of a user, with the name of who is behind it: `plane/ada`.
    pub hook: Option<String>,
    /// The code of the refusal that is expected.
    pub refused: Option<String>,
    /// Its line, from 1.
    pub line: usize,
}

/// What must come of a case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseExpectation {
    /// The run's status.
    pub status: Option<String>,
    /// The code of the refusal of the start.
    pub refused: Option<String>,
    /// How the run failed.
    pub failure: Option<ExpectedFailure>,
    /// The run's output.
    pub output: Option<Value>,
    /// The run's labels.
    pub labels: BTreeMap<String, Value>,
    /// What became of steps.
    pub steps: BTreeMap<StepId, ExpectedStep>,
    /// What gates said last, by step and gate.
    pub gates: BTreeMap<StepId, BTreeMap<String, String>>,
    /// The steps that are blocked, all of them.
    pub blocked: Option<Vec<String>>,
    /// The notices that go out, all of them, in order.
    pub notices: Option<Vec<ExpectedNotice>>,
    /// What the run cost.
    pub cost: Option<Money>,
    /// How long the run took.
    pub took: Option<Duration>,
    /// Events that come in this order; others may come between them.
    pub events: Vec<String>,
}

/// How the run, or a step, must have failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedFailure {
    /// The step that made the run fail.
    pub step: Option<String>,
    /// Its kind.
    pub kind: Option<FailureKind>,
    /// Its code.
    pub code: Option<String>,
    /// Its message.
    pub message: Option<String>,
}

/// What must have become of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedStep {
    /// Its status.
    pub status: Option<String>,
    /// Rounds that ran.
    pub rounds: Option<u32>,
    /// Attempts that were started, over all rounds and items.
    pub attempts: Option<u32>,
    /// The parameters of its work in the last attempt, rendered.
    pub work: Option<Value>,
    /// Its output.
    pub output: Option<Value>,
    /// How it failed.
    pub failure: Option<ExpectedFailure>,
}

/// A notice that must go out.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedNotice {
    /// The notice.
    pub notice: String,
    /// The function that tells.
    pub function: Option<String>,
    /// The type of the event that it reports.
    pub event: Option<String>,
    /// Its parameters.
    pub with: Option<Value>,
}
