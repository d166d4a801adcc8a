//! Everything of this crate that an engine acts with.

use std::sync::Arc;

use everfold_engine::execution::{Directory, Edge, Executor, Prober};
use everfold_engine::layout::Layout;

use crate::agent::AgentExecutor;
use crate::command::CommandExecutor;
use crate::function::{FunctionExecutor, Functions};
use crate::git::GitWorkspaces;
use crate::probe::{CommandProber, DiffProber, FileProber, FrontmatterProber};
use crate::process::{ProcessSurvivors, Processes};

/// The executors `command`, `agent` and `function`, the probers `command`, `file`, `frontmatter` and
/// `diff`, git workspaces in the data folder, and what finds supervised processes again.
#[must_use]
pub fn edge(
    layout: &Layout,
    processes: &Processes,
    functions: Functions,
    directory: Option<Arc<dyn Directory>>,
) -> Edge {
    let executors: [(&str, Arc<dyn Executor>); 3] = [
        ("command", Arc::new(CommandExecutor::new(processes.clone()))),
        ("agent", Arc::new(AgentExecutor::new(processes.clone()))),
        ("function", Arc::new(FunctionExecutor::new(functions))),
    ];
    let probers: [(&str, Arc<dyn Prober>); 4] = [
        ("command", Arc::new(CommandProber::new(processes.clone()))),
        ("file", Arc::new(FileProber::new(processes.clone()))),
        ("frontmatter", Arc::new(FrontmatterProber::new(processes.clone()))),
        ("diff", Arc::new(DiffProber)),
    ];
    Edge {
        directory,
        executors: executors.into_iter().map(|(kind, it)| (kind.to_owned(), it)).collect(),
        probers: probers.into_iter().map(|(kind, it)| (kind.to_owned(), it)).collect(),
        workspaces: Some(Arc::new(GitWorkspaces::new(&layout.worktrees()))),
        survivors: Some(Arc::new(ProcessSurvivors::new(processes.clone()))),
    }
}
