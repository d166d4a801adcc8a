//! `orch import`: ORCH's tasks become runs.
//!
//! Law: it works on a folder that has no owner. While a server has it, histories would be written beside the one writer
//! that streams have; so the server is stopped, or not yet started, when ORCH is replaced.

use std::io::IsTerminal as _;

use crate::cli::args::OrchImportArgs;
use crate::cli::context::CommandContext;
use crate::cli::output::columns;
use crate::cli::table::{Cell, TableColumn, fitted};
use crate::fault::{Code, Fault};
use crate::node::{HoldOptions, Node};
use crate::orch_import::{
    ImportOutcome, ImportReport, ImportedTask, TaskPlan, import, plan, read_database, read_projects,
};
use crate::serve;
use crate::text::{count, cut};

/// What the table shows of a name: one long one does not make all rows as long.
const CELL_CHARS: usize = 40;

pub(super) async fn run(context: &CommandContext, args: OrchImportArgs) -> Result<u8, Fault> {
    let place = context.place()?;
    let projects = read_projects(args.projects.as_deref())?;
    let path = args.path.clone();
    let database = tokio::task::spawn_blocking(move || read_database(&path)).await;
    let database = database.map_err(|error| Fault::new(Code::Internal, error.to_string()))??;
    let (strays, mut warnings) = (database.strays, database.warnings.clone());
    let planned = plan(database, &projects);
    let tasks = if args.dry_run {
        planned.iter().map(ImportedTask::planned).collect()
    } else {
        if serve::connect(&place.layout.socket()).await.is_ok() {
            return Err(Fault::new(
                Code::InUse,
                "another process has the data folder, so nothing is imported",
            )
            .hint("stop the server (or close `everfold ui`), import, then start it again"));
        }
        // Agents begin when the server runs, in its environment and within its limits.
        let options =
            HoldOptions { config: place.config.clone(), starts_no_processes: true, ..HoldOptions::default() };
        let guard = serve::hold(place.layout.clone(), options).await?;
        let bar = bar(planned.iter().filter(|task| !matches!(task.plan, TaskPlan::Leave(_))).count());
        let imported = import(guard.node(), &args.pipeline, planned, projects.tracker.as_ref(), |done| {
            bar.set_position(done as u64)
        })
        .await;
        bar.finish_and_clear();
        let unsaved = unsaved(guard.node(), &args.pipeline).await;
        guard.release().await;
        let imported = imported?;
        warnings.extend(unsaved.filter(|_| imported.iter().any(|task| task.goes_on.is_some())));
        imported
    };
    let report = ImportReport { tasks, skipped_projects: projects.skipped, strays, warnings };
    if context.json {
        context.out.json(&report)?;
    } else {
        context.out.raw(&shown(&report, columns()));
    }
    let refused = report.tasks.iter().filter(|task| task.outcome == ImportOutcome::Refused).count();
    if refused > 0 {
        let message = match refused {
            1 => "1 run that goes on was refused at admission".to_owned(),
            many => format!("{many} runs that go on were refused at admission"),
        };
        return Err(Fault::new(Code::ImportRefused, message));
    }
    Ok(0)
}

/// The warning where the pipeline that the tasks continue with is not saved: the engine then follows none of its triggers.
async fn unsaved(node: &Node, pipeline: &str) -> Option<String> {
    let name = pipeline.split('@').next().unwrap_or(pipeline);
    let saved = node.engine().saved_names().await.ok()?;
    let text = format!(
        "the pipeline {name} is not saved, so its triggers do not hear what is done in Plane: everfold pipeline save {name}"
    );
    (!saved.iter().any(|saved| saved == name)).then_some(text)
}

fn bar(tasks: usize) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(tasks as u64);
    let style = indicatif::ProgressStyle::with_template("importing {bar:30} {pos}/{len} tasks");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    bar
}

