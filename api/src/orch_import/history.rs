//! The pipeline that a history of ORCH is recorded with.
//!
//! Law: it has the name, the key and the steps of the pipeline that goes on with the task, and no gate, because ORCH
//! recorded none. Each launch of an agent is a signal, which begins the round of that agent's step; so a history has the
//! rounds that there were, in their order. A step of which ORCH has no fact is skipped, and stays so where a run goes on;
//! only what reads the states of the tracker and the pull request is left out, so that it is done when a run goes on. The
//! step that reads the issue gives what ORCH knew of it: the agents of the run that goes on read its output at once.

use std::collections::BTreeMap;

use everfold_engine::definition::{Definition, ExecutorTask, NoFiles, Step, Work, parse};
use everfold_engine::id::StepId;
use everfold_engine::json::Value;
use everfold_workflows::sequence_wish;
use serde_json::json;

use super::late_answers::answer_late;
use super::plan::STAGES;

/// The step that stays open as long as the history goes on.
pub(super) const RECORD: &str = "orch-record";
/// The signal that ends it.
pub(super) const ENDED: &str = "orch-ended";
/// The signals of an approval.
pub(super) const APPROVED: &str = "orch-approved";
/// How often an agent's step may begin; more than a history holds.
const ROUNDS_MAX: u32 = 1_000;
/// Functions of the pipeline that give what ORCH gave, too: a task's names.
const NAMING: [&str; 3] = ["plane.sequence", "everfold.unique", "git.free_branch"];
/// Functions that are called when a run goes on: their outputs are not ORCH's, and calling them again does no harm.
const CALLED_LATER: [&str; 3] = ["plane.states", "gitea.pr_of", "git.open_pr"];
/// The function that reads the task's issue.
const ISSUE: &str = "plane.issue";

/// The steps of a pipeline of which ORCH has facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OrchSteps {
    /// The agent's step of each of ORCH's stages.
    pub(super) agents: [Option<StepId>; STAGES.len()],
    /// The step with which a run goes on at each stage: the first behind the agent before that is called then, else the
    /// stage's agent.
    pub(super) begins: [Option<StepId>; STAGES.len()],
    /// The step before which such a run is paused: the first of all that begin.
    pub(super) pauses: [Option<StepId>; STAGES.len()],
    /// The approval of the analysis.
    pub(super) approval: Option<StepId>,
    /// The steps that name the task, with their functions and the scopes of the names.
    pub(super) naming: Vec<Naming>,
    /// The steps that read the issue.
    pub(super) issues: Vec<StepId>,
}

/// A step that names the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naming {
    pub(super) step: StepId,
    pub(super) function: String,
    /// The scope in which the name is given once, as it is written.
    pub(super) scope: Option<Value>,
    /// The name that is wanted, as it is written.
    pub(super) wanted: Option<String>,
}

impl Naming {
    /// What the step wishes when it names a work item, by which it finds the name that it has; `None`: that is not known
    /// beforehand.
    pub(super) fn wish(&self, item: &str) -> Option<String> {
        match self.function.as_str() {
            "plane.sequence" => Some(sequence_wish(item.rsplit_once('-').map_or(item, |(prefix, _)| prefix))),
            "everfold.unique" => self.wanted.clone().filter(|wanted| !wanted.contains("${")),
            _branch => None,
        }
    }
}

