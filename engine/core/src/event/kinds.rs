//! The events of a run, each with its number and its fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::declare::{are_names_of, run_events};
use super::former;
use super::parts::{
    AdmissionEvidence, ApprovalTerms, BlockReason, BudgetReading, BudgetRefusal, BudgetTerms, Comment,
    HaltScope, Hearing, Measure, Origin, Parent, QuestionTerms, ReworkSource, ScheduledTask, ScheduledWork,
    SignalEnd, SignalTaker, SkipReason, Spent, StopReason, TimerId, Told, Unblocked, WantedSlot,
};
use super::payload::{self, CodecError};
use crate::artefact::{Artefact, Usage, Workspace};
use crate::policy::Verdict;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, Round, RunId, StepId, StepPath, Version};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;
use everfold_language::definition::{FinishStatus, OnLost, Save, Vote};
use everfold_language::words::EVENT_NAMES;

run_events! {
    /// The run exists. Fact of `start`.
    ///
    /// Then: the run waits for its slots (`RunQueued`), or its workspace is prepared and the first steps begin.
    RunStarted = 1 [former::RunStarted1] {
        /// The run.
        run: RunId,
        /// The pipeline's name.
        pipeline: String,
        /// The pinned definition.
        definition: Hash,
        /// The checked input.
        input: Payload,
        /// For readers.
        title: Option<String>,
        /// Addresses and filters.
        labels: BTreeMap<String, String>,
        /// Where steps without a workspace work: the folder of the one who started it.
        cwd: Option<String>,
        /// Drawn at start; jitter follows from it.
        entropy: u64,
        /// The settings documents, merged: a map by name.
        config: Option<Payload>,
        /// The step of another run that started it.
        parent: Option<Parent>,
        /// Higher goes first where runs wait for a slot.
        priority: i32,
        /// What `admit` was judged on.
        admission: Vec<AdmissionEvidence>,
    }
    /// A step, or an item of one, begins a round.
    ///
    /// Then: the attempt asks the scheduler for a place, and its executor is called.
    StepScheduled = 2 {
        /// The first attempt of the round.
        id: AttemptId,
        /// What is to be done.
        work: ScheduledWork,
    }
    /// The workspace is there, or cannot be had. Fact of `workspace prepared`.
    ///
    /// Then: the steps that waited for the workspace begin; without one the run fails.
    WorkspacePrepared = 3 {
        /// Where it is.
        workspace: Option<Workspace>,
        /// Why it is not.
        failure: Option<Failure>,
    }
    /// The items of a `foreach`.
    ///
    /// Then: items begin, up to `max_in_flight`; without items the step succeeds.
    ItemsExpanded = 4 {
        /// The step.
        step: StepId,
        /// The round.
        round: Round,
        /// The items.
        items: Vec<Payload>,
        /// Items in progress at once.
        max_in_flight: Option<u32>,
    }
    /// Work really began. Fact of `attempt started`.
    ///
    /// Then: time limits count from here.
    AttemptStarted = 5 {
        /// The attempt.
        id: AttemptId,
    }
    /// Work ended well. Fact of `attempt finished`.
    ///
    /// Then: the gates of the step are judged (`ProbeScheduled`), or the step succeeds.
    AttemptSucceeded = 6 [former::AttemptSucceeded1] {
        /// The attempt.
        id: AttemptId,
        /// What came of it.
        output: Payload,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
        /// What it said beside its output.
        told: Told,
    }
    /// Work failed. Fact of `attempt finished`.
    ///
    /// Then: the step's `retry`, then its routes decide: `RetryScheduled`, `ReworkRequested`, `StepBlocked` or `StepFailed`.
    AttemptFailed = 7 [former::AttemptFailed1, unless is_silent] {
        /// The attempt.
        id: AttemptId,
        /// How.
        failure: Failure,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
        /// What it said beside that it failed.
        #[serde(default, skip_serializing_if = "Told::is_nothing")]
        told: Told,
    }
    /// Work vanished without a record. Fact of `attempt lost`.
    ///
    /// Then: as `fallback` or the step's `on_lost` says: another attempt, or a person.
    AttemptLost = 8 {
        /// The attempt.
        id: AttemptId,
        /// How that is known.
        reason: String,
        /// What follows where the step does not say.
        fallback: OnLost,
    }
    /// Work is to end before its time.
    ///
    /// Then: the executors are asked to end the attempts; each reports its end.
    StopRequested = 9 {
        /// The attempts.
        ids: Vec<AttemptId>,
        /// Why.
        reason: StopReason,
    }
    /// The round goes on with another attempt.
    ///
    /// Then: at `at` the attempt asks the scheduler for a place.
    RetryScheduled = 10 {
        /// The next attempt.
        id: AttemptId,
        /// Not before.
        at: Timestamp,
        /// What is to be done, where it is not what the round was scheduled with.
        task: Option<ScheduledTask>,
    }
    /// A step ended well.
    ///
    /// Then: steps that need it begin where all they need has ended.
    StepSucceeded = 11 {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
        /// Added to the run's labels.
        labels: BTreeMap<String, String>,
        /// A `finish` route ends the run with it.
        finish: Option<FinishStatus>,
    }
    /// A step did not apply, or was passed over.
    ///
    /// Then: steps that need it begin or are skipped, as their `join` says.
    StepSkipped = 12 {
        /// The step.
        path: StepPath,
        /// The round; the former one where no round began.
        round: Round,
        /// Why.
        reason: SkipReason,
    }
    /// A step failed for good.
    ///
    /// Then: the run fails, unless the step's routes let it go on.
    StepFailed = 13 {
        /// The step, or an item of it.
        path: StepPath,
        /// The round.
        round: Round,
        /// How.
        failure: Failure,
        /// The run goes on as if it had succeeded without output.
        tolerated: bool,
        /// A `finish` route ends the run with it.
        finish: Option<FinishStatus>,
    }
    /// A step cannot go on without a person.
    ///
    /// Then: a person decides (`RunUnblocked`); the other steps go on.
    StepBlocked = 14 {
        /// The step, or an item of it.
        path: StepPath,
        /// The round.
        round: Round,
        /// Why, and what `retry` would do.
        reason: BlockReason,
        /// What happened, in one line.
        message: String,
    }
    /// A step was ended with its run.
    ///
    /// Then: nothing of this step; the run ends when all its steps have.
    StepCancelled = 15 {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
    }
    /// A gate is to be judged on evidence.
    ///
    /// Then: the prober collects evidence and reports it.
    ProbeScheduled = 16 {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of its first probe; polls go on counting.
        probe_no: u32,
        /// The prober.
        kind: String,
        /// Its parameters, rendered: `{spec, env}`.
        task: Payload,
    }
    /// A gate was judged. Fact of `probe finished`, where it is the first of its batch.
    ///
    /// Then: the next gate, the success of the step, or the route of the verdict.
    GateEvaluated = 17 {
        /// The attempt that was judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe; 0 where none was needed.
        probe_no: u32,
        /// What was found.
        evidence: Payload,
        /// The policy: a CEL text, or `default:KIND`.
        policy: String,
        /// BLAKE3 of that text.
        policy_hash: Hash,
        /// The version of the evaluator.
        evaluator: u32,
        /// What it says.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// What a rework is told; `None`: reason and evidence.
        findings: Option<Payload>,
        /// How long the probe took.
        took_ms: u64,
        /// The gate's own code.
        code: Option<String>,
        /// It failed, and its route says `continue`: a warning, and on to the next gate.
        tolerated: bool,
    }
    /// Evidence could not be had. Fact of `probe failed`.
    ///
    /// Then: the probe is tried again, or its failure is the verdict.
    ProbeFailed = 18 [former::ProbeFailed1, unless is_sound] {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What happened.
        message: String,
        /// Asking again cannot help.
        permanent: bool,
        /// How long the probe took.
        took_ms: u64,
        /// The gate itself cannot be judged: an expression of it failed, its policy for example.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        broken: bool,
    }
    /// A step and all that depends on it go into their next round.
    ///
    /// Then: the step and its dependants begin again (`StepScheduled`), with the findings.
    ReworkRequested = 19 [former::ReworkRequested1] {
        /// The step that begins again.
        target: StepId,
        /// What led to it.
        source: ReworkSource,
        /// Which route, as `STEP/PLACE/INDEX`.
        route: String,
        /// The uses of that route, this one included.
        used: u32,
        /// How many are allowed; fixed at the first use.
        max: Option<u32>,
        /// What the target is told.
        findings: Payload,
        /// The target and its dependants, in the order of the file.
        reset: Vec<StepId>,
        /// The new round waits for a person.
        hold: bool,
    }
    /// People are asked.
    ///
    /// Then: the task is in the inbox until votes suffice, time is up or the step ends.
    ApprovalRequested = 20 [former::ApprovalRequested1] {
        /// The task.
        id: AttemptId,
        /// What is asked.
        title: String,
        /// What is shown: a list of texts and paths.
        show: Payload,
        /// Who may answer, and what decides.
        terms: ApprovalTerms,
        /// The value that an approver may replace.
        edit: Option<Payload>,
    }
    /// Someone voted. Fact of `vote`.
    ///
    /// Then: `ApprovalDecided` where the votes suffice.
    VoteCast = 21 [former::VoteCast1] {
        /// The task.
        id: AttemptId,
        /// What was said.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// The voter's roles at that time.
        roles: Vec<String>,
        /// Remarks on what was shown.
        comments: Vec<Comment>,
        /// What the approver put in the place of the shown value.
        edited: Option<Payload>,
    }
    /// The votes suffice.
    ///
    /// Then: the step succeeds, or its `on_reject` or `on_changes` route is taken.
    ApprovalDecided = 22 {
        /// The task.
        id: AttemptId,
        /// What they say.
        decision: Vote,
        /// Whose votes made it.
        by: Vec<String>,
        /// Their comments, joined.
        comment: Option<String>,
    }
    /// Time is to pass.
    ///
    /// Then: the shard keeps the time and sends `timer fired`.
    TimerSet = 23 {
        /// Which timer.
        timer: TimerId,
        /// When it is due.
        at: Timestamp,
    }
    /// Time has passed. Fact of `timer fired`.
    ///
    /// Then: what the timer was set for: a poll, a time limit, a reminder, a retry.
    TimerFired = 24 {
        /// Which timer.
        timer: TimerId,
        /// When it was due.
        due: Timestamp,
    }
    /// Something was used up. Fact of `usage`.
    ///
    /// Then: the budgets count it; `BudgetExceeded` where one is used up.
    UsageRecorded = 25 {
        /// By whom.
        id: AttemptId,
        /// The number of the report within the attempt, 1-based.
        seq: u32,
        /// What.
        usage: Usage,
    }
    /// Nothing more is started. Fact of `pause`.
    ///
    /// Then: work in progress goes on to its end; nothing new begins before `RunResumed`.
    RunPaused = 26 {
        /// Why.
        reason: Option<String>,
    }
    /// The pause is over. Fact of `resume`.
    ///
    /// Then: what waited begins.
    RunResumed = 27 {
        /// Why.
        reason: Option<String>,
    }
    /// A person decided on a blocked step. Fact of `unblock`.
    ///
    /// Then: as decided: the step goes on, is judged again, passes, or fails.
    RunUnblocked = 28 [former::RunUnblocked1] {
        /// What was decided.
        unblocked: Unblocked,
    }
    /// The run is to end. Fact of `cancel`.
    ///
    /// Then: attempts are stopped (`StopRequested`), `on_finish` steps run, then `RunCancelled`.
    CancelRequested = 29 {
        /// Why.
        reason: Option<String>,
    }
    /// The run was cancelled.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunCancelled = 30 {
    }
    /// The run ended well.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunSucceeded = 31 {
        /// Its result.
        output: Payload,
    }
    /// The run failed.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunFailed = 32 {
        /// The step that made it fail.
        path: Option<StepPath>,
        /// How.
        failure: Failure,
    }
    /// What was left undone is gone on with. Fact of `advance`.
    ///
    /// Then: whatever the state lists as due and not done.
    Advanced = 33 {
    }
    /// Someone left a note. Fact of `note`.
    ///
    /// Then: nothing.
    NoteAdded = 34 {
        /// What it says.
        text: String,
    }
    /// The run waits for slots; nothing begins before it is admitted.
    ///
    /// Then: the slot allocator is asked; `RunAdmitted` when all slots are held.
    RunQueued = 35 {
        /// Which ones, in the order in which they are taken.
        slots: Vec<WantedSlot>,
    }
    /// The run holds all its slots. Fact of `admitted`.
    ///
    /// Then: the workspace is prepared and the first steps begin.
    RunAdmitted = 36 [former::RunAdmitted1, unless has_waited] {
        /// What `admit` was judged on at this moment.
        admission: Vec<AdmissionEvidence>,
        /// It waited for nothing since it started: what `admit` said then is true still.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
    }
    /// A child run is durably started. Fact of `attempt started`, where the work is a run.
    ///
    /// Then: the attempt waits for the child's end, where the step waits.
    ChildStarted = 37 {
        /// The attempt.
        id: AttemptId,
        /// The run.
        child: RunId,
    }
    /// A child run ended. Fact of `attempt finished`, where the work is a run.
    ///
    /// Then: as after any attempt: gates, success, or the route of a failure.
    ChildFinished = 38 [former::ChildFinished1, unless has_no_commit] {
        /// The attempt.
        id: AttemptId,
        /// The run.
        child: RunId,
        /// The step's output: the child's, or `{run}` where it is not waited for.
        output: Payload,
        /// Why the step's work failed, if it did.
        failure: Option<Failure>,
        /// When the child ended.
        ended_at: Timestamp,
        /// The head of the worktree that it shared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    }
    /// People are asked for an answer.
    ///
    /// Then: the task is in the inbox until it is answered, time is up or the step ends.
    QuestionAsked = 39 {
        /// The task.
        id: AttemptId,
        /// What is asked, in one line.
        title: String,
        /// What is asked, in full.
        text: Option<Payload>,
        /// What an answer may be, and of whom.
        terms: QuestionTerms,
    }
    /// Someone saved a part of an answer. Fact of `save answer`.
    ///
    /// Then: nothing; the parts are shown with the task.
    AnswerSaved = 40 {
        /// The task.
        id: AttemptId,
        /// `{choice?, text?, items?}`.
        answer: Payload,
        /// Their roles at that time.
        roles: Vec<String>,
    }
    /// Someone answered. Fact of `answer`.
    ///
    /// Then: the answer is the step's output, or goes to the attempt that asked.
    QuestionAnswered = 41 {
        /// The task.
        id: AttemptId,
        /// `{choice, text, items, by}`.
        answer: Payload,
        /// Their roles at that time.
        roles: Vec<String>,
    }
    /// Work ended with a question to people. Fact of `attempt finished`.
    ///
    /// Then: `QuestionAsked`; the answer begins another attempt.
    AttemptAsked = 42 {
        /// The attempt.
        id: AttemptId,
        /// What it asks: `{text, options, items}`.
        ask: Payload,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// When the work itself ended.
        ended_at: Timestamp,
        /// What it said besides.
        told: Told,
    }
    /// A signal came. Fact of `signal`.
    ///
    /// Then: `SignalTaken` by each step, wait or gate that listens; it may be kept for later ones.
    SignalReceived = 43 {
        /// Its name.
        name: String,
        /// What it says.
        payload: Payload,
        /// The delivery that it came with; a repeated one is no news.
        delivery: Option<String>,
    }
    /// A signal was heard.
    ///
    /// Then: the wait ends, the route of `on_signal` is taken, or the gate is judged.
    SignalTaken = 44 {
        /// The version of its `SignalReceived`.
        signal: Version,
        /// By whom.
        by: SignalTaker,
        /// What became of it there.
        how: Hearing,
        /// Its route ends the run.
        ends: Option<SignalEnd>,
    }
    /// All gates of a step are judged again on the same artefacts. Fact of `recheck`.
    ///
    /// Then: `ProbeScheduled` for every gate of the step.
    RecheckRequested = 45 {
        /// The step.
        path: StepPath,
        /// Policies that judge instead of the pipeline's, by gate.
        policies: BTreeMap<String, String>,
        /// Why.
        reason: Option<String>,
    }
    /// A step is to end as cancelled. Fact of `cancel step`.
    ///
    /// Then: its attempts are stopped, then `StepCancelled`.
    StepCancelRequested = 46 {
        /// The step, or an item of it.
        path: StepPath,
        /// Why.
        reason: Option<String>,
    }
    /// These steps are not begun before a person says so. Fact of `breakpoints`.
    ///
    /// Then: nothing before such a step would begin.
    BreakpointsSet = 47 {
        /// The steps; former ones that are not among them are taken away.
        steps: Vec<StepId>,
    }
    /// A step with a breakpoint would begin; the run is paused.
    ///
    /// Then: the run stands until `RunResumed`.
    BreakpointHit = 48 {
        /// The step.
        path: StepPath,
    }
    /// The budgets of the run, rendered; from here on they count.
    ///
    /// Then: nothing; later use counts towards them.
    BudgetsOpened = 49 {
        /// In the order of the file.
        budgets: Vec<BudgetTerms>,
    }
    /// Paid work must wait, is stopped, or makes the run fail: a budget is used up.
    ///
    /// Then: paid work waits, work in progress is stopped, or the run fails, as the budget's terms say.
    BudgetExceeded = 50 {
        /// How full it is, and until when.
        reading: BudgetReading,
        /// What of it is used up.
        measure: Measure,
        /// The attempt that would have started, if it was one.
        id: Option<AttemptId>,
    }
    /// Somebody raised a budget. Fact of `raise budget`.
    ///
    /// Then: paid work that waited asks again.
    BudgetRaised = 51 {
        /// Which.
        budget: String,
        /// By how much.
        add: Spent,
        /// Why.
        reason: Option<String>,
    }
    /// The history before this is another run's; from here on this run goes its own way. Fact of `fork`.
    ///
    /// Then: what was in progress in the origin begins anew in this run.
    RunForked = 52 [former::RunForked1] {
        /// This run.
        run: RunId,
        /// Whose history it is, and up to where.
        origin: Origin,
        /// The definition from here on.
        definition: Hash,
        /// The input from here on.
        input: Payload,
        /// The settings from here on.
        config: Option<Payload>,
        /// The step that begins anew with all that depends on it; `None`: only what was in progress.
        from_step: Option<StepId>,
        /// Steps that begin anew, in the order of the file.
        reset: Vec<StepId>,
        /// For readers.
        title: Option<String>,
        /// Drawn at this moment; jitter follows from it.
        entropy: u64,
        /// The run pauses before this step, as at a breakpoint.
        until_step: Option<StepId>,
    }
    /// Somebody is to be told of an event.
    ///
    /// Then: the notifier sends it; `NoticeSent` or `NoticeFailed`.
    NoticeQueued = 53 [former::NoticeQueued1, unless replaces_none] {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// The function that tells.
        function: String,
        /// Notices of one channel go one after the other.
        channel: String,
        /// Its parameters, rendered: `{with, as}`.
        with: Payload,
        /// Those of the same notice that stand unsent in its channel are not sent: this one takes their place.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replaces: bool,
    }
    /// Somebody was told. Fact of `notice finished`.
    ///
    /// Then: nothing.
    NoticeSent = 54 {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// Tries, this one included.
        tries: u32,
    }
    /// Nobody was told: it failed for good, or a newer notice took its place. Fact of `notice finished`.
    ///
    /// Then: the notice is listed for a person, who may send it again.
    NoticeFailed = 55 {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// Tries in all.
        tries: u32,
        /// Why.
        message: String,
    }
    /// A child run that nobody waited for has ended with its cancelled parent. Fact of `attempt finished`.
    ///
    /// Then: the run ends when all its children have.
    ChildStopped = 72 {
        /// The attempt that started it, and had ended then.
        id: AttemptId,
        /// When it was over.
        ended_at: Timestamp,
    }
    /// Nothing more is started, because the run's pipeline or the whole engine is paused. Fact of `halt`.
    ///
    /// Then: work in progress goes on to its end; nothing new begins before `RunReleased`.
    RunHalted = 60 {
        /// What is paused.
        scope: HaltScope,
        /// Why.
        reason: Option<String>,
    }
    /// What was paused goes on. Fact of `release`.
    ///
    /// Then: what waited begins.
    RunReleased = 61 {
        /// What was paused.
        scope: HaltScope,
    }
    /// Paid work is about to start. Fact of `funds wanted`.
    ///
    /// Then: the budget allocator is asked, where budgets are shared; otherwise `FundsGranted` or `BudgetExceeded`.
    FundsRequested = 62 {
        /// The attempt.
        id: AttemptId,
    }
    /// Paid work may start: every budget has room for it, or it is exempt.
    ///
    /// Then: the attempt asks the scheduler for a place.
    FundsGranted = 63 {
        /// The attempt.
        id: AttemptId,
        /// It starts whatever the budgets say, and counts towards none.
        exempt: bool,
    }
    /// A period of a budget of this run alone begins.
    ///
    /// Then: the budget counts from 0; paid work that waited asks again.
    BudgetPeriodBegan = 64 {
        /// Which budget.
        budget: String,
        /// When it began.
        from: Timestamp,
        /// When the next one begins.
        until: Timestamp,
    }
    /// The counters that the run shares with others said whether there is room. Fact of `funds answered`.
    ///
    /// Then: `FundsGranted`, or `BudgetExceeded`.
    FundsAnswered = 65 {
        /// The attempt.
        id: AttemptId,
        /// The budget that has none.
        refused: Option<BudgetRefusal>,
        /// How full each is.
        readings: Vec<BudgetReading>,
    }
    /// The counters that the run shares with others know of a use or a raise. Fact of `spend reported`.
    ///
    /// Then: `BudgetExceeded` where a budget is used up.
    SpendReported = 66 {
        /// The version of the event that it followed from.
        version: Version,
        /// How full each is now.
        readings: Vec<BudgetReading>,
    }
    /// The attempt begins on the worktree as it was when its round began.
    ///
    /// Then: the attempt begins.
    WorktreeReset = 67 {
        /// The attempt.
        id: AttemptId,
        /// The worktree's commit then.
        commit: String,
    }
    /// The run works where the run works that started it. Fact of `workspace shared`.
    ///
    /// Then: the steps that waited for the workspace begin.
    WorkspaceShared = 68 {
        /// Where that is, and its head at this moment.
        workspace: Workspace,
        /// Whose it is.
        owner: RunId,
        /// Whether leftovers are committed there after each attempt.
        save: Save,
        /// The author of such commits; `None`: the settings'.
        author: Option<String>,
    }
    /// The machine's clock says less than what was recorded before: it was ahead then, or is behind now. Spans
    /// count from what it says. Fact of `clock read`.
    ///
    /// Then: timers are set anew by what the clock says.
    ClockRead = 69 {
        /// What it says.
        clock: Timestamp,
    }
    /// The run is given up where it stands: it could not be gone on with. Fact of `abandon`.
    ///
    /// Then: `RunCancelled`, in the same batch; nothing of the run is stopped or tidied away.
    RunAbandoned = 70 {
        /// Why.
        reason: Option<String>,
    }
    /// The run has ended, and its workspace is gone. Fact of `workspace removed`.
    ///
    /// Then: nothing.
    WorkspaceRemoved = 71 {
        /// Where it was.
        path: String,
    }
}

impl RunEvent {
    /// Whether an event of this kind is the last of its run.
    #[must_use]
    pub fn ends_run(kind: u16) -> bool {
        matches!(Self::name_of(kind), Some("RunSucceeded" | "RunFailed" | "RunCancelled"))
    }
}

const _: () =
    assert!(are_names_of(RunEvent::KINDS, EVENT_NAMES), "`words::EVENT_NAMES` lists the kinds in order");
