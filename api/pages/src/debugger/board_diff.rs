//! `/compare`: the runs at one moment and at another.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::step::ListAnswer;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// Parts of the list of runs that are read for a moment, of 1,000 each.
const PARTS_MAX: usize = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BoardDiffParams {
    /// A time, a time ago as `-1h`, or a position of the log.
    from: String,
    /// The same; empty: the moment that the page shows.
    to: String,
}

/// A run in a list.
#[derive(Debug, Clone, Deserialize)]
struct RunThen {
    id: String,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    status: String,
    #[serde(default)]
    active_steps: Vec<String>,
    version: u64,
    ended_at: Option<String>,
    moved_at: Option<String>,
    note: Option<String>,
}

impl RunThen {
    fn place(&self) -> String {
        match self.active_steps.as_slice() {
            [] => String::new(),
            steps => steps.join(", "),
        }
    }

    fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.pipeline)
    }
}

/// What became of a run between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Became {
    Ended,
    Appeared,
    Moved,
}

impl Became {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Ended, "Ended"), (Self::Appeared, "Appeared, and go on"), (Self::Moved, "Moved")];
}

#[derive(Debug)]
struct Moved {
    before: Option<RunThen>,
    after: RunThen,
    became: Became,
}

impl Moved {
    /// The same comparison within the run.
    fn compare_path(&self) -> String {
        let from = self.before.as_ref().map_or(1, |before| before.version);
        format!("/runs/{}/compare?from={from}&to={}", self.after.short_id, self.after.version)
    }

    fn run_path(&self) -> String {
        format!("/runs/{}", self.after.short_id)
    }
}

#[derive(Template)]
#[template(path = "debugger/board_diff.html")]
struct BoardDiffPage {
    frame: Frame,
    from: String,
    to: String,
    moved: Vec<Moved>,
    /// Runs that are in both and the same.
    same: usize,
    is_cut: bool,
    is_asked: bool,
    problem: Option<Problem>,
}

impl BoardDiffPage {
    fn of(&self, became: &Became) -> Vec<&Moved> {
        self.moved.iter().filter(|moved| moved.became == *became).collect()
    }
}

/// `GET /compare`.
pub(crate) async fn page(visit: Visit, Query(params): Query<BoardDiffParams>) -> Result<Response, Problem> {
    // A span ago is another moment with each look: the address gets the time.
    if let (true, Ok(Some(time))) = (params.from.trim().starts_with('-'), moment(&params.from)) {
        let to = [("to", params.to.as_str()), ("at", visit.at.as_deref().unwrap_or_default())];
        let to = to.into_iter().filter(|(_, value)| !value.is_empty());
        let path = to.fold(with_query("/compare", "from", &time), |path, (name, value)| {
            with_query(&path, name, value)
        });
        return Ok(Redirect::to(&path).into_response());
    }
    let mut frame = visit.frame("Two moments", NavPlace::Board);
    frame.live = false;
    let is_asked = !params.from.trim().is_empty();
    let mut page = BoardDiffPage {
        frame,
        moved: Vec::new(),
        same: 0,
        is_cut: false,
        is_asked,
        problem: None,
        from: params.from,
        to: params.to,
    };
    if page.is_asked {
        match compared(&visit, &page.from, &page.to).await {
            Ok((moved, same, is_cut)) => (page.moved, page.same, page.is_cut) = (moved, same, is_cut),
            Err(problem) => page.problem = Some(problem),
        }
    }
    Ok(Html(page).into_response())
}

async fn compared(visit: &Visit, from: &str, to: &str) -> Result<(Vec<Moved>, usize, bool), Problem> {
    let to = moment(to).map_err(Problem::invalid)?.or_else(|| visit.at.clone());
    let from = moment(from).map_err(Problem::invalid)?;
    let (from, to) = in_order(from, to);
    let (before, after) = futures::try_join!(runs(visit, from), runs(visit, to))?;
    let is_cut = before.1 || after.1;
    let (moved, same) = between(before.0, after.0);
    Ok((moved, same, is_cut))
}

/// Two moments, the earlier one first; a time and a position stay as they were asked for.
fn in_order(from: Option<String>, to: Option<String>) -> (Option<String>, Option<String>) {
    let is_later = |from: &str, to: &str| match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) => from > to,
        _times => {
            crate::words::millis(from).zip(crate::words::millis(to)).is_some_and(|(from, to)| from > to)
        }
    };
    match (&from, &to) {
        (Some(one), Some(other)) if is_later(one, other) => (to, from),
        _in_order => (from, to),
    }
}

