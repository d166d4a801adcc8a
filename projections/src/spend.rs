//! The read model `spend`: what was used up, by run, step, role, model, day and pipeline; now or at any past
//! position.
//!
//! Law: each report of an attempt counts once, where it was recorded; copied events count for no run. A line
//! of a group, pipeline and day keeps its sum after every report, so that the past is looked up.

use std::collections::BTreeMap;

use everfold_base::id::{Position, RunId, StepId};
use everfold_base::json::Payload;
use everfold_core::event::{RunEvent, ScheduledTask, ScheduledWork};
use serde::{Deserialize, Serialize};

use crate::event_readers::{SPEND, is_read_by, passed_over};
use crate::open_runs::OpenRuns;
use crate::projection::{Fact, FoldError, Projection};
use crate::row_codec;
use crate::snapshot::ReadSnapshot;
use crate::write_batch::WriteBatch;

/// Lines that are read at once.
const CHUNK: usize = 500;
/// Reports of a line in one value.
const REPORTS: usize = 100;

/// Amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendSum {
    /// Reports that were summed up.
    pub reports: u64,
    /// Tokens read, those from a cache left out.
    pub input_tokens: u64,
    /// Tokens read from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// In millionths of a US dollar.
    pub cost_micros: u64,
}

impl SpendSum {
    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.reports = self.reports.saturating_add(other.reports);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}

/// What amounts are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendBy {
    /// The run.
    Run,
    /// The step, of whichever run of its pipeline.
    Step,
    /// The agent's role.
    Role,
    /// The model.
    Model,
    /// The day, in UTC.
    Day,
    /// The pipeline.
    Pipeline,
}

impl SpendBy {
    /// Every one, with its word.
    pub const ALL: [(&'static str, Self); 6] = [
        ("run", Self::Run),
        ("step", Self::Step),
        ("role", Self::Role),
        ("model", Self::Model),
        ("day", Self::Day),
        ("pipeline", Self::Pipeline),
    ];

    /// Reads its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, by)| by)
    }
}

/// Which amounts count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// From this day on, `2026-11-20`.
    pub since: Option<String>,
}

/// A group and its amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendRow {
    /// The group; empty where nothing is known: no role, no model.
    pub group: String,
    /// What was used up.
    #[serde(flatten)]
    pub sum: SpendSum,
}

/// What a run used up on a day at one step, by one role or one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpendLineRow {
    /// The run.
    pub run: String,
    /// Its pipeline.
    pub pipeline: String,
    /// The day, in UTC.
    pub day: String,
    /// The step, the role or the model; empty where nothing is known: no role, no model.
    pub name: String,
    /// What was used up.
    #[serde(flatten)]
    pub sum: SpendSum,
    /// The key of the line, behind which the next part begins.
    #[serde(skip)]
    key: Vec<u8>,
}

/// What is known of a run that goes on, or that used something.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Spender {
    pipeline: String,
    roles: BTreeMap<StepId, String>,
    has_spent: bool,
}

/// A line's sums: after each of its last reports, the newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SpendLine {
    sums: Vec<(Position, SpendSum)>,
}

/// The read model `spend`.
#[derive(Default)]
pub struct SpendModel {
    runs: OpenRuns<Spender>,
}

/// The read model `spend`, to be asked.
pub struct SpendView<'a> {
    snapshot: ReadSnapshot<'a>,
}

fn code(by: SpendBy) -> u8 {
    match by {
        SpendBy::Run => b'r',
        SpendBy::Step => b's',
        SpendBy::Role => b'o',
        SpendBy::Model => b'm',
        SpendBy::Day => b'd',
        SpendBy::Pipeline => b'p',
    }
}

/// `x BY PIPELINE 0 DAY 0 GROUP`; former sums of the line stand under `y …` with their first position.
fn line_key(kind: u8, pipeline: &str, day: &str, group: &str) -> Vec<u8> {
    let mut key = vec![b'x', kind];
    for part in [pipeline, day] {
        key.extend(part.bytes().map(|byte| byte.max(1)));
        key.push(0);
    }
    key.extend(group.bytes().map(|byte| byte.max(1)));
    key
}