/// The report as a table, with a line that sums it up.
fn shown(report: &ImportReport, within: Option<usize>) -> String {
    let head = [
        TableColumn::fixed("TASK"),
        TableColumn::text("ITEM"),
        TableColumn::fixed("STAGE"),
        TableColumn::fixed("RUNS"),
        TableColumn::fixed("WHAT"),
        TableColumn::fixed("RUN"),
        TableColumn::text("NOTE"),
    ];
    let row = |task: &ImportedTask| -> [Cell; 7] {
        let run = task.goes_on.as_ref().or(task.history.as_ref());
        [
            task.task.to_string().into(),
            cut(&task.item, CELL_CHARS).into(),
            cut(&task.stage, CELL_CHARS).into(),
            task.agent_runs.to_string().into(),
            word(task.outcome).to_owned().into(),
            run.map(|run| short(run)).unwrap_or_default().into(),
            task.note.clone().unwrap_or_default().into(),
        ]
    };
    let rows: Vec<[Cell; 7]> = report.tasks.iter().map(row).collect();
    let mut text = match rows.is_empty() {
        true => String::new(),
        false => format!("{}\n\n", fitted(head, &rows, within).trim_end()),
    };
    let of = |outcome: ImportOutcome| report.tasks.iter().filter(|task| task.outcome == outcome).count();
    let sums = [
        ImportOutcome::Planned,
        ImportOutcome::Imported,
        ImportOutcome::There,
        ImportOutcome::Refused,
        ImportOutcome::Left,
    ]
    .map(|outcome| (of(outcome), word(outcome)))
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"));
    let sums: Vec<String> = sums.collect();
    match sums.is_empty() {
        true => text.push_str("the database has no tasks\n"),
        false => {
            text.push_str(&format!("{}: {}\n", count(report.tasks.len() as u64, "task"), sums.join(", ")))
        }
    }
    for warning in &report.warnings {
        text.push_str(&format!("{warning}\n"));
    }
    for skipped in &report.skipped_projects {
        text.push_str(&format!("passed over among the projects: {skipped}\n"));
    }
    if report.strays > 0 {
        text.push_str(&format!("{} of no task: left\n", count(report.strays as u64, "agent run")));
    }
    text
}

fn word(outcome: ImportOutcome) -> &'static str {
    match outcome {
        ImportOutcome::Planned => "would be imported",
        ImportOutcome::Imported => "imported",
        ImportOutcome::There => "there already",
        ImportOutcome::Refused => "refused",
        ImportOutcome::Left => "left",
    }
}

/// The end of a run's id, as people type it.
fn short(run: &str) -> String {
    run.get(run.len().saturating_sub(8)..).unwrap_or(run).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_of_every_task_what_came_of_it_and_why() {
        let task = |task: i64, outcome, note: Option<&str>, goes_on: Option<&str>| ImportedTask {
            task,
            item: format!("ET-00{task}"),
            stage: "review".into(),
            agent_runs: 4,
            outcome,
            note: note.map(str::to_owned),
            history: Some("0198c0de-0000-5000-8000-00000000000a".into()),
            goes_on: goes_on.map(str::to_owned),
        };
        let on = "0198c0de-0000-7000-8000-00000000000b";
        let report = ImportReport {
            tasks: vec![
                task(1, ImportOutcome::Imported, Some("goes on at review: its agent begins"), Some(on)),
                task(2, ImportOutcome::There, None, None),
                task(3, ImportOutcome::Left, Some("an agent is at work"), None),
                task(4, ImportOutcome::Refused, Some("the issue could not be read"), Some(on)),
            ],
            skipped_projects: vec!["P2 has no `repo`".into()],
            strays: 1,
            warnings: vec!["agent run 7: `cost_usd` is 1e300, which is not taken over".into()],
        };
        let expected = "\
TASK  ITEM    STAGE   RUNS  WHAT           RUN       NOTE
1     ET-001  review  4     imported       0000000b  goes on at review: its agent begins
2     ET-002  review  4     there already  0000000a
3     ET-003  review  4     left           0000000a  an agent is at work
4     ET-004  review  4     refused        0000000b  the issue could not be read

4 tasks: 1 imported, 1 there already, 1 refused, 1 left
agent run 7: `cost_usd` is 1e300, which is not taken over
passed over among the projects: P2 has no `repo`
1 agent run of no task: left
";
        assert_eq!(anstream::adapter::strip_str(&shown(&report, None)).to_string(), expected);
        let none =
            ImportReport { tasks: Vec::new(), skipped_projects: Vec::new(), strays: 0, warnings: Vec::new() };
        assert_eq!(shown(&none, None), "the database has no tasks\n");
        let mut long = report;
        long.tasks[1].item = "x".repeat(60_000);
        let text = shown(&long, None);
        assert!(text.lines().all(|line| line.len() < 200), "one long name makes no row long");
    }
}
