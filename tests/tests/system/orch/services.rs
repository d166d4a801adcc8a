//! Plane, Gitea and Telegram as the pipeline `orch` meets them: one server on a free port, a folder of its own for each.
//!
//! What is written there comes back as a webhook, as with the real services: states of issues, statuses of commits.
//! Deliveries wait in `outbox` until a test sends them on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::host_clone::git;
use super::pull_requests::Pull;
use crate::workflow_fixtures::fake_server::{Answer, Asked};

/// The states of every project: their ids are different in each.
pub(super) const STATES: [&str; 14] = [
    "Backlog",
    "Todo",
    "In Progress",
    "Architecture",
    "Development",
    "Review",
    "Testing",
    "Approved",
    "Rejected",
    "Done",
    "Cancelled",
    "Needs Input",
    "In Review",
    "Blocked",
];

/// The id of a state in a project.
pub(super) fn state_id(project: &str, name: &str) -> String {
    let number = STATES.iter().position(|state| *state == name).unwrap_or_else(|| panic!("no state {name}"));
    format!("{:08x}-0000-4000-8000-{number:012}", u32::from_str_radix(&project[..8], 16).unwrap())
}

#[derive(Debug, Clone)]
pub(super) struct Issue {
    pub(super) project: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) sequence: u64,
    pub(super) labels: Vec<String>,
    pub(super) state: &'static str,
    /// Every state that it was given, in order.
    pub(super) states: Vec<&'static str>,
    /// What identifies it for who made it: the source, and the key there.
    pub(super) external: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) issue: String,
    pub(super) html: String,
    /// The token that it was written with; a person has none.
    pub(super) token: String,
    pub(super) external: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_silent: bool,
    pub(super) edits: usize,
}

/// What a service sends to Everfold.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) source: &'static str,
    pub(super) id: String,
    pub(super) event: String,
    pub(super) body: Value,
}

/// Requests that are answered with 500: those with this method whose path and body hold this text.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    pub(super) method: &'static str,
    pub(super) text: String,
}

/// All three services.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) outages: Vec<Outage>,
    /// How many requests were answered with 500.
    pub(super) refusals: usize,
    pub(super) issues: BTreeMap<String, Issue>,
    /// The names of issues that are made, and told as a failure, the first time.
    pub(super) loses_answers: BTreeSet<String>,
    pub(super) comments: Vec<Comment>,
    pub(super) messages: Vec<Message>,
    pub(super) pulls: Vec<Pull>,
    /// Reviews of pull requests, as Gitea lists them.
    pub(super) reviews: Vec<Value>,
    /// Words of CI by commit.
    pub(super) statuses: BTreeMap<String, &'static str>,
    /// What CI will say of the next commits, by repository; success when there is nothing more.
    pub(super) verdicts: BTreeMap<String, VecDeque<&'static str>>,
    pub(super) outbox: VecDeque<Delivery>,
    /// Where the repositories of Gitea lie.
    pub(super) origins: PathBuf,
    deliveries: u64,
}

impl Services {
    pub(super) fn answer(&mut self, asked: &Asked) -> Answer {
        let path = asked.path.clone();
        let said = format!("{path} {}", asked.body);
        if self.outages.iter().any(|outage| asked.method == outage.method && said.contains(&outage.text)) {
            self.refusals += 1;
            return Answer::status(500, json!({ "error": "something went wrong" }));
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["plane", "api", "v1", "workspaces", "orch", "projects", project, rest @ ..] => {
                self.plane(asked, project, rest)
            }
            ["gitea", "api", "v1", "repos", "admin", repository, rest @ ..] => {
                self.gitea(asked, repository, rest)
            }
            ["telegram", bot, method] => {
                assert_eq!(*bot, "bottelegram-token");
                self.telegram(asked, method)
            }
            _ => Answer::status(404, json!({ "message": format!("no such route: {} {path}", asked.method) })),
        }
    }

    /// A delivery with an id of its own.
    pub(super) fn send(&mut self, source: &'static str, event: &str, body: Value) {
        self.deliveries += 1;
        let id = format!("{source}-{}", self.deliveries);
        self.outbox.push_back(Delivery { source, id, event: event.to_owned(), body });
    }

    /// A person, or a bot, gives an issue a state; Plane tells of it.
    pub(super) fn set_state(&mut self, id: &str, state: &'static str, actor: &str) {
        let issue = self.issues.get_mut(id).unwrap();
        issue.state = state;
        issue.states.push(state);
        let body = json!({
            "event": "issue", "action": "updated", "webhook_id": "w", "workspace_id": "orch",
            "data": {
                "id": id, "project": issue.project, "name": issue.name, "sequence_id": issue.sequence,
                "description_stripped": issue.description,
                "state": { "id": state_id(&issue.project, state), "name": state, "group": "started" },
            },
            "activity": { "field": "state_id", "actor": { "id": format!("id-of-{actor}"), "display_name": actor } },
        });
        self.send("plane", "issue", body);
    }

    /// A person gives an issue a label.
    pub(super) fn label(&mut self, issue: &str, label: &str) {
        self.issues.get_mut(issue).unwrap().labels.push(label.to_owned());
    }

