//! The columns of the board with their cards, now or at a former moment.
//!
//! Law: a board needs the same few calls whatever the number of its runs. Without a filter `GET /board` answers it. With
//! one, every unended run that fits is read, up to a bound, and of each way to end the newest.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde::Deserialize;

use super::filter::{RunFilter, STATUSES};
use super::row::{Awaited, RunList, RunRow};
use super::steps::{PipelineSteps, StepOfPipeline};
use super::steps_bar::StepsBar;
use crate::frame::Visit;
use crate::problem::Problem;

/// What makes a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Status,
    Stage,
}

impl By {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stage => "stage",
        }
    }
}

/// The statuses of runs that have ended.
const ENDED: [&str; 3] = ["failed", "succeeded", "cancelled"];
/// Columns that stand there also where they are empty, so that nothing moves when the first run comes.
const ALWAYS: [&str; 5] = ["blocked", "waiting", "running", "failed", "succeeded"];
/// Unended runs that are read for a filter.
const UNENDED_MAX: usize = 1000;

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its runs are at a step: the name is of a stage or step, not of a status.
    pub(crate) is_step: bool,
    /// How many runs are in it; `is_more`: at least.
    pub(crate) count: u64,
    pub(crate) is_more: bool,
    pub(crate) cards: Vec<Card>,
    /// The table with all of them, where one filter says that.
    pub(crate) table: Option<String>,
}

impl Column {
    /// A stage in which no run is.
    fn empty(stage: &str) -> Self {
        let name = stage.to_owned();
        Self { name, is_step: true, count: 0, is_more: false, cards: Vec::new(), table: None }
    }

    /// The count for readers.
    pub(crate) fn count_text(&self) -> String {
        format!("{}{}", crate::words::count(self.count), if self.is_more { "+" } else { "" })
    }

    /// What names it among the columns, in an id.
    pub(crate) fn key(&self) -> String {
        let kind = if self.is_step { "at" } else { "is" };
        let name: String = self
            .name
            .chars()
            .map(|sign| if sign.is_ascii_alphanumeric() || sign == '-' { sign } else { '_' })
            .collect();
        format!("{kind}-{name}")
    }

    /// How many runs have no card here; none: not known.
    pub(crate) fn hidden(&self) -> Option<u64> {
        (!self.is_more).then(|| self.count.saturating_sub(self.cards.len() as u64))
    }

    /// What the link to the table says.
    pub(crate) fn more_text(&self) -> String {
        match self.hidden() {
            Some(hidden) => format!("{} more in the table", crate::words::count(hidden)),
            None => "all of them in the table".to_owned(),
        }
    }

    /// Whether the table shows more than the cards.
    pub(crate) fn has_more(&self) -> bool {
        self.hidden() != Some(0)
    }
}

/// A run on the board.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) run: RunRow,
    pub(crate) lead: Option<Lead>,
    /// The round of its step, where it is known and not the first.
    pub(crate) round: Option<u64>,
    pub(crate) bar: StepsBar,
}

impl Card {
    /// Whether it waits for the caller.
    pub(crate) fn is_mine(&self) -> bool {
        self.lead.as_ref().is_some_and(|lead| lead.is_mine)
    }
}

/// Who is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub(crate) verb: &'static str,
    pub(crate) whom: String,
    /// The caller may do it.
    pub(crate) is_mine: bool,
    pub(crate) since: String,
    /// Further people that the run waits for.
    pub(crate) more: usize,
}

impl Lead {
    /// The sign of what is asked.
    pub(crate) fn glyph(&self) -> &'static str {
        if self.verb == "unblock" { "◆" } else { "◷" }
    }
}

#[derive(Debug, Deserialize)]
struct BoardAnswer {
    columns: Vec<ColumnAnswer>,
}

#[derive(Debug, Deserialize)]
struct ColumnAnswer {
    name: String,
    is_step: bool,
    count: u64,
    cards: Vec<RunRow>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct ColumnsAsked<'a> {
    pub(crate) filter: &'a RunFilter,
    pub(crate) by: By,
    /// Cards of a column.
    pub(crate) cards: usize,
}

