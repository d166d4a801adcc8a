//! The plan of a pipeline: its steps in the order in which they can begin, seen before a run does.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pipelines::view::{PipelineView, StepOfPlan};

/// Steps that can go on side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanRow {
    pub(crate) steps: Vec<PlannedStep>,
    /// Whether they run when the others have ended, however those ended.
    pub(crate) is_finish: bool,
}

/// A step, as the plan shows it.
#[derive(Debug, Clone)]
pub(crate) struct PlannedStep {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) needs: Vec<String>,
    pub(crate) gates: Vec<PlannedGate>,
    /// Under which condition it runs.
    pub(crate) when: Option<String>,
    pub(crate) is_for_each: bool,
    /// Where a person's answer sends back to: what was decided, and the step.
    pub(crate) backs: Vec<(&'static str, String)>,
}

/// A gate of a step.
#[derive(Debug, Clone)]
pub(crate) struct PlannedGate {
    pub(crate) id: String,
    /// Where a failure sends back to, and how often at most.
    pub(crate) back: Option<String>,
}

/// The class of a kind of step, for its colour.
pub(crate) fn kind_class(kind: &str) -> &'static str {
    match kind {
        "agent" => "kind-agent",
        "approval" | "question" => "kind-person",
        "gates" => "kind-gate",
        "wait" | "signal" => "kind-wait",
        "function" | "http" | "run" => "kind-function",
        _command => "kind-command",
    }
}

impl PlannedStep {
    /// The class of its kind, for its colour.
    pub(crate) fn kind_class(&self) -> &'static str {
        kind_class(&self.kind)
    }
}

/// The rows of the plan.
pub(crate) fn rows(pipeline: &PipelineView) -> Vec<PlanRow> {
    let at_finish: Vec<&str> = documents(&pipeline.document, "on_finish").filter_map(id_of).collect();
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows: Vec<PlanRow> = Vec::new();
    let mut finish = PlanRow { is_finish: true, ..PlanRow::default() };
    // Steps stand behind what they need.
    for step in &pipeline.steps {
        let planned = planned(step, &pipeline.document);
        if at_finish.contains(&step.id.as_str()) {
            finish.steps.push(planned);
            continue;
        }
        let before = step.needs.iter().filter_map(|need| depths.get(need.as_str())).max();
        let depth = before.map_or(0, |depth| depth + 1);
        depths.insert(&step.id, depth);
        if rows.len() <= depth {
            rows.resize_with(depth + 1, PlanRow::default);
        }
        if let Some(row) = rows.get_mut(depth) {
            row.steps.push(planned);
        }
    }
    if !finish.steps.is_empty() {
        rows.push(finish);
    }
    rows
}

fn planned(step: &StepOfPlan, document: &Value) -> PlannedStep {
    let all = documents(document, "steps").chain(documents(document, "on_finish"));
    let written = all.into_iter().find(|written| id_of(written) == Some(&step.id));
    let field = |name: &str| written.and_then(|written| written.get(name));
    let gates = step.gates.iter().map(|id| PlannedGate { id: id.clone(), back: back_of_gate(written, id) });
    let approval = field("work").and_then(|work| work.get("approval"));
    let backs = [("rejected", "on_reject"), ("changes asked for", "on_changes")].into_iter();
    PlannedStep {
        id: step.id.clone(),
        kind: step.kind.clone(),
        needs: step.needs.clone(),
        gates: gates.collect(),
        when: field("when").and_then(Value::as_str).map(str::to_owned),
        is_for_each: field("foreach").is_some(),
        backs: backs.filter_map(|(word, key)| Some((word, back_of(approval?.get(key)?)?))).collect(),
    }
}

/// Where a failure of a gate sends back to.
fn back_of_gate(step: Option<&Value>, gate: &str) -> Option<String> {
    let gates = step?.get("gates")?.as_array()?;
    back_of(gates.iter().find(|written| id_of(written) == Some(gate))?.get("on_fail")?)
}

/// The first rework of a list of routes: the step, and how often at most.
fn back_of(routes: &Value) -> Option<String> {
    let (route, to) = routes
        .as_array()?
        .iter()
        .find_map(|route| Some((route, route.get("to")?.get("rework")?.as_str()?)))?;
    let times = route.get("max").and_then(|max| max.get("times")).and_then(Value::as_u64);
    Some(times.map_or_else(|| to.to_owned(), |times| format!("{to}, at most {times} ×")))
}

fn documents<'a>(document: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    document.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn id_of(written: &Value) -> Option<&str> {
    written.get("id")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pipeline() -> PipelineView {
        let value = json!({
            "name": "release", "origin": "saved", "version": 1, "hash": "00",
            "steps": [
                { "id": "build", "kind": "command", "needs": [], "gates": [] },
                { "id": "unit", "kind": "command", "needs": ["build"], "gates": ["green"] },
                { "id": "lint", "kind": "command", "needs": ["build"], "gates": [] },
                { "id": "approve", "kind": "approval", "needs": ["unit", "lint"], "gates": [] },
                { "id": "tidy", "kind": "command", "needs": [], "gates": [] },
            ],
            "document": {
                "steps": [
                    { "id": "unit", "when": "input.test", "gates": [
                        { "id": "green", "on_fail": [{ "max": { "times": 2 }, "to": { "rework": "build" } }] },
                    ] },
                    { "id": "approve", "work": { "approval": { "on_reject": [
                        { "max": "unlimited", "to": { "rework": "build" } },
                    ] } } },
                ],
                "on_finish": [{ "id": "tidy" }],
            },
        });
        serde_json::from_value(value).expect("the test writes a pipeline")
    }

    #[test]
    fn steps_that_need_the_same_stand_side_by_side_and_the_finish_last() {
        let rows = rows(&pipeline());
        let ids: Vec<Vec<&str>> =
            rows.iter().map(|row| row.steps.iter().map(|step| step.id.as_str()).collect()).collect();
        assert_eq!(ids, [vec!["build"], vec!["unit", "lint"], vec!["approve"], vec!["tidy"]]);
        assert!(rows[3].is_finish && !rows[2].is_finish);
    }

    #[test]
    fn a_plan_says_where_a_failure_leads_back_to() {
        let rows = rows(&pipeline());
        assert_eq!(rows[1].steps[0].gates[0].back.as_deref(), Some("build, at most 2 ×"));
        assert_eq!(rows[1].steps[0].when.as_deref(), Some("input.test"));
        assert_eq!(rows[2].steps[0].backs, [("rejected", "build".to_owned())]);
    }

    #[derive(askama::Template)]
    #[template(source = "{% include \"pipelines/plan.html\" %}", ext = "html")]
    struct PlanOnly {
        plan: Vec<PlanRow>,
    }

    #[test]
    fn what_a_definition_says_is_shown_as_text() {
        let mut pipeline = pipeline();
        pipeline.document["steps"][0]["when"] = json!("input.a < 1 && '</code><script>' != \"x\"");
        let page =
            askama::Template::render(&PlanOnly { plan: rows(&pipeline) }).expect("the plan is rendered");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&#60;/code&#62;&#60;script&#62;"), "{page}");
        assert!(page.contains("fails ↺ build, at most 2 ×"));
        assert!(page.find("tidy") > page.find("however it ends"));
    }
}