    /// A person writes a comment; Plane tells of it.
    pub(super) fn say(&mut self, issue: &str, text: &str) {
        let (issue, html) = (issue.to_owned(), format!("<p>{text}</p>"));
        let project = self.issues[&issue].project.clone();
        self.comments.push(Comment {
            issue: issue.clone(),
            html: html.clone(),
            token: String::new(),
            external: None,
        });
        let data = json!({ "id": "c", "issue": issue, "project": project, "comment_html": html });
        let actor = json!({ "actor": { "id": "id-of-owner", "display_name": "owner" } });
        self.send(
            "plane",
            "issue_comment",
            json!({ "event": "issue_comment", "action": "created", "data": data, "activity": actor }),
        );
    }

    fn plane(&mut self, asked: &Asked, project: &str, rest: &[&str]) -> Answer {
        let (method, token) = (asked.method.as_str(), asked.header("x-api-key").to_owned());
        if token.is_empty() {
            return Answer::status(401, json!({ "error": "Authentication credentials were not provided." }));
        }
        match (method, rest) {
            ("GET", ["states"]) => Answer::ok(json!({ "results": STATES.map(|name| {
                json!({ "id": state_id(project, name), "name": name, "project": project })
            }) })),
            ("GET", ["issues"]) => {
                let wanted =
                    ["external_source", "external_id"].map(|name| asked.parameter(name).unwrap_or_default());
                match self.external(project, wanted) {
                    Some(id) => Answer::ok(self.issue(&id)),
                    None => Answer::status(404, json!({ "error": "The requested resource does not exist." })),
                }
            }
            ("POST", ["issues"]) => {
                let external = ["external_source", "external_id"]
                    .map(|name| asked.body[name].as_str().unwrap_or_default());
                if let Some(id) = self.external(project, external) {
                    let error = "Issue with the same external id and external source already exists";
                    return Answer::status(409, json!({ "error": error, "id": id }));
                }
                let id = format!("{:08x}-1111-4111-8111-000000000000", self.issues.len() + 0x51a6);
                let text = |name: &str| asked.body[name].as_str().unwrap_or_default().to_owned();
                self.open(&id, project, &text("name"), &text("description_html"));
                self.issues.get_mut(&id).unwrap().external =
                    Some((text("external_source"), text("external_id")));
                if self.loses_answers.remove(&text("name")) {
                    self.refusals += 1;
                    return Answer::status(502, json!({ "error": "Bad Gateway" }));
                }
                Answer::status(201, self.issue(&id))
            }
            ("GET", ["issues", id]) if self.issues.contains_key(*id) => {
                let mut shown = self.issue(id);
                // Without that they are ids.
                if asked.parameter("expand") == Some("labels") {
                    let labels = self.issues[*id].labels.iter().enumerate();
                    let named =
                        labels.map(|(number, name)| json!({ "id": format!("label-{number}"), "name": name }));
                    shown["labels"] = named.collect();
                }
                Answer::ok(shown)
            }
            ("DELETE", ["issues", id]) => match self.issues.remove(*id) {
                Some(_) => Answer::status(204, Value::Null),
                None => Answer::status(404, json!({ "error": "not found" })),
            },
            ("PATCH", ["issues", id]) if self.issues.contains_key(*id) => {
                if let Some(wanted) = asked.body["state"].as_str() {
                    let state = STATES.into_iter().find(|name| state_id(project, name) == wanted);
                    let Some(state) = state else {
                        return Answer::status(400, json!({ "state": ["no state of this project"] }));
                    };
                    self.set_state(id, state, "orch");
                }
                Answer::ok(self.issue(id))
            }
            ("GET", ["issues", id, "comments"]) => {
                let of_issue = self.comments.iter().enumerate().filter(|(_, comment)| comment.issue == *id);
                let mut all: Vec<Value> = of_issue.map(|(number, comment)| shown(number, comment)).collect();
                all.reverse();
                Answer::ok(json!({ "results": all, "next_page_results": false }))
            }
            ("POST", ["issues", id, "comments"]) => {
                let external = asked.body["external_id"].as_str().map(str::to_owned);
                let same = |comment: &Comment| {
                    comment.issue == *id && external.is_some() && comment.external == external
                };
                if let Some(number) = self.comments.iter().position(same) {
                    let message =
                        "Issue Comment with the same external id and external source already exists";
                    return Answer::status(
                        409,
                        json!({ "error": message, "id": format!("comment-{number}") }),
                    );
                }
                let html = asked.body["comment_html"].as_str().unwrap_or_default().to_owned();
                self.comments.push(Comment { issue: (*id).to_owned(), html, token, external });
                Answer::status(201, shown(self.comments.len() - 1, self.comments.last().unwrap()))
            }
            ("GET", []) => Answer::ok(json!({ "id": project })),
            _ => Answer::status(404, json!({ "error": "The required object does not exist." })),
        }
    }