/// A run's own lines stand under capital letters, with the run in front of its pipeline.
fn own(run: RunId, pipeline: &str) -> String {
    format!("{run}\u{1}{pipeline}")
}

fn former_key(line: &[u8], first: Position) -> Vec<u8> {
    [b"y", &line[1..], &[0], &first.0.to_be_bytes()].concat()
}

impl<'a> SpendView<'a> {
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Self {
        Self { snapshot }
    }

    /// What was used up, in groups: days in their order, all others by cost, the largest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn by(
        &self,
        by: SpendBy,
        filter: &SpendFilter,
        at: Option<Position>,
    ) -> Result<Vec<SpendRow>, FoldError> {
        let mut groups: BTreeMap<String, SpendSum> = BTreeMap::new();
        self.lines(by, filter, at, |group, sum| groups.entry(group.to_owned()).or_default().add(sum))?;
        let mut rows: Vec<SpendRow> =
            groups.into_iter().map(|(group, sum)| SpendRow { group, sum }).collect();
        if by != SpendBy::Day {
            sort(&mut rows);
        }
        Ok(rows)
    }

    /// All of it together.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn total(&self, filter: &SpendFilter, at: Option<Position>) -> Result<SpendSum, FoldError> {
        let mut total = SpendSum::default();
        self.by(SpendBy::Day, filter, at)?.iter().for_each(|row| total.add(&row.sum));
        Ok(total)
    }

    /// What runs used up, line by line: by day and step, role or model; at most `limit` lines, behind `after`.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_runs(
        &self,
        by: SpendBy,
        run: Option<RunId>,
        at: Option<Position>,
        after: Option<&SpendLineRow>,
        limit: usize,
    ) -> Result<Vec<SpendLineRow>, FoldError> {
        let mut from = vec![b'x', code(by).to_ascii_uppercase()];
        from.extend(run.into_iter().flat_map(|run| own(run, "").into_bytes()));
        let mut to = from.clone();
        to.push(0xff);
        if let Some(last) = after {
            from = last.key.clone();
            from.push(0);
        }
        let mut rows = Vec::new();
        while rows.len() < limit {
            let pairs = self.snapshot.scan(&from, &to, false, CHUNK.min(limit))?;
            let Some((last, _)) = pairs.last() else { break };
            from = last.clone();
            from.push(0);
            for (key, value) in pairs {
                let parts = &mut key[2..].splitn(3, |byte| *byte == 0);
                let mut part = || parts.next().map(String::from_utf8_lossy).unwrap_or_default();
                let (own, day, name) = (part(), part(), part());
                let Some((run, pipeline)) = own.split_once('\u{1}') else { continue };
                if let Some(sum) = self.sum_at(&key, &value, at)? {
                    // A step is named with its pipeline in front.
                    let name = match by {
                        SpendBy::Step => name.strip_prefix(&format!("{pipeline}/")).unwrap_or(&name),
                        _others => &name,
                    };
                    let (run, pipeline) = (run.to_owned(), pipeline.to_owned());
                    let (day, name) = (day.into_owned(), name.to_owned());
                    rows.push(SpendLineRow { run, pipeline, day, name, sum, key });
                }
            }
        }
        Ok(rows)
    }

    fn lines(
        &self,
        by: SpendBy,
        filter: &SpendFilter,
        at: Option<Position>,
        mut each: impl FnMut(&str, &SpendSum),
    ) -> Result<(), FoldError> {
        let mut from = match (filter.run, &filter.pipeline) {
            (Some(run), _) => {
                let own = own(run, "");
                let key = line_key(code(by).to_ascii_uppercase(), &own, "", "");
                key[..2 + own.len()].to_vec()
            }
            (None, Some(pipeline)) => {
                let key = line_key(code(by), pipeline, "", "");
                key[..key.len() - 1].to_vec()
            }
            (None, None) => vec![b'x', code(by)],
        };
        let mut to = from.clone();
        to.push(0xff);
        loop {
            let pairs = self.snapshot.scan(&from, &to, false, CHUNK)?;
            let is_last = pairs.len() < CHUNK;
            for (key, value) in &pairs {
                let parts = &mut key[2..].splitn(3, |byte| *byte == 0);
                let mut part = || parts.next().map(String::from_utf8_lossy).unwrap_or_default();
                let (pipeline, day, group) = (part(), part(), part());
                let fits = filter.since.as_deref().is_none_or(|since| &*day >= since)
                    && filter.pipeline.as_deref().is_none_or(|wanted| {
                        pipeline.split_once('\u{1}').map_or(&*pipeline, |(_, name)| name) == wanted
                    });
                if fits && let Some(sum) = self.sum_at(key, value, at)? {
                    each(&group, &sum);
                }
            }
            match pairs.into_iter().next_back() {
                Some((mut last, _)) if !is_last => {
                    last.push(0);
                    from = last;
                }
                _ => return Ok(()),
            }
        }
    }

    fn sum_at(
        &self,
        key: &[u8],
        mut value: &[u8],
        at: Option<Position>,
    ) -> Result<Option<SpendSum>, FoldError> {
        let at = at.unwrap_or(Position(u64::MAX));
        let of =
            |line: &SpendLine| line.sums.iter().rev().find(|(since, _)| *since <= at).map(|(_, sum)| *sum);
        if let Some(sum) = of(&row_codec::read(&mut value)?) {
            return Ok(Some(sum));
        }
        let (from, to) = (former_key(key, Position(0)), former_key(key, Position(at.0.saturating_add(1))));
        match self.snapshot.scan(&from, &to, true, 1)?.pop() {
            Some((_, bytes)) => Ok(of(&row_codec::read(&mut bytes.as_slice())?)),
            None => Ok(None),
        }
    }
}

