//! The next server goes on waiting for the person whom a killed server had asked, and asks nobody a second time (O58).

use serde_json::Value;

use super::walk::{DARK, begin, is_told};
use super::world::{SHOP, World, stands};

/// How often the server is killed meanwhile.
const KILLED: usize = 3;

/// The messages that rang.
fn pings(world: &World) -> Vec<String> {
    let services = world.services();
    services
        .messages
        .iter()
        .filter(|message| !message.is_silent)
        .map(|message| message.text.clone())
        .collect()
}

/// Of the task: what it waits for and since when, and the clock of its review.
async fn wait(world: &World) -> (Value, Value, Value) {
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    (task["status"].clone(), task["waits"].clone(), task["reviews"][0]["open_since"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn o58_a_server_that_begins_anew_goes_on_waiting_and_rings_no_second_time() {
    let mut world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the analysis", stands(DARK, "In Review")).await;
    // What was sent and is not recorded so is sent again, which Telegram cannot know.
    for notice in ["approve", "state"] {
        world.until_sent(notice).await;
    }
    let asked = wait(&world).await;
    assert_eq!(asked.0, "waiting");
    assert!(asked.2.is_string(), "the clock runs: {asked:?}");
    let rang = pings(&world);
    assert!(rang.len() == 1 && rang[0].starts_with("📋 ET-001: "), "{rang:#?}");
    for _ in 0..KILLED {
        world.serve(None);
        assert_eq!(wait(&world).await, asked, "parked, and since when it was");
    }
    // Whatever the last server had to send first lies before what follows the approval.
    world.services().set_state(DARK, "Approved", "owner");
    world.until("the end", |services| stands(DARK, "Done")(services) && is_told(services, DARK)).await;
    assert_eq!(pings(&world), rang, "one ping of the whole task");
    assert_eq!(world.lines("agents").iter().filter(|line| *line == "begin ET-001 analyst 1").count(), 1);
}
