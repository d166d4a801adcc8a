//! The top level of a pipeline file.

use std::collections::BTreeMap;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Admit, Definition, ROUNDS_DEFAULT, ROUNDS_MAX, WorkspaceSpec};
use super::defaults::Defaults;
use super::reader::{PipelineReader, Section, Shape, StartFolder};
use super::step::StepDraft;
use super::uses::ExprPlace;
use crate::expr::Template;

pub(super) const SHAPE: Shape = Shape {
    what: "a pipeline",
    keys: &[
        "name",
        "description",
        "include",
        "input",
        "config",
        "config_records",
        "key",
        "number",
        "labels",
        "search",
        "admit",
        "concurrency",
        "budget",
        "workspace",
        "secrets",
        "rounds",
        "defaults",
        "locals",
        "templates",
        "policies",
        "triggers",
        "on_signal",
        "notify",
        "steps",
        "on_finish",
        "output",
    ],
};

/// A pipeline as it was read, before its names and order are checked.
pub(in super::super) struct Pipeline {
    /// All but the steps; without a name where the file has none.
    pub(in super::super) definition: Definition,
    /// Steps, then those of `on_finish`.
    pub(in super::super) drafts: Vec<StepDraft>,
}

impl PipelineReader<'_> {
    /// Reads the whole file.
    pub(in super::super) fn pipeline(&mut self, root: &YamlNode) -> Option<Pipeline> {
        let keys = self.keys(root, &SHAPE)?;
        let name = match keys.get("name") {
            Some(name) => self.name(name),
            None => {
                self.missing(root, "a pipeline", "name", "name: my-pipeline");
                None
            }
        };
        let description =
            keys.get("description").and_then(|node| self.text(node, "`description`")).unwrap_or_default();
        let input = keys.get("input").and_then(|node| self.schema(node, "`input`"));
        let config = keys.get("config").map_or_else(BTreeMap::new, |node| self.config(node));
        let config_records =
            keys.get("config_records").map_or_else(BTreeMap::new, |node| self.config_records(node, &config));
        let key = keys.get("key").and_then(|node| self.run_key(node));
        let number = keys.get("number").and_then(|node| self.numbering(node));
        let labels =
            keys.get("labels").map_or_else(BTreeMap::new, |node| self.labels(node, ExprPlace::Start));
        let search = keys.get("search").map_or_else(BTreeMap::new, |node| self.search(node));
        let admit = keys.get("admit").map_or_else(Admit::default, |node| self.admit(node));
        let concurrency = keys.get("concurrency").map_or_else(Vec::new, |node| self.concurrency(node));
        let budgets = keys.get("budget").map_or_else(Vec::new, |node| self.budgets(node));
        let workspace = keys.get("workspace").and_then(|node| self.workspace(node));
        if matches!(workspace, Some(WorkspaceSpec::Git(_))) {
            self.run_folder = StartFolder::Worktree;
        }
        let secrets = keys.get("secrets").map_or_else(BTreeMap::new, |node| self.secrets(node));
        let rounds = keys.get("rounds").and_then(|node| self.rounds(node));
        let triggers =
            keys.get("triggers").map_or_else(Vec::new, |node| self.triggers(node, keys.get("key").is_some()));
        self.settings_of_triggers(&triggers);
        let on_signal = keys.get("on_signal").map_or_else(BTreeMap::new, |node| self.on_signal(node));
        let notify = keys.get("notify").map_or_else(Vec::new, |node| self.notices(node));
        let defaults = keys.get("defaults").map_or_else(Defaults::default, |node| self.defaults(node));
        let mut drafts = Vec::new();
        match keys.get("steps").or_else(|| self.meant(root, "steps")) {
            Some(steps) => {
                if matches!(&steps.kind, Kind::List(items) if items.is_empty()) {
                    self.report(Code::MissingKey, steps.span.clone(), "a pipeline has at least one step")
                        .hint = Some("write - {id: build, command: make}".to_owned());
                }
                self.steps(steps, Section::Steps, &defaults, &mut drafts);
            }
            None => self.missing(root, "a pipeline", "steps", "steps: and a list of steps"),
        }
        if let Some(steps) = keys.get("on_finish") {
            self.steps(steps, Section::OnFinish, &defaults, &mut drafts);
        }
        self.step = None;
        if let Some(on_signal) = keys.get("on_signal") {
            self.shared_routes(on_signal, &mut drafts);
        }
        let output = keys.get("output").and_then(|node| self.template(node, ExprPlace::Output));
        let definition = Definition {
            name: name.unwrap_or_default(),
            description,
            input,
            config,
            config_records,
            key,
            number,
            admit,
            concurrency,
            budgets,
            workspace,
            secrets,
            labels,
            search,
            rounds,
            triggers,
            on_signal,
            notify,
            steps: Vec::new(),
            on_finish: Vec::new(),
            output,
            files: BTreeMap::new(),
            derived: Default::default(),
        };
        Some(Pipeline { definition, drafts })
    }

    /// How often steps may be reworked without a person; what is the default anyway is left out, so that the
    /// pipeline keeps its hash.
    fn rounds(&mut self, node: &YamlNode) -> Option<u32> {
        let rounds: u32 = self.number(node, "`rounds`", 1)?;
        if rounds > ROUNDS_MAX {
            let message = format!("`rounds` is at most {ROUNDS_MAX}, not {rounds}");
            self.report(Code::TooLarge, node.span.clone(), message).hint =
                Some("a loop with a person in it needs none: people's reworks are not counted".to_owned());
        }
        (rounds != ROUNDS_DEFAULT).then_some(rounds)
    }

    fn name(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "`name`")?;
        if text.len() <= 128 && text.split('/').all(|part| super::scalar::is_id(part, false)) {
            return Some(text);
        }
        let fixed: Vec<String> = text.split('/').map(crate::expr::functions::slug_of).collect();
        self.report(Code::Value, node.span.clone(), format!("“{text}” is no pipeline name")).hint = Some(
            format!("lower-case letters, digits, `_` and `-`, in parts joined by `/`: `{}`", fixed.join("/")),
        );
        None
    }

    /// Labels: texts by name.
    pub(super) fn labels(&mut self, node: &YamlNode, place: ExprPlace) -> BTreeMap<String, Template> {
        self.text_map(node, "`labels`", place)
    }
}