/// By cost, the largest first.
fn sort(rows: &mut [SpendRow]) {
    rows.sort_by(|one, other| {
        let key = |row: &SpendRow| {
            let tokens = row.sum.input_tokens.saturating_add(row.sum.output_tokens);
            (row.sum.cost_micros, tokens)
        };
        key(other).cmp(&key(one)).then_with(|| one.group.cmp(&other.group))
    });
}

impl SpendRow {
    /// Rows put together in other groups, by cost, the largest first: `group` says to which group each of them belongs.
    #[must_use]
    pub fn regrouped(rows: Vec<Self>, mut group: impl FnMut(&str) -> String) -> Vec<Self> {
        let mut groups: BTreeMap<String, SpendSum> = BTreeMap::new();
        for row in rows {
            groups.entry(group(&row.group)).or_default().add(&row.sum);
        }
        let mut rows: Vec<Self> = groups.into_iter().map(|(group, sum)| Self { group, sum }).collect();
        sort(&mut rows);
        rows
    }
}

impl SpendModel {
    fn fold(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        match fact.event {
            RunEvent::RunStarted(event) => {
                let spender = Spender { pipeline: event.pipeline.clone(), ..Spender::default() };
                self.runs.begin(fact.run, spender);
                Ok(())
            }
            RunEvent::RunForked(_) => fact.taken_over().try_for_each(|copied| self.fold(&copied, batch)),
            RunEvent::StepScheduled(event) => match &event.work {
                ScheduledWork::Task(task) => self.note_role(fact.run, &event.id.path.step, task, batch),
                _others => Ok(()),
            },
            RunEvent::RetryScheduled(event) => match &event.task {
                Some(task) => self.note_role(fact.run, &event.id.path.step, task, batch),
                None => Ok(()),
            },
            // A run that used something is kept: its last report may come late.
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                match self.runs.get(fact.run, batch)?.is_some_and(|spender| spender.has_spent) {
                    true => Ok(()),
                    false => self.runs.end(fact.run, batch),
                }
            }
            RunEvent::UsageRecorded(event) => {
                if fact.is_copied() {
                    return Ok(());
                }
                let step = &event.id.path.step;
                let spender = self.runs.change(fact.run, batch)?;
                let (pipeline, role) = match spender {
                    Some(spender) => {
                        spender.has_spent = true;
                        (spender.pipeline.clone(), spender.roles.get(step).cloned().unwrap_or_default())
                    }
                    None => Default::default(),
                };
                let at = fact.context.recorded_at.to_string();
                let day = at.split('T').next().unwrap_or_default();
                let used = SpendSum {
                    reports: 1,
                    input_tokens: event.usage.input_tokens,
                    cached_tokens: event.usage.cached_tokens,
                    output_tokens: event.usage.output_tokens,
                    cost_micros: event.usage.cost_micros,
                };
                for (_, by) in SpendBy::ALL {
                    let group = match by {
                        SpendBy::Run => fact.run.to_string(),
                        SpendBy::Step => format!("{pipeline}/{step}"),
                        SpendBy::Role => role.clone(),
                        SpendBy::Model => event.usage.model.clone().unwrap_or_default(),
                        SpendBy::Day => day.to_owned(),
                        SpendBy::Pipeline => pipeline.clone(),
                    };
                    let kind = code(by);
                    add(
                        batch,
                        &line_key(kind, &pipeline, day, &group),
                        fact.position,
                        &used,
                        event.less_micros,
                    )?;
                    let own = own(fact.run, &pipeline);
                    add(
                        batch,
                        &line_key(kind.to_ascii_uppercase(), &own, day, &group),
                        fact.position,
                        &used,
                        event.less_micros,
                    )?;
                }
                Ok(())
            }
            other => {
                passed_over(other, SPEND);
                Ok(())
            }
        }
    }

    fn note_role(
        &mut self,
        run: RunId,
        step: &StepId,
        task: &ScheduledTask,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        // Where the document is kept outside of the event, the log reader has put the role here, if the document is there.
        let Payload::Inline(document) = &task.task else { return Ok(()) };
        if task.kind == "agent"
            && let Some(role) = document.value()["spec"]["role"].as_str()
            && let Some(spender) = self.runs.change(run, batch)?
        {
            spender.roles.insert(step.clone(), role.to_owned());
        }
        Ok(())
    }
}

