//! Which expressions of the definition an event was decided by, and what they looked at: `when` of steps and routes, and
//! `in` of `foreach`.
//!
//! Law: nothing is evaluated. The result follows from what was recorded, the values stand in the state before the event;
//! what the state does not keep is said to be missing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::PastEvent;
use super::expression::{inner_expressions, names};
use super::tree::shown;
use crate::rest::CallerRest;
use crate::visible::visible;

/// Names that expressions of steps may have, and that the state of a run does not keep.
const NOT_KEPT: [&str; 9] =
    ["rework", "answers", "attempt", "item", "index", "evidence", "gate", "event", "actor"];
/// Fields of `run` that the state has by the same name.
const RUN_FIELDS: [&str; 10] =
    ["id", "short_id", "title", "pipeline", "labels", "status", "origin", "started_at", "failure", "number"];

/// An expression, and what it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LookedExpression {
    /// Where it stands: `when of docs`.
    pub(crate) place: String,
    pub(crate) text: String,
    /// What it gave; empty: that is not recorded.
    pub(crate) result: String,
    pub(crate) values: Vec<LookedValue>,
}

/// A name of an expression with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LookedValue {
    pub(crate) name: String,
    /// None: the state does not keep it.
    pub(crate) value: Option<String>,
    /// Whether it needs room.
    pub(crate) is_long: bool,
}

/// An expression of the definition that an event was decided by.
#[derive(Debug, Clone, PartialEq)]
struct DecidingExpression {
    place: String,
    text: Value,
    /// The whole text is an expression; else those within `${…}` are.
    is_bare: bool,
    result: String,
}

impl DecidingExpression {
    fn when(place: String, text: &Value, result: &str) -> Option<Self> {
        let is_there = text.as_str().is_some_and(|text| !text.is_empty());
        is_there.then(|| Self { place, text: text.clone(), is_bare: true, result: result.to_owned() })
    }

    fn names(&self) -> Vec<Vec<String>> {
        match &self.text {
            Value::String(text) if self.is_bare => names(text),
            Value::String(text) => inner_expressions(text).iter().flat_map(|inner| names(inner)).collect(),
            value => inner_expressions(&value.to_string()).iter().flat_map(|inner| names(inner)).collect(),
        }
    }
}

/// What an event was decided by, where that is an expression of a step or of a route; `before` is the state before it.
pub(super) async fn expressions(
    rest: &CallerRest,
    run: &str,
    event: &PastEvent,
    around: &[PastEvent],
    before: &Value,
) -> Vec<LookedExpression> {
    if !may_have_one(event) {
        return Vec::new();
    }
    // What cannot be read leaves its part of the page out.
    let Ok(definition) = rest.get::<Value>(&format!("/runs/{run}/definition")).await else {
        return Vec::new();
    };
    let same = |other: &&PastEvent| other.cause.input == event.cause.input && other.version <= event.version;
    let batch: Vec<&PastEvent> = around.iter().filter(same).collect();
    let found = of_event(event, &batch, &definition);
    let named: Vec<Vec<String>> = found.iter().flat_map(DecidingExpression::names).collect();
    let wants_output = named.iter().any(|path| {
        path[0] == "output" || (path[0] == "steps" && path.get(2).is_some_and(|field| field == "output"))
    });
    let mut scope = LookedScope { before, event, batch: &batch, outputs: BTreeMap::new(), config: None };
    if wants_output && event.version > 2 {
        let path = format!("/runs/{run}/diff?from=1&to={}", event.version - 1);
        scope.outputs = rest.get::<Value>(&path).await.map(|diff| outputs(&diff)).unwrap_or_default();
    }
    if named.iter().any(|path| path[0] == "config") {
        let first = rest.get::<Value>(&format!("/runs/{run}/events?from=1&limit=1")).await;
        scope.config = first.ok().map(|list| list["items"][0]["event"]["config"].clone());
    }
    found.iter().map(|expression| scope.looked(expression)).collect()
}

/// Whether an event may have been decided by an expression.
fn may_have_one(event: &PastEvent) -> bool {
    match event.kind() {
        "StepSkipped" => event.text("reason") == Some("when"),
        "StepScheduled" => event.event["id"]["path"]["item"].is_null(),
        "ItemsExpanded" | "ReworkRequested" | "StepFailed" | "StepBlocked" | "StepSucceeded" => true,
        _other => false,
    }
}

