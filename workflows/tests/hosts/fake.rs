//! A server on a free port of loopback that records what it is asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// Still escaped.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A parameter of the query, still escaped.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }
}

/// An answer: status, headers, document.
pub struct Answer(pub u16, pub Vec<(&'static str, String)>, pub Value);

impl Answer {
    pub fn ok(document: Value) -> Self {
        Self(200, Vec::new(), document)
    }

    pub fn status(status: u16, document: Value) -> Self {
        Self(status, Vec::new(), document)
    }

    /// The connection stays, and nothing comes.
    pub fn never() -> Self {
        Self(0, Vec::new(), Value::Null)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.1.push((name, value.into()));
        self
    }
}

pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub async fn serve(answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = asked.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let one = Asked {
                    method: head.method,
                    path: head.uri.path().to_owned(),
                    query: head.uri.query().unwrap_or_default().to_owned(),
                    headers: head.headers,
                    body: serde_json::from_slice(&body)
                        .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()),
                };
                seen.lock().unwrap().push(one.clone());
                let Answer(status, headers, document) = answer(&one);
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                let body = match document {
                    Value::Null => Body::empty(),
                    Value::String(text) => Body::from(text),
                    document => {
                        response = response.header("content-type", "application/json; charset=utf-8");
                        Body::from(document.to_string())
                    }
                };
                response.body(body).unwrap()
            }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, server }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often this was asked: method and the end of the path.
    pub fn count(&self, method: Method, end: &str) -> usize {
        self.asked().iter().filter(|asked| asked.method == method && asked.path.ends_with(end)).count()
    }
}