impl OrchSteps {
    /// Finds them in a pipeline.
    pub(crate) fn of(definition: &Definition) -> Self {
        let mut steps = Self::default();
        for (at, (stage, _)) in STAGES.iter().enumerate() {
            let mut own = definition.steps.iter().filter(|step| step.stage.as_deref() == Some(stage));
            steps.agents[at] =
                own.find(|step| kind(step) == Some(ExecutorTask::AGENT)).map(|step| step.id.clone());
        }
        let place = |id: &StepId| definition.steps.iter().position(|step| step.id == *id);
        let places = steps.agents.each_ref().map(|agent| agent.as_ref().and_then(place));
        for (at, agent) in places.iter().enumerate() {
            let called = |from: Option<usize>| {
                let between = from.zip(*agent).and_then(|(from, to)| definition.steps.get(from + 1..to));
                let first = between.unwrap_or_default().iter().find(|step| is_called_later(step));
                first.map(|step| step.id.clone()).or_else(|| steps.agents[at].clone())
            };
            steps.begins[at] = called(at.checked_sub(1).and_then(|before| places[before]));
            steps.pauses[at] = called(places[0]);
        }
        let first = steps.agents[0].as_ref().and_then(place).unwrap_or(0);
        let second = steps.agents[1].as_ref().and_then(place).unwrap_or(definition.steps.len());
        let between = definition.steps.get(first..second).unwrap_or_default();
        let is_approval = |step: &&Step| matches!(step.work, Some(Work::Approval(_)));
        steps.approval = between.iter().find(is_approval).map(|step| step.id.clone());
        steps.naming = definition.steps[..first].iter().filter_map(naming).collect();
        let reads_issue = |step: &&Step| function(step) == Some(ISSUE);
        steps.issues =
            definition.steps[..first].iter().filter(reads_issue).map(|step| step.id.clone()).collect();
        steps
    }

    /// What is missing in the pipeline, so that tasks of ORCH could not go on with it.
    pub(crate) fn missing(&self) -> Option<String> {
        let agents = STAGES.iter().zip(&self.agents);
        let mut stages = agents.filter(|(_, step)| step.is_none()).map(|((stage, _), _)| *stage);
        match (stages.next(), &self.approval) {
            (Some(stage), _) => Some(format!("it has no agent's step of the stage {stage}")),
            (None, None) => Some("it has no approval behind the stage analysis".to_owned()),
            (None, Some(_)) => None,
        }
    }
}

fn kind(step: &Step) -> Option<&str> {
    match &step.work {
        Some(Work::Task(task)) => Some(&task.kind),
        _other => None,
    }
}

/// The function that a step calls.
fn function(step: &Step) -> Option<&str> {
    match &step.work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::FUNCTION => task.spec.source()["name"].as_str(),
        _other => None,
    }
}

/// Whether a step is called when a run goes on at its place.
fn is_called_later(step: &Step) -> bool {
    function(step).is_some_and(|name| CALLED_LATER.contains(&name))
}

fn naming(step: &Step) -> Option<Naming> {
    let Some(Work::Task(task)) = &step.work else { return None };
    let spec = task.spec.source();
    let function = function(step).filter(|name| NAMING.contains(name))?;
    let scope = Some(&spec["with"]["scope"]).filter(|scope| !scope.is_null());
    let wanted = spec["with"]["name"].as_str().map(str::to_owned);
    Some(Naming { step: step.id.clone(), function: function.to_owned(), scope: scope.cloned(), wanted })
}

/// How the signals begin that launch agents and show the analysis to its owner.
const LAUNCHED: &str = "orch-launched-";
const ASKED: &str = "orch-asked-";

/// The signal that launches the agent of a step.
pub(super) fn launched(step: &StepId) -> String {
    format!("{LAUNCHED}{step}")
}

/// The signal that shows the analysis to its owner.
pub(super) fn asked(step: &StepId) -> String {
    format!("{ASKED}{step}")
}

/// Whether a rework by this signal is the launch of a step in a history: nothing was sent back.
pub(crate) fn is_launch(signal: &str) -> bool {
    [LAUNCHED, ASKED].iter().any(|prefix| signal.starts_with(prefix))
}

