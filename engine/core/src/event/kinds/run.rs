//! Events of a run as a whole: its start, its admission, its pauses and its end.

use std::collections::BTreeMap;

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{
    AdmissionEvidence, EffectLimits, FailedResult, HaltScope, Origin, Parent, RunNumber, WantedSlot,
};
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{RunId, StepId, StepPath};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;

event_payloads! {
    /// The run exists. Fact of `start`.
    ///
    /// Then: the run waits for its slots (`RunQueued`), or its workspace is prepared and the first steps begin.
    RunStarted [former::RunStarted1] then [former::RunStarted2, unless has_no_number]
        then [former::RunStarted3, unless has_no_top] then [former::RunStarted4, unless is_not_counted]
        then [former::RunStarted5, unless has_no_initiator] whole former::RunStartedWhole {
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
        /// Where steps without a workspace work: the folder of the actor that started it.
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
        /// Its number, where the pipeline numbers its runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<RunNumber>,
        /// The topmost run above it, where that is not its parent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        top: Option<RunId>,
        /// Who is behind the start, where that is not its actor: of the topmost run that led here, or who
        /// triggered the schedule by hand, made it what it is, or submitted the delivery.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initiator: Option<Actor>,
    }
    /// The history before this is another run's; from here on this run goes its own way. Fact of `fork`.
    ///
    /// Then: what was in progress in the origin begins anew in this run.
    RunForked [former::RunForked1] then [former::RunForked2, unless is_plain]
        then [former::RunForked3, unless is_unlimited] then [former::RunForked4, unless has_no_initiator]
        then [former::RunForked5, unless counts_tries] then [former::RunForked6] then [former::RunForked7]
        then [former::RunForked8] whole former::RunForkedWhole {
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
        /// Who is behind the fork, where that is not its actor: of the run whose step asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initiator: Option<Actor>,
        /// What of its work is not done; absent: all is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effects: Option<EffectLimits>,
        /// An attempt that was in progress in the origin uses up no try of `retry`; false in forks that former versions
        /// made, and where none was.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps_tries: bool,
        /// Steps that begin anew without those of their items that are done: these are kept. None in retries that
        /// former versions made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keeps_items: Vec<StepId>,
        /// Of each span that something waits for, as much is left as at the moment that is continued; false in those that
        /// former versions made: there it went on from when the origin began to wait.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps_spans: bool,
        /// The moment that is continued, where it is later than the last event that was copied: what had passed until then has
        /// passed. Absent: it is that event's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continued_at: Option<Timestamp>,
    }
    /// The run waits for slots; nothing begins before it is admitted.
    ///
    /// Then: the slot allocator is asked; `RunAdmitted` when all slots are held.
    RunQueued {
        /// Which ones, in the order in which they are taken.
        slots: Vec<WantedSlot>,
    }
    /// The run holds all its slots. Fact of `admitted`.
    ///
    /// Then: the workspace is prepared and the first steps begin.
    RunAdmitted [former::RunAdmitted1, unless has_waited] {
        /// What `admit` was judged on at this moment.
        admission: Vec<AdmissionEvidence>,
        /// It waited for nothing since it started: what `admit` said then is true still.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
    }
    /// Nothing more is started. Fact of `pause`.
    ///
    /// Then: work in progress goes on to its end, or is stopped (`StopRequested`) where that is asked for; nothing new
    /// begins before `RunResumed`.
    RunPaused [former::RunPaused1, unless is_no_interrupt] {
        /// Why.
        reason: Option<String>,
        /// What runs is stopped, and goes on when the run is resumed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        interrupt: bool,
    }
    /// The pause is over. Fact of `resume`.
    ///
    /// Then: what waited begins; what was interrupted goes on.
    RunResumed [former::RunResumed1, unless says_nothing] {
        /// Why.
        reason: Option<String>,
        /// What is said to agents that were interrupted: a text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<Payload>,
    }
    /// Nothing more is started, because the run's pipeline or the whole engine is paused. Fact of `halt`.
    ///
    /// Then: work in progress goes on to its end; nothing new begins before `RunReleased`.
    RunHalted {
        /// What is paused.
        scope: HaltScope,
        /// Why.
        reason: Option<String>,
    }
    /// What was paused goes on. Fact of `release`.
    ///
    /// Then: what waited begins.
    RunReleased {
        /// What was paused.
        scope: HaltScope,
    }
    /// The run is to end. Fact of `cancel`.
    ///
    /// Then: attempts are stopped (`StopRequested`), `on_finish` steps run, then `RunCancelled`.
    CancelRequested {
        /// Why.
        reason: Option<String>,
    }
    /// The run was cancelled.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunCancelled {
    }
    /// The run ended well.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunSucceeded {
        /// Its result.
        output: Payload,
    }
    /// The run failed.
    ///
    /// Then: slots and reservations are given back; the workspace is removed where `clean` says so.
    RunFailed [former::RunFailed1, unless has_no_result] {
        /// The step that made it fail.
        path: Option<StepPath>,
        /// How.
        failure: Failure,
        /// What the pipeline's `output` gives of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<FailedResult>,
    }
    /// The run is given up where it stands: it could not be gone on with. Fact of `abandon`.
    ///
    /// Then: `RunCancelled`, in the same batch; nothing of the run is stopped or tidied away.
    RunAbandoned {
        /// Why.
        reason: Option<String>,
    }
    /// What was left undone is gone on with. Fact of `advance`.
    ///
    /// Then: whatever the state lists as due and not done.
    Advanced {
    }
    /// A person left a note. Fact of `note`.
    ///
    /// Then: nothing.
    NoteAdded {
        /// What it says.
        text: String,
    }
}
