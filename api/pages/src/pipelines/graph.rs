//! The plan of a pipeline as a drawing. REST gives the places.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::frame::Visit;
use crate::pipelines::segment;
use crate::run::{LABEL, LayoutBlock, PER_CHAR, Point, curve, fitted};

/// `GET /pipelines/{name}/graph`: boxes and arrows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanGraph {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) nodes: Vec<PlanBox>,
    pub(crate) arrows: Vec<PlanArrow>,
    pub(crate) backs: Vec<PlanBack>,
    pub(crate) blocks: Vec<LayoutBlock>,
}

/// A step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanBox {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) summary: String,
    pub(crate) standby: bool,
    pub(crate) foreach: bool,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A need.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanArrow {
    points: Vec<Point>,
}

/// A way back to a step that is done again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanBack {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) label: String,
    pub(crate) label_at: Point,
    points: Vec<Point>,
}

impl PlanGraph {
    /// Asks for the drawing of a pipeline; none: the page shows its plan as text alone.
    pub(crate) async fn load(visit: &Visit, name: &str) -> Option<Self> {
        let path = format!("/pipelines/{}/graph?detail=names", segment(name));
        visit.rest.get::<Self>(&path).await.ok().filter(|graph| !graph.nodes.is_empty())
    }

    /// The lines of the needs; the steps of a block share theirs.
    pub(crate) fn needs(&self) -> BTreeSet<String> {
        self.arrows.iter().map(|arrow| curve(&arrow.points)).collect()
    }

    /// The routes backwards, of those of a block the first alone.
    pub(crate) fn ways_back(&self) -> Vec<&PlanBack> {
        let mut paths = BTreeSet::new();
        self.backs.iter().filter(|back| paths.insert(back.path())).collect()
    }
}

impl PlanBox {
    /// The class of its kind, for its colour.
    pub(crate) fn kind_class(&self) -> &'static str {
        super::plan::kind_class(&self.kind)
    }

    /// Its name, as far as the box has room.
    pub(crate) fn label(&self) -> String {
        let most = ((self.width - 20.0) / 7.6).max(4.0) as usize;
        match self.id.char_indices().nth(most) {
            Some(_) => self.id.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
            None => self.id.clone(),
        }
    }

    /// The line on which its name stands.
    pub(crate) fn middle(&self) -> f64 {
        self.height / 2.0 + 4.0
    }
}

impl PlanBack {
    /// Its line from its end on, so that the dashes of lines in one track lie on each other.
    pub(crate) fn path(&self) -> String {
        curve(&self.points.iter().rev().copied().collect::<Vec<_>>())
    }

    /// From where to where, and all causes.
    pub(crate) fn about(&self, graph: &PlanGraph) -> String {
        let path = self.path();
        let shared = graph.backs.iter().filter(|back| back.path() == path).count();
        let from = if shared > 1 { format!("each of {shared}") } else { self.from.clone() };
        let to = if shared > 1 && self.from == self.to { "itself" } else { &self.to };
        format!("{from} back to {to}: {}", self.label)
    }

    /// Its label, as far as there is room.
    pub(crate) fn shown(&self) -> String {
        fitted(&self.label, LABEL, PER_CHAR)
    }

    /// Half of the room that its label takes.
    pub(crate) fn half(&self) -> f64 {
        self.shown().chars().count() as f64 * PER_CHAR / 2.0 + 4.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(askama::Template)]
    #[template(source = "{% include \"pipelines/graph.html\" %}", ext = "html")]
    struct GraphOnly {
        graph: PlanGraph,
    }

    #[test]
    fn a_drawing_has_a_box_a_step_and_escapes_what_users_wrote() {
        let graph: PlanGraph = serde_json::from_value(json!({
            "width": 200.0, "height": 100.0,
            "nodes": [{ "id": "build", "kind": "agent", "summary": "<script>", "width": 120.0, "height": 30.0 }],
            "arrows": [{ "points": [{ "x": 1.0, "y": 2.0 }, { "x": 3.5, "y": 4.0 }] }],
            "backs": [{ "from": "a", "to": "build", "label": "<b>", "points": [] }],
        }))
        .expect("the test writes a graph");
        let page = askama::Template::render(&GraphOnly { graph }).expect("the graph is rendered");
        assert!(page.contains("href=\"#step-build\"") && page.contains("kind-agent"), "{page}");
        assert!(page.contains("M1 2 L3.5 4"), "{page}");
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    }
}
