//! Brings planned tasks into a node, one after the other.
//!
//! Law: each task is brought in on its own: its history first, then its name, then the run that goes on with it. A crash in
//! between leaves nothing half: the same import goes on where the last one stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::clock::Stopwatch;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{AdoptError, Adopted, Adoption, ForeignHistory, QueryError};
use everfold_engine::event::OriginKind;
use everfold_engine::execution::NameRequest;
use everfold_engine::failure::FailureKind;
use everfold_engine::id::{Attempt, AttemptId, InputId, Round, RunId, StepId, StepPath};
use everfold_engine::json::{Hash, Value};
use everfold_engine::state::{RunState, RunStatus};
use everfold_engine::store::{Dedup, DedupKeep};
use everfold_engine::time::Timestamp;
use everfold_engine::unique_names::WantedName;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::facts::{OrchFact, facts, former};
use super::history::{OrchSteps, history_pipeline, scope_of};
use super::late_answers::answering_late;
use super::plan::{HistoryEnd, Planned, STAGES, TaskPlan, TaskStanding, input_of, start_options};
use super::play::{IMPORTER, PlayedTask, TaskPlay, play};
use super::source::OrchTask;
use crate::fault::{Code, Fault};
use crate::node::{Idempotency, Node, PipelineSource, Rerun};
use crate::virtual_time::in_virtual_time;

/// How long an import waits for the next admission to be decided.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks.
const ADMISSION_LOOK: Duration = Duration::from_millis(50);

/// What an import did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ImportReport {
    /// Every task of the database.
    pub(crate) tasks: Vec<ImportedTask>,
    /// Records of projects that were passed over.
    pub(crate) skipped_projects: Vec<String>,
    /// Agent runs that belong to no task.
    pub(crate) strays: usize,
    /// What was not taken over as it is written there.
    pub(crate) warnings: Vec<String>,
}

/// What became of a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ImportedTask {
    /// ORCH's number of it.
    pub(crate) task: i64,
    pub(crate) item: String,
    pub(crate) stage: String,
    /// Its agent runs.
    pub(crate) agent_runs: usize,
    pub(crate) outcome: ImportOutcome,
    /// What is to be known of it.
    pub(crate) note: Option<String>,
    /// The run that holds its history.
    pub(crate) history: Option<String>,
    /// The run that goes on with it.
    pub(crate) goes_on: Option<String>,
}

/// What became of a task, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImportOutcome {
    /// It would be imported.
    Planned,
    /// It was imported.
    Imported,
    /// It was there.
    There,
    /// Its history is here; the run that was to go on with it was refused at admission.
    Refused,
    /// It was left.
    Left,
}

impl ImportedTask {
    /// What an import would do.
    pub(crate) fn planned(planned: &Planned) -> Self {
        let OrchTask { id, item, stage, runs, .. } = &planned.task;
        let (outcome, note) = match &planned.plan {
            TaskPlan::Leave(why) => (ImportOutcome::Left, Some(why.clone())),
            TaskPlan::Import { end: HistoryEnd::HandedOver { stage, standing }, .. } => (
                ImportOutcome::Planned,
                Some(format!("goes on at {}: {}", STAGES[*stage].0, standing.says())),
            ),
            TaskPlan::Import { .. } => (ImportOutcome::Planned, None),
        };
        Self {
            task: *id,
            item: item.clone(),
            stage: stage.clone(),
            agent_runs: runs.len(),
            outcome,
            note,
            history: None,
            goes_on: None,
        }
    }

    fn left(mut self, why: String) -> Self {
        (self.outcome, self.note) = (ImportOutcome::Left, Some(why));
        self
    }
}

