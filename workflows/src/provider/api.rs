//! How a provider is asked: its address, who asks, pages, limits, errors.
//!
//! Law: the token goes to the provider's own address and nowhere else, and into no message. Whatever
//! is read page by page is bounded. A short pause that the provider asks for is kept here; a long one is
//! an error that says when.

use std::sync::OnceLock;
use std::time::Duration;

use everfold_base::json::Value;
use everfold_system::clock;
use hyper::Method;

use super::error::ProviderError;
use super::settings::{ProviderSettings, TokenSource};
use crate::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, percent_encoded};

/// Many checks, or one large pull request.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pages of one list.
const PAGES_MAX: u32 = 10;
/// The longest pause that is waited for here, and how often.
const PAUSE_MAX: Duration = Duration::from_secs(10);
const PAUSES_MAX: u32 = 2;
/// Of what a provider says of an error.
const SAID_CHARS_MAX: usize = 300;

/// Asks one provider.
#[derive(Clone)]
pub(super) struct Api {
    client: HttpClient,
    name: String,
    kind: &'static str,
    /// Without a slash at the end.
    base: String,
    token: Option<TokenSource>,
    /// What stands before the token in `Authorization`.
    scheme: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// One request.
    pub(super) time_limit: Duration,
}

impl Api {
    /// One request, where nothing else is wanted.
    pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);

    pub(super) fn new(
        client: HttpClient,
        name: &str,
        settings: &ProviderSettings,
        base: String,
        scheme: &'static str,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        let (kind, token) = (settings.kind.as_str(), settings.token.clone());
        let (name, time_limit) = (name.to_owned(), Self::TIME_LIMIT);
        Self { client, name, kind, base, token, scheme, headers, time_limit }
    }

    /// Asks for one document; `what` is said to be missing where the answer is 404.
    pub(super) async fn get(&self, path: &str, what: &str) -> Result<Value, ProviderError> {
        let answer = self.send(Method::GET, path, None, what).await?;
        self.json(&answer)
    }

    /// Sends a document; gives the answer's, or null where there is none.
    pub(super) async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        what: &str,
    ) -> Result<Value, ProviderError> {
        let answer = self.send(method, path, Some(body), what).await?;
        if answer.body.is_empty() { Ok(Value::Null) } else { self.json(&answer) }
    }

    /// The same, with the service's own time in milliseconds since 1970, where it says it.
    pub(super) async fn get_at(&self, path: &str, what: &str) -> Result<(Value, Option<i64>), ProviderError> {
        let answer = self.send(Method::GET, path, None, what).await?;
        let date = answer.headers.get("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok((self.json(&answer)?, date.map(|date| date.timestamp().as_millisecond())))
    }

    /// Asks for all pages of a list. `items` finds the list in a page.
    pub(super) async fn list(
        &self,
        path: &str,
        what: &str,
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
    ) -> Result<Vec<Value>, ProviderError> {
        match self.pages(path, what, items, |_any| true, PAGES_MAX).await? {
            (all, true) => Ok(all),
            (_some, false) => Err(self.foreign(format!("{what} go on after {PAGES_MAX} pages"))),
        }
    }

    /// Asks for a list of what is said of a commit; an answer about another one is none.
    pub(super) async fn of_commit(
        &self,
        path: &str,
        what: &str,
        commit: &str,
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
    ) -> Result<Vec<Value>, ProviderError> {
        let other = OnceLock::new();
        let is_of_this = |page: &Value| match other_commit(page, commit) {
            Some(sha) => other.set(sha.to_owned()).is_err(),
            None => true,
        };
        let all = self.list(path, what, |page| if is_of_this(page) { items(page) } else { None }).await;
        match other.get() {
            Some(sha) => Err(self.foreign(format!("asked about {what}, it answers about {sha}"))),
            None => all,
        }
    }

    /// Asks for the first pages of a list, of which only what is wanted is kept; says whether these are all.
    pub(super) async fn pages(
        &self,
        path: &str,
        what: &str,
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
        is_wanted: impl Fn(&Value) -> bool,
        pages_max: u32,
    ) -> Result<(Vec<Value>, bool), ProviderError> {
        let mut all = Vec::new();
        let join = if path.contains('?') { '&' } else { '?' };
        for page in 1..=pages_max {
            let answer = self.send(Method::GET, &format!("{path}{join}page={page}"), None, what).await?;
            let document = self.json(&answer)?;
            match items(&document) {
                Some(items) => all.extend(items.iter().filter(|item| is_wanted(item)).cloned()),
                None => return Err(self.foreign(format!("{what} come as no list"))),
            }
            // The address in it may be one that only the provider's own network knows.
            let link = answer.headers.get("link").map(String::as_str).unwrap_or_default();
            if !link.contains("rel=\"next\"") {
                return Ok((all, true));
            }
        }
        Ok((all, false))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<HttpAnswer, ProviderError> {
        let token = self.token()?;
        let mut pauses = 0;
        loop {
            let mut request = HttpRequest::get(format!("{}{path}", self.base));
            request.method = method.clone();
            request.timeout = self.time_limit;
            request.body_bytes_max = BODY_BYTES_MAX;
            for (name, value) in self.headers {
                request.headers.insert((*name).to_owned(), (*value).to_owned());
            }
            request.headers.entry("accept".to_owned()).or_insert_with(|| "application/json".to_owned());
            if let Some(token) = &token {
                request.headers.insert("authorization".to_owned(), format!("{} {token}", self.scheme));
            }
            if let Some(body) = body {
                request.headers.insert("content-type".to_owned(), "application/json".to_owned());
                request.body = Some(body.to_string().into_bytes());
            }
            let http = |source: HttpError| ProviderError::Http { provider: self.name.clone(), source };
            let answer = self.client.send(request).await.map_err(http)?;
            if (200..300).contains(&answer.status) {
                return Ok(answer);
            }
            let error = self.error(&answer, token.as_deref(), what);
            match error {
                ProviderError::Limited { after: Some(after), .. }
                    if after <= PAUSE_MAX && pauses < PAUSES_MAX =>
                {
                    pauses += 1;
                    tokio::time::sleep(after).await;
                }
                error => return Err(error),
            }
        }
    }

    /// The token, where the settings name one.
    pub(super) fn token(&self) -> Result<Option<String>, ProviderError> {
        let Some(source) = &self.token else { return Ok(None) };
        source.read().map(Some).map_err(|error| ProviderError::without_token(&self.name, &error))
    }

    fn error(&self, answer: &HttpAnswer, token: Option<&str>, what: &str) -> ProviderError {
        let provider = self.name.clone();
        let mut message = error_text(answer);
        if let Some(token) = token {
            message = message.replace(token, "***");
        }
        let status = answer.status;
        if is_limited(answer) {
            return ProviderError::Limited { provider, after: after(answer) };
        }
        match status {
            401 if self.token.is_none() => ProviderError::Unauthorised {
                provider,
                message: "it wants a token, and everfold.toml names none".to_owned(),
            },
            401 | 403 => ProviderError::Unauthorised { provider, message: format!("{status} {message}") },
            404 | 410 => ProviderError::NotFound { provider, what: what.to_owned() },
            400 | 405 | 406 | 409 | 412 | 422 | 423 => ProviderError::Conflict { provider, status, message },
            500..=599 | 408 | 425 => ProviderError::Broken { provider, status, message },
            _other => self.foreign(format!("it answered {status}")),
        }
    }

    fn json(&self, answer: &HttpAnswer) -> Result<Value, ProviderError> {
        if answer.truncated {
            return Err(self.foreign("its answer is larger than 4 MiB".to_owned()));
        }
        answer.json().map_err(|_| self.foreign("its answer is no JSON".to_owned()))
    }

    /// The error of an answer that lacks what every provider of this kind gives.
    pub(super) fn foreign(&self, message: String) -> ProviderError {
        ProviderError::Foreign { provider: self.name.clone(), kind: self.kind, message }
    }
}

/// 429, or the 403 that GitHub says instead.
fn is_limited(answer: &HttpAnswer) -> bool {
    let header = |name: &str| answer.headers.get(name).map(String::as_str);
    match answer.status {
        429 => true,
        503 => header("retry-after").is_some(),
        403 => {
            header("x-ratelimit-remaining") == Some("0")
                || header("retry-after").is_some()
                || answer.text().to_ascii_lowercase().contains("rate limit")
        }
        _ => false,
    }
}

/// How long to wait: `Retry-After`, or until the time at which the limit is lifted.
fn after(answer: &HttpAnswer) -> Option<Duration> {
    answer.limited_for(clock::now())
}

/// What a provider says of an error, in one line.
fn error_text(answer: &HttpAnswer) -> String {
    let document = answer.json().unwrap_or(Value::Null);
    let mut parts = Vec::new();
    for key in ["message", "error", "error_description", "errors"] {
        collect(&document[key], &mut parts);
    }
    let text = if parts.is_empty() && !document.is_object() { answer.text() } else { parts.join("; ") };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(SAID_CHARS_MAX).filter(|c| !c.is_control()).collect();
    if line.is_empty() { "it said nothing more".to_owned() } else { line }
}

/// GitHub says a text and a list of maps, Gitea a text, GitLab a text, a list, or lists by field.
fn collect(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() && !parts.contains(text) => parts.push(text.clone()),
        Value::Array(items) => items.iter().take(8).for_each(|item| collect(item, parts)),
        Value::Object(fields) => match fields.get("message") {
            Some(message) => collect(message, parts),
            None => fields.iter().take(8).for_each(|(name, value)| {
                let mut inner = Vec::new();
                collect(value, &mut inner);
                if !inner.is_empty() {
                    parts.push(format!("{name} {}", inner.join(", ")));
                }
            }),
        },
        _nothing => {}
    }
}

