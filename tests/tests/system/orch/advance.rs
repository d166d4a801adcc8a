//! A task goes on whatever its services do meanwhile, and each launch is of its task (O71, O109, O112, O142, O144).

use super::services::{Outage, state_id};
use super::walk::{DARK, approve_when_asked, begin, comments, is_told};
use super::world::{MAP, SHOP, World, stands};

const ROADS: &str = "0000d002-0000-4000-8000-00000000d002";

#[tokio::test(flavor = "multi_thread")]
async fn o071_a_task_is_done_though_plane_refuses_that_state_and_the_state_follows() {
    let world = World::new().await;
    world.services().outages.push(Outage { method: "PATCH", text: state_id(SHOP, "Done") });
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("a refusal of Done", |services| services.refusals > 0).await;
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!((&task["status"], &task["tracker"]), (&"succeeded".into(), &"done".into()), "{task}");
    assert_ne!(world.services().issues[DARK].state, "Done");
    world.services().outages.clear();
    world.until("Done in Plane", stands(DARK, "Done")).await;
    world.until("the last words", |services| is_told(services, DARK)).await;
    let services = world.services();
    assert_eq!(services.issues[DARK].states.iter().filter(|state| **state == "Done").count(), 1);
    let completed = comments(&services, DARK);
    assert_eq!(completed.iter().filter(|said| said.starts_with("✅ Task completed!")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn o144_a_stage_advances_though_no_usage_was_read_and_no_comment_could_be_written() {
    let world = World::new().await;
    // What the agent leaves is that of every developer; what it says of its usage is no number.
    world.plan(
        "ET-001",
        "developer",
        1,
        concat!(
            "mkdir -p src && echo \"$item\" > \"src/$item.txt\" && echo \"- $item\" >> CHANGELOG.md\n",
            "say() { rmdir \"$HOME/at-work-$item\"; printf '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,",
            "\"result\":\"done\",\"total_cost_usd\":\"much\",\"usage\":[\"a\", null]}\\n'; }\n"
        ),
    );
    world.services().outages.push(Outage { method: "POST", text: "💻 Developer".to_owned() });
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("a refused comment", |services| services.refusals > 0).await;
    world
        .until("the stage behind the next one", |services| services.issues[DARK].states.contains(&"Testing"))
        .await;
    let said = |text: &str| {
        let services = world.services();
        comments(&services, DARK).iter().filter(|comment| comment.starts_with(text)).count()
    };
    assert_eq!(said("💻 Developer"), 0);
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    let developer =
        task["steps"].as_array().unwrap().iter().find(|step| step["step"] == "developer").unwrap();
    assert_eq!(
        (&developer["status"], &developer["usage"]["cost_usd"]),
        (&"succeeded".into(), &"0.000000".into())
    );
    world.services().outages.clear();
    world.until("the last words", |services| is_told(services, DARK)).await;
    assert_eq!(said("💻 Developer"), 1, "once it is possible it is written, and once");
}

#[tokio::test(flavor = "multi_thread")]
async fn o142_each_launch_of_an_agent_is_of_the_run_of_its_task() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, ROADS, MAP, "Roads at night");
    for issue in [DARK, ROADS] {
        approve_when_asked(&world, issue).await;
    }
    for issue in [DARK, ROADS] {
        world.until("the end", stands(issue, "Done")).await;
    }
    let launches = world.lines("launches");
    for item in ["ET-001", "MAP-001"] {
        let task = world.client().get(&format!("/api/v1/orch/tasks/{item}")).await;
        let run = task["run"].as_str().unwrap();
        let of_item = launches.iter().filter(|launch| launch.starts_with(item));
        let runs: Vec<&str> = of_item.map(|launch| launch.split(' ').nth(1).unwrap()).collect();
        assert_eq!(runs, [run; 7], "one launch for each of seven stages: {launches:?}");
    }
    assert_eq!(launches.len(), 14, "and none of nobody's: {launches:?}");
    let queue = world.client().get("/api/v1/orch/queue").await;
    for job in queue["recent"].as_array().unwrap() {
        let item = job["item"].as_str().unwrap();
        assert!(launches.contains(&format!("{item} {}", job["run"].as_str().unwrap())), "{job}");
    }
}

/// The gate at the start, the step that reads the issue and the one that names the task each asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn o109_o112_plane_is_asked_once_for_an_issue_whatever_its_start_needs_of_it() {
    let world = World::new().await;
    {
        let mut services = world.services();
        services.open(DARK, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
        services.set_state(DARK, "In Progress", "owner");
        // A delivery of a change has what was changed alone.
        let data = services.outbox.back_mut().unwrap().body["data"].as_object_mut().unwrap();
        data.remove("name");
        data.remove("description_stripped");
    }
    world.until("the analysis", stands(DARK, "In Review")).await;
    let path = format!("/plane/api/v1/workspaces/orch/projects/{SHOP}/issues/{DARK}/");
    let asked = world.fake.asked();
    let whole = asked.iter().filter(|asked| asked.method == "GET" && asked.path == path);
    let whole: Vec<_> = whole.filter(|asked| asked.parameter("expand") == Some("labels")).collect();
    assert_eq!(whole.len(), 1, "with all that is to be known of it");
    let first = asked.iter().position(|asked| asked.method == "PATCH").unwrap();
    let before = asked[..first].iter().filter(|asked| asked.method == "GET" && asked.path == path).count();
    assert!(before <= 2, "that one, and the look at its state before the first one is written: {before}");
    let prompt = world.lines("prompts/ET-001-analyst-1").join("\n");
    assert!(
        prompt.contains("Title: Dark mode") && prompt.contains("A page that is dark at night"),
        "{prompt}"
    );
}
