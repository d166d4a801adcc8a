//! What a worker asks of its engine, and what an answer means.

use std::time::Duration;

use everfold_base::json::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::name::Instance;
use crate::http::{HttpClient, HttpError, HttpRequest};

/// How long any answer may take.
const ANSWER: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The engine of a worker, and who the worker is there.
pub(super) struct EngineConnection {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) instance: Instance,
    pub(super) client: HttpClient,
}

/// Why there is no answer to go on with.
#[derive(Debug, Clone)]
pub(super) enum NoAnswer {
    /// Trying again may help.
    Passing(String),
    /// The other side understood, and refuses.
    WorkerRefusal(String),
}

impl EngineConnection {
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, NoAnswer> {
        let headers = [
            ("authorization", format!("Bearer {}", self.token)),
            ("content-type", "application/json".to_owned()),
        ];
        let url = format!("{}/api/v1/workers/{path}", self.url);
        let request = HttpRequest {
            method: hyper::Method::POST,
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: Some(serde_json::to_vec(body).map_err(|error| NoAnswer::WorkerRefusal(error.to_string()))?),
            timeout: ANSWER,
            body_bytes_max: ANSWER_BYTES_MAX,
            ..HttpRequest::get(url)
        };
        let answer = match self.client.send(request).await {
            Ok(answer) => answer,
            Err(error @ HttpError::Invalid(_)) => return Err(NoAnswer::WorkerRefusal(error.to_string())),
            Err(error) => return Err(NoAnswer::Passing(error.to_string())),
        };
        match answer.status {
            200..=299 => serde_json::from_slice(&answer.body)
                .map_err(|error| NoAnswer::Passing(format!("its answer cannot be read: {error}"))),
            status => Err(NoAnswer::of(status, &answer.json().unwrap_or_default())),
        }
    }
}

impl NoAnswer {
    /// What a problem means that came with this status.
    pub(super) fn of(status: u16, problem: &Value) -> Self {
        let code = problem["code"].as_str().map(|code| format!("{code} ")).unwrap_or_default();
        let why = match problem["detail"].as_str() {
            Some(detail) => format!("{code}{detail}"),
            None => format!("status {status}"),
        };
        match status {
            408 | 429 | 500.. => Self::Passing(format!("{status}: {why}")),
            _refused => Self::WorkerRefusal(why),
        }
    }
}
