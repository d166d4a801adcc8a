//! `/hooks`: what services delivered, and what each delivery led to.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::pipelines::{PipelinesTab, RestList, segment};
use crate::problem::Problem;
use crate::triggers::outcome::TriggerOutcome;
use crate::visible::visible;
use crate::words;

/// As many deliveries stand on a page.
const DELIVERIES_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HookParams {
    cursor: String,
    /// The delivery that is opened, and its source.
    delivery: String,
    source: String,
}

/// A delivery.
#[derive(Debug, Clone, Deserialize)]
struct Delivery {
    id: String,
    source: String,
    name: Option<String>,
    sender: Option<String>,
    received_at: String,
    #[serde(default)]
    handled: Vec<Handling>,
    /// What triggers see of it; not in lists.
    #[serde(default)]
    event: Value,
}

/// What a delivery led to, once.
#[derive(Debug, Clone, Deserialize)]
struct Handling {
    nth: u32,
    at: String,
    by: Option<String>,
    #[serde(default)]
    outcomes: Vec<TriggerOutcome>,
}

impl Delivery {
    /// What it led to when it was handled last.
    fn last(&self) -> Option<&Handling> {
        self.handled.last()
    }

    fn source_path(&self) -> String {
        source_path(&self.source)
    }

    fn redeliver_path(&self) -> String {
        format!("{}/{}/redeliver", source_path(&self.source), segment(&self.id))
    }

    /// The body as it came, indented.
    fn body(&self) -> String {
        shown(self.event.get("body").unwrap_or(&Value::Null))
    }

    /// The headers that were kept.
    fn headers(&self) -> Vec<(&str, String)> {
        let headers = self.event.get("headers").and_then(Value::as_object);
        headers.into_iter().flatten().map(|(name, value)| (name.as_str(), shown(value))).collect()
    }

    /// What the source's reader found in it, beside body and headers.
    fn facts(&self) -> Vec<(&str, String)> {
        let is_fact = |name: &str| {
            !matches!(name, "body" | "headers" | "id" | "source" | "name" | "sender" | "received_at")
        };
        let fields = self.event.as_object().into_iter().flatten();
        fields
            .filter(|(name, value)| is_fact(name) && !value.is_null())
            .map(|(name, value)| (name.as_str(), shown(value)))
            .collect()
    }

    /// The id of its row in the page.
    fn row_id(&self) -> String {
        format!("delivery-{}-{}", segment(&self.source), segment(&self.id))
    }

    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.source == other.source
    }
}

/// A value with all its signs to be seen.
fn shown(value: &Value) -> String {
    visible(&words::json(value)).into_owned()
}

fn source_path(source: &str) -> String {
    format!("/hooks/{}", segment(source))
}

#[derive(Template)]
#[template(path = "triggers/hooks.html")]
struct HooksPage {
    frame: Frame,
    tab: PipelinesTab,
    /// The source whose deliveries are shown; none: all.
    source: Option<String>,
    /// The sources that are seen on this page.
    sources: Vec<String>,
    deliveries: Vec<Delivery>,
    opened: Option<Delivery>,
    /// Where older ones are.
    older: Option<String>,
    is_first: bool,
}

impl HooksPage {
    fn base(&self) -> String {
        self.source.as_deref().map_or_else(|| "/hooks".to_owned(), source_path)
    }

    /// The opened delivery, where it is this one.
    fn opened_as(&self, delivery: &Delivery) -> Option<&Delivery> {
        self.opened.as_ref().filter(|opened| opened.is(delivery))
    }

    /// The opened delivery, where it is not in the list.
    fn opened_alone(&self) -> Option<&Delivery> {
        self.opened.as_ref().filter(|opened| !self.deliveries.iter().any(|delivery| delivery.is(opened)))
    }

    /// The address that opens a delivery here, or closes it.
    fn toggle_path(&self, delivery: &Delivery) -> String {
        let (path, query) = self.frame.here.split_once('?').unwrap_or((&self.frame.here, ""));
        let mut path = path.to_owned();
        let kept =
            form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "cursor" || name == "at");
        for (name, value) in kept {
            path = with_query(&path, &name, &value);
        }
        if self.opened_as(delivery).is_none() {
            path = with_query(&with_query(&path, "delivery", &delivery.id), "source", &delivery.source);
        }
        format!("{path}#{}", delivery.row_id())
    }

    fn path_of(&self, source: &str) -> String {
        source_path(source)
    }

    fn is_source(&self, source: &str) -> bool {
        self.source.as_deref() == Some(source)
    }
}

/// `GET /hooks`.
pub(super) async fn list(visit: Visit, Query(params): Query<HookParams>) -> Result<Response, Problem> {
    page(&visit, None, &params).await
}

/// `GET /hooks/{source}`.
pub(super) async fn of_source(
    visit: Visit,
    Path(source): Path<String>,
    Query(params): Query<HookParams>,
) -> Result<Response, Problem> {
    page(&visit, Some(source), &params).await
}

async fn page(visit: &Visit, source: Option<String>, params: &HookParams) -> Result<Response, Problem> {
    let mut path = match &source {
        None => "/hooks".to_owned(),
        Some(source) => format!("/hooks/{}/deliveries", segment(source)),
    };
    path = with_query(&path, "limit", &DELIVERIES_MAX.to_string());
    if !params.cursor.is_empty() {
        path = with_query(&path, "cursor", &params.cursor);
    }
    let opens = !params.delivery.is_empty();
    let of =
        source.as_deref().or(Some(params.source.as_str()).filter(|text| !text.is_empty())).unwrap_or("-");
    let one = format!("/hooks/{}/deliveries/{}", segment(of), segment(&params.delivery));
    let (list, opened) = futures::join!(visit.rest.get::<RestList<Delivery>>(&path), async {
        if opens { visit.rest.get::<Delivery>(&one).await.map(Some) } else { Ok(None) }
    });
    let list = list?;
    let mut sources: Vec<String> = list.items.iter().map(|delivery| delivery.source.clone()).collect();
    sources.extend(source.clone());
    sources.sort_unstable();
    sources.dedup();
    let title = source.as_ref().map_or_else(|| "Hooks".to_owned(), |source| format!("{source} · hooks"));
    let mut frame = visit.frame(title, NavPlace::Pipelines);
    // Older deliveries do not change.
    frame.live = frame.live && params.cursor.is_empty();
    let mut page = HooksPage {
        frame,
        tab: PipelinesTab::Hooks,
        source,
        sources,
        deliveries: list.items,
        opened: opened?,
        older: None,
        is_first: params.cursor.is_empty(),
    };
    page.older = list.next_cursor.map(|cursor| with_query(&page.base(), "cursor", &cursor));
    Ok(Html(page).into_response())
}

/// `POST /hooks/{source}/{id}/redeliver`.
pub(super) async fn redeliver(
    visit: Visit,
    Path((source, id)): Path<(String, String)>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let path = format!("/hooks/{}/deliveries/{}/redeliver", segment(&source), segment(&id));
    visit.rest.write(Method::POST, &path, &json!({}), fields.once()).await?;
    Ok(Redirect::to(&with_query(&source_path(&source), "delivery", &id)))
}
