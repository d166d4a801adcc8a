//! `/orch`: tasks by stage.

use serde_json::{Value, json};

use crate::fixed_routes::FixedRoutes;

fn task(item: &str, stage: &str, more: Value) -> Value {
    let mut task = json!({
        "run": "0198c1f0-0000-7000-8000-00003b2cabce", "short_id": format!("3b2c00{}", &item[item.len() - 2..]), "pipeline": "orch",
        "item": item, "title": "A <b>bold</b> one", "project": "7a79f0a9", "repo": "enduro-trails", "branch": "feature/x",
        "status": "running", "stage": stage, "stage_since": "2026-11-20T08:15:24.000Z", "tracker": stage, "work": [], "waits": [],
        "next_at": null, "rounds": [{ "step": "developer", "used": 2, "max": 3, "causes": { "check_ci_green": 1 } }],
        "sent_back": { "at": "2026-11-20T08:15:24.000Z", "step": "reviewer", "gate": "check_reviewer_verdict", "by": null,
            "cause": "check_reviewer_verdict", "reason": "REQUEST_CHANGES", "to": "developer" },
        "reviews": [{ "step": "approve", "started_at": "2026-11-20T08:00:00.000Z", "open_since": null, "ended_at": null, "elapsed_ms": 252_000 }],
        "gate": null, "cost_usd": "1.250000", "input_tokens": 10, "output_tokens": 5, "in_production": false, "stuck": false,
        "set_aside": null, "note": null, "started_at": "2026-11-20T08:00:00.000Z", "ended_at": null, "updated_at": "2026-11-20T08:15:24.000Z", "version": 9,
    });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    task
}

fn routes() -> FixedRoutes {
    let waits = json!([{ "kind": "approval", "step": "approve", "roles": ["owner"], "since": "2026-11-20T08:10:00.000Z", "why": null }]);
    let work = json!([{ "step": "developer", "agent": true, "round": 2, "attempt": 1, "since": "2026-11-20T08:10:00.000Z", "started_at": null }]);
    let items = json!([
        task("ET-018", "analysis", json!({ "tracker": "in_review", "status": "waiting", "waits": waits })),
        task("ET-019", "development", json!({ "work": work })),
        task("ET-020", "development", json!({ "status": "waiting", "stuck": true })),
    ]);
    FixedRoutes::new(&[
        (
            "/orch/tasks",
            200,
            json!({ "position": 9, "stages": ["analysis", "development", "review"], "items": items, "next_cursor": null }),
        ),
        (
            "/orch/queue",
            200,
            json!({ "counts": { "queued": 1, "running": 2, "done": 3, "failed": 0 }, "max_concurrency": 4,
            "resilience": { "breaker": "open", "breakers": [] }, "recent": [] }),
        ),
    ])
}

#[tokio::test]
async fn o090_tasks_stand_in_the_columns_of_their_stages_with_whom_they_wait_for_and_used_of_max() {
    let text = routes().get("/orch").await;
    for wanted in [
        "id=\"stage-analysis\"",
        "approve · owner",
        "2/3",
        "rounds of developer: check_ci_green 1",
        "In review",
        "4 m 12 s",
        "1.25 USD",
        "not in production",
        "REQUEST_CHANGES",
        "stuck ·",
        "▸ 2 agents at work of 4",
        "the breaker of agents is open",
        "A &#60;b&#62;bold",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(
        place("stage-analysis") < place("stage-development")
            && place("stage-development") < place("stage-review")
    );
    assert!(place("id=\"task-3b2c0020\"") < place("id=\"task-3b2c0019\""), "what is stuck stands first");
    assert!(!text.contains("style=") && !text.contains("onclick"), "no style and no script stands inline");
}

#[tokio::test]
async fn a_card_without_figures_has_no_line_of_them_and_no_cost() {
    let bare = json!({ "rounds": [], "reviews": [], "in_production": null, "cost_usd": "0.000000" });
    let routes = |item: Value| {
        FixedRoutes::new(&[
            (
                "/orch/tasks",
                200,
                json!({ "position": 9, "stages": ["analysis"], "items": [item], "next_cursor": null }),
            ),
            ("/orch/queue", 404, json!({})),
        ])
    };
    let text = routes(task("ET-018", "analysis", bare)).get("/orch").await;
    assert!(text.contains("id=\"task-3b2c0018\"") && text.contains("<code>3b2c0018</code>"), "{text}");
    assert!(!text.contains("USD") && !text.contains("orch-foot"), "{text}");
    let spent = json!({ "rounds": [], "reviews": [], "in_production": null });
    let text = routes(task("ET-018", "analysis", spent)).get("/orch").await;
    assert!(text.contains("1.25 USD") && !text.contains("orch-foot"), "{text}");
}

#[tokio::test]
async fn a_choice_of_tasks_and_the_moment_stay_in_the_address() {
    let routes = routes();
    let text = routes.get("/orch?show=stuck&project=7a79f0a9").await;
    assert!(text.contains("task-3b2c0020") && !text.contains("task-3b2c0019"), "{text}");
    assert!(routes.asked("/orch/tasks").iter().all(|asked| asked.contains("project=7a79f0a9")));
    let text = routes.get("/orch?at=40").await;
    assert!(
        text.contains("/orch?show=waiting&#38;at=40") || text.contains("/orch?show=waiting&amp;at=40"),
        "{text}"
    );
    assert!(routes.asked("/orch/queue").is_empty(), "what is in line is of now alone");
}

#[tokio::test]
async fn what_was_sent_back_is_left_out_where_the_wait_gives_the_same_reason() {
    let card = |why: &str| {
        let waits = json!([{ "kind": "unblock", "step": "reviewer", "roles": [], "since": "2026-11-20T08:10:00.000Z", "why": why }]);
        let item = task("ET-018", "review", json!({ "status": "blocked", "waits": waits }));
        FixedRoutes::new(&[
            (
                "/orch/tasks",
                200,
                json!({ "position": 9, "stages": ["review"], "items": [item], "next_cursor": null }),
            ),
            ("/orch/queue", 404, json!({})),
        ])
    };
    let text = card("gate “check” failed: REQUEST_CHANGES").get("/orch").await;
    assert!(text.contains("failed: REQUEST_CHANGES") && !text.contains("↺"), "{text}");
    let text = card("no rounds are left").get("/orch").await;
    assert!(text.contains("↺ REQUEST_CHANGES"), "{text}");
}
