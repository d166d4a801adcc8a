//! Everything of this crate that an engine acts with.

use std::sync::Arc;

use everfold_engine::execution::{Directory, Edge, Executor, Prober};
use everfold_engine::layout::Layout;

use crate::agent::AgentExecutor;
use crate::command::CommandExecutor;
use crate::function::{FunctionExecutor, Functions};
use crate::git::GitWorkspaces;
use crate::http::HttpClient;
use crate::probe::{
    CommandProber, ConfigProber, DiffProber, FileProber, FrontmatterProber, FunctionProber, HttpProber,
    RunsProber, TestsProber,
};
use crate::process::{ProcessSurvivors, Processes};

/// The executors `command`, `agent` and `function`, every prober of the reference but those of git hosts,
/// git workspaces in the data folder, and what finds supervised processes again. Without a directory gates
/// cannot ask about other runs.
#[must_use]
pub fn edge(
    layout: &Layout,
    processes: &Processes,
    functions: Functions,
    directory: Option<Arc<dyn Directory>>,
) -> Edge {
    let functions = FunctionExecutor::new(functions);
    let notifier = functions.notifier();
    let executors: [(&str, Arc<dyn Executor>); 3] = [
        ("command", Arc::new(CommandExecutor::new(processes.clone()))),
        ("agent", Arc::new(AgentExecutor::new(processes.clone()))),
        ("function", Arc::new(functions.clone())),
    ];
    let probers: [(&str, Arc<dyn Prober>); 9] = [
        ("command", Arc::new(CommandProber::new(processes.clone()))),
        ("file", Arc::new(FileProber::new(processes.clone()))),
        ("frontmatter", Arc::new(FrontmatterProber::new(processes.clone()))),
        ("diff", Arc::new(DiffProber)),
        ("tests", Arc::new(TestsProber)),
        ("http", Arc::new(HttpProber::new(HttpClient::new()))),
        ("runs", Arc::new(RunsProber::new(directory.clone()))),
        ("config", Arc::new(ConfigProber)),
        ("function", Arc::new(FunctionProber::new(functions))),
    ];
    Edge {
        directory,
        executors: executors.into_iter().map(|(kind, it)| (kind.to_owned(), it)).collect(),
        probers: probers.into_iter().map(|(kind, it)| (kind.to_owned(), it)).collect(),
        workspaces: Some(Arc::new(GitWorkspaces::new(&layout.worktrees()))),
        survivors: Some(Arc::new(ProcessSurvivors::new(processes.clone()))),
        notifier: Some(Arc::new(notifier)),
    }
}
