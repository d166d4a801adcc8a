//! Routes: a word, a map, or a list of maps with `when`.

use std::ops::Range;

use super::super::codes::Code;
use super::super::yaml::{Kind, Node};
use super::super::{FinishStatus, Route, RouteMax, RouteTo, Routes, Setting};
use super::{Keys, Place, Reader, Shape, Wants};
use crate::id::StepId;

pub(super) const SHAPE: Shape = Shape {
    what: "a route",
    keys: &["rework", "block", "fail", "continue", "finish", "when", "max", "then", "findings"],
    later: &[
        "hold",
        "if_unchanged",
        "busy",
        "approve",
        "reject",
        "changes",
        "answer",
        "recheck",
        "unblock",
        "ignore",
    ],
};

pub(super) const FAIL: Shape = Shape { what: "`fail`", keys: &["code", "message", "hint"], later: &[] };

const TARGETS: [&str; 5] = ["rework", "block", "fail", "continue", "finish"];

/// How often a rework may be used where the file does not say.
const MAX: u32 = 3;

/// A rework of the file, to be checked when all steps are known.
pub(in super::super) struct ReworkUse {
    /// The step whose route it is, as an index into the drafts.
    pub(in super::super) step: Option<usize>,
    pub(in super::super) target: String,
    pub(in super::super) span: Range<usize>,
    /// `max: unlimited` stands there.
    pub(in super::super) unlimited: Option<Range<usize>>,
}

/// Who causes what a route follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Work or a gate: a loop must be bounded.
    Engine,
    /// A person's decision.
    Person,
}

impl Reader<'_> {
    /// Routes; empty where nothing could be read.
    pub(super) fn routes(&mut self, node: &Node, cause: Cause) -> Routes {
        let items: Vec<&Node> = match &node.kind {
            Kind::List(items) if items.is_empty() => {
                self.report(Code::Value, node.span.clone(), "a list of routes has at least one").hint =
                    Some("write block, fail, continue, or {rework: STEP}".to_owned());
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
            if route.when.is_none() {
                decided = Some(item.span.clone());
            }
            routes.push(route);
        }
        Routes(routes)
    }

    fn route(&mut self, node: &Node, cause: Cause) -> Option<Route> {
        if let Some(word) = node.text() {
            let plain = |kind| RouteTo::Fail { code: kind, message: None, hint: None };
            return match word {
                "continue" => Some(Route::to(RouteTo::Continue)),
                "block" => {
                    self.no_person(node.span.clone(), "`block`");
                    Some(Route::to(RouteTo::Block))
                }
                "fail" => Some(Route::to(plain(None))),
                "rework" | "finish" => {
                    let example = if word == "rework" { "{rework: STEP}" } else { "{finish: succeeded}" };
                    self.report(Code::Value, node.span.clone(), format!("`{word}` needs to know what"))
                        .hint = Some(format!("write {example}"));
                    None
                }
                _ => {
                    let choice = [("continue", ()), ("block", ()), ("fail", ()), ("rework", ())];
                    self.word(node, "a route", &choice, &["ignore", "recheck"]);
                    None
                }
            };
        }
        let keys = self.keys(node, &SHAPE)?;
        let to = self.target(keys, cause)?;
        let rework = matches!(to, RouteTo::Rework(_));
        let when = keys
            .get("when")
            .and_then(|when| self.expression(when, "`when` of a route", Place::Route, Wants::Bool));
        if !rework {
            for modifier in ["max", "then", "findings"] {
                if keys.get(modifier).is_some() {
                    let span = keys.key_span(modifier);
                    self.report(
                        Code::Combination,
                        span,
                        format!("`{modifier}` belongs to a route with `rework`"),
                    );
                }
            }
            return Some(Route { when, ..Route::to(to) });
        }
        let max = self.max(keys, cause);
        let then = keys.get("then").and_then(|then| {
            if matches!(then.kind, Kind::List(_)) {
                self.wrong_type(then, "`then`", "one route");
                return None;
            }
            if max == Some(RouteMax::Unlimited) {
                let span = keys.key_span("then");
                self.report(Code::Combination, span, "`then` is never reached: this rework is unlimited");
            }
            let route = self.route(then, cause)?;
            if route.when.is_some() {
                let span = Keys { node: then }.key_span("when");
                self.report(Code::Combination, span, "`then` has no `when`: it follows always");
            }
            Some(Box::new(route))
        });
        let findings =
            keys.get("findings").and_then(|node| self.text_template(node, "`findings`", Place::Route));
        Some(Route { when, max, then, findings, ..Route::to(to) })
    }

    fn max(&mut self, keys: Keys<'_>, cause: Cause) -> Option<RouteMax> {
        let Some(node) = keys.get("max") else {
            return Some(match cause {
                Cause::Engine => RouteMax::Times(Setting::Fixed(MAX)),
                Cause::Person => RouteMax::Unlimited,
            });
        };
        if node.text() == Some("unlimited") {
            if cause == Cause::Engine
                && let Some(rework) = self.reworks.last_mut()
            {
                rework.unlimited = Some(node.span.clone());
            }
            return Some(RouteMax::Unlimited);
        }
        self.number_setting(node, "`max`", 0, Place::Route).map(RouteMax::Times)
    }

    fn target(&mut self, keys: Keys<'_>, _cause: Cause) -> Option<RouteTo> {
        let given: Vec<&str> = TARGETS.into_iter().filter(|name| keys.entry(name).is_some()).collect();
        match given.as_slice() {
            [one] => self.target_of(keys, one),
            [] => {
                let span = self.first_line(keys.node.span.clone());
                self.report(Code::MissingKey, span, "this route leads nowhere").hint =
                    Some(format!("it has one of: {}", TARGETS.join(", ")));
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

    fn target_of(&mut self, keys: Keys<'_>, name: &str) -> Option<RouteTo> {
        let node = keys.entry(name)?;
        match name {
            "rework" => {
                self.no_person(keys.key_span("rework"), "`rework`");
                let target = self.text(node, "`rework`")?;
                let (step, span) = (self.step, node.span.clone());
                self.reworks.push(ReworkUse { step, target: target.clone(), span, unlimited: None });
                Some(RouteTo::Rework(StepId::new(&target)))
            }
            "finish" => {
                let words = [
                    ("succeeded", FinishStatus::Succeeded),
                    ("failed", FinishStatus::Failed),
                    ("cancelled", FinishStatus::Cancelled),
                ];
                self.word(node, "`finish`", &words, &[]).map(RouteTo::Finish)
            }
            "fail" if matches!(node.kind, Kind::Map(_)) => {
                let keys = self.keys(node, &FAIL)?;
                let code = keys.get("code").and_then(|code| self.text(code, "`code`"));
                let message =
                    keys.get("message").and_then(|text| self.text_template(text, "`message`", Place::Route));
                let hint = keys.get("hint").and_then(|text| self.text_template(text, "`hint`", Place::Route));
                Some(RouteTo::Fail { code, message, hint })
            }
            _ => {
                let bare = node.is_null() || matches!(node.value(), serde_json::Value::Bool(true));
                if !bare {
                    self.wrong_type(node, &format!("`{name}` as a key"), "`true` or nothing");
                }
                match name {
                    "continue" => Some(RouteTo::Continue),
                    "block" => {
                        self.no_person(keys.key_span("block"), "`block`");
                        Some(RouteTo::Block)
                    }
                    _ => Some(RouteTo::Fail { code: None, message: None, hint: None }),
                }
            }
        }
    }
}