/// Adds to a line, but for the money that was counted too much before; what it was stays to be looked up.
fn add(
    batch: &mut WriteBatch,
    key: &[u8],
    at: Position,
    used: &SpendSum,
    less_micros: u64,
) -> Result<(), FoldError> {
    let mut line: SpendLine = match batch.get(key)? {
        Some(bytes) => row_codec::read(&mut &*bytes)?,
        None => SpendLine::default(),
    };
    let mut sum = line.sums.last().map(|(_, sum)| *sum).unwrap_or_default();
    sum.add(used);
    sum.cost_micros = sum.cost_micros.saturating_sub(less_micros);
    if line.sums.len() >= REPORTS {
        let former = std::mem::take(&mut line);
        let first = former.sums.first().map_or(at, |(first, _)| *first);
        batch.put(&former_key(key, first), row_codec::encode(&former)?);
    }
    line.sums.push((at, sum));
    batch.put(key, row_codec::encode(&line)?);
    Ok(())
}

impl Projection for SpendModel {
    const NAME: &'static str = "spend";
    const SCHEMA: u32 = 2;

    fn handles(event: &RunEvent) -> bool {
        is_read_by(event, SPEND)
    }

    fn open(_batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self::default())
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.fold(fact, batch)
    }

    fn publish(&mut self, _batch: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.runs.settle(batch)
    }

    fn unsettled(&self) -> usize {
        self.runs.unsettled()
    }

    fn trim(&mut self) {
        self.runs.trim();
    }
}
