//! The forms of an answer that a request accepts, with their weights (RFC 9110, 12.4.2).

use axum::http::{HeaderMap, HeaderName, header};

/// The type of events as lines.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// What else callers call it.
const LINES: [&str; 3] = [NDJSON, "application/ndjson", "application/jsonl"];

/// What a header lists, in lower case and without parameters, each with its weight; an unreadable weight is none.
pub(super) fn weighed(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, f32)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let listed = values.flat_map(|value| value.split(',')).filter(|one| !one.trim().is_empty());
    listed.map(one).collect()
}

fn one(listed: &str) -> (String, f32) {
    let mut parts = listed.split(';').map(|part| part.trim().to_ascii_lowercase());
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").map(str::to_owned));
    let weight = weight.map_or(1.0, |number| number.trim().parse().unwrap_or(0.0));
    (name, weight)
}

/// Whether the caller wants events as lines rather than as one document: lines are named, and no less wanted than that.
pub(super) fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = weighed(headers, &header::ACCEPT);
    let weight = |kind: &str| accepted.iter().find(|(name, _)| name == kind).map(|(_, weight)| *weight);
    let of_lines = LINES.into_iter().filter_map(weight).fold(0.0, f32::max);
    // The most exact of the ranges that a document is in says how much it is wanted.
    let of_document = ["application/json", "application/*", "*/*"].into_iter().find_map(weight);
    of_lines > 0.0 && of_lines >= of_document.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn lines_are_wanted_where_they_are_named_and_no_less_wanted_than_a_document() {
        let wants = |accept: &str| {
            let value = HeaderValue::from_str(accept).unwrap();
            wants_lines(&[(header::ACCEPT, value)].into_iter().collect())
        };
        for lines in [
            "application/x-ndjson",
            "application/x-ndjson, application/json",
            "application/json;q=0.9, Application/X-NDJSON; q=1.0",
            "application/json;q=0, application/jsonl;q=0.1",
            "application/ndjson, */*",
            "application/x-ndjson;charset=utf-8;q=0.5, */*;q=0.1",
        ] {
            assert!(wants(lines), "{lines}");
        }
        for document in [
            "",
            "*/*",
            "application/json",
            "application/json, application/x-ndjson;q=0.5",
            "application/x-ndjson;q=0, application/json",
            "application/x-ndjson;q=0",
            "application/x-ndjson;q=0.5, */*",
            "application/x-ndjson;q=high",
        ] {
            assert!(!wants(document), "{document}");
        }
        assert!(!wants_lines(&HeaderMap::new()));
    }
}
