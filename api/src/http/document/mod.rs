//! The OpenAPI document of the routes, and its page.
//!
//! Law: the document is made of the very routes that are served, and what all of them have in common (who may
//! call, how errors look, what comes with a write) is written by one place from the tables that decide it:
//! [`crate::access::needed`] and [`crate::fault::Code`]. So it cannot say something else than they do.

mod choices;
mod common;
mod errors;
mod page;

use std::sync::LazyLock;

use axum::http::Method;
use utoipa::PartialSchema as _;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Info, License, OpenApi, OpenApiVersion, Tag};

use crate::fault::Problem;

pub(super) use page::{__path_file, __path_json, __path_page, file, json, page};

/// The parts of the page, and what is said of each.
const TAGS: [(&str, &str); 15] = [
    ("runs", "Runs: the list, one of them, a new one."),
    ("steering", "What people and programs do to runs."),
    ("history", "What happened: events, former states, decisions, logs."),
    ("inbox", "What people are asked, and what they answer."),
    ("spending", "Budgets, and what was used up."),
    ("pipelines", "Pipelines: saved ones, built-in ones, the check of a file."),
    ("schedules", "Runs that start by the clock."),
    ("hooks", "Deliveries of webhooks."),
    ("notices", "Who is told of what happens, and what nobody could be told of."),
    ("engine", "Slots, rates and breakers."),
    ("workers", "Work that is fetched: polls, heartbeats, reports."),
    ("store", "The log behind it all."),
    ("access", "Tokens and sessions."),
    ("health", "Whether the server is there, and how it does."),
    ("document", "This document."),
];

const ABOUT: &str = "Durable workflows over HTTP.\n\n\
    Bodies are JSON, times RFC 3339 in UTC, money US dollars as a decimal string. Lists are `{items, next_cursor}`. \
    Writes that list `Idempotency-Key` take it: a repeat gets the first answer, another body 422. Every answer of a write has \
    `Everfold-Position`, the place in the log that it led to. Every error is `application/problem+json` (RFC 9457) with a \
    stable `code`; every answer has `X-Request-Id`, the one that the request brought or a new one; an unknown path answers 404 (EF0207), a method that a path does not take 405 (EF0208). Fields and \
    parameters that are unknown are refused with 422.";

/// The document of every route.
pub fn document() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| completed(super::routes().into_openapi()));
    &DOCUMENT
}

/// Each operation of a path with its method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let of = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
    ];
    of.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The document with what all operations have in common.
fn completed(mut document: OpenApi) -> OpenApi {
    document.openapi = OpenApiVersion::Version31;
    document.info = Info::new("Everfold", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(ABOUT.to_owned());
    document.info.license = Some(License::new("MIT OR Apache-2.0"));
    document.tags = Some(TAGS.iter().map(|(name, about)| tag(name, about)).collect());
    choices::say(&mut document.components.get_or_insert_default().schemas);
    let schemas =
        document.components.as_ref().and_then(|components| serde_json::to_value(&components.schemas).ok());
    let schemas = schemas.unwrap_or_default();
    let mut taken = std::collections::BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            common::complete(path, &method, operation);
            common::may_be_empty(operation, &schemas);
            let id = common::operation_id(path, &method);
            debug_assert!(taken.insert(id.clone()), "two operations are called {id}");
            operation.operation_id = Some(id);
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.responses = errors::responses();
    components.security_schemes = common::security_schemes();
    document
}

fn tag(name: &str, about: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(about.to_owned());
    tag
}

/// A part of the document, written as JSON.
///
/// # Panics
/// Never: what is written here is fixed, and a test reads all of it.
fn part<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a part of the document reads as what it is")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::{Needs, needed};

    #[test]
    fn every_operation_says_what_it_does_who_may_and_how_it_fails() {
        let mut document = document().clone();
        let tags: Vec<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        let mut seen = 0;
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                seen += 1;
                let what = format!("{method} {path}");
                assert!(operation.summary.as_ref().is_some_and(|text| text.len() > 3), "{what}");
                let operation = serde_json::to_value(&*operation).unwrap();
                assert!(tags.contains(&operation["tags"][0].as_str().unwrap()), "{what}");
                let needs = needed(&method, path);
                let is_open = operation["security"] == json!([]);
                assert_eq!(is_open, needs == Needs::Nobody, "{what}");
                assert!(operation["responses"].get("401").is_some() || needs == Needs::Nobody, "{what}");
                assert!(operation["responses"].get("500").is_some(), "{what}");
            }
        }
        assert!(seen >= 60, "{seen}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        let text = document.to_string();
        let mut rest = text.as_str();
        while let Some(at) = rest.find("\"$ref\":\"#") {
            rest = &rest[at + 9..];
            let pointer = &rest[..rest.find('"').unwrap()];
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }

    #[test]
    fn no_route_goes_round_the_document() {
        let source = include_str!("../mod.rs");
        assert!(
            !source.contains(".route("),
            "routes are added by `routes!`, with their part of the document"
        );
    }
}
