//! The buttons of the ping in Telegram: who presses them, and what the task makes of it.

use serde_json::{Value, json};

use super::walk::{DARK, begin};
use super::world::{SECRET, SHOP, World, stands};

const OWNER: u64 = 4711;
const STRANGER: u64 = 4712;

/// A world whose pings have buttons that count for the owner alone.
async fn world() -> World {
    let mut world = World::unserved().await;
    let hook = "[hooks.telegram]\nreader = \"telegram\"\nsecret = { env = \"ORCH_PLANE_WEBHOOK_SECRET\" }\n";
    let settings = std::fs::read_to_string(world.path(".everfold/everfold.toml")).unwrap();
    world.write(".everfold/everfold.toml", &format!("{settings}{hook}"));
    let path = ".orch/projects.yaml";
    let mut projects: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path(path)).unwrap()).unwrap();
    projects["telegram"]["buttons"] = json!(true);
    projects["telegram"]["approvers"] = json!([OWNER.to_string()]);
    world.write(path, &projects.to_string());
    world.serve(None);
    world
}

/// A person presses a button: what Everfold tells Telegram to show them.
async fn pressed(world: &World, update: u64, person: u64, data: &str) -> Value {
    let query = json!({
        "id": format!("query-{update}"), "from": { "id": person }, "data": data,
        "message": { "message_id": 2, "chat": { "id": -100 } },
    });
    let body = json!({ "update_id": update, "callback_query": query });
    let head = [("x-telegram-bot-api-secret-token", SECRET)];
    let answer = world.client().once("POST", "/api/v1/hooks/telegram", &head, Some(&body)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// What the two buttons of a ping send.
fn buttons(world: &World, ping: usize) -> [String; 2] {
    let sent = world.fake.asked();
    let mut pings = sent
        .iter()
        .filter(|asked| asked.body["reply_markup"]["inline_keyboard"][0][0]["callback_data"].is_string());
    let row = &pings.nth(ping).expect("buttons").body["reply_markup"]["inline_keyboard"][0];
    [0, 1].map(|at| row[at]["callback_data"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn ov14_a_button_of_the_ping_counts_for_an_approver_and_for_what_it_was_shown_for() {
    let world = world().await;
    begin(&world, DARK, SHOP, "Dark mode");
    world
        .until("the ping", |services| {
            stands(DARK, "In Review")(services) && services.messages.iter().any(|message| !message.is_silent)
        })
        .await;
    let [yes, no] = buttons(&world, 0);
    assert!(yes.len() <= 64 && yes.contains(" approved check_an:1."), "{yes}");

    let refused = pressed(&world, 1, STRANGER, &yes).await;
    assert_eq!((&refused["text"], &refused["show_alert"]), (&"nobody who may approve".into(), &true.into()));
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!(task["waits"][0]["step"], "check_analysis_approved", "{task}");
    let old = pressed(&world, 2, OWNER, &format!("{DARK} approved")).await;
    assert!(old["text"].as_str().unwrap().starts_with("this button is of an older message"), "{old}");

    // What was sent back is shown anew: the former message decides nothing about it.
    let rejected = pressed(&world, 3, OWNER, &no).await;
    assert_eq!(rejected["show_alert"], false, "{rejected}");
    world
        .until("the second ping", |services| {
            services.messages.iter().filter(|message| !message.is_silent).count() > 1
        })
        .await;
    world.until("the second approval", stands(DARK, "In Review")).await;
    for (update, data) in [(4, &yes), (5, &no)] {
        let outdated = pressed(&world, update, OWNER, data).await;
        let said = "this is asked no more: a newer message asks, about what there is now";
        assert_eq!((&outdated["text"], &outdated["show_alert"]), (&said.into(), &true.into()), "{data}");
    }
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    assert_eq!(task["waits"][0]["step"], "check_analysis_approved", "{task}");

    let [yes, no] = buttons(&world, 1);
    let approved = pressed(&world, 6, OWNER, &yes).await;
    assert_eq!(approved["show_alert"], false, "{approved}");
    // While it works, and when it has ended.
    for (updates, is_over) in [([7, 8], false), ([9, 10], true)] {
        if is_over {
            world.until("the end", stands(DARK, "Done")).await;
        }
        for (update, data) in updates.into_iter().zip([&yes, &no]) {
            let again = pressed(&world, update, OWNER, data).await;
            let text = again["text"].as_str().unwrap();
            assert!(text.starts_with(&format!("already approved by {OWNER} at 20")), "{again}");
        }
    }
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    let gate =
        task["gates"].as_array().unwrap().iter().find(|gate| gate["step"] == "check_analysis_approved");
    assert_eq!(gate.unwrap()["reason"], format!("approved by hook:telegram/{OWNER}"), "{task}");
    let states = world.services().issues[DARK].states.clone();
    assert!(!states.contains(&"Approved"), "nobody touched it in Plane: {states:?}");
    assert!(states.contains(&"Architecture"), "{states:?}");
}