/// Imports the planned tasks; `tracker` says where their issues are, `progress` is called with how many are done.
///
/// # Errors
/// The pipeline is none for ORCH's tasks, or the store takes nothing more. What was imported before stays.
pub(crate) async fn import(
    node: &Node,
    pipeline: &str,
    planned: Vec<Planned>,
    tracker: Option<&Value>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<ImportedTask>, Fault> {
    let next = node.pipeline(pipeline).await?;
    let steps = OrchSteps::of(&next);
    if let Some(what) = steps.missing() {
        let message = format!("the pipeline {pipeline} cannot go on with tasks of ORCH: {what}");
        return Err(Fault::new(Code::BadPipeline, message));
    }
    let bad = |what| Fault::new(Code::BadPipeline, what);
    let history = history_pipeline(&next, &steps).map_err(bad)?;
    let ended = Arc::new(answering_late(history.clone(), &next, tracker).map_err(bad)?);
    let importer = Importer { node, pipeline, next, handed_over: Arc::new(history), ended, steps };
    let mut imported = Vec::with_capacity(planned.len());
    for task in planned {
        imported.push(importer.task(task).await?);
        progress(imported.len());
    }
    note_admissions(node, &mut imported).await?;
    Ok(imported)
}

/// Waits until it is decided of each run that goes on whether it is admitted, and notes which are not.
async fn note_admissions(node: &Node, imported: &mut [ImportedTask]) -> Result<(), Fault> {
    let started = imported.iter_mut().filter(|task| task.outcome == ImportOutcome::Imported);
    let with_run = |task| {
        let task: &mut ImportedTask = task;
        let run: RunId = task.goes_on.as_deref()?.parse().ok()?;
        Some((task, run))
    };
    let mut open: Vec<(&mut ImportedTask, RunId)> = started.filter_map(with_run).collect();
    let mut waited = Stopwatch::start();
    while !open.is_empty() {
        let before = open.len();
        let mut undecided = Vec::with_capacity(before);
        for (task, run) in open {
            let standing = |state: &RunState| (state.is_queued(), refusal(state));
            match node.engine().with_state(run, standing).await {
                Ok((_, Some(why))) => {
                    task.outcome = ImportOutcome::Refused;
                    task.note = Some(format!("its history is here; the run that goes on was refused: {why}"));
                }
                Ok((true, None)) => undecided.push((task, run)),
                Ok((false, None)) | Err(QueryError::SetAside { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        open = undecided;
        if open.len() < before {
            waited = Stopwatch::start();
        }
        if waited.elapsed() > ADMISSION_PATIENCE {
            for (task, _) in open {
                let note = task.note.take().unwrap_or_default();
                task.note = Some(format!("{note}; whether it is admitted is not decided yet"));
            }
            return Ok(());
        }
        tokio::time::sleep(ADMISSION_LOOK).await;
    }
    Ok(())
}

/// Why a run was refused at admission; nothing was done in it.
fn refusal(state: &RunState) -> Option<String> {
    let (failure, path) = state.failure()?;
    let is_refused =
        state.status() == RunStatus::Failed && failure.kind == FailureKind::Gate && path.is_none();
    is_refused.then(|| failure.message.clone())
}

struct Importer<'a> {
    node: &'a Node,
    pipeline: &'a str,
    next: Arc<Definition>,
    /// The pipeline for the histories of tasks that a run goes on with; the engine reads the settings when that run begins.
    handed_over: Arc<Definition>,
    /// That of tasks that have ended: their runs answer late states themselves.
    ended: Arc<Definition>,
    steps: OrchSteps,
}

impl Importer<'_> {
    async fn task(&self, planned: Planned) -> Result<ImportedTask, Fault> {
        let mut row = ImportedTask::planned(&planned);
        let Planned { task, plan: TaskPlan::Import { project, began_at, end } } = planned else {
            return Ok(row);
        };
        let run = history_run(&task);
        row.note = None;
        let stage = match end {
            HistoryEnd::HandedOver { stage, .. } => stage,
            HistoryEnd::Done => STAGES.len(),
            HistoryEnd::Cancelled => 0,
        };
        let facts = facts(&task, stage, &self.steps, began_at);
        let mut input = input_of(&task, &project);
        if matches!(end, HistoryEnd::HandedOver { .. }) {
            input["former"] = former(&facts, began_at);
        }
        let history = match end {
            HistoryEnd::HandedOver { .. } => &self.handed_over,
            HistoryEnd::Done | HistoryEnd::Cancelled => &self.ended,
        };
        let played = self.played((run, history), &task, &input, facts, (began_at, end)).await;
        let (key, played) = match played {
            Ok(played) => played,
            Err(why) => return Ok(row.left(format!("its history cannot be recorded: {why}"))),
        };
        let foreign = ForeignHistory {
            store: played.store.as_ref(),
            blobs: played.blobs.as_ref(),
            run,
            definition: Arc::clone(history),
            key,
        };
        let adoption = match self.node.engine().adopt(foreign).await {
            Ok(adoption) => adoption,
            Err(AdoptError::Differs { .. }) => {
                let why = self.changed(run, history).await?;
                row.history = Some(run.to_string());
                return Ok(row.left(why.to_owned()));
            }
            Err(AdoptError::KeyTaken) => {
                return Ok(row.left("a run of Everfold works, or has worked, on its issue".to_owned()));
            }
            Err(error @ (AdoptError::TooLong | AdoptError::NotEnded)) => {
                return Ok(row.left(error.to_string()));
            }
            Err(AdoptError::Full) => return Err(Fault::new(Code::Full, AdoptError::Full.to_string())),
            Err(error) => return Err(Fault::new(Code::StoreIo, error.to_string())),
        };
        row.history = Some(run.to_string());
        row.outcome = if matches!(adoption.adopted, Adopted::New(_)) {
            ImportOutcome::Imported
        } else {
            ImportOutcome::There
        };
        row.note = self.give_names(run, &task, &input).await;
        if let HistoryEnd::HandedOver { stage, standing } = end {
            let goes_on = self.go_on(run, stage, standing, &adoption, &mut row).await?;
            if let Some(next) = goes_on {
                self.pass_names((run, next), &task, &input, &mut row).await;
            }
        }
        Ok(row)
    }

    /// Why a history that is here is another one than would be recorded now.
    async fn changed(&self, run: RunId, now: &Arc<Definition>) -> Result<&'static str, Fault> {
        let now = Arc::clone(now);
        let is_same = self.node.engine().with_state(run, move |state| **state.definition() == *now).await;
        Ok(match is_same {
            Err(QueryError::SetAside { .. }) => {
                "it was imported, and cannot be read now: its run is set aside"
            }
            Err(error) => return Err(error.into()),
            Ok(true) => "it has changed in ORCH since it was imported: the history that is here stays",
            Ok(false) => {
                "it was imported with another version of the pipeline: the history that is here stays"
            }
        })
    }

    /// Plays a task; gives the key that its run asked for as well.
    async fn played(
        &self,
        (run, history): (RunId, &Arc<Definition>),
        task: &OrchTask,
        input: &Value,
        facts: Vec<OrchFact>,
        (began_at, end): (Timestamp, HistoryEnd),
    ) -> Result<(Option<String>, PlayedTask), String> {
        let last = facts.iter().map(ended_at).max().unwrap_or(began_at);
        let cancelled = match end {
            HistoryEnd::Done => None,
            HistoryEnd::Cancelled => Some("ORCH gave the task up".to_owned()),
            HistoryEnd::HandedOver { stage, .. } => {
                Some(format!("ORCH handed the task over at the stage {}", STAGES[stage].0))
            }
        };
        let key = history.key.is_some().then(|| key_of(&self.next, input)).flatten();
        let play_of = TaskPlay {
            run,
            definition: Arc::clone(history),
            options: start_options(task, input),
            steps: self.steps.clone(),
            named: self.named(task),
            began_at,
            facts,
            ends_at: task.updated_at.unwrap_or(last).max(last),
            cancelled,
            key: key.clone(),
        };
        let played = tokio::task::spawn_blocking(move || in_virtual_time(async || play(play_of).await)).await;
        Ok((key, played.map_err(|error| error.to_string())??))
    }

    fn named(&self, task: &OrchTask) -> BTreeMap<StepId, Value> {
        let given = |function: &str| match function {
            "git.free_branch" => json!({ "branch": task.branch, "changed": false, "source": "orch" }),
            _name => {
                json!({ "name": task.item, "number": number(&task.item), "changed": false, "source": "orch" })
            }
        };
        let named = self.steps.naming.iter().map(|naming| (naming.step.clone(), given(&naming.function)));
        let known = self.steps.issues.iter().map(|step| (step.clone(), issue(task)));
        named.chain(known).collect()
    }

    /// Takes the work item's name in the scope in which the pipeline gives names, so that no new task gets it; gives what
    /// is to be known of that.
    async fn give_names(&self, run: RunId, task: &OrchTask, input: &Value) -> Option<String> {
        for naming in self.steps.naming.iter().filter(|naming| naming.function != "git.free_branch") {
            let Some(scope) = scope_of(naming, input, &task.repo) else {
                return Some(format!(
                    "its name is not kept from new tasks: the scope of “{}” is not known",
                    naming.step
                ));
            };
            let id = AttemptId {
                path: StepPath::step(&naming.step),
                round: Round::FIRST,
                attempt: Attempt::FIRST,
            };
            let wanted = WantedName { name: task.item.clone(), ..WantedName::default() };
            match self.node.engine().give_name(run, id, &NameRequest { scope, wanted }).await {
                Ok(name) if name == task.item => {}
                Ok(_other) => return Some(format!("another task has the name {}", task.item)),
                Err(error) => return Some(format!("its name could not be taken: {error}")),
            }
        }
        None
    }

    /// Passes the task's name to the run that continues the task: a later round of that run's naming step gets it again.
    async fn pass_names(
        &self,
        (history, next): (RunId, RunId),
        task: &OrchTask,
        input: &Value,
        row: &mut ImportedTask,
    ) {
        for naming in &self.steps.naming {
            let (scope, wish) = (scope_of(naming, input, &task.repo), naming.wish(&task.item));
            let (Some(scope), Some(wish)) = (scope, wish) else { continue };
            let (from, to) = ((history, task.item.as_str()), (next, wish.as_str()));
            let path = StepPath::step(&naming.step);
            if let Err(error) = self.node.engine().pass_name(&scope, from, to, &path).await {
                row.note = Some(format!("the run that goes on could not be given its name: {error}"));
            }
        }
    }

    /// Whether the last run that asked for a task's key was refused at admission: nothing was done in it. One that is set
    /// aside was not: it got as far as to be driven.
    async fn is_refused(&self, run: RunId) -> Result<bool, Fault> {
        match self.node.engine().with_state(run, |state| refusal(state).is_some()).await {
            Err(QueryError::SetAside { .. }) => Ok(false),
            looked => Ok(looked?),
        }
    }

    /// Starts the run that continues a task, where the task has no such run yet; gives that run.
    async fn go_on(
        &self,
        history: RunId,
        stage: usize,
        standing: TaskStanding,
        adoption: &Adoption,
        row: &mut ImportedTask,
    ) -> Result<Option<RunId>, Fault> {
        let mut about = format!("{IMPORTER}\n{history}");
        if let Some(user) = adoption.key_used_by {
            if !self.is_refused(user).await? {
                row.note = Some("a run goes on with it already".to_owned());
                // Whose history one that is set aside continues is not known.
                let root = match self.node.engine().with_state(user, RunState::root).await {
                    Err(QueryError::SetAside { .. }) => None,
                    looked => looked?,
                };
                return Ok(Some(user).filter(|_| root == Some(history)));
            }
            // What was refused is tried again: another request than the one before.
            about.push_str(&format!("\n{user}"));
        }
        let step = match standing {
            TaskStanding::Approval => self.steps.approval.as_ref(),
            TaskStanding::Queued | TaskStanding::Person => self.steps.begins[stage].as_ref(),
        };
        let Some(step) = step else { return Ok(None) };
        let mut rerun = Rerun::new(OriginKind::Handover, true);
        rerun.from_step = Some(step.to_string());
        rerun.source = Some(PipelineSource::Named(self.pipeline.to_owned()));
        let pause = self.steps.pauses[stage].as_ref().filter(|_| standing == TaskStanding::Person);
        rerun.until_step = pause.map(StepId::to_string);
        let dedup = Dedup {
            key: Hash::of(about.as_bytes()),
            body: Hash::of(step.as_str().as_bytes()),
            keep: DedupKeep::Week,
        };
        let once = Idempotency { dedup: Some(dedup), input: InputId::derive(&about) };
        let actor = Actor::User(IMPORTER.to_owned());
        match self.node.again(history, rerun, actor, once).await {
            Ok(started) => {
                row.goes_on = Some(started.run.to_string());
                if adoption.key_used_by.is_some() {
                    row.outcome = ImportOutcome::Imported;
                }
                row.note = row
                    .note
                    .take()
                    .or_else(|| Some(format!("goes on at {}: {}", STAGES[stage].0, standing.says())));
                Ok(Some(started.run))
            }
            Err(fault) => {
                row.outcome = ImportOutcome::Left;
                row.note =
                    Some(format!("its history is here, and no run goes on with it: {}", fault.message));
                Ok(None)
            }
        }
    }
}

fn ended_at(fact: &OrchFact) -> Timestamp {
    match fact {
        OrchFact::Worked(work) => work.ended_at,
        OrchFact::Approved { at, .. } => *at,
    }
}

/// The run of a task's history: the same one however often it is imported.
fn history_run(task: &OrchTask) -> RunId {
    RunId::of_text(&format!("{IMPORTER}/{}/{}", task.repo, task.issue))
}

/// The key of the pipeline for an input, where it names nothing else.
fn key_of(next: &Definition, input: &Value) -> Option<String> {
    let written = next.key.as_ref()?.value.source().as_str()?.to_owned();
    let known =
        ["project", "issue"].map(|name| (format!("${{input.{name}}}"), input[name].as_str().unwrap_or("")));
    let rendered = known.iter().fold(written, |text, (name, value)| text.replace(name.as_str(), value));
    (!rendered.contains("${")).then_some(rendered)
}

/// What ORCH knew of a task's issue, as `plane.issue` says it.
fn issue(task: &OrchTask) -> Value {
    let name = if task.title.is_empty() { "untitled" } else { &task.title };
    json!({
        "id": task.issue, "name": name, "description": task.description, "sequence": number(&task.item), "state": null,
        "labels": [], "url": null, "fetched": false, "reason": "as ORCH knew it",
    })
}

/// The number at the end of a work item's name.
fn number(item: &str) -> Option<u64> {
    item.rsplit('-').next()?.parse().ok()
}
