//! What the routes of the REST API do.

use everfold_base::json::Value;
use serde_json::json;

use super::super::server::{FakeAnswer, FakeRequest};
use super::hooks::PlaneEvent;
use super::world::{PlaneIssue, PlaneNote, PlaneUser, PlaneWorld, now};
use crate::http::percent_encoded;

/// Items of a page where the request names no number.
const PAGE_ITEMS: usize = 100;

/// What a request is answered, and what webhooks tell of it.
pub(super) fn answer(world: &mut PlaneWorld, asked: &FakeRequest) -> (FakeAnswer, Vec<PlaneEvent>) {
    let quiet = |answer| (answer, Vec::new());
    let Some(path) = asked.path.strip_prefix("/api/v1/workspaces/") else {
        return quiet(FakeAnswer::new(404, "<h1>Not Found</h1>".into()));
    };
    let token = asked.headers.get("x-api-key").map(String::as_str).unwrap_or_default();
    let Some(user) = world.users.get(token).cloned() else {
        let detail = if token.is_empty() {
            "Authentication credentials were not provided."
        } else {
            "Given API token is not valid"
        };
        return quiet(FakeAnswer::new(403, json!({ "detail": detail })));
    };
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match (asked.method.as_str(), parts.as_slice()) {
        (_, [workspace, ..]) if *workspace != world.workspace => quiet(missing()),
        (_, [_, "projects", project, ..]) if !world.projects.contains_key(*project) => quiet(missing()),
        ("GET", [_, "projects", project, "states"]) => quiet(listed(world, asked, world.state_list(project))),
        ("GET", [_, "issues", "search"]) => quiet(searched(world, asked)),
        ("GET", [_, "projects", _, "issues", issue]) => quiet(match world.issue(issue, world.expanded) {
            Some(mut shown) => {
                if asked.parameter("expand") == Some("labels") {
                    shown["labels"] = world.issue_labels(issue);
                }
                FakeAnswer::new(200, shown)
            }
            None => missing(),
        }),
        ("GET", [_, "projects", project, "issues"]) => quiet(issues(world, project, asked)),
        ("POST", [_, "projects", project, "issues"]) => make(world, &user, project, &asked.body),
        ("PATCH", [_, "projects", project, "issues", issue]) => patch(world, &user, project, issue, asked),
        ("GET", [_, "projects", _, "issues", issue, "comments"]) => {
            let of_issue = world.comments.iter().rev().filter(|note| note.issue == *issue);
            quiet(listed(world, asked, of_issue.map(PlaneWorld::comment).collect()))
        }
        ("POST", [_, "projects", project, "issues", issue, "comments"]) => {
            post(world, &user, project, issue, &asked.body)
        }
        _other => quiet(missing()),
    }
}

fn missing() -> FakeAnswer {
    FakeAnswer::new(404, json!({"error": "The requested resource does not exist."}))
}

/// A list, or a page of it with the cursor of the next one.
fn listed(world: &PlaneWorld, asked: &FakeRequest, items: Vec<Value>) -> FakeAnswer {
    if world.plain_lists {
        return FakeAnswer::new(200, items.into());
    }
    let each = asked.parameter("per_page").and_then(|each| each.parse().ok()).unwrap_or(PAGE_ITEMS).max(1);
    let page = asked.parameter("cursor").map(|cursor| cursor.replace("%3A", ":"));
    let page: usize = page.and_then(|cursor| cursor.split(':').nth(1)?.parse().ok()).unwrap_or(0);
    let (total, from) = (items.len(), page * each);
    let has_next = total > from + each;
    let shown: Vec<Value> = items.into_iter().skip(from).take(each).collect();
    FakeAnswer::new(
        200,
        json!({
            "total_count": total, "count": shown.len(), "results": shown,
            "next_cursor": format!("{each}:{}:0", page + 1), "next_page_results": has_next,
            "prev_cursor": format!("{each}:{}:1", page.saturating_sub(1)), "prev_page_results": page > 0,
        }),
    )
}

/// The issues whose number or name a search finds.
fn searched(world: &PlaneWorld, asked: &FakeRequest) -> FakeAnswer {
    let wanted = asked.parameter("search").unwrap_or_default();
    let project = asked.parameter("project_id");
    let is_found = |issue: &PlaneIssue| {
        let is_it = issue.sequence.to_string() == wanted || issue.name.contains(wanted);
        is_it && project.is_none_or(|project| project == issue.project)
    };
    let found = world.issues.iter().filter(|(_, issue)| is_found(issue)).map(|(id, issue)| {
        json!({"id": id, "name": issue.name, "sequence_id": issue.sequence, "project_id": issue.project})
    });
    FakeAnswer::new(200, json!({"issues": found.collect::<Vec<_>>()}))
}

