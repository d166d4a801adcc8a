//! `/runs/{run}/debug/replay`: what would be decided today on what happened then.
//!
//! Two questions: whether today's engine decides as then on the definition that the run is pinned to, and what the
//! pipeline as it is saved today would decide on the same inputs.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::address::run_name;
use super::event::spaced;
use super::today::TodayAnswer;
use super::tree::Tree;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// The answer of `GET /runs/{run}/replay`.
#[derive(Debug, Deserialize)]
struct ReplayAnswer {
    inputs: u64,
    events: u64,
    #[serde(default)]
    verdicts: u64,
    differences: Vec<ReplayDifference>,
}

#[derive(Debug, Deserialize)]
struct ReplayDifference {
    version: u64,
    fact: String,
    recorded: Value,
    decided: Value,
    message: String,
}

impl ReplayDifference {
    fn tree(&self) -> Tree {
        Tree::of(&self.recorded, &self.decided, &["type", "verdict"])
    }

    fn kind(&self, value: &Value) -> String {
        value["type"].as_str().map_or_else(|| "nothing".to_owned(), spaced)
    }
}

/// A saved pipeline, as far as it is compared.
#[derive(Debug, Deserialize)]
struct SavedPipeline {
    document: Value,
}

#[derive(Template)]
#[template(path = "debugger/replay.html")]
struct ReplayPage {
    frame: Frame,
    head: RunHead,
    replay: ReplayAnswer,
    /// What the pipeline as it is saved today would decide.
    today: Result<TodayAnswer, Problem>,
    /// What is different in it.
    changes: Tree,
}

impl ReplayPage {
    /// The page of a run below at which today's definition of it is compared.
    fn below_at(&self, short_id: &str) -> String {
        self.frame.to(format!("/runs/{short_id}/debug/replay"))
    }

    /// The first version of a run below that is not alike.
    fn below_version(&self, short_id: &str, version: &u64) -> String {
        self.frame.to(format!("/runs/{short_id}/debug?version={version}"))
    }

    fn at(&self, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", self.head.facts.short_id))
    }

    /// The same version, decided by today's definition.
    fn today_at(&self, version: &u64) -> String {
        let path = format!("/runs/{}/debug?version={version}&today=1", self.head.facts.short_id);
        format!("{}#today", self.frame.to(path))
    }

    /// Where the run is begun anew with today's definition: as a fork where it goes on, else from its start.
    fn path_with(&self, today: &TodayAnswer) -> String {
        let facts = &self.head.facts;
        let path = match facts.is_ended() {
            true => format!("/runs/{}/act/restart", facts.short_id),
            false => format!("/runs/{}/act/fork?version={}", facts.short_id, facts.version),
        };
        match today.definition.version {
            Some(_) => with_query(&path, "pipeline", &today.name()),
            None => path,
        }
    }
}

/// `GET /runs/{run}/debug/replay`.
pub(crate) async fn page(visit: Visit, Path(run): Path<String>) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, run_name(&run).map_err(Problem::not_found)?, RunTab::Debugger).await?;
    let id = &head.facts.id;
    let pipeline = head.facts.pipeline.replace('%', "%25").replace('/', "%2F");
    let (replay, definition, saved) =
        (format!("/runs/{id}/replay"), format!("/runs/{id}/definition"), format!("/pipelines/{pipeline}"));
    let (replay, today, definition, saved) = futures::join!(
        visit.rest.get::<ReplayAnswer>(&replay),
        TodayAnswer::load(&visit.rest, id, None),
        visit.rest.get::<Value>(&definition),
        visit.rest.get::<SavedPipeline>(&saved),
    );
    let changes = match saved {
        Ok(saved) => Tree::of(&definition?, &saved.document, &["input", "admit", "steps", "output"]),
        Err(_) => Tree::default(),
    };
    let mut page = ReplayPage { frame: head.frame(&visit), replay: replay?, today, changes, head };
    page.frame.live = false;
    Ok(Html(page).into_response())
}
