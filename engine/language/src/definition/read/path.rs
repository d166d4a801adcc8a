//! Paths that stand in a file: those that can name nothing in the folder that they begin in.

use super::super::codes::Code;
use super::super::yaml::Node;
use super::reader::{Keys, Reader};

impl Reader<'_> {
    /// Takes note of where a step looks for files: in the run's worktree, or in a folder that has a name.
    pub(super) fn note_folder(&mut self, keys: Keys<'_>) {
        let own = keys.get("workspace").map(|workspace| workspace.text());
        self.in_worktree = self.has_worktree && matches!(own, None | Some(Some("run" | "own")));
    }

    /// Reports a written path that names nothing inside of the workspace, wherever that lies.
    pub(super) fn inner_path(&mut self, node: &Node, what: &str) {
        let Some(path) = written(node) else { return };
        let (message, hint) = if path.is_empty() {
            (format!("{what} is empty"), "write a path below the folder of the step: docs/plan.md")
        } else if leads_out(path, self.in_worktree) {
            let hint = "paths are relative to the folder of the step and stay in it; another folder is the step's \
                        `workspace: {dir: PATH}`";
            (format!("“{path}” leads out of the workspace"), hint)
        } else {
            return;
        };
        self.report(Code::Value, node.span.clone(), message).hint = Some(hint.to_owned());
    }

    /// Reports a written glob of the probe `file` that fits no file, where at least one must be there.
    pub(super) fn glob_that_fits_nothing(&mut self, file: &Node) {
        let Some(glob) = file.get("glob") else { return };
        let Some(text) = written(glob).filter(|_| file.get("min").is_none_or(Node::is_null)) else { return };
        if text.is_empty() || text.starts_with("../") {
            let message = format!("the glob “{text}” fits no file");
            self.report(Code::Value, glob.span.clone(), message).hint =
                Some("it is compared with paths below the folder of the step: \"docs/**/*.md\"".to_owned());
        }
    }
}

/// A text in which nothing is computed.
fn written(node: &Node) -> Option<&str> {
    node.text().filter(|text| !node.is_null() && !text.contains("${"))
}

/// Whether a path leads out of the folder that it begins in for certain. One that goes up may come back through
/// the folder's own name, where that can be known; one that goes up behind a folder may follow a link.
fn leads_out(path: &str, is_nameless: bool) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    let mut up = 0;
    while parts.next_if_eq(&"..").is_some() {
        up += 1;
    }
    let below: Vec<&str> = parts.collect();
    let is_plain = !path.starts_with('/') && !below.contains(&"..");
    up > 0 && is_plain && (is_nameless || below.len() <= up)
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
            assert_eq!((leads_out(path, false), leads_out(path, true)), (named, nameless), "{path}");
        }
    }
}
