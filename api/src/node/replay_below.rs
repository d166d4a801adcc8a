//! Runs below a run, decided by the pipelines that another definition of it names.
//!
//! Law: a run below is decided by what its step starts in the definition that decides the run above: a pipeline that is
//! written within that definition (`foreach.steps`, a file), or the newest one of the name. Nothing is recorded.

use std::collections::VecDeque;
use std::sync::Arc;

use everfold_engine::definition::{self, Definition, ExecutorTask, PipelineRef, Work};
use everfold_engine::id::{RunId, StepPath};
use everfold_projections::{RunFilter, RunOrder, RunRow};

use super::handle::Node;
use super::replay::{ReplayBelow, ReplayedRun};
use crate::fault::{Code, Fault};

/// Runs below that are decided at once at most.
const BELOW_MAX: usize = 100;
/// Their events together, at most: a page asks for this, and what else decides histories waits for it.
const EVENTS_MAX: u64 = 100_000;

impl Node {
    /// Decides the runs below a run that is decided by a definition.
    ///
    /// # Errors
    /// The read model of runs cannot be asked.
    pub(super) async fn decide_below(
        &self,
        run: RunId,
        by: Arc<Definition>,
    ) -> Result<Option<ReplayBelow>, Fault> {
        let mut below = ReplayBelow::default();
        let (mut above, mut events) = (VecDeque::from([(run, by)]), 0_u64);
        while let Some((parent, by)) = above.pop_front() {
            let left = BELOW_MAX - below.items.len();
            let filter = RunFilter { parent: vec![parent], ..RunFilter::default() };
            // One more says whether there are more.
            let listed = move |runs: &everfold_projections::RunsView<'_>| {
                runs.list(&filter, RunOrder::Oldest, None, left + 1, None)
            };
            let started = self.runs(None, listed).await?.items;
            below.more |= started.len() > left;
            for row in started.into_iter().take(left) {
                events = events.saturating_add(row.version.get());
                if events > EVENTS_MAX {
                    below.more = true;
                    break;
                }
                let (replayed, decided_by) = self.decide_started(parent, &by, &row).await;
                above.extend(decided_by.map(|by| (row.id, by)));
                below.add(replayed);
            }
            if below.more {
                break;
            }
        }
        Ok((!below.items.is_empty()).then_some(below))
    }

    /// Decides a run that a step of another one started, and says by what.
    async fn decide_started(
        &self,
        parent: RunId,
        by: &Definition,
        row: &RunRow,
    ) -> (ReplayedRun, Option<Arc<Definition>>) {
        let step = row.parent.as_ref().map(|parent| parent.step.clone()).unwrap_or_default();
        let mut replayed = ReplayedRun {
            run: row.id,
            short_id: row.short_id.clone(),
            pipeline: row.pipeline.clone(),
            parent,
            step: step.clone(),
            definition: None,
            inputs: 0,
            first: None,
            why: None,
        };
        let named = match self.started_by(by, &step, &row.pipeline).await {
            Ok(definition) => definition,
            Err(why) => {
                replayed.why = Some(why);
                return (replayed, None);
            }
        };
        match self.decided_by(row.id, Arc::clone(&named), None).await {
            Ok(found) => {
                replayed.inputs = found.inputs;
                replayed.first = found.differences.into_iter().next();
                replayed.definition = found.definition;
                (replayed, Some(named))
            }
            Err(fault) => {
                replayed.why = Some(fault.message);
                (replayed, None)
            }
        }
    }

    /// The definition of the runs that a step starts; else why there is none.
    async fn started_by(
        &self,
        by: &Definition,
        step: &str,
        recorded: &str,
    ) -> Result<Arc<Definition>, String> {
        let path: StepPath = step.parse().map_err(|error| format!("the step “{step}”: {error}"))?;
        let mut steps = by.steps.iter().chain(&by.on_finish);
        let Some(found) = steps.find(|known| known.id == path.step) else {
            return Err(format!("{} has no step “{}”", by.name, path.step));
        };
        let task = match &found.work {
            Some(Work::Task(task)) if task.kind == ExecutorTask::RUN => task,
            _other_work => return Err(format!("the step “{}” of {} starts no run", path.step, by.name)),
        };
        // Of a name that is computed, the one that was is the only one known.
        let written = task.spec.source()["pipeline"].as_str().filter(|name| !name.contains("${"));
        let name = written.unwrap_or(recorded);
        if PipelineRef::is_path(name) {
            let child = definition::child(by, name).map_err(|error| error.to_string())?;
            return Ok(Arc::new(child.definition));
        }
        self.pipeline(name).await.map_err(|fault| match fault.code {
            Code::NoPipeline => format!("there is no pipeline “{name}”"),
            _other => fault.message,
        })
    }
}
