//! What becomes of each task of ORCH.
//!
//! Law: a plan says of every task what is made of it, or why it is left; it is the same whatever the store holds.

use std::collections::BTreeMap;

use everfold_engine::decide::check_sizes;
use everfold_engine::input::StartOptions;
use everfold_engine::json::{JsonText, Value};
use everfold_engine::time::Timestamp;
use serde_json::json;

use super::projects::Projects;
use super::source::{OrchDatabase, OrchTask};

/// ORCH's stages, with the agent that works in each.
pub(super) const STAGES: [(&str, &str); 7] = [
    ("analysis", "analyst"),
    ("architecture", "architect"),
    ("development", "developer"),
    ("review", "reviewer"),
    ("testing", "tester"),
    ("deploy-staging", "deployer"),
    ("deploy", "deployer"),
];
const DONE: &str = "done";
const CANCELLED: &str = "cancelled";

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) task: OrchTask,
    pub(crate) plan: TaskPlan,
}

/// What is made of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskPlan {
    /// A run with its history.
    Import {
        /// Its project in Plane.
        project: String,
        began_at: Timestamp,
        end: HistoryEnd,
    },
    /// Nothing, for this reason.
    Leave(String),
}

/// How a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryEnd {
    /// ORCH has done the task.
    Done,
    /// ORCH has given the task up.
    Cancelled,
    /// The task is handed over: another run goes on with it at its stage.
    HandedOver {
        /// The place in [`STAGES`].
        stage: usize,
        standing: TaskStanding,
    },
}

/// What a task stood for when it was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskStanding {
    /// An agent was to begin.
    Queued,
    /// The analysis waits for its approval.
    Approval,
    /// A person is to set it going.
    Person,
}

impl TaskStanding {
    /// What the run that goes on does first.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Queued => "its agent begins",
            Self::Approval => "waits for Approved",
            Self::Person => {
                "paused: ORCH waited for a person; In Progress, or `everfold resume`, lets it go on"
            }
        }
    }
}

/// Plans what becomes of all tasks.
pub(crate) fn plan(database: OrchDatabase, projects: &Projects) -> Vec<Planned> {
    let planned = |task: OrchTask| Planned { plan: plan_task(&task, projects), task };
    let mut planned: Vec<Planned> = database.tasks.into_iter().map(planned).collect();
    leave_older(&mut planned);
    planned
}

/// An issue has one task: of several that would be imported the one that was changed last is.
fn leave_older(planned: &mut [Planned]) {
    let moved = |task: &OrchTask| (task.updated_at.or(task.created_at), task.id);
    let mut newest: BTreeMap<String, (Option<Timestamp>, i64)> = BTreeMap::new();
    let imported = |planned: &&mut Planned| matches!(planned.plan, TaskPlan::Import { .. });
    for Planned { task, .. } in planned.iter_mut().filter(imported) {
        let known = newest.entry(task.issue.clone()).or_insert_with(|| moved(task));
        *known = (*known).max(moved(task));
    }
    for Planned { task, plan } in planned.iter_mut().filter(imported) {
        let Some((_, number)) = newest.get(&task.issue).filter(|(_, number)| *number != task.id) else {
            continue;
        };
        *plan = TaskPlan::Leave(format!(
            "task {number} is of the same issue of Plane ({}) and was changed later: that one is imported",
            task.issue
        ));
    }
}

fn plan_task(task: &OrchTask, projects: &Projects) -> TaskPlan {
    let leave = |why: String| TaskPlan::Leave(why);
    let Some(project) = projects.of_repo(&task.repo) else {
        return leave(format!("no project has the repository “{}”", task.repo));
    };
    if task.issue.is_empty() || task.item.is_empty() {
        return leave("it names no issue of Plane, or no work item".to_owned());
    }
    if task.running > 0 {
        return leave(
            "an agent is at work: wait for its end, then repeat the import; where ORCH has stopped in the midst of it, set its \
             job back first, as ORCH's next start does (UPDATE jobs SET status = 'queued' WHERE status = 'running')"
                .to_owned(),
        );
    }
    let first = task.runs.iter().filter_map(|run| run.started_at).min();
    let Some(began_at) = task.created_at.or(first).map(|at| first.map_or(at, |first| at.min(first))) else {
        return leave("it says nowhere when it began".to_owned());
    };
    let end = match task.stage.trim() {
        DONE => HistoryEnd::Done,
        CANCELLED => HistoryEnd::Cancelled,
        // A task is inserted at analysis; what has no stage yet begins there.
        "created" => HistoryEnd::HandedOver { stage: 0, standing: TaskStanding::Queued },
        stage => match STAGES.iter().position(|(name, _)| *name == stage) {
            Some(at) => HistoryEnd::HandedOver { stage: at, standing: standing(task, at) },
            None => return leave(format!("its stage “{stage}” is not known")),
        },
    };
    let options = start_options(task, &input_of(task, project));
    if let Err(refusal) = check_sizes(&options, &options.labels) {
        return leave(format!("its history cannot be recorded: {refusal}"));
    }
    TaskPlan::Import { project: project.to_owned(), began_at, end }
}

