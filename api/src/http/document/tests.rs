//! What holds for the document as a whole, over every route.

use serde_json::{Value, json};

use super::openapi::{TAGS, completed, operations};
use crate::access::{RequiredRole, needed};
use crate::http::document;

#[test]
fn every_operation_says_what_it_does_who_may_and_how_it_fails() {
    let mut document = completed(crate::http::routes::routes().into_openapi());
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
            assert_eq!(is_open, needs == RequiredRole::Nobody, "{what}");
            assert!(operation["responses"].get("401").is_some() || needs == RequiredRole::Nobody, "{what}");
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
    let source = include_str!("../routes.rs");
    assert!(!source.contains(".route("), "routes are added by `routes!`, with their part of the document");
}
