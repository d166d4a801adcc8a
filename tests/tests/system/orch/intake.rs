//! What comes in, and what becomes of it: deliveries of Plane over `serve`, by rows (O95–O105, O118, O119, O122).

use serde_json::{Value, json};

use super::briefs::world_with;
use super::services::{Delivery, state_id};
use super::walk::{DARK, approve_when_asked, begin, comments, is_told};
use super::world::{MAP, ORCHESTRATOR, PROJECTS, SHOP, World, stands};
use crate::service::rest_client::PATIENCE;

const OTHER: &str = "0000d009-0000-4000-8000-00000000d009";
const THIRD: &str = "0000d00a-0000-4000-8000-00000000d00a";
const FOURTH: &str = "0000d00b-0000-4000-8000-00000000d00b";
const FOREIGN: &str = "0000a009-0000-4000-8000-000000000009";

/// A delivery about an issue in a state, as Plane sends it, by a person.
fn update(id: &str, project: &str, issue: &str, state: &Value) -> Delivery {
    let data = json!({
        "id": issue, "project": project, "name": "Dark mode", "sequence_id": 1, "state": state,
        "description_stripped": "A page that is dark at night, and bright by day.",
    });
    let actor = json!({ "field": "state_id", "actor": { "id": "id-of-owner", "display_name": "owner" } });
    let body = json!({ "event": "issue", "action": "updated", "webhook_id": "w", "workspace_id": "orch", "data": data, "activity": actor });
    Delivery { source: "plane", id: id.to_owned(), event: "issue".to_owned(), body }
}

/// What each trigger made of a delivery, when it is handled: the words, and the reasons.
async fn outcomes(world: &World, id: &str) -> Vec<(String, String)> {
    outcomes_at(world, "plane", id).await
}

