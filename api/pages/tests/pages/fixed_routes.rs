//! REST routes with fixed answers, and the pages over them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everfold_pages::{ChangeSource, Rest};
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Pages over routes that answer what a test says.
pub(crate) struct FixedRoutes {
    pages: Router,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FixedRoutes {
    /// Answers by path below `/api/v1`, with their status; an administrator is logged in.
    pub(crate) fn new(answers: &[(&str, u16, Value)]) -> Self {
        let session = json!({ "actor": "user:ada", "role": "admin", "roles": null, "csrf": "x" });
        let mut known = BTreeMap::from([("/session".to_owned(), (200, session))]);
        known.extend(answers.iter().map(|(path, code, body)| ((*path).to_owned(), (*code, body.clone()))));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let rest = Rest::new(tower::service_fn(move |request: Request| {
            let uri = request.uri().to_string();
            let path = request.uri().path().trim_start_matches("/api/v1").to_owned();
            noted.lock().unwrap().push(uri.trim_start_matches("/api/v1").to_owned());
            let (status, body) =
                known.get(&path).cloned().unwrap_or((404, json!({ "status": 404, "code": "EF0207" })));
            async move { Ok::<_, Infallible>(answer(status, &body)) }
        }));
        let changes = ChangeSource::new(|| futures::stream::pending().boxed());
        Self { pages: everfold_pages::beside(rest, changes), asked }
    }

    /// The text of a page.
    pub(crate) async fn get(&self, path: &str) -> String {
        let (status, text) = self.answer(path, "text/html").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        text
    }

    /// The status and text of an address, as one asks that reads `kind`.
    pub(crate) async fn answer(&self, path: &str, kind: &str) -> (StatusCode, String) {
        let request =
            Request::builder().uri(path).header(header::HOST, "localhost").header(header::ACCEPT, kind);
        let response = self.pages.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// What the routes at a path were asked since the last call.
    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let all = std::mem::take(&mut *self.asked.lock().unwrap());
        all.into_iter().filter(|asked| asked.starts_with(path)).collect()
    }
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}
