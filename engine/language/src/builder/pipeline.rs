//! The whole pipeline, and its way through the reader.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::control::{Budget, Concurrency, Config, Key, Secret};
use super::gate::Gate;
use super::problem::BuildError;
use super::route::Routes;
use super::step::{Defaults, Step};
use super::trigger::{Notice, Trigger};
use super::value::{Data, Number, Text, Word};
use super::workspace::Workspace;
use crate::definition::{CheckedPipeline, Definition, FileSource, OnRefused, json_as_yaml, parse};

construct! {
    /// A pipeline as it is written down so far; [`Pipeline::build`] reads and checks it.
    Pipeline
    set {
        /// For readers.
        description "description": Text;
        /// The JSON Schema of the input.
        input "input": Data;
        /// The run's identity: a text, or [`Key`].
        key "key": Key;
        /// What every step takes over where it says nothing.
        defaults "defaults": Defaults;
        /// Where the steps work.
        workspace "workspace": Workspace;
        /// How often steps may be reworked without a person, by all routes together.
        rounds "rounds": Number;
        /// The run's result.
        output "output": Data;
    }
    push {
        /// A file beside the pipeline whose maps and lists are added to its own.
        include "include": Text;
        /// A slot that the run holds from its admission to its end.
        concurrency "concurrency": Concurrency;
        /// What the run, or all runs of a scope, may use up.
        budget "budget": Budget;
        /// What starts or signals runs by itself.
        trigger "triggers": Trigger;
        /// Sends notices of what happens.
        notify "notify": Notice;
        /// The next step.
        step "steps": Step;
        /// A step that runs however the run ends.
        on_finish "on_finish": Step;
    }
    entry {
        /// A settings document: a path, paths, or [`Config`].
        config "config": Config;
        /// The schema of the records at `DOCUMENT.KEY` of the settings; those that do not fit are left out.
        config_record "config_records": Data;
        /// A label, rendered when the run starts.
        label "labels": Text;
        /// A value with a type that runs are found by: a template, or `{"type": …, "value": …}`.
        search "search": Data;
        /// Where a secret comes from.
        secret "secrets": Secret;
        /// What a signal means that no step took.
        on_signal "on_signal": Routes;
        /// A value that expressions and texts call `local.NAME`.
        local "locals": Data;
        /// A policy that gates name.
        policy "policies": Text;
    }
    also ["name", "number", "admit", "templates"]
}

impl Pipeline {
    /// A pipeline of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self::empty().with_key("name", name.into())
    }

    /// Gives each run a number, counted from 1 for the pipeline's name.
    pub fn numbered(self) -> Self {
        self.with_key("number", true)
    }

    /// Gives each run a number, counted from 1 for this key, rendered when the run starts.
    pub fn numbered_by(self, key: impl Into<Text>) -> Self {
        let key: Text = key.into();
        self.with_key("number", json!({ "key": Value::from(key) }))
    }

    /// The run's workspace is that of the run that starts it.
    pub fn workspace_of_parent(self) -> Self {
        self.with_key("workspace", "parent")
    }

    /// A template for steps that are [`Step::like`] it; the id of `step` is no part of it.
    pub fn template(self, name: impl Into<String>, step: Step) -> Self {
        self.with_template(name.into(), step.into())
    }

    /// A template for notices that are [`Notice::like`] it; the id of `notice` is no part of it.
    pub fn notice_template(self, name: impl Into<String>, notice: Notice) -> Self {
        self.with_template(name.into(), notice.into())
    }

    fn with_template(mut self, name: String, mut template: Value) -> Self {
        if let Some(keys) = template.as_object_mut() {
            keys.remove("id");
        }
        self.keys.entry("templates").or_insert_with(|| json!({}))[name] = template;
        self
    }

    /// A gate that is judged before a run begins.
    pub fn admit(mut self, gate: Gate) -> Self {
        let gates = &mut self.admission()["gates"];
        match gates.as_array_mut() {
            Some(gates) => gates.push(gate.into()),
            None => *gates = Value::Array(vec![gate.into()]),
        }
        self
    }

    /// What a refused admission means.
    pub fn on_refused(mut self, on_refused: OnRefused) -> Self {
        self.admission()["on_refused"] = Word::from(on_refused).into();
        self
    }

    /// Secrets that the commands of these gates get as variables.
    pub fn admit_secrets(mut self, names: impl Into<super::value::Texts>) -> Self {
        let names: super::value::Texts = names.into();
        self.admission()["secrets"] = names.into();
        self
    }

    fn admission(&mut self) -> &mut Value {
        self.keys.entry("admit").or_insert_with(|| json!({ "gates": [] }))
    }

    /// The pipeline as a file would have it, in JSON (which is YAML): for storing it, or looking at it.
    #[must_use]
    pub fn source(&self) -> String {
        json_as_yaml(&format!("{:#}", Value::Object(self.keys.clone())))
    }

    /// Reads and checks the pipeline; it names no files.
    ///
    /// # Errors
    /// Every problem at once, each with its place as a path of ids.
    pub fn build(&self) -> Result<Definition, BuildError> {
        self.build_with(&BTreeMap::new())
    }

    /// Reads and checks the pipeline, with the prompts, roles and pipelines that it names by path: a map
    /// from paths to texts, or a function that reads them.
    ///
    /// # Errors
    /// As for [`Pipeline::build`].
    pub fn build_with(&self, files: &dyn FileSource) -> Result<Definition, BuildError> {
        Ok(self.check(files)?.definition)
    }

    /// Reads and checks the pipeline; returns the definition with its warnings.
    ///
    /// # Errors
    /// Every problem at once, warnings among them.
    pub fn check(&self, files: &dyn FileSource) -> Result<Built, BuildError> {
        let source = self.source();
        let reported = |problems| BuildError::new(problems, &source);
        let CheckedPipeline { definition, warnings } =
            parse(&source, super::problem::NAME, files).map_err(|problems| reported(problems.0))?;
        Ok(Built { definition, warnings: reported(warnings) })
    }
}

/// A pipeline that was read, with what is pointed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The definition.
    pub definition: Definition,
    /// What is allowed, but probably not meant.
    pub warnings: BuildError,
}
