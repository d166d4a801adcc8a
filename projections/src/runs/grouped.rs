//! Figures of runs by the values of fields of their rows: how many, how they ended, how long they took, what they cost.
//!
//! Law: every run that fits is in one group, which has the run's values of the fields; the figures of all groups together
//! are those of all runs. They are of the rows that were looked at, and the answer says whether these were all.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::id::Position;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;

use super::fields::RUN_FIELDS;
use super::list::RunsView;
use super::look::LookReport;
use super::row::RunRow;
use super::row_state::RowUsage;
use super::run_filter::RunFilter;
use crate::filter::{FieldType, FilterRow as _, ScanReport};
use crate::projection::FoldError;
use crate::step_figures::TimeFigures;

/// Rows that one answer looks at.
const LOOKED_AT_MAX: usize = 100_000;
/// Fields that runs are grouped by together.
const FIELDS_MAX: usize = 4;
/// Groups of an answer.
const GROUPS_MAX: usize = 1_000;
/// The shortest stretch of time that makes a group.
const BUCKET_MIN: Duration = Duration::from_secs(60);

/// What runs are grouped by: fields of their rows, and stretches of time in which they began.
#[derive(Debug, Clone)]
pub struct RunGrouping {
    fields: Vec<(String, Vec<String>)>,
    bucket: Option<Duration>,
    rows_max: usize,
}

/// Why runs cannot be grouped so.
#[derive(Debug, thiserror::Error)]
pub enum GroupingError {
    /// What was asked for cannot be used.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// The read model cannot be read.
    #[error(transparent)]
    Read(#[from] FoldError),
}

/// What some runs have in sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFigures {
    /// How many there are.
    pub count: u64,
    /// How many are in each status that one of them is in.
    pub by_status: BTreeMap<RunStatus, u64>,
    /// How long those took that have ended; none: none has.
    pub elapsed: Option<TimeFigures>,
    /// What they used up together.
    pub usage: RowUsage,
}

/// The runs of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct RunGroup {
    /// The value of each field, in the order of the fields; null: their rows do not have it.
    pub values: Vec<Value>,
    /// When the stretch of time begins in which they began, where runs are grouped by that.
    pub began: Option<Timestamp>,
    /// What they have in sum.
    pub figures: RunFigures,
}

/// Runs by group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupedRuns {
    /// By time, where runs are grouped by that; then the largest come first.
    pub groups: Vec<RunGroup>,
    /// What all of them have in sum.
    pub total: RunFigures,
    /// How many rows this is of.
    pub report: LookReport,
    /// How rows were looked at, where an expression was asked.
    pub scan: Option<ScanReport>,
}

/// The figures of a group while rows are added.
#[derive(Debug, Default)]
struct GroupSums {
    by_status: BTreeMap<RunStatus, u64>,
    elapsed_ms: Vec<u64>,
    usage: RowUsage,
}

impl GroupSums {
    fn add(&mut self, row: &RunRow) {
        let shown = &row.shown;
        *self.by_status.entry(shown.status).or_default() += 1;
        if let Some(ended_at) = shown.ended_at {
            let took = ended_at.since(row.started_at).as_millis();
            self.elapsed_ms.push(u64::try_from(took).unwrap_or(u64::MAX));
        }
        self.take(shown.usage);
    }

    fn take(&mut self, usage: RowUsage) {
        let sums = &mut self.usage;
        sums.input_tokens = sums.input_tokens.saturating_add(usage.input_tokens);
        sums.output_tokens = sums.output_tokens.saturating_add(usage.output_tokens);
        sums.cost_micros = sums.cost_micros.saturating_add(usage.cost_micros);
    }

    fn join(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.elapsed_ms.extend(&other.elapsed_ms);
        self.take(other.usage);
    }

    fn figures(self) -> RunFigures {
        RunFigures {
            count: self.by_status.values().sum(),
            by_status: self.by_status,
            elapsed: TimeFigures::of(self.elapsed_ms),
            usage: self.usage,
        }
    }
}

fn refused(message: String, hint: impl Into<String>) -> GroupingError {
    GroupingError::Refused { message, hint: hint.into() }
}

