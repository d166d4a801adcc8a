//! Checks the paths of a pipeline file: reports those that lead out of the folder in which they begin.

use super::super::codes::Code;
use super::super::yaml::YamlNode;
use super::reader::{Keys, PipelineReader, StartFolder};

impl PipelineReader<'_> {
    /// Sets the folder in which the paths of a step begin.
    pub(super) fn note_folder(&mut self, keys: Keys<'_>) {
        let own = keys.get("workspace").map(|workspace| workspace.text());
        self.step_folder = match own {
            None | Some(Some("run" | "own")) => self.run_folder,
            Some(_) => StartFolder::Named,
        };
    }

    /// Reports a written path that names nothing inside of the workspace, wherever that lies.
    pub(super) fn inner_path(&mut self, node: &YamlNode, what: &str) {
        let Some(path) = written(node) else { return };
        let (message, hint) = if path.is_empty() {
            (format!("{what} is empty"), "write a path below the folder of the step: docs/plan.md")
        } else if leads_out(path, self.step_folder) {
            let hint = "paths are relative to the folder of the step and stay in it; another folder is the step's \
                        `workspace: {dir: PATH}`";
            (format!("“{path}” leads out of the workspace"), hint)
        } else {
            return;
        };
        self.report(Code::Value, node.span.clone(), message).hint = Some(hint.to_owned());
    }

    /// Reports a written glob of the probe `file` that fits no file, where at least one must be there.
    pub(super) fn glob_that_fits_nothing(&mut self, file: &YamlNode) {
        let Some(glob) = file.get("glob") else { return };
        let Some(text) = written(glob).filter(|_| file.get("min").is_none_or(YamlNode::is_null)) else {
            return;
        };
        if text.is_empty() || text.starts_with("../") {
            let message = format!("the glob “{text}” fits no file");
            self.report(Code::Value, glob.span.clone(), message).hint =
                Some("it is compared with paths below the folder of the step: \"docs/**/*.md\"".to_owned());
        }
    }
}

/// A text in which nothing is computed.
fn written(node: &YamlNode) -> Option<&str> {
    node.text().filter(|text| !node.is_null() && !text.contains("${"))
}

/// Whether a path leads out of the folder that it begins in for certain. One that goes up may come back through
/// the folder's own name, where that can be known; one that goes up behind a folder may follow a link.
fn leads_out(path: &str, folder: StartFolder) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    let mut up = 0;
    while parts.next_if_eq(&"..").is_some() {
        up += 1;
    }
    let below: Vec<&str> = parts.collect();
    let is_plain = !path.starts_with('/') && !below.contains(&"..");
    up > 0 && is_plain && (folder == StartFolder::Worktree || below.len() <= up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_out_only_where_no_folder_brings_it_back() {
        for (path, named, nameless) in [
            ("../x", true, true),
            ("..", true, true),
            ("./../x", true, true),
            ("../../a/b", true, true),
            ("../own/x", false, true),
            ("link/../../x", false, false),
            ("../own/../x", false, false),
            ("/tmp/x", false, false),
            ("a/../b", false, false),
            ("..x/y", false, false),
        ] {
            let found = [StartFolder::Named, StartFolder::Worktree].map(|folder| leads_out(path, folder));
            assert_eq!(found, [named, nameless], "{path}");
        }
    }
}
