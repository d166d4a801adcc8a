//! Reads `defaults`: what steps have that say nothing else of it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::yaml::YamlNode;
use super::super::{OnLost, Reminders, Retry, Routes, Setting, Span};
use super::reader::{PipelineReader, Shape};
use super::route_cause::RouteCause;
use super::uses::{ExprPlace, ReworkUse};
use crate::expr::Template;

pub(super) const DEFAULTS: Shape = Shape {
    what: "`defaults`",
    keys: &["timeout", "remind", "grace", "retry", "on_fail", "on_lost", "env", "as"],
};

/// The values of `defaults`, which a step uses for the keys that it does not set.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Setting<Span>>,
    pub(super) remind: Option<Reminders<Span>>,
    pub(super) grace: Option<Setting<Span>>,
    pub(super) retry: Option<Retry>,
    pub(super) on_lost: Option<OnLost>,
    pub(super) env: BTreeMap<String, Template>,
    pub(super) acts_as: Option<Template>,
    /// How long `env` is, written out.
    pub(super) env_bytes: usize,
    /// How long `retry` is, written out.
    pub(super) retry_bytes: usize,
    /// Read again for each step, because the checks of a rework depend on the step that it belongs to.
    pub(super) on_fail: Option<DefaultRoute>,
}

/// The routes of `defaults.on_fail` with the reworks and expressions that stand in them.
pub(super) struct DefaultRoute {
    routes: Routes,
    /// How long they are, written out.
    pub(super) bytes: usize,
    reworks: Range<usize>,
    uses: Range<usize>,
}

impl PipelineReader<'_> {
    pub(super) fn defaults(&mut self, node: &YamlNode) -> Defaults {
        let Some(keys) = self.keys(node, &DEFAULTS) else { return Defaults::default() };
        let (reworks, uses) = (self.reworks.len(), self.uses.len());
        let on_fail =
            keys.get("on_fail").map(|node| self.routes(node, RouteCause::Rejection)).map(|routes| {
                let bytes = written_bytes(&routes);
                DefaultRoute {
                    routes,
                    bytes,
                    reworks: reworks..self.reworks.len(),
                    uses: uses..self.uses.len(),
                }
            });
        // Each step has a role of its own.
        let env =
            keys.get("env").map_or_else(BTreeMap::new, |node| self.for_any_role(|reader| reader.env(node)));
        let retry = keys.get("retry").and_then(|node| self.retry(node));
        Defaults {
            timeout: keys.get("timeout").and_then(|node| self.some_span(node, "`timeout`", ExprPlace::Step)),
            remind: keys.get("remind").and_then(|node| self.fixed_reminders(node)),
            grace: keys.get("grace").and_then(|node| self.span_setting(node, "`grace`", ExprPlace::Step)),
            on_lost: keys.get("on_lost").and_then(|node| self.on_lost(node)),
            env_bytes: written_bytes(&env),
            retry_bytes: written_bytes(&retry),
            env,
            retry,
            acts_as: keys.get("as").and_then(|node| self.acts_as(node, ExprPlace::Work)),
            on_fail,
        }
    }

    /// `defaults.on_fail` as a route of the step that is being read.
    pub(super) fn default_route(&mut self, route: &DefaultRoute) -> Routes {
        for index in route.reworks.clone() {
            let original = &self.reworks[index];
            let copy = ReworkUse { step: self.step, ..original.clone() };
            self.reworks.push(copy);
        }
        for index in route.uses.clone() {
            let original = &self.uses[index];
            let (expr, source_map) = (original.expr.clone(), original.source_map.clone());
            let (place, wants, shell) = (original.place, original.wants, original.shell);
            // A route may not hold secrets, so the expression keeps `secrets: false`.
            self.remember(expr, source_map, place, wants, shell);
        }
        route.routes.clone()
    }
}

/// How long a value is, written out.
fn written_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| text.len())
}
