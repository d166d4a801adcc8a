//! Builds the edge of an engine from the executors, probers, workspaces and notifier of this crate.

use std::sync::Arc;

use everfold_base::data_folder::Layout;
use everfold_ports::{Credentials, Directory, Edge, Executor, Prober};

use crate::agent::{self, AgentExecutor, PreflightFindings, Preflights};
use crate::builtin::CheckedBuiltIns;
use crate::command::CommandExecutor;
use crate::forge;
use crate::function::{FunctionExecutor, Functions};
use crate::git::{self, GitWorkspaces};
use crate::http::{HttpClient, HttpExecutor};
use crate::look::WorkspaceInspector;
use crate::notify::{self, FunctionNotifier};
use crate::probe::{
    CiProber, CommandProber, ConfigProber, CredentialsProber, DiffProber, FileProber, FrontmatterProber,
    FunctionProber, HttpProber, MergeableProber, RenewedProber, RunsProber, TestsProber,
};
use crate::process::{ProcessSurvivors, Processes};
use crate::provider::Providers;
use crate::remote::LeaseTable;
use crate::secret::{GuardedExecutor, GuardedNotifier, GuardedProber, SecretResolver, TextRedactor};
use crate::telegram;
use crate::witness::AbortWitness;

/// Every executor and prober of the reference, git workspaces in the data folder, and what finds
/// supervised processes again. The functions `git.*` and `agent.ready` are added to those given. Without a directory gates
/// cannot ask about other runs.
#[must_use]
pub fn edge(
    layout: &Layout,
    processes: &Processes,
    functions: Functions,
    directory: Option<Arc<dyn Directory>>,
) -> Edge {
    registry(layout, processes, functions, directory).edge
}

/// The edge of an engine, and what the program that builds it needs beside it.
pub struct Registry {
    /// For the engine.
    pub edge: Edge,
    /// Every function that pipelines may name.
    pub functions: Arc<Functions>,
    /// The attempts that workers fetch.
    pub leases: LeaseTable,
    /// What preflights of agents found, and who waits for it.
    pub preflights: PreflightFindings,
}

/// As [`edge`]; functions that the settings leave to workers are added to those given.
#[must_use]
pub fn registry(
    layout: &Layout,
    processes: &Processes,
    mut functions: Functions,
    directory: Option<Arc<dyn Directory>>,
) -> Registry {
    let (client, secrets) = (HttpClient::new(), &processes.secrets);
    let providers = Providers::new(&processes.settings.providers, &client);
    let author = processes.settings.git.author.clone();
    let called = Providers::for_functions(&processes.settings.providers, &client);
    git::declare(&mut functions, &git::Context { providers: called, author });
    forge::declare(&mut functions, &processes.settings, &client);
    telegram::declare(&mut functions, layout, &client);
    let preflights = Preflights::default();
    let found = preflights.findings().clone();
    agent::declare(&mut functions, &processes.settings, &preflights);
    notify::declare(&mut functions, processes.settings.mail.clone());
    processes.settings.workers.functions().for_each(|function| functions.offer(function));
    let leases = LeaseTable::new(layout, processes.settings.workers.lease());
    let known = Arc::new(functions);
    let functions = FunctionExecutor::with_workers(Arc::clone(&known), leases.clone());
    let notifier = FunctionNotifier::new(Arc::clone(&known), processes.settings.url.clone());
    let executors: [(&str, Arc<dyn Executor>); 4] = [
        ("command", Arc::new(CommandExecutor::new(processes.clone()))),
        ("agent", Arc::new(AgentExecutor::new(processes.clone()).with_preflights(preflights))),
        ("function", Arc::new(GuardedExecutor(Arc::new(functions.clone()), secrets.clone()))),
        ("http", Arc::new(GuardedExecutor(Arc::new(HttpExecutor::new(client.clone())), secrets.clone()))),
    ];
    let kept = secrets.credentials().map(|kept| kept as Arc<dyn Credentials>);
    let probers: [(&str, Arc<dyn Prober>); 12] = [
        ("command", Arc::new(CommandProber::new(processes.clone()))),
        ("file", Arc::new(FileProber::new(processes.clone()))),
        ("frontmatter", Arc::new(FrontmatterProber::new(processes.clone()))),
        ("diff", Arc::new(DiffProber)),
        ("tests", Arc::new(TestsProber)),
        ("http", Arc::new(HttpProber::new(client))),
        ("runs", Arc::new(RunsProber::new(directory.clone()))),
        ("config", Arc::new(ConfigProber)),
        ("credentials", Arc::new(CredentialsProber::new(kept.clone()))),
        ("function", Arc::new(FunctionProber::new(functions))),
        ("ci", Arc::new(CiProber::new(providers.clone()))),
        ("mergeable", Arc::new(MergeableProber::new(providers))),
    ];
    let edge = Edge {
        directory,
        executors: executors.into_iter().map(|(kind, it)| (kind.to_owned(), it)).collect(),
        probers: probers
            .into_iter()
            .map(|(kind, it)| (kind.to_owned(), renewed(kind, guarded(kind, it, secrets), processes)))
            .collect(),
        workspaces: Some(Arc::new(GitWorkspaces::new(&layout.worktrees()))),
        inspector: Some(Arc::new(WorkspaceInspector::keeping(Arc::clone(&processes.blobs), secrets.clone()))),
        survivors: Some(Arc::new(ProcessSurvivors::new(processes.clone()))),
        notifier: Some(Arc::new(GuardedNotifier(Arc::new(notifier), secrets.clone()))),
        built_ins: Some(Arc::new(CheckedBuiltIns)),
        credentials: kept,
        witness: Some(Arc::new(AbortWitness::new(layout))),
        redactor: Some(Arc::new(TextRedactor::new(&processes.settings.redact))),
    };
    Registry { edge, functions: known, leases, preflights: found }
}

/// Commands are given secrets by their supervisor, which masks what they say; those that keep the files that
/// they read mask these as well. Which credentials there are is said without any value.
fn guarded(kind: &str, prober: Arc<dyn Prober>, secrets: &SecretResolver) -> Arc<dyn Prober> {
    match kind {
        "command" | "file" | "frontmatter" | "credentials" => prober,
        _answers_only => Arc::new(GuardedProber(prober, secrets.clone())),
    }
}

/// Those that read the worktree find what was pushed to its branch since it was judged before.
fn renewed(kind: &str, prober: Arc<dyn Prober>, processes: &Processes) -> Arc<dyn Prober> {
    match kind {
        "command" | "file" | "frontmatter" | "diff" | "tests" => {
            Arc::new(RenewedProber(prober, processes.clone()))
        }
        _elsewhere => prober,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_ports::Service;
    use serde_json::json;

    #[test]
    fn what_is_given_secrets_calls_upon_the_same_services_and_fails_alike() {
        let client = HttpClient::new();
        let guarded = GuardedExecutor(Arc::new(HttpExecutor::new(client)), SecretResolver::default());
        let spec = json!({ "url": "https://api.example.org/x" });
        assert_eq!(guarded.services(&spec), [Service::new("http", "api.example.org")]);
        let mut failure = everfold_base::failure::Failure::new(
            everfold_base::failure::FailureKind::Error,
            "GET https://api.example.org/x answered 503, not 2xx",
        );
        failure.code = Some("HTTP_503".to_owned());
        assert!(guarded.is_outage(&failure));
    }
}
