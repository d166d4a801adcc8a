//! The names of expressions, looked up in the state.

use serde_json::json;

pub(crate) use super::failure_value::failure_value;
use super::run_names;
use crate::policy::forget_place;
use crate::state::{ItemEnd, Items, Key, Last, Phase, RunState, Stage, StepState, StoredValue, Unit};
use everfold_base::failure::Failure;
use everfold_base::id::Round;
use everfold_base::json::Value;
use everfold_language::definition::{ExecutorTask, Step, Work};
use everfold_language::expr::Loaded;
use everfold_language::expr::{EvalError, Scope};

/// Gives the names that an expression of one step may use.
#[derive(Clone)]
pub(crate) struct RunScope<'a> {
    state: &'a RunState,
    loaded: &'a Loaded,
    key: Option<Key>,
    extra: Vec<(&'static str, Value)>,
    /// The round of the own step that is about to begin.
    begins: Option<Round>,
}

impl<'a> RunScope<'a> {
    /// The names of the run.
    pub(crate) fn run(state: &'a RunState, loaded: &'a Loaded) -> Self {
        Self { state, loaded, key: None, extra: Vec::new(), begins: None }
    }

    /// The names of a step or an item of one.
    pub(crate) fn of(state: &'a RunState, loaded: &'a Loaded, key: Key) -> Self {
        Self { state, loaded, key: Some(key), extra: Vec::new(), begins: None }
    }

    /// The same while a round of the step is about to begin: its work sees that round's values.
    pub(crate) fn beginning(mut self, round: Round) -> Self {
        self.begins = Some(round);
        self
    }

    /// The round of a step, and how many of it ran: of its own step the one that begins.
    fn rounds(&self, at: usize) -> (Round, u32) {
        let step = &self.state.facts.steps[at];
        match self.begins.filter(|_| self.key.is_some_and(|key| key.step == at)) {
            Some(round) => (round, step.rounds_run + 1),
            None => (step.round, step.rounds_run),
        }
    }

    /// Where the expression stands.
    pub(crate) fn place(&self) -> (&'a RunState, &'a Loaded, Option<Key>) {
        (self.state, self.loaded, self.key)
    }

