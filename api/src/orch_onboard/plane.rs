//! What a project needs in Plane: its states, labels, and a webhook.

use everfold_engine::json::Value;
use serde_json::json;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::record::ProjectStates;
use super::request::OnboardRequest;
use super::services::{SetupService, escaped};
use super::settings_file::{HookSecret, keep_secret};

/// The states of ORCH, with the group that Plane sorts each into, and a colour.
const STATES: [(&str, &str, &str); 14] = [
    ("Backlog", "backlog", "#a3a3a3"),
    ("Todo", "unstarted", "#3a3a3a"),
    ("In Progress", "started", "#f59e0b"),
    ("Architecture", "started", "#8b5cf6"),
    ("Development", "started", "#3b82f6"),
    ("Review", "started", "#06b6d4"),
    ("Testing", "started", "#14b8a6"),
    ("Approved", "started", "#22c55e"),
    ("Rejected", "started", "#ef4444"),
    ("Done", "completed", "#16a34a"),
    ("Cancelled", "cancelled", "#737373"),
    ("Needs Input", "started", "#eab308"),
    ("In Review", "started", "#a855f7"),
    ("Blocked", "started", "#dc2626"),
];

/// The project itself, then what it needs.
pub(super) async fn items(
    checklist: Checklist,
    request: &OnboardRequest,
    plane: &SetupService,
    secret: &HookSecret,
) -> Vec<SetupItem> {
    let project = format!("/projects/{}", escaped(&request.project));
    let found = async || match plane.ask("GET", &format!("{project}/"), None).await {
        Ok(answer) if answer.is_good() => {
            let name = answer.body["name"].as_str().unwrap_or_default();
            SetupFinding::There(format!("“{name}”"))
        }
        Ok(answer) => SetupFinding::Out(answer.refusal()),
        Err(why) => SetupFinding::Out(why),
    };
    let to_do = "make the project in Plane, and give the token's user access to it; --project takes its UUID";
    let own = checklist.item("plane", "project", to_do, found, async || Ok(())).await;
    let is_there = own.detail.starts_with('“');
    let mut items = vec![own];
    if !is_there {
        return items;
    }
    let names: Vec<String> = STATES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let make_state = async |missing: &str| {
        let known = STATES.iter().find(|(name, ..)| *name == missing);
        let (name, group, colour) = known.copied().unwrap_or((missing, "started", "#3a3a3a"));
        let body = json!({ "name": name, "group": group, "color": colour });
        post(plane, &format!("{project}/states/"), &body).await.map(drop)
    };
    items.push(named(checklist, plane, "states", &format!("{project}/states/"), names, make_state).await);
    if !request.labels.is_empty() {
        let make_label = async |missing: &str| {
            post(plane, &format!("{project}/labels/"), &json!({ "name": missing })).await.map(drop)
        };
        let path = format!("{project}/labels/");
        items.push(named(checklist, plane, "labels", &path, request.labels.clone(), make_label).await);
    }
    items.push(webhook(checklist, request, plane, secret).await);
    items
}

/// The ids of the states that `orch` hears: Plane may send an id alone.
pub(super) async fn states(request: &OnboardRequest, plane: &SetupService) -> ProjectStates {
    let path = format!("/projects/{}/states/", escaped(&request.project));
    let listed = plane.list(&path).await.unwrap_or_default();
    let id_of = |name: &str| {
        let is_it =
            |state: &&Value| state["name"].as_str().is_some_and(|it| it.trim().eq_ignore_ascii_case(name));
        let found: Vec<&Value> = listed.iter().filter(is_it).collect();
        found.first().and_then(|state| state["id"].as_str()).map(str::to_owned)
    };
    [("in_progress", "In Progress"), ("approved", "Approved"), ("rejected", "Rejected"), ("done", "Done")]
        .into_iter()
        .filter_map(|(key, name)| id_of(name).map(|id| (key, id)))
        .collect()
}

/// Things that a list names, made one by one.
async fn named(
    checklist: Checklist,
    plane: &SetupService,
    what: &'static str,
    path: &str,
    wanted: Vec<String>,
    make: impl AsyncFn(&str) -> Result<(), String>,
) -> SetupItem {
    let missing = async || -> Result<Vec<String>, String> {
        let listed = plane.list(path).await?;
        let has = |name: &String| {
            listed
                .iter()
                .any(|item| item["name"].as_str().is_some_and(|it| it.trim().eq_ignore_ascii_case(name)))
        };
        Ok(wanted.iter().filter(|name| !has(name)).cloned().collect())
    };
    let look = async || match missing().await {
        Ok(none) if none.is_empty() => SetupFinding::There(format!("all {}", wanted.len())),
        Ok(missing) => SetupFinding::Missing(format!("without {}", missing.join(", "))),
        Err(why) => SetupFinding::Out(why),
    };
    let make_all = async || {
        for name in missing().await? {
            make(&name).await.map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    };
    let to_do = format!("make them in the project's settings in Plane, under {what}");
    checklist.item("plane", what, to_do, look, make_all).await
}

/// Plane's webhooks belong to the workspace, and Plane draws their secrets.
async fn webhook(
    checklist: Checklist,
    request: &OnboardRequest,
    plane: &SetupService,
    secret: &HookSecret,
) -> SetupItem {
    let url = request.hook_url("plane");
    let look = async || match plane.ask("GET", "/webhooks/", None).await {
        Ok(answer) if answer.is_good() => {
            let listed = match &answer.body {
                Value::Object(page) => page.get("results").cloned().unwrap_or_default(),
                other => other.clone(),
            };
            let hooks = listed.as_array().cloned().unwrap_or_default();
            let own = hooks.iter().find(|hook| hook["url"].as_str() == Some(&url));
            match own {
                Some(hook) if hook["is_active"] == json!(false) => {
                    SetupFinding::Out("it is switched off".to_owned())
                }
                Some(_) if secret.is_there() => SetupFinding::There(url.clone()),
                Some(_) => SetupFinding::Out("it is there, and its secret is not here".to_owned()),
                // Plane draws the secret of a webhook that is made over its API, tells it once, and takes no other.
                None if matches!(secret, HookSecret::Variable(..)) => SetupFinding::Out(format!(
                    "none to {url}, and Plane draws a secret of its own for one that is made here, which is another one than {} has",
                    secret.place()
                )),
                None => SetupFinding::Missing(format!("none to {url}")),
            }
        }
        Ok(answer) if matches!(answer.status, 404 | 405) => {
            SetupFinding::ByHand("this Plane makes no webhooks over its API".to_owned())
        }
        Ok(answer) => SetupFinding::Out(answer.refusal()),
        Err(why) => SetupFinding::Out(why),
    };
    let make = async || {
        let body = json!({ "url": url, "is_active": true, "issue": true, "issue_comment": true });
        let made = post(plane, "/webhooks/", &body).await?;
        match made["secret_key"].as_str() {
            Some(drawn) => keep_secret(secret, drawn),
            None => Err("Plane told no secret of the webhook".to_owned()),
        }
    };
    let to_do = format!(
        "Plane, workspace settings, Webhooks: {url} with issues and comments; put its secret into {}",
        secret.place()
    );
    checklist.item("plane", "webhook", to_do, look, make).await
}

async fn post(plane: &SetupService, path: &str, body: &Value) -> Result<Value, String> {
    let answer = plane.ask("POST", path, Some(body)).await?;
    // Another one may have made it meanwhile: the second look says.
    if answer.is_good() || answer.status == 409 { Ok(answer.body) } else { Err(answer.refusal()) }
}