/// What the run of a task's history is given.
pub(super) fn input_of(task: &OrchTask, project: &str) -> Value {
    json!({ "project": project, "issue": task.issue })
}

/// How that run is started.
pub(super) fn start_options(task: &OrchTask, input: &Value) -> StartOptions {
    let project = input["project"].as_str().unwrap_or_default();
    let labels = [
        ("project", project),
        ("repo", &task.repo),
        ("item", &task.item),
        ("branch", &task.branch),
        ("origin", "orch"),
        ("orch_task", &task.id.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    StartOptions {
        title: Some(task.title.clone()).filter(|title| !title.is_empty()),
        labels: labels.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        ..StartOptions::new(JsonText::new(input))
    }
}

fn standing(task: &OrchTask, stage: usize) -> TaskStanding {
    let is_open = task.review_started_at.is_some() && task.review_ended_at.is_none();
    if task.queued > 0 {
        TaskStanding::Queued
    } else if stage == 0 && is_open {
        TaskStanding::Approval
    } else {
        TaskStanding::Person
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orch_import::projects::read_projects;

    fn task(stage: &str) -> OrchTask {
        OrchTask {
            issue: "i".into(),
            item: "ET-001".into(),
            repo: "enduro-trails".into(),
            stage: stage.into(),
            created_at: Some(Timestamp(1_767_603_600_000)),
            ..OrchTask::default()
        }
    }

    fn end(task: &OrchTask) -> Result<HistoryEnd, String> {
        match plan_task(task, &read_projects(None).unwrap()) {
            TaskPlan::Import { end, .. } => Ok(end),
            TaskPlan::Leave(why) => Err(why),
        }
    }

    #[test]
    fn of_two_tasks_of_one_issue_the_one_that_was_changed_last_is_imported() {
        let of = |id: i64, item: &str, updated: i64| OrchTask {
            id,
            item: item.into(),
            updated_at: Some(Timestamp(updated)),
            ..task("done")
        };
        let other = OrchTask { issue: "j".into(), ..of(3, "ET-003", 1) };
        let database = OrchDatabase {
            tasks: vec![of(1, "ET-001", 9), of(2, "ET-002", 8), other],
            ..OrchDatabase::default()
        };
        let planned = plan(database, &read_projects(None).unwrap());
        let left: Vec<Option<&str>> = planned
            .iter()
            .map(|planned| match &planned.plan {
                TaskPlan::Leave(why) => Some(why.as_str()),
                TaskPlan::Import { .. } => None,
            })
            .collect();
        let why = "task 1 is of the same issue of Plane (i) and was changed later: that one is imported";
        assert_eq!(left, [None, Some(why), None]);
    }

    #[test]
    fn every_stage_of_orch_has_its_end_and_its_standing() {
        let open = |stage, standing| Ok(HistoryEnd::HandedOver { stage, standing });
        assert_eq!(end(&task("done")), Ok(HistoryEnd::Done));
        assert_eq!(end(&task("cancelled")), Ok(HistoryEnd::Cancelled));
        for (at, (stage, _)) in STAGES.iter().enumerate() {
            assert_eq!(end(&task(stage)), open(at, TaskStanding::Person), "{stage}");
            let queued = OrchTask { queued: 1, ..task(stage) };
            assert_eq!(end(&queued), open(at, TaskStanding::Queued), "{stage}");
        }
        let review = OrchTask { review_started_at: Some(Timestamp(1)), ..task("analysis") };
        assert_eq!(end(&review), open(0, TaskStanding::Approval));
        let decided = OrchTask { review_ended_at: Some(Timestamp(2)), ..review };
        assert_eq!(end(&decided), open(0, TaskStanding::Person));
    }

    #[test]
    fn what_is_left_says_why() {
        let why = |task: OrchTask| end(&task).unwrap_err();
        assert!(why(OrchTask { repo: "other".into(), ..task("done") }).contains("“other”"));
        assert!(why(OrchTask { issue: String::new(), ..task("done") }).contains("no issue"));
        assert!(why(OrchTask { running: 1, ..task("review") }).contains("at work"));
        assert!(why(OrchTask { created_at: None, ..task("done") }).contains("when it began"));
        assert!(why(task("mending")).contains("“mending”"));
        // Only the import itself said so.
        let titled = |bytes: usize| OrchTask { title: "x".repeat(bytes), ..task("done") };
        assert_eq!(end(&titled(1_024)), Ok(HistoryEnd::Done));
        assert!(why(titled(1_025)).contains("its history cannot be recorded: the title"));
        assert!(why(OrchTask { branch: "b".repeat(20_000), ..task("done") }).contains("labels"));
    }
}
