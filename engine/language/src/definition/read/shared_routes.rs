//! Routes of the pipeline's `on_signal` that stand for several steps.
//!
//! Law: a shared route is read anew for each step that it names, as if it stood there, so every check of a step's own
//! route is made of it, too.

use super::super::codes::Code;
use super::super::similar::similar;
use super::super::yaml::{Kind, YamlNode};
use super::reader::PipelineReader;
use super::route::{is_shared, items};
use super::route_cause::RouteCause;
use super::step::StepDraft;

/// Stands for all steps of `steps`.
const ALL: &str = "all";

impl PipelineReader<'_> {
    /// Gives the routes of the pipeline's `on_signal` that name steps to those. A step's own routes come first.
    pub(super) fn shared_routes(&mut self, on_signal: &YamlNode, drafts: &mut [StepDraft]) {
        let Kind::Map(entries) = &on_signal.kind else { return };
        self.is_sharing = true;
        for (key, routes) in entries {
            let Some(name) = key.text() else { continue };
            for item in items(routes).iter().filter(|item| is_shared(item)) {
                for at in self.sharing_steps(item, drafts) {
                    let held = drafts[at].step.on_signal.get(name);
                    // One that is taken always leaves nothing to those behind it.
                    if held.is_some_and(|held| held.0.iter().any(|route| route.when.is_none())) {
                        continue;
                    }
                    if !self.may_copy(&item.span, item.span.len()) {
                        break;
                    }
                    self.step = Some(at);
                    let Some(route) = self.route(item, RouteCause::Signal) else { continue };
                    drafts[at].step.on_signal.entry(name.to_owned()).or_default().0.push(route);
                }
            }
        }
        self.is_sharing = false;
        self.step = None;
    }

    /// The steps that a shared route names.
    fn sharing_steps(&mut self, route: &YamlNode, drafts: &[StepDraft]) -> Vec<usize> {
        let Some(named) = route.get("steps") else { return Vec::new() };
        let is_step = |draft: &&StepDraft| !draft.finish;
        if named.text() == Some(ALL) {
            return (0..drafts.len()).filter(|at| !drafts[*at].finish).collect();
        }
        if !matches!(&named.kind, Kind::List(items) if !items.is_empty()) {
            self.wrong_type(named, "`steps` of a route", "a list of steps, or `all`");
            return Vec::new();
        }
        let mut found = Vec::new();
        for item in self.list(named, "`steps`") {
            let Some(id) = self.text(item, "a step") else { continue };
            match drafts.iter().position(|draft| !draft.finish && draft.step.id.as_str() == id) {
                Some(at) if found.contains(&at) => {}
                Some(at) => found.push(at),
                None if self.broken.contains(&id) => {}
                None => {
                    let names = || drafts.iter().filter(is_step).map(|draft| draft.step.id.as_str());
                    let hint = match similar(&id, names()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("steps: {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    self.report(Code::UnknownStep, item.span.clone(), format!("there is no step “{id}”"))
                        .hint = Some(hint);
                }
            }
        }
        found
    }
}
