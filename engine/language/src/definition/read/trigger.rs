//! Reads `triggers` and `notify`: what starts or signals runs, and notices of what happens to a run.

use std::ops::Range;

use super::super::codes::Code;
use super::super::similar::similar;
use super::super::yaml::{Kind, YamlNode};
use super::super::{
    Anchor, CatchUp, NOTICES_OF_A_PIPELINE_MAX, Notice, Overlap, OverlapBy, Schedule, SignalTarget, Trigger,
    TriggerSource, TriggerStart, WILDCARD,
};
use super::reader::{Keys, PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::timetable::{BadSchedule, Timetable};
use crate::words::EVENT_NAMES;

pub(super) const TRIGGER: Shape = Shape {
    what: "a trigger",
    keys: &["hook", "schedule", "when", "otherwise", "park_when", "start", "signal", "to", "payload", "park"],
};

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

const START: Shape = Shape { what: "`start`", keys: &["input", "title", "park"] };

const TO: Shape = Shape { what: "`to`", keys: &["key", "labels", "run"] };

pub(super) const NOTICE: Shape = Shape {
    what: "a notice",
    keys: &[
        "id",
        "like",
        "events",
        "when",
        "function",
        "with",
        "fallback",
        "as",
        "channel",
        "collapse",
        "supersedes",
        "changes_only",
    ],
};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl PipelineReader<'_> {
    /// `keyed`: the pipeline's runs have keys, to whose holder a signal may go.
    pub(super) fn triggers(&mut self, node: &YamlNode, keyed: bool) -> Vec<Trigger> {
        self.list(node, "`triggers`").iter().filter_map(|item| self.trigger(item, keyed)).collect()
    }

    fn trigger(&mut self, node: &YamlNode, keyed: bool) -> Option<Trigger> {
        let keys = self.keys(node, &TRIGGER)?;
        let place = ExprPlace::Trigger;
        let on = match (keys.get("hook"), keys.get("schedule")) {
            (Some(hook), None) => self.id(hook, "name of a source", true).map(TriggerSource::Hook),
            (None, Some(schedule)) => self.schedule(schedule).map(TriggerSource::Schedule),
            (Some(_), Some(_)) => {
                let span = keys.key_span("schedule");
                self.report(Code::Combination, span, "a trigger listens to a `hook` or to a `schedule`")
                    .hint = Some("make two triggers of it".to_owned());
                None
            }
            (None, None) => {
                self.missing(node.span.clone(), "a trigger", "hook", "hook: SOURCE, or schedule: {…}");
                None
            }
        };
        let when = keys.get("when").and_then(|node| self.expression(node, "`when`", place, Wants::Bool));
        let otherwise = keys.get("otherwise").and_then(|node| self.text_template(node, "`otherwise`", place));
        let park_when =
            keys.get("park_when").and_then(|node| self.expression(node, "`park_when`", place, Wants::Bool));
        for key in ["otherwise", "park_when"] {
            if keys.get(key).is_some() && keys.get("when").is_none() {
                let message =
                    format!("`{key}` is about what `when` does not let through; there is no `when`");
                self.report(Code::Combination, keys.key_span(key), message).hint =
                    Some("add `when`, or take it out".to_owned());
            }
        }
        let start = keys.get("start").and_then(|node| self.trigger_start(node));
        let signal = keys.get("signal").and_then(|node| match node.text() {
            Some(text) if !text.contains("${") => {
                self.signal_name(node)?;
                self.text_template(node, "`signal`", place)
            }
            _ => self.text_template(node, "`signal`", place),
        });
        let to = keys.get("to").and_then(|node| self.signal_target(node, place));
        let payload = keys.get("payload").and_then(|node| self.template(node, place));
        let park = keys.get("park").and_then(|node| self.bool(node, "`park`")).unwrap_or_default();
        self.check_trigger_keys(node, keys, keyed);
        if let (Some(TriggerSource::Schedule(schedule)), Some(written)) = (&on, keys.get("schedule"))
            && schedule.overlap_by == OverlapBy::Key
        {
            self.check_overlap_by_key(written, keys, keyed);
        }
        Some(Trigger { on: on?, when, otherwise, park_when, start, signal, to, payload, park })
    }

    /// Reports keys of a trigger that mean nothing beside the others, and a trigger that does nothing.
    fn check_trigger_keys(&mut self, node: &YamlNode, keys: Keys<'_>, keyed: bool) {
        if keys.get("start").is_none() && keys.get("signal").is_none() {
            let span = self.first_line(node.span.clone());
            self.report(Code::MissingKey, span, "this trigger does nothing").hint =
                Some("it has `start`, `signal`, or both".to_owned());
        }
        for key in ["to", "payload", "park"] {
            if keys.get(key).is_some() && keys.get("signal").is_none() {
                let span = keys.key_span(key);
                self.report(Code::Combination, span, format!("`{key}` belongs to `signal`")).hint =
                    Some("add `signal: NAME`, or take it out".to_owned());
            }
        }
        let parks = ["park", "park_when"].into_iter().filter(|key| keys.get(key).is_some());
        let parks = parks.map(|key| (key, keys.key_span(key)));
        let of_start = keys.get("start").filter(|start| start.get("park").is_some());
        let of_start = of_start.map(|start| ("park", Keys { node: start }.key_span("park")));
        for (key, span) in parks.chain(of_start).filter(|_| keys.get("schedule").is_some()) {
            let message = format!("`{key}` keeps what a `hook` delivered, not a moment");
            self.report(Code::Combination, span, message).hint =
                Some("a moment that leads to nothing is over; the next one comes by itself".to_owned());
        }
        if keys.get("signal").is_some() && keys.get("to").is_none() && !keyed {
            let span = keys.key_span("signal");
            self.report(Code::MissingKey, span, "this signal has nobody to go to").hint = Some(
                "add to: {key: …}, {labels: {…}} or {run: …}; without it, it goes to the holder of the pipeline's `key`"
                    .to_owned(),
            );
        }
    }

    /// Reports a schedule that judges overlap by the key of a run, and starts none that has one.
    fn check_overlap_by_key(&mut self, written: &YamlNode, keys: Keys<'_>, keyed: bool) {
        let what = match (keyed, keys.get("start").is_some(), keys.get("signal").is_some()) {
            (false, _, _) => "the runs of this pipeline have no key",
            (_, false, _) => "this trigger starts no run",
            (_, _, true) => "a signal goes to the holder of the key",
            (true, true, false) => return,
        };
        let span = self.first_line(written.span.clone());
        let message = format!("`overlap_by: key` judges nothing here: {what}");
        self.report(Code::Combination, span, message).hint =
            Some("take it out, or give the pipeline a `key` and the trigger a `start` alone".to_owned());
    }

    fn trigger_start(&mut self, node: &YamlNode) -> Option<TriggerStart> {
        if matches!(node.value(), serde_json::Value::Bool(true)) {
            return Some(TriggerStart::default());
        }
        let keys = self.keys(node, &START)?;
        let input = keys.get("input").and_then(|node| self.template(node, ExprPlace::Trigger));
        let title =
            keys.get("title").and_then(|node| self.text_template(node, "`title`", ExprPlace::Trigger));
        let park = keys.get("park").and_then(|node| self.bool(node, "`park`")).unwrap_or_default();
        Some(TriggerStart { input, title, park })
    }

    /// The receivers of a signal of a trigger, or of a step.
    pub(super) fn signal_target(&mut self, node: &YamlNode, place: ExprPlace) -> Option<SignalTarget> {
        let keys = self.keys(node, &TO)?;
        let given: Vec<&str> = TO.keys.iter().copied().filter(|key| keys.get(key).is_some()).collect();
        let [one] = given.as_slice() else {
            let span = self.first_line(node.span.clone());
            self.report(Code::Combination, span, "`to` has one of `key`, `labels` and `run`").hint =
                Some("keep one of them".to_owned());
            return None;
        };
        let target = keys.get(one)?;
        match *one {
            "key" => self.text_template(target, "`key`", place).map(SignalTarget::Key),
            "run" => self.text_template(target, "`run`", place).map(SignalTarget::Run),
            _ => {
                let labels = self.text_map(target, "`labels`", place);
                if labels.is_empty() && matches!(&target.kind, Kind::Map(entries) if entries.is_empty()) {
                    self.report(
                        Code::Value,
                        target.span.clone(),
                        "without a label every run would hear it",
                    )
                    .hint = Some("name at least one label: labels: {card: \"${event.card}\"}".to_owned());
                }
                Some(SignalTarget::Labels(labels))
            }
        }
    }

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
        let keys = self.keys(node, &SCHEDULE)?;
        let before = self.problems.len();
        match (keys.get("cron"), keys.get("every")) {
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                let span = keys.key_span("every");
                self.report(Code::Combination, span, "a schedule has `cron` or `every`, not both").hint =
                    Some("keep one of them".to_owned());
            }
            (None, None) => {
                let example = "cron: \"0 7 * * *\", or every: 15m";
                self.missing(node.span.clone(), "`schedule`", "cron", example);
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

    fn interval(&mut self, node: &YamlNode) -> Option<super::super::Span> {
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

    pub(super) fn notices(&mut self, node: &YamlNode) -> Vec<Notice> {
        let mut notices: Vec<Notice> = Vec::new();
        for item in self.list(node, "`notify`") {
            let Some((notice, span)) = self.notice(item) else { continue };
            if notices.iter().any(|other| other.id == notice.id) {
                let message = format!("there is a notice “{}” already", notice.id);
                self.report(Code::DuplicateId, span.clone(), message).hint =
                    Some("each is sent once per event under its id".to_owned());
            }
            if notices.len() == NOTICES_OF_A_PIPELINE_MAX {
                let message = format!("a pipeline has at most {NOTICES_OF_A_PIPELINE_MAX} notices");
                self.report(Code::Value, span, message).hint =
                    Some("one notice may listen to several types of events".to_owned());
                break;
            }
            notices.push(notice);
        }
        notices
    }

    fn notice(&mut self, node: &YamlNode) -> Option<(Notice, Range<usize>)> {
        let keys = self.keys(node, &NOTICE)?;
        let place = ExprPlace::Notice;
        for (key, example) in
            [("id", "id: failures"), ("events", "events: [RunFailed]"), ("function", "function: notify.log")]
        {
            if keys.get(key).is_none() {
                self.missing(node.span.clone(), "a notice", key, example);
            }
        }
        let id = keys.get("id").and_then(|id| self.id(id, "notice id", true));
        let events = keys.get("events").map(|node| self.event_types(node));
        let when = keys.get("when").and_then(|node| self.expression(node, "`when`", place, Wants::Bool));
        let function = keys.get("function").and_then(|node| self.function_name(node));
        let (with, fallback, sender, channel) = self.where_holds(when.as_ref(), |reader| {
            let [with, fallback] = ["with", "fallback"].map(|key| {
                let node = keys.get(key)?;
                reader.in_name_of(keys.get("as"), |reader| reader.parameters(node, place))
            });
            let sender = keys.get("as").and_then(|node| reader.text_template(node, "`as`", place));
            let channel = keys.get("channel").and_then(|node| reader.text_template(node, "`channel`", place));
            (with, fallback, sender, channel)
        });
        self.check_fallback(keys);
        let flag = |reader: &mut Self, keys: Keys<'_>, key: &str| {
            keys.get(key).and_then(|node| reader.bool(node, &format!("`{key}`"))).unwrap_or_default()
        };
        let (collapse, supersedes) = (flag(self, keys, "collapse"), flag(self, keys, "supersedes"));
        let changes_only = flag(self, keys, "changes_only");
        let span = keys.get("id").map_or_else(|| node.span.clone(), |id| id.span.clone());
        let (id, events, function) = (id?, events?, function?);
        let notice = Notice {
            id,
            events,
            when,
            function,
            with,
            fallback,
            sender,
            channel,
            collapse,
            supersedes,
            changes_only,
        };
        Some((notice, span))
    }

    /// Reports parameters of a fallback that the notice does not have.
    fn check_fallback(&mut self, keys: Keys<'_>) {
        let Some(Kind::Map(entries)) = keys.get("fallback").map(|node| &node.kind) else { return };
        for (key, _) in entries {
            let Some(name) = key.text() else { continue };
            if keys.get("with").is_none_or(|with| with.get(name).is_none()) {
                let message = format!("`fallback` gives “{name}”, which `with` does not have");
                self.report(Code::Combination, key.span.clone(), message).hint =
                    Some("it stands in for a parameter of `with` that cannot be computed".to_owned());
            }
        }
    }

    fn event_types(&mut self, node: &YamlNode) -> Vec<String> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            self.report(Code::Value, node.span.clone(), "a notice has at least one type of event").hint =
                Some("write events: [RunFailed], or events: \"*\"".to_owned());
        }
        let mut types: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "a type of event") else { continue };
            let known = || EVENT_NAMES.iter().copied().filter(|name| !is_of_notices(name));
            if is_of_notices(&name) {
                let message = format!("no notice tells of notices: “{name}”");
                self.report(Code::Value, item.span.clone(), message).hint =
                    Some("one that fails would call for another without end".to_owned());
                continue;
            }
            if name != WILDCARD && !known().any(|known| known == name) {
                let hint = match similar(&name, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "such as RunStarted, StepSucceeded, RunFailed; `*` stands for all".to_owned(),
                };
                self.report(Code::Value, item.span.clone(), format!("there is no event “{name}”")).hint =
                    Some(hint);
                continue;
            }
            if !types.contains(&name) {
                types.push(name);
            }
        }
        types
    }
}

fn is_of_notices(name: &str) -> bool {
    matches!(name, "NoticeQueued" | "NoticeSent" | "NoticeFailed")
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
