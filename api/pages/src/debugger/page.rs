//! `/runs/{run}/debug`: a run at one of its versions.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::address::{number, run_name};
use super::event::{EventTone, NamedEvent};
use super::find::{self, SearchTerms};
use super::minimap::{HEIGHT, Minimap, WIDTH};
use super::policy;
use super::step::VersionStep;
use super::today::TodayAnswer;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// Events that the overview draws: as many as one answer of REST names.
const DRAWN_MAX: u64 = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DebugParams {
    /// Which version; none: the last one.
    version: Option<String>,
    /// Only what changes from version to version.
    part: Option<String>,
    /// Go to the next event where this is true.
    find: Option<String>,
    /// What was searched for.
    found: Option<String>,
    /// The search found nothing behind this version.
    none: Option<String>,
    /// Judge the gate of this version by this policy.
    policy: Option<String>,
    /// Decide the input of this version by today's definition.
    today: Option<String>,
}

#[derive(Template)]
#[template(path = "debugger/page.html")]
struct DebugPage {
    frame: Frame,
    head: RunHead,
    map: Minimap,
    step: VersionStep,
    /// The last version.
    last: u64,
    found: String,
    found_nothing: bool,
    /// Why the search could not be read, or which version there is not.
    refused: Option<String>,
    policy_problem: Option<Problem>,
}

impl DebugPage {
    /// The address of another version of this run.
    fn at(&self, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", self.head.facts.short_id))
    }

    fn before(&self) -> Option<u64> {
        (self.step.version > 1).then(|| self.step.version - 1)
    }

    fn next(&self) -> Option<u64> {
        (self.step.version < self.last).then(|| self.step.version + 1)
    }

    fn decision_before(&self) -> Option<u64> {
        self.map.decisions_beside(self.step.version).0
    }

    fn next_decision(&self) -> Option<u64> {
        self.map.decisions_beside(self.step.version).1
    }

    fn replay_path(&self) -> String {
        format!("/runs/{}/debug/replay", self.head.facts.short_id)
    }

    /// The same search from the first version on.
    fn again_path(&self) -> String {
        self.frame.to(with_query(
            &format!("/runs/{}/debug?version=1", self.head.facts.short_id),
            "find",
            &self.found,
        ))
    }

    fn step_part(&self) -> VersionStepPart<'_> {
        VersionStepPart { frame: &self.frame, step: &self.step, policy_problem: self.policy_problem.as_ref() }
    }

    fn is_drawn_whole(&self) -> bool {
        self.last <= DRAWN_MAX
    }
}

#[derive(Template)]
#[template(path = "debugger/step.html")]
struct VersionStepPart<'a> {
    frame: &'a Frame,
    step: &'a VersionStep,
    policy_problem: Option<&'a Problem>,
}

/// `GET /runs/{run}/debug`.
pub(crate) async fn debug(
    visit: Visit,
    Path(run): Path<String>,
    Query(params): Query<DebugParams>,
) -> Result<Response, Problem> {
    let run = run_name(&run).map_err(Problem::not_found)?;
    let asked = number("version", params.version.as_deref()).map_err(Problem::invalid)?;
    if let (Some(version), Some(_)) = (asked, &params.part) {
        let mut step = VersionStep::load(&visit.rest, run, version.max(1)).await?;
        if visit.at.is_some() {
            step.keep_until(RunHead::load(&visit, run, RunTab::Debugger).await?.facts.version);
        }
        let frame = visit.frame(String::new(), crate::frame::NavPlace::Elsewhere);
        return Ok(Html(VersionStepPart { frame: &frame, step: &step, policy_problem: None }).into_response());
    }
    let head = RunHead::load(&visit, run, RunTab::Debugger).await?;
    let last = head.facts.version;
    let version = asked.unwrap_or(last).clamp(1, last.max(1));
    let mut refused = asked.filter(|asked| *asked != version).map(|asked| no_version(asked, last));
    if let Some(text) = params.find.as_deref().filter(|text| !text.trim().is_empty()) {
        match SearchTerms::read(text) {
            Ok(terms) => return found(&visit, &head, version, (text, &terms)).await,
            Err(why) => refused = Some(format!("{why}.")),
        }
    }
    let id = &head.facts.id;
    let (step, map) =
        futures::try_join!(VersionStep::load(&visit.rest, id, version), overview(&visit, id, version, last))?;
    let mut page = DebugPage {
        frame: head.frame(&visit),
        map,
        step,
        last,
        found: params.found.or(params.find).unwrap_or_default(),
        found_nothing: params.none.is_some(),
        refused,
        policy_problem: None,
        head,
    };
    page.step.keep_until(last);
    // A version that is named is the past, which does not change.
    page.frame.live &= asked.is_none();
    if params.today.is_some() {
        page.step.today = Some(TodayAnswer::load(&visit.rest, &page.head.facts.id, Some(version)).await);
    }
    if let Some(text) = params.policy.filter(|text| !text.trim().is_empty()) {
        let step = &mut page.step;
        match policy::rejudged(&visit.rest, &page.head.facts.id, &step.pipeline, &step.event, &text).await {
            Ok(rejudged) => step.rejudged = Some(rejudged),
            Err(problem) => page.policy_problem = Some(problem),
        }
        step.policy = text;
    }
    Ok(Html(page).into_response())
}

/// The events around a version by their names, as many as one answer has.
async fn overview(visit: &Visit, run: &str, version: u64, last: u64) -> Result<Minimap, Problem> {
    #[derive(Deserialize)]
    struct Between {
        events: Vec<NamedEvent>,
    }
    if last < 2 {
        return Ok(Minimap::default());
    }
    let from = version.saturating_sub(DRAWN_MAX / 2).min(last.saturating_sub(DRAWN_MAX)).max(1);
    let to = (from + DRAWN_MAX).min(last);
    let between: Between = visit.rest.get(&format!("/runs/{run}/diff?from={from}&to={to}")).await?;
    let mut events = between.events;
    // The answer begins behind the earlier version; a run begins with its first one.
    if let (1, Some(second)) = (from, events.first()) {
        let first = NamedEvent { version: 1, at: second.at.clone(), kind: "RunStarted".to_owned() };
        events.insert(0, first);
    }
    Ok(Minimap::of(&events))
}

/// The address names a version that the run does not have; the nearest one is shown.
fn no_version(asked: u64, last: u64) -> String {
    format!("The run has no version {asked}: they go from 1 to {last}. The nearest one is shown.")
}

/// Goes to the next event where something is true.
async fn found(
    visit: &Visit,
    head: &RunHead,
    version: u64,
    (text, terms): (&str, &SearchTerms),
) -> Result<Response, Problem> {
    let next = find::next(&visit.rest, &head.facts.id, version, terms).await?;
    let next = next.filter(|next| *next <= head.facts.version);
    let to = format!("/runs/{}/debug?version={}", head.facts.short_id, next.unwrap_or(version));
    let mut to = with_query(&to, "found", text);
    if next.is_none() {
        to = with_query(&to, "none", "1");
    }
    if let Some(at) = &visit.at {
        to = with_query(&to, "at", at);
    }
    Ok(Redirect::to(&to).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_there_is_named() {
        assert_eq!(
            no_version(999, 41),
            "The run has no version 999: they go from 1 to 41. The nearest one is shown."
        );
    }
}
