//! `fields=` of every list: the answer with these members of each row alone.
//!
//! Law: a list is what the document says answers `{items, …}`; so no list lacks the parameter. Handlers do not see it:
//! which rows there are, their order and cursors are those of the whole answer.

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::uri::InvalidUri;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::chosen_fields::{ChosenFields, UnknownField};
use crate::fault::{Code, Fault};
use crate::http::accepted::wants_lines;

/// The name of the parameter.
const FIELDS: &str = "fields";

/// Takes `fields` out of the query of a list, and the other members out of the rows of its answer.
///
/// The document is made only where it is asked for them.
pub(in crate::http) async fn chosen(
    document: fn() -> &'static Value,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = match taken(document, &request) {
        Ok(Some(asked)) => asked,
        Ok(None) => return next.run(request).await,
        Err(fault) => return fault.into_response(),
    };
    let (fields, rest) = asked;
    *request.uri_mut() = rest;
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !is_json {
        return response;
    }
    cut(response, &fields).await.unwrap_or_else(Fault::into_response)
}

async fn cut(response: Response, fields: &ChosenFields) -> Result<Response, Fault> {
    let internal = |error: String| Fault::new(Code::Internal, error);
    let (mut head, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|error| internal(error.to_string()))?.to_bytes();
    if bytes.is_empty() {
        return Ok(Response::from_parts(head, Body::empty()));
    }
    let mut answer: Value = serde_json::from_slice(&bytes).map_err(|error| internal(error.to_string()))?;
    drop(bytes);
    if let Some(items) = answer.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(|item| *item = fields.of(item.take()));
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(answer.to_string())))
}

/// The fields that a request of a list chooses, and its place without them.
fn taken(document: fn() -> &'static Value, request: &Request) -> Result<Option<(ChosenFields, Uri)>, Fault> {
    let (uri, query) = (request.uri(), request.uri().query().unwrap_or_default());
    let of_fields = |part: &&str| part.split('=').next() == Some(FIELDS);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // An export in lines has no rows to cut.
    if !is_read || wants_lines(request.headers()) || !query.split('&').any(|part| of_fields(&part)) {
        return Ok(None);
    }
    let whole = document();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(row) = route.and_then(|route| row_of(&whole["paths"][route]["get"], whole)) else {
        return Ok(None);
    };
    let mut given = query.split('&').filter(of_fields);
    let (first, second) = (given.next().unwrap_or_default(), given.next());
    let text = decoded(first.split_once('=').map_or("", |(_, text)| text));
    let fields =
        text.as_deref().filter(|_| second.is_none()).and_then(|text| ChosenFields::parse(text.split(',')));
    let fields = fields.ok_or_else(|| {
        Fault::new(Code::BadFields, "fields: it is one list of at most 100 names with commas between them")
            .hint("fields=id,status,failure.code")
    })?;
    fields.check(row, whole).map_err(refused)?;
    let rest: Vec<&str> = query.split('&').filter(|part| !of_fields(part)).collect();
    let place =
        if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), rest.join("&")) };
    let internal = |error: &dyn std::fmt::Display| Fault::new(Code::Internal, format!("{place}: {error}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(place.parse().map_err(|error: InvalidUri| internal(&error))?);
    let rest = Uri::from_parts(parts).map_err(|error| internal(&error))?;
    Ok(Some((fields, rest)))
}

fn refused(UnknownField { field, near, known }: UnknownField) -> Fault {
    let fault = Fault::new(Code::BadFields, format!("fields: rows of this list have no field “{field}”"));
    match near {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => fault.hint("nothing stands below it: leave the last part out"),
        None => fault.hint(format!("the fields are {}", known.join(", "))),
    }
}

/// A text of a query; `None`: it is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]),
            None => (bytes.push(if *first == b'+' { b' ' } else { *first }), rest = after),
        };
    }
    String::from_utf8(bytes).ok()
}

/// The schema of a row of what an operation answers, where that is a list.
fn row_of<'a>(operation: &'a Value, whole: &'a Value) -> Option<&'a Value> {
    let answer = operation.pointer("/responses/200/content/application~1json/schema")?;
    let reference = answer["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let answer = reference.and_then(|pointer| whole.pointer(pointer)).unwrap_or(answer);
    let items = &answer["properties"]["items"];
    (items["type"] == "array").then(|| &items["items"])
}

/// Describes the parameter at each list of the document.
pub(super) fn describe(document: &mut Value) {
    let whole = document.clone();
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        let Some(operation) = item.get_mut("get").filter(|operation| row_of(operation, &whole).is_some())
        else {
            continue;
        };
        let parameter = json!({
            "name": FIELDS, "in": "query", "required": false,
            "description": "The members that are wanted of each item, with commas between them, and nothing else of it: `id,failure.code`. One that an item does not have is null; one that no item has is refused with 422.",
            "schema": { "type": "string", "minLength": 1 },
        });
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
    }
}
