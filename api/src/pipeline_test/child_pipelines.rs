//! The pipelines that steps of a case run: the real ones where the stub says so, else one that stands for the whole.
//!
//! Law: the pipeline under test is changed in two things alone: its `run` steps name the pipelines of the case, and
//! settings documents that the case gives stand in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::definition::case::{CaseStubs, StepStub, StepStubs, StubResult, StubTurns};
use everfold_engine::definition::{self, ConfigSource, Definition, ExecutorTask, PipelineRef, Work};
use everfold_engine::expr::Template;
use everfold_engine::id::StepId;
use everfold_engine::json::Value;
use everfold_workflows::builtin;
use serde_json::json;

/// A pipeline that comes with Everfold.
pub(super) fn built_in(name: &str) -> Option<Definition> {
    let found = builtin::find(name)?;
    definition::parse(found.text, found.name, found).ok().map(|checked| checked.definition)
}

/// The pipeline that a step of another one runs, where it is named by its path or comes with Everfold.
pub(super) fn find(parent: &Definition, named: &str) -> Option<Definition> {
    match PipelineRef::is_path(named) {
        true => definition::child(parent, named).ok().map(|checked| checked.definition),
        false => built_in(named),
    }
}

/// A pipeline as a case runs it, with those that its steps run.
pub(super) struct CasePipeline {
    pub(super) definition: Arc<Definition>,
    pub(super) children: BTreeMap<String, Arc<Definition>>,
}

impl CasePipeline {
    /// The pipeline as a case runs it.
    ///
    /// # Errors
    /// Why it cannot, in one line.
    pub(super) fn new(
        definition: &Definition,
        stubs: &CaseStubs,
        config: &BTreeMap<String, Value>,
    ) -> Result<Self, String> {
        let mut children = BTreeMap::new();
        let mut own = with_children(definition, stubs, &mut children)?;
        give_config(&mut own, config)?;
        Ok(Self { definition: Arc::new(own), children })
    }
}

fn with_children(
    definition: &Definition,
    stubs: &CaseStubs,
    children: &mut BTreeMap<String, Arc<Definition>>,
) -> Result<Definition, String> {
    let mut own = definition.clone();
    for step in own.steps.iter_mut().chain(&mut own.on_finish) {
        let Some(Work::Task(task)) = &mut step.work else { continue };
        if task.kind != ExecutorTask::RUN {
            continue;
        }
        let (id, mut spec) = (step.id.as_str(), task.spec.source().clone());
        let child = match real_child(stubs, id)? {
            None => whole(id)?,
            Some(stubs) => {
                let named = spec["pipeline"].as_str().unwrap_or_default();
                let missing = || format!("the pipeline “{named}” of the step {id} cannot be had");
                with_children(&find(definition, named).ok_or_else(missing)?, stubs, children)?
            }
        };
        let name = unused(id, children);
        spec["pipeline"] = json!(name);
        task.spec = Template::parse(&spec).map_err(|error| error.to_string())?;
        children.insert(name, Arc::new(child));
    }
    Ok(own)
}

/// A name for the child of a step that no other child of the case has.
pub(super) fn unused(step: &str, children: &BTreeMap<String, Arc<Definition>>) -> String {
    let mut name = step.to_owned();
    let mut number = 1;
    while children.contains_key(&name) {
        number += 1;
        name = format!("{step}-{number}");
    }
    name
}

/// The stubs of a child that really runs.
pub(super) fn real_child<'a>(stubs: &'a CaseStubs, step: &str) -> Result<Option<&'a CaseStubs>, String> {
    let own = |stub: &'a StepStub| match &stub.result {
        StubResult::Run(stubs) => Some(&**stubs),
        _whole => None,
    };
    let of_turns = |turns: &'a StubTurns<StepStub>| -> Vec<Option<&'a CaseStubs>> {
        match turns {
            StubTurns::Always(stub) => vec![own(stub)],
            StubTurns::InTurn(stubs) => stubs.iter().map(own).collect(),
        }
    };
    let all: Vec<Option<&CaseStubs>> = match stubs.steps.get(&StepId::new(step)) {
        None => Vec::new(),
        Some(StepStubs::Attempts(turns)) => of_turns(turns),
        Some(StepStubs::Items(items)) => items.iter().flat_map(of_turns).collect(),
    };
    match (all.iter().flatten().count(), all.len()) {
        (0, _) => Ok(None),
        (real, all_of_them) if real == all_of_them => Ok(all[0]),
        _mixed => Err(format!(
            "the child of the step {step} really runs each time (`run`), or never: not now and then"
        )),
    }
}

/// The function of a pipeline that stands for a child as a whole; no engine has one of this name.
pub(super) const WHOLE_CHILD: &str = "everfold.case.child";

/// A pipeline that stands for a child as a whole: one step, which gives what the stub says.
pub(super) fn whole(step: &str) -> Result<Definition, String> {
    let document = json!({
        "name": step,
        "steps": [{"id": "stub", "work": {"task": {"kind": ExecutorTask::FUNCTION, "spec": {"name": WHOLE_CHILD}}}}],
        "output": "${steps.stub.output}",
    });
    serde_json::from_value(document).map_err(|error| error.to_string())
}

/// Puts the settings documents of the case in the place of files, so that a case does not depend on the machine.
fn give_config(definition: &mut Definition, config: &BTreeMap<String, Value>) -> Result<(), String> {
    for (name, sources) in &mut definition.config {
        if let Some(given) = config.get(name) {
            *sources = vec![ConfigSource::Values(given.clone())];
            continue;
        }
        sources.retain(|source| matches!(source, ConfigSource::Values(_)));
        if sources.is_empty() {
            return Err(format!(
                "the settings document {name} is read from files: add `config: {{ {name}: {{ … }} }}` to the case"
            ));
        }
    }
    Ok(())
}