    /// The same with another name: `output`, `evidence`, `gate`, `failure`.
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.extra.push((name, value));
        self
    }

    /// The state that the names are looked up in.
    pub(crate) fn state(&self) -> &'a RunState {
        self.state
    }

    /// The commit at which the round of the own step began; without one, that at which the workspace was made.
    pub(crate) fn round_began_at(&self) -> Option<&str> {
        let of_round = self.own_step().and_then(|step| step.base.as_deref());
        of_round.or_else(|| self.state.workspace().and_then(|made| made.commit.as_deref()))
    }

    /// What rounds of the own step before this one changed since its gates last passed: from which commit to which.
    pub(crate) fn refused_rounds(&self) -> Vec<[&str; 2]> {
        self.key.map(|key| self.state.refused_rounds(key.step)).unwrap_or_default()
    }

    fn own_step(&self) -> Option<&StepState> {
        self.key.map(|key| &self.state.facts.steps[key.step])
    }

    fn item(&self, name: &str) -> Result<Option<Value>, EvalError> {
        let Some(Key { step, item: Some(item) }) = self.key else { return Ok(None) };
        let foreach_name =
            self.state.graph.step(step).foreach.as_ref().and_then(|foreach| foreach.name.as_deref());
        if name == "index" {
            return Ok(Some(json!(item)));
        }
        if name != "item" && Some(name) != foreach_name {
            return Ok(None);
        }
        let items = self.state.facts.steps[step].items.as_ref();
        match items.and_then(|items| items.list.get(item as usize)) {
            Some(kept) => kept.value(self.loaded).map(Some),
            None => Ok(None),
        }
    }

    fn workspace_value(&self) -> Value {
        match self.state.workspace() {
            None => Value::Null,
            Some(workspace) => json!({
                "path": workspace.path,
                "branch": workspace.branch,
                "base": workspace.base,
                "commit": self.state.commit(),
            }),
        }
    }

    fn rework_value(&self) -> Result<Value, EvalError> {
        match self.own_step().and_then(|step| step.rework.as_ref()) {
            None => Ok(Value::Null),
            Some(rework) => {
                let findings = [&rework.findings].into_iter().chain(&rework.history);
                let mut values = all(findings.map(|kept| kept.value(self.loaded)))?;
                let newest = values.remove(0);
                Ok(json!({
                    "from": rework.source.id.path.to_string(),
                    "gate": rework.source.gate,
                    "by": rework.source.by,
                    "round": rework.source.id.round,
                    "findings": newest,
                    "history": values,
                }))
            }
        }
    }

    /// What people answered to the work's questions in this round: `[{asked, choice, text, items, by}]`.
    fn answers(&self) -> Result<Value, EvalError> {
        let Some(unit) = self.key.and_then(|key| self.state.unit_at(key)) else { return Ok(json!([])) };
        let kept = unit.answers().iter().flat_map(|answered| [&answered.answer, &answered.ask]);
        let mut values = all(kept.map(|kept| kept.value(self.loaded)))?.into_iter();
        let mut answers = Vec::new();
        while let (Some(mut answer), Some(ask)) = (values.next(), values.next()) {
            answer["asked"] = ask;
            answers.push(answer);
        }
        Ok(Value::Array(answers))
    }

    fn step_field(&self, step: &str, field: &str) -> Result<Option<Value>, EvalError> {
        let Some(at) = self.state.graph.find(&step.into()) else { return Ok(None) };
        let state = &self.state.facts.steps[at];
        Ok(Some(match field {
            "status" => json!(self.state.status_at(at)),
            "output" => return self.output(state).map(Some),
            "last" => return self.last(state).map(Some),
            "outputs" => json!(state.artefacts),
            "round" => json!(self.rounds(at).0),
            "rounds" => json!(self.rounds(at).1),
            "attempts" => json!(state.unit.attempt),
            "failure" => {
                state.failure.as_ref().or(state.unit.failure.as_ref()).map_or(Value::Null, failure_value)
            }
            "gates" => self.gates(state)?,
            "commit" => json!(state.commit),
            "stage" => json!(self.state.graph.step(at).stage),
            "started_at" => json!(state.started_at),
            "ended_at" => json!(state.ended_at),
            "worked" => json!(self.state.worked_seconds(&self.state.step_id(at))),
            "usage" => run_names::usage_of_step(&self.state.usage_of(&self.state.step_id(at))),
            "role" => role(self.state.graph.step(at)),
            _unknown => return Ok(None),
        }))
    }

    /// The output of a step in its current round; of a `foreach` the list over its items.
    pub(crate) fn output(&self, step: &StepState) -> Result<Value, EvalError> {
        match &step.items {
            Some(items)
                if !matches!(step.phase, Phase::Skipped | Phase::Failed { .. })
                    && step.output == StoredValue::Null =>
            {
                self.items_output(items, step.phase == Phase::Cancelled)
            }
            _whole => step.output.value(self.loaded),
        }
    }

    /// What the step's last completed round led to.
    pub(crate) fn last(&self, step: &StepState) -> Result<Value, EvalError> {
        match &step.last {
            _this_one if step.phase == Phase::Succeeded => self.output(step),
            Last::Output(output) => output.value(self.loaded),
            Last::Items(ends) => {
                let one = |end: &ItemEnd| {
                    self.item_output(end.stage.as_ref(), &end.output, end.failure.as_ref(), false)
                };
                all(ends.iter().map(one)).map(Value::Array)
            }
        }
    }

    /// `is_over`: the step ended with its run, and so did each item that had not ended.
    fn items_output(&self, items: &Items, is_over: bool) -> Result<Value, EvalError> {
        let one =
            |unit: &Unit| self.item_output(Some(&unit.stage), &unit.output, unit.failure.as_ref(), is_over);
        let mut values = all(items.units.iter().map(one))?;
        values.resize(items.total(), self.item_output(None, &StoredValue::Null, None, is_over)?);
        Ok(Value::Array(values))
    }

    /// An item of a `foreach` in its output.
    fn item_output(
        &self,
        stage: Option<&Stage>,
        output: &StoredValue,
        failure: Option<&Failure>,
        is_over: bool,
    ) -> Result<Value, EvalError> {
        let status = match stage {
            None => "cancelled",
            Some(Stage::Succeeded) => "succeeded",
            Some(Stage::Failed) => "failed",
            Some(Stage::Skipped) => "skipped",
            Some(_ended_with_the_step) if is_over => "cancelled",
            Some(Stage::Asking) => "waiting",
            Some(_unended) => "running",
        };
        let (output, failure) = (output.value(self.loaded)?, failure.map(failure_value));
        Ok(json!({ "status": status, "output": output, "failure": failure }))
    }

    fn gates(&self, step: &StepState) -> Result<Value, EvalError> {
        let mut gates = serde_json::Map::new();
        for verdict in &step.gates {
            let mut evidence = verdict.evidence.value(self.loaded)?;
            forget_place(&mut evidence);
            let value = json!({"verdict": verdict.verdict, "reason": verdict.reason, "evidence": evidence});
            gates.insert(verdict.gate.clone(), value);
        }
        Ok(Value::Object(gates))
    }
}

