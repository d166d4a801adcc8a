//! What a pipeline is, after parsing and checking.
//!
//! Law: serialising a [`Definition`] gives its canonical document; reading that document back gives
//! an equal definition. Keys that hold their default are left out, so that a key added later does
//! not change the hash of a pipeline that does not use it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, Template};
use crate::failure::FailureKind;
use crate::id::StepId;
use crate::json::{Hash, Value, canonical};

/// A checked pipeline.
///
/// Every name in it resolves, every expression has compiled, `defaults` are folded into the steps,
/// and `needs` are explicit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name: an id, with `/` allowed.
    pub name: String,
    /// For readers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The JSON Schema of the input; without one anything goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Where the steps work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceSpec>,
    /// Addresses and filters, rendered at start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Template>,
    /// The graph, in the order of the file.
    pub steps: Vec<Step>,
    /// Run one after the other however the run ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_finish: Vec<Step>,
    /// The run's result; null without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// Texts of the files that the pipeline names (prompts, roles), by the path as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What follows from the rest; a clone that is changed finds its own.
    #[serde(skip)]
    pub(crate) derived: Derived,
}

/// What follows from a definition, found once: thousands of runs may be pinned to the same one.
#[derive(Default)]
pub(crate) struct Derived {
    hash: OnceLock<Hash>,
    pub(crate) shape: OnceLock<Arc<crate::state::Shape>>,
}

impl Clone for Derived {
    /// A copy may be changed, so it finds its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived")
    }
}

impl Definition {
    /// The canonical document.
    #[must_use]
    pub fn document(&self) -> String {
        canonical(&serde_json::to_value(self).expect("a definition holds only what JSON can say"))
    }

    /// The pipeline's identity: BLAKE3 of the canonical document.
    #[must_use]
    pub fn hash(&self) -> Hash {
        *self.derived.hash.get_or_init(|| Hash::of(self.document().as_bytes()))
    }
}

/// A node of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// The board's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What must be satisfied before; explicit, also where the file left it to the step above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// How many of `needs`.
    #[serde(default, skip_serializing_if = "Join::is_all")]
    pub join: Join,
    /// Evaluated once per round, when the needs are satisfied; false skips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Started by a rework only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// Rounds in all that ran; refuses automatic reworks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rounds: Option<Setting<u32>>,
    /// The limit of one attempt; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// The limit of one round with everything in it, pauses left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Setting<Span>>,
    /// From SIGTERM to SIGKILL.
    #[serde(default = "grace_default", skip_serializing_if = "is_grace_default")]
    pub grace: Setting<Span>,
    /// How often an attempt is repeated inside a round.
    #[serde(default, skip_serializing_if = "Retry::is_none")]
    pub retry: Retry,
    /// Whether repeating the work does no harm; `None` for the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// What follows when an attempt vanished; `None`: `retry` where idempotent, else `block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lost: Option<OnLost>,
    /// What follows work and gates that passed.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_success: Routes,
    /// What follows work that failed for good, and gates and rejections without an own route;
    /// empty: fail.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_fail: Routes,
    /// Judged in order after the work succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Artefacts to keep, and how the output is read.
    #[serde(default, skip_serializing_if = "Outputs::is_empty")]
    pub outputs: Outputs,
    /// Added to the run when the step succeeds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Template>,
    /// For the process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// Where the work runs.
    #[serde(default, skip_serializing_if = "StepWorkspace::is_run")]
    pub workspace: StepWorkspace,
    /// Resets the worktree before a retry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clean: bool,
    /// One attempt per item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreach: Option<Foreach>,
    /// What it does; `None` for a step with gates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

fn grace_default() -> Setting<Span> {
    Setting::Fixed(Span(Duration::from_secs(10)))
}

fn is_grace_default(grace: &Setting<Span>) -> bool {
    *grace == grace_default()
}

/// A span in the document: text as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::duration::format(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::duration::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A number or a span that stands in the file, or is computed when it is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting<T> {
    /// As written.
    Fixed(T),
    /// A text with `${…}`; its rendered value is read like a written one.
    Computed(Template),
}

