//! Reads a schedule: a pattern of cron or an interval, in which zone, and what becomes of moments that overlap or were missed.

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Anchor, CatchUp, Overlap, OverlapBy, Schedule, Span};
use super::reader::{PipelineReader, Shape};
use crate::timetable::{BadSchedule, Timetable};

pub(super) const SCHEDULE: Shape = Shape {
    what: "`schedule`",
    keys: &[
        "cron",
        "every",
        "anchor",
        "weekdays",
        "hours",
        "zone",
        "jitter",
        "catch_up",
        "overlap",
        "overlap_by",
    ],
};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl PipelineReader<'_> {
    /// A map, or short: a cron pattern, or a duration.
    pub(in crate::definition) fn schedule(&mut self, node: &YamlNode) -> Option<Schedule> {
        if let Some(text) = node.text() {
            let is_cron = text.contains(char::is_whitespace);
            if !is_cron && !text.starts_with(|first: char| first.is_ascii_digit()) {
                let what = format!("“{text}” is neither a duration nor a pattern of cron");
                self.report(Code::Value, node.span.clone(), what).hint =
                    Some("write `15m`, or five fields as in `30 7 * * mon-fri`".to_owned());
                return None;
            }
            let schedule = match is_cron {
                true => Schedule { cron: Some(self.cron(node)?), ..Schedule::empty() },
                false => Schedule { every: Some(self.interval(node)?), ..Schedule::empty() },
            };
            return self.has_moments(node, &schedule).then_some(schedule);
        }
        let before = self.problems.len();
        let keys = self.keys(node, &SCHEDULE)?;
        match (keys.get("cron"), keys.get("every")) {
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                let span = keys.key_span("every");
                self.report(Code::Combination, span, "a schedule has `cron` or `every`, not both").hint =
                    Some("keep one of them".to_owned());
            }
            (None, None) => {
                let example = "cron: \"0 7 * * *\", or every: 15m";
                if !self.is_meant(node, &["every"]) {
                    self.missing(node, "`schedule`", "cron", example);
                }
            }
        }
        if keys.get("anchor").is_some() && keys.get("every").is_none() {
            let span = keys.key_span("anchor");
            self.report(Code::Combination, span, "`anchor` belongs to `every`").hint =
                Some("a `cron` pattern says its times of day itself".to_owned());
        }
        let overlap_by = [("run", OverlapBy::Run), ("key", OverlapBy::Key)];
        let catch_up = [("none", CatchUp::None), ("one", CatchUp::One), ("all", CatchUp::All)];
        let overlap = [("skip", Overlap::Skip), ("allow", Overlap::Allow), ("queue", Overlap::Queue)];
        let schedule = Schedule {
            cron: keys.get("cron").and_then(|node| self.cron(node)),
            every: keys.get("every").and_then(|node| self.interval(node)),
            anchor: keys.get("anchor").and_then(|node| self.anchor(node)),
            weekdays: keys.get("weekdays").map_or_else(Vec::new, |node| self.weekdays(node)),
            hours: keys.get("hours").and_then(|node| self.hours(node)),
            zone: keys.get("zone").and_then(|node| self.zone(node)),
            jitter: keys.get("jitter").and_then(|node| self.span(node, "`jitter`")),
            catch_up: keys
                .get("catch_up")
                .and_then(|node| self.word(node, "`catch_up`", &catch_up))
                .unwrap_or_default(),
            overlap: keys
                .get("overlap")
                .and_then(|node| self.word(node, "`overlap`", &overlap))
                .unwrap_or_default(),
            overlap_by: keys
                .get("overlap_by")
                .and_then(|node| self.word(node, "`overlap_by`", &overlap_by))
                .unwrap_or_default(),
        };
        if self.problems.len() > before {
            return None;
        }
        self.has_moments(node, &schedule).then_some(schedule)
    }

    /// Reports a schedule that has no moments: the 30th of February, a zone that is none.
    fn has_moments(&mut self, node: &YamlNode, schedule: &Schedule) -> bool {
        match Timetable::new(schedule) {
            Ok(_) => true,
            Err(error) => {
                let span = self.first_line(node.span.clone());
                let hint = match &error {
                    BadSchedule::Zone(_) => "write Europe/Berlin, or UTC",
                    BadSchedule::Never(_) => "its pattern, weekdays and hours have no day in common",
                    BadSchedule::Pattern { .. } | BadSchedule::Empty => {
                        "minute, hour, day of the month, month, day of the week: \"30 7 * * mon-fri\""
                    }
                };
                self.report(Code::Value, span, error.to_string()).hint = Some(hint.to_owned());
                false
            }
        }
    }

    fn interval(&mut self, node: &YamlNode) -> Option<Span> {
        let span = self.span(node, "`every`")?;
        if span.0.as_secs() == 0 {
            self.report(Code::TooSmall, node.span.clone(), "`every` is at least a second").hint =
                Some("write every: 15m".to_owned());
            return None;
        }
        Some(span)
    }

    /// `added`, or a time with its offset.
    fn anchor(&mut self, node: &YamlNode) -> Option<Anchor> {
        let text = self.text(node, "`anchor`")?;
        match text.parse() {
            Ok(anchor) => Some(anchor),
            Err(error) => {
                self.report(Code::Value, node.span.clone(), format!("{error}")).hint =
                    Some("write anchor: added, or anchor: \"2026-01-05T07:30:00+01:00\"".to_owned());
                None
            }
        }
    }

    /// A cron pattern of five fields, or six with seconds first.
    fn cron(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "`cron`")?;
        match cron_problem(&text) {
            None => Some(text),
            Some(message) => {
                self.report(Code::Value, node.span.clone(), message).hint = Some(
                    "minute, hour, day of the month, month, day of the week: \"30 7 * * mon-fri\"; six fields begin with seconds"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn weekdays(&mut self, node: &YamlNode) -> Vec<String> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let words = DAYS.map(|day| (day, day));
        let mut days: Vec<String> = Vec::new();
        for item in items {
            if let Some(day) = self.word(item, "a day of `weekdays`", &words)
                && !days.iter().any(|other| other == day)
            {
                days.push(day.to_owned());
            }
        }
        days
    }

    /// `8..18`: from 8 until before 18; over midnight as `22..6`. Without an end it is the day's: `8..`, `..18`;
    /// `8..8` is the whole day.
    fn hours(&mut self, node: &YamlNode) -> Option<(u8, u8)> {
        let text = self.text(node, "`hours`")?;
        let hour = |text: &str, absent: u8| match text.trim() {
            "" => Some(absent),
            text => text.parse::<u8>().ok().filter(|hour| *hour <= 24),
        };
        let read = text.split_once("..").and_then(|(from, until)| Some((hour(from, 0)?, hour(until, 24)?)));
        if read.is_none() {
            self.report(Code::Value, node.span.clone(), format!("“{text}” are no hours of the day")).hint =
                Some("write 8..18: from 8 until before 18".to_owned());
        }
        read
    }
}

/// What is wrong with a cron pattern, as far as its form shows.
fn cron_problem(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if !matches!(fields.len(), 5 | 6) {
        return Some(format!("a cron pattern has five or six fields, this has {}", fields.len()));
    }
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let bounds: [(u32, u32, &[&str]); 6] =
        [(0, 59, &[]), (0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 7, &DAYS)];
    let bounds = &bounds[6 - fields.len()..];
    for (field, (least, most, names)) in fields.iter().zip(bounds) {
        let value = |text: &str| {
            let number = text.parse::<u32>().is_ok_and(|number| (*least..=*most).contains(&number));
            number || names.contains(&text.to_ascii_lowercase().as_str())
        };
        let part = |part: &str| {
            let (range, step) =
                part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let range = match range.split_once('-') {
                Some((from, until)) => value(from) && value(until),
                None => range == "*" || value(range),
            };
            range && step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0))
        };
        if !field.split(',').all(part) {
            return Some(format!("“{field}” is no field of a cron pattern here"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::cron_problem;

    #[test]
    fn cron_patterns_are_known_by_their_form() {
        for text in ["* * * * *", "*/5 8-18 1,15 jan-mar MON-FRI", "0 30 7 * * 1", "0 0 29 2 0"] {
            assert_eq!(cron_problem(text), None, "{text}");
        }
        for text in
            ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *", "a * * * *"]
        {
            assert!(cron_problem(text).is_some(), "{text}");
        }
    }
}
