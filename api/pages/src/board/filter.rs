//! Which runs are shown: the filters of `GET /runs`, as the address holds them.
//!
//! Law: an address holds the whole filter, so that a link to it is a view, and every page with runs takes the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::moment::{WrittenMoment, shortest};
use crate::visible::visible;

/// The names of the filters, as `GET /runs` has them.
pub(crate) const NAMES: [&str; 11] = [
    "q",
    "pipeline",
    "status",
    "label",
    "awaiting",
    "step",
    "started_after",
    "number",
    "parent",
    "top",
    "filter",
];

/// The statuses of runs, in the order of their columns: first those that wait for people.
pub(crate) const STATUSES: [&str; 9] =
    ["blocked", "waiting", "running", "queued", "paused", "stopping", "failed", "succeeded", "cancelled"];

/// Which runs are shown; empty: every one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunFilter {
    values: BTreeMap<&'static str, String>,
}

/// One part of a filter that can be taken away.
#[derive(Debug, Clone)]
pub(crate) struct Chip {
    /// What it asks for, for readers.
    pub(crate) text: String,
    /// The filter without it.
    pub(crate) without: RunFilter,
}

impl RunFilter {
    /// The filter of a query.
    pub(crate) fn of(query: &str) -> Self {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(known) = NAMES.iter().find(|known| **known == name) {
                filter.add(known, &value);
            }
        }
        filter
    }

    /// Labels, each with the table of the runs that have it.
    pub(crate) fn label_tables(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let table = |key: &str, value: &str| Self::default().with("label", &label(key, value));
        let text = |key: &str, value: &str| visible(&format!("{key}={value}")).into_owned();
        let all = labels.iter();
        all.map(|(key, value)| (text(key, value), table(key, value).address("/runs", &[]))).collect()
    }

    /// Whether every run is shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What one of the filters asks for.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The filter with one more part: labels, statuses and expressions come together, others replace what was there.
    fn add(&mut self, name: &'static str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match (name, self.values.get_mut(name)) {
            ("label" | "status", Some(known)) if split(known).iter().any(|part| part == value) => {}
            ("label" | "status", Some(known)) => {
                known.push(',');
                known.push_str(value);
            }
            ("filter", Some(known)) if known == value => {}
            ("filter", Some(known)) => *known = format!("({known}) && ({value})"),
            ("q", Some(known)) => {
                known.push(' ');
                known.push_str(value);
            }
            _first_or_only_one => {
                self.values.insert(name, value.to_owned());
            }
        }
    }

    /// The same filter with another value of one of them; an empty one takes it away.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.values.remove(name);
        changed.add(name, value);
        changed
    }

    /// The filter with what a viewer typed into the field: `status:failed`, `label:team:blue`, `search.amount > 100`, or
    /// words.
    pub(crate) fn typed(&self, text: &str) -> Self {
        let mut changed = self.clone();
        if text.trim_start().starts_with("search.") {
            changed.add("filter", text);
            return changed;
        }
        let (name, value) = text.split_once(':').unwrap_or(("q", text));
        let name = match name.trim() {
            "started" => "started_after",
            "awaits" => "awaiting",
            name => name,
        };
        match NAMES.iter().find(|known| **known == name) {
            Some(known @ &("label" | "status" | "q" | "filter")) => changed.add(known, value),
            Some(known) => changed = changed.with(known, value),
            None => changed.add("q", text),
        }
        changed
    }

    /// Its parts, each with the filter that remains without it.
    pub(crate) fn chips(&self) -> Vec<Chip> {
        let mut chips = Vec::new();
        for (name, value) in &self.values {
            if !matches!(*name, "label" | "status") {
                let text = format!("{}: {value}", word(name));
                chips.push(Chip { text, without: self.with(name, "") });
                continue;
            }
            let parts = split(value);
            for (at, part) in parts.iter().enumerate() {
                let rest: Vec<&str> = parts
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != at)
                    .map(|(_, part)| part.as_str())
                    .collect();
                let shown = if *name == "label" { part.replacen(':', "=", 1) } else { part.clone() };
                chips.push(Chip {
                    text: format!("{name}: {shown}"),
                    without: self.with(name, &rest.join(",")),
                });
            }
        }
        chips
    }

    /// A path with this filter and more pairs in its query.
    pub(crate) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.values {
            query.append_pair(name, value);
        }
        for (name, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// Every part with its name.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The same for the hidden fields of a form.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// As routes take it: `started_after` may be written as `-1h` or `today`, which goes on with the time. `now` is the
    /// shown moment.
    ///
    /// # Errors
    /// A time that nobody can read.
    pub(crate) fn for_rest(&self, now: Timestamp) -> Result<Self, String> {
        let Some(after) = self.get("started_after") else { return Ok(self.clone()) };
        let after = match WrittenMoment::read(after, now, &TimeZone::UTC) {
            Ok(WrittenMoment::Time(time)) => shortest(time),
            Ok(WrittenMoment::Now) => shortest(now),
            Ok(WrittenMoment::Position(_)) | Err(_) => {
                return Err(format!(
                    "“{after}” is no time: write -1h, yesterday 14:32, 2026-11-20 09:00, or a time of RFC 3339"
                ));
            }
        };
        Ok(self.with("started_after", &after))
    }
}

