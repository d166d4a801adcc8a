//! What can be done at `/system`: each act with its question, the role that it needs, and its write.

use std::borrow::Cow;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, AskField, field, segment};
use super::done_words::said_at;
use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

const ROLES: &[(&str, &str)] = &[
    ("viewer", "viewer: reads everything"),
    ("approver", "approver: reads, and decides tasks"),
    ("operator", "operator: starts and steers runs"),
    ("worker", "worker: takes work of functions"),
    ("admin", "admin: everything"),
];

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SystemAct {
    Pause,
    Resume,
    ResetBreaker,
    SendAgain,
    DropNotice,
    TestSubscription,
    Rebuild,
    Verify,
    MakeToken,
    RevokeToken,
    LoginLink,
}

impl SystemAct {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "reset-breaker" => Self::ResetBreaker,
            "send-again" => Self::SendAgain,
            "drop-notice" => Self::DropNotice,
            "test-subscription" => Self::TestSubscription,
            "rebuild" => Self::Rebuild,
            "verify" => Self::Verify,
            "make-token" => Self::MakeToken,
            "revoke-token" => Self::RevokeToken,
            "login-link" => Self::LoginLink,
            _ => return None,
        })
    }

    /// Whether only admins may.
    fn is_of_admins(self) -> bool {
        matches!(self, Self::Rebuild | Self::Verify | Self::MakeToken | Self::RevokeToken | Self::LoginLink)
    }

    /// The part of the page that the act is about.
    fn part(self) -> &'static str {
        match self {
            Self::Pause | Self::Resume => "engine",
            Self::ResetBreaker => "breakers",
            Self::SendAgain | Self::DropNotice => "notices",
            Self::TestSubscription => "subscriptions",
            Self::Rebuild => "models",
            Self::Verify => "store",
            Self::MakeToken | Self::RevokeToken | Self::LoginLink => "tokens",
        }
    }

    /// Its title, what will happen, and the word of its button.
    fn words(self, name: &str) -> (String, Cow<'static, str>, &'static str) {
        match self {
            Self::Pause => (
                "Pause".to_owned(),
                "No step begins any more until it is resumed; what runs goes on to its end. Runs of later starts wait, too.".into(),
                "Pause",
            ),
            Self::Resume if name.is_empty() => {
                ("Resume the engine".to_owned(), "Steps begin again in every run that stood still for this.".into(), "Resume the engine")
            }
            Self::Resume => {
                (format!("Resume the pipeline {name}"), "Steps begin again in its runs.".into(), "Resume the pipeline")
            }
            Self::ResetBreaker => (
                format!("Close the breaker {name}"),
                "Attempts that wait for it start at once. If the service still fails, it opens again.".into(),
                "Close the breaker",
            ),
            Self::SendAgain => (
                "Send the notice again".to_owned(),
                "It is tried again at once, and for a day if need be, under the same id.".into(),
                "Send again",
            ),
            Self::DropNotice => {
                ("Drop the notice".to_owned(), "It is not sent, and listed no more. This cannot be taken back.".into(), "Drop the notice")
            }
            Self::TestSubscription => (
                format!("Test the subscription {name}"),
                "One notice is sent that says that it is a test. Nothing is recorded.".into(),
                "Send a test",
            ),
            Self::Rebuild => (
                format!("Build the read model {name} anew"),
                "It is built from the log beside the one that answers, and takes its place when it is ready.".into(),
                "Build anew",
            ),
            Self::Verify => (
                "Verify the store".to_owned(),
                "Everything that is kept is read and compared with its checksums. That takes a while; runs go on.".into(),
                "Verify the store",
            ),
            Self::MakeToken => (
                "Make a token".to_owned(),
                "Its text is shown once, on the next page, and kept nowhere. Events name who uses it by its name, for ever.".into(),
                "Make the token",
            ),
            Self::RevokeToken => (
                format!("Revoke the token {name}"),
                "Its next request is refused, its sessions and streams end now. The name stays taken.".into(),
                "Revoke the token",
            ),
            Self::LoginLink => (
                format!("Make a login link for {name}"),
                "Whoever opens the link acts as this token. It logs one browser in, once, within 15 minutes.".into(),
                "Make the link",
            ),
        }
    }

    fn question(self, word: &str, name: &str) -> Ask {
        let (title, consequence, button) = self.words(name);
        let reason = || field("reason", "Why", "It is recorded.", AskField::Text(""));
        let named = || field("name", "", "", AskField::Hidden).saying(name);
        let fields = match self {
            Self::Pause => vec![
                field("name", "Pipeline", "Empty: the whole engine.", AskField::Text("delivery"))
                    .saying(name),
                reason(),
            ],
            Self::ResetBreaker | Self::Resume | Self::RevokeToken => vec![named(), reason()],
            Self::Verify => Vec::new(),
            Self::MakeToken => vec![
                field("name", "Name", "A name is given once for ever.", AskField::Text("ci")).needed(),
                field("role", "Role", "", AskField::Choice(ROLES)).saying("viewer"),
                field(
                    "approves",
                    "Decides as",
                    "Approval roles of the pipelines, with commas between.",
                    AskField::Text("product, security"),
                ),
                field("expires_in", "Good for", "Empty: for ever.", AskField::Text("90d")),
            ],
            _ => vec![named()],
        };
        Ask {
            title,
            consequence: consequence.into_owned(),
            fields,
            button: button.to_owned(),
            is_danger: matches!(self, Self::Pause | Self::DropNotice | Self::RevokeToken),
            action: format!("/system/{word}"),
            back: format!("/system#{}", self.part()),
            place: NavPlace::System,
        }
    }

    /// The route of REST, and the body.
    fn write(self, fields: &Fields) -> (Method, String, Value) {
        let name = fields.text("name").map(str::trim);
        let place = segment(name.unwrap_or_default());
        let reason = fields.text("reason");
        match self {
            Self::Pause => {
                (Method::POST, "/engine/pause".to_owned(), json!({ "pipeline": name, "reason": reason }))
            }
            Self::Resume => {
                (Method::POST, "/engine/resume".to_owned(), json!({ "pipeline": name, "reason": reason }))
            }
            Self::ResetBreaker => {
                (Method::POST, format!("/engine/breakers/{place}/reset"), json!({ "reason": reason }))
            }
            Self::SendAgain => (Method::POST, format!("/notices/{place}/retry"), json!({})),
            Self::DropNotice => (Method::POST, format!("/notices/{place}/drop"), json!({})),
            Self::TestSubscription => (Method::POST, format!("/subscriptions/{place}/test"), json!({})),
            Self::Rebuild => (Method::POST, format!("/projections/{place}/rebuild"), json!({})),
            Self::Verify => (Method::GET, "/store/verify".to_owned(), Value::Null),
            Self::MakeToken => {
                let approves = fields.text("approves").unwrap_or_default();
                let approves: Vec<&str> =
                    approves.split(',').map(str::trim).filter(|role| !role.is_empty()).collect();
                let (role, expires_in) = (fields.text("role"), fields.text("expires_in"));
                let body =
                    json!({ "name": name, "role": role, "approves": approves, "expires_in": expires_in });
                (Method::POST, "/tokens".to_owned(), body)
            }
            Self::RevokeToken => {
                let path = format!("/tokens/{place}");
                let path =
                    reason.map_or(path.clone(), |reason| crate::frame::with_query(&path, "reason", reason));
                (Method::DELETE, path, Value::Null)
            }
            Self::LoginLink => (Method::POST, "/session/links".to_owned(), json!({ "token": name })),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ActParams {
    name: String,
}

/// The act of an address, where the caller may do it now.
fn allowed(visit: &Visit, word: &str) -> Result<SystemAct, Problem> {
    let act =
        SystemAct::of(word).ok_or_else(|| Problem::not_found(format!("nothing is at /system/{word}")))?;
    let frame = visit.frame("", NavPlace::System);
    let (is_allowed, role) = match act.is_of_admins() {
        true => (frame.may_administer(), "an admin"),
        false => (frame.may_operate(), "an operator"),
    };
    if is_allowed {
        return Ok(act);
    }
    Err(refused(visit, role))
}

/// Why a caller may not act.
pub(crate) fn refused(visit: &Visit, role: &str) -> Problem {
    let detail = match &visit.at {
        Some(at) => format!("the page shows {at}, and nothing can be changed in the past"),
        None => {
            let own = visit.who.role.map_or("no role", crate::frame::CallerRole::word);
            format!("{} is {own}; {role} may do this", crate::words::actor(&visit.who.actor))
        }
    };
    Problem {
        status: 403,
        title: "not permitted".to_owned(),
        detail,
        code: "EF0602".to_owned(),
        ..Problem::default()
    }
}

/// `GET /system/{act}`: the question.
pub(super) async fn ask(
    visit: Visit,
    Path(word): Path<String>,
    Query(params): Query<ActParams>,
) -> Result<Response, Problem> {
    let act = allowed(&visit, &word)?;
    Ok(act.question(&word, &params.name).shown(&visit, None))
}

/// `POST /system/{act}`: does it.
pub(super) async fn act(visit: Visit, Path(word): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let act = allowed(&visit, &word)?;
    let question = act.question(&word, fields.text("name").unwrap_or_default());
    let (method, path, body) = act.write(&fields);
    let answer = match method {
        Method::GET => visit.rest.get::<Value>(&path).await,
        method => visit.rest.write(method, &path, &body, fields.once()).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(problem) => return Ok(question.typed(&fields).shown(&visit, Some(problem))),
    };
    let done = match act {
        SystemAct::MakeToken => token_made(&answer),
        SystemAct::LoginLink => link_made(&answer),
        SystemAct::Verify => verified(&answer),
        SystemAct::TestSubscription => {
            DoneAct::new("The test arrived", "Look at the other end whether it is as it should be.")
        }
        _ => {
            // The order was to send it, and a newer one of its channel had made it moot.
            let word = if answer["status"] == "superseded" { "superseded-notice" } else { &word };
            return Ok(Redirect::to(&said_at(&question.back, &format!("system-{word}"))).into_response());
        }
    };
    let mut frame = visit.frame(done.title.clone(), NavPlace::System);
    frame.live = false;
    let mut response = Html(DonePage { frame, done, back: question.back }).into_response();
    // What is shown here is shown once.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What came of an act that has something to show.
#[derive(Debug, Clone)]
struct DoneAct {
    title: String,
    text: String,
    /// A secret to copy.
    secret: Option<String>,
    /// Words with their values.
    facts: Vec<(String, String)>,
    /// Until when it is good.
    until: Option<String>,
}

impl DoneAct {
    fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), secret: None, facts: Vec::new(), until: None }
    }
}

