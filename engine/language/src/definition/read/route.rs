//! Routes: a word, a map, or a list of maps with `when`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Busy, FinishStatus, IfUnchanged, Route, RouteMax, RouteTo, Routes, Setting};
use super::reader::{Keys, PipelineReader, Shape};
use super::renamed;
use super::route_cause::{RouteCause, plain};
use super::uses::{ExprPlace, ReworkUse, SignalUse, Wants};
use crate::expr::Template;
use crate::words::UnblockDecision;
use everfold_base::id::StepId;

pub(super) const SHAPE: Shape = Shape {
    what: "a route",
    keys: &[
        "rework",
        "block",
        "fail",
        "continue",
        "next",
        "finish",
        "approve",
        "reject",
        "changes",
        "answer",
        "recheck",
        "unblock",
        "resume",
        "raise",
        "ignore",
        "refuse",
        "late",
        "steps",
        "when",
        "max",
        "then",
        "findings",
        "hold",
        "extra",
        "lift",
        "if_unchanged",
        "busy",
    ],
};

pub(super) const FAIL: Shape = Shape { what: "`fail`", keys: &["code", "message", "hint"] };

const TARGETS: [&str; 17] = [
    "rework", "block", "fail", "continue", "next", "finish", "approve", "reject", "changes", "answer",
    "recheck", "unblock", "resume", "raise", "ignore", "refuse", "late",
];

/// The routes that only signals may take.
const OF_SIGNALS: [&str; 11] = [
    "approve", "reject", "changes", "answer", "recheck", "unblock", "resume", "raise", "ignore", "refuse",
    "late",
];

/// The number of uses of a rework where the file sets none.
const BY_DEFAULT: RouteMax = RouteMax::Times(Setting::Fixed(3));

/// Gives a rework without a limit the default one that applies where no person causes it.
pub(super) fn limit_reworks(route: &mut Route) {
    if matches!(route.to, RouteTo::Rework(_)) && route.max.is_none() {
        route.max = Some(BY_DEFAULT);
    }
    if let Some(then) = &mut route.then {
        limit_reworks(then);
    }
}

