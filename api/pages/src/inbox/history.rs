//! What came before a question: former rounds with what people said, and why it is asked now.

use serde::Deserialize;
use serde_json::Value;

use super::budget::BudgetOfTask;
use super::task::{Remark, Seen, SeenPart, Task};
use crate::form::Fields;
use crate::frame::Visit;
use crate::problem::Problem;

/// A decision of a run, as far as the inbox tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Decided {
    pub(crate) version: u64,
    pub(crate) at: String,
    pub(crate) actor: String,
    pub(crate) step: Option<String>,
    pub(crate) round: Option<u32>,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What was decided.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum What {
    Gate {
        gate: String,
        verdict: String,
        reason: String,
    },
    Vote {
        vote: String,
        #[serde(default)]
        comment: Option<String>,
        #[serde(default)]
        comments: Vec<Remark>,
        #[serde(default)]
        edited: Option<Value>,
    },
    Answer {
        #[serde(default)]
        answer: Value,
    },
    Approval {
        decision: String,
        #[serde(default)]
        seen: Option<Seen>,
    },
    Override {
        decision: String,
        #[serde(default)]
        reason: Option<String>,
    },
    Recheck {
        #[serde(default)]
        reason: Option<String>,
    },
    Expiry,
    Rework,
    Cancel,
}

impl Decided {
    /// The verb, as a sentence about its actor needs it: `approved`.
    pub(crate) fn verb(&self) -> String {
        match &self.what {
            What::Vote { vote, .. } => vote_verb(vote).to_owned(),
            What::Approval { decision, .. } => vote_verb(decision).to_owned(),
            What::Answer { .. } => "answered".to_owned(),
            What::Override { decision, .. } => format!("unblocked it: {decision}"),
            What::Recheck { .. } => "had it judged again".to_owned(),
            What::Gate { gate, verdict, .. } => format!("{gate}: {verdict}"),
            What::Expiry => "no one decided in time".to_owned(),
            What::Rework => "sent it back".to_owned(),
            What::Cancel => "cancelled".to_owned(),
        }
    }

    /// The tone of the verb.
    pub(crate) fn tone(&self) -> &'static str {
        match &self.what {
            What::Vote { vote, .. } if vote == "approve" => "tone-good",
            What::Vote { vote, .. } if vote == "reject" => "tone-bad",
            What::Vote { .. } => "tone-blocked",
            _ => "tone-waiting",
        }
    }

    /// What was said with it.
    pub(crate) fn words(&self) -> String {
        match &self.what {
            What::Vote { comment, .. } => comment.clone().unwrap_or_default(),
            What::Override { reason, .. } | What::Recheck { reason } => reason.clone().unwrap_or_default(),
            What::Answer { answer } => answer_words(answer),
            _ => String::new(),
        }
    }

    /// Remarks on what was shown.
    pub(crate) fn remarks(&self) -> &[Remark] {
        match &self.what {
            What::Vote { comments, .. } => comments,
            _ => &[],
        }
    }

    /// The value that was put in the place of the shown one.
    pub(crate) fn edited(&self) -> Option<&Value> {
        match &self.what {
            What::Vote { edited, .. } => edited.as_ref(),
            _ => None,
        }
    }

    /// Whether it is what somebody said by a form, such as one that is sent once more as its answer was lost.
    pub(crate) fn is_said_by(&self, actor: &str, fields: &Fields) -> bool {
        let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        let is_word = |name: &str, word: &str| plain(fields.text(name).unwrap_or_default()) == plain(word);
        let decision = fields.text("decision").unwrap_or_default();
        let is_same = match &self.what {
            What::Vote { vote, comment, .. } => {
                decision == vote && is_word("comment", comment.as_deref().unwrap_or_default())
            }
            What::Override { decision: taken, reason } => {
                decision == taken && is_word("reason", reason.as_deref().unwrap_or_default())
            }
            What::Recheck { reason } => {
                decision == "recheck" && is_word("reason", reason.as_deref().unwrap_or_default())
            }
            What::Answer { answer } => {
                let said = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
                decision == "answer" && is_word("text", said("text")) && is_word("choice", said("choice"))
            }
            _ => false,
        };
        is_same && self.actor == actor
    }

    /// The place of the route that it takes to have a step done again: `on_reject`, `on_changes`.
    pub(crate) fn sends_back(&self) -> Option<&'static str> {
        match &self.what {
            What::Vote { vote, .. } if vote == "reject" => Some("on_reject"),
            What::Vote { vote, .. } if vote == "changes" => Some("on_changes"),
            _ => None,
        }
    }

    fn is_of_person(&self) -> bool {
        matches!(
            self.what,
            What::Vote { .. }
                | What::Answer { .. }
                | What::Override { .. }
                | What::Recheck { .. }
                | What::Expiry
        )
    }
}