impl Scope for RunScope<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        if let ["steps", step, field] = path {
            return self.step_field(step, field);
        }
        if let ["run", field] = path {
            // Before its start a run is known by what the start says of it.
            let said = self.extra.iter().find(|(extra, _)| *extra == "run").map(|(_, run)| run);
            let said = said.and_then(|run| run.get(*field)).cloned();
            return Ok(said.or_else(|| run_names::field(self.state, field)));
        }
        let [name] = path else { return Ok(None) };
        if let Some((_, value)) = self.extra.iter().find(|(extra, _)| extra == name) {
            return Ok(Some(value.clone()));
        }
        Ok(Some(match *name {
            "input" => self.state.facts.input.value(self.loaded)?,
            "config" => match &self.state.facts.config {
                StoredValue::Null => json!({}),
                config => config.value(self.loaded)?,
            },
            "secrets" => json!({}),
            "answers" if self.begins.is_some() => json!([]),
            "answers" => self.answers()?,
            "run" => run_names::whole(self.state),
            "workspace" => self.workspace_value(),
            "rework" => self.rework_value()?,
            "output" => match self.own_step() {
                Some(step) => self.output(step)?,
                None => return Ok(None),
            },
            "attempt" if self.begins.is_some() => json!(1),
            "attempt" => json!(
                self.key.and_then(|key| self.state.unit_at(key)).map_or(1, |unit| unit.attempt.0.max(1))
            ),
            "step" => match (self.key, self.own_step()) {
                (Some(key), Some(_)) => json!({
                    "id": self.state.step_id(key.step),
                    "round": self.rounds(key.step).0,
                    "rounds": self.rounds(key.step).1,
                    "stage": self.state.graph.step(key.step).stage,
                }),
                _outside => Value::Null,
            },
            other => return self.item(other),
        }))
    }
}

/// Collects values; where some must be loaded first, names all of them at once.
pub(crate) fn all(values: impl Iterator<Item = Result<Value, EvalError>>) -> Result<Vec<Value>, EvalError> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for value in values {
        match value {
            Ok(value) => found.push(value),
            Err(EvalError::Needs(needs)) => missing.extend(needs),
            Err(failed) => return Err(failed),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(EvalError::Needs(missing)) }
}

/// In which role a step's agent works; null of any other work.
fn role(step: &Step) -> Value {
    match &step.work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::AGENT => task.spec.source()["role"].clone(),
        _no_agent => Value::Null,
    }
}
