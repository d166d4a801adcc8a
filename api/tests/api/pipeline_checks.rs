//! Checks of pipelines by the owner: as thorough as those of files, and nothing of a pipeline is run.

use axum::body::Body;
use axum::http::Request;
use everfold_api::access::Caller;
use serde_json::json;

use tower::ServiceExt as _;

use crate::fixtures::in_memory::{Api, read};

#[tokio::test]
async fn row_48_a_check_by_text_or_by_name_refuses_what_a_check_of_a_file_refuses() {
    let api = Api::new();
    let shell = "name: shell\nsteps: [{ id: a, command: 'if true; then echo x' }]\n";
    let resource = "name: resource\nsteps: [{ id: a, command: 'true', resources: [gpu] }]\n";
    let function = "name: function\nsteps: [{ id: a, function: no.such }]\n";
    for (name, text, code, part) in [
        ("shell", shell, "EF0213", "the shell cannot read the command"),
        ("resource", resource, "EF0225", "needs the resource gpu"),
        ("function", function, "EF0623", "no.such"),
    ] {
        let (status, problem) = api.post("/api/v1/pipelines/check", json!({ "definition": text })).await;
        assert_eq!((status, &problem["code"]), (422, &json!(code)), "{problem}");
        assert!(problem["errors"].to_string().contains(part), "{problem}");
        let body = json!({ "definition": text }).to_string();
        let saved = api.send("PUT", &format!("/api/v1/pipelines/{name}"), &[], body).await;
        assert_eq!(saved.status(), 201, "{name}");
        let (status, by_name) = api.post("/api/v1/pipelines/check", json!({ "pipeline": name })).await;
        assert_eq!((status, &by_name["errors"]), (422, &problem["errors"]), "{by_name}");
    }
}

/// They were found when something was to be told.
#[tokio::test]
async fn parameters_of_notices_that_never_fit_are_refused_by_the_check_and_when_it_is_saved() {
    let api = Api::new();
    let told = "\
name: told
secrets: { HOOK: { env: HOOK } }
notify:
  - { id: team, events: [RunFailed], function: notify.slack, with: { ulr: '${secrets.HOOK}', blocks: 'x' } }
  - { id: fine, events: [RunFailed], function: notify.http, with: { url: '${secrets.HOOK}', body: '${event}' } }
steps:
  - { id: tell, function: notify.telegram, with: { token: '${secrets.HOOK}', silent: 'yes' } }
";
    let (status, problem) = api.post("/api/v1/pipelines/check", json!({ "definition": told })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0213")), "{problem}");
    let found: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        found,
        [
            "the step tell: notify.telegram needs `with.chat`, a text or a number",
            "the step tell: `with.silent` of notify.telegram is true or false",
            "the notice team: notify.slack takes no `ulr`; did you mean `url`?",
            "the notice team: notify.slack needs `with.url`, a text",
            "the notice team: `with.blocks` of notify.slack is a list",
        ]
    );
    let body = json!({ "definition": told }).to_string();
    let (status, refused) = read(api.send("PUT", "/api/v1/pipelines/told", &[], body).await).await;
    assert_eq!((status, &refused["errors"]), (422, &problem["errors"]), "{refused}");
}

#[tokio::test]
async fn row_48_a_check_looks_for_settings_documents_in_the_folder_of_a_local_caller_alone() {
    let api = Api::new();
    let folder = tempfile::tempdir().unwrap();
    let text = "name: x\nconfig: { own: [own.yaml] }\nsteps: [{ id: a, function: everfold.noop }]\n";
    let check = json!({ "definition": text, "cwd": folder.path() });
    let (status, found) = api.post("/api/v1/pipelines/check", check.clone()).await;
    assert_eq!((status, found["settings"].as_array().map(Vec::len)), (200, Some(1)), "{found}");
    std::fs::write(folder.path().join("own.yaml"), "a: 1\n").unwrap();
    let (status, found) = api.post("/api/v1/pipelines/check", check.clone()).await;
    assert_eq!((status, &found["settings"], &found["unread"]), (200, &json!([]), &json!(0)), "{found}");
    let (status, found) = api.post("/api/v1/pipelines/check", json!({ "definition": text })).await;
    assert_eq!((status, &found["settings"]), (200, &json!([])), "no folder is named: {found}");

    let afar = Caller { local: false, ..Caller::local("ada") };
    let request = Request::builder().method("POST").uri("/api/v1/pipelines/check").extension(afar);
    let answer = api.routes().oneshot(request.body(Body::from(check.to_string())).unwrap()).await.unwrap();
    assert_eq!(read(answer).await.0, 403);
}

#[tokio::test]
async fn row_48_a_check_runs_nothing_of_what_it_is_given() {
    let api = Api::new();
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("touched");
    let here = touched.display();
    let script = format!(
        "touch {here}; $(touch {here}); `touch {here}`; trap 'touch {here}' EXIT; cat <<E\n$(touch {here})\nE\n"
    );
    let definition = json!({ "name": "x", "steps": [{ "id": "a", "command": script }] });
    let (status, found) = api.post("/api/v1/pipelines/check", json!({ "definition": definition })).await;
    assert_eq!(status, 200, "{found}");
    assert!(!touched.exists(), "something ran");
    for body in [json!({}), json!({ "pipeline": "a", "definition": "b" })] {
        assert_eq!(api.post("/api/v1/pipelines/check", body).await.0, 422);
    }
}
