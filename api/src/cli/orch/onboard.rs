//! `orch onboard`: what a project needs, checked and made.

use std::path::{Path, PathBuf};

use everfold_engine::definition::{ConfigSource, Definition, value_of};
use owo_colors::Style;

use crate::cli::args::OrchOnboardArgs;
use crate::cli::context::CommandContext;
use crate::cli::output::columns;
use crate::cli::pipeline::{definition_of, save_built_in};
use crate::cli::pipeline_source::named;
use crate::cli::table::{Cell, TableColumn, fitted};
use crate::fault::{Code, Fault};
use crate::http::PipelineView;
use crate::orch_onboard::{
    Checklist, Environment, OnboardReport, OnboardRequest, ReadKeys, SetupFinding, SetupItem, SetupStanding,
    onboard,
};

/// The pipeline that works for a project.
const PIPELINE: &str = "orch";
/// Telegram's own Bot API server.
const TELEGRAM: &str = "https://api.telegram.org";

pub(super) async fn run(context: &CommandContext, args: OrchOnboardArgs) -> Result<u8, Fault> {
    let place = context.place()?;
    let projects = args.projects.unwrap_or_else(projects_file);
    let repos = args.repos.or_else(|| repos_of(&projects)).unwrap_or_else(|| PathBuf::from("/repos"));
    let request = OnboardRequest {
        project: args.project,
        repo: args.repo,
        prefix: args.prefix,
        plane_url: args.plane_url,
        workspace: args.workspace,
        gitea_url: args.gitea_url,
        owner: args.owner,
        telegram_url: TELEGRAM.to_owned(),
        repos,
        projects,
        settings: place.config.clone().unwrap_or_else(|| place.layout.settings()),
        labels: args.labels.into_iter().filter(|label| !label.trim().is_empty()).collect(),
        address: args.address,
        environment: Environment::of_process(),
        only_check: args.check,
    };
    let mut report = onboard(&request, &place.layout).await?;
    report.add(pipeline_item(context, args.check).await);
    if let Ok(pipeline) = named(context, PIPELINE).await.and_then(|view| definition_of(&view)) {
        let projects = &request.projects;
        [foreign_item(&pipeline, projects), unread_item(&pipeline, projects)]
            .into_iter()
            .flatten()
            .for_each(|item| report.add(item));
    }
    if context.json {
        context.out.json(&report)?;
    } else {
        context.out.raw(&shown(&report, &request));
    }
    if report.ready {
        return Ok(0);
    }
    let missing = report.items.iter().filter(|item| item.standing == SetupStanding::Missing).count();
    Err(Fault::new(Code::NotOnboarded, format!("{} lacks {missing} of {}", request.repo, report.items.len())))
}

/// The settings document that the pipeline would read: the first of those that it names that is there.
fn projects_file() -> PathBuf {
    let of_machine = PathBuf::from("/etc/orch/projects.yaml");
    let own = std::env::home_dir().map(|home| home.join(".orch/projects.yaml"));
    first_there(of_machine, own)
}

/// The second file where it alone is there, else the first.
fn first_there(first: PathBuf, second: Option<PathBuf>) -> PathBuf {
    match second {
        Some(second) if !first.exists() && second.exists() => second,
        _first => first,
    }
}

/// The folder of the clones, as the settings document says it.
fn repos_of(projects: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(projects).ok()?;
    value_of(&text)?["repos"].as_str().filter(|repos| !repos.is_empty()).map(PathBuf::from)
}

/// The pipeline, saved: only the triggers of saved pipelines hear webhooks.
async fn pipeline_item(context: &CommandContext, only_check: bool) -> SetupItem {
    let look = async || match named(context, PIPELINE).await {
        Err(fault) => SetupFinding::Out(fault.to_string()),
        Ok(PipelineView { version: None, .. }) => {
            SetupFinding::Missing("it is not saved, so its triggers do not hear the webhooks".to_owned())
        }
        Ok(view) => match definition_of(&view) {
            Err(fault) => SetupFinding::Out(fault.to_string()),
            Ok(saved) => match ["plane", "gitea"].into_iter().find(|source| !saved.listens_to(source)) {
                Some(source) => {
                    SetupFinding::Out(format!("what is saved has no trigger with hook: {source}"))
                }
                None => SetupFinding::There(format!("{PIPELINE}@{}", view.version.unwrap_or_default())),
            },
        },
    };
    let make = async || save_built_in(context, PIPELINE).await.map_err(|fault| fault.to_string());
    let to_do = format!("{} pipeline save {PIPELINE}", context.program);
    Checklist { only_check }.item("here", "pipeline", to_do, look, make).await
}

