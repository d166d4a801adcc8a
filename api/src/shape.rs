//! The shapes of answers that other crates own, as the OpenAPI document tells them.
//!
//! Law: each says what its type writes; the pure core knows no document, so they stand here, and a test holds
//! real answers against them. Nothing is ever made of them.
#![allow(dead_code, reason = "they are read by their derive alone")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A run's id: a UUID.
#[derive(ToSchema, Serialize)]
#[schema(example = "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10")]
pub(crate) struct RunId(String);

/// A time in RFC 3339, UTC.
#[derive(ToSchema, Serialize)]
#[schema(format = DateTime, example = "2026-11-20T10:00:00.000Z")]
pub(crate) struct Time(String);

/// A BLAKE3 hash in hexadecimal digits.
#[derive(ToSchema, Serialize)]
#[schema(example = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
pub(crate) struct Hash(String);

/// A step by its id, or an item of it.
#[derive(ToSchema, Serialize)]
pub(crate) struct StepPath {
    /// The step.
    step: String,
    /// The item of a `foreach`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<u32>,
}

/// An attempt of a step.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptId {
    path: StepPath,
    round: u32,
    attempt: u32,
}

/// What a run is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    Queued,
    Running,
    Waiting,
    Paused,
    Blocked,
    Succeeded,
    Failed,
    Cancelled,
}

/// One of the events that a stream consists of; comments come between them.
#[derive(ToSchema, Serialize)]
#[schema(example = json!({"id": "0190b3a27c1e7a44-12", "event": "event", "data": "{}"}))]
pub(crate) struct StreamEvent {
    /// Where it stands: as `Last-Event-ID` it goes on behind that.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What it is.
    event: String,
    /// JSON in one line.
    data: String,
}

/// How a blocked step goes on.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unblocking {
    Retry,
    Recheck,
    Proceed,
    Skip,
    Fail,
}

/// What is said to an approval.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Voting {
    Approve,
    Reject,
    Changes,
}

/// Money in US dollars, with at most six decimal places: a text, or a number.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[schema(example = "2.00")]
pub(crate) enum Amount {
    Text(String),
    Number(f64),
}

/// What a step is doing.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepStatus {
    Pending,
    Scheduled,
    Running,
    Gating,
    Waiting,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
    Blocked,
}

/// The kind of a failure.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    Error,
    Exit,
    Crash,
    Timeout,
    Lost,
    Spawn,
    Validation,
    Gate,
    Rejected,
    Budget,
    Cancelled,
    Dependency,
    Conflict,
}

/// What a gate says.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Pending,
    Skipped,
}

/// Why a step is blocked.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BlockReason {
    /// An attempt vanished, and it is not known what it did.
    Lost,
    /// The work failed.
    Failed,
    /// A gate failed.
    Gate { gate: String },
    /// A rework was asked for more often than it may be.
    UsedUp { target: String, gate: Option<String> },
    /// A gate's evidence did not come.
    NoEvidence { gate: String },
    /// A person rejected.
    Rejected,
    /// A rework holds before it.
    Held,
    /// A gate failed on the evidence of its last failure.
    Unchanged { target: String, gate: String },
    /// The work asked more often than it may.
    Asked,
    /// The route of a signal says so.
    Signal { name: String },
}

/// The run whose history another one began with.
#[derive(ToSchema, Serialize)]
pub(crate) struct Origin {
    run: RunId,
    /// Its last version that was copied.
    version: u64,
    how: OriginKind,
}

/// What was done with a run whose history was copied.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OriginKind {
    Fork,
    Retry,
    Restart,
}

/// A slot or key that a run waits for or holds.
#[derive(ToSchema, Serialize)]
pub(crate) struct WantedSlot {
    key: String,
    /// `{"identity": {release, on_taken}}` or `{"concurrency": {limit, on_limit}}`.
    #[schema(value_type = Object)]
    kind: Value,
}

/// A run's workspace.
#[derive(ToSchema, Serialize)]
pub(crate) struct Workspace {
    /// The folder; absolute.
    path: String,
    repository: Option<String>,
    branch: Option<String>,
    /// The branch it started from.
    base: Option<String>,
    /// The commit it started from.
    commit: Option<String>,
}

