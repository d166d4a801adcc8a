//! The page of the inbox: the list, and the one question that is open.

use askama::Template;
use serde_json::Value;

use super::budget::BudgetOfTask;
use super::decide::REMARKS_MAX;
use super::draft::{Draft, FieldEdit, changed_parts, mark};
use super::effect::Effect;
use super::history::{Decided, FormerRound, GateSaid, History, RunOfTask};
use super::saved_answer::SavedAnswer;
use super::shown::{self, ShownBody, ShownPart};
use super::task::{ApprovalTerms, Asks, SeenPart, Task, TaskList};
use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::markdown::MarkdownBlock;
use crate::problem::Problem;

/// Empty rows for remarks that a form has without scripts.
const EMPTY_REMARKS: usize = 3;

#[derive(Template)]
#[template(path = "inbox/inbox.html")]
pub(super) struct InboxPage {
    pub(super) frame: Frame,
    list: TaskList,
    opened: Opened,
    effect: Option<Effect>,
}

/// What is open beside the list.
pub(super) enum Opened {
    Nothing,
    Task(Box<OpenTaskView>),
    Gone(Box<GoneTask>),
}

impl Opened {
    /// The same with what was typed into a form that was refused.
    pub(super) fn with_draft(mut self, draft: Draft) -> Self {
        match &mut self {
            Self::Task(task) => task.draft = draft,
            Self::Gone(gone) => gone.draft = draft,
            Self::Nothing => {}
        }
        self
    }
}

impl InboxPage {
    /// The page with what is open; `former` is the task that was decided before.
    pub(super) async fn new(
        visit: &Visit,
        list: TaskList,
        opened: Opened,
        former: Option<&str>,
    ) -> Result<Self, Problem> {
        let effect = match former {
            Some(former) => Effect::load(visit, former, &list).await?,
            None => None,
        };
        let title = match &opened {
            Opened::Task(open) => open.task.title().to_owned(),
            Opened::Gone(gone) => format!("{} was decided", gone.id),
            Opened::Nothing => "Inbox".to_owned(),
        };
        Ok(Self { frame: visit.frame(title, NavPlace::Inbox), list, opened, effect })
    }

    /// Whether a task of the list is the one that is open.
    fn is_open(&self, task: &Task) -> bool {
        matches!(&self.opened, Opened::Task(open) if open.task.id == task.id)
    }

    /// The page of a task, beside the same part of the list.
    fn path(&self, task: &Task) -> String {
        let path = match &self.list.cursor {
            Some(cursor) => crate::frame::with_query(&task.path(), "cursor", cursor),
            None => task.path(),
        };
        self.frame.to(path)
    }

    /// The address of the list from where it goes on.
    fn further(&self) -> Option<String> {
        let cursor = self.list.next.as_deref()?;
        Some(self.frame.to(crate::frame::with_query("/inbox", "cursor", cursor)))
    }
}

/// One question with all that is to be known for its decision.
pub(super) struct OpenTaskView {
    task: Task,
    run: RunOfTask,
    history: History,
    former: Vec<FormerRound>,
    shown: Vec<ShownPart>,
    /// What is asked in full, as Markdown.
    prose: Vec<MarkdownBlock>,
    draft: Draft,
    is_mine: bool,
    /// Whoever looks started the run, and whoever starts such a run does not decide it.
    is_own: bool,
}

/// A task that is not open any more.
pub(super) struct GoneTask {
    id: String,
    run: Option<RunOfTask>,
    step: String,
    round: u32,
    said: Vec<Decided>,
    draft: Draft,
}

/// Reads what a question is about.
pub(super) async fn opened(visit: &Visit, task: Task, draft: Draft) -> Result<Opened, Problem> {
    let run = RunOfTask::load(visit, &task.short_id).await?;
    let history = History::load(visit, &task.short_id, Some(run.version)).await?;
    let former = history.former_rounds(&task.step, task.round);
    let shown = match &task.asks {
        Asks::Approval { show, seen, .. } => {
            let formerly = history.formerly_seen(&task.step, task.round);
            shown::load(visit, &task.short_id, show, seen.as_ref(), &formerly).await
        }
        _ => Vec::new(),
    };
    let prose = match &task.asks {
        Asks::Question { text, .. } if !text.is_null() => crate::markdown::blocks(&crate::words::json(text)),
        _ => Vec::new(),
    };
    let is_own = matches!(
        &task.asks,
        Asks::Approval { terms, .. } if !terms.self_approval && run.is_of(&visit.who.actor)
    );
    let is_mine = task.is_for(&visit.who) && visit.at.is_none() && !is_own;
    Ok(Opened::Task(Box::new(OpenTaskView {
        task,
        run,
        history,
        former,
        shown,
        prose,
        draft,
        is_mine,
        is_own,
    })))
}