/// That the pipeline reads its settings elsewhere; `None`: it reads this file.
fn foreign_item(pipeline: &Definition, projects: &Path) -> Option<SetupItem> {
    let sources = pipeline.fixed_config();
    let files = sources.get(PIPELINE)?.iter().filter_map(|source| match source {
        ConfigSource::File(path) => path.source().as_str(),
        ConfigSource::Values(_) => None,
    });
    let files: Vec<&str> = files.collect();
    let home = std::env::home_dir();
    let is_it = |file: &&str| match (file.strip_prefix("~/"), &home) {
        (Some(below), Some(home)) => home.join(below) == projects,
        _ => Path::new(file) == projects,
    };
    (!files.is_empty() && !files.iter().any(is_it)).then(|| SetupItem {
        place: "here",
        name: "projects.yaml place".to_owned(),
        standing: SetupStanding::ByHand,
        detail: format!("{PIPELINE} does not read {}", projects.display()),
        to_do: Some(format!("move it to where {PIPELINE} reads it: {}", files.join(", or "))),
    })
}

/// Keys of the settings document that the pipeline does not read; `None`: there are none. Nothing depends on them.
fn unread_item(pipeline: &Definition, projects: &Path) -> Option<SetupItem> {
    let document = value_of(&std::fs::read_to_string(projects).ok()?)?;
    let unread = ReadKeys::of(pipeline, PIPELINE).unread(&document);
    (!unread.is_empty()).then(|| SetupItem {
        place: "here",
        name: "projects.yaml keys".to_owned(),
        standing: SetupStanding::ByHand,
        detail: format!("nothing reads {}", unread.join("; ")),
        to_do: Some(format!("correct or remove these keys in {}", projects.display())),
    })
}

fn shown(report: &OnboardReport, request: &OnboardRequest) -> String {
    let head = [
        TableColumn::fixed("WHERE"),
        TableColumn::fixed("WHAT"),
        TableColumn::fixed(""),
        TableColumn::text(""),
    ];
    let row = |item: &SetupItem| -> [Cell; 4] {
        let (word, style) = match item.standing {
            SetupStanding::There => ("there", Style::new().green()),
            SetupStanding::Made => ("made", Style::new().green().bold()),
            SetupStanding::Missing => ("missing", Style::new().red().bold()),
            SetupStanding::Optional => ("without", Style::new().yellow()),
            SetupStanding::ByHand => ("by hand", Style::new().yellow().bold()),
        };
        [
            item.place.to_owned().into(),
            item.name.clone().into(),
            Cell::styled(word, style),
            item.detail.clone().into(),
        ]
    };
    let rows: Vec<[Cell; 4]> = report.items.iter().map(row).collect();
    let mut text = format!("{}\n", fitted(head, &rows, columns()).trim_end());
    let to_do: Vec<String> = report
        .items
        .iter()
        .filter(|item| matches!(item.standing, SetupStanding::Missing | SetupStanding::ByHand))
        .filter_map(|item| item.to_do.as_ref().map(|what| format!("  {} {}: {what}", item.place, item.name)))
        .collect();
    if !to_do.is_empty() {
        text.push_str(&format!("\nWhat is to be done:\n{}\n", to_do.join("\n")));
    }
    if report.ready && to_do.is_empty() {
        text.push_str(&format!("\n{} is ready: set an issue In Progress in Plane\n", request.repo));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_document_that_is_there_is_taken_and_says_where_the_clones_lie() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["etc.yaml", "own.yaml"].map(|name| folder.path().join(name));
        assert_eq!(first_there(first.clone(), Some(second.clone())), first, "none is there");
        std::fs::write(&second, "repos: /srv/clones\nprojects: {}\n").unwrap();
        assert_eq!(first_there(first.clone(), Some(second.clone())), second);
        assert_eq!(repos_of(&second), Some(PathBuf::from("/srv/clones")));
        std::fs::write(&first, "projects: {}\n").unwrap();
        assert_eq!(first_there(first.clone(), Some(second)), first, "the first goes before");
        assert_eq!(repos_of(&first), None);
    }
}
