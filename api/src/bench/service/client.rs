//! A client of the service, with kept connections.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Method;
use everfold_engine::json::Value;
use everfold_workflows::http::{HttpClient, HttpRequest};
use serde_json::json;

use super::super::engine::BenchError;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the service. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(super) struct ServiceClient {
    http: HttpClient,
    url: String,
    token: String,
}

impl ServiceClient {
    pub(super) fn new(url: &str, token: &str) -> Self {
        Self { http: HttpClient::new().keeping(), url: url.to_owned(), token: token.to_owned() }
    }

    /// Asks a route for its document.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, BenchError> {
        let headers = [
            ("authorization", format!("Bearer {}", self.token)),
            ("content-type", "application/json".into()),
        ];
        let request = HttpRequest {
            method,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
            body: body.map(serde_json::to_vec).transpose()?,
            timeout: PATIENCE,
            body_bytes_max: 64 * 1024 * 1024,
            ..HttpRequest::get(format!("{}{path}", self.url))
        };
        let answer = self.http.send(request).await?;
        match answer.status {
            200..=299 => Ok(serde_json::from_slice(&answer.body).unwrap_or_default()),
            status => {
                Err(format!("{path} answers {status}: {}", String::from_utf8_lossy(&answer.body)).into())
            }
        }
    }

    pub(super) async fn save(&self, name: &str, definition: &Value) -> Result<(), BenchError> {
        let body = json!({ "definition": definition });
        self.ask(Method::PUT, &format!("/api/v1/pipelines/{name}"), Some(&body)).await?;
        Ok(())
    }

    /// Starts a run and waits for its end: one request where it ends within the time that the service waits.
    pub(super) async fn whole_run(&self, pipeline: &str, input: &Value) -> Result<(), BenchError> {
        let body = json!({ "pipeline": pipeline, "input": input });
        let mut run = self.ask(Method::POST, "/api/v1/runs?wait=60s", Some(&body)).await?;
        loop {
            match run["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("failed" | "cancelled") => {
                    return Err(format!("a run of {pipeline} ended otherwise: {run}").into());
                }
                _goes_on => {
                    let id = run["id"].as_str().unwrap_or_default();
                    run = self.ask(Method::GET, &format!("/api/v1/runs/{id}?wait=60s"), None).await?;
                }
            }
        }
    }
}
