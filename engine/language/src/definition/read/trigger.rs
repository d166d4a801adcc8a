//! Reads `triggers`: what starts or signals runs.

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{OverlapBy, SignalTarget, Trigger, TriggerSource, TriggerStart};
use super::reader::{Keys, PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};

pub(super) const TRIGGER: Shape = Shape {
    what: "a trigger",
    keys: &["hook", "schedule", "when", "otherwise", "park_when", "start", "signal", "to", "payload", "park"],
};

const START: Shape = Shape { what: "`start`", keys: &["input", "title", "park"] };

const TO: Shape = Shape { what: "`to`", keys: &["key", "labels", "run"] };

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
                if !self.is_meant(node, &["schedule"]) {
                    self.missing(node, "a trigger", "hook", "hook: SOURCE, or schedule: {…}");
                }
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
        let does = ["start", "signal"];
        if does.iter().all(|key| keys.get(key).is_none()) && !self.is_meant(node, &does) {
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
        if keys.get("signal").is_some() && keys.get("to").is_none() && !self.is_meant(node, &["to"]) && !keyed
        {
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
}