/// The outputs that steps had at the later version of a comparison with the first one.
fn outputs(diff: &Value) -> BTreeMap<String, Value> {
    let steps = diff["steps"].as_array().into_iter().flatten();
    steps
        .filter_map(|step| {
            let mut changes = step["changes"].as_array()?.iter();
            let output = changes.find(|change| change["path"] == "output")?;
            Some((step["step"].as_str()?.to_owned(), output["after"].clone()))
        })
        .collect()
}

fn of_event(event: &PastEvent, batch: &[&PastEvent], definition: &Value) -> Vec<DecidingExpression> {
    let name = event.step().unwrap_or_default();
    let step = step_of(definition, name);
    let when = |result| DecidingExpression::when(format!("when of {name}"), &step["when"], result);
    match event.kind() {
        "StepSkipped" => when("false: the step is passed over").into_iter().collect(),
        "StepScheduled" => when("true: the step begins").into_iter().collect(),
        "ItemsExpanded" => {
            let items = event.event["items"].as_array().map_or(0, Vec::len);
            let text = step["foreach"]["items"].clone();
            let result = if items == 1 { "1 item".to_owned() } else { format!("{items} items") };
            let place = format!("in of foreach of {name}");
            let found = DecidingExpression { place, text, is_bare: false, result };
            Some(found).filter(|found| !found.text.is_null()).into_iter().collect()
        }
        "ReworkRequested" => of_named_route(event.text("route").unwrap_or_default(), definition),
        _end => {
            let Some((place, routes)) = routes_of_end(event, batch, step) else { return Vec::new() };
            let taken = taken(event, routes);
            of_routes(name, &place, routes, taken)
        }
    }
}

fn step_of<'a>(definition: &'a Value, name: &str) -> &'a Value {
    let lists = ["steps", "on_finish"].into_iter().filter_map(|list| definition[list].as_array());
    lists.flatten().find(|step| step["id"] == name).unwrap_or(&Value::Null)
}

/// The expressions of a route that an event names as `STEP/PLACE/INDEX`, and of those before it, which did not hold.
fn of_named_route(route: &str, definition: &Value) -> Vec<DecidingExpression> {
    let route = route.trim_end_matches("/then");
    let Some((rest, index)) = route.rsplit_once('/') else { return Vec::new() };
    let (Ok(index), Some((name, place))) = (index.parse::<usize>(), rest.split_once('/')) else {
        return Vec::new();
    };
    let step = step_of(definition, name);
    of_routes(name, place, routes_at(step, place), Some(Some(index)))
}

/// The routes at a place of a step, by the name that events have for it.
fn routes_at<'a>(step: &'a Value, place: &str) -> &'a Value {
    if let Some(gate) = place.strip_prefix("gate:") {
        let (gate, is_timeout) = gate.strip_suffix("/timeout").map_or((gate, false), |gate| (gate, true));
        let mut gates = step["gates"].as_array().into_iter().flatten();
        let gate = gates.find(|known| known["id"] == gate).unwrap_or(&Value::Null);
        return if is_timeout { &gate["poll"]["on_timeout"] } else { &gate["on_fail"] };
    }
    if let Some(signal) = place.strip_prefix("on_signal:") {
        return &step["on_signal"][signal];
    }
    let works = ["approval", "question", "wait"].into_iter().map(|work| &step["work"][work][place]);
    [&step[place], &step["ask"][place]]
        .into_iter()
        .chain(works)
        .find(|it| !it.is_null())
        .unwrap_or(&Value::Null)
}