/// The issues of a project; with an external source and id the one issue that carries them.
fn issues(world: &PlaneWorld, project: &str, asked: &FakeRequest) -> FakeAnswer {
    if let (Some(source), Some(key)) = (asked.parameter("external_source"), asked.parameter("external_id")) {
        let is_it = |issue: &PlaneIssue| {
            let external = issue.external.as_ref();
            let escaped = external.map(|(source, key)| [source, key].map(|text| percent_encoded(text, b"")));
            issue.project == project && escaped.is_some_and(|escaped| escaped == [source, key])
        };
        let found = world.issues.iter().find(|(_, issue)| is_it(issue));
        let found = found.and_then(|(id, _)| world.issue(id, world.expanded));
        return found.map_or_else(missing, |issue| FakeAnswer::new(200, issue));
    }
    let mut of_project: Vec<_> = world.issues.iter().filter(|(_, issue)| issue.project == project).collect();
    of_project.sort_by_key(|(_, issue)| std::cmp::Reverse(issue.sequence));
    listed(
        world,
        asked,
        of_project.into_iter().filter_map(|(id, _)| world.issue(id, world.expanded)).collect(),
    )
}

/// A new issue in Backlog; one with its external id is there once.
fn make(
    world: &mut PlaneWorld,
    user: &PlaneUser,
    project: &str,
    body: &Value,
) -> (FakeAnswer, Vec<PlaneEvent>) {
    let text = |field: &str| body[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(name) = text("name") else {
        let said = json!({"name": ["This field is required."]});
        return (FakeAnswer::new(400, said), Vec::new());
    };
    if name.chars().count() > 255 {
        let said = json!({"name": ["Ensure this field has no more than 255 characters."]});
        return (FakeAnswer::new(400, said), Vec::new());
    }
    let parent = text("parent");
    if parent
        .as_ref()
        .is_some_and(|parent| world.issues.get(parent).is_none_or(|known| known.project != project))
    {
        let said = json!({"non_field_errors": ["Parent is not valid issue_id please pass a valid issue_id"]});
        return (FakeAnswer::new(400, said), Vec::new());
    }
    let external = text("external_source").zip(text("external_id"));
    if let Some((source, key)) = &external
        && let Some(id) = world.external(project, source, key)
    {
        let error = "Issue with the same external id and external source already exists";
        return (FakeAnswer::new(409, json!({"error": error, "id": id})), Vec::new());
    }
    let id = world.id();
    let of_project = world.issues.values().filter(|issue| issue.project == project);
    let sequence = of_project.map(|issue| issue.sequence).max().unwrap_or_default() + 1;
    let (html, by, labels) = (text("description_html").unwrap_or_default(), user.id.clone(), Vec::new());
    let state = world.state_id(project, "Backlog").unwrap_or_default();
    let project = project.to_owned();
    world.issues.insert(
        id.clone(),
        PlaneIssue { project, sequence, name, html, state, labels, by, parent, external },
    );
    let shown = world.issue(&id, false).unwrap_or_default();
    (FakeAnswer::new(201, shown), vec![PlaneEvent::created(&id, user)])
}

fn patch(
    world: &mut PlaneWorld,
    user: &PlaneUser,
    project: &str,
    id: &str,
    asked: &FakeRequest,
) -> (FakeAnswer, Vec<PlaneEvent>) {
    let wanted = asked.body["state"].as_str().map(str::to_owned);
    let has = |state: &String| world.projects[project].states.iter().any(|(known, ..)| known == state);
    if wanted.as_ref().is_some_and(|state| !has(state)) {
        let said = json!({"non_field_errors": ["State is not valid please pass a valid state_id"]});
        return (FakeAnswer::new(400, said), Vec::new());
    }
    let Some(issue) = world.issues.get_mut(id).filter(|issue| issue.project == project) else {
        return (missing(), Vec::new());
    };
    let mut events = Vec::new();
    issue.by.clone_from(&user.id);
    if let Some(state) = wanted.filter(|state| *state != issue.state) {
        let old = std::mem::replace(&mut issue.state, state.clone());
        events.push(PlaneEvent::state(id, user, &old, &state));
    }
    (world.issue(id, false).map_or_else(missing, |issue| FakeAnswer::new(200, issue)), events)
}

fn post(
    world: &mut PlaneWorld,
    user: &PlaneUser,
    project: &str,
    issue: &str,
    body: &Value,
) -> (FakeAnswer, Vec<PlaneEvent>) {
    if world.issues.get(issue).is_none_or(|known| known.project != project) {
        return (missing(), Vec::new());
    }
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let (source, key) = (text("external_source"), text("external_id"));
    let is_it = |note: &&PlaneNote| note.project == project && note.source == source && note.key == key;
    if let Some(known) = world.comments.iter().filter(|_| source.is_some() && key.is_some()).find(is_it) {
        let error = "Work item comment with the same external id and external source already exists";
        return (FakeAnswer::new(409, json!({"error": error, "id": known.id})), Vec::new());
    }
    if key.as_ref().is_some_and(|key| key.chars().count() > 255) {
        let error = json!({"external_id": ["Ensure this field has no more than 255 characters."]});
        return (FakeAnswer::new(400, error), Vec::new());
    }
    let note = PlaneNote {
        id: world.id(),
        project: project.to_owned(),
        issue: issue.to_owned(),
        html: text("comment_html").unwrap_or_default(),
        author: user.clone(),
        at: now(),
        source,
        key,
    };
    let shown = PlaneWorld::comment(&note);
    let event = PlaneEvent::comment(user, &shown);
    world.add_comment(note);
    (FakeAnswer::new(201, shown), vec![event])
}
