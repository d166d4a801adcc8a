//! What is found, as a page and as a part for the palette.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::places::{ACTIONS, KnownPlace, PLACES};
use crate::board::{RunFilter, RunList, WrittenMoment, run_path, visible, zone};
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// The most hits of one kind.
const HITS_MAX: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FindParams {
    q: String,
    /// `hits`: only these, for the palette.
    part: String,
    /// The name of the viewer's zone, which a script fills in.
    zone: Option<String>,
}

/// Something that is found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    name: String,
    /// What is said of it at the right.
    more: String,
    /// The status of a run.
    status: Option<String>,
    path: String,
}

impl Hit {
    /// Its address at the shown moment; what leads to another moment does not take this one along.
    fn address(&self, frame: &Frame) -> String {
        if self.path.starts_with("/moment?") { self.path.clone() } else { frame.to(&self.path) }
    }
}

/// Hits of one kind.
#[derive(Debug, Clone)]
struct HitGroup {
    name: &'static str,
    hits: Vec<Hit>,
}

#[derive(Template)]
#[template(path = "find/page.html")]
struct FindPage {
    frame: Frame,
    q: String,
    groups: Vec<HitGroup>,
}

#[derive(Template)]
#[template(path = "find/hits.html")]
struct HitsPart {
    frame: Frame,
    q: String,
    groups: Vec<HitGroup>,
}

pub(crate) async fn find(visit: Visit, Query(params): Query<FindParams>) -> Result<Response, Problem> {
    let mut frame = visit.frame("Find", NavPlace::Elsewhere);
    frame.live = false;
    let q = params.q.trim().to_owned();
    let (runs, pipelines) = tokio::join!(runs(&visit, &q), pipelines(&visit, &q));
    let may_start = frame.may_operate();
    let mut actions = Vec::new();
    if let Ok(WrittenMoment::Time(_)) =
        WrittenMoment::read(&q, Timestamp::now(), &zone(params.zone.as_deref()))
    {
        let path = with_query("/moment?here=%2F", "at", &q);
        let path = match &params.zone {
            Some(zone) => with_query(&path, "zone", zone),
            None => path,
        };
        let name = format!("Show every page as of {q}");
        actions.push(Hit { name, more: String::new(), status: None, path });
    }
    if may_start {
        actions.extend(fitting(&[("Start a run", "/start", "new run begin")], &q));
        if !q.is_empty() {
            actions.extend(pipelines.iter().take(3).map(|pipeline| Hit {
                name: format!("Start a run of {}", pipeline.name),
                path: format!("{}/start", pipeline.path),
                ..pipeline.clone()
            }));
        }
    }
    actions.extend(fitting(&ACTIONS, &q));
    let groups =
        [("Runs", runs?), ("Pipelines", pipelines), ("Pages", fitting(&PLACES, &q)), ("Actions", actions)];
    let groups: Vec<HitGroup> = groups
        .into_iter()
        .filter(|(_, hits)| !hits.is_empty())
        .map(|(name, hits)| HitGroup { name, hits })
        .collect();
    Ok(match params.part.as_str() {
        "hits" => Html(HitsPart { frame, q, groups }).into_response(),
        _page => Html(FindPage { frame, q, groups }).into_response(),
    })
}

/// The newest runs that fit, as the list of runs finds them: by id, title, pipeline and labels.
async fn runs(visit: &Visit, q: &str) -> Result<Vec<Hit>, Problem> {
    let limit = if q.is_empty() { 4 } else { HITS_MAX };
    let path = RunFilter::default().address("/runs", &[("q", q), ("limit", &limit.to_string())]);
    let list: RunList = visit.rest.get(&visit.at_moment(&path)).await?;
    let hit = |run: crate::board::RunRow| Hit {
        name: run.name(),
        more: format!("{} · {}", run.short_id, run.pipeline),
        path: run_path(&run),
        status: Some(run.status),
    };
    Ok(list.items.into_iter().map(hit).collect())
}

/// The pipelines that fit; without a text none, for there may be many.
async fn pipelines(visit: &Visit, q: &str) -> Vec<Hit> {
    if q.is_empty() {
        return Vec::new();
    }
    let list = crate::board::pipelines(visit).await;
    let fits = list
        .into_iter()
        .filter(|pipeline| fits(q, &[&pipeline.name, pipeline.description.as_deref().unwrap_or_default()]));
    let hit = |pipeline: crate::board::PipelineSteps| Hit {
        path: crate::pipelines::pipeline_path(&pipeline.name, ""),
        more: visible(&pipeline.description.unwrap_or_default()),
        name: pipeline.name,
        status: None,
    };
    fits.take(HITS_MAX).map(hit).collect()
}

fn fitting(places: &[KnownPlace], q: &str) -> Vec<Hit> {
    let fits = places.iter().filter(|(name, _, words)| fits(q, &[name, words]));
    let hit = |(name, path, _): &KnownPlace| Hit {
        name: (*name).to_owned(),
        more: String::new(),
        status: None,
        path: (*path).to_owned(),
    };
    fits.take(if q.is_empty() { PLACES.len() } else { HITS_MAX }).map(hit).collect()
}

/// Whether every word of a text begins a word of some texts.
fn fits(q: &str, texts: &[&str]) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    let begins = |word: &str| {
        let mut words = texts.iter().flat_map(|text| text.split(|sign: char| !sign.is_alphanumeric()));
        words.any(|known| known.starts_with(word)) || texts.iter().any(|text| text.starts_with(word))
    };
    q.to_lowercase().split_whitespace().all(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at: Option<&str>) -> Frame {
        let who =
            serde_json::from_value(serde_json::json!({ "actor": "user:x", "role": "viewer" })).expect("who");
        Frame {
            title: "Find".into(),
            place: NavPlace::Elsewhere,
            who,
            at: at.map(str::to_owned),
            then: at.filter(|at| crate::words::millis(at).is_some()).map(str::to_owned),
            here: "/find".into(),
            waiting: 0,
            follows: None,
            live: false,
        }
    }

    #[test]
    fn words_are_found_by_their_beginnings() {
        assert!(fits("app", &["Inbox", "tasks approve"]));
        assert!(fits("run tab", &["Runs as a table"]));
        assert!(fits("", &["Board"]));
        assert!(!fits("prove", &["Inbox", "tasks approve"]));
    }

    #[test]
    fn what_leads_to_another_moment_leaves_the_shown_one_behind() {
        let hit =
            |path: &str| Hit { name: String::new(), more: String::new(), status: None, path: path.into() };
        let frame = frame(Some("4711"));
        assert_eq!(hit("/moment?here=%2F&at=-10m").address(&frame), "/moment?here=%2F&at=-10m");
        assert_eq!(hit("/inbox").address(&frame), "/inbox?at=4711");
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let hits = vec![Hit {
            name: "<script>alert(1)</script>".into(),
            more: "\"><img src=x>".into(),
            status: None,
            path: "/runs/1".into(),
        }];
        let groups = vec![HitGroup { name: "Runs", hits }];
        let page = HitsPart { frame: frame(None), q: "<b>".into(), groups }.render().expect("a page");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"), "{page}");
    }
}
