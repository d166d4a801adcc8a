//! The top level of a pipeline file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::codes::Code;
use super::super::yaml::{Kind, Node};
use super::super::{GitWorkspace, Keep, Save, WorkspaceSpec};
use super::step::{Defaults, Draft};
use super::{Keys, Place, Reader, Shape};
use crate::expr::Template;

pub(super) const SHAPE: Shape = Shape {
    what: "a pipeline",
    keys: &[
        "name",
        "description",
        "input",
        "workspace",
        "labels",
        "defaults",
        "steps",
        "on_finish",
        "output",
    ],
    later: &["config", "key", "admit", "concurrency", "budget", "secrets", "triggers", "on_signal", "notify"],
};

pub(super) const GIT: Shape = Shape {
    what: "`workspace`",
    keys: &["git", "base", "branch", "save", "message", "author", "keep", "keep_branch", "dir"],
    later: &[],
};

/// A pipeline as it was read, before its names and order are checked.
pub(in super::super) struct Pipeline {
    pub(in super::super) name: Option<String>,
    pub(in super::super) description: String,
    pub(in super::super) input: Option<Value>,
    pub(in super::super) workspace: Option<WorkspaceSpec>,
    pub(in super::super) labels: BTreeMap<String, Template>,
    /// Steps, then those of `on_finish`.
    pub(in super::super) drafts: Vec<Draft>,
    pub(in super::super) output: Option<Template>,
}

impl Reader<'_> {
    /// Reads the whole file.
    pub(in super::super) fn pipeline(&mut self, root: &Node) -> Option<Pipeline> {
        let keys = self.keys(root, &SHAPE)?;
        let name = match keys.get("name") {
            Some(name) => self.name(name),
            None => {
                self.missing(root.span.clone(), "a pipeline", "name", "name: my-pipeline");
                None
            }
        };
        let description =
            keys.get("description").and_then(|node| self.text(node, "`description`")).unwrap_or_default();
        let input = keys.get("input").and_then(|node| self.schema(node, "`input`"));
        let workspace = keys.get("workspace").and_then(|node| self.workspace(node));
        let labels = keys.get("labels").map_or_else(BTreeMap::new, |node| self.labels(node, Place::Start));
        let defaults = keys.get("defaults").map_or_else(Defaults::default, |node| self.defaults(node));
        let mut drafts = Vec::new();
        match keys.get("steps") {
            Some(steps) => {
                if matches!(&steps.kind, Kind::List(items) if items.is_empty()) {
                    self.report(Code::MissingKey, steps.span.clone(), "a pipeline has at least one step");
                }
                self.steps(steps, "`steps`", false, &defaults, &mut drafts);
            }
            None => self.missing(root.span.clone(), "a pipeline", "steps", "steps: and a list of steps"),
        }
        if let Some(steps) = keys.get("on_finish") {
            self.steps(steps, "`on_finish`", true, &defaults, &mut drafts);
        }
        self.step = None;
        let output = keys.get("output").and_then(|node| self.template(node, Place::Output));
        Some(Pipeline { name, description, input, workspace, labels, drafts, output })
    }

    fn name(&mut self, node: &Node) -> Option<String> {
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
    pub(super) fn labels(&mut self, node: &Node, place: Place) -> BTreeMap<String, Template> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`labels`", "a map");
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Some(template) = self.text_template(value, &format!("the label `{name}`"), place) {
                labels.insert(name.to_owned(), template);
            }
        }
        labels
    }

    fn workspace(&mut self, node: &Node) -> Option<WorkspaceSpec> {
        if node.text() == Some("parent") {
            self.not_yet(node.span.clone(), "`workspace: parent`");
            return None;
        }
        let keys = self.keys(node, &GIT)?;
        match (keys.get("git"), keys.get("dir")) {
            (Some(git), None) => self.git(keys, git).map(WorkspaceSpec::Git),
            (None, Some(dir)) => {
                if let Some(extra) = GIT.keys.iter().find(|key| **key != "dir" && keys.get(key).is_some()) {
                    let span = keys.key_span(extra);
                    self.report(Code::Combination, span, format!("`{extra}` belongs to `git`, not to `dir`"));
                }
                self.text_template(dir, "`dir`", Place::Workspace).map(WorkspaceSpec::Dir)
            }
            (Some(_), Some(_)) => {
                let span = keys.key_span("dir");
                self.report(Code::Combination, span, "a workspace is either `git` or `dir`");
                None
            }
            (None, None) => {
                self.missing(
                    node.span.clone(),
                    "`workspace`",
                    "git",
                    "git: PATH of the repository, or dir: PATH",
                );
                None
            }
        }
    }

    fn git(&mut self, keys: Keys<'_>, git: &Node) -> Option<GitWorkspace> {
        let mut text = |key: &str, place: Place| {
            keys.get(key).and_then(|node| self.text_template(node, &format!("`{key}`"), place))
        };
        let (base, branch) = (text("base", Place::Workspace), text("branch", Place::Workspace));
        let (message, author) = (text("message", Place::Commit), text("author", Place::Commit));
        if let (Some(template), Some(node)) = (&author, keys.get("author"))
            && template.is_constant()
            && !node.text().is_some_and(is_author)
        {
            self.report(Code::Value, node.span.clone(), "`author` is a name and an address").hint =
                Some("write Ada Lovelace <ada@example.org>".to_owned());
        }
        let save = keys.get("save").and_then(|node| {
            let words = [("none", Save::None), ("commit", Save::Commit), ("push", Save::Push)];
            self.word(node, "`save`", &words, &[])
        });
        let keep = keys.get("keep").and_then(|node| {
            let words = [("never", Keep::Never), ("failed", Keep::Failed), ("always", Keep::Always)];
            self.word(node, "`keep`", &words, &[])
        });
        let keep_branch = keys.get("keep_branch").and_then(|node| self.bool(node, "`keep_branch`"));
        for key in ["message", "author"] {
            if keys.get(key).is_some() && save.unwrap_or_default() == Save::None {
                let span = keys.key_span(key);
                self.report(
                    Code::Combination,
                    span,
                    format!("`{key}` is for the commits of `save: commit` or `push`"),
                );
            }
        }
        Some(GitWorkspace {
            git: self.text_template(git, "`git`", Place::Workspace)?,
            base,
            branch,
            save: save.unwrap_or_default(),
            message,
            author,
            keep: keep.unwrap_or_default(),
            keep_branch,
        })
    }
}

fn is_author(text: &str) -> bool {
    text.split_once('<').is_some_and(|(name, rest)| {
        !name.trim().is_empty() && rest.strip_suffix('>').is_some_and(|mail| mail.contains('@'))
    })
}