/// The pipeline for the histories of tasks that `next` goes on with; `tracker` says where their issues are.
///
/// # Errors
/// It would not be a sound pipeline: `next` is none for ORCH's tasks.
pub(crate) fn history_pipeline(
    next: &Definition,
    steps: &OrchSteps,
    tracker: Option<&Value>,
) -> Result<Definition, String> {
    let mut written: Vec<Value> = Vec::new();
    let mut routes: BTreeMap<String, Value> = BTreeMap::new();
    for step in &next.steps {
        let Some(mut document) = skeleton(step) else { continue };
        let is_known =
            steps.naming.iter().any(|naming| naming.step == step.id) || steps.issues.contains(&step.id);
        if !is_known {
            document["standby"] = json!(true);
            let signal =
                if steps.approval.as_ref() == Some(&step.id) { asked(&step.id) } else { launched(&step.id) };
            routes.insert(signal, json!({ "rework": step.id, "max": ROUNDS_MAX }));
        }
        written.push(document);
    }
    let all: Vec<Value> = written.iter().map(|step| step["id"].clone()).collect();
    // It stands above all stages, so that the task is in the stage of its last agent.
    let record = json!({ "id": RECORD, "needs": all, "wait": { "signal": ENDED }, "on_signal": routes });
    written.insert(0, record);
    let mut document = json!({
        "name": next.name,
        "description": "What ORCH recorded of a task, before Everfold went on with it",
        "input": { "type": "object" },
        "steps": written,
    });
    if let Some(key) = &next.key {
        document["key"] = json!({ "value": key.value.source(), "release": "unsuccessful" });
    }
    let parsed = parse(&document.to_string(), "the history of ORCH", &NoFiles).map_err(|problems| {
        let first = problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default();
        format!("no history can be recorded for the pipeline {}: {first}", next.name)
    })?;
    let mut history = parsed.definition;
    answer_late(&mut history, next, tracker);
    Ok(history)
}

/// A step of the same name and kind, which does nothing; `None`: it is done when a run goes on.
fn skeleton(step: &Step) -> Option<Value> {
    if step.foreach.is_some() {
        return None;
    }
    let (key, work) = match step.work.as_ref()? {
        Work::Task(task) => {
            let spec = task.spec.source();
            match task.kind.as_str() {
                ExecutorTask::AGENT => {
                    ("agent", json!({ "prompt": "An agent of ORCH worked here, before Everfold." }))
                }
                ExecutorTask::COMMAND => ("command", json!("true")),
                ExecutorTask::FUNCTION => {
                    let name = spec["name"].as_str().filter(|_| !is_called_later(step))?;
                    ("function", json!(name))
                }
                _service_or_run => return None,
            }
        }
        Work::Approval(_) => ("approval", json!({ "title": "The analysis, approved in ORCH" })),
        Work::Question(_) => ("question", json!({ "title": "Asked in ORCH" })),
        Work::Wait(_) => return None,
    };
    let mut document = json!({ "id": step.id, "needs": [], key: work });
    match &step.work {
        Some(Work::Approval(_)) => document["on_signal"] = json!({ APPROVED: "approve" }),
        Some(Work::Task(_)) => document["on_fail"] = json!("continue"),
        _asked => {}
    }
    if let Some(stage) = &step.stage {
        document["stage"] = json!(stage);
    }
    // What later steps read of a step that was skipped.
    if let Some(otherwise) = step.otherwise.as_ref().filter(|template| template.references().is_empty()) {
        document["else"] = otherwise.source().clone();
    }
    Some(document)
}

/// The scope of a naming step, where it names nothing but the task's project or repository; an expression that ends in
/// the repository of the project's record is that repository.
pub(super) fn scope_of(naming: &Naming, input: &Value, repo: &str) -> Option<String> {
    let written = naming.scope.as_ref()?.as_str()?;
    let Some((before, rest)) = written.split_once("${") else { return Some(written.to_owned()) };
    let (expression, after) = rest.rsplit_once('}')?;
    let value = match expression.trim() {
        "input.project" => input["project"].as_str()?.to_owned(),
        own if !own.contains("${") && own.contains("repo") => repo.trim().to_lowercase(),
        _other => return None,
    };
    Some(format!("{before}{value}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_of_names_is_found_where_it_is_the_project_or_the_repository() {
        let scope = |written: &str| {
            let naming = Naming {
                step: StepId::new("item"),
                function: "plane.sequence".into(),
                scope: Some(json!(written)),
                wanted: None,
            };
            scope_of(&naming, &json!({ "project": "P" }), " Enduro-Trails ")
        };
        assert_eq!(scope("items").as_deref(), Some("items"));
        assert_eq!(scope("items:${local.repo}").as_deref(), Some("items:enduro-trails"));
        assert_eq!(scope("${input.project}/x").as_deref(), Some("P/x"));
        assert_eq!(
            scope("${config.of[input.project].repo.trim().lowerAscii()}").as_deref(),
            Some("enduro-trails")
        );
        assert_eq!(scope("${run.number}"), None);
    }
}