/// The columns, and what the cards need beside them.
pub(crate) async fn load(
    visit: &Visit,
    asked: &ColumnsAsked<'_>,
    pipelines: &[PipelineSteps],
    rounds: &Rounds,
) -> Result<Vec<Column>, Problem> {
    let maker = CardMaker { visit, pipelines, rounds };
    let mut columns = if asked.filter.is_empty() {
        let path = format!("/board?group_by={}&limit={}", asked.by.word(), asked.cards);
        let board: BoardAnswer = visit.rest.get(&visit.at_moment(&path)).await?;
        board.columns.into_iter().map(|column| maker.column(column)).collect()
    } else {
        filtered(visit, asked, &maker).await?
    };
    if asked.by == By::Status {
        columns.sort_by_key(|column| STATUSES.iter().position(|status| *status == column.name));
    }
    let is_always = |column: &Column| asked.filter.is_empty() && ALWAYS.contains(&column.name.as_str());
    columns.retain(|column| column.count > 0 || column.is_step || is_always(column));
    for column in &mut columns {
        column.table = table(column, asked, pipelines);
        // What waits for the caller stands first.
        column.cards.sort_by_key(|card| !card.is_mine());
    }
    Ok(columns)
}

/// The table with the runs of a column.
fn table(column: &Column, asked: &ColumnsAsked<'_>, pipelines: &[PipelineSteps]) -> Option<String> {
    if !column.is_step {
        return Some(asked.filter.with("status", &column.name).address("/runs", &[]));
    }
    let is_step = pipelines.iter().flat_map(|pipeline| &pipeline.steps).any(|step| step.id == column.name);
    is_step.then(|| asked.filter.with("step", &column.name).address("/runs", &[]))
}

/// The columns of the runs that fit a filter.
async fn filtered(
    visit: &Visit,
    asked: &ColumnsAsked<'_>,
    maker: &CardMaker<'_>,
) -> Result<Vec<Column>, Problem> {
    let wanted = |status: &&str| {
        asked.filter.get("status").is_none_or(|statuses| statuses.split(',').any(|wanted| wanted == *status))
    };
    let is_of_unended = asked.filter.get("awaiting").is_some() || asked.filter.get("step").is_some();
    let unended: Vec<&str> =
        STATUSES.into_iter().filter(|status| !ENDED.contains(status)).filter(wanted).collect();
    let ended: Vec<&str> = ENDED.into_iter().filter(wanted).filter(|_| !is_of_unended).collect();
    let list = async |statuses: String, limit: usize| -> Result<RunList, Problem> {
        let path = asked.filter.with("status", &statuses).address("/runs", &[("limit", &limit.to_string())]);
        visit.rest.get(&visit.at_moment(&path)).await
    };
    let mut calls = Vec::new();
    if !unended.is_empty() {
        calls.push((unended.join(","), UNENDED_MAX));
    }
    calls.extend(ended.iter().map(|status| ((*status).to_owned(), asked.cards.max(1))));
    let lists = try_join_all(calls.into_iter().map(|(statuses, limit)| list(statuses, limit))).await?;
    let is_more: BTreeMap<&str, bool> = {
        let first = usize::from(!unended.is_empty());
        let more = |at: usize| lists.get(at).is_some_and(|list| list.next_cursor.is_some());
        let of_unended = unended.iter().map(|status| (*status, more(0)));
        of_unended.chain(ended.iter().enumerate().map(|(at, status)| (*status, more(at + first)))).collect()
    };
    let runs = lists.into_iter().flat_map(|list| list.items);
    let stages = match (asked.by, asked.filter.get("pipeline")) {
        (By::Stage, Some(pipeline)) => stages(visit, pipeline).await,
        _otherwise => Stages::of(maker.pipelines),
    };
    Ok(grouped(runs, asked, maker, &stages, &is_more))
}

fn grouped(
    runs: impl Iterator<Item = RunRow>,
    asked: &ColumnsAsked<'_>,
    maker: &CardMaker<'_>,
    stages: &Stages,
    is_more: &BTreeMap<&str, bool>,
) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    if asked.by == By::Stage && asked.filter.get("pipeline").is_some() {
        // The stages of one pipeline stand there also where they are empty: its shape is seen.
        for (_, stage) in &stages.steps {
            if !columns.iter().any(|column| column.name == *stage) {
                columns.push(Column::empty(stage));
            }
        }
    }
    for run in runs {
        let stage = match asked.by {
            By::Stage if !run.is_ended() => run.step().map(|step| stages.stage(step)),
            _by_status => None,
        };
        let name = stage.unwrap_or(&run.status).to_owned();
        let is_step = stage.is_some();
        let at = columns.iter().position(|column| column.name == name && column.is_step == is_step);
        let column = match at.and_then(|at| columns.get_mut(at)) {
            Some(column) => column,
            None => {
                let is_more = is_more.get(run.status.as_str()).copied().unwrap_or_default();
                columns.push(Column { name, is_step, count: 0, is_more, cards: Vec::new(), table: None });
                let Some(column) = columns.last_mut() else { continue };
                column
            }
        };
        column.count += 1;
        if column.cards.len() < asked.cards {
            column.cards.push(maker.card(run));
        }
    }
    columns.sort_by_key(|column| {
        match (column.is_step, ENDED.iter().position(|status| *status == column.name)) {
            (true, _) => (1, stages.place(&column.name)),
            (false, None) => (0, 0),
            (false, Some(at)) => (2, at),
        }
    });
    columns
}

