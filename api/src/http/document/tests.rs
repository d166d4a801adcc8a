//! What holds for the document as a whole, over every route.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::openapi::{TAGS, completed, operations};
use crate::access::{RequiredRole, needed};
use crate::http::document;

#[test]
fn every_operation_says_what_it_does_who_may_and_how_it_fails() {
    let mut document = completed(crate::http::routes::routes().described());
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
            assert_eq!(is_open, needs == RequiredRole::Public, "{what}");
            assert!(operation["responses"].get("401").is_some() || needs == RequiredRole::Public, "{what}");
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

/// Where two types claim a name, utoipa keeps the later one and reports nothing.
#[test]
fn no_two_types_claim_one_schema_name() {
    fn claimed(folder: &Path, claims: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                claimed(&path, claims);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let own = schema_names(&source).into_iter();
                claims.extend(own.map(|name| (name, path.display().to_string())));
            }
        }
    }
    let mut claims = Vec::new();
    claimed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut claims);
    let mut known = BTreeMap::new();
    for (name, file) in &claims {
        let former = known.insert(name, file);
        assert_eq!(former, None, "{name} is claimed by {file}, too");
    }
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    let unclaimed = |name: &&String| {
        !known.contains_key(name)
            && !name.starts_with("Page_")
            && !name.starts_with("FilteredPage_")
            && !name.starts_with("SortedPage_")
    };
    assert_eq!(schemas.keys().find(unclaimed), None, "no type of this crate claims it");
}

/// The schema names of the types in a source file: what `#[schema(as = …)]` says, else the name of the type.
fn schema_names(source: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = Vec::new();
    // Between the derive of a schema and the type that it is of.
    let mut derived: Option<Option<String>> = None;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[derive(") && line.contains("ToSchema") {
            derived = Some(None);
        }
        let Some(given) = &mut derived else { continue };
        if let Some((_, name)) = line.split_once("#[schema(").and_then(|(_, rest)| rest.split_once("as = ")) {
            *given = Some(name.chars().take_while(|c| is_of_name(*c)).collect());
        }
        let of_type = line.split_once("struct ").or_else(|| line.split_once("enum "));
        if let Some((_, name)) = of_type.filter(|_| !line.starts_with(['/', '#'])) {
            let own = || name.chars().take_while(|c| is_of_name(*c)).collect();
            names.push(given.take().unwrap_or_else(own));
            derived = None;
        }
    }
    names
}

#[test]
fn no_route_goes_round_the_document() {
    let source = include_str!("../routes.rs");
    assert!(
        !source.contains(".route("),
        "routes are added by `route_list!`, with their part of the document"
    );
}