    /// The issue of a project that carries this source and id.
    fn external(&self, project: &str, wanted: [&str; 2]) -> Option<String> {
        let is_it = |issue: &Issue| {
            let external = issue.external.as_ref().map(|(source, key)| [source.as_str(), key.as_str()]);
            issue.project == project && external == Some(wanted)
        };
        self.issues.iter().find(|(_, issue)| is_it(issue)).map(|(id, _)| id.clone())
    }

    /// A new issue in Backlog.
    pub(super) fn open(&mut self, id: &str, project: &str, name: &str, description: &str) {
        let sequence = self.issues.values().filter(|issue| issue.project == project).count() as u64 + 1;
        let (project, name, description) = (project.to_owned(), name.to_owned(), description.to_owned());
        let (labels, states) = (Vec::new(), Vec::new());
        let issue =
            Issue { project, name, description, sequence, labels, state: "Backlog", states, external: None };
        self.issues.insert(id.to_owned(), issue);
    }

    fn issue(&self, id: &str) -> Value {
        let issue = &self.issues[id];
        json!({
            "id": id, "project": issue.project, "name": issue.name, "sequence_id": issue.sequence,
            "labels": (0..issue.labels.len()).map(|number| format!("label-{number}")).collect::<Vec<_>>(),
            "description_html": format!("<p>{}</p>", issue.description), "description_stripped": issue.description,
            "state": state_id(&issue.project, issue.state),
        })
    }

    fn gitea(&mut self, asked: &Asked, repository: &str, rest: &[&str]) -> Answer {
        if asked.header("authorization") != "token gitea-token" {
            return Answer::status(401, json!({ "message": "token is required" }));
        }
        match (asked.method.as_str(), rest) {
            ("GET", []) => Answer::ok(json!({
                "id": 1, "full_name": format!("admin/{repository}"), "default_branch": "main",
                "permissions": { "push": true, "pull": true, "admin": false },
            })),
            ("GET", ["branches"]) => {
                let origin = self.origins.join(format!("{repository}.git"));
                let names = git(&origin, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
                Answer::ok(names.lines().map(|name| json!({ "name": name })).collect())
            }
            ("DELETE", ["branches", name]) => {
                let origin = self.origins.join(format!("{repository}.git"));
                git(&origin, &["branch", "-D", &name.replace("%2F", "/")]);
                Answer::status(204, Value::Null)
            }
            ("GET", ["commits", commit, "status"]) => Answer::ok(self.status(repository, commit)),
            (_, ["pulls", rest @ ..]) => self.pull_requests(asked, repository, rest),
            _ => {
                Answer::status(404, json!({ "message": format!("no such route: {} {rest:?}", asked.method) }))
            }
        }
    }

    /// CI begins with the first question about a commit, and tells when it has ended.
    fn status(&mut self, repository: &str, commit: &str) -> Value {
        let known = self.statuses.get(commit).copied();
        if known.is_none() {
            let verdict =
                self.verdicts.get_mut(repository).and_then(VecDeque::pop_front).unwrap_or("success");
            self.statuses.insert(commit.to_owned(), verdict);
            let body = json!({
                "id": self.statuses.len(), "sha": commit, "commit": { "id": commit }, "state": verdict, "context": "ci",
                "description": "", "target_url": "",
                "repository": { "name": repository, "full_name": format!("admin/{repository}") }, "sender": { "login": "ci" },
            });
            self.send("gitea", "status", body);
        }
        let word = known.unwrap_or("pending");
        let one = json!({ "id": 1, "status": word, "context": "ci", "description": "", "target_url": "", "url": "" });
        json!({ "state": word, "sha": commit, "total_count": 1, "statuses": [one] })
    }

    fn telegram(&mut self, asked: &Asked, method: &str) -> Answer {
        let body = &asked.body;
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        match method {
            "sendMessage" => {
                let is_silent = body["disable_notification"] == true;
                self.messages.push(Message { text, is_silent, edits: 0 });
                Answer::ok(json!({ "ok": true, "result": { "message_id": self.messages.len() } }))
            }
            "editMessageText" => {
                let number = usize::try_from(body["message_id"].as_u64().unwrap()).unwrap();
                let Some(message) = self.messages.get_mut(number - 1) else {
                    return refused("Bad Request: message to edit not found");
                };
                if message.text == text {
                    return refused("Bad Request: message is not modified");
                }
                (message.text, message.edits) = (text, message.edits + 1);
                Answer::ok(json!({ "ok": true, "result": { "message_id": number } }))
            }
            _ => refused("Not Found"),
        }
    }
}

fn refused(description: &str) -> Answer {
    Answer::status(400, json!({ "ok": false, "error_code": 400, "description": description }))
}

fn shown(number: usize, comment: &Comment) -> Value {
    let author = if comment.token.is_empty() { "owner" } else { "orch" };
    json!({
        "id": format!("comment-{number}"), "comment_html": comment.html, "comment_stripped": comment.html.replace("<p>", "").replace("</p>", ""),
        "external_id": comment.external, "external_source": comment.external.as_ref().map(|_| "everfold"),
        "created_at": format!("2026-11-20T10:{:02}:{:02}Z", number / 60, number % 60),
        "actor_detail": { "id": format!("id-of-{author}"), "display_name": author }, "actor": format!("id-of-{author}"),
    })
}