/// How many of a step's needs must be satisfied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Every one.
    #[default]
    All,
    /// One that succeeded.
    Any,
}

impl Join {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// How often an attempt is repeated inside a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: Setting<u32>,
    /// The first pause; it doubles up to `backoff_max`, with jitter from the input's entropy.
    pub backoff_min: Span,
    /// The longest pause.
    pub backoff_max: Span,
    /// Failures to retry, by kind or by code; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: Setting::Fixed(1),
            backoff_min: Span(Duration::from_secs(1)),
            backoff_max: Span(Duration::from_secs(60)),
            only: Vec::new(),
        }
    }
}

impl Retry {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a failure of this kind and code is tried again.
    #[must_use]
    pub fn covers(&self, kind: FailureKind, code: Option<&str>) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|only| only == kind.as_str() || Some(only.as_str()) == code)
    }
}

/// What follows when an attempt vanished without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// The next attempt.
    Retry,
    /// A person decides.
    Block,
    /// The failure `lost`.
    Fail,
}

/// One attempt per item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foreach {
    /// Gives the list; evaluated once per round.
    pub items: Template,
    /// The item's name in expressions, besides `item`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub name: Option<String>,
    /// Items in progress at once; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<Setting<u32>>,
    /// Whether other items go on after one failed.
    #[serde(default, skip_serializing_if = "OnItemFailure::is_stop")]
    pub on_failure: OnItemFailure,
}

/// What a failed item means for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnItemFailure {
    /// No further item starts; running ones end.
    #[default]
    Stop,
    /// The others go on.
    Continue,
}

impl OnItemFailure {
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Something that an executor does.
    Task(Task),
    /// People decide.
    Approval(Approval),
    /// Time passes.
    Wait(Wait),
}

/// Work of an executor. The core renders `spec` and hands it on; what it means is the executor's.
///
/// Shapes of `spec` by `kind`:
/// - `command`: `{"shell": TEXT, "vars": {NAME: VALUE}}` or `{"argv": [TEXT]}`. The shell text has
///   each `${…}` of the file replaced by a quoted reference to the variable that holds its value.
/// - `agent`: `{profile?, role?, prompt?, model?, effort?, with?, session, schema?, repair?, on_invalid, args?}`.
/// - `function`: `{name, with}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The executor's name: `command`, `agent`, `function`.
    pub kind: String,
    /// Its parameters, with `${…}`.
    pub spec: Template,
}

impl Task {
    /// A program, run in a supervised process.
    pub const COMMAND: &'static str = "command";
    /// An agent, run in a supervised process.
    pub const AGENT: &'static str = "agent";
    /// A function inside the engine's process.
    pub const FUNCTION: &'static str = "function";
}

/// People decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// What is asked, in one line.
    pub title: Template,
    /// Artefacts and texts to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Template>,
    /// Who may vote; empty: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Approvals needed.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quorum: Setting<u32>,
    /// One rejection decides.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub veto: bool,
    /// Whether the one who started the run may vote.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub self_approval: bool,
    /// Decisions that need a comment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comment: Vec<Vote>,
    /// What follows a rejection; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_reject: Routes,
}

fn one() -> Setting<u32> {
    Setting::Fixed(1)
}

fn is_one(setting: &Setting<u32>) -> bool {
    *setting == one()
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

/// What a person says to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Yes.
    Approve,
    /// No: failure `rejected`.
    Reject,
    /// Do it again, with my comments.
    Changes,
}

/// Time passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// How long.
    #[serde(rename = "for")]
    pub span: Setting<Span>,
}

/// A judgement after the work: a probe collects evidence, a policy judges it, a route follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name, unique in the step.
    pub id: String,
    /// Whether it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The reason given where it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Template>,
    /// What collects the evidence.
    pub probe: Probe,
    /// Judges the evidence; `None`: the probe kind's own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Expr>,
    /// How often and how long it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// A file unchanged since the round's first commit fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// A code of its own for failures and warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What follows a failure; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_fail: Routes,
}