impl PipelineReader<'_> {
    /// The reason that a route gives for refusing a signal: it stands on the delivery, so it says something.
    fn refusal(&mut self, node: &YamlNode, word: &str, place: ExprPlace) -> Option<Template> {
        let word = format!("`{word}`");
        if node.text().is_some_and(|text| text.trim().is_empty()) {
            let message = format!("{word} says why, and here is nothing");
            self.report(Code::Value, node.span.clone(), message).hint =
                Some("write refuse: \"nothing is under review\", or ignore".to_owned());
            return None;
        }
        self.text_template(node, &word, place)
    }

    /// Routes; empty where nothing could be read.
    pub(super) fn routes(&mut self, node: &YamlNode, cause: RouteCause) -> Routes {
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) if items.is_empty() => {
                self.report(Code::Value, node.span.clone(), "a list of routes has at least one").hint =
                    Some(format!("write {}, or {{rework: STEP}}", cause.words().join(", ")));
                return Routes::default();
            }
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut routes = Vec::new();
        let mut decided: Option<Range<usize>> = None;
        for item in items {
            if decided.is_some() {
                let span = self.first_line(item.span.clone());
                self.report(
                    Code::Unreachable,
                    span,
                    "this route is never taken: the one before has no `when`",
                )
                .hint = Some("put routes with `when` first".to_owned());
            }
            let Some(route) = self.route(item, cause) else { continue };
            // What lets a run go on holds only where the run waits for that, and what comes late only behind its end.
            let is_sure = !matches!(route.to, RouteTo::Resume | RouteTo::Raise(_) | RouteTo::Late(_));
            if route.when.is_none() && is_sure {
                decided = Some(item.span.clone());
            }
            routes.push(route);
        }
        Routes(routes)
    }

    /// The routes of signals, by the names of the signals.
    pub(super) fn on_signal(&mut self, node: &YamlNode) -> BTreeMap<String, Routes> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`on_signal`", "a map from names of signals to routes");
            return BTreeMap::new();
        };
        let mut all = BTreeMap::new();
        for (key, value) in entries {
            let name = self.signal_name(key);
            // The routes of the pipeline that name steps are read when the steps are known.
            if self.step.is_none() && items(value).iter().any(is_shared) {
                let own = items(value).iter().filter(|item| !is_shared(item)).cloned().collect::<Vec<_>>();
                if !own.is_empty() {
                    let own = YamlNode { kind: Kind::List(own), ..value.clone() };
                    let routes = self.routes(&own, RouteCause::Signal);
                    all.extend(name.map(|name| (name, routes)));
                }
                continue;
            }
            let routes = self.routes(value, RouteCause::Signal);
            if let Some(name) = name {
                all.insert(name, routes);
            }
        }
        all
    }

    pub(super) fn route(&mut self, node: &YamlNode, cause: RouteCause) -> Option<Route> {
        if let Some(word) = node.text() {
            return self.route_word(node, word, cause).map(Route::to);
        }
        let keys = self.keys(node, &SHAPE)?;
        if keys.get("steps").is_some() && !self.is_sharing {
            let span = keys.key_span("steps");
            self.report(
                Code::Combination,
                span,
                "`steps` belongs to a route of the pipeline's own `on_signal`",
            )
            .hint = Some("take it out: the route is that of the step in which it stands".to_owned());
        }
        let name = self.target(keys, cause)?;
        let rework = (name == "rework").then_some(self.reworks.len());
        let to = self.target_of(keys, name, cause)?;
        let place = cause.place();
        let when =
            keys.get("when").and_then(|when| self.expression(when, "`when` of a route", place, Wants::Bool));
        let busy = keys.get("busy").and_then(|node| {
            let words = [("defer", Busy::Defer), ("interrupt", Busy::Interrupt), ("ignore", Busy::Ignore)];
            self.word(node, "`busy`", &words)
        });
        if keys.get("busy").is_some() && cause != RouteCause::Signal {
            let span = keys.key_span("busy");
            self.report(Code::Combination, span, "`busy` belongs to a route of `on_signal`").hint =
                Some("take it out: elsewhere nothing executes when a route is taken".to_owned());
        }
        let busy = busy.unwrap_or_default();
        let findings = keys.get("findings").and_then(|node| self.text_template(node, "`findings`", place));
        let Some(rework) = rework else {
            // A signal that decides a task uses them as its comment.
            let is_vote = matches!(to, RouteTo::Approve | RouteTo::Reject | RouteTo::Changes);
            for modifier in ["max", "then", "findings", "hold", "extra", "lift", "if_unchanged"] {
                if keys.get(modifier).is_some() && !(is_vote && modifier == "findings") {
                    let span = keys.key_span(modifier);
                    self.report(
                        Code::Combination,
                        span,
                        format!("`{modifier}` belongs to a route with `rework`"),
                    )
                    .hint = Some("take it out, or write rework: STEP".to_owned());
                }
            }
            let findings = findings.filter(|_| is_vote);
            return Some(Route { when, busy, findings, ..Route::to(to) });
        };
        let hold = keys.get("hold").and_then(|node| self.bool(node, "`hold`")).unwrap_or_default();
        self.reworks[rework].hold = hold;
        let extra = self.extra(keys, hold);
        let lift = self.lift(keys, cause);
        let if_unchanged = self.if_unchanged(keys, cause);
        let max = self.max(keys, cause, rework);
        let then = keys.get("then").and_then(|then| {
            if matches!(then.kind, Kind::List(_)) {
                self.wrong_type(then, "`then`", "one route");
                return None;
            }
            if max == Some(RouteMax::Unlimited) {
                self.reworks[rework].then = Some(keys.key_span("then"));
            }
            let cause = if cause == RouteCause::Success { RouteCause::SuccessUsedUp } else { cause };
            let route = self.route(then, cause)?;
            if route.when.is_some() {
                let span = Keys { node: then }.key_span("when");
                self.report(Code::Combination, span, "`then` has no `when`: it follows always").hint =
                    Some("take `when` out; a list of routes has conditions".to_owned());
            }
            Some(Box::new(route))
        });
        Some(Route { when, to, max, then, findings, hold, extra, lift, if_unchanged, busy })
    }

    fn route_word(&mut self, node: &YamlNode, word: &str, cause: RouteCause) -> Option<RouteTo> {
        match word {
            "rework" | "finish" | "answer" | "unblock" | "raise" | "refuse" | "late" => {
                let example = match word {
                    "rework" => "{rework: STEP}",
                    "finish" => "{finish: succeeded}",
                    "answer" => "{answer: \"${signal.text}\"}",
                    "raise" => "{raise: 5.00 USD}",
                    "refuse" => "{refuse: \"nothing is under review\"}",
                    "late" => "{late: \"the task is done\"}",
                    _ => "{unblock: retry}",
                };
                self.report(Code::Value, node.span.clone(), format!("`{word}` needs to know what")).hint =
                    Some(format!("write {example}"));
                None
            }
            _ => match plain(word) {
                Some(to) => self.fits(to, word, node.span.clone(), cause),
                None => {
                    let words: Vec<(&str, ())> =
                        cause.words().into_iter().chain(["rework"]).map(|word| (word, ())).collect();
                    self.word(node, "a route", &words);
                    None
                }
            },
        }
    }

    /// Reports a route that is reserved for signals or not allowed for them; remembers the routes of signals.
    fn fits(&mut self, to: RouteTo, name: &str, span: Range<usize>, cause: RouteCause) -> Option<RouteTo> {
        if cause != RouteCause::Signal {
            if OF_SIGNALS.contains(&name) {
                self.report(Code::SignalRoute, span, format!("`{name}` is a route of `on_signal` only"))
                    .hint = Some(format!("here it is one of: {}, rework, finish", cause.words().join(", ")));
                return None;
            }
            let refused = match (&to, cause) {
                (RouteTo::Continue, RouteCause::Gate | RouteCause::Poll) => {
                    Some(("a gate's route", renamed::GATE_CONTINUE))
                }
                (RouteTo::Block | RouteTo::Fail { .. }, RouteCause::Success) => {
                    renamed::value("`on_success`", name).map(|instead| ("`on_success`", instead))
                }
                (RouteTo::Next, RouteCause::Gate | RouteCause::Poll) => None,
                (RouteTo::Next, _) => {
                    Some(("this route", "`next` is for the gates of a step; a step goes on with `continue`"))
                }
                _ => None,
            };
            if let Some((what, instead)) = refused {
                self.report(Code::Value, span, format!("{what} cannot be `{name}`")).hint =
                    Some(instead.to_owned());
                return None;
            }
            if name == "block" {
                self.no_person(span, "`block`");
            }
            return Some(to);
        }
        if matches!(to, RouteTo::Continue | RouteTo::Next) {
            self.report(Code::SignalRoute, span, "a signal has nothing to go on with").hint =
                Some("for a signal that is recorded only write ignore".to_owned());
            return None;
        }
        self.signals.push(SignalUse { step: self.step, to: to.clone(), span });
        Some(to)
    }

    fn extra(&mut self, keys: Keys<'_>, hold: bool) -> bool {
        let extra = keys.get("extra").and_then(|node| self.bool(node, "`extra`")).unwrap_or_default();
        if extra && !hold {
            let span = keys.key_span("extra");
            self.report(Code::Combination, span, "`extra` is about a round that waits for a person").hint =
                Some("add hold: true, or take it out".to_owned());
        }
        extra
    }

    fn lift(&mut self, keys: Keys<'_>, cause: RouteCause) -> bool {
        let lift = keys.get("lift").and_then(|node| self.bool(node, "`lift`")).unwrap_or_default();
        if lift && !matches!(cause, RouteCause::Signal | RouteCause::Person | RouteCause::Rejection) {
            let span = keys.key_span("lift");
            self.report(Code::Combination, span, "`lift` belongs to a rework by a signal or a decision")
                .hint = Some("take it out, or write it at `on_signal` or `on_reject`".to_owned());
        }
        lift
    }

    fn if_unchanged(&mut self, keys: Keys<'_>, cause: RouteCause) -> Option<IfUnchanged> {
        let node = keys.get("if_unchanged")?;
        if !matches!(cause, RouteCause::Gate | RouteCause::Failure | RouteCause::Rejection) {
            let span = keys.key_span("if_unchanged");
            self.report(Code::Combination, span, "`if_unchanged` is about the evidence of a gate").hint =
                Some("it belongs to the `on_fail` of a gate, or of a step with gates".to_owned());
        }
        self.word(node, "`if_unchanged`", &[("block", IfUnchanged::Block)])
    }

    fn max(&mut self, keys: Keys<'_>, cause: RouteCause, rework: usize) -> Option<RouteMax> {
        let Some(node) = keys.get("max") else {
            return match cause {
                RouteCause::Person => Some(RouteMax::Unlimited),
                // Whether a person causes it is known only when it happens, so the limit is set then.
                RouteCause::Signal | RouteCause::Rejection => None,
                RouteCause::Gate
                | RouteCause::Poll
                | RouteCause::Failure
                | RouteCause::Success
                | RouteCause::SuccessUsedUp
                | RouteCause::Over => Some(BY_DEFAULT),
            };
        };
        if node.text() == Some("unlimited") {
            if cause != RouteCause::Person {
                self.reworks[rework].unlimited = Some(node.span.clone());
            }
            return Some(RouteMax::Unlimited);
        }
        let place = cause.place();
        self.number_setting(node, "`max`", 0, place).map(RouteMax::Times)
    }

    fn target(&mut self, keys: Keys<'_>, cause: RouteCause) -> Option<&'static str> {
        let given: Vec<&'static str> =
            TARGETS.into_iter().filter(|name| keys.entry(name).is_some()).collect();
        match given.as_slice() {
            [one] => Some(one),
            [] => {
                if !self.is_meant(keys.node, &TARGETS) {
                    let span = self.first_line(keys.node.span.clone());
                    self.report(Code::MissingKey, span, "this route leads nowhere").hint =
                        Some(format!("it has one of: {}, rework, finish", cause.words().join(", ")));
                }
                None
            }
            [first, second, ..] => {
                let span = keys.key_span(second);
                self.report(
                    Code::Combination,
                    span,
                    format!("a route leads to one place, not to `{first}` and `{second}`"),
                )
                .hint = Some("a list of routes has `when` in each but the last".to_owned());
                None
            }
        }
    }

    fn target_of(&mut self, keys: Keys<'_>, name: &str, cause: RouteCause) -> Option<RouteTo> {
        let node = keys.entry(name)?;
        let span = keys.key_span(name);
        let place = cause.place();
        let to = match name {
            "rework" => {
                self.no_person(span.clone(), "`rework`");
                let target = self.text(node, "`rework`")?;
                self.reworks.push(ReworkUse {
                    step: self.step,
                    target: target.clone(),
                    span: node.span.clone(),
                    unlimited: None,
                    then: None,
                    hold: false,
                    of_run: cause == RouteCause::Signal && self.step.is_none(),
                });
                RouteTo::Rework(StepId::new(&target))
            }
            "finish" => {
                let words = [
                    ("succeeded", FinishStatus::Succeeded),
                    ("failed", FinishStatus::Failed),
                    ("cancelled", FinishStatus::Cancelled),
                ];
                RouteTo::Finish(self.word(node, "`finish`", &words)?)
            }
            "fail" if matches!(node.kind, Kind::Map(_)) => {
                let keys = self.keys(node, &FAIL)?;
                let code = keys.get("code").and_then(|code| self.failure_code(code));
                let message =
                    keys.get("message").and_then(|text| self.text_template(text, "`message`", place));
                let hint = keys.get("hint").and_then(|text| self.text_template(text, "`hint`", place));
                RouteTo::Fail { code, message, hint }
            }
            "answer" => RouteTo::Answer(self.template(node, place)?),
            "raise" => RouteTo::Raise(self.money_setting(node, "`raise`", place)?),
            "refuse" => RouteTo::Refuse(self.refusal(node, name, place)?),
            "late" => RouteTo::Late(self.refusal(node, name, place)?),
            "unblock" => {
                let words = [
                    ("retry", UnblockDecision::Retry),
                    ("recheck", UnblockDecision::Recheck),
                    ("proceed", UnblockDecision::Proceed),
                    ("skip", UnblockDecision::Skip),
                    ("fail", UnblockDecision::Fail),
                ];
                RouteTo::Unblock(self.word(node, "`unblock`", &words)?)
            }
            _ => {
                let bare = node.is_null() || matches!(node.value(), serde_json::Value::Bool(true));
                if !bare {
                    self.wrong_type(node, &format!("`{name}` as a key"), "`true` or nothing");
                }
                plain(name)?
            }
        };
        self.fits(to, name, span, cause)
    }
}

/// The routes under one name of a signal.
pub(super) fn items(routes: &YamlNode) -> &[YamlNode] {
    match &routes.kind {
        Kind::List(items) => items,
        _one => std::slice::from_ref(routes),
    }
}

/// Whether a route stands for the steps that it names.
pub(super) fn is_shared(route: &YamlNode) -> bool {
    matches!(route.kind, Kind::Map(_)) && route.get("steps").is_some()
}
