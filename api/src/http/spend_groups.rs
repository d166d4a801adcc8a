//! What spending is grouped by: a word of the read model, or a label of the runs.
//!
//! Law: a run counts under its label as the label is at the moment that is asked for, with all that the run used up. Runs without
//! the label are one group.

use std::collections::HashMap;

use everfold_engine::id::{Position, RunId};
use everfold_projections::{SpendBy, SpendFilter, SpendRow, SpendView};

use super::app::App;
use crate::body::spend::SpendItem;
use crate::fault::{Code, Fault};

/// The longest name of a label.
const LABEL_CHARS_MAX: usize = 200;
/// What stands before the name of a label.
const LABEL: &str = "label:";

/// What amounts are grouped by.
pub(super) enum SpendGroups {
    Of(SpendBy),
    /// The label of this name.
    Label(String),
}

impl SpendGroups {
    /// Reads the word, or `label:NAME`.
    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        let label = word.strip_prefix(LABEL);
        if let Some(name) = label.filter(|name| !name.is_empty() && name.chars().count() <= LABEL_CHARS_MAX) {
            return Ok(Self::Label(name.to_owned()));
        }
        let words = SpendBy::ALL.map(|(word, _)| word).join(", ");
        let unknown = || {
            Fault::new(Code::Invalid, format!("by: “{word}” is none of {words}, and no {LABEL}NAME"))
                .hint("`label:team` groups by the label `team` of the runs")
        };
        SpendBy::parse(word).map(Self::Of).ok_or_else(unknown)
    }

    /// The groups, all of them together, and the position that they are of, or that was known at the least where they are of a past one.
    pub(super) async fn of(
        &self,
        app: &App,
        filter: SpendFilter,
        at: Option<Position>,
        min: Option<Position>,
    ) -> Result<(Vec<SpendItem>, SpendItem, Position), Fault> {
        let by = match self {
            Self::Of(by) => *by,
            Self::Label(_) => SpendBy::Run,
        };
        let ask = move |spend: &SpendView<'_>| Ok((spend.by(by, &filter, at)?, spend.total(&filter, at)?));
        let answer = app.views().spend(min, ask).await?;
        let ((rows, sum), seen) = (answer.value, answer.position);
        let (by, rows) = match self {
            Self::Of(by) => (*by, rows),
            // Shown by its own name, as a step is. The labels are no older than the amounts.
            Self::Label(name) => (SpendBy::Step, by_label(app, rows, name.clone(), at, Some(seen)).await?),
        };
        let total = SpendItem::of(SpendBy::Day, SpendRow { group: "total".to_owned(), sum });
        Ok((rows.into_iter().map(|row| SpendItem::of(by, row)).collect(), total, seen))
    }
}

/// Puts the rows of runs together by a label of theirs.
async fn by_label(
    app: &App,
    rows: Vec<SpendRow>,
    name: String,
    at: Option<Position>,
    min: Option<Position>,
) -> Result<Vec<SpendRow>, Fault> {
    let runs: Vec<RunId> = rows.iter().filter_map(|row| row.group.parse().ok()).collect();
    let labels = app.runs(min, move |view| {
        let mut labels: HashMap<String, String> = HashMap::new();
        for run in runs {
            let label = view.get(run, at)?.and_then(|row| row.shown.labels.get(&name).cloned());
            // A label without a text is no unknown one.
            let shown = |label: String| if label.is_empty() { "\"\"".to_owned() } else { label };
            labels.extend(label.map(|label| (run.to_string(), shown(label))));
        }
        Ok(labels)
    });
    let mut labels = labels.await?;
    Ok(SpendRow::regrouped(rows, |run| labels.remove(run).unwrap_or_default()))
}
