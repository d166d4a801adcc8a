//! `/orch`: where each task stands, a column for each stage.
//!
//! Law: so many calls whatever the number of tasks; of more than are read the page says so.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::task::TaskCard;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// Tasks that go on which are read, and tasks that ended.
const OPEN_MAX: usize = 500;
const ENDED_MAX: usize = 20;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedTasks {
    /// Of this project alone.
    project: Option<String>,
    /// `waiting` or `stuck`; all else: every task.
    show: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CardList {
    stages: Vec<String>,
    items: Vec<TaskCard>,
    next_cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CardQueue {
    counts: CardQueueCounts,
    max_concurrency: Option<u64>,
    resilience: CardResilience,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CardQueueCounts {
    queued: u64,
    running: u64,
    failed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CardResilience {
    breaker: String,
}

/// A column.
#[derive(Debug)]
struct StageColumn {
    name: String,
    /// Its tasks have ended.
    is_end: bool,
    tasks: Vec<TaskCard>,
    is_more: bool,
}

impl StageColumn {
    fn new(name: &str, tasks: Vec<TaskCard>) -> Self {
        Self { name: name.to_owned(), is_end: false, tasks, is_more: false }
    }

    /// What names it in an id.
    fn key(&self) -> String {
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
        self.name.chars().map(|sign| if is_plain(sign) { sign } else { '_' }).collect()
    }

    fn count_text(&self) -> String {
        format!("{}{}", self.tasks.len(), if self.is_more { "+" } else { "" })
    }
}

#[derive(Template)]
#[template(path = "orch/tasks.html")]
struct TasksPage {
    frame: Frame,
    columns: Vec<StageColumn>,
    /// Only now.
    queue: Option<CardQueue>,
    asked: AskedTasks,
    open: usize,
    waiting: usize,
    stuck: usize,
    /// There are more tasks than were read.
    is_more: bool,
    /// By what tasks call them: how a reader knows them.
    projects: BTreeMap<String, String>,
}

impl TasksPage {
    fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.tasks.is_empty())
    }

    fn is_filtered(&self) -> bool {
        self.asked.project.is_some() || self.asked.show.is_some()
    }

    /// The page with another choice of tasks; an empty one: every task.
    fn showing(&self, show: &str) -> String {
        let here = match &self.asked.project {
            Some(project) => with_query("/orch", "project", project),
            None => "/orch".to_owned(),
        };
        self.frame.to(if show.is_empty() { here } else { with_query(&here, "show", show) })
    }

    /// The page of another project; an empty one: of all.
    fn of_project(&self, project: &str) -> String {
        let here = match &self.asked.show {
            Some(show) => with_query("/orch", "show", show),
            None => "/orch".to_owned(),
        };
        self.frame.to(if project.is_empty() { here } else { with_query(&here, "project", project) })
    }

    fn shows(&self, show: &str) -> bool {
        self.asked.show.as_deref().unwrap_or_default() == show
    }
}

pub(super) async fn page(visit: Visit, Query(asked): Query<AskedTasks>) -> Result<Response, Problem> {
    let asked = AskedTasks {
        show: asked.show.filter(|show| matches!(show.as_str(), "waiting" | "stuck")),
        project: asked.project.filter(|project| !project.is_empty()),
    };
    let of_project = |path: String| match &asked.project {
        Some(project) => with_query(&path, "project", project),
        None => path,
    };
    let open = visit.at_moment(&of_project(format!("/orch/tasks?status=open&limit={OPEN_MAX}")));
    let over = "/orch/tasks?status=succeeded,failed,cancelled";
    let over = visit.at_moment(&of_project(format!("{over}&limit={ENDED_MAX}")));
    let queue = async {
        // What is in line is of now alone.
        if visit.at.is_some() { None } else { visit.rest.get::<CardQueue>("/orch/queue").await.ok() }
    };
    let (open, over, queue) =
        futures::join!(visit.rest.get::<CardList>(&open), visit.rest.get::<CardList>(&over), queue);
    let (open, over) = (open?, over?);
    let page = TasksPage {
        frame: visit.frame("Tasks", NavPlace::Board),
        queue,
        open: open.items.len(),
        waiting: open.items.iter().filter(|task| !task.waits.is_empty()).count(),
        stuck: open.items.iter().filter(|task| task.stuck).count(),
        is_more: open.next_cursor.is_some(),
        projects: projects(open.items.iter().chain(&over.items)),
        columns: columns(open, over, asked.show.as_deref()),
        asked,
    };
    Ok(Html(page).into_response())
}

/// The projects of tasks with their names: the repository, where the task has one and no other project shares it.
fn projects<'a>(tasks: impl Iterator<Item = &'a TaskCard>) -> BTreeMap<String, String> {
    let mut repositories = BTreeMap::new();
    for task in tasks {
        if let Some(project) = &task.project {
            repositories.insert(project.clone(), task.repo.clone());
        }
    }
    let is_shared =
        |repo: &String| repositories.values().flatten().filter(|other| *other == repo).count() > 1;
    let name = |project: &String, repo: &Option<String>| match repo {
        Some(repo) if !is_shared(repo) => repo.clone(),
        _ => project.clone(),
    };
    repositories.iter().map(|(project, repo)| (project.clone(), name(project, repo))).collect()
}

/// A column for each stage, and one for what has ended.
fn columns(open: CardList, over: CardList, show: Option<&str>) -> Vec<StageColumn> {
    let is_shown = |task: &TaskCard| match show {
        Some("stuck") => task.stuck,
        Some("waiting") => !task.waits.is_empty(),
        _every => true,
    };
    // What has ended stands in a column of its own: the stages are those of the tasks that go on.
    let stages = if open.items.is_empty() { over.stages } else { open.stages };
    let mut columns: Vec<StageColumn> =
        stages.iter().map(|stage| StageColumn::new(stage, Vec::new())).collect();
    let mut begun = StageColumn::new("begun", Vec::new());
    for task in open.items.into_iter().filter(is_shown) {
        let stage = task.stage.as_deref();
        let column = columns.iter_mut().find(|column| Some(column.name.as_str()) == stage);
        column.unwrap_or(&mut begun).tasks.push(task);
    }
    if !begun.tasks.is_empty() {
        columns.insert(0, begun);
    }
    // What is stuck stands first, then what waits for people.
    for column in &mut columns {
        column.tasks.sort_by_key(|task| (!task.stuck, task.waits.is_empty()));
    }
    if show.is_none() {
        let is_more = over.next_cursor.is_some();
        columns.push(StageColumn { is_end: true, is_more, ..StageColumn::new("ended", over.items) });
    }
    columns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(stages: &[&str], tasks: &[(&str, &str)]) -> CardList {
        let item = |(id, stage): &(&str, &str)| json!({ "id": id, "short_id": id, "stage": stage });
        let items: Vec<serde_json::Value> = tasks.iter().map(item).collect();
        serde_json::from_value(json!({ "stages": stages, "items": items })).expect("the test writes a list")
    }

    fn names(columns: &[StageColumn]) -> Vec<(&str, usize)> {
        columns.iter().map(|column| (column.name.as_str(), column.tasks.len())).collect()
    }

    #[test]
    fn stages_that_only_ended_tasks_went_along_take_no_room() {
        let own = list(&["triage", "fix", "ship"], &[("a", "fix"), ("b", "ship")]);
        let built_in = list(&["created", "analysis", "deploy", "done"], &[("c", "done")]);
        let columns = columns(own, built_in, None);
        assert_eq!(names(&columns), [("triage", 0), ("fix", 1), ("ship", 1), ("ended", 1)]);
    }

    #[test]
    fn where_no_task_goes_on_the_stages_are_those_of_the_ended_ones() {
        let columns = columns(list(&[], &[]), list(&["analysis", "done"], &[("c", "done")]), None);
        assert_eq!(names(&columns), [("analysis", 0), ("done", 0), ("ended", 1)]);
    }

    #[test]
    fn a_project_is_named_by_its_repository_unless_another_has_the_same() {
        let task = |project: &str, repo: Option<&str>| {
            let task = json!({ "id": "a", "short_id": "a", "project": project, "repo": repo });
            serde_json::from_value::<TaskCard>(task).expect("the test writes a task")
        };
        let tasks =
            [task("p1", Some("shop")), task("p2", Some("map")), task("p3", Some("map")), task("p4", None)];
        let names: Vec<_> = projects(tasks.iter()).into_values().collect();
        assert_eq!(names, ["shop", "p2", "p3", "p4"]);
    }
}