/// An answer to a question in one line.
fn answer_words(answer: &Value) -> String {
    let mut words = Vec::new();
    for name in ["choice", "text"] {
        words.extend(answer.get(name).and_then(Value::as_str).map(str::to_owned));
    }
    for (id, given) in answer.get("items").and_then(Value::as_object).into_iter().flatten() {
        words.push(format!("{id}: {}", crate::words::json(given)));
    }
    words.join(" · ")
}

fn vote_verb(vote: &str) -> &str {
    match vote {
        "approve" => "approved",
        "reject" => "rejected",
        "changes" => "asked for changes",
        other => other,
    }
}

/// The decisions of a run, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Vec<Decided>);

#[derive(Deserialize)]
struct DecisionPage {
    items: Vec<Value>,
}

impl History {
    /// Reads what was decided of a run, up to a version of it.
    pub(crate) async fn load(visit: &Visit, run: &str, until: Option<u64>) -> Result<Self, Problem> {
        let page: DecisionPage = visit.rest.get(&format!("/runs/{run}/audit")).await?;
        // Decisions of kinds that a later version of the program adds are not told here.
        let known = page.items.iter().filter_map(|item| Decided::deserialize(item).ok());
        Ok(Self(known.filter(|item| until.is_none_or(|until| item.version <= until)).collect()))
    }

    /// What people decided about a step, by round, newest first; only rounds before the given one.
    pub(crate) fn former_rounds(&self, step: &str, before: u32) -> Vec<FormerRound> {
        let mut rounds: Vec<FormerRound> = Vec::new();
        for item in
            self.0.iter().rev().filter(|item| item.step.as_deref() == Some(step) && item.is_of_person())
        {
            let Some(round) = item.round.filter(|round| *round < before) else { continue };
            match rounds.last_mut() {
                Some(last) if last.round == round => last.said.insert(0, item.clone()),
                _ => rounds.push(FormerRound { round, said: vec![item.clone()] }),
            }
        }
        rounds
    }

    /// What the newest decided round of a step before the given one showed.
    pub(crate) fn formerly_seen(&self, step: &str, before: u32) -> Vec<SeenPart> {
        let of_step = self.0.iter().rev().filter(|item| item.step.as_deref() == Some(step));
        let seen =
            of_step.filter(|item| item.round.is_some_and(|round| round < before)).find_map(
                |item| match &item.what {
                    What::Approval { seen, .. } => seen.clone(),
                    _ => None,
                },
            );
        seen.map(|seen| seen.parts).unwrap_or_default()
    }

    /// What people decided in one round of a step.
    pub(crate) fn of_round(&self, step: &str, round: u32) -> Vec<Decided> {
        let is_of = |item: &&Decided| {
            item.step.as_deref() == Some(step)
                && item.is_of_person()
                && item.round.is_none_or(|of| of == round)
        };
        self.0.iter().filter(is_of).cloned().collect()
    }

    /// What somebody decided last about a step.
    pub(crate) fn last_of(&self, step: &str) -> Option<&Decided> {
        self.0.iter().rev().find(|item| item.step.as_deref() == Some(step) && item.is_of_person())
    }

    /// The newest verdict of each gate of a step.
    pub(crate) fn verdicts(&self, step: &str) -> Vec<GateSaid> {
        let mut verdicts: Vec<GateSaid> = Vec::new();
        for item in self.0.iter().rev().filter(|item| item.step.as_deref() == Some(step)) {
            if let What::Gate { gate, verdict, reason } = &item.what
                && !verdicts.iter().any(|known| known.gate == *gate)
            {
                let (gate, verdict, reason) = (gate.clone(), verdict.clone(), reason.clone());
                verdicts.insert(0, GateSaid { gate, verdict, reason });
            }
        }
        verdicts
    }
}

