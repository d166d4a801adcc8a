//! `/audit` and its export.

use serde_json::{Value, json};

use crate::fixed_routes::FixedRoutes;

fn decisions() -> Value {
    let run = json!({
        "run": "0198c1f0-0000-7000-8000-00003b2cabce", "short_id": "3b2cabce", "pipeline": "release", "title": "A <b>bold</b> one",
        "version": 9, "position": 40, "at": "2026-11-20T08:15:24.000Z", "actor": "user:mara", "step": "build", "round": 1,
    });
    let with = |more: Value| {
        let mut all = run.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    json!({
        "items": [
            with(json!({ "kind": "override", "decision": "proceed", "reason": "it is known", "policies": {} })),
            with(json!({ "kind": "recheck", "position": 39, "version": 8, "actor": "token:ci", "reason": null, "policies": { "tests": "true" } })),
            with(json!({
                "kind": "gate", "position": 38, "version": 7, "actor": "engine", "gate": "tests", "probe_no": 1, "verdict": "fail",
                "reason": "evidence.exit == 0 is false", "evidence": { "exit": 1 }, "policy": "evidence.exit == 0",
                "policy_hash": "ab", "evaluator": 1, "tolerated": false,
            })),
            with(json!({ "kind": "vote", "position": 37, "version": 6, "vote": "approve", "comment": "fine", "seen": "=1+1" })),
        ],
        "next_cursor": null,
    })
}

fn routes(store: (u16, Value)) -> FixedRoutes {
    FixedRoutes::new(&[
        ("/audit/decisions", 200, decisions()),
        ("/store", store.0, store.1),
        ("/pipelines", 200, json!({ "items": [{ "name": "release" }] })),
    ])
}

fn whole() -> (u16, Value) {
    (
        200,
        json!({ "position": 40, "epoch": "0123456789abcdef", "unreadable_events": 0, "set_aside": [], "warnings": [] }),
    )
}

#[tokio::test]
async fn decisions_of_all_runs_are_listed_with_who_made_them_and_overrides_are_marked() {
    let routes = routes(whole());
    let page = routes.get("/audit").await;
    assert_eq!(routes.asked("/audit"), ["/audit/decisions?limit=50"]);
    assert_eq!(page.matches("<li id=\"d-").count(), 4);
    // What a person put in the place of the pipeline's own decision: by hand, or by another policy.
    assert_eq!(page.matches("class=\"is-override\"").count(), 2);
    for words in [
        "title=\"user:mara\">mara",
        "title=\"token:ci\">token:ci",
        "it is known",
        "proceed",
        "fine",
        "exit 1",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(
        page.contains("every event is readable") && page.contains("A &#60;b&#62;bold&#60;/b&#62; one"),
        "{page}"
    );
}

#[tokio::test]
async fn filters_and_the_moment_of_the_page_are_those_of_the_route() {
    let routes = routes(whole());
    let query =
        "kind=people&actor=mara&gate=tests&verdict=fail&pipeline=release&run=3b2cabce&since=2026-11-20&at=39";
    let page = routes.get(&format!("/audit?{query}")).await;
    let asked = routes.asked("/audit").remove(0);
    for part in [
        "at=39",
        "kind=vote%2Cpart%2Canswer%2Capproval%2Coverride%2Crecheck%2Ccancel%2Cexpiry",
        "actor=user%3Amara",
        "gate=tests",
        "verdict=fail",
        "pipeline=release",
        "run=3b2cabce",
        "since=2026-11-20T00%3A00%3A00Z",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(
        page.contains("<option value=\"people\" selected>") && page.contains("name=\"at\" value=\"39\""),
        "{page}"
    );
    // Addresses from before there were kinds.
    routes.get("/audit?only=overrides").await;
    assert_eq!(routes.asked("/audit"), ["/audit/decisions?limit=50&kind=override"]);
}

#[tokio::test]
async fn the_export_has_the_listed_decisions_of_the_same_filters() {
    let routes = routes(whole());
    let csv = routes.get("/audit/export?as=csv&kind=override&at=39").await;
    let asked = routes.asked("/audit").remove(0);
    assert!(asked.contains("kind=override") && asked.contains("at=39"), "{asked}");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(
        lines[0].ends_with(",bypassed,permanent,asked_by,asked_at,displaced_by,displaced_at,displaced_gate"),
        "{csv}"
    );
    assert!(lines[1].contains(",override,,proceed,it is known,,,,user:mara,true,release,"), "{csv}");
    assert!(lines[2].contains(",recheck,") && lines[2].contains(",tests: true,,token:ci,true,"), "{csv}");
    assert!(lines[3].contains(",gate,tests,fail,") && lines[3].contains(",engine,false,"), "{csv}");
    let json = routes.get("/audit/export?as=jsonl").await;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["override"], &first["actor"], &first["pipeline"]),
        (&json!(true), &json!("user:mara"), &json!("release"))
    );
}

/// A filter that was spelled wrong gave the whole audit, as if it had been asked for.
#[tokio::test]
async fn an_export_with_a_parameter_that_there_is_not_is_refused() {
    let routes = routes(whole());
    for (query, said) in
        [("as=csv&gates=tests", "no parameter “gates”"), ("as=xml", "“xml” is no form of an export")]
    {
        let (status, answer) = routes.answer(&format!("/audit/export?{query}"), "text/html").await;
        assert_eq!(status, 422, "{query}: {answer}");
        assert!(answer.contains(said), "{query}: {answer}");
    }
    assert_eq!(routes.asked("/audit/decisions"), [""; 0]);
}

/// The state of the chain was just not there where the route refused it.
#[tokio::test]
async fn a_refusal_of_the_state_of_the_chain_stands_in_words() {
    let refused = json!({
        "status": 503, "title": "the store cannot be read", "detail": "the disk is gone", "code": "EF0260", "hint": "look at the disk",
    });
    let page = routes((503, refused)).get("/audit").await;
    for words in [
        "The state of the chain could not be read",
        "the store cannot be read",
        "the disk is gone",
        "EF0260",
        "look at the disk",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(page.matches("<li id=\"d-").count(), 4);
}