/// The routes by which a step ended or was blocked, and where they stand; none: not by routes, or that is not recorded.
fn routes_of_end<'a>(
    event: &PastEvent,
    batch: &[&PastEvent],
    step: &'a Value,
) -> Option<(String, &'a Value)> {
    let place = if event.kind() == "StepSucceeded" {
        "on_success".to_owned()
    } else {
        let own = |other: &&&PastEvent| other.version < event.version && other.step() == event.step();
        let cause = batch.iter().rev().find(own)?;
        match (cause.kind(), cause.verdict()) {
            ("GateEvaluated", _) => {
                let gate = format!("gate:{}", cause.gate()?);
                let is_own = !routes_at(step, &gate).is_null();
                if is_own { gate } else { "on_fail".to_owned() }
            }
            ("AttemptFailed" | "AttemptLost" | "ChildFinished", _) => "on_fail".to_owned(),
            ("ApprovalDecided", Some("reject")) => "on_reject".to_owned(),
            ("ApprovalDecided", Some("changes")) => "on_changes".to_owned(),
            ("TimerFired", _) => "on_timeout".to_owned(),
            _other => return None,
        }
    };
    let routes = routes_at(step, &place);
    (!routes.is_null()).then_some((place, routes))
}

/// Which of the routes an event followed: the only one of its kind. Within: none of them held; none: that is not recorded.
fn taken(event: &PastEvent, routes: &Value) -> Option<Option<usize>> {
    let is_set = |field: &str| !matches!(event.event[field], Value::Null | Value::Bool(false));
    let wanted = match event.kind() {
        _ended if is_set("finish") => "finish",
        "StepBlocked" if !event.event["reason"]["used_up"].is_null() => "rework",
        "StepBlocked" => "block",
        "StepFailed" if !is_set("tolerated") => "fail",
        _goes_on => "continue",
    };
    let code = |route: &Value| route["to"]["fail"]["code"].as_str().map(str::to_owned);
    let kind = |route: &Value| match &route["to"] {
        Value::String(word) => word.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        _other => String::new(),
    };
    let all = routes.as_array().map_or(&[] as &[Value], Vec::as_slice);
    let fits: Vec<usize> = (0..all.len()).filter(|at| kind(&all[*at]) == wanted).collect();
    // A failure with a code of its own names the route that gave it.
    let own = event.event["failure"]["code"].as_str();
    let named: Vec<usize> =
        fits.iter().copied().filter(|at| own.is_some() && code(&all[*at]).as_deref() == own).collect();
    let (fits, is_named) = if named.is_empty() { (fits, false) } else { (named, true) };
    match (fits.as_slice(), wanted) {
        // Without a route that holds a step fails, and after a success the run goes on.
        ([], "fail" | "continue") => Some(None),
        ([one], "finish" | "block" | "rework") => Some(Some(*one)),
        ([one], "fail") if is_named => Some(Some(*one)),
        ([one], _default) if all[*one]["when"].is_null() => Some(Some(*one)),
        _unknown => None,
    }
}

/// The conditions of routes, as far as they were judged.
fn of_routes(
    name: &str,
    place: &str,
    routes: &Value,
    taken: Option<Option<usize>>,
) -> Vec<DecidingExpression> {
    let routes = routes.as_array().map_or(&[] as &[Value], Vec::as_slice);
    let judged = match taken {
        Some(Some(index)) => (index + 1).min(routes.len()),
        _all => routes.len(),
    };
    let mut found = Vec::new();
    for (index, route) in routes[..judged].iter().enumerate() {
        let result = match taken {
            Some(Some(one)) if one == index => "true: this route is taken",
            Some(_) => "false",
            None => "",
        };
        let number = index + 1;
        let place = format!("when of route {number} of {place} of {name}");
        found.extend(DecidingExpression::when(place, &route["when"], result));
    }
    found
}

/// What expressions may look at.
struct LookedScope<'a> {
    before: &'a Value,
    event: &'a PastEvent,
    /// The events of the same decision up to this one.
    batch: &'a [&'a PastEvent],
    /// The outputs of steps before the event.
    outputs: BTreeMap<String, Value>,
    config: Option<Value>,
}