/// The runs of a moment, and whether there are more than were read.
async fn runs(visit: &Visit, at: Option<String>) -> Result<(Vec<RunThen>, bool), Problem> {
    let mut first = "/runs?limit=1000".to_owned();
    if let Some(at) = &at {
        first = with_query(&first, "at", at);
    }
    let (mut path, mut rows) = (first.clone(), Vec::new());
    for _ in 0..PARTS_MAX {
        let part: ListAnswer<RunThen> = visit.rest.get(&path).await?;
        rows.extend(part.items);
        match part.next_cursor {
            Some(cursor) => path = with_query(&first, "cursor", &cursor),
            None => return Ok((rows, false)),
        }
    }
    Ok((rows, true))
}

fn between(before: Vec<RunThen>, after: Vec<RunThen>) -> (Vec<Moved>, usize) {
    let mut former: BTreeMap<String, RunThen> = before.into_iter().map(|run| (run.id.clone(), run)).collect();
    let (mut moved, mut same) = (Vec::new(), 0);
    for after in after {
        let before = former.remove(&after.id);
        let became = match &before {
            Some(before) if before.version == after.version => {
                same += 1;
                continue;
            }
            Some(before) if before.ended_at.is_some() => {
                same += 1;
                continue;
            }
            _other if after.ended_at.is_some() => Became::Ended,
            None => Became::Appeared,
            Some(_) => Became::Moved,
        };
        moved.push(Moved { before, after, became });
    }
    (moved, same)
}

/// A moment as REST takes it: a span ago becomes a time; nothing: now.
fn moment(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    let no_moment = || {
        format!(
            "“{text}” is no moment: write a time as 2026-11-20T14:32:00Z, a time ago as -10m, or a position"
        )
    };
    let Some(span) = text.strip_prefix('-') else {
        let is_known = text.parse::<u64>().is_ok() || crate::words::millis(text).is_some();
        return match text {
            "" | "now" => Ok(None),
            text if is_known => Ok(Some(text.to_owned())),
            _other => Err(no_moment()),
        };
    };
    let ago = || {
        let (number, unit) = span.split_at_checked(span.len().checked_sub(1)?)?;
        let factor = match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _other => return None,
        };
        let ms = number.parse::<i64>().ok()?.checked_mul(factor)?;
        jiff::Timestamp::from_second(crate::words::now_millis().checked_sub(ms)? / 1000).ok()
    };
    ago().map(|time| Some(time.to_string())).ok_or_else(no_moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, version: u64, ended: bool) -> RunThen {
        RunThen {
            id: id.to_owned(),
            short_id: id.to_owned(),
            pipeline: "p".to_owned(),
            title: None,
            status: "running".to_owned(),
            active_steps: Vec::new(),
            version,
            ended_at: ended.then(|| "2026-11-22T10:00:00Z".to_owned()),
            moved_at: None,
            note: None,
        }
    }

    #[test]
    fn runs_appear_move_and_end() {
        let before = vec![run("a", 1, false), run("b", 4, false), run("c", 9, true)];
        let after = vec![run("a", 3, false), run("b", 8, true), run("c", 10, true), run("d", 2, false)];
        let (moved, same) = between(before, after);
        let became: Vec<(&str, Became)> =
            moved.iter().map(|run| (run.after.id.as_str(), run.became)).collect();
        assert_eq!(became, [("a", Became::Moved), ("b", Became::Ended), ("d", Became::Appeared)]);
        assert_eq!(same, 1, "what had ended before does not end again");
    }

    #[test]
    fn a_span_ago_is_a_time() {
        assert!(moment("-10m").is_ok_and(|at| at.is_some_and(|at| at.ends_with('Z'))));
        assert!(moment("-x").is_err() && moment("-").is_err() && moment("-1ü").is_err());
        assert!(moment("yesterday").is_err());
        let (from, to) = (Some("-".to_owned()), None);
        assert_eq!(in_order(from.clone(), to), (from, None));
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(in_order(of("20"), of("9")), (of("9"), of("20")));
        assert_eq!(moment("4711").ok().flatten().as_deref(), Some("4711"));
    }
}
