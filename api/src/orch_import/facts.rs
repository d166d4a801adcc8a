//! What a task of ORCH says happened, in order and by the steps of the pipeline that goes on with it.
//!
//! Law: what ORCH recorded, and no more. An agent run without an end ends where the next thing begins; that its end is not
//! known is said.

use std::collections::BTreeMap;

use everfold_engine::artefact::Usage;
use everfold_engine::id::StepId;
use everfold_engine::json::Value;
use everfold_engine::time::Timestamp;
use serde_json::json;

use super::history::OrchSteps;
use super::plan::STAGES;
use super::source::{AgentRun, OrchTask};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum OrchFact {
    /// An agent was launched, worked and ended.
    Worked(Box<AgentWork>),
    /// The analysis was shown to its owner, and approved.
    Approved { asked_at: Timestamp, at: Timestamp, is_recorded: bool },
}

/// The work of an agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AgentWork {
    pub(super) step: StepId,
    pub(super) began_at: Timestamp,
    pub(super) ended_at: Timestamp,
    /// Its output, or why it failed.
    pub(super) result: Result<Value, String>,
    pub(super) usage: Option<Usage>,
    /// What the signal says that launches it.
    pub(super) launch: Value,
}

/// The facts of a task, in order.
pub(super) fn facts(task: &OrchTask, stage: usize, steps: &OrchSteps, began_at: Timestamp) -> Vec<OrchFact> {
    let stages = stages_of(&task.runs);
    let mut facts = Vec::new();
    let mut now = began_at;
    let mut analysed_at = None;
    let is_past_analysis = stage > 0;
    let mut approved = !is_past_analysis;
    for (at, (run, stage)) in task.runs.iter().zip(&stages).enumerate() {
        let Some(stage) = *stage else { continue };
        let began = run.started_at.unwrap_or(now).max(now);
        if stage > 0 && !approved {
            facts.push(approval(task, analysed_at.unwrap_or(began_at), began));
            approved = true;
        }
        let Some(step) = steps.agents[stage].clone() else { continue };
        let next = task.runs.get(at + 1).and_then(|next| next.started_at);
        let ended = run.finished_at.or(next).unwrap_or(began).max(began);
        facts.push(OrchFact::Worked(Box::new(work(step, run, began, ended))));
        if stage == 0 {
            analysed_at = Some(ended);
        }
        now = ended;
    }
    if !approved {
        let at = task.review_ended_at.unwrap_or(now).max(now);
        facts.push(approval(task, analysed_at.unwrap_or(began_at), at));
    }
    facts
}

/// What a task used up in ORCH; the import puts it into the input of the run that goes on: `{since, steps, usage, worked,
/// reviewed}` with the seconds that agents worked and that the task's owner looked at the analysis.
pub(super) fn former(facts: &[OrchFact], began_at: Timestamp) -> Value {
    let mut steps: BTreeMap<String, FormerWork> = BTreeMap::new();
    let (mut all, mut reviewed) = (FormerWork::default(), 0);
    for fact in facts {
        match fact {
            OrchFact::Worked(work) => {
                all.add(work);
                steps.entry(work.step.to_string()).or_default().add(work);
            }
            OrchFact::Approved { asked_at, at, .. } => reviewed += at.since(*asked_at).as_secs(),
        }
    }
    let steps: BTreeMap<String, Value> = steps.into_iter().map(|(step, work)| (step, work.value())).collect();
    json!({ "since": began_at, "steps": steps, "usage": all.value(), "worked": all.seconds, "reviewed": reviewed })
}

/// What agents used up.
#[derive(Default)]
struct FormerWork {
    seconds: u64,
    used: Usage,
}