/// A part of a path or of a query, with everything escaped that has a meaning there.
pub(super) fn escaped(text: &str) -> String {
    percent_encoded(text, b"")
}

/// The commit that an answer names in place of the one that was asked for; an abbreviation or a branch names many.
fn other_commit<'a>(page: &'a Value, commit: &str) -> Option<&'a str> {
    let is_hash =
        |name: &str| matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_other = |sha: &&str| !sha.is_empty() && !sha.eq_ignore_ascii_case(commit);
    let of_items = page.as_array().into_iter().flatten().map(|item| &item["sha"]);
    let named = of_items.chain([&page["sha"]]).filter_map(Value::as_str);
    named.into_iter().find(is_other).filter(|_| is_hash(commit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        HttpAnswer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            body: body.as_bytes().to_vec(),
            truncated: false,
            url: String::new(),
        }
    }

    #[test]
    fn what_each_kind_says_of_an_error_is_one_line() {
        for (body, line) in [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for a:b."}]}"#,
                "Validation Failed; A pull request already exists for a:b.",
            ),
            (
                r#"{"message":"pull request already exists for these targets [id: 1]","url":"x"}"#,
                "pull request already exists for these targets [id: 1]",
            ),
            (
                r#"{"message":["Another open merge request already exists for this source branch: !5"]}"#,
                "Another open merge request already exists for this source branch: !5",
            ),
            (r#"{"message":{"title":["can't be blank"]}}"#, "title can't be blank"),
            (
                r#"{"error":"insufficient_scope","error_description":"The request requires\nhigher privileges"}"#,
                "insufficient_scope; The request requires higher privileges",
            ),
            ("<html>\n bad   gateway</html>", "<html> bad gateway</html>"),
            ("{}", "it said nothing more"),
        ] {
            assert_eq!(error_text(&answer(422, &[], body)), line);
        }
    }

    #[test]
    fn limits_are_distinguished_from_refusals() {
        assert!(is_limited(&answer(429, &[], "")));
        assert!(is_limited(&answer(403, &[("x-ratelimit-remaining", "0")], "")));
        assert!(is_limited(&answer(403, &[], "You have exceeded a secondary rate limit")));
        assert!(!is_limited(&answer(403, &[("x-ratelimit-remaining", "7")], "Must have admin rights")));
        assert_eq!(after(&answer(429, &[("retry-after", "7")], "")), Some(Duration::from_secs(7)));
        assert_eq!(after(&answer(429, &[("x-ratelimit-reset", "1")], "")), Some(Duration::ZERO));
        let hour = Some(Duration::from_secs(3_600));
        for (header, far) in [
            ("retry-after", "99999999999999"),
            ("retry-after", "99999999999999999999999"),
            ("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT"),
            ("x-ratelimit-reset", "99999999999999"),
            ("x-ratelimit-reset", "99999999999999999999999"),
        ] {
            assert_eq!(after(&answer(429, &[(header, far)], "")), hour, "{header}: {far}");
        }
        assert_eq!(after(&answer(429, &[], "")), None);
    }

    #[test]
    fn names_of_branches_stay_one_part() {
        assert_eq!(escaped("feature/a b#ü"), "feature%2Fa%20b%23%C3%BC");
    }
}
