//! Events of attempts: work of executors, and child runs.

use std::collections::BTreeMap;

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{AttemptHolder, AttemptNotes, ScheduledTask, SearchValue, SpareReason, StopReason};
use crate::artefact::Artefact;
use crate::progress::WorkProgress;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::Payload;
use everfold_base::time::Timestamp;
use everfold_language::definition::OnLost;

event_payloads! {
    /// Work really began, or a worker took it. Fact of `attempt started`.
    ///
    /// Then: time limits count from here. What a worker took may be taken by another one where the first was never
    /// given it: its call for work had ended.
    AttemptStarted [former::AttemptStarted1, unless is_plain]
        then [former::AttemptStarted2, unless has_no_holder]
        then [former::AttemptStarted3, unless has_no_time] {
        /// The attempt.
        id: AttemptId,
        /// When the work itself began, where that is known: a process, by its supervisor. The event is recorded later,
        /// as late as the next engine comes where one ended meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began_at: Option<Timestamp>,
        /// The worker that holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<AttemptHolder>,
    }
    /// Work said how far it is. Fact of `progress`.
    ///
    /// Then: nothing.
    ProgressReported {
        /// The attempt.
        id: AttemptId,
        /// How far it is.
        progress: WorkProgress,
    }
    /// Values that the run is found by: those of the pipeline, in the batch of the start, or what work said of them. Fact of
    /// `search`, where work said it.
    ///
    /// Then: nothing.
    SearchSet {
        /// The attempt that said it; none: the run began with it.
        id: Option<AttemptId>,
        /// By name; null: it has none any more.
        values: BTreeMap<String, Option<SearchValue>>,
    }
    /// Work of a fork is not done: its end is that of the origin, or it is held back. Fact of `spare`.
    ///
    /// Then: its end, by the next input.
    WorkSpared {
        /// The attempt.
        id: AttemptId,
        /// Why, and what stands in for it.
        reason: SpareReason,
    }
    /// Work ended well. Fact of `attempt finished`.
    ///
    /// Then: the gates of the step are judged (`ProbeScheduled`), or the step succeeds.
    AttemptSucceeded [former::AttemptSucceeded1] then [former::AttemptSucceeded2, unless has_neither]
        then [former::AttemptSucceeded3, unless has_no_report]
        then [former::AttemptSucceeded4, unless has_no_log] {
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
        /// What it said beside its output; in `log` the hash and the number of lines of its log, as it was closed, in
        /// `report` the hash of the report of the worker that ended it.
        #[serde(rename = "told")]
        notes: AttemptNotes,
    }
    /// Work failed. Fact of `attempt finished`.
    ///
    /// Then: the step's `retry`, then its routes decide: `RetryScheduled`, `ReworkRequested`, `StepBlocked` or `StepFailed`.
    AttemptFailed [former::AttemptFailed1, unless is_silent] then [former::AttemptFailed2, unless has_neither]
        then [former::AttemptFailed3, unless has_no_report]
        then [former::AttemptFailed4, unless has_no_log] {
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
        /// What it said beside that it failed; `log` and `report` as in `AttemptSucceeded`.
        #[serde(rename = "told", default, skip_serializing_if = "AttemptNotes::is_empty")]
        notes: AttemptNotes,
    }
    /// Work ended with a question to people. Fact of `attempt finished`.
    ///
    /// Then: `QuestionAsked`; the answer begins another attempt.
    AttemptAsked [former::AttemptAsked1, unless has_neither] then [former::AttemptAsked2, unless has_no_report]
        then [former::AttemptAsked3, unless has_no_log] {
        /// The attempt.
        id: AttemptId,
        /// What it asks: `{text, options, items}`.
        ask: Payload,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// When the work itself ended.
        ended_at: Timestamp,
        /// What it said besides; `log` and `report` as in `AttemptSucceeded`.
        #[serde(rename = "told")]
        notes: AttemptNotes,
    }
    /// Work vanished without a record. Fact of `attempt lost`.
    ///
    /// Then: as `fallback` or the step's `on_lost` says: another attempt, or a person.
    AttemptLost {
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
    StopRequested [former::StopRequested1, unless is_no_interrupt] {
        /// The attempts.
        ids: Vec<AttemptId>,
        /// Why.
        reason: StopReason,
    }
    /// The round goes on with another attempt.
    ///
    /// Then: at `at` the attempt asks the scheduler for a place.
    RetryScheduled {
        /// The next attempt.
        id: AttemptId,
        /// Not before.
        at: Timestamp,
        /// What is to be done, where it is not what the round was scheduled with.
        task: Option<ScheduledTask>,
    }
    /// A child run is durably started. Fact of `attempt started`, where the work is a run.
    ///
    /// Then: the attempt waits for the child's end, where the step waits.
    ChildStarted {
        /// The attempt.
        id: AttemptId,
        /// The run.
        child: RunId,
    }
    /// A child run ended. Fact of `attempt finished`, where the work is a run.
    ///
    /// Then: as after any attempt: gates, success, or the route of a failure.
    ChildFinished [former::ChildFinished1, unless has_no_commit] {
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
    /// A child run that no step waited for has ended with its cancelled parent. Fact of `attempt finished`.
    ///
    /// Then: the run ends when all its children have.
    ChildStopped {
        /// The attempt that started it, and had ended then.
        id: AttemptId,
        /// When it was over.
        ended_at: Timestamp,
    }
}
