//! Whose writes in Plane come back as our own: the users of the tokens.
//!
//! Without them a state that Everfold has written counts as the owner's word, and starts agents.
//!
//! Law: a list that is there stays as people wrote it; where it lacks a user, the table says so.

use everfold_engine::json::Value;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::environment::plane_tokens;
use super::record::yaml_text;
use super::request::OnboardRequest;
use super::services::SetupService;
use super::settings_document;

/// A user of Plane whose token is used.
struct TokenUser {
    id: String,
    name: String,
}

/// The list `bots` of the settings document.
pub(super) async fn item(checklist: Checklist, request: &OnboardRequest) -> SetupItem {
    let users = users(request).await;
    let look = async || match &users {
        Err(why) => SetupFinding::Out(why.clone()),
        Ok(users) => look(request, users),
    };
    let make = async || match &users {
        Err(why) => Err(why.clone()),
        Ok(users) => make(request, users),
    };
    let wanted = users.as_deref().map_or_else(|_| "[NAME, ID]".to_owned(), list_of);
    let to_do = format!(
        "in {}: bots: {wanted}, the users of the tokens; what they do in Plane is not heard, so people need users of their own",
        request.projects.display()
    );
    checklist.item("here", "bots", to_do, look, make).await
}

/// Who each token belongs to, each user once.
async fn users(request: &OnboardRequest) -> Result<Vec<TokenUser>, String> {
    let mut users: Vec<TokenUser> = Vec::new();
    for (variable, token) in plane_tokens(&request.environment) {
        let plane = SetupService::plane_users(&request.plane_url, &token);
        let answer = plane.ask("GET", "/me/", None).await?;
        if !answer.is_good() {
            return Err(format!("whose token {variable} is, Plane does not say: {}", answer.refusal()));
        }
        let field = |name: &str| answer.body[name].as_str().unwrap_or_default().trim().to_owned();
        let (id, name) = (field("id"), field("display_name"));
        if id.is_empty() {
            return Err(format!("whose token {variable} is, Plane does not say"));
        }
        if users.iter().all(|user| user.id != id) {
            users.push(TokenUser { id, name });
        }
    }
    Ok(users)
}

/// The names by which a delivery or a comment may name these users.
fn names(users: &[TokenUser]) -> Vec<&str> {
    let names = users.iter().flat_map(|user| [user.name.as_str(), user.id.as_str()]);
    names.filter(|name| !name.is_empty()).collect()
}

fn list_of(users: &[TokenUser]) -> String {
    let names: Vec<String> = names(users).into_iter().map(yaml_text).collect();
    format!("[{}]", names.join(", "))
}

fn look(request: &OnboardRequest, users: &[TokenUser]) -> SetupFinding {
    let path = request.projects.display();
    let document = match settings_document::read(&request.projects) {
        Ok(document) => document,
        Err(finding) => return finding,
    };
    let Some(bots) = document["bots"].as_array() else {
        return match &document["bots"] {
            Value::Null => SetupFinding::Missing(format!("no `bots` in {path}")),
            _other => SetupFinding::Out(format!("`bots` in {path} is no list")),
        };
    };
    // A delivery names its user; the id stands for one without a name.
    let is_known = |user: &&TokenUser| {
        let name = if user.name.is_empty() { &user.id } else { &user.name };
        bots.iter().any(|bot| bot.as_str() == Some(name))
    };
    let unknown: Vec<&str> = users
        .iter()
        .filter(|user| !is_known(user))
        .map(|user| names(std::slice::from_ref(user))[0])
        .collect();
    if unknown.is_empty() {
        SetupFinding::There(format!("{}: what they do in Plane is not heard", list_of(users)))
    } else {
        SetupFinding::Out(format!("without {}, whose writes count as those of people", unknown.join(", ")))
    }
}

fn make(request: &OnboardRequest, users: &[TokenUser]) -> Result<(), String> {
    let line = format!("bots: {} # the users of the tokens of Plane", list_of(users));
    settings_document::add_line(&request.projects, &line, |document| {
        document["bots"].as_array().map(Vec::len) == Some(names(users).len())
    })
}