/// Over which time a budget counts.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    Total,
    Day,
    Week,
    Month,
}

/// What follows when a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnOver {
    Pause,
    Fail,
    Stop,
}

/// What of a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    Cost,
    Tokens,
    Wall,
}

/// An attempt or probe that waits in line.
#[derive(ToSchema, Serialize)]
pub(crate) struct Waiting {
    attempt: AttemptId,
    /// The gate, where a probe waits.
    gate: Option<String>,
    since: Time,
    priority: i32,
    /// For what, the most telling first.
    reasons: Vec<WaitReason>,
}

/// What an attempt waits for.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum WaitReason {
    /// A resource.
    Resource { name: String, in_use: usize, size: usize, line: usize },
    /// A resource that the settings do not name.
    Unknown { name: String },
    /// A resource that is given to nobody until it is known what the living work of all runs holds: `run` cannot be read.
    Withheld { name: String, run: Option<RunId> },
    /// A place among all work in progress.
    Place { name: String, in_use: usize, size: usize, line: usize },
    /// The next start of a rate.
    Rate { service: String, next: Time, starts: u32, per: String },
    /// A breaker that is open.
    Breaker { service: String, since: Time, next: Time, last: Option<String> },
}

/// All slots, rates and breakers.
#[derive(ToSchema, Serialize)]
pub(crate) struct LimitsAnswer {
    /// Between whom places are shared out evenly.
    fair_by: String,
    places: Vec<PoolView>,
    resources: Vec<PoolView>,
    rates: Vec<RateView>,
    breakers: Vec<BreakerView>,
    /// The newest resets, newest first.
    resets: Vec<Reset>,
}

/// A breaker that a person closed.
#[derive(ToSchema, Serialize)]
pub(crate) struct Reset {
    /// `KIND.NAME`.
    service: String,
    /// Outages in a row that it had counted.
    failures: u32,
    reason: Option<String>,
    /// Who.
    by: String,
    at: Time,
}

/// Something of which there are so many.
#[derive(ToSchema, Serialize)]
pub(crate) struct PoolView {
    name: String,
    size: usize,
    in_use: usize,
    waiting: usize,
}

/// How often attempts may start.
#[derive(ToSchema, Serialize)]
pub(crate) struct RateView {
    /// `KIND.NAME`.
    service: String,
    starts: u32,
    per: String,
    burst: u32,
    left: u32,
    /// Null: now.
    next: Option<Time>,
    waiting: usize,
}

/// How a breaker stands.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerStand {
    Closed,
    Open,
    HalfOpen,
}

/// A breaker.
#[derive(ToSchema, Serialize)]
pub(crate) struct BreakerView {
    /// `KIND.NAME`.
    service: String,
    state: BreakerStand,
    /// Outages in a row.
    failures: u32,
    failures_max: u32,
    since: Option<Time>,
    next: Option<Time>,
    last: Option<String>,
    last_at: Option<Time>,
    waiting: usize,
}

/// What the holder of a token may do.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Viewer,
    Approver,
    Operator,
    Worker,
    Admin,
}

/// A token, without its text.
#[derive(ToSchema, Serialize)]
pub(crate) struct Token {
    name: String,
    role: Role,
    /// The approval roles it decides in.
    approves: Vec<String>,
    created_at: Time,
    created_by: String,
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
}

/// A run as lists show it.
#[derive(ToSchema, Serialize)]
pub(crate) struct RunRow {
    id: RunId,
    /// The last 8 digits of the id.
    short_id: String,
    pipeline: String,
    title: Option<String>,
    started_by: String,
    started_at: Time,
    status: RunStatus,
    /// Since when it has been doing that at these steps.
    moved_at: Time,
    /// The steps that something goes on in, or that wait for people.
    steps: Vec<String>,
    /// How it failed, in one line.
    failure: Option<String>,
    /// Why it stands still, where somebody said so.
    paused: Option<String>,
    labels: BTreeMap<String, String>,
    /// Whom it waits for.
    awaits: Vec<Awaits>,
    ended_at: Option<Time>,
    /// US dollars, as a decimal.
    #[schema(example = "0.25")]
    cost: String,
    /// Tokens read and written, those from a cache left out.
    tokens: u64,
    updated_at: Time,
    /// Its last version.
    version: u64,
    /// The place of its first event in the store: the order of the list.
    position: u64,
    /// The position since which the row holds.
    since: u64,
    /// The run that started it.
    parent: Option<RunId>,
    origin: Option<Origin>,
}