/// The stages of steps, in the order in which runs go through them.
#[derive(Debug, Default)]
struct Stages {
    /// A step and its stage.
    steps: Vec<(String, String)>,
}

impl Stages {
    fn of(pipelines: &[PipelineSteps]) -> Self {
        let steps = pipelines.iter().flat_map(|pipeline| &pipeline.steps);
        Self { steps: steps.map(Self::named).collect() }
    }

    fn named(step: &StepOfPipeline) -> (String, String) {
        (step.id.clone(), step.stage.clone().unwrap_or_else(|| step.id.clone()))
    }

    fn stage<'a>(&'a self, step: &'a str) -> &'a str {
        self.steps.iter().find(|(known, _)| known == step).map_or(step, |(_, stage)| stage)
    }

    fn place(&self, stage: &str) -> usize {
        self.steps.iter().position(|(_, known)| known == stage).unwrap_or(self.steps.len())
    }
}

/// The stages of one pipeline: its document says them, the list of pipelines does not.
async fn stages(visit: &Visit, pipeline: &str) -> Stages {
    #[derive(Deserialize)]
    struct Document {
        steps: Vec<StepOfDocument>,
    }
    #[derive(Deserialize)]
    struct StepOfDocument {
        id: String,
        stage: Option<String>,
    }
    #[derive(Deserialize)]
    struct Answer {
        document: Document,
    }
    let name = crate::words::encoded(pipeline);
    match visit.rest.get::<Answer>(&format!("/pipelines/{name}")).await {
        Ok(answer) => Stages {
            steps: answer
                .document
                .steps
                .into_iter()
                .map(|StepOfDocument { id, stage }| (id.clone(), stage.unwrap_or(id)))
                .collect(),
        },
        // A pipeline that was never saved has runs all the same.
        Err(_no_document) => Stages::default(),
    }
}

/// The rounds of steps at which people are asked, and since when, by run and step.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<(String, String), (u64, String)>);

impl Rounds {
    /// Of the open tasks, up to a bound; a card of a run without one says no round.
    pub(crate) async fn load(visit: &Visit) -> Self {
        #[derive(Deserialize)]
        struct AskingTasks {
            items: Vec<AskingTask>,
        }
        #[derive(Deserialize)]
        struct AskingTask {
            run: String,
            step: String,
            #[serde(default)]
            round: u64,
            since: String,
        }
        let tasks: Result<AskingTasks, Problem> = visit.rest.get(&visit.at_moment("/inbox?limit=100")).await;
        let tasks = tasks.map(|tasks| tasks.items).unwrap_or_default();
        Self(tasks.into_iter().map(|task| ((task.run, task.step), (task.round, task.since))).collect())
    }

    /// The round of a step, and since when it asks.
    pub(crate) fn get(&self, run: &str, step: &str) -> Option<&(u64, String)> {
        self.0.get(&(run.to_owned(), step.to_owned()))
    }
}

/// Makes cards of rows.
struct CardMaker<'a> {
    visit: &'a Visit,
    pipelines: &'a [PipelineSteps],
    rounds: &'a Rounds,
}

impl CardMaker<'_> {
    fn column(&self, answer: ColumnAnswer) -> Column {
        let ColumnAnswer { name, is_step, count, cards } = answer;
        let cards = cards.into_iter().map(|run| self.card(run)).collect();
        Column { name, is_step, count, is_more: false, cards, table: None }
    }

    fn card(&self, run: RunRow) -> Card {
        let bar = StepsBar::of(&run);
        let mine = run.awaits.iter().find(|awaited| awaited.is_of(&self.visit.who));
        let shown = mine.or(run.awaits.first());
        let task = shown.and_then(|awaited| self.rounds.get(&run.id, &awaited.step));
        let round = task.map(|(round, _)| *round).filter(|round| *round > 1);
        let since = task.map_or(&run.moved_at, |(_, since)| since).clone();
        let lead = shown.map(|awaited: &Awaited| Lead {
            verb: awaited.verb(),
            whom: awaited.whom(),
            is_mine: mine.is_some(),
            since,
            more: run.awaits.len() - 1,
        });
        Card { lead, round, bar, run }
    }
}

/// The path of a run's page.
pub(crate) fn run_path(run: &RunRow) -> String {
    format!("/runs/{}", run.short_id)
}