/// Reads what became of a task that is not open.
pub(super) async fn gone(visit: &Visit, id: &str) -> Result<Opened, Problem> {
    let mut parts = id.split(':');
    let (run, step, place) = (parts.next(), parts.next(), parts.next());
    let run = run
        .filter(|run| !run.is_empty() && run.bytes().all(|digit| digit.is_ascii_hexdigit() || digit == b'-'));
    let (Some(run), step) = (run, step.unwrap_or_default()) else {
        return Err(Problem::not_found(format!("there is no task “{id}”")));
    };
    let round = place.and_then(|place| place.split('.').next()?.parse().ok()).unwrap_or(1);
    let view = RunOfTask::load(visit, run).await?;
    let said = History::load(visit, run, Some(view.version)).await?.of_round(step, round);
    let gone = GoneTask {
        id: id.to_owned(),
        run: Some(view),
        step: step.to_owned(),
        round,
        said,
        draft: Draft::default(),
    };
    Ok(Opened::Gone(Box::new(gone)))
}

/// A row for a remark.
struct RemarkRow {
    number: usize,
    on: String,
    line: String,
    text: String,
    quote: String,
}

/// A part of a question with what was answered so far.
struct ItemRow {
    number: usize,
    text: String,
    options: Vec<String>,
    is_optional: bool,
    answer: String,
    saved_answer: String,
    state: String,
    saved_state: String,
}

impl ItemRow {
    fn has(&self, option: &str) -> bool {
        self.answer == option
    }
}

impl OpenTaskView {
    fn terms(&self) -> Option<&ApprovalTerms> {
        match &self.task.asks {
            Asks::Approval { terms, .. } => Some(terms),
            _ => None,
        }
    }

    /// The digest that a vote names.
    fn digest(&self) -> &str {
        match &self.task.asks {
            Asks::Approval { seen: Some(seen), .. } => &seen.digest,
            _ => "",
        }
    }

    fn short_digest(&self) -> &str {
        self.digest().get(..12).unwrap_or_default()
    }

    fn seen_parts(&self) -> &[SeenPart] {
        match &self.task.asks {
            Asks::Approval { seen: Some(seen), .. } => &seen.parts,
            _ => &[],
        }
    }

    /// The commit that is shown, if one is.
    fn commit(&self) -> Option<&str> {
        self.seen_parts().iter().find(|part| part.kind == "commit").and_then(|part| part.hash.as_deref())
    }

    /// What a form carries of each part, to tell later what changed.
    fn part_marks(&self) -> Vec<String> {
        self.seen_parts().iter().map(mark).collect()
    }

    /// What is shown otherwise than when the refused form was loaded.
    fn changed_since(&self) -> Vec<String> {
        let Some(fields) = self.draft.fields() else { return Vec::new() };
        if let Some(saved) = SavedAnswer::of(&self.task) {
            return saved.changed_since(fields);
        }
        let then: Vec<&str> = fields.all("part").collect();
        if then.is_empty() {
            return Vec::new();
        }
        changed_parts(&then, &self.part_marks())
    }

    /// Whether a vote was refused because something in the workspace is not what was asked about.
    fn is_measured_change(&self) -> bool {
        self.draft.is_of_change()
            && self.draft.problem.as_ref().is_some_and(|problem| !problem.errors.is_empty())
    }

    /// How many approvals there are, of how many: `1 of 2 approvals`.
    fn quorum(&self) -> Option<String> {
        let Asks::Approval { terms, votes, .. } = &self.task.asks else { return None };
        let given = votes.values().filter(|vote| vote.as_str() == "approve").count();
        (terms.quorum > 1).then(|| format!("{given} of {} approvals", terms.quorum))
    }

