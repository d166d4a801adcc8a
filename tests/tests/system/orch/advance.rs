//! A task goes on whatever its services do meanwhile, and each launch is of its task (O71, O109, O112, O142, O144).

use serde_json::{Value, json};

use super::services::{Outage, Services, state_id};
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
async fn o144_o152_a_stage_advances_though_no_usage_was_read_and_no_comment_could_be_written() {
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
    let events = world.events();
    let notes =
        events.iter().map(|event| &event["event"]).filter(|event| event["type"] == "AttemptSucceeded");
    let unread = notes.filter(|event| event["told"]["note"] == "its usage could not be read");
    let unread: Vec<_> = unread.map(|event| event["id"].to_string()).collect();
    assert!(unread.len() == 1 && unread[0].contains("developer"), "{unread:?}");
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
    assert_eq!(queue["counts"], json!({ "queued": 0, "running": 0, "done": 14, "failed": 0 }), "{queue}");
    assert_eq!(queue["recent"].as_array().unwrap().len(), 10, "the newest of them: {queue}");
    for job in queue["recent"].as_array().unwrap() {
        let item = job["item"].as_str().unwrap();
        assert!(launches.contains(&format!("{item} {}", job["run"].as_str().unwrap())), "{job}");
    }
}

/// Each agent of the fake costs a quarter of a dollar, and there are seven of a task.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_cost_and_its_message_are_the_same_in_the_lists_as_where_they_are_told() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, ROADS, MAP, "Roads at night");
    for issue in [DARK, ROADS] {
        approve_when_asked(&world, issue).await;
    }
    let is_over = |services: &Services| {
        services.messages.iter().filter(|message| message.text.contains("ГОТОВО")).count() == 2
    };
    world.until("the last words of both", is_over).await;
    let costs = world.client().get("/api/v1/orch/costs").await;
    let groups = |name: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut groups: Vec<_> = costs[name].as_array().unwrap().iter().collect();
        groups.sort_by_key(|group| text(&group["group"]));
        groups.into_iter().map(|group| (text(&group["group"]), text(&group["cost_usd"]))).collect()
    };
    let named = |groups: &[(&str, &str)]| -> Vec<(String, String)> {
        groups.iter().map(|(group, cost)| ((*group).to_owned(), (*cost).to_owned())).collect()
    };
    assert_eq!(groups("projects"), named(&[(SHOP, "1.750000"), (MAP, "1.750000")]));
    assert_eq!(groups("tasks"), named(&[("ET-001", "1.750000"), ("MAP-001", "1.750000")]));
    let of_agents = [
        ("analyst", "0.500000"),
        ("architect", "0.500000"),
        ("deployer", "1.000000"),
        ("developer", "0.500000"),
        ("reviewer", "0.500000"),
        ("tester", "0.500000"),
    ];
    assert_eq!(groups("agents"), named(&of_agents), "{costs}");
    assert_eq!(costs["total"]["cost_usd"], "3.500000", "{costs}");
    for (item, name) in [("ET-001", "Dark mode"), ("MAP-001", "Roads at night")] {
        let task = world.client().get(&format!("/api/v1/orch/tasks/{item}")).await;
        assert_eq!(task["cost_usd"], "1.750000", "{task}");
        let of_task: Vec<(&str, &str)> = task["agents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|agent| (agent["group"].as_str().unwrap(), agent["cost_usd"].as_str().unwrap()))
            .collect();
        assert_eq!(of_task.len(), 6, "a line of each role: {task}");
        assert!(of_task.contains(&("deployer", "0.500000")), "{task}");
        assert!(of_task.contains(&("analyst", "0.250000")), "{task}");
        let services = world.services();
        let live = services.messages.iter().find(|message| message.is_silent && message.text.contains(name));
        assert_eq!(task["message"]["text"], live.unwrap().text.as_str(), "what stands in the chat");
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
