//! The OpenAPI document of the routes, and its page.
//!
//! Law: the document is made of the very routes that are served, and what all of them have in common (who may
//! call, how errors look, what comes with a write) is written by one place from the tables that decide it:
//! [`crate::access::needed`] and [`crate::fault::Code`]. So it cannot say something else than they do.

mod choices;
mod common;
mod errors;
mod exact;
mod links;
mod names;
mod page;

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Info, License, OpenApi, OpenApiVersion, Tag};

use crate::fault::Problem;

pub(super) use page::{__path_file, __path_json, __path_page, Uncompressed, file, json, page};

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
    parameters that are unknown are refused with 422, and a body in which a whole number has more than 64 bits, wherever it stands, with 400.";

/// The document of every route.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let mut document: Value = part(completed(super::routes().into_openapi()));
        exact::say(&mut document);
        document
    });
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
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            common::complete(path, &method, operation);
            common::may_be_empty(operation, &schemas);
            let name = names::of(path, &method);
            debug_assert!(name.is_some(), "{method} {path} has no name");
            operation.operation_id = name.map(str::to_owned);
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

/// A part of the document, written as JSON, or the other way round.
///
/// # Panics
/// Never: what is written here is fixed, and a test reads all of it.
fn part<T: serde::de::DeserializeOwned>(value: impl serde::Serialize) -> T {
    let read = serde_json::to_value(value).and_then(serde_json::from_value);
    read.expect("a part of the document reads as what it is")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::{Needs, needed};

    #[test]
    fn every_operation_says_what_it_does_who_may_and_how_it_fails() {
        let mut document = completed(crate::http::routes().into_openapi());
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
    fn row_59_the_document_has_no_empty_places() {
        fn look(value: &Value, at: &str) {
            match value {
                // An example may hold anything, and a field's default may be null.
                Value::Object(map) => {
                    map.iter().filter(|(key, _)| !key.starts_with("example")).for_each(|(key, inner)| {
                        assert!(!inner.is_null() || key == "default", "{at}/{key} is null");
                        look(inner, &format!("{at}/{key}"));
                    })
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, at)),
                _plain => {}
            }
        }
        look(document(), "");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
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