/// Somebody whom a run waits for.
#[derive(ToSchema, Serialize)]
pub(crate) struct Awaits {
    /// The step, or an item of it.
    step: String,
    /// `approval`, `question` or `unblock`.
    what: String,
    /// Who may; empty: anyone.
    roles: Vec<String>,
}

/// The board, and the position that it is of.
#[derive(ToSchema, Serialize)]
pub(crate) struct Board {
    position: u64,
    group_by: GroupBy,
    columns: Vec<Column>,
}

/// What makes a column.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupBy {
    Status,
    Stage,
}

/// A column of the board.
#[derive(ToSchema, Serialize)]
pub(crate) struct Column {
    name: String,
    /// Steps are in progress in it: its name is a stage or a step, not a status.
    is_step: bool,
    /// How many runs are in it.
    count: u64,
    /// The newest of them.
    cards: Vec<Card>,
}

/// A run on the board.
#[derive(ToSchema, Serialize)]
pub(crate) struct Card {
    id: RunId,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    status: RunStatus,
    steps: Vec<String>,
    awaits: Vec<Awaits>,
    note: Option<String>,
    started_at: Time,
    moved_at: Time,
    ended_at: Option<Time>,
    /// US dollars, as a decimal.
    cost: String,
}

/// How many runs there are.
#[derive(ToSchema, Serialize)]
pub(crate) struct Stats {
    position: u64,
    total: u64,
    by_status: BTreeMap<String, u64>,
    /// What people are asked now.
    open_tasks: u64,
}

/// The read models.
#[derive(ToSchema, Serialize)]
pub(crate) struct Projections {
    /// The end of the log.
    head: u64,
    /// Whether they have reached it since they were opened.
    ready: bool,
    /// Their files, in bytes; null in memory.
    size_bytes: Option<u64>,
    items: Vec<ModelStatus>,
}

/// A read model.
#[derive(ToSchema, Serialize)]
pub(crate) struct ModelStatus {
    name: String,
    /// The version of its data's form.
    schema: u32,
    /// The last event that is folded.
    position: u64,
    /// Events of the log that are not folded yet.
    lag: u64,
    /// Up to where a crash would lose nothing of it.
    checkpoint: u64,
    /// Why it goes no further.
    stopped: Option<Stopped>,
    /// How far it has been built anew, where that is going on.
    rebuilding: Option<u64>,
}

/// Why a read model went no further.
#[derive(ToSchema, Serialize)]
pub(crate) struct Stopped {
    run: Option<RunId>,
    position: u64,
    what: String,
}

/// A verdict with its run.
#[derive(ToSchema, Serialize)]
pub(crate) struct RunDecision {
    run: RunId,
    short_id: String,
    version: u64,
    position: u64,
    at: Time,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKind,
}

/// One attempt with its times.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptRow {
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    /// The executor; empty where it is not told again.
    kind: String,
    scheduled_at: Time,
    started_at: Option<Time>,
    end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(ToSchema, Serialize)]
pub(crate) struct AttemptEnd {
    at: Time,
    /// Null: well.
    failure: Option<FailureKind>,
    message: Option<String>,
    exit_code: Option<i32>,
}

/// One decision.
#[derive(ToSchema, Serialize)]
pub(crate) struct Decision {
    /// The event's place in its run.
    version: u64,
    /// The event's place in the store.
    position: u64,
    at: Time,
    actor: String,
    step: Option<String>,
    round: Option<u32>,
    #[serde(flatten)]
    kind: DecisionKind,
}