/// The same of a delivery from any source.
pub(super) async fn outcomes_at(world: &World, source: &str, id: &str) -> Vec<(String, String)> {
    let since = std::time::Instant::now();
    loop {
        let shown = world.client().get(&format!("/api/v1/hooks/{source}/deliveries/{id}")).await;
        if let Some(handled) = shown["handled"].as_array().and_then(|handled| handled.last()) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let all = handled["outcomes"].as_array().unwrap().iter();
            return all.map(|it| (text(&it["outcome"]), text(&it["reason"]))).collect();
        }
        assert!(since.elapsed() < PATIENCE, "{id} is never handled: {}", world.story());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Where the settings of a world stand.
const SETTINGS: &str = ".orch/projects.yaml";

/// What stands there.
fn settings(world: &World) -> Value {
    serde_json::from_str(&std::fs::read_to_string(world.path(SETTINGS)).unwrap()).unwrap()
}

/// How many runs there are.
async fn runs(world: &World) -> usize {
    world.client().get("/api/v1/runs").await["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn o095_o105_what_begins_nothing_asks_nobody_and_says_nothing() {
    let world = World::new().await;
    world.services().open(DARK, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
    let named = |project: &str, name: &str| json!({ "id": state_id(project, name), "name": name });
    let changed = |mut delivery: Delivery, path: &str, value: Value| {
        *delivery.body.pointer_mut(path).unwrap() = value;
        delivery
    };
    let in_progress = named(SHOP, "In Progress");
    let comment = |id: &str, by: &str| {
        let data = json!({ "id": "c", "issue": DARK, "project": SHOP, "comment_html": "<p>:approved:</p>" });
        let body = json!({ "event": "issue_comment", "action": "created", "data": data, "activity": { "actor": { "id": "x", "display_name": by } } });
        Delivery { source: "plane", id: id.to_owned(), event: "issue_comment".to_owned(), body }
    };
    let no_state = {
        let mut delivery = update("o104-no-state", SHOP, DARK, &Value::Null);
        delivery.body["data"].as_object_mut().unwrap().remove("state");
        delivery
    };
    let foreign_state = json!(state_id(MAP, "In Progress"));
    let rows = [
        (
            "O95: an issue is created",
            changed(update("o95", SHOP, DARK, &named(SHOP, "Backlog")), "/action", json!("created")),
        ),
        (
            "O95: an issue is created in In Progress",
            changed(update("o95-begun", SHOP, DARK, &in_progress), "/action", json!("created")),
        ),
        ("O101: a comment", comment("o101-owner", "owner")),
        ("O101: a comment of our own", comment("o101-bot", "orch")),
        (
            "O102: Approved, of an issue without a task",
            update("o102-approved", SHOP, DARK, &named(SHOP, "Approved")),
        ),
        ("O102: Rejected, likewise", update("o102-rejected", SHOP, DARK, &named(SHOP, "Rejected"))),
        ("O102: Needs Input", update("o102-input", SHOP, DARK, &named(SHOP, "Needs Input"))),
        ("O102: In Review", update("o102-review", SHOP, DARK, &named(SHOP, "In Review"))),
        ("O102: Blocked", update("o102-blocked", SHOP, DARK, &named(SHOP, "Blocked"))),
        ("O102: Done", update("o102-done", SHOP, DARK, &named(SHOP, "Done"))),
        ("O103: the state of another project, by its id", update("o103", SHOP, DARK, &foreign_state)),
        ("O104: no state", no_state),
        (
            "O92: our own write",
            changed(update("o92", SHOP, DARK, &in_progress), "/activity/actor/display_name", json!("orch")),
        ),
        ("O105: an unknown project", update("o105", FOREIGN, DARK, &in_progress)),
    ];
    for (what, delivery) in rows {
        assert_eq!(world.deliver(&delivery).await, Some(202), "{what}");
        let outcomes = outcomes(&world, &delivery.id).await;
        assert!(!outcomes.is_empty(), "{what}");
        assert!(outcomes.iter().all(|(word, _)| word == "ignored"), "{what}: {outcomes:?}");
        let says_unknown = outcomes.iter().any(|(_, why)| why == "unknown project");
        assert_eq!(says_unknown, what.starts_with("O105"), "{what}: {outcomes:?}");
    }
    assert_eq!(runs(&world).await, 0);
    assert_eq!(world.fake.asked().len(), 0, "no request to any service: {}", world.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn o103_o104_a_state_counts_by_its_name_or_its_id_in_its_own_project() {
    let world = World::new().await;
    let issues = ["1", "2", "3", "4"].map(|n| format!("0000d01{n}-0000-4000-8000-00000000d01{n}"));
    let rows = [
        (SHOP, json!({ "id": state_id(SHOP, "In Progress"), "name": "In Progress", "group": "started" })),
        (MAP, json!(state_id(MAP, "In Progress"))),
        (ORCHESTRATOR, json!(state_id(ORCHESTRATOR, "In Progress"))),
        (SHOP, json!({ "id": state_id(SHOP, "In Progress") })),
    ];
    for (issue, (project, state)) in issues.iter().zip(&rows) {
        world.services().open(issue, project, "Dark mode", "A page that is dark at night.");
        let delivery = update(&format!("of-{issue}"), project, issue, state);
        assert_eq!(world.deliver(&delivery).await, Some(202));
        let outcomes = outcomes(&world, &delivery.id).await;
        assert!(outcomes.iter().any(|(word, _)| word == "started"), "{project} {state}: {outcomes:?}");
    }
    assert_eq!(runs(&world).await, rows.len());
    // Of each project its own repository and prefix (O105).
    let is_begun = |item: &str| {
        world.lines("agents").iter().any(|line| line.starts_with(&format!("begin {item} analyst 1")))
    };
    world
        .until("four analysts", |_| {
            ["ET-001", "ET-002", "MAP-001", "ORCH-001"].iter().all(|item| is_begun(item))
        })
        .await;
    for (_, repository, prefix) in PROJECTS {
        let branches = super::host_clone::git(
            &world.path(&format!("repos/{repository}")),
            &["branch", "--list", "feature/*", "--format=%(refname:short)"],
        );
        assert!(
            branches.lines().all(|branch| branch.starts_with(&format!("feature/{prefix}-"))),
            "{repository}: {branches}"
        );
    }
}

/// The map that comes with ORCH, by the very ids of its two projects in Plane.
#[tokio::test(flavor = "multi_thread")]
async fn o103_without_projects_in_the_settings_those_of_orch_begin_by_the_ids_of_their_own_states() {
    const ENDURO: &str = "7a79f0a9-5278-49cd-9007-9a338f238f9c";
    const ORCH: &str = "8da6aa25-a60e-44d6-a1e2-d8ae59aa7d6a";
    const OF_ENDURO: &str = "b873d9eb-993c-48cd-97ac-99a9b1623967";
    const OF_ORCH: &str = "e331bfb3-e17e-4699-ba48-4abb89c21b7b";
    let world = world_with(|settings| {
        settings.as_object_mut().unwrap().remove("projects");
    })
    .await;
    world.repository("enduro-trails");
    let rows = [
        (ORCH, OF_ENDURO, "ignored"),
        (ENDURO, OF_ORCH, "ignored"),
        (ENDURO, OF_ENDURO, "started"),
        (ORCH, OF_ORCH, "started"),
    ];
    for (number, (project, state, becomes)) in rows.into_iter().enumerate() {
        let issue = format!("0000d04{number}-0000-4000-8000-00000000d04{number}");
        world.services().open(&issue, project, "Dark mode", "A page that is dark at night.");
        let delivery = update(&format!("of-{issue}"), project, &issue, &json!(state));
        assert_eq!(world.deliver(&delivery).await, Some(202));
        let outcomes = outcomes(&world, &delivery.id).await;
        let is_it = |(word, _): &(String, String)| word == becomes;
        let all_or_one =
            if becomes == "ignored" { outcomes.iter().all(is_it) } else { outcomes.iter().any(is_it) };
        assert!(all_or_one, "{project} {state}: {outcomes:?}");
    }
    assert_eq!(runs(&world).await, 2);
    let is_begun = |item: &str| {
        world.lines("agents").iter().any(|line| line.starts_with(&format!("begin {item} analyst 1")))
    };
    world.until("two analysts", |_| ["ET-002", "ORCH-002"].iter().all(|item| is_begun(item))).await;
    for (repository, prefix) in [("enduro-trails", "ET"), ("orchestrator", "ORCH")] {
        let branches = super::host_clone::git(
            &world.path(&format!("repos/{repository}")),
            &["branch", "--list", "feature/*", "--format=%(refname:short)"],
        );
        assert_eq!(branches.trim(), format!("feature/{prefix}-002-dark-mode"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o118_a_delivery_without_the_right_signature_is_refused_and_nothing_is_recorded() {
    let world = World::new().await;
    let body = update("unsigned", SHOP, DARK, &json!("x")).body;
    let wrong = "0".repeat(64);
    for signature in [None, Some(wrong.as_str()), Some("")] {
        let mut head = vec![("x-plane-delivery", "unsigned"), ("x-plane-event", "issue")];
        head.extend(signature.map(|signature| ("x-plane-signature", signature)));
        let answer = world.client().once("POST", "/api/v1/hooks/plane", &head, Some(&body)).await.unwrap();
        assert_eq!(answer.status, 401, "{signature:?}: {}", answer.body);
    }
    let known = world.client().get("/api/v1/hooks/plane/deliveries").await;
    assert_eq!(known["items"], json!([]));
    assert_eq!((runs(&world).await, world.fake.asked().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn o096_o097_o100_o119_two_at_once_and_the_same_again_are_one_task_and_what_is_done_is_not_begun_again()
{
    let world = World::new().await;
    world.services().open(DARK, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
    let state = json!({ "id": state_id(SHOP, "In Progress"), "name": "In Progress" });
    let (first, second) = (update("first", SHOP, DARK, &state), update("second", SHOP, DARK, &state));
    let (one, other) = tokio::join!(world.deliver(&first), world.deliver(&second));
    assert_eq!((one, other), (Some(202), Some(202)));
    assert_eq!(world.deliver(&first).await, Some(200), "O119: the same once more is known");
    let mut words = Vec::new();
    for id in ["first", "second"] {
        words.extend(outcomes(&world, id).await.into_iter().map(|(word, _)| word));
    }
    assert_eq!(words.iter().filter(|word| *word == "started").count(), 1, "O97: {words:?}");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    let agents = world.lines("agents");
    assert_eq!(
        agents.iter().filter(|line| line.starts_with("begin ET-001 analyst")).count(),
        1,
        "O96: {agents:?}"
    );
    assert_eq!(world.lines("two"), Vec::<String>::new());
    // O100: In Progress of what is done.
    let third = update("third", SHOP, DARK, &state);
    assert_eq!(world.deliver(&third).await, Some(202));
    let outcomes = outcomes(&world, "third").await;
    assert!(outcomes.iter().all(|(word, _)| word != "started" && word != "signalled"), "{outcomes:?}");
    assert_eq!((runs(&world).await, world.lines("agents").len()), (1, agents.len()));
}

/// In Plane each would stand as if something were to come of it.
#[tokio::test(flavor = "multi_thread")]
async fn o085_o100_a_state_that_is_set_when_the_task_is_done_is_refused_with_a_comment_and_is_done_again() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", |services| stands(DARK, "Done")(services) && is_told(services, DARK)).await;
    let agents = world.lines("agents");
    let late = "⚠️ Задача завершена, статус не применён. Для новой работы создайте новую задачу.";
    for (times, state) in ["Rejected", "In Progress", "Approved"].into_iter().enumerate() {
        world.services().set_state(DARK, state, "owner");
        let id = world.services().outbox.back().unwrap().id.clone();
        world
            .until("what is said of it", move |services| {
                let said = comments(services, DARK).iter().filter(|text| *text == late).count();
                said == times + 1 && services.issues[DARK].state == "Done"
            })
            .await;
        let outcomes = outcomes(&world, &id).await;
        assert!(
            outcomes.iter().any(|(word, why)| word == "refused" && why.contains("it is done")),
            "{outcomes:?}"
        );
    }
    assert_eq!((runs(&world).await, world.lines("agents")), (1, agents));
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!((&task["status"], &task["tracker"]), (&"succeeded".into(), &"done".into()), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o107_o108_an_issue_that_was_refused_is_blocked_with_one_comment_and_begins_when_it_is_mended() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark");
    world.until("the refusal", stands(DARK, "Blocked")).await;
    let refusal = "⚠️ QG-0 failed:<br>• Title слишком короткий (нужно &gt;= 5 символов)";
    world.until("the comment", |services| comments(services, DARK) == [refusal]).await;
    assert_eq!(world.lines("agents"), Vec::<String>::new());
    {
        let mut services = world.services();
        services.issues.get_mut(DARK).unwrap().name = "Dark mode".to_owned();
        services.set_state(DARK, "Backlog", "owner");
        services.set_state(DARK, "In Progress", "owner");
    }
    world.until("the analysis", stands(DARK, "In Review")).await;
    let agents = world.lines("agents");
    assert_eq!(agents, ["begin ET-001 analyst 1", "end ET-001 analyst 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn o122_an_approval_by_an_id_that_the_settings_do_not_know_waits_until_they_do() {
    let mut world = World::unserved().await;
    let whole = settings(&world);
    let mut partial = whole.clone();
    partial["projects"][SHOP]["states"].as_object_mut().unwrap().remove("approved");
    world.write(SETTINGS, &partial.to_string());
    world.serve(None);
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the analysis", stands(DARK, "In Review")).await;
    let approved = update("approved", SHOP, DARK, &json!(state_id(SHOP, "Approved")));
    assert_eq!(world.deliver(&approved).await, Some(202));
    let outcomes = outcomes(&world, "approved").await;
    let words: Vec<&str> = outcomes.iter().map(|(word, _)| word.as_str()).collect();
    // The last is that of tasks that wait for others.
    assert_eq!(words, ["parked", "parked", "ignored"], "{outcomes:?}");
    world.write(SETTINGS, &whole.to_string());
    let is_begun = || world.lines("agents").iter().any(|line| line.starts_with("begin ET-001 architect 1"));
    world.until("the architect", |_| is_begun()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o122_a_state_that_the_settings_do_not_know_yet_waits_until_they_do() {
    let mut world = World::unserved().await;
    let whole = settings(&world);
    let mut partial = whole.clone();
    partial["projects"][SHOP].as_object_mut().unwrap().remove("states");
    world.write(SETTINGS, &partial.to_string());
    world.serve(None);
    world.services().open(OTHER, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
    let delivery = update("early", SHOP, OTHER, &json!(state_id(SHOP, "In Progress")));
    assert_eq!(world.deliver(&delivery).await, Some(202));
    let outcomes = outcomes(&world, "early").await;
    assert!(outcomes.iter().any(|(word, _)| word == "parked"), "{outcomes:?}");
    assert_eq!(runs(&world).await, 0);
    world.write(SETTINGS, &whole.to_string());
    world.until("the analysis of what was parked", |services| !comments(services, OTHER).is_empty()).await;
    begin(&world, DARK, SHOP, "Bright mode");
    world.until("the next one", |services| !comments(services, DARK).is_empty()).await;
    assert_eq!(runs(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn o201_what_comes_while_the_settings_of_its_project_are_wrong_waits_until_they_are_mended() {
    let mut world = World::unserved().await;
    let whole = settings(&world);
    let mut wrong = whole.clone();
    wrong["projects"][SHOP]["prefix"] = json!("lower case");
    world.write(SETTINGS, &wrong.to_string());
    world.serve(None);
    world.services().open(OTHER, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
    let delivery = update("early", SHOP, OTHER, &json!({ "id": "x", "name": "In Progress" }));
    assert_eq!(world.deliver(&delivery).await, Some(202));
    let early = outcomes(&world, "early").await;
    let parked = early.iter().find(|(word, _)| word == "parked");
    assert!(parked.is_some_and(|(_, why)| why.contains("record of its project")), "{early:?}");
    // The record will do now, and the cost limit will not.
    wrong["projects"] = whole["projects"].clone();
    wrong["cost_limit"] = json!("a little");
    world.write(SETTINGS, &wrong.to_string());
    world.services().open(DARK, SHOP, "Bright mode", "A page that is dark at night, and bright by day.");
    let delivery = update("second", SHOP, DARK, &json!({ "id": "x", "name": "In Progress" }));
    assert_eq!(world.deliver(&delivery).await, Some(202));
    let second = outcomes(&world, "second").await;
    let parked = second.iter().find(|(word, _)| word == "parked");
    assert!(parked.is_some_and(|(_, why)| why.contains("budget")), "{second:?}");
    // A second mistake: a list, in which no project has an id.
    wrong["projects"] = json!([whole["projects"][SHOP]]);
    world.write(SETTINGS, &wrong.to_string());
    world.services().open(THIRD, SHOP, "Grey mode", "A page that is dark at night, and bright by day.");
    let delivery = update("third", SHOP, THIRD, &json!({ "id": "x", "name": "In Progress" }));
    assert_eq!(world.deliver(&delivery).await, Some(202));
    let third = outcomes(&world, "third").await;
    let parked = third.iter().find(|(word, _)| word == "parked");
    assert!(
        parked.is_some_and(|(_, why)| why.starts_with("the projects of projects.yaml are no map")),
        "{third:?}"
    );
    // A third: a file that is no map at all.
    world.write(SETTINGS, "- nothing\n");
    world.services().open(FOURTH, SHOP, "Blue mode", "A page that is dark at night, and bright by day.");
    let delivery = update("fourth", SHOP, FOURTH, &json!({ "id": "x", "name": "In Progress" }));
    assert_eq!(world.deliver(&delivery).await, Some(202));
    let fourth = outcomes(&world, "fourth").await;
    let parked = fourth.iter().find(|(word, _)| word == "parked");
    assert!(parked.is_some_and(|(_, why)| why.contains("holds no map")), "{fourth:?}");
    assert_eq!(runs(&world).await, 0);
    world.write(SETTINGS, &whole.to_string());
    world.until("the fourth analysis", |services| !comments(services, FOURTH).is_empty()).await;
    world.until("the third analysis", |services| !comments(services, THIRD).is_empty()).await;
    world.until("the first analysis", |services| !comments(services, OTHER).is_empty()).await;
    world.until("the second one", |services| !comments(services, DARK).is_empty()).await;
    assert_eq!(runs(&world).await, 4);
}

/// Plane tells of an issue without its name: what is only read later is its title, and that of its pull request.
#[tokio::test(flavor = "multi_thread")]
async fn o109_o110_a_task_that_is_delivered_by_its_id_alone_has_its_title_and_its_pull_request() {
    let world = World::new().await;
    world.services().open(DARK, SHOP, "Dark mode", "A page that is dark at night, and bright by day.");
    let body = json!({
        "event": "issue", "action": "updated", "webhook_id": "w", "workspace_id": "orch",
        "data": { "id": DARK, "project": SHOP, "state": { "id": "x", "name": "In Progress" } },
        "activity": { "field": "state_id", "actor": { "id": "id-of-owner", "display_name": "owner" } },
    });
    let delivery = Delivery { source: "plane", id: "thin".to_owned(), event: "issue".to_owned(), body };
    assert_eq!(world.deliver(&delivery).await, Some(202));
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!(task["title"], "Dark mode", "{task}");
    let services = world.services();
    let pulls: Vec<_> = services.pulls.iter().map(|pull| (&*pull.title, pull.merged.is_some())).collect();
    assert_eq!(
        pulls,
        [("Dark mode", true), ("ET-001: deploy log", true)],
        "{:#?}",
        comments(&services, DARK)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn o105_a_task_of_an_unknown_project_is_refused_with_those_that_are_known() {
    let world = World::new().await;
    let body = json!({ "pipeline": "orch", "input": { "project": FOREIGN, "issue": DARK } });
    let run = world.client().post("/api/v1/runs", "unknown-project", &body).await;
    let run = run["id"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned();
    let ended = world.client().get(&format!("/api/v1/runs/{run}?wait=30s")).await;
    let failure = ended["failure"]["message"].as_str().unwrap_or_default();
    assert!(failure.contains(&format!("it knows no project {FOREIGN}, but: ")), "{ended}");
    assert!(failure.contains(SHOP), "{ended}");
}