impl RunGrouping {
    /// The fields that runs are grouped by, beside `labels.KEY` and `search.NAME`.
    #[must_use]
    pub fn fields() -> Vec<&'static str> {
        let names = RUN_FIELDS.sorting().into_iter();
        names.filter(|name| Self::field(name).is_some()).collect()
    }

    /// The path of a field that makes groups: its values are texts, words or whole numbers.
    fn field(name: &str) -> Option<Vec<String>> {
        let path: Vec<String> = match name.strip_prefix("labels.") {
            Some(label) => vec!["labels".to_owned(), label.to_owned()],
            None => name.split('.').map(str::to_owned).collect(),
        };
        let holds = RUN_FIELDS.sorts_by(&path).filter(|_| name != "set_aside")?;
        matches!(holds, FieldType::Text | FieldType::Word(_) | FieldType::Whole).then_some(path)
    }

    /// A grouping as it is asked for: names of fields, and how long the stretches of time are.
    ///
    /// # Errors
    /// [`GroupingError::Refused`]: rows have no such field, its values make no groups, there are too many of them, or the
    /// stretches are too short. A field that is named twice counts once.
    pub fn parse(names: &[&str], bucket: Option<Duration>) -> Result<Self, GroupingError> {
        if names.len() > FIELDS_MAX {
            let message = format!("runs are grouped by {FIELDS_MAX} fields at most, not by {}", names.len());
            return Err(refused(message, "leave some of them out, or ask twice"));
        }
        let mut fields: Vec<(String, Vec<String>)> = Vec::new();
        for name in names {
            if fields.iter().any(|(former, _)| former == name) {
                continue;
            }
            let path = Self::field(name).ok_or_else(|| Self::unknown(name))?;
            fields.push(((*name).to_owned(), path));
        }
        if let Some(span) = bucket.filter(|span| *span < BUCKET_MIN) {
            let message = format!("stretches of {} are too short", everfold_base::duration::format(span));
            return Err(refused(message, "the shortest is 1m"));
        }
        Ok(Self { fields, bucket, rows_max: LOOKED_AT_MAX })
    }

    fn unknown(name: &str) -> GroupingError {
        let names = Self::fields();
        let list = format!("runs are grouped by {}, labels.KEY, search.NAME", names.join(", "));
        let near = match name.split_once('.') {
            // Labels have any names: what stands in front of it is misspelt.
            Some((root, label))
                if everfold_language::definition::similar(root, ["labels"].into_iter()).is_some() =>
            {
                Some(format!("labels.{label}"))
            }
            _field => everfold_language::definition::similar(name, names.into_iter()).map(str::to_owned),
        };
        let hint = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default() + &list;
        refused(format!("runs are not grouped by “{name}”"), hint)
    }

    /// The same with another bound of the rows that are looked at.
    #[must_use]
    pub fn within(self, rows_max: usize) -> Self {
        Self { rows_max: rows_max.max(1), ..self }
    }

    /// The names of the fields, as they were asked for.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// How many rows one answer looks at.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// The group of a row: when its stretch of time begins, and its values as JSON texts, by which they are told apart.
    fn group_of(&self, row: &RunRow, now: Timestamp) -> (Option<Timestamp>, Vec<String>) {
        let fields = row.fields(now, None);
        let value = |path: &[String]| {
            let (first, rest) = path.split_first()?;
            let value = fields.field(first);
            rest.iter().try_fold(&value, |value, part| value.get(part)).cloned()
        };
        let values = self.fields.iter().map(|(_, path)| value(path).unwrap_or_default().to_string());
        let began = self.bucket.map(|span| {
            let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            Timestamp(row.started_at.0.div_euclid(millis) * millis)
        });
        (began, values.collect())
    }
}

impl RunsView<'_> {
    /// Figures of the runs that fit by group; of a past position, as they were then.
    ///
    /// # Errors
    /// The groups are too many, or the read model cannot be read.
    pub fn grouped(
        &self,
        filter: &RunFilter,
        grouping: &RunGrouping,
        at: Option<Position>,
        now: Timestamp,
    ) -> Result<GroupedRuns, GroupingError> {
        let position = at.unwrap_or(self.snapshot.position());
        let mut sums: BTreeMap<(Option<Timestamp>, Vec<String>), GroupSums> = BTreeMap::new();
        let (report, scan) = self.look(filter, grouping.rows_max, Some(position), |_, row| {
            sums.entry(grouping.group_of(row, now)).or_default().add(row);
        })?;
        if sums.len() > GROUPS_MAX {
            let message = format!("these are {} groups; an answer has {GROUPS_MAX} at most", sums.len());
            let hint = "ask for fewer runs with `filter`, for fewer fields, or for longer stretches of time";
            return Err(refused(message, hint));
        }
        let mut total = GroupSums::default();
        let mut groups: Vec<RunGroup> = Vec::with_capacity(sums.len());
        for ((began, values), sums) in sums {
            total.join(&sums);
            let values = values.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
            groups.push(RunGroup { values, began, figures: sums.figures() });
        }
        // Equal ones stay in the order of their values.
        groups.sort_by_key(|group| (group.began, std::cmp::Reverse(group.figures.count)));
        Ok(GroupedRuns { groups, total: total.figures(), report, scan })
    }
}
