//! What tasks wait for without a person, as `orch status`, `orch queue`, `why` and Plane tell it.

use serde_json::{Value, json};

use super::walk::{approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};

const FIRST: &str = "0000f001-0000-4000-8000-00000000f001";
const SECOND: &str = "0000f002-0000-4000-8000-00000000f002";

/// What the command line says.
fn told(world: &World, arguments: &[&str]) -> String {
    let done = world.command(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Tasks waited, and the newest line of their agent's log alone said why.
#[tokio::test(flavor = "multi_thread")]
async fn ov10_o137_status_queue_and_why_tell_that_a_login_is_waited_for_and_what_to_do() {
    let mut world = World::unserved().await;
    let login = world.path("login");
    let preflight = format!(
        "[preflight.claude]\ncredentials = [{}]\nkeep = \"0s\"\non_missing = \"wait\"\n",
        json!(login.display().to_string())
    );
    let settings = std::fs::read_to_string(world.path(".everfold/everfold.toml")).unwrap();
    world.write(".everfold/everfold.toml", &format!("{settings}{preflight}"));
    world.serve(None);
    begin(&world, FIRST, SHOP, "Dark mode");
    let is_launched = |text: &String| text.starts_with("analyst launched");
    world.until("the launch", |services| comments(services, FIRST).iter().any(is_launched)).await;
    let (mut client, begun) = (world.client(), std::time::Instant::now());
    let queue = loop {
        let queue = client.get("/api/v1/orch/queue").await;
        if queue["resilience"]["preflights"][0]["waiting"] == 1 {
            break queue;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{queue}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let found = &queue["resilience"]["preflights"][0];
    assert_eq!((&found["profile"], &found["code"]), (&json!("claude"), &json!("UNAUTHORISED")), "{queue}");
    assert_eq!(queue["resilience"]["preflight"], "failing", "{queue}");
    assert!(found["since"].is_string() && found["hint"].as_str().unwrap().contains("log in"), "{queue}");
    let task = client.get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!(task["work"][0]["waits_for"]["awaits"], "the login of claude", "{task}");
    for (arguments, said) in [
        (&["orch", "status"][..], "analyst 1.1 waits for the login of claude"),
        (&["orch", "status", "ET-001"], "log in"),
        (&["orch", "queue"], "claude is not logged in ("),
        (&["why", "ET-001"], "it waits for the login of claude: no credentials for the agent claude"),
        (&["why"], "1 attempt waits for the login of claude"),
    ] {
        let text = told(&world, arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    std::fs::write(&login, "{}").unwrap();
    world.until("the analysis", stands(FIRST, "In Review")).await;
    let task: Value = client.get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!(task["work"], json!([]), "{task}");
    let queue = client.get("/api/v1/orch/queue").await;
    assert_eq!(queue["resilience"]["preflight"], "ok", "{queue}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ov18_a_task_that_waits_for_another_says_so_and_begins_as_soon_as_that_is_done() {
    let world = World::new().await;
    begin(&world, FIRST, SHOP, "Dark mode");
    world.until("the first analysis", stands(FIRST, "In Review")).await;
    world.services().open(SECOND, SHOP, "Darker mode", "A page that is darker at night.\nAfter: ET-001");
    world.services().set_state(SECOND, "In Progress", "owner");
    let waits = "⏳ Ждёт завершения: ET-001. Работа начнётся сама.";
    world
        .until("what it waits for", |services| comments(services, SECOND).iter().any(|text| text == waits))
        .await;
    for arguments in [&["orch", "status"][..], &["orch", "status", "ET-002"], &["orch", "queue"]] {
        let text = told(&world, arguments);
        assert!(text.contains("waits for ET-001"), "{arguments:?}: {text}");
    }
    approve_when_asked(&world, FIRST).await;
    world.until("the first is done", stands(FIRST, "Done")).await;
    // The next poll would be ten minutes later.
    world.until("the second analysis", stands(SECOND, "In Review")).await;
}
