//! Reads `remind`: when people are reminded of what waits for them, and how often at most.

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{REMINDERS_DEFAULT, REMINDERS_MAX, Reminders, Setting, Span};
use super::reader::{PipelineReader, Shape};

pub(super) const REMIND: Shape = Shape { what: "`remind`", keys: &["first", "every", "max"] };

impl PipelineReader<'_> {
    /// Reminders of what people are asked: their spans may be computed.
    pub(super) fn reminders(&mut self, node: &YamlNode) -> Option<Reminders<Setting<Span>>> {
        self.remind(node, Self::pause)
    }

    /// Reminders of what stands still by itself: at that moment nothing is computed.
    pub(super) fn fixed_reminders(&mut self, node: &YamlNode) -> Option<Reminders<Span>> {
        self.remind(node, |reader, node, what| match node.text() {
            Some(text) if text.contains("${") => {
                let message = format!("{what} is written out here, it holds no `${{…}}`");
                reader.report(Code::Value, node.span.clone(), message).hint =
                    Some("write a span: 30m, 2h or 7d".to_owned());
                None
            }
            _written => match reader.pause(node, what)? {
                Setting::Fixed(span) => Some(span),
                Setting::Computed(_) => None,
            },
        })
    }

    fn remind<T>(
        &mut self,
        node: &YamlNode,
        span: fn(&mut Self, &YamlNode, &str) -> Option<T>,
    ) -> Option<Reminders<T>> {
        if !matches!(node.kind, Kind::Map(_)) {
            return span(self, node, "`remind`").map(Reminders::every);
        }
        let keys = self.keys(node, &REMIND)?;
        if keys.get("first").is_none() && keys.get("every").is_none() {
            if !self.is_meant(node, &["first"]) {
                self.missing(node, REMIND.what, "every", "every: 8h; or first: 2h, for one reminder");
            }
            return None;
        }
        let first = keys.get("first").map(|node| span(self, node, "`first` of `remind`"));
        let every = keys.get("every").map(|node| span(self, node, "`every` of `remind`"));
        let max = keys.get("max").map(|node| {
            let number = self.number(node, "`max` of `remind`", 1)?;
            if number > REMINDERS_MAX {
                let message = format!("`max` of `remind` is at most {REMINDERS_MAX}, not {number}");
                self.report(Code::TooLarge, node.span.clone(), message).hint =
                    Some(format!("without it there are {REMINDERS_DEFAULT}"));
                return None;
            }
            Some(number)
        });
        if max.is_some() && every.is_none() {
            let place = keys.key_span("max");
            self.report(
                Code::Combination,
                place,
                "without `every` there is one reminder: `max` bounds none",
            )
            .hint = Some("add `every: 8h`, or take `max` out".to_owned());
        }
        // What was given and could not be read is reported already.
        Some(Reminders { first: all(first)?, every: all(every)?, max: all(max)? })
    }
}

/// Nothing where something was given and could not be read.
fn all<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}
