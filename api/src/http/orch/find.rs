//! From the name of a work item, or of a run, to the run.

use everfold_engine::id::{Position, RunId};
use everfold_projections::StageFilter;

use super::scan::joined;
use crate::fault::{Code, Fault};
use crate::http::app::App;

/// Tasks of one number that are looked at.
const SAME_MAX: usize = 50;

/// A task that a name may mean.
struct NamedTask {
    run: RunId,
    item: String,
    is_open: bool,
}

/// The run of a work item: of the one that is written so, else of one with its number, whatever stands in front of it; of
/// several runs the one that goes on, else the newest. Else the run that the name is of.
pub(super) async fn find(app: &App, name: &str, at: Option<Position>) -> Result<RunId, Fault> {
    let Some(digits) = number_of(name) else { return app.resolve(name).await };
    let no_item = |fault: Fault| match fault.code {
        // The words of the one who asked: an item, and no run.
        Code::NoRun if name.contains('-') => {
            Fault::new(Code::NoItem, format!("there is no work item {name}"))
                .hint("`everfold orch status --all` lists them")
        }
        _other => fault,
    };
    let candidates = candidates(app, digits, at).await?;
    let is_same = |candidate: &&NamedTask| candidate.item.eq_ignore_ascii_case(name);
    if let Some(exact) = best(candidates.iter().filter(is_same)) {
        return Ok(exact.run);
    }
    let Some(found) = best(candidates.iter()) else { return app.resolve(name).await.map_err(no_item) };
    let others: Vec<&str> = candidates
        .iter()
        .filter(|other| other.item != found.item && other.is_open == found.is_open)
        .map(|other| other.item.as_str())
        .collect();
    if others.is_empty() {
        return Ok(found.run);
    }
    Err(Fault::new(Code::AmbiguousRun, format!("several work items have the number of “{name}”"))
        .hint(format!("write the one that is meant: {}, {}", found.item, others.join(", "))))
}

async fn candidates(app: &App, digits: &str, at: Option<Position>) -> Result<Vec<NamedTask>, Fault> {
    let filter = StageFilter { item: Some(digits.to_owned()), ..StageFilter::default() };
    let answer = app.views().stages(None, move |view| view.list(&filter, None, SAME_MAX, at)).await?;
    let both = joined(app, answer.value.items, at.unwrap_or(answer.position)).await?;
    let candidate = |run: everfold_projections::RunRow| {
        let item = run.shown.labels.get("item").cloned()?;
        Some(NamedTask { run: run.id, item, is_open: !run.shown.status.is_ended() })
    };
    Ok(both.into_iter().filter_map(|(_, run)| candidate(run)).collect())
}

/// The newest that goes on, else the newest: they come newest first.
fn best<'a>(candidates: impl Iterator<Item = &'a NamedTask> + Clone) -> Option<&'a NamedTask> {
    candidates.clone().find(|candidate| candidate.is_open).or_else(|| candidates.clone().next())
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
    use super::number_of;

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