/// What was decided.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum DecisionKind {
    /// A gate was judged.
    Gate {
        gate: String,
        probe_no: u32,
        verdict: Verdict,
        reason: String,
        evidence: Value,
        policy: String,
        policy_hash: Hash,
        evaluator: u32,
        tolerated: bool,
    },
    /// Someone voted.
    Vote { vote: String, comment: Option<String>, comments: Option<Vec<Remark>>, edited: Option<Value> },
    /// Someone answered a question.
    Answer { answer: Value },
    /// Nobody decided or answered in time.
    Expiry { due: Time },
    /// The votes sufficed.
    Approval { decision: String, by: Vec<String>, comment: Option<String> },
    /// A person decided on a blocked step.
    Override { decision: String, reason: Option<String>, policies: Option<BTreeMap<String, String>> },
    /// An operator had a step's gates judged again.
    Recheck { reason: Option<String>, policies: Option<BTreeMap<String, String>> },
    /// A step was sent back.
    Rework { gate: Option<String>, by: Option<String>, used: u32, max: Option<u32> },
    /// Someone cancelled the run, or a step of it.
    Cancel { reason: Option<String> },
}

/// A remark on a place of what was shown.
#[derive(ToSchema, Serialize)]
pub(crate) struct Remark {
    /// Who; of tasks.
    by: Option<String>,
    on: Option<String>,
    shown: Option<String>,
    line: Option<u32>,
    quote: Option<String>,
    text: String,
}

/// One thing that a person is to do.
#[derive(ToSchema, Serialize)]
pub(crate) struct Task {
    /// Names it; safe in a URL.
    #[schema(example = "5e2f8a10:review:1")]
    id: String,
    run: RunId,
    short_id: String,
    pipeline: String,
    run_title: Option<String>,
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    #[serde(flatten)]
    kind: TaskKind,
    since: Time,
    expires_at: Option<Time>,
    /// How often people were reminded.
    reminded: u32,
    /// The place of the event that asked; the order of the list.
    position: u64,
}

/// What a person is to do.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum TaskKind {
    /// Vote.
    Approval {
        title: String,
        /// What is shown.
        show: Value,
        /// BLAKE3 of kept files that are shown, by path.
        shown: BTreeMap<String, String>,
        /// The value that may be replaced, as it stands.
        value: Option<Value>,
        /// Who may vote, and what decides.
        #[schema(value_type = Object)]
        terms: Value,
        votes: BTreeMap<String, String>,
        comments: Vec<Remark>,
    },
    /// Answer.
    Question {
        title: String,
        text: Option<Value>,
        /// Who asks, what an answer may be, and of whom.
        #[schema(value_type = Object)]
        terms: Value,
        draft: Option<Value>,
        saved_by: Option<String>,
    },
    /// Decide on a blocked step.
    Blocked { message: String, reason: BlockReason },
}

/// By what spending is grouped.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpendBy {
    Run,
    Step,
    Role,
    Model,
    Day,
    Pipeline,
}

/// Who took a signal.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignalTaker {
    /// A gate asks at once.
    Gate { id: AttemptId, gate: String },
    /// A `wait` that it ended.
    Wait(AttemptId),
    /// The route of a step.
    Step(AttemptId),
    /// The route of the run.
    Run,
    /// No one.
    Nobody,
}

/// What became of a signal at its taker.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hearing {
    Now,
    Deferred,
    Ignored,
    Kept,
}

/// What the pipeline language says: as its text, or as the map that the text is read as.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
pub(crate) enum Written {
    Text(String),
    Map(BTreeMap<String, Value>),
}

/// A problem of a pipeline file.
#[derive(ToSchema, Serialize)]
pub(crate) struct FileProblem {
    /// `everfold explain CODE` tells more.
    code: String,
    /// `error` or `warning`.
    severity: String,
    message: String,
    hint: Option<String>,
    file: String,
    line: usize,
    column: usize,
    /// Its place in bytes: `{start, end}`.
    #[schema(value_type = Object)]
    span: Value,
    excerpt: String,
    mark: usize,
}

/// One event of a stream.
#[derive(ToSchema, Serialize)]
pub(crate) struct EventLine {
    /// The run.
    run: RunId,
    /// Its place in the run, from 1 without gaps.
    version: u64,
    /// Its place in the store.
    position: u64,
    recorded_at: Time,
    committed_at: Time,
    /// Who caused it: `user:ada`, `token:ci`, `engine`.
    actor: String,
    /// The input it followed from, and the version behind it.
    #[schema(value_type = Object)]
    cause: Value,
    /// The number of its type.
    kind: u16,
    /// The version of that type's shape.
    schema: u16,
    flags: u16,
    /// The hash that chains it to the one before.
    hash: Hash,
    /// `{type, …}`: the fact itself.
    #[schema(value_type = Object, example = json!({"type": "RunSucceeded"}))]
    event: Value,
}

