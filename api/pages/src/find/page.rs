//! What is found, as a page and as a part for the palette.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::places::{ACTIONS, ACTIONS_OF_ADMINS, ACTIONS_OF_OPERATORS, ACTIONS_OF_RUN, KnownPlace, PLACES};
use crate::board::{RunFilter, RunList, WrittenMoment, run_path, shortest, visible, zone};
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// The most hits of one kind.
const HITS_MAX: usize = 8;
/// The most pipelines of which a run is offered to be started.
const STARTS_MAX: usize = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FindParams {
    q: String,
    /// `hits`: only these, for the palette.
    part: String,
    /// The run whose page is open, by its short id.
    run: String,
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
    let (runs, known, open) =
        tokio::join!(runs(&visit, &q), pipelines(&visit, &q), open_run(&visit, &params.run));
    let pipelines: Vec<Hit> = known.iter().filter(|hit| fits(&q, &[&hit.name, &hit.more])).cloned().collect();
    let may_start = frame.may_operate();
    let mut actions = Vec::new();
    actions.extend(moment(&q, Timestamp::now(), params.zone.as_deref()));
    if let Some(open) = open {
        actions.extend(of_run(&open, &q, may_start));
    }
    if may_start {
        actions.extend(fitting(&[("Start a run", "/start", "new run begin")], &q));
        if !q.is_empty() {
            actions.extend(starts(&known, &q));
        }
    }
    actions.extend(fitting(&ACTIONS, &q));
    if may_start {
        actions.extend(fitting(&ACTIONS_OF_OPERATORS, &q));
    }
    if frame.may_administer() {
        actions.extend(fitting(&ACTIONS_OF_ADMINS, &q));
    }
    let shown = pipelines.into_iter().take(HITS_MAX).collect();
    let groups =
        [("Runs", runs?), ("Pipelines", shown), ("Pages", fitting(&PLACES, &q)), ("Actions", actions)];
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

/// The board of a moment, where the text is one: an age, a day, a time, or a position of the log.
fn moment(q: &str, now: Timestamp, zone_name: Option<&str>) -> Option<Hit> {
    let (name, more) = match WrittenMoment::read(q, now, &zone(zone_name)).ok()? {
        WrittenMoment::Now => return None,
        WrittenMoment::Time(time) => (format!("Show every page as of {q}"), shortest(time)),
        WrittenMoment::Position(position) => {
            (format!("Show every page as of position {position}"), "of the log".to_owned())
        }
    };
    let path = with_query("/moment?here=%2F", "at", q);
    let path = zone_name.map_or(path.clone(), |zone| with_query(&path, "zone", zone));
    Some(Hit { name, more, status: None, path })
}

/// The newest runs that fit, as the list of runs finds them: by id, title, pipeline and labels.
async fn runs(visit: &Visit, q: &str) -> Result<Vec<Hit>, Problem> {
    let limit = if q.is_empty() { 4 } else { HITS_MAX };
    let (words, status) = statuses(q);
    let pairs = [("q", words.as_str()), ("status", &status), ("limit", &limit.to_string())];
    let path = RunFilter::default().address("/runs", &pairs);
    let list: RunList = visit.rest.get(&visit.at_moment(&path)).await?;
    let hit = |run: crate::board::RunRow| Hit {
        name: run.name(),
        more: format!("{} · {}", run.short_id, run.pipeline),
        path: run_path(&run),
        status: Some(run.status),
    };
    Ok(list.items.into_iter().map(hit).collect())
}

/// A text without its words that name a status of runs, and these.
fn statuses(q: &str) -> (String, String) {
    const STATUSES: [&str; 7] =
        ["running", "waiting", "blocked", "paused", "succeeded", "failed", "cancelled"];
    let is_status = |word: &&str| STATUSES.contains(&word.to_lowercase().as_str());
    let (statuses, words): (Vec<&str>, Vec<&str>) = q.split_whitespace().partition(is_status);
    (words.join(" "), statuses.join(",").to_lowercase())
}

/// A run whose page is open.
#[derive(Debug, Clone, Deserialize)]
struct OpenRun {
    short_id: String,
    pipeline: String,
    title: Option<String>,
    status: String,
}

/// Reads the run whose page is open; none: none is, it cannot be read, or the page shows a former moment.
async fn open_run(visit: &Visit, run: &str) -> Option<OpenRun> {
    let is_id = !run.is_empty() && run.bytes().all(|digit| digit.is_ascii_hexdigit() || digit == b'-');
    if !is_id || visit.at.is_some() {
        return None;
    }
    visit.rest.get(&format!("/runs/{run}")).await.ok()
}

/// What can be done with an open run.
fn of_run(run: &OpenRun, q: &str, may_operate: bool) -> Vec<Hit> {
    let name = run.title.as_deref().unwrap_or(&run.pipeline);
    let hit = |said: &str, path: String| Hit {
        name: visible(&format!("{said} {name}")),
        more: run.short_id.clone(),
        status: None,
        path,
    };
    let chosen = ACTIONS_OF_RUN.iter().filter(|(.., of, _)| may_operate && of.fits(&run.status));
    let mut hits: Vec<Hit> = chosen
        .filter(|(said, _, _, words)| fits(q, &[said, name, words, "run"]))
        .map(|(said, act, ..)| hit(said, format!("/runs/{}/act/{act}", run.short_id)))
        .collect();
    if fits(q, &["Compare", name, "difference diff run"]) {
        hits.push(hit("Compare", format!("/runs/{}/compare", run.short_id)));
    }
    hits
}

/// The pipelines of which a run can be started, as far as a text fits that action.
fn starts(pipelines: &[Hit], q: &str) -> Vec<Hit> {
    let start = |pipeline: &Hit| Hit {
        name: format!("Start a run of {}", pipeline.name),
        path: format!("{}/start", pipeline.path),
        ..pipeline.clone()
    };
    let fitting = pipelines.iter().map(start).filter(|hit| fits(q, &[&hit.name, &hit.more, "new begin"]));
    fitting.take(STARTS_MAX).collect()
}

/// The pipelines; without a text none, for there may be many.
async fn pipelines(visit: &Visit, q: &str) -> Vec<Hit> {
    if q.is_empty() {
        return Vec::new();
    }
    let list = crate::board::pipelines(visit).await;
    let hit = |pipeline: crate::board::PipelineSteps| Hit {
        path: crate::pipelines::pipeline_path(&pipeline.name, ""),
        more: visible(&pipeline.description.unwrap_or_default()),
        name: pipeline.name,
        status: None,
    };
    list.into_iter().map(hit).collect()
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

/// Whether every word of a text stands somewhere in some texts.
fn fits(q: &str, texts: &[&str]) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    q.to_lowercase().split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
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
    fn every_word_is_found_somewhere_in_the_text() {
        assert!(fits("app", &["Inbox", "tasks approve"]));
        assert!(fits("run tab", &["Runs as a table"]));
        assert!(fits("", &["Board"]));
        assert!(fits("prove in", &["Inbox", "tasks approve"]));
        assert!(!fits("inbox zebra", &["Inbox", "tasks approve"]));
    }

    fn pipeline(name: &str) -> Hit {
        Hit { name: name.into(), more: String::new(), status: None, path: format!("/pipelines/{name}") }
    }

    #[test]
    fn a_start_is_found_by_words_of_the_action_and_of_the_pipeline() {
        let known = [pipeline("greet"), pipeline("release")];
        for q in ["start greet", "run greet", "start a run of greet", "greet"] {
            let found = starts(&known, q);
            assert_eq!(found.len(), 1, "{q}");
            assert_eq!(found[0].path, "/pipelines/greet/start");
        }
    }

    #[test]
    fn ages_days_times_and_positions_lead_to_their_moment() {
        let now = "2026-11-22T15:00:00Z".parse().expect("a time");
        let found = |q: &str| moment(q, now, None).map(|hit| (hit.name, hit.more, hit.path));
        for (q, more, at) in [
            ("-10m", "2026-11-22T14:50:00Z", "-10m"),
            ("yesterday", "2026-11-21T00:00:00Z", "yesterday"),
            ("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-20"),
            ("14:32", "2026-11-22T14:32:00Z", "14%3A32"),
        ] {
            let name = format!("Show every page as of {q}");
            let path = format!("/moment?here=%2F&at={at}");
            assert_eq!(found(q), Some((name, more.to_owned(), path)));
        }
        let (name, _, path) = found("4711").expect("a position");
        assert_eq!(
            (name.as_str(), path.as_str()),
            ("Show every page as of position 4711", "/moment?here=%2F&at=4711")
        );
        for q in ["", "now", "2030-01-01", "greet", "3b2cabce"] {
            assert_eq!(found(q), None, "{q}");
        }
    }

    #[test]
    fn a_word_that_is_a_status_finds_runs_of_it() {
        assert_eq!(statuses("release failed"), ("release".to_owned(), "failed".to_owned()));
        assert_eq!(statuses("greet"), ("greet".to_owned(), String::new()));
    }

    #[test]
    fn an_open_run_offers_what_it_can_be_told() {
        let open = |status: &str| OpenRun {
            short_id: "3b2cabce".into(),
            pipeline: "greet".into(),
            title: None,
            status: status.into(),
        };
        let names = |status: &str, q: &str, may: bool| -> Vec<String> {
            of_run(&open(status), q, may).into_iter().map(|hit| hit.path).collect()
        };
        assert_eq!(names("running", "cancel", true), ["/runs/3b2cabce/act/cancel"]);
        assert!(names("succeeded", "cancel", true).is_empty());
        assert_eq!(names("running", "", false), ["/runs/3b2cabce/compare"]);
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
