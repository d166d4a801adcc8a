//! Events of steps: their rounds, their ends, and what people order for one step.

use std::collections::BTreeMap;

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{BlockReason, ReworkSource, ScheduledWork, SkipReason, Unblocked};
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, Round, StepId, StepPath};
use everfold_base::json::Payload;
use everfold_language::definition::FinishStatus;

event_payloads! {
    /// A step, or an item of one, begins a round.
    ///
    /// Then: the attempt asks the scheduler for a place, and its executor is called.
    StepScheduled {
        /// The first attempt of the round.
        id: AttemptId,
        /// What is to be done.
        work: ScheduledWork,
    }
    /// The items of a `foreach`.
    ///
    /// Then: items begin, up to `max_in_flight`; without items the step succeeds.
    ItemsExpanded {
        /// The step.
        step: StepId,
        /// The round.
        round: Round,
        /// The items.
        items: Vec<Payload>,
        /// Items in progress at once.
        max_in_flight: Option<u32>,
    }
    /// A step ended well.
    ///
    /// Then: steps that need it begin where all they need has ended.
    StepSucceeded [former::StepSucceeded1, unless has_own_output] {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
        /// Added to the run's labels.
        labels: BTreeMap<String, String>,
        /// A `finish` route ends the run with it.
        finish: Option<FinishStatus>,
        /// Its `else`, where a person passed over what brought no output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
    }
    /// A step did not apply, or was passed over.
    ///
    /// Then: steps that need it begin or are skipped, as their `needs` say.
    StepSkipped [former::StepSkipped1, unless has_no_output] {
        /// The step.
        path: StepPath,
        /// The round; the former one where no round began.
        round: Round,
        /// Why.
        reason: SkipReason,
        /// Its `else`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
    }
    /// A step failed for good.
    ///
    /// Then: the run fails, unless the step's routes let it go on.
    StepFailed [former::StepFailed1, unless has_no_output] {
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
        /// Its `else`, where the failure is tolerated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
    }
    /// A step cannot go on without a person.
    ///
    /// Then: a person decides (`RunUnblocked`); the other steps go on.
    StepBlocked {
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
    StepCancelled {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
    }
    /// A step and all that depends on it go into their next round.
    ///
    /// Then: the step and its dependants begin again (`StepScheduled`), with the findings.
    ReworkRequested [former::ReworkRequested1] {
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
        /// The findings for the target.
        findings: Payload,
        /// The target and its dependants, in the order of the file.
        reset: Vec<StepId>,
        /// The new round waits for a person.
        hold: bool,
    }
    /// A person decided on a blocked step. Fact of `unblock`.
    ///
    /// Then: as decided: the step goes on, is judged again, passes, or fails.
    RunUnblocked [former::RunUnblocked1] then [former::RunUnblocked2, unless bypasses_nothing]
        then [former::RunUnblocked3, unless repeats_items] whole former::RunUnblockedWhole {
        /// What was decided.
        unblocked: Unblocked,
        /// The gates that `proceed` and `skip` pass over: those of the step that had not passed in this round.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bypassed: Vec<String>,
        /// The items of the step that are done are kept when it begins anew; false where former versions decided.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps_items: bool,
    }
    /// All gates of a step are judged again on the same artefacts, or people are asked anew. Fact of `recheck`.
    ///
    /// Then: `ProbeScheduled` for every gate of the step; of an open approval `RetryScheduled` or `ApprovalRequested`.
    RecheckRequested {
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
    StepCancelRequested {
        /// The step, or an item of it.
        path: StepPath,
        /// Why.
        reason: Option<String>,
    }
    /// These steps are not begun before a person says so. Fact of `breakpoints`.
    ///
    /// Then: nothing before such a step would begin.
    BreakpointsSet {
        /// The steps; former ones that are not among them are taken away.
        steps: Vec<StepId>,
    }
    /// A step with a breakpoint would begin; the run is paused.
    ///
    /// Then: the run stands until `RunResumed`.
    BreakpointHit {
        /// The step.
        path: StepPath,
    }
}
