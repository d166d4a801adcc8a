//! Two runs side by side, step by step, and where they part.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::course::{Parting, RunName, StepTrack, parting, tracks};
use super::side::{Side, side};
use super::tree::Tree;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::RunHead;

#[derive(Template)]
#[template(path = "debugger/runs.html")]
struct RunsPage {
    frame: Frame,
    head: RunHead,
    left: Side,
    right: Side,
    parting: Option<Parting>,
    tracks: Vec<StepTrack>,
    input: Tree,
    output: Tree,
}

impl RunsPage {
    fn at(&self, side: &Side, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", side.facts.short_id))
    }

    fn run_path(&self, side: &Side) -> String {
        self.frame.to(format!("/runs/{}", side.facts.short_id))
    }

    /// Why the left run has no event where they part.
    fn nothing_of_left(&self, parting: &Parting) -> &'static str {
        parting.nothing_of(RunName::A, &self.left)
    }

    /// Why the right run has no event where they part.
    fn nothing_of_right(&self, parting: &Parting) -> &'static str {
        parting.nothing_of(RunName::B, &self.right)
    }

    /// Whether a step is the one at which the runs part.
    fn is_parting(&self, track: &StepTrack) -> bool {
        self.parting.as_ref().is_some_and(|parting| parting.step == track.step)
    }

    /// The same comparison from the other side.
    fn turned(&self) -> String {
        let path = format!("/runs/{}/compare", self.right.facts.short_id);
        self.frame.to(with_query(&path, "with", &self.left.facts.short_id))
    }

    fn took(&self, side: &Side) -> String {
        side.took()
    }

    fn cost(&self, side: &Side) -> String {
        crate::words::usd(side.view["usage"]["cost_usd"].as_str().unwrap_or("0"))
    }

    fn title<'a>(&self, side: &'a Side) -> &'a str {
        side.facts.title.as_deref().unwrap_or(&side.facts.pipeline)
    }

    fn is_of_one_definition(&self) -> bool {
        self.left.view["definition"] == self.right.view["definition"]
    }
}

/// The page of two runs.
pub(super) async fn page(visit: Visit, head: RunHead, other: &str) -> Result<Response, Problem> {
    let other_path = match &visit.at {
        None => format!("/runs/{other}"),
        Some(_) => visit.at_moment(&format!("/runs/{other}/state")),
    };
    let other: Value = visit.rest.get(&other_path).await?;
    let (left, right) = futures::try_join!(side(&visit, head.view.clone()), side(&visit, other),)?;
    let tracks = tracks(&left, &right);
    let mut frame = head.frame(&visit);
    frame.live = false;
    let page = RunsPage {
        frame,
        head,
        parting: parting(&left, &right, &tracks),
        input: Tree::of(&left.view["input"], &right.view["input"], &[]),
        output: Tree::of(&ends(&left.view), &ends(&right.view), &[]),
        tracks,
        left,
        right,
    };
    Ok(Html(page).into_response())
}

fn ends(view: &Value) -> Value {
    serde_json::json!({ "status": view["status"], "output": view["output"], "failure": view["failure"] })
}
