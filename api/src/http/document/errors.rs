//! How errors look in the document: one answer per status, with every code that has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Response};

use super::part::part;
use crate::fault::{Code, Fault};
use crate::http::PROBLEM_TYPE;

/// Each status of errors: its number, its name in the document, what it means.
const STATUSES: [(u16, &str, &str); 17] = [
    (400, "Unreadable", "It cannot be read."),
    (401, "NotLetIn", "The caller is not known."),
    (403, "NotPermitted", "The role may not do that."),
    (404, "NotFound", "There is no such thing."),
    (408, "TooSlow", "The request or its answer took too long."),
    (409, "Refused", "Not possible in this state; nothing was recorded."),
    (413, "TooLarge", "The request is too large."),
    (415, "WrongType", "The body is of a type that the route does not read."),
    (421, "NotServed", "The host that the request names is not served here."),
    (422, "Invalid", "A field or parameter is unknown or has a wrong value."),
    (
        428,
        "CredentialRequired",
        "A credential is missing or refused: bring it in a header, and repeat the request.",
    ),
    (429, "TooFast", "Too many requests; `Retry-After` says when the next is welcome."),
    (431, "HeadTooLarge", "The request line and the headers are too large."),
    (500, "Internal", "A mistake of Everfold, or a file that cannot be read."),
    (502, "NotTold", "Another service did not take what it was sent."),
    (503, "Unavailable", "The engine ends, is busy, or its store cannot be used."),
    (507, "Full", "The disk is full; nothing was changed."),
];

/// The reference of the answer with that status.
pub(super) fn reference(status: u16) -> Option<Value> {
    let (_, name, _) = STATUSES.iter().find(|(known, _, _)| *known == status)?;
    Some(json!({ "$ref": format!("#/components/responses/{name}") }))
}

/// The answers by name.
pub(super) fn responses() -> BTreeMap<String, RefOr<Response>> {
    STATUSES.iter().map(|(status, name, about)| ((*name).to_owned(), response(*status, about))).collect()
}

fn response(status: u16, about: &str) -> RefOr<Response> {
    let codes: Vec<Code> =
        Code::ALL.iter().copied().filter(|code| code.status() == status && is_answered(*code)).collect();
    let listed: String =
        codes.iter().map(|code| format!("\n- `{code}` {}", code.title())).collect::<Vec<_>>().concat();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| {
            let problem = Fault::new(*code, code.title()).problem();
            (code.as_str().to_owned(), json!({ "summary": code.title(), "value": problem }))
        })
        .collect();
    let mut headers = Map::new();
    if status == 401 {
        headers.insert("WWW-Authenticate".into(), json!({ "schema": { "type": "string" } }));
    }
    if status == 429 {
        headers.insert(
            "Retry-After".into(),
            json!({ "description": "Seconds.", "schema": { "type": "integer", "format": "int64" } }),
        );
    }
    part(json!({
        "description": format!("{about}\n{listed}"),
        "headers": headers,
        "content": { PROBLEM_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples } },
    }))
}

/// Whether a route can answer with the code. The other codes are those of the command line and of a server that starts.
fn is_answered(code: Code) -> bool {
    !matches!(
        code,
        Code::Interrupted
            | Code::NotBuilt
            | Code::DemoStopped
            | Code::Listen
            | Code::InTheClear
            | Code::Served
            | Code::NoMethod
            // Codes of the command line: about a server, or about its own arguments.
            | Code::ServerAway
            | Code::NotTrusted
            | Code::NotEverfold
            | Code::OtherVersion
            | Code::OnFolder
            | Code::NoContext
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_a_route_answers_with_is_documented() {
        for code in Code::ALL.iter().filter(|code| is_answered(**code)) {
            assert!(reference(code.status()).is_some(), "{code} has the status {}", code.status());
        }
    }
}