    /// Words as a sentence begins.
    fn capital(&self, words: &str) -> String {
        let mut letters = words.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// Whether a decision needs a comment.
    fn needs_comment(&self, decision: &str) -> bool {
        self.terms().is_some_and(|terms| terms.comment.iter().any(|needed| needed == decision))
    }

    /// What a decision leads to, as far as the pipeline's routes say it.
    fn consequence(&self, decision: &str) -> String {
        let step = &self.task.step;
        let place = if decision == "reject" { "on_reject" } else { "on_changes" };
        match (decision, self.run.leads_back_to(step, place)) {
            ("approve", _) => match self.terms().map(|terms| terms.quorum) {
                Some(quorum) if quorum > 1 => format!("counts as one of {quorum} approvals"),
                _ => "the run goes on".to_owned(),
            },
            ("reject", Some(to)) => format!("{to} is done again, with your words"),
            ("reject", None) => format!("{step} fails as rejected"),
            (_, Some(to)) => format!("{to} is done again, with your words"),
            (_, None) => "the step decides what follows".to_owned(),
        }
    }

    /// The value that may be replaced.
    fn value_now(&self) -> Option<String> {
        match &self.task.asks {
            Asks::Approval { value, .. } if !value.is_null() => Some(crate::words::json(value)),
            _ => None,
        }
    }

    /// What the form holds: the value that the person typed, else that of now, since another vote may have replaced the one
    /// that the page showed.
    fn value(&self) -> Option<String> {
        let value = self.value_now()?;
        match self.draft.edit("value") {
            FieldEdit::Text(text) => Some(text.to_owned()),
            // An empty one is no value.
            FieldEdit::Untouched | FieldEdit::Emptied => Some(value),
        }
    }

    /// The rows for remarks: those that were typed, and some that are empty.
    fn remark_rows(&self) -> Vec<RemarkRow> {
        let of = |name: &str, number: usize| self.draft.text(&format!("{name}.{number}")).to_owned();
        let typed = (0..REMARKS_MAX).filter(|number| !self.draft.text(&format!("text.{number}")).is_empty());
        let mut rows: Vec<RemarkRow> = typed
            .map(|at| RemarkRow {
                number: 0,
                on: of("on", at),
                line: of("line", at),
                text: of("text", at),
                quote: of("quote", at),
            })
            .collect();
        rows.extend((0..EMPTY_REMARKS).map(|_| RemarkRow {
            number: 0,
            on: String::new(),
            line: String::new(),
            text: String::new(),
            quote: String::new(),
        }));
        for (number, row) in rows.iter_mut().enumerate() {
            row.number = number;
        }
        rows
    }

    fn has_typed_remarks(&self) -> bool {
        self.remark_rows().len() > EMPTY_REMARKS
    }

    /// What was saved of a field of an answer.
    fn saved(&self, name: &str) -> String {
        SavedAnswer::of(&self.task).map(|saved| saved.part(name)).unwrap_or_default()
    }

    /// A field of an answer: what was typed, else what was saved.
    fn answer(&self, name: &str) -> String {
        self.edited(name, self.saved(name))
    }

    /// What was made of a field, else what it is now.
    fn edited(&self, name: &str, now: String) -> String {
        match self.draft.edit(name) {
            FieldEdit::Untouched => now,
            FieldEdit::Emptied => String::new(),
            FieldEdit::Text(text) => text.to_owned(),
        }
    }

    fn has_choice(&self, option: &str) -> bool {
        self.answer("choice") == option
    }

    /// The parts of a question.
    fn items(&self) -> Vec<ItemRow> {
        let Some(saved) = SavedAnswer::of(&self.task) else { return Vec::new() };
        let row = |(number, item): (usize, &super::task::QuestionItem)| {
            let (answer, state) = (saved.item(&item.id), saved.state(&item.id));
            ItemRow {
                number,
                text: item.text.clone(),
                options: item.options.clone(),
                is_optional: item.optional,
                answer: self.edited(&format!("item.{number}"), answer.clone()),
                saved_answer: answer,
                state: self.edited(&format!("state.{number}"), state.to_owned()),
                saved_state: state.to_owned(),
            }
        };
        saved.items().iter().enumerate().map(row).collect()
    }

    /// The budget that holds the run.
    fn budget(&self) -> Option<&BudgetOfTask> {
        let Asks::Budget { budget, .. } = &self.task.asks else { return None };
        self.run.budget.iter().find(|known| known.id == *budget)
    }

    /// The gates that can be judged by another policy.
    fn gates(&self) -> Vec<&str> {
        let step = self.run.step(&self.task.step);
        step.map(|step| step.gates.iter().map(|gate| gate.gate.as_str()).collect()).unwrap_or_default()
    }

    /// What `retry` does, by why the step is blocked.
    fn retry_means(&self) -> &'static str {
        let Asks::Blocked { reason, .. } = &self.task.asks else { return "" };
        let word = match reason {
            Value::Object(map) => map.keys().next().map(String::as_str).unwrap_or_default(),
            other => other.as_str().unwrap_or_default(),
        };
        match word {
            "gate" | "rejected" | "signal" => "the step's next round begins",
            "used_up" | "unchanged" => "it is sent back once more",
            "no_evidence" | "broken" => "the gate is asked again",
            "held" => "that round begins",
            _ => "the next attempt begins",
        }
    }

    /// Why it is asked now: what ended before, with the verdicts of its gates.
    fn why(&self) -> Option<(String, Vec<GateSaid>)> {
        let step = self.run.ended_before(&self.task)?;
        let round = if step.round > 1 { format!(", round {}", step.round) } else { String::new() };
        Some((format!("{}{round}", step.id), self.history.verdicts(&step.id)))
    }
}

impl GoneTask {
    /// Whether a form says what its caller decided there before.
    pub(super) fn is_repeat(&self, visit: &Visit, fields: &Fields) -> bool {
        self.said.iter().any(|said| said.is_said_by(&visit.who.actor, fields))
    }

    /// The page of its run.
    fn run_path(&self) -> String {
        self.run.as_ref().map(|run| format!("/runs/{}", run.short_id)).unwrap_or_default()
    }

    /// What was typed into the form that came too late.
    fn typed(&self) -> String {
        let is_words = |name: &str| {
            matches!(name, "comment" | "text" | "reason" | "choice" | "output" | "policy")
                || name.starts_with("text.")
                || name.starts_with("item.")
        };
        let fields = self.draft.fields().into_iter().flat_map(|fields| fields.iter());
        let words = fields.filter(|(name, text)| is_words(name) && !text.trim().is_empty());
        words.map(|(_, text)| text).collect::<Vec<_>>().join("\n\n")
    }
}
