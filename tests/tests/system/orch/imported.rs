//! Open tasks of ORCH's database, brought over: each goes on where its branch stands, to the end.

use std::process::Command;

use serde_json::{Value, json};

use super::host_clone::git;
use super::walk::{comments, is_told};
use super::world::{SHOP, World};

/// ORCH's stage of a task, and whether a job of it is queued; without one the analysis waits for Approved.
const TASKS: [(&str, bool); 8] = [
    ("analysis", true),
    ("analysis", false),
    ("architecture", true),
    ("development", true),
    ("review", true),
    ("testing", true),
    ("deploy-staging", true),
    ("deploy", true),
];
/// The agents, in the order of their work.
const AGENTS: [&str; 7] = ["analyst", "architect", "developer", "reviewer", "tester", "deployer", "deployer"];
const TEXT: &str = "A page that is dark at night,\nand bright by day.";

const DATABASE: &str = r#"
import json, sqlite3, sys
tasks = json.load(sys.stdin)
source = sqlite3.connect(sys.argv[1])
source.executescript("""
CREATE TABLE tasks (id INTEGER PRIMARY KEY, plane_id TEXT UNIQUE, work_item_id TEXT, repo TEXT, branch TEXT, stage TEXT, title TEXT,
  tracker_message_id INTEGER, brd_review_started_at TEXT, brd_review_ended_at TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE jobs (id INTEGER PRIMARY KEY, task_id INTEGER, agent TEXT, repo TEXT, task_content TEXT, status TEXT);
CREATE TABLE agent_runs (id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, agent TEXT, started_at TEXT, finished_at TEXT, exit_code INTEGER,
  input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_creation_tokens INTEGER, cost_usd REAL, model TEXT);
""")
for task in tasks:
    source.execute("INSERT INTO tasks VALUES (?,?,?,?,?,?,?,NULL,?,?,?,?)", task["row"])
    source.execute("INSERT INTO jobs (task_id, agent, repo, task_content, status) VALUES (?,?,?,?,?)", task["job"])
    source.executemany("INSERT INTO agent_runs (task_id, agent, started_at, finished_at, exit_code, cost_usd) VALUES (?,?,?,?,0,1.5)", task["runs"])
source.commit()
"#;

/// A task, and how many agents have worked on it in ORCH.
struct OrchTask {
    number: usize,
    stage: &'static str,
    is_queued: bool,
    worked: usize,
}

