//! What happens to a task beside its work: agents that others end, a tracker that limits requests, long descriptions, work that
//! cannot begin, tokens that nothing names.

use serde_json::json;

use super::briefs::{prompt, world_with};
use super::host_clone::git;
use super::intake::outcomes_at;
use super::services::Outage;
use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};

/// The kernel for want of memory, or a person: it was told as a failure of the agent, and ended its stage.
#[tokio::test(flavor = "multi_thread")]
async fn o134_an_agent_that_is_killed_alone_is_begun_again_and_its_stage_loses_nothing() {
    let world = World::new().await;
    let killed_once = "if [ \"$EVERFOLD_ATTEMPT\" = 1 ]; then rmdir \"$HOME/at-work-$item\"; kill -9 $$; fi\nmkdir -p \"$docs/06-adr\" && echo '# ADR' > \"$docs/06-adr/ADR-001-how.md\"";
    world.plan("ET-001", "architect", 1, killed_once);
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    let events = world.events();
    let of = |kind: &str| -> Vec<_> {
        events.iter().map(|event| &event["event"]).filter(|event| event["type"] == kind).collect()
    };
    let lost = of("AttemptLost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0]["reason"].as_str().unwrap().contains("SIGKILL"), "{lost:?}");
    assert!(of("StepBlocked").is_empty() && of("AttemptFailed").is_empty(), "{events:#?}");
    assert!(!world.services().issues[DARK].states.contains(&"Blocked"));
}

/// Its task was refused for good.
#[tokio::test(flavor = "multi_thread")]
async fn o110_a_task_that_plane_cannot_be_asked_about_waits_with_the_reason_and_begins_later() {
    let world = World::new().await;
    {
        let mut services = world.services();
        let is_read = Outage { method: "GET", text: format!("issues/{DARK}") };
        services.outages.push(is_read);
        services.open(DARK, SHOP, "Dark mode", "");
        services.set_state(DARK, "In Progress", "owner");
        services.issues.get_mut(DARK).unwrap().description = "A page that is dark at night.".to_owned();
    }
    world.until("what is delivered", |services| services.outbox.is_empty()).await;
    let outcomes = outcomes_at(&world, "plane", "plane-1").await;
    let parked = outcomes.iter().find(|(word, _)| word == "parked");
    assert!(parked.is_some_and(|(_, why)| why.contains("Plane answered 500")), "{outcomes:?}");
    let runs = world.client().get("/api/v1/runs").await;
    assert_eq!(runs["items"], json!([]), "nothing failed");
    assert!(world.services().comments.is_empty());
    world.services().outages.clear();
    world.services().say(DARK, "Is it begun?");
    world.until("the analysis", stands(DARK, "In Review")).await;
}

/// Over 32 KiB it never began.
#[tokio::test(flavor = "multi_thread")]
async fn o109_a_task_with_a_long_description_begins_and_its_agents_are_told_all_of_it() {
    let world = World::new().await;
    let text = format!("{}The end.", "Ночью страница тёмная, днём светлая. ".repeat(1_100));
    {
        let mut services = world.services();
        services.open(DARK, SHOP, "Dark mode", &text);
        services.set_state(DARK, "In Progress", "owner");
    }
    world.until("the analysis", stands(DARK, "In Review")).await;
    assert!(prompt(&world, "ET-001", "analyst", 1).contains("светлая. The end."));
    let request = "feature/ET-001-dark-mode:docs/work-items/ET-001/00-business-request.md";
    let request = git(&world.origin("shop"), &["show", request]);
    assert!(request.contains(&text), "{} bytes", request.len());
}

/// It was rolled back as a failed deployment, and the developer was to mend it.
#[tokio::test(flavor = "multi_thread")]
async fn o076_a_deployer_that_cannot_begin_is_no_failed_deployment() {
    let world = world_with(|settings| settings["profiles"] = json!({ "deployer": "gone" })).await;
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Blocked")).await;
    world.until_sent("stopped").await;
    let said = comments(&world.services(), DARK);
    assert!(said.iter().any(|text| text.contains("there is no agent profile gone")), "{said:#?}");
    assert!(!said.iter().any(|text| text.contains("Rolled back")), "{said:#?}");
    assert!(!world.event_kinds().iter().any(|kind| kind == "ReworkRequested"));
}

#[test]
fn no_work_and_no_gate_inherits_a_secret_of_orch_that_no_setting_names() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::unserved());
    world.write(".everfold/everfold.toml", "");
    let see = "env | grep '^ORCH_' | cut -d= -f1 | sort > FILE; true";
    let [work, gate] = ["work", "gate"].map(|name| see.replace("FILE", &format!("$HOME/{name}")));
    world.write(
        "see.yaml",
        &format!("name: see\nsteps:\n  - {{ id: a, command: \"{work}\", gates: [{{ id: g, command: \"{gate}\" }}] }}\n"),
    );
    let done = world.command(&["run", "./see.yaml"]).env("ORCH_REPOS_DIR", "/repos").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for name in ["work", "gate"] {
        assert_eq!(world.lines(name), ["ORCH_REPOS_DIR"], "{name}");
    }
}
