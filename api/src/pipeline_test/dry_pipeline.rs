//! A pipeline as a dry run plays it: with the real pipelines of its child runs, as far as they can be had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everfold_engine::definition::case::CaseStubs;
use everfold_engine::definition::{ConfigSource, Definition, ExecutorTask, Work};
use everfold_engine::id::StepId;
use everfold_engine::json::{Hash, Value};
use serde_json::json;

use super::assumptions::assume;
use super::child_pipelines::{CasePipeline, find, real_child, unused, whole};
use super::made_up;
use super::world::MadeUp;

/// How deep child runs are played; a deeper one is taken as a whole.
const DEPTH_MAX: usize = 4;
/// Pipelines of child runs of one dry run.
const CHILDREN_MAX: usize = 64;

/// A pipeline as a dry run plays it.
pub(super) struct DryPipeline {
    pub(super) pipeline: CasePipeline,
    pub(super) made_up: MadeUp,
    /// The gates that are taken to pass: the definition of their run, and `STEP/GATE`.
    pub(super) passing: BTreeMap<Hash, BTreeSet<String>>,
    /// The pipelines that steps name, by the names under which the dry run starts them.
    pub(super) named: BTreeMap<String, String>,
    /// The schemas of answers, by the step that asks.
    pub(super) answers: BTreeMap<StepId, Value>,
    /// What cannot be known before.
    pub(super) unknown: Vec<String>,
}

impl DryPipeline {
    /// The pipeline as a dry run plays it. Settings documents of the case take the place of those that are read.
    ///
    /// # Errors
    /// Why it cannot be played, in one line.
    pub(super) fn new(
        definition: &Definition,
        stubs: &CaseStubs,
        config: &BTreeMap<String, Value>,
    ) -> Result<Self, String> {
        let mut dry = Self {
            pipeline: CasePipeline { definition: Arc::new(definition.clone()), children: BTreeMap::new() },
            made_up: MadeUp::default(),
            passing: BTreeMap::new(),
            named: BTreeMap::new(),
            answers: BTreeMap::new(),
            unknown: Vec::new(),
        };
        let mut configured = definition.clone();
        for (name, given) in config {
            if let Some(sources) = configured.config.get_mut(name) {
                *sources = vec![ConfigSource::Values(given.clone())];
            }
        }
        let own = dry.play(&configured, stubs, "", 0)?;
        dry.note_others(definition);
        dry.remember(own.hash(), definition);
        dry.pipeline.definition = Arc::new(own);
        Ok(dry)
    }

    /// What other runs have a say in.
    fn note_others(&mut self, definition: &Definition) {
        if definition.key.is_some() {
            self.unknown.push("whether another run has its key".to_owned());
        }
        if !definition.concurrency.is_empty() {
            self.unknown.push("whether it waits for slots that other runs hold".to_owned());
        }
        if definition.number.is_some() {
            self.unknown.push("its number: it is counted from 1 here".to_owned());
        }
    }

    fn remember(&mut self, hash: Hash, real: &Definition) {
        self.made_up.0.insert(hash, made_up::outputs(real));
        for step in real.steps.iter().chain(&real.on_finish) {
            if let Some(Work::Question(question)) = &step.work
                && let Some(schema) = &question.schema
            {
                self.answers.insert(step.id.clone(), schema.clone());
            }
        }
    }

    /// A definition with what is assumed in it, whose `run` steps name the pipelines of the dry run.
    fn play(
        &mut self,
        definition: &Definition,
        stubs: &CaseStubs,
        place: &str,
        depth: usize,
    ) -> Result<Definition, String> {
        let mut assumed = definition.clone();
        let mut unknown = Vec::new();
        let passing = assume(&mut assumed, stubs, &mut unknown);
        self.unknown.extend(unknown.into_iter().map(|what| format!("{place}{what}")));
        let mut document: Value =
            serde_json::from_str(&assumed.document()).map_err(|error| error.to_string())?;
        for part in ["steps", "on_finish"] {
            for step in document.get_mut(part).and_then(Value::as_array_mut).into_iter().flatten() {
                let id = step["id"].as_str().unwrap_or_default().to_owned();
                let task = step.pointer_mut("/work/task").filter(|task| task["kind"] == ExecutorTask::RUN);
                let Some(task) = task else { continue };
                let named = task["spec"]["pipeline"].as_str().unwrap_or_default().to_owned();
                let child = self.child(definition, stubs, (&id, &named), place, depth)?;
                let name = unused(&id, &self.pipeline.children);
                task["spec"]["pipeline"] = json!(name);
                self.named.insert(name.clone(), named);
                self.pipeline.children.insert(name, Arc::new(child));
            }
        }
        let played: Definition = serde_json::from_value(document).map_err(|error| error.to_string())?;
        self.passing.insert(played.hash(), passing);
        Ok(played)
    }

    fn child(
        &mut self,
        above: &Definition,
        stubs: &CaseStubs,
        (step, named): (&str, &str),
        place: &str,
        depth: usize,
    ) -> Result<Definition, String> {
        let none = CaseStubs::default();
        let is_given = stubs.steps.contains_key(&StepId::new(step));
        let own = match real_child(stubs, step)? {
            Some(own) => Some(own),
            None if is_given => None,
            None => Some(&none),
        };
        let is_too_many = depth >= DEPTH_MAX || self.pipeline.children.len() >= CHILDREN_MAX;
        let real = own.filter(|_| !is_too_many).zip(find(above, named));
        if let Some((own, real)) = real {
            let played = self.play(&real, own, &format!("{place}{step}/"), depth + 1)?;
            self.remember(played.hash(), &real);
            return Ok(played);
        }
        if !is_given {
            let why = if is_too_many {
                format!("runs deeper than {DEPTH_MAX}, or more than {CHILDREN_MAX}, are not played")
            } else {
                "neither a path nor a pipeline that comes with Everfold".to_owned()
            };
            self.unknown.push(format!(
                "{place}{step}: what the run of “{named}” does ({why}); it is taken as a whole"
            ));
        }
        let stand_in = whole(step)?;
        let output = made_up::outputs(above).remove(&StepId::new(step)).unwrap_or_default();
        self.made_up.0.insert(stand_in.hash(), [(StepId::new("stub"), output)].into());
        Ok(stand_in)
    }
}
