//! Waiting: for time, for a moment, for a signal.

use super::super::codes::Code;
use super::super::yaml::YamlNode;
use super::super::{Routes, Wait};
use super::reader::{Keys, PipelineReader, Shape};
use super::route_cause::RouteCause;
use super::uses::{ExprPlace, Wants};

pub(super) const WAIT: Shape = Shape {
    what: "`wait`",
    keys: &["for", "until", "zone", "signal", "match", "timeout", "on_timeout", "remind"],
};

const WAYS: [&str; 3] = ["for", "until", "signal"];

impl PipelineReader<'_> {
    /// Exactly one of `for`, `until` and `signal`, with what belongs to it.
    pub(super) fn wait(&mut self, node: &YamlNode) -> Option<Wait> {
        let keys = self.keys(node, &WAIT)?;
        let given: Vec<&str> = WAYS.into_iter().filter(|way| keys.get(way).is_some()).collect();
        match given.as_slice() {
            [_] => {}
            [] => {
                if !self.is_meant(node, &WAYS) {
                    self.missing(node, "`wait`", "for", "for: 10m, until: MOMENT, or signal: NAME");
                }
                return None;
            }
            [first, second, ..] => {
                let span = keys.key_span(second);
                let hint = match given.as_slice() {
                    ["for", "signal"] => {
                        "how long a signal is waited for is `timeout`; to wait for both, make two steps of it"
                    }
                    _two_moments => "make two steps of it",
                };
                let message = format!("a step waits for one thing, not for `{first}` and `{second}`");
                self.report(Code::Combination, span, message).hint = Some(hint.to_owned());
            }
        }
        for (key, owner) in [
            ("zone", "until"),
            ("match", "signal"),
            ("timeout", "signal"),
            ("on_timeout", "signal"),
            ("remind", "signal"),
        ] {
            if keys.get(key).is_some() && !given.contains(&owner) {
                let span = keys.key_span(key);
                self.report(Code::Combination, span, format!("`{key}` belongs to `{owner}`")).hint =
                    Some("take it out, or let the step wait for that".to_owned());
            }
        }
        self.timeout_of(keys, "3d");
        let span = keys.get("for").map(|node| self.span_setting(node, "`for`", ExprPlace::Work));
        let until = keys.get("until").map(|node| self.moment(node));
        let zone = match keys.get("zone") {
            Some(node) if !node.text().is_some_and(|text| text.contains("${")) => {
                self.zone(node)?;
                self.text_template(node, "`zone`", ExprPlace::Work)
            }
            Some(node) => self.text_template(node, "`zone`", ExprPlace::Work),
            None => None,
        };
        let signal = keys.get("signal").map(|node| self.signal_name(node));
        let matches = keys
            .get("match")
            .and_then(|node| self.expression(node, "`match`", ExprPlace::Match, Wants::Bool));
        let timeout =
            keys.get("timeout").and_then(|node| self.span_setting(node, "`timeout`", ExprPlace::Work));
        let on_timeout =
            keys.get("on_timeout").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Over));
        let wait = Wait {
            span: span.clone().flatten(),
            until: until.clone().flatten(),
            zone,
            signal: signal.clone().flatten(),
            matches,
            timeout,
            on_timeout,
            remind: keys.get("remind").and_then(|node| self.fixed_reminders(node)),
        };
        // One that could not be read was reported.
        (span != Some(None) && until != Some(None) && signal != Some(None)).then_some(wait)
    }

    /// Reports an `on_timeout` that nothing leads to.
    pub(super) fn timeout_of(&mut self, keys: Keys<'_>, example: &str) {
        if keys.get("on_timeout").is_some() && keys.get("timeout").is_none() {
            let span = keys.key_span("on_timeout");
            self.report(Code::Combination, span, "`on_timeout` never follows: there is no `timeout`").hint =
                Some(format!("add `timeout: {example}`, or take `on_timeout` out"));
        }
    }

    /// A moment: RFC 3339, or a local time.
    fn moment(&mut self, node: &YamlNode) -> Option<crate::expr::Template> {
        let text = self.text(node, "`until`")?;
        let computed = text.contains("${");
        let written = computed
            || text.parse::<jiff::Timestamp>().is_ok()
            || text.parse::<jiff::civil::DateTime>().is_ok();
        if !written {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no moment")).hint =
                Some("write 2026-12-24T08:00:00Z, or 2026-12-24T08:00 with `zone`".to_owned());
            return None;
        }
        self.text_template(node, "`until`", ExprPlace::Work)
    }
}
