//! Addresses that cannot be read.

use axum::http::StatusCode;
use serde_json::json;

use crate::fixed_routes::FixedRoutes;

#[tokio::test]
async fn an_address_that_cannot_be_read_has_a_page_and_a_problem_for_programs() {
    let routes = FixedRoutes::new(&[]);
    for path in ["/runs/%ff", "/inbox/%ff"] {
        let (status, page) = routes.answer(path, "text/html").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.contains("<main") && page.contains("UTF-8"), "{path}: {page}");
        let (status, problem) = routes.answer(path, "*/*").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"EF0211".into()), "{path}");
        // The shape of problems of REST.
        assert_eq!(problem["type"], "urn:everfold:error:EF0211", "{path}");
        assert!(problem["detail"].as_str().unwrap().starts_with("the path: "), "{problem}");
        assert!(problem.as_object().unwrap().values().all(|value| !value.is_null()), "{problem}");
    }
    let (status, problem) = routes.answer("/assets/x/unknown", "*/*").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem.contains("nothing is at /assets/x/unknown"), "{problem}");
}

#[tokio::test]
async fn a_worker_sees_no_button_that_would_be_refused_beside_the_text_of_a_pipeline() {
    let routes = |role: &str| {
        let session = json!({ "actor": "token:x", "role": role, "roles": null, "csrf": "x" });
        FixedRoutes::new(&[("/session", 200, session)])
    };
    let page = routes("worker").get("/pipelines/new").await;
    assert!(!page.contains("value=\"check\"") && !page.contains("value=\"save\""), "{page}");
    let page = routes("viewer").get("/pipelines/new").await;
    assert!(page.contains("value=\"check\"") && !page.contains("value=\"save\""), "{page}");
}

#[tokio::test]
async fn a_moment_that_the_log_has_not_reached_is_not_found_on_every_page_of_lists() {
    let beyond = json!({
        "status": 404, "code": "EF0215", "title": "it has not come so far",
        "detail": "position 99999999 is beyond the end of the log, 40",
    });
    let routes = FixedRoutes::new(&[("/audit/decisions", 404, beyond)]);
    let (status, page) = routes.answer("/audit?at=99999999", "text/html").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("beyond the end of the log"), "{page}");
}

#[tokio::test]
async fn the_page_of_a_run_that_is_set_aside_says_why_and_offers_what_can_be_done() {
    let aside = json!({
        "status": 409, "code": "EF0216", "title": "the run is set aside",
        "detail": "run 3b2cabce is set aside: a large value could not be kept",
    });
    let viewer = json!({ "actor": "token:x", "role": "viewer", "roles": null, "csrf": "x" });
    let routes = |more: &[(&str, u16, serde_json::Value)]| {
        let mut all = vec![("/runs/3b2cabce", 409, aside.clone())];
        all.extend(more.iter().cloned());
        FixedRoutes::new(&all)
    };
    let (status, page) = routes(&[]).answer("/runs/3b2cabce", "text/html").await;
    assert_eq!(status, StatusCode::CONFLICT);
    for words in
        ["a large value could not be kept", "/runs/3b2cabce/act/resume", "/runs/3b2cabce/act/abandon"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let asks = routes(&[]).get("/runs/3b2cabce/act/resume").await;
    assert!(asks.contains("a large value could not be kept") && asks.contains("Resume the run"), "{asks}");
    let (_, page) = routes(&[("/session", 200, viewer)]).answer("/runs/3b2cabce", "text/html").await;
    assert!(!page.contains("/act/"), "a viewer sees no button that would be refused: {page}");
}

#[tokio::test]
async fn the_pipeline_of_a_run_that_brought_its_definition_leads_to_that_definition() {
    let unsaved = json!({ "status": 404, "code": "EF0205", "title": "no such pipeline", "detail": "there is no pipeline “greet”" });
    let routes = FixedRoutes::new(&[("/pipelines/greet", 404, unsaved)]);
    let (status, _) = routes.answer("/pipelines/greet?run=abcd1234", "text/html").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    // Without such a run it is what it is: nothing of that name.
    let (status, page) = routes.answer("/pipelines/greet", "text/html").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("there is no pipeline"), "{page}");
}
