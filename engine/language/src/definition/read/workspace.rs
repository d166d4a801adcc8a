//! Where the steps of a run work.

use super::super::codes::Code;
use super::super::yaml::YamlNode;
use super::super::{GitWorkspace, Keep, Save, WorkspaceSpec};
use super::reader::{Keys, PipelineReader, Shape};
use super::uses::ExprPlace;

pub(super) const GIT: Shape = Shape {
    what: "`workspace`",
    keys: &["git", "base", "branch", "save", "message", "author", "keep", "keep_branch", "dir"],
};

impl PipelineReader<'_> {
    pub(super) fn workspace(&mut self, node: &YamlNode) -> Option<WorkspaceSpec> {
        if node.text().is_some() && !node.is_null() {
            self.word(node, "`workspace`", &[("parent", ())])?;
            return Some(WorkspaceSpec::Parent);
        }
        let keys = self.keys(node, &GIT)?;
        match (keys.get("git"), keys.get("dir")) {
            (Some(git), None) => self.git(keys, git).map(WorkspaceSpec::Git),
            (None, Some(dir)) => {
                if let Some(extra) = GIT.keys.iter().find(|key| **key != "dir" && keys.get(key).is_some()) {
                    let span = keys.key_span(extra);
                    self.report(
                        Code::Combination,
                        span,
                        format!("`{extra}` belongs to `git`, not to `dir`"),
                    )
                    .hint =
                        Some("take it out, or give the workspace `git: PATH` instead of `dir`".to_owned());
                }
                self.text_template(dir, "`dir`", ExprPlace::Workspace).map(WorkspaceSpec::Dir)
            }
            (Some(_), Some(_)) => {
                let span = keys.key_span("dir");
                self.report(Code::Combination, span, "a workspace is either `git` or `dir`").hint =
                    Some("keep one of them".to_owned());
                None
            }
            (None, None) => {
                if !self.is_meant(node, &["dir"]) {
                    self.missing(node, "`workspace`", "git", "git: PATH of the repository, or dir: PATH");
                }
                None
            }
        }
    }

    fn git(&mut self, keys: Keys<'_>, git: &YamlNode) -> Option<GitWorkspace> {
        let mut text = |key: &str, place: ExprPlace| {
            keys.get(key).and_then(|node| self.text_template(node, &format!("`{key}`"), place))
        };
        let (base, branch) = (text("base", ExprPlace::Workspace), text("branch", ExprPlace::Workspace));
        let (message, author) = (text("message", ExprPlace::Commit), text("author", ExprPlace::Commit));
        if let (Some(template), Some(node)) = (&author, keys.get("author"))
            && template.is_constant()
            && !node.text().is_some_and(is_author)
        {
            self.report(Code::Value, node.span.clone(), "`author` is a name and an address").hint =
                Some("write Ada Lovelace <ada@example.org>".to_owned());
        }
        let save = keys.get("save").and_then(|node| {
            let words = [("none", Save::None), ("commit", Save::Commit), ("push", Save::Push)];
            self.word(node, "`save`", &words)
        });
        let keep = keys.get("keep").and_then(|node| {
            let words = [("never", Keep::Never), ("failed", Keep::Failed), ("always", Keep::Always)];
            self.word(node, "`keep`", &words)
        });
        let keep_branch = keys.get("keep_branch").and_then(|node| self.bool(node, "`keep_branch`"));
        for key in ["message", "author"] {
            if keys.get(key).is_some() && save.unwrap_or_default() == Save::None {
                let span = keys.key_span(key);
                self.report(
                    Code::Combination,
                    span,
                    format!("`{key}` is for the commits of `save: commit` or `push`"),
                )
                .hint = Some("add `save: commit`, or take it out".to_owned());
            }
        }
        Some(GitWorkspace {
            git: self.text_template(git, "`git`", ExprPlace::Workspace)?,
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
