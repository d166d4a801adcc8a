//! What a project needs in Gitea: its repository, the right to push, and a webhook.

use everfold_engine::json::Value;
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

/// What all reviews of pull requests are called together.
const REVIEWS: &str = "pull_request_review";

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

/// Whether a webhook with these events tells of one: a form of Gitea stands for each of the reviews by itself, or for all
/// of them.
fn is_reported(event: &str, events: &[&str]) -> bool {
    let is_review = event.starts_with(REVIEWS);
    events.iter().any(|known| *known == event || (is_review && *known == REVIEWS))
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
                let events: Vec<&str> =
                    hook["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let missing: Vec<&str> =
                    EVENTS.into_iter().filter(|event| !is_reported(event, &events)).collect();
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
        let events = [EVENTS.as_slice(), &[REVIEWS]].concat();
        let body = json!({
            "type": "gitea", "active": true, "events": events,
            "config": { "url": url, "content_type": "json", "secret": drawn },
        });
        let answer = gitea.ask("POST", &format!("{repository}/hooks"), Some(&body)).await?;
        if answer.is_good() { Ok(()) } else { Err(answer.refusal()) }
    };
    let to_do = format!(
        "the repository's settings in Gitea, Webhooks: {url}, JSON, push, statuses, pull requests, and their reviews (approved, rejected, comment); its secret stands in {}",
        secret.place()
    );
    checklist.item("gitea", "webhook", to_do, look, make).await
}
