//! What came of a case's run: its state, outputs, notices, and what happened.

use std::collections::BTreeMap;

use anstream::adapter::strip_str;
use everfold_engine::driver::Engine;
use everfold_engine::event::RunEvent;
use everfold_engine::expr::Loaded;
use everfold_engine::id::{RunId, StepId};
use everfold_engine::json::Value;
use everfold_engine::state::{Awaited, RunState, StoredValue};
use serde_json::json;

use super::verdict::StoryLine;
use super::world::CaseWorld;
use crate::view::{ShownEvent, event_detail};

/// An event of a run of the case.
pub(super) struct CaseEvent {
    pub(super) run: RunId,
    /// Of the pipeline under test itself, not of a child.
    pub(super) is_root: bool,
    pub(super) at_ms: i64,
    pub(super) event: RunEvent,
}

/// How a case's run went.
pub(super) enum CaseEnd<'a> {
    /// The start was refused.
    Refused {
        /// The refusal's code.
        code: String,
        /// What it says.
        message: String,
    },
    /// It ran.
    Ran(&'a CaseOutcome),
}

/// What came of a case's run.
pub(super) struct CaseOutcome {
    pub(super) state: RunState,
    pub(super) output: Value,
    pub(super) outputs: BTreeMap<StepId, Value>,
    pub(super) attempts: BTreeMap<StepId, usize>,
    pub(super) work: BTreeMap<StepId, Value>,
    pub(super) notices: Vec<Value>,
    pub(super) events: Vec<&'static str>,
}

impl CaseOutcome {
    /// Reads what came of the run.
    ///
    /// # Errors
    /// The run cannot be read.
    pub(super) async fn of(
        engine: &Engine,
        world: &CaseWorld,
        run: RunId,
        events: &[CaseEvent],
    ) -> Result<Self, String> {
        let state = engine.state(run).await.map_err(|error| error.to_string())?;
        let mut outputs = BTreeMap::new();
        let mut attempts = BTreeMap::new();
        let mut work = BTreeMap::new();
        for (step, facts) in state.steps() {
            let output = match &facts.items {
                Some(items) if facts.output == StoredValue::Null => {
                    let mut list = Vec::new();
                    for unit in &items.units {
                        list.push(whole(engine, run, &unit.output).await?);
                    }
                    Value::Array(list)
                }
                _one => whole(engine, run, &facts.output).await?,
            };
            outputs.insert(step.id.clone(), output);
            work.extend(world.work_of(run, &step.id).map(|spec| (step.id.clone(), spec)));
            attempts.insert(step.id.clone(), world.attempts(run, step.id.as_str()));
        }
        let sent = world.notices().into_iter().filter(|notice| notice.run == run);
        let notice = |request: everfold_engine::execution::NoticeRequest| {
            json!({
                "notice": request.notice, "function": request.function,
                "event": request.event["type"], "with": request.with,
            })
        };
        Ok(Self {
            output: whole(engine, run, state.output()).await?,
            outputs,
            attempts,
            work,
            notices: sent.map(notice).collect(),
            events: events.iter().filter(|seen| seen.is_root).map(|seen| seen.event.name()).collect(),
            state,
        })
    }

    /// The word for what the run is doing.
    pub(super) fn status(&self) -> String {
        self.state.status().to_string()
    }

    /// The steps that wait for a person's decision.
    pub(super) fn blocked(&self) -> Vec<String> {
        let blocked = self.state.awaited().into_iter().filter_map(|awaited| match awaited {
            Awaited::Unblock { path, .. } => Some(path.to_string()),
            _other => None,
        });
        blocked.collect()
    }
}

/// A value of a run, wherever it is kept.
async fn whole(engine: &Engine, run: RunId, value: &StoredValue) -> Result<Value, String> {
    let mut loaded = Loaded::default();
    if let Some(reference) = value.reference() {
        let text = engine.value(run, reference).await.map_err(|error| error.to_string())?;
        loaded.insert(&reference, text);
    }
    value.value(&loaded).map_err(|error| error.to_string())
}

/// What happened, in short lines.
pub(super) fn story(events: &[CaseEvent]) -> Vec<StoryLine> {
    let mut started_by: BTreeMap<RunId, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for seen in events {
        if let RunEvent::RunStarted(started) = &seen.event
            && let Some(parent) = &started.parent
        {
            let above = started_by.get(&parent.run).map(|above| format!("{above}/")).unwrap_or_default();
            started_by.insert(seen.run, format!("{above}{}", parent.id.path));
        }
        let shown = json!({ "event": seen.event });
        lines.push(StoryLine {
            at_ms: seen.at_ms,
            child_of: started_by.get(&seen.run).cloned(),
            event: seen.event.name().to_owned(),
            place: ShownEvent(&shown).place(),
            // The story is a value; colours are for terminals.
            detail: strip_str(&event_detail(&seen.event)).to_string(),
        });
    }
    lines
}
