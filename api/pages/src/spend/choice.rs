//! What the address of the page chooses.

use serde::Deserialize;

use super::chart::{Measure, day_before};
use crate::frame::{Visit, with_query};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SpendParams {
    period: String,
    by: String,
    label: String,
    of: String,
    pipeline: String,
}

/// How far back, by its word in the address.
pub(crate) const PERIODS: [(&str, &str, Option<i64>); 5] = [
    ("7d", "7 days", Some(7)),
    ("30d", "30 days", Some(30)),
    ("90d", "90 days", Some(90)),
    ("1y", "a year", Some(365)),
    ("all", "all time", None),
];

/// By what the table groups, with its word.
pub(crate) const GROUPS: [(&str, &str); 5] =
    [("model", "model"), ("role", "role"), ("pipeline", "pipeline"), ("step", "step"), ("run", "run")];

/// What the address chooses.
#[derive(Debug, Clone)]
pub(super) struct SpendChoice {
    pub(super) period: (&'static str, &'static str, Option<i64>),
    /// Of REST: `model`, or `label:NAME`.
    pub(super) by: String,
    pub(super) label: String,
    pub(super) measure: Measure,
    pub(super) pipeline: String,
}

impl SpendChoice {
    pub(super) fn of(params: &SpendParams) -> Self {
        let period = PERIODS.into_iter().find(|(word, ..)| *word == params.period).unwrap_or(PERIODS[1]);
        let label = params.label.trim().to_owned();
        let by = match GROUPS.iter().find(|(word, _)| *word == params.by) {
            Some((word, _)) => (*word).to_owned(),
            None if params.by == "label" && !label.is_empty() => format!("label:{label}"),
            None => GROUPS[0].0.to_owned(),
        };
        let measure = if params.of == "tokens" { Measure::Tokens } else { Measure::Cost };
        Self { period, by, label, measure, pipeline: params.pipeline.trim().to_owned() }
    }

    /// The first day, in UTC as all days are.
    pub(super) fn since(&self, shown_millis: i64) -> Option<String> {
        let days = self.period.2?;
        Some(day_before(shown_millis, days - 1))
    }

    /// The route of REST.
    pub(super) fn route(&self, visit: &Visit, by: &str) -> String {
        let mut path = with_query("/spend", "by", by);
        if let Some(since) = self.since(visit.shown_millis()) {
            path = with_query(&path, "since", &since);
        }
        if !self.pipeline.is_empty() {
            path = with_query(&path, "pipeline", &self.pipeline);
        }
        visit.at_moment(&path)
    }

    /// This page with one choice changed.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let by = if self.by.starts_with("label:") { "label" } else { &self.by };
        let measure = if self.measure == Measure::Tokens { "tokens" } else { "" };
        let all = [
            ("period", self.period.0),
            ("by", by),
            ("label", &self.label),
            ("of", measure),
            ("pipeline", &self.pipeline),
        ];
        let mut path = "/spend".to_owned();
        for (known, kept) in all {
            let value = if known == name { value } else { kept };
            if !value.is_empty() {
                path = with_query(&path, known, value);
            }
        }
        path
    }

    pub(super) fn is_period(&self, word: &str) -> bool {
        self.period.0 == word
    }

    pub(super) fn is_by(&self, word: &str) -> bool {
        self.by == word
    }

    pub(super) fn is_label(&self) -> bool {
        self.by.starts_with("label:")
    }

    /// Groups as if no label were chosen; its text stays in the field.
    pub(super) fn leave_label(&mut self) {
        GROUPS[0].0.clone_into(&mut self.by);
    }

    /// What the groups are called.
    pub(super) fn by_word(&self) -> &str {
        self.by.strip_prefix("label:").unwrap_or(&self.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_stands_in_the_address_and_keeps_the_others() {
        let params = SpendParams {
            period: "7d".into(),
            by: "label".into(),
            label: "te am".into(),
            ..SpendParams::default()
        };
        let choice = SpendChoice::of(&params);
        assert_eq!(choice.by, "label:te am");
        assert_eq!(choice.with("period", "all"), "/spend?period=all&by=label&label=te+am");
        assert_eq!(choice.with("of", "tokens"), "/spend?period=7d&by=label&label=te+am&of=tokens");
    }

    #[test]
    fn what_nobody_knows_is_as_if_it_were_not_said() {
        let choice = SpendChoice::of(&SpendParams {
            period: "x".into(),
            by: "<script>".into(),
            ..SpendParams::default()
        });
        assert_eq!((choice.period.0, choice.by.as_str()), ("30d", "model"));
    }
}