/// Who works for this engine.
#[derive(ToSchema, Serialize)]
pub(crate) struct WorkersAnswer {
    items: Vec<WorkerView>,
    /// The functions that workers do.
    functions: Vec<RemoteView>,
    /// There is no more.
    next_cursor: Option<String>,
}

/// A worker: all that polls with one token.
#[derive(ToSchema, Serialize)]
pub(crate) struct WorkerView {
    /// The actor.
    name: String,
    /// What it does, by its newest poll.
    functions: Vec<String>,
    /// Its polls that wait at this moment.
    polls: usize,
    /// Since when it is known to this engine.
    since: Time,
    /// When it was last heard of.
    seen_at: Time,
    /// The attempts that it holds, the oldest first.
    holds: Vec<HeldView>,
}

/// An attempt that a worker holds.
#[derive(ToSchema, Serialize)]
pub(crate) struct HeldView {
    id: AttemptName,
    run: RunId,
    /// The step, with the item of a `foreach`.
    step: String,
    function: String,
    since: Time,
    /// Until when, unless the worker is heard of.
    lease_until: Time,
    /// Why it is to end.
    stopping: Option<String>,
}

/// A function that workers do.
#[derive(ToSchema, Serialize)]
pub(crate) struct RemoteView {
    name: String,
    summary: String,
    /// Attempts that nobody has fetched.
    waiting: usize,
    /// Polls that wait for it.
    polls: usize,
}

/// An attempt as its worker names it: `RUN:STEP[.ITEM]:ROUND:ATTEMPT`.
#[derive(ToSchema, Serialize)]
#[schema(example = "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10:deploy:1:1")]
pub(crate) struct AttemptName(String);

/// An attempt that a worker is given.
#[derive(ToSchema, Serialize)]
pub(crate) struct Job {
    id: AttemptName,
    /// Proves that it is this worker's.
    lease: String,
    /// Until when it is, unless it is heard of.
    lease_until: Time,
    /// How long it is after each time that it is heard of, in seconds.
    lease_seconds: f64,
    /// What is to be done.
    function: String,
    /// Its parameters.
    with: Value,
    run: RunId,
    /// The step, with the item of a `foreach`.
    step: String,
    /// The visit of the step, from 1.
    round: u32,
    /// The try within the round, from 1.
    attempt: u32,
    /// Equal for every attempt of a round.
    idempotency_key: String,
    /// The time limit, counted from now, in seconds.
    timeout_seconds: Option<f64>,
    /// What the run tells, where the function says that it reads it; else null.
    told: Value,
}

/// What a worker hears when it tells that it is there.
#[derive(ToSchema, Serialize)]
pub(crate) struct Heard {
    /// Until when it holds the attempt.
    lease_until: Time,
    /// The attempt is to end: what it gives does not count any more.
    cancel: bool,
    reason: Option<String>,
}

/// A failure as a worker tells it.
#[derive(ToSchema, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// What happened, in one line.
    message: String,
    #[serde(default)]
    kind: ToldKind,
    /// A code of its own, by which routes and programs tell failures apart.
    #[serde(default)]
    code: Option<String>,
    /// What a person can do next.
    #[serde(default)]
    hint: Option<String>,
    /// More of what happened.
    #[serde(default)]
    detail: Option<String>,
}

/// The kinds of failure that work may tell.
#[derive(ToSchema, Serialize, serde::Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToldKind {
    #[default]
    Error,
    /// What it was given is not what it takes.
    Validation,
    /// Somebody else holds what it needs.
    Conflict,
}

/// What work used up.
#[derive(ToSchema, Serialize)]
pub(crate) struct Usage {
    model: Option<String>,
    /// Tokens read, those from a cache left out.
    input_tokens: u64,
    /// Tokens read from a cache.
    cached_tokens: u64,
    /// Tokens written.
    output_tokens: u64,
    /// Cost in millionths of a US dollar.
    cost_micros: u64,
    /// The agent's own session.
    session: Option<String>,
}
