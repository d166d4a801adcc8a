//! Assembles the OpenAPI document: the routes' own parts, what operations share, and what derives cannot express.

use axum::http::Method;
use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Info, License, OpenApi, OpenApiVersion, Tag};

use super::part::part;
use super::{choices, chosen_rows, errors, exact, names, operation};
use crate::fault::ProblemDocument;

/// The parts of the page, and what is said of each.
pub(super) const TAGS: [(&str, &str); 17] = [
    ("runs", "Runs: the list, one of them, a new one."),
    ("steering", "What people and programs do to runs."),
    ("history", "What happened: events, former states, decisions, logs."),
    ("queries", "SQL over the lists, at any moment."),
    ("orch", "Tasks that go along stages: where each stands, agents at work, reviews, costs."),
    ("inbox", "What people are asked, and what they answer."),
    ("spending", "Budgets, and what was used up."),
    ("pipelines", "Pipelines: saved ones, built-in ones, the check of a file."),
    ("schedules", "Runs that start by the clock."),
    ("hooks", "Deliveries of webhooks."),
    ("notices", "Who is told of what happens, and the notices that did not arrive."),
    ("engine", "Slots, rates and breakers."),
    ("workers", "Work that is fetched: polls, heartbeats, reports."),
    ("store", "The log behind it all."),
    ("access", "Tokens and sessions."),
    ("health", "Whether the server is there, and how it does."),
    ("document", "This document."),
];

const ABOUT: &str = "Durable workflows over HTTP.\n\n\
    Bodies are JSON, times RFC 3339 in UTC, money US dollars as a decimal string. Lists are `{items, next_cursor}`. \
    Writes that list `Idempotency-Key` take it: a repeat gets the first answer, another body 422. The answer of a write that \
    records something has `Everfold-Position`, the place in the log that it led to. Every error is `application/problem+json` (RFC 9457) with a \
    stable `code`; every answer has `X-Request-Id`, the one that the request brought or a new one; an unknown path answers 404 (EF0207), a method that a path does not take 405 (EF0208). Fields and \
    parameters that are unknown are refused with 422, and a body in which a whole number has more than 64 bits, wherever it stands, with 400.";

/// The document of these routes.
pub(crate) fn document_of(routes: OpenApi) -> Value {
    let mut document: Value = part(completed(routes));
    exact::write(&mut document);
    chosen_rows::describe(&mut document);
    document
}

/// Each operation of a path with its method.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let of = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    of.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The document with what all operations have in common.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    document.openapi = OpenApiVersion::Version31;
    document.info = Info::new("Everfold", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(ABOUT.to_owned());
    document.info.license = Some(License::new("MIT OR Apache-2.0"));
    document.tags = Some(TAGS.iter().map(|(name, about)| tag(name, about)).collect());
    choices::write(&mut document.components.get_or_insert_default().schemas);
    let schemas =
        document.components.as_ref().and_then(|components| serde_json::to_value(&components.schemas).ok());
    let schemas = schemas.unwrap_or_default();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation::complete(path, &method, operation);
            operation::may_be_empty(operation, &schemas);
            let name = names::of(path, &method);
            debug_assert!(name.is_some(), "{method} {path} has no name");
            operation.operation_id = name.map(str::to_owned);
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.insert(ProblemDocument::name().into_owned(), ProblemDocument::schema());
    components.responses = errors::responses();
    components.security_schemes = operation::security_schemes();
    document
}

fn tag(name: &str, about: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(about.to_owned());
    tag
}