impl LookedScope<'_> {
    fn looked(&self, expression: &DecidingExpression) -> LookedExpression {
        let mut values: Vec<LookedValue> = Vec::new();
        for path in expression.names() {
            if let Some(value) = self.value(&path)
                && !values.iter().any(|known| known.name == value.name)
            {
                values.push(value);
            }
        }
        let text = expression.text.as_str().map_or_else(|| shown(&expression.text), str::to_owned);
        LookedExpression {
            place: expression.place.clone(),
            text: visible(&text).into_owned(),
            result: expression.result.clone(),
            values,
        }
    }

    /// The value of a name; none: it is no name of the run, such as a variable of a loop.
    fn value(&self, path: &[String]) -> Option<LookedValue> {
        let (root, fields) = path.split_first()?;
        let field = fields.first().map(String::as_str);
        let found = match root.as_str() {
            "input" => Some((&self.before["input"], 1)),
            "config" => self.config.as_ref().map(|config| (config, 1)),
            "workspace" if field == Some("commit") => Some((&self.before["commit"], 2)),
            "workspace" => Some((&self.before["workspace"], 1)),
            "run" => field.filter(|it| RUN_FIELDS.contains(it)).map(|field| (&self.before[field], 2)),
            "steps" => self.of_step(field?, fields.get(1).map(String::as_str)),
            "step" if field == Some("round") => Some((self.round(), 2)),
            "step" => self.of_step(self.step()?, field).map(|(value, depth)| (value, depth - 1)),
            "failure" => self.failure().map(|value| (value, 1)),
            "output" => {
                let own = self.latest("output").or_else(|| self.outputs.get(self.step()?));
                own.map(|value| (value, 1))
            }
            "signal" => self.latest("payload").map(|value| (value, 1)),
            name if NOT_KEPT.contains(&name) => None,
            _variable => return None,
        };
        let Some((mut value, mut depth)) = found else {
            return Some(LookedValue { name: path.join("."), value: None, is_long: false });
        };
        // A field that is not there, or one of a text, ends the path.
        while let Some(inner) = path.get(depth).and_then(|field| field_of(value, field)) {
            value = inner;
            depth += 1;
        }
        let missing = path.get(depth).filter(|_| value.is_object());
        let value = if missing.is_some() { "absent".to_owned() } else { shown(value) };
        let depth = depth + usize::from(missing.is_some());
        Some(LookedValue {
            name: path[..depth.min(path.len())].join("."),
            is_long: value.chars().count() > 200 || value.lines().count() > 4,
            value: Some(value),
        })
    }

    /// A field of a step in the state before, and how many parts of a path lead to it; none: it is not kept.
    fn of_step(&self, name: &str, field: Option<&str>) -> Option<(&Value, usize)> {
        let steps = self.before["steps"].as_array()?;
        let step = steps.iter().find(|step| step["id"] == name)?;
        Some(match field {
            None => (step, 2),
            Some("output") => (self.outputs.get(name).unwrap_or(&Value::Null), 3),
            Some("attempts") => (&step["attempt"], 3),
            Some("gates") => (&step["gates"], 3),
            Some(field) => (step.get(field)?, 3),
        })
    }

    /// The round that the event is of.
    fn round(&self) -> &Value {
        [&self.event.event["id"]["round"], &self.event.event["round"]]
            .into_iter()
            .find(|round| !round.is_null())
            .unwrap_or(&Value::Null)
    }

    /// The failure that routes looked at: that of the work, which a route may have changed.
    fn failure(&self) -> Option<&Value> {
        let before = self.batch.iter().rev().filter(|event| event.version < self.event.version);
        let found = before.map(|event| &event.event["failure"]).find(|failure| !failure.is_null());
        found.or_else(|| Some(&self.event.event["failure"]).filter(|failure| !failure.is_null()))
    }

    /// The step whose expression it is.
    fn step(&self) -> Option<&str> {
        match self.event.text("route") {
            Some(route) => route.split('/').next(),
            None => self.event.step(),
        }
    }

    /// A field of the newest event of this decision that has it.
    fn latest(&self, field: &str) -> Option<&Value> {
        let mut events = self.batch.iter().rev().map(|event| &event.event[field]);
        events.find(|value| !value.is_null())
    }
}

