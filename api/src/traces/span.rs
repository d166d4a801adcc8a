//! A span, as OTLP writes it in JSON.

use everfold_engine::id::RunId;
use everfold_engine::json::Hash;
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

/// A span of another trace: of the request that started a run, of the run that started a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteSpan {
    trace: String,
    span: String,
}

impl RemoteSpan {
    /// Reads a `traceparent` of W3C Trace Context: `00-TRACE-SPAN-FLAGS`.
    pub(super) fn read(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                && text.bytes().any(|byte| byte != b'0')
        };
        let is_known = version.len() == 2 && version != "ff" && parts.next().is_some();
        (is_known && is_hex(trace, 32) && is_hex(span, 16))
            .then(|| Self { trace: trace.to_owned(), span: span.to_owned() })
    }

    /// As `traceparent` has it.
    pub(super) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    pub(super) fn of(run: RunId, what: &str) -> Self {
        Self { trace: trace_id(run), span: span_id(run, what) }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Unset,
    Ok,
    Error(String),
}

/// A span of a run, to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TraceSpan {
    trace: String,
    pub(super) id: String,
    parent: Option<String>,
    pub(super) name: String,
    start: Timestamp,
    end: Timestamp,
    pub(super) attributes: Vec<(&'static str, Value)>,
    links: Vec<RemoteSpan>,
    pub(super) status: Status,
    /// The run, where it is the span of the run itself, or of its beginning.
    pub(super) run: Option<RunId>,
    pub(super) is_begin: bool,
}

/// What the trace of a run is called: as the run.
pub(super) fn trace_id(run: RunId) -> String {
    run.0.simple().to_string()
}

/// What the span of a part of a run is called: it follows from the part.
pub(super) fn span_id(run: RunId, what: &str) -> String {
    let hash = Hash::of(format!("{run}/{what}").as_bytes());
    hash.to_string()[..16].to_owned()
}

impl TraceSpan {
    /// A span of `what`, below that of `parent`.
    pub(super) fn new(
        run: RunId,
        what: &str,
        parent: Option<&str>,
        name: String,
        start: Timestamp,
        end: Timestamp,
    ) -> Self {
        Self {
            trace: trace_id(run),
            id: span_id(run, what),
            parent: parent.map(|parent| span_id(run, parent)),
            name,
            start,
            // Clocks of machines differ; a span never ends before it begins.
            end: end.max(start),
            attributes: vec![("everfold.run.id", json!(run.to_string()))],
            links: Vec::new(),
            status: Status::Unset,
            run: None,
            is_begin: false,
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.attributes.push((name, value));
        }
        self
    }

    pub(super) fn link(&mut self, remote: &RemoteSpan) {
        if !self.links.contains(remote) {
            self.links.push(remote.clone());
        }
    }

    /// As OTLP has it: ids in hexadecimal digits, 64-bit numbers as texts.
    pub(super) fn json(&self) -> Value {
        let nanos = |at: Timestamp| (i128::from(at.0) * 1_000_000).to_string();
        let link = |link: &RemoteSpan| json!({ "traceId": link.trace, "spanId": link.span });
        let mut span = json!({
            "traceId": self.trace,
            "spanId": self.id,
            "name": self.name,
            "kind": 1,
            "startTimeUnixNano": nanos(self.start),
            "endTimeUnixNano": nanos(self.end),
            "attributes": attributes(&self.attributes),
            "status": match &self.status {
                Status::Unset => json!({}),
                Status::Ok => json!({ "code": 1 }),
                Status::Error(message) => json!({ "code": 2, "message": message }),
            },
        });
        if let Some(parent) = &self.parent {
            span["parentSpanId"] = json!(parent);
        }
        if !self.links.is_empty() {
            span["links"] = self.links.iter().map(link).collect();
        }
        span
    }
}

/// Attributes as OTLP has them.
pub(super) fn attributes(all: &[(&'static str, Value)]) -> Value {
    let value = |value: &Value| match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(answer) => json!({ "boolValue": answer }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        // Integers there have 64 bits and a sign.
        Value::Number(number) => {
            json!({ "intValue": number.as_i64().unwrap_or(i64::MAX).to_string() })
        }
        other => json!({ "stringValue": other.to_string() }),
    };
    all.iter().map(|(name, of)| json!({ "key": name, "value": value(of) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_fits_into_64_bits_with_a_sign() {
        let values = attributes(&[("a", json!(u64::MAX)), ("b", json!(-3))]);
        assert_eq!(values[0]["value"]["intValue"], i64::MAX.to_string());
        assert_eq!(values[1]["value"]["intValue"], "-3");
    }

    #[test]
    fn a_traceparent_is_read_as_w3c_writes_it() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let remote = RemoteSpan::read(good).unwrap();
        assert_eq!(
            (remote.trace.as_str(), remote.span.as_str()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
        );
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-short-01",
        ] {
            assert_eq!(RemoteSpan::read(bad), None, "{bad}");
        }
    }
}