impl FormerWork {
    fn add(&mut self, work: &AgentWork) {
        self.seconds = self.seconds.saturating_add(work.ended_at.since(work.began_at).as_secs());
        let Some(used) = &work.usage else { return };
        let read = used.input_tokens.saturating_add(used.cached_tokens);
        self.used.input_tokens = self.used.input_tokens.saturating_add(read);
        self.used.cached_tokens = self.used.cached_tokens.saturating_add(used.cached_tokens);
        self.used.output_tokens = self.used.output_tokens.saturating_add(used.output_tokens);
        self.used.cost_micros = self.used.cost_micros.saturating_add(used.cost_micros);
        self.used.model = used.model.clone().or(self.used.model.take());
    }

    fn value(&self) -> Value {
        json!({
            "worked": self.seconds, "input": self.used.input_tokens, "cached": self.used.cached_tokens,
            "output": self.used.output_tokens, "cost": self.used.cost_micros as f64 / 1e6,
            "model": self.used.model.clone().unwrap_or_default(),
        })
    }
}

/// The stage in which each agent run worked. An agent has one stage; only the deployer has two: its run behind one that
/// ended well is of the next.
fn stages_of(runs: &[AgentRun]) -> Vec<Option<usize>> {
    let mut last = 0;
    let mut is_staged = false;
    let mut stage_of = |run: &AgentRun| {
        let own: Vec<usize> =
            (0..STAGES.len()).filter(|at| STAGES[*at].1.eq_ignore_ascii_case(run.agent.trim())).collect();
        let at = match own.as_slice() {
            [] => return None,
            [one] => *one,
            [first, .., second] => {
                if is_staged {
                    *second
                } else {
                    *first
                }
            }
        };
        if at < STAGES.len() - 2 {
            is_staged = false;
        } else {
            is_staged = is_staged || run.exit_code == Some(0);
        }
        last = at.max(last);
        Some(at)
    };
    runs.iter().map(&mut stage_of).collect()
}

fn approval(task: &OrchTask, analysed_at: Timestamp, before: Timestamp) -> OrchFact {
    let at = task.review_ended_at.map_or(before, |at| at.min(before)).max(analysed_at);
    let asked_at = task.review_started_at.unwrap_or(analysed_at).max(analysed_at).min(at);
    OrchFact::Approved { asked_at, at, is_recorded: task.review_ended_at.is_some() }
}

fn work(step: StepId, run: &AgentRun, began_at: Timestamp, ended_at: Timestamp) -> AgentWork {
    let mut said: BTreeMap<&str, Value> = BTreeMap::new();
    said.insert("orch_run", json!(run.id));
    said.insert("agent", json!(run.agent));
    if let Some(code) = run.exit_code {
        said.insert("exit_code", json!(code));
    }
    let launch = json!({ "orch_run": run.id, "agent": run.agent });
    let result = match (run.exit_code, run.finished_at) {
        (Some(0), _) => Ok(json!(said)),
        // ORCH takes a finished run without an exit code for a good one.
        (None, Some(_)) => Ok(json!(said)),
        (Some(-9), _) => Err("ORCH's watchdog ended it (exit code -9)".to_owned()),
        (Some(code), _) => Err(format!("it ended with exit code {code}")),
        (None, None) => Err("ORCH recorded no end of it".to_owned()),
    };
    AgentWork { step, began_at, ended_at, result, usage: usage(run), launch }
}

/// What the run used up; nothing where ORCH recorded nothing.
fn usage(run: &AgentRun) -> Option<Usage> {
    let is_recorded = run.input_tokens.is_some() || run.output_tokens.is_some() || run.cost_usd.is_some();
    is_recorded.then(|| Usage {
        model: run.model.clone(),
        // What is written into a cache was read for the first time.
        input_tokens: run.input_tokens.unwrap_or(0).saturating_add(run.cache_creation_tokens.unwrap_or(0)),
        cached_tokens: run.cache_read_tokens.unwrap_or(0),
        output_tokens: run.output_tokens.unwrap_or(0),
        cost_micros: (run.cost_usd.unwrap_or(0.0) * 1e6).round() as u64,
        session: None,
    })
}
