//! Writes the events of `tracing` as lines: the event's own fields, and those of the spans that it stands in.

use std::io::Write as _;

use everfold_engine::clock;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::form::{self, Fields, LogForm};

/// Writes a line per event.
pub(super) struct Lines<W> {
    form: LogForm,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(form: LogForm, writer: W) -> Self {
        Self { form, writer }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field.name(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), json!(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), Value::String(value.to_string()));
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(known) = span.extensions().get::<Fields>() {
                known.0.iter().for_each(|(name, value)| fields.put(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let (at, meta) = (clock::now().to_string(), event.metadata());
        let library = fields.take_library();
        let target = library.as_deref().unwrap_or_else(|| meta.target());
        let line = match self.form {
            LogForm::Text => form::text(&at, *meta.level(), fields),
            LogForm::Json => form::json(&at, *meta.level(), target, fields),
        };
        // The reader of the lines may be gone; that must not end anything.
        let _gone = self.writer.make_writer().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_fields_of_the_spans_around_it_and_the_innermost_counts() {
        let paper = Paper::default();
        let writer = paper.clone();
        let lines = Lines::new(LogForm::Json, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let outer = tracing::error_span!("request", request = "r-1", step = "none");
            let _outer = outer.enter();
            let inner = tracing::error_span!("attempt", run = "3b2cabce", step = "build", attempt = 2_u32);
            let _inner = inner.enter();
            let error = std::io::Error::other("no room");
            tracing::warn!(%error, tries = 1, "not kept");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        for (name, value) in [
            ("request", json!("r-1")),
            ("run", json!("3b2cabce")),
            ("step", json!("build")),
            ("attempt", json!(2)),
            ("error", json!("no room")),
            ("message", json!("not kept")),
            ("level", json!("warn")),
        ] {
            assert_eq!(line[name], value, "{text}");
        }
    }

    #[test]
    fn a_line_of_a_library_names_no_place_in_its_source() {
        let paper = Paper::default();
        for form in [LogForm::Text, LogForm::Json] {
            let writer = paper.clone();
            let lines = Lines::new(form, move || writer.clone());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
                tracing::error!(
                    log.target = "sled::pagecache",
                    log.module_path = "sled::pagecache::segment",
                    log.file = "/root/.cargo/registry/src/sled/src/pagecache/segment.rs",
                    log.line = 17,
                    "a segment was not readable"
                );
            });
        }
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let [words, json] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(words.ends_with("ERROR  a segment was not readable"), "{words}");
        let json: Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["target"], json!("sled::pagecache"));
        assert!(!text.contains("/root") && !text.contains("log."), "{text}");
    }
}