/// The word of a filter for readers.
fn word(name: &str) -> &str {
    match name {
        "q" => "text",
        "started_after" => "started after",
        name => name,
    }
}

/// A label as the filter takes it.
pub(super) fn label(key: &str, value: &str) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace(',', r"\,").replace(':', r"\:");
    format!("{}:{}", escaped(key), escaped(value))
}

/// The parts between commas that have no `\` before them.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for sign in text.chars() {
        match sign {
            ',' if !is_escaped => parts.push(String::new()),
            sign => {
                if let Some(last) = parts.last_mut() {
                    last.push(sign);
                }
            }
        }
        is_escaped = sign == '\\' && !is_escaped;
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_become_filters_that_the_address_holds() {
        let filter =
            RunFilter::of("status=failed").typed("label:team:blue").typed("status:blocked").typed("roman 1");
        assert_eq!(
            filter.address("/", &[("by", "stage"), ("span", "")]),
            "/?label=team%3Ablue&q=roman+1&status=failed%2Cblocked&by=stage"
        );
        let texts: Vec<String> = filter.chips().into_iter().map(|chip| chip.text).collect();
        assert_eq!(texts, ["label: team=blue", "text: roman 1", "status: failed", "status: blocked"]);
        assert_eq!(filter.chips()[2].without.get("status"), Some("blocked"));
    }

    #[test]
    fn expressions_hold_together_and_stand_in_one_chip() {
        let filter = RunFilter::default().typed("search.amount > 100").typed("filter:labels.team == 'blue'");
        assert_eq!(filter.get("filter"), Some("(search.amount > 100) && (labels.team == 'blue')"));
        assert_eq!(filter.typed("search.due > timestamp('2026-12-01T00:00:00Z')").chips().len(), 1);
    }

    #[test]
    fn a_comma_in_a_label_does_not_split_it() {
        let filter = RunFilter::of(r"label=a:1\,2,b");
        assert_eq!(
            filter.chips().iter().map(|chip| chip.text.as_str()).collect::<Vec<_>>(),
            [r"label: a=1\,2", "label: b"]
        );
    }

    #[test]
    fn a_text_that_names_no_filter_is_searched_for() {
        assert_eq!(RunFilter::default().typed("fix: the parser").get("q"), Some("fix: the parser"));
    }

    #[test]
    fn a_start_may_be_written_by_its_distance() {
        let now = "2026-11-22T15:00:00Z".parse().expect("a time");
        let asked = RunFilter::of("started_after=-1h").for_rest(now).expect("a time");
        assert_eq!(asked.get("started_after"), Some("2026-11-22T14:00:00Z"));
    }
}