#[derive(Template)]
#[template(path = "system/done.html")]
struct DonePage {
    frame: Frame,
    done: DoneAct,
    back: String,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn token_made(answer: &Value) -> DoneAct {
    let name = text(&answer["name"]).unwrap_or_default();
    let mut done =
        DoneAct::new(format!("Token {name}"), "Copy it now: this text is shown once, and kept nowhere.");
    done.secret = text(&answer["token"]);
    done.facts.push(("Send it as".to_owned(), "Authorization: Bearer TOKEN".to_owned()));
    done.facts.push(("On a command line".to_owned(), "EVERFOLD_TOKEN, or everfold context add".to_owned()));
    done
}

fn link_made(answer: &Value) -> DoneAct {
    let mut done =
        DoneAct::new("Login link", "It logs one browser in, once. Send it to nobody but its user.");
    done.secret = text(&answer["url"]).or_else(|| text(&answer["path"]));
    done.until = text(&answer["expires_at"]);
    done
}

fn verified(answer: &Value) -> DoneAct {
    let is_sound = answer["sound"].as_bool() == Some(true);
    let title = if is_sound { "The store is sound" } else { "The store is damaged" };
    let mut done = DoneAct::new(title, "Every part was read and compared with its checksum.");
    for (name, value) in answer.as_object().into_iter().flatten().filter(|(name, _)| *name != "sound") {
        let value = match value {
            Value::Array(faults) if faults.is_empty() => "none".to_owned(),
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), crate::words::count),
            other => crate::words::json(other),
        };
        done.facts.push((name.replace('_', " "), value));
    }
    done
}