impl OrchTask {
    fn all() -> Vec<Self> {
        let task = |(at, (stage, is_queued)): (usize, (&'static str, bool))| {
            let worked = if is_queued { at.saturating_sub(1) } else { 1 };
            Self { number: at + 1, stage, is_queued, worked }
        };
        TASKS.into_iter().enumerate().map(task).collect()
    }

    fn item(&self) -> String {
        format!("ET-{:03}", self.number)
    }

    fn issue(&self) -> String {
        format!("0000d0{0:02}-0000-4000-8000-00000000d0{0:02}", self.number)
    }

    fn branch(&self) -> String {
        format!("feature/{}-x", self.item())
    }

    /// What ORCH has of it: its row, a job, its agents' runs.
    fn rows(&self) -> Value {
        let at = |minute: usize| format!("2026-11-20 {:02}:{minute:02}:00", 8 + self.number);
        let is_asked = self.worked > 0;
        let asked_at = is_asked.then(|| at(6));
        let approved_at = (is_asked && (self.is_queued || self.stage != "analysis")).then(|| at(7));
        let content = format!("Work item: {}\nRepo: shop\nTitle: Task\nDescription: {TEXT}", self.item());
        let status = if self.is_queued { "queued" } else { "done" };
        let run = |of: usize| json!([self.number, AGENTS[of], at(1 + of * 8), at(5 + of * 8)]);
        json!({
            "row": [self.number, self.issue(), self.item(), "shop", self.branch(), self.stage, format!("Task {}", self.number),
                asked_at, approved_at, at(0), at(58)],
            "job": [self.number, "analyst", "shop", content, status],
            "runs": (0..self.worked).map(run).collect::<Vec<_>>(),
        })
    }

    /// Makes its branch as ORCH's agents left it.
    fn push(&self, world: &World) {
        let clone = world.path("repos/shop");
        let docs = format!("repos/shop/docs/work-items/{}", self.item());
        git(&clone, &["checkout", "--quiet", "-b", &self.branch(), "main"]);
        world.write(&format!("{docs}/00-business-request.md"), TEXT);
        if self.worked > 0 {
            for name in ["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.yaml"] {
                world.write(&format!("{docs}/{name}"), "# of ORCH\n");
            }
        }
        if self.worked > 1 {
            world.write(&format!("{docs}/06-adr/ADR-001-how.md"), "# ADR\n\nStatus: Proposed\n");
        }
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", &format!("ORCH's work on {}", self.item())]);
        git(&clone, &["push", "--quiet", "origin", &self.branch()]);
        git(&clone, &["checkout", "--quiet", "main"]);
    }
}

/// Writes ORCH's database, and imports it.
fn import(world: &World, tasks: &[OrchTask]) -> Value {
    let rows: Vec<Value> = tasks.iter().map(OrchTask::rows).collect();
    world.write("tasks.json", &Value::from(rows).to_string());
    let rows = std::fs::File::open(world.path("tasks.json")).unwrap();
    let mut python = Command::new("python3");
    let made = python.args(["-c", DATABASE]).arg(world.path("orch.sqlite")).stdin(rows).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let arguments = ["orch", "import", "orch.sqlite", "--projects", ".orch/projects.yaml", "--json"];
    let done = world.command(&arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The agents of a run that went on were to be told of an issue that was not read yet, worked on a branch without ORCH's
/// work, and their gates asked for commits of steps that ORCH had done.
#[tokio::test(flavor = "multi_thread")]
async fn open_tasks_of_orch_go_on_at_each_stage_on_what_their_branch_has_to_their_end() {
    let mut world = World::unserved().await;
    let tasks = OrchTask::all();
    for task in &tasks {
        world.services().open(&task.issue(), SHOP, &format!("Task {}", task.number), TEXT);
        task.push(&world);
    }
    let report = import(&world, &tasks);
    let outcomes: Vec<&Value> =
        report["tasks"].as_array().unwrap().iter().map(|task| &task["outcome"]).collect();
    assert_eq!(outcomes, ["imported"; TASKS.len()], "{report}");
    assert!(!world.path("prompts").exists(), "agents begin when the server runs");
    world.serve(None);
    for task in &tasks[..2] {
        let issue = task.issue();
        world.until("the analysis", |services| services.issues[&issue].state == "In Review").await;
        world.services().set_state(&issue, "Approved", "owner");
    }
    for task in &tasks {
        let issue = task.issue();
        world.until("the end", |services| services.issues[&issue].state == "Done").await;
        world.until("the last words", |services| is_told(services, &issue)).await;
    }
    let listed = world.client().get("/api/v1/orch/tasks?limit=100").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), TASKS.len(), "each task once: {listed}");
    for task in &tasks {
        let (item, stage) = (task.item(), task.stage);
        let shown = world.client().get(&format!("/api/v1/orch/tasks/{item}")).await;
        let cost: f64 = shown["cost_usd"].as_str().unwrap().parse().unwrap();
        let expected = 1.5 * task.worked as f64 + 0.25 * (AGENTS.len() - task.worked) as f64;
        assert!((cost - expected).abs() < 0.001, "{item} of {stage}: {cost}, not {expected}");
        let branch = shown["branch"].as_str().unwrap();
        let log = git(&world.origin("shop"), &["log", "--format=%s", branch]);
        assert!(log.contains(&format!("ORCH's work on {item}")), "{branch} of {stage}: {log}");
        let states = world.services().issues[&task.issue()].states.clone();
        assert!(!states.contains(&"Todo"), "a task that goes on is not begun anew: {states:?}");
    }
    let prompt = world.lines("prompts/ET-004-developer-1").join("\n");
    assert!(prompt.contains("Title: Task 4") && prompt.contains("and bright by day."), "{prompt}");
}

/// Beside the paused stage a step waited in line, so that the task stood at another stage.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_for_which_orch_waited_for_a_person_are_paused_at_their_stage_and_go_on_to_their_end() {
    let mut world = World::unserved().await;
    let paused = ["architecture", "development", "review", "testing", "deploy-staging", "deploy"];
    let task = |(at, stage): (usize, &'static str)| OrchTask {
        number: at + 1,
        stage,
        is_queued: false,
        worked: at + 1,
    };
    let tasks: Vec<OrchTask> = paused.into_iter().enumerate().map(task).collect();
    for task in &tasks {
        world.services().open(&task.issue(), SHOP, &format!("Task {}", task.number), TEXT);
        task.push(&world);
    }
    let report = import(&world, &tasks);
    let rows = report["tasks"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["outcome"] == "imported"), "{report}");
    world.serve(None);
    for (task, row) in tasks.iter().zip(rows) {
        let shown = world.client().get(&format!("/api/v1/orch/tasks/{}", task.item())).await;
        let is_still = shown["status"] == "paused" && shown["work"] == json!([]);
        assert!(is_still, "nothing is in line beside {}: {shown}", task.stage);
        assert!(shown["sent_back"].is_null(), "a launch in ORCH sent nothing back: {shown}");
        let of_orch = shown["rounds"].to_string().contains("signal:orch-");
        assert!(!of_orch, "a launch in ORCH is no cause of a round: {shown}");
        assert!(world.services().issues[&task.issue()].states.is_empty(), "{}", task.stage);
        // Half of them go on by Plane, which is what owners of ORCH's tasks have.
        if task.number % 2 == 0 {
            world.services().set_state(&task.issue(), "In Progress", "owner");
        } else {
            let run = row["goes_on"].as_str().unwrap();
            world.client().post(&format!("/api/v1/runs/{run}/resume"), run, &json!({})).await;
        }
    }
    for task in &tasks {
        let issue = task.issue();
        world.until("the end", |services| services.issues[&issue].state == "Done").await;
        world.until("the last words", |services| is_told(services, &issue)).await;
    }
    let services = world.services();
    for task in &tasks {
        let states = &services.issues[&task.issue()].states;
        assert!(!states.contains(&"Todo") && !states.contains(&"Blocked"), "{}: {states:?}", task.stage);
        let title = format!("{} · Task {}", task.item(), task.number);
        let live =
            services.messages.iter().filter(|message| message.is_silent && message.text.contains(&title));
        assert_eq!(live.count(), 1, "{title}: {:#?}", services.messages);
    }
    for task in &tasks {
        let said = services.comments.iter().filter(|said| said.issue == task.issue());
        let again = said.filter(|said| said.html == "🔄 Агент перезапущен с ответами стейкхолдера.").count();
        assert_eq!(
            again,
            usize::from(task.number % 2 == 0),
            "{}: the owner of the stage says it",
            task.stage
        );
    }
    let errors: Vec<_> = services.comments.iter().filter(|said| said.html.contains("steps.")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Stages of ORCH, in the order of their agents.
const STAGES: [&str; 7] =
    ["analysis", "architecture", "development", "review", "testing", "deploy-staging", "deploy"];

/// What is paused has begun no step of its stage: it was shown in that of the last agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waited_for_a_person_in_orch_stands_in_its_own_stage() {
    let mut world = World::unserved().await;
    // The stage's own agent has not worked, or has and was not let go on.
    let of_stage = |stage: usize| [(stage, stage), (stage, stage + 1)];
    let task = |(at, (stage, worked)): (usize, (usize, usize))| OrchTask {
        number: at + 1,
        stage: STAGES[stage],
        is_queued: false,
        worked,
    };
    let tasks: Vec<OrchTask> = (1..STAGES.len()).flat_map(of_stage).enumerate().map(task).collect();
    for task in &tasks {
        world.services().open(&task.issue(), SHOP, &format!("Task {}", task.number), TEXT);
    }
    let report = import(&world, &tasks);
    let notes: Vec<&str> =
        report["tasks"].as_array().unwrap().iter().filter_map(|task| task["note"].as_str()).collect();
    assert!(notes.len() == tasks.len() && notes.iter().all(|note| note.contains("paused")), "{report}");
    world.serve(None);
    for task in &tasks {
        let shown = world.client().get(&format!("/api/v1/orch/tasks/{}", task.item())).await;
        assert_eq!(shown["stage"], task.stage, "{shown}");
    }
}

/// Such a state was refused by a run that has ended, and nobody was told.
#[tokio::test(flavor = "multi_thread")]
async fn o85_o100_a_state_that_is_set_on_a_task_that_was_done_in_orch_is_answered() {
    let mut world = World::unserved().await;
    let task = OrchTask { number: 1, stage: "done", is_queued: false, worked: AGENTS.len() };
    let issue = task.issue();
    world.services().open(&issue, SHOP, "Task 1", TEXT);
    let report = import(&world, &[task]);
    assert_eq!(report["tasks"][0]["outcome"], "imported", "{report}");
    world.serve(None);
    for (at, state) in ["In Progress", "Approved", "Rejected"].into_iter().enumerate() {
        world.services().set_state(&issue, state, "owner");
        world
            .until("the answer", |services| {
                let said = comments(services, &issue);
                let told = said.iter().filter(|text| text.starts_with("⚠️ Задача завершена"));
                told.count() == at + 1 && services.issues[&issue].state == "Done"
            })
            .await;
    }
}
