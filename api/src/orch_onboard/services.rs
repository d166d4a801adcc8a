//! How Plane and Gitea are asked: JSON over HTTP, with a time limit and a bound.
//!
//! Law: a token is sent in its header and stands nowhere else.

use std::time::Duration;

use everfold_engine::json::Value;
use everfold_workflows::http::{HttpClient, HttpRequest};

/// One request.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// An answer.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pages of a list.
const PAGES_MAX: usize = 20;
/// Of what a service says of an error.
const SAID_CHARS_MAX: usize = 200;

/// A service with its token.
#[derive(Clone)]
pub(super) struct SetupService {
    client: HttpClient,
    base: String,
    header: (&'static str, String),
}

/// An answer: its status and its document, null where it is none.
pub(super) struct ServiceAnswer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl SetupService {
    /// Plane's API of a workspace.
    pub(super) fn plane(url: &str, workspace: &str, token: &str) -> Self {
        let base = format!("{}/api/v1/workspaces/{workspace}", url.trim_end_matches('/'));
        Self { client: HttpClient::new(), base, header: ("x-api-key", token.to_owned()) }
    }

    /// Plane's API beside workspaces.
    pub(super) fn plane_users(url: &str, token: &str) -> Self {
        let base = format!("{}/api/v1/users", url.trim_end_matches('/'));
        Self { client: HttpClient::new(), base, header: ("x-api-key", token.to_owned()) }
    }

    /// Gitea's API.
    pub(super) fn gitea(url: &str, token: &str) -> Self {
        let base = format!("{}/api/v1", url.trim_end_matches('/'));
        Self { client: HttpClient::new(), base, header: ("authorization", format!("token {token}")) }
    }

    /// The Bot API of Telegram, where the token stands in the address.
    pub(super) fn telegram(url: &str, token: &str) -> Self {
        let base = format!("{}/bot{token}", url.trim_end_matches('/'));
        Self { client: HttpClient::new(), base, header: ("accept-language", "en".to_owned()) }
    }

    /// Asks; an error is one that a person reads.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ServiceAnswer, String> {
        let mut request = HttpRequest::get(format!("{}{path}", self.base));
        request.method = method.parse().map_err(|_| format!("{method} is no method"))?;
        (request.timeout, request.body_bytes_max) = (TIME_LIMIT, BODY_BYTES_MAX);
        request.headers.insert("accept".to_owned(), "application/json".to_owned());
        request.headers.insert(self.header.0.to_owned(), self.header.1.clone());
        if let Some(body) = body {
            request.headers.insert("content-type".to_owned(), "application/json".to_owned());
            request.body = Some(body.to_string().into_bytes());
        }
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        Ok(ServiceAnswer { status: answer.status, body: answer.json().unwrap_or(Value::Null) })
    }

    /// The items of a list: a bare one, or one in pages.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let answer = self.ask("GET", &format!("{path}?per_page=100&limit=50{cursor}"), None).await?;
            if answer.status != 200 {
                return Err(answer.refusal());
            }
            match answer.body {
                Value::Array(items) => {
                    all.extend(items);
                    return Ok(all);
                }
                Value::Object(mut page) => {
                    match page.remove("results") {
                        Some(Value::Array(items)) => all.extend(items),
                        _none => return Err("its answer is no list".to_owned()),
                    }
                    let more = page.get("next_page_results").and_then(Value::as_bool).unwrap_or(false);
                    let next = page.get("next_cursor").and_then(Value::as_str).filter(|_| more);
                    match next {
                        Some(next) => cursor = format!("&cursor={}", escaped(next)),
                        None => return Ok(all),
                    }
                }
                _other => return Err("its answer is no list".to_owned()),
            }
        }
        Ok(all)
    }
}

impl ServiceAnswer {
    /// Whether it was done.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What an answer that is not good says.
    pub(super) fn refusal(&self) -> String {
        let said =
            ["detail", "message", "description", "error"].iter().find_map(|name| self.body[*name].as_str());
        let said: String = said.unwrap_or_default().chars().take(SAID_CHARS_MAX).collect();
        let word = match self.status {
            401 => "the token is not accepted",
            403 => "the token may not do that",
            404 => "there is no such thing",
            _other => "it refuses",
        };
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        format!("{word} (status {}){said}", self.status)
    }
}

/// A part of an address.
pub(super) fn escaped(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let one = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