/// A field of a value; gates of a step are a list, of which each has its name.
fn field_of<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(field),
        Value::Array(items) => match field.parse::<usize>() {
            Ok(at) => items.get(at),
            Err(_) => items.iter().find(|item| item["gate"] == field),
        },
        _plain => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(version: u64, event: Value) -> PastEvent {
        serde_json::from_value(json!({
            "version": version, "recorded_at": "", "actor": "engine", "cause": { "input": "x" }, "event": event,
        }))
        .expect("the shape of an event")
    }

    fn definition() -> Value {
        json!({ "steps": [
            { "id": "list" },
            { "id": "docs", "when": "input.version != '0.0.1' && steps.list.output.n > 1" },
            { "id": "each", "foreach": { "as": "it", "items": "${steps.list.output.items}" } },
            { "id": "judge", "on_fail": [
                { "when": "failure.kind == 'timeout'", "to": "block" },
                { "when": "steps.list.round > 2 && size(rework.history) > 0", "to": { "fail": { "code": "NO" } } },
                { "to": { "rework": "list" } },
            ] },
        ] })
    }

    fn before() -> Value {
        json!({ "input": { "version": "0.0.1" }, "steps": [{ "id": "list", "status": "succeeded", "round": 3 }] })
    }

    fn looked(events: &[PastEvent]) -> Vec<LookedExpression> {
        let batch: Vec<&PastEvent> = events.iter().collect();
        let event = events.last().expect("an event");
        let before = before();
        let outputs = [("list".to_owned(), json!({ "n": 4, "items": [1, 2] }))].into_iter().collect();
        let scope = LookedScope { before: &before, event, batch: &batch, outputs, config: None };
        of_event(event, &batch, &definition()).iter().map(|found| scope.looked(found)).collect()
    }

    fn values(expression: &LookedExpression) -> Vec<(&str, Option<&str>)> {
        expression.values.iter().map(|value| (value.name.as_str(), value.value.as_deref())).collect()
    }

    #[test]
    fn a_step_that_is_passed_over_shows_its_when_with_the_values_of_then() {
        let skipped =
            json!({ "type": "StepSkipped", "reason": "when", "path": { "step": "docs", "item": null } });
        let looked = looked(&[event(8, skipped)]);
        assert_eq!(looked[0].place, "when of docs");
        assert!(looked[0].result.starts_with("false"));
        assert_eq!(
            values(&looked[0]),
            [("input.version", Some("0.0.1")), ("steps.list.output.n", Some("4"))]
        );
    }

    #[test]
    fn a_foreach_shows_what_its_items_came_of() {
        let looked = looked(&[event(7, json!({ "type": "ItemsExpanded", "step": "each", "items": [1, 2] }))]);
        assert_eq!(
            (looked[0].place.as_str(), looked[0].result.as_str()),
            ("in of foreach of each", "2 items")
        );
        assert_eq!(values(&looked[0]), [("steps.list.output.items", Some("[1,2]"))]);
    }

    #[test]
    fn a_route_shows_the_conditions_before_it_and_what_is_not_kept() {
        let id = json!({ "path": { "step": "judge", "item": null }, "round": 1, "attempt": 1 });
        let failed = json!({ "type": "AttemptFailed", "id": id, "failure": { "kind": "exit" } });
        let rework = json!({ "type": "ReworkRequested", "target": "list", "route": "judge/on_fail/2" });
        let looked = looked(&[event(7, failed), event(8, rework)]);
        assert_eq!(looked.len(), 2, "the third route has no condition");
        assert_eq!(looked[0].result, "false");
        assert_eq!(values(&looked[0]), [("failure.kind", Some("exit"))]);
        assert_eq!(values(&looked[1]), [("steps.list.round", Some("3")), ("rework.history", None)]);
    }

    #[test]
    fn an_end_without_the_name_of_its_route_says_only_what_follows_from_it() {
        let id = json!({ "path": { "step": "judge", "item": null }, "round": 1, "attempt": 1 });
        let path = json!({ "step": "judge", "item": null });
        let attempt =
            || event(7, json!({ "type": "AttemptFailed", "id": id, "failure": { "kind": "timeout" } }));
        let blocked = event(8, json!({ "type": "StepBlocked", "path": path, "reason": "failed" }));
        assert_eq!(looked(&[attempt(), blocked])[0].result, "true: this route is taken");
        let failed =
            event(8, json!({ "type": "StepFailed", "path": path, "tolerated": false, "finish": null }));
        let results: Vec<String> = looked(&[attempt(), failed]).into_iter().map(|it| it.result).collect();
        assert_eq!(
            results,
            ["", ""],
            "it may have failed by its second route, or because it could not be judged"
        );
    }
}
