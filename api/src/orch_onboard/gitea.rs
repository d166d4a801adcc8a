//! What a project needs in Gitea: its repository, the right to push, and a webhook.

use serde_json::json;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::request::OnboardRequest;
use super::services::{SetupService, escaped};
use super::settings_file::{HookSecret, draw_secret};

/// What Gitea is to tell.
const EVENTS: [&str; 6] = [
    "push",
    "status",
    "pull_request",
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
];

/// The repository with its push right, then the webhook.
pub(super) async fn items(
    checklist: Checklist,
    request: &OnboardRequest,
    gitea: &SetupService,
    secret: &HookSecret,
) -> Vec<SetupItem> {
    let repository = format!("/repos/{}/{}", escaped(&request.owner), escaped(&request.repo));
    let look = async || match gitea.ask("GET", &repository, None).await {
        Ok(answer) if !answer.is_good() => SetupFinding::Out(answer.refusal()),
        Ok(answer) if answer.body["permissions"]["push"] == json!(true) => {
            let branch = answer.body["default_branch"].as_str().unwrap_or("main");
            SetupFinding::There(format!("{}/{}, may push, {branch}", request.owner, request.repo))
        }
        Ok(_) => SetupFinding::Out("the token's user may not push".to_owned()),
        Err(why) => SetupFinding::Out(why),
    };
    let to_do = format!(
        "make the repository {}/{} in Gitea, and give the token's user the right to write",
        request.owner, request.repo
    );
    let own = checklist.item("gitea", "repository", to_do, look, async || Ok(())).await;
    let is_there = own.to_do.is_none();
    let mut items = vec![own];
    if is_there {
        items.push(webhook(checklist, request, gitea, &repository, secret).await);
    }
    items
}

async fn webhook(
    checklist: Checklist,
    request: &OnboardRequest,
    gitea: &SetupService,
    repository: &str,
    secret: &HookSecret,
) -> SetupItem {
    let url = request.hook_url("gitea");
    let look = async || match gitea.list(&format!("{repository}/hooks")).await {
        Ok(hooks) => match hooks.iter().find(|hook| hook["config"]["url"].as_str() == Some(&url)) {
            Some(hook) if hook["active"] == json!(false) => {
                SetupFinding::Out("it is switched off".to_owned())
            }
            Some(hook) => {
                let is_named = |event: &&str| {
                    hook["events"].as_array().is_some_and(|events| events.iter().any(|it| it == event))
                };
                let missing: Vec<&str> =
                    EVENTS[..3].iter().filter(|event| !is_named(event)).copied().collect();
                match (missing.is_empty(), secret.is_there()) {
                    (true, true) => SetupFinding::There(url.clone()),
                    (true, false) => SetupFinding::Out("it is there, and its secret is not here".to_owned()),
                    (false, _) => SetupFinding::Out(format!("it does not tell {}", missing.join(", "))),
                }
            }
            None => SetupFinding::Missing(format!("none to {url}")),
        },
        Err(why) => SetupFinding::Out(why),
    };
    let make = async || {
        let drawn = draw_secret(secret)?;
        let body = json!({
            "type": "gitea", "active": true, "events": EVENTS,
            "config": { "url": url, "content_type": "json", "secret": drawn },
        });
        let answer = gitea.ask("POST", &format!("{repository}/hooks"), Some(&body)).await?;
        if answer.is_good() { Ok(()) } else { Err(answer.refusal()) }
    };
    let to_do = format!(
        "the repository's settings in Gitea, Webhooks: {url}, JSON, push, statuses and pull requests; its secret stands in {}",
        secret.place()
    );
    checklist.item("gitea", "webhook", to_do, look, make).await
}
