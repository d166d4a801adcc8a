//! From the name of a work item, or of a run, to the run.

use std::collections::BTreeSet;

use everfold_engine::event::OriginKind;
use everfold_engine::id::{Position, RunId};
use everfold_projections::{RunFilter, RunOrder, RunRow, StageFilter};

use super::scan::joined;
use crate::fault::{Code, Fault};
use crate::http::app::App;

/// The label that names the work item of a task.
const ITEM: &str = "item";
/// Tasks of one name, and of one number, that are looked at.
const SAME_MAX: usize = 50;

/// A task that a name may mean.
struct NamedTask {
    run: RunId,
    item: String,
    is_open: bool,
    /// It goes on from a copied moment, beside the run that does the work.
    is_fork: bool,
}

impl NamedTask {
    fn of(run: RunRow) -> Option<Self> {
        let item = run.shown.labels.get(ITEM).cloned()?;
        let is_fork = run.origin.as_ref().is_some_and(|origin| origin.how == OriginKind::Fork);
        Some(Self { run: run.id, item, is_open: !run.shown.status.is_ended(), is_fork })
    }
}

/// The run of a work item: of the one that is called so, else of one with its number, whatever stands in front of it; of
/// several runs the one that goes on, else the newest. Else the run that the name is of.
pub(super) async fn find(app: &App, name: &str, at: Option<Position>) -> Result<RunId, Fault> {
    let named = named(app, name, at).await?;
    if let Some(exact) = best(named.iter()) {
        return Ok(exact.run);
    }
    let candidates = match number_of(name) {
        Some(digits) => candidates(app, digits, at).await?,
        None => Vec::new(),
    };
    let is_same = |candidate: &&NamedTask| candidate.item.eq_ignore_ascii_case(name);
    if let Some(exact) = best(candidates.iter().filter(is_same)) {
        return Ok(exact.run);
    }
    let Some(found) = best(candidates.iter()) else {
        return app.resolve(name).await.map_err(|fault| no_item(fault, name));
    };
    let others: BTreeSet<&str> = candidates
        .iter()
        .filter(|other| other.item != found.item && other.is_open == found.is_open)
        .map(|other| other.item.as_str())
        .collect();
    if others.is_empty() {
        return Ok(found.run);
    }
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    Err(Fault::new(Code::AmbiguousRun, format!("several work items have the number of “{name}”"))
        .hint(format!("write the one that is meant: {}, {others}", found.item)))
}

/// The words of the one who asked: who names no run asks for an item.
fn no_item(fault: Fault, name: &str) -> Fault {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let is_run = name.starts_with('@')
        || name.parse::<RunId>().is_ok()
        || name.bytes().all(|byte| byte.is_ascii_hexdigit()) && !is_number;
    match fault.code {
        Code::NoRun if !is_run => Fault::new(Code::NoItem, format!("there is no work item {name}"))
            .hint("`everfold orch status --all` lists them"),
        _other => fault,
    }
}

/// The tasks that are called exactly so.
async fn named(app: &App, name: &str, at: Option<Position>) -> Result<Vec<NamedTask>, Fault> {
    let filter = RunFilter { labels: vec![(ITEM.to_owned(), Some(name.to_owned()))], ..RunFilter::default() };
    let runs =
        app.runs(None, move |runs| runs.list(&filter, RunOrder::Newest, None, SAME_MAX, at)).await?.items;
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    // Runs of pipelines without stages are no tasks.
    let staged = app.views().stages(None, move |view| {
        let mut staged = BTreeSet::new();
        for run in ids {
            staged.extend(view.get(run, at)?.map(|row| row.run));
        }
        Ok(staged)
    });
    let staged = staged.await?.value;
    Ok(runs.into_iter().filter(|run| staged.contains(&run.id)).filter_map(NamedTask::of).collect())
}

async fn candidates(app: &App, digits: &str, at: Option<Position>) -> Result<Vec<NamedTask>, Fault> {
    let filter = StageFilter { item: Some(digits.to_owned()), ..StageFilter::default() };
    let answer = app.views().stages(None, move |view| view.list(&filter, None, SAME_MAX, at)).await?;
    let both = joined(app, answer.value.items, at.unwrap_or(answer.position)).await?;
    Ok(both.into_iter().filter_map(|(_, run)| NamedTask::of(run)).collect())
}

/// The newest that goes on, else the newest, and a fork only where there is nothing else: they come newest first.
fn best<'a>(candidates: impl Iterator<Item = &'a NamedTask>) -> Option<&'a NamedTask> {
    candidates.min_by_key(|candidate| (candidate.is_fork, !candidate.is_open))
}

/// The number of a work item: `PREFIX-N`, or digits alone. The id of a run is none.
fn number_of(name: &str) -> Option<&str> {
    if name.parse::<RunId>().is_ok() {
        return None;
    }
    let digits = name.rsplit_once('-').map_or(name, |(_prefix, digits)| digits);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use everfold_engine::id::RunId;

    use super::{NamedTask, best, number_of};

    #[test]
    fn a_fork_stands_for_a_task_only_where_nothing_else_does() {
        let run =
            |number| -> RunId { format!("0198c1f0-0000-7000-8000-00000000000{number}").parse().unwrap() };
        let task = |number, is_open, is_fork| NamedTask {
            run: run(number),
            item: "ET-1".to_owned(),
            is_open,
            is_fork,
        };
        let chosen = |tasks: &[NamedTask]| best(tasks.iter()).map(|task| task.run);
        assert_eq!(chosen(&[task(4, true, true), task(3, false, false), task(2, true, false)]), Some(run(2)));
        assert_eq!(
            chosen(&[task(4, true, true), task(3, false, false), task(2, false, false)]),
            Some(run(3))
        );
        assert_eq!(chosen(&[task(4, false, true), task(3, true, true)]), Some(run(3)));
    }

    #[test]
    fn o116_a_name_is_of_a_work_item_where_it_ends_in_a_number_of_its_own() {
        for (name, number) in [
            ("ORCH-005", Some("005")),
            ("ET-002", Some("002")),
            ("7", Some("7")),
            ("1d3a34b4", None),
            ("@1", None),
            ("ET-abc", None),
            ("0198c1f0-0000-7000-8000-000000000005", None),
        ] {
            assert_eq!(number_of(name), number, "{name}");
        }
    }
}