/// What a gate said last.
#[derive(Debug, Clone)]
pub(crate) struct GateSaid {
    pub(crate) gate: String,
    pub(crate) verdict: String,
    pub(crate) reason: String,
}

/// A round that is over, with what people said in it.
#[derive(Debug, Clone)]
pub(crate) struct FormerRound {
    pub(crate) round: u32,
    pub(crate) said: Vec<Decided>,
}

impl FormerRound {
    /// How it ended: `rejected by ada`.
    pub(crate) fn outcome(&self) -> String {
        let last = self.said.last();
        last.map(|last| format!("{} by {}", last.verb(), crate::words::actor(&last.actor)))
            .unwrap_or_default()
    }
}

/// The run of a task, as far as the inbox tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RunOfTask {
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) version: u64,
    pub(crate) started_by: String,
    /// Who is behind the start, where that is another.
    #[serde(default)]
    pub(crate) initiator: Option<String>,
    #[serde(default)]
    pub(crate) steps: Vec<StepOfTask>,
    #[serde(default)]
    pub(crate) routes: Vec<RouteOfTask>,
    #[serde(default)]
    pub(crate) awaits: Vec<Value>,
    #[serde(default)]
    pub(crate) budget: Vec<BudgetOfTask>,
}

impl RunOfTask {
    /// Whether a caller started it, or is behind its start.
    pub(crate) fn is_of(&self, actor: &str) -> bool {
        self.started_by == actor || self.initiator.as_deref() == Some(actor)
    }
}

/// A step of it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StepOfTask {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) round: u32,
    pub(crate) ended_at: Option<String>,
    #[serde(default)]
    pub(crate) gates: Vec<GateOfTask>,
    pub(crate) failure: Option<FailureOfTask>,
}

/// A gate of a step.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GateOfTask {
    pub(crate) gate: String,
}

/// How a step failed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FailureOfTask {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) hint: Option<String>,
}

/// Where a decision leads.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RouteOfTask {
    /// `None`: it is the pipeline's own.
    #[serde(default)]
    pub(crate) step: Option<String>,
    pub(crate) place: String,
    pub(crate) to: String,
}

impl RunOfTask {
    /// Reads it at the moment that the page shows.
    pub(crate) async fn load(visit: &Visit, run: &str) -> Result<Self, Problem> {
        match visit.at {
            None => visit.rest.get(&format!("/runs/{run}")).await,
            Some(_) => visit.rest.get(&visit.at_moment(&format!("/runs/{run}/state"))).await,
        }
    }

    /// The run's title, or its pipeline.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.pipeline)
    }

    /// The step that a decision about a step leads back to: `on_reject`, `on_changes`.
    pub(crate) fn leads_back_to(&self, step: &str, place: &str) -> Option<&str> {
        let step = plain_step(step);
        let is_it =
            |route: &&RouteOfTask| route.step.as_deref() == Some(step) && route.place.starts_with(place);
        let found = self.routes.iter().find(is_it);
        found.map(|route| route.to.as_str())
    }

    /// A step by its name or that of an item.
    pub(crate) fn step(&self, step: &str) -> Option<&StepOfTask> {
        self.steps.iter().find(|known| known.id == plain_step(step))
    }

    /// The step that ended last before something was asked: why it is asked now.
    pub(crate) fn ended_before(&self, task: &Task) -> Option<&StepOfTask> {
        // A skipped step did nothing that a person could want to know of.
        let ended =
            self.steps.iter().filter(|step| step.id != plain_step(&task.step) && step.status != "skipped");
        let before =
            ended.filter(|step| step.ended_at.as_deref().is_some_and(|at| at <= task.since.as_str()));
        before.max_by_key(|step| step.ended_at.clone())
    }
}

/// A step's id without its item.
pub(crate) fn plain_step(step: &str) -> &str {
    step.split('.').next().unwrap_or(step)
}