/// What collects the evidence of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// No IO: the value of an expression is the evidence.
    Expression(Expr),
    /// Something that a prober does; the core renders `spec` and hands it on.
    ///
    /// Shapes of `spec` by `kind`:
    /// - `command`: as [`Task`]'s.
    /// - `file`: `{exists | all | glob, min?, in?, json?, yaml?, matches?}`.
    /// - `frontmatter`: `{file, fields, pass, fail, match, from}`.
    /// - `diff`: `{min_files?, max_files?, max_lines?, allow?, deny?}`.
    Task(Task),
}

/// How often a gate asks again while its verdict is pending or its evidence cannot be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// The pause after each answer.
    pub every: Span,
    /// Most probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// The longest time after the first probe.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "for")]
    pub span: Option<Span>,
    /// What follows when it is over; empty: block.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
}

/// What follows: the first route whose `when` holds; none that holds: fail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Whether it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Where it leads.
    pub to: RouteTo,
    /// How often it may be used in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<RouteMax>,
    /// What follows when it is used up; `None`: block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Route>>,
    /// What the reworked step is told, instead of the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Template>,
    /// The new round waits for a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
}

impl Route {
    /// A route without modifiers.
    #[must_use]
    pub fn to(to: RouteTo) -> Self {
        Self { when: None, to, max: None, then: None, findings: None, hold: false }
    }
}

/// How often a route may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteMax {
    /// So many times; fixed at the first use.
    Times(Setting<u32>),
    /// As often as it comes.
    Unlimited,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTo {
    /// For a gate: on to the next one. For work: the step ends failed but tolerated.
    Continue,
    /// The next round of a step, and of all that depends on it.
    Rework(StepId),
    /// A person decides.
    Block,
    /// The run fails.
    Fail {
        /// An own code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// An own message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Template>,
        /// An own hint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Template>,
    },
    /// The run ends now.
    Finish(FinishStatus),
}

/// How a `finish` route ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishStatus {
    /// As a success.
    Succeeded,
    /// As a failure.
    Failed,
    /// As cancelled.
    Cancelled,
}

/// Artefacts that a step leaves, and how its output is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Files to keep, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, OutputFile>,
    /// Reads the output as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<OutputJson>,
    /// Reads fields out of standard output: the first group, else the whole match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matches: BTreeMap<String, String>,
}

impl Outputs {
    /// Whether nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file that a step leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Where, relative to the workspace.
    pub file: Template,
    /// Its absence is no failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// A file that the attempt did not change counts as missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// Where a step's JSON output is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputJson {
    /// Standard output, whole.
    Stdout,
    /// The last JSON value that stands in standard output.
    Lenient,
    /// A file of the workspace.
    File(Template),
}

/// Where the steps of a run work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceSpec {
    /// A worktree of a git repository.
    Git(GitWorkspace),
    /// A folder that is there.
    Dir(Template),
}

/// A worktree per run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GitWorkspace {
    /// The repository's path.
    pub git: Template,
    /// The branch to start from; `None`: the repository's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Template>,
    /// The run's branch; `None`: `everfold/SHORT_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Template>,
    /// What happens to leftovers after each attempt.
    #[serde(default, skip_serializing_if = "Save::is_none")]
    pub save: Save,
    /// The message of such a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Template>,
    /// The author of such a commit, `NAME <EMAIL>`; `None`: the settings'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Template>,
    /// When the worktree stays after the run.
    #[serde(default, skip_serializing_if = "Keep::is_never")]
    pub keep: Keep,
    /// Whether the branch stays; `None`: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_branch: Option<bool>,
}

/// What happens to uncommitted changes after each attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Save {
    /// Nothing.
    #[default]
    None,
    /// They are committed.
    Commit,
    /// They are committed and pushed.
    Push,
}

impl Save {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// When a worktree stays after the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// It goes.
    #[default]
    Never,
    /// It stays when the run did not succeed.
    Failed,
    /// It stays.
    Always,
}

impl Keep {
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// Where one step works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepWorkspace {
    /// In the run's workspace.
    #[default]
    Run,
    /// In none: a folder of its own.
    None,
    /// In a folder that is there.
    Dir(Template),
}

impl StepWorkspace {
    fn is_run(&self) -> bool {
        *self == Self::Run
    }
}
