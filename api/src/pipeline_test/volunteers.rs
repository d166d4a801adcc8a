//! People of a dry run: who is asked approves, gives the first answer, and sends the signal that is awaited.
//!
//! Law: they act only where no person of a case does, at the moment in which nothing else is to be done; what they say
//! goes to the engine as a person's word would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::definition::Vote;
use everfold_engine::definition::case::{CaseDecision, CaseDecisionKind};
use everfold_engine::driver::{Engine, Submission};
use everfold_engine::event::{ApprovalTerms, QuestionTerms, RunEvent, SignalReceived};
use everfold_engine::id::{AttemptId, RunId, StepId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload, Value};
use everfold_engine::state::Awaited;
use serde_json::{Map, json};

use super::made_up;
use super::people::{OpenTask, input_of};

/// Voters of one approval.
const VOTERS_MAX: u32 = 100;

/// What a step asks.
enum Asked {
    Approval(AttemptId, ApprovalTerms),
    Question(AttemptId, QuestionTerms),
}

/// The people of a dry run.
pub(super) struct Volunteers {
    open: BTreeMap<(RunId, StepPath), Asked>,
    /// Waits whose signal was sent.
    sent: BTreeSet<(RunId, String)>,
    /// The schemas of answers, by the step that asks.
    schemas: BTreeMap<StepId, Value>,
    /// What they answered: tasks by their id, signals by their name.
    said: BTreeSet<(RunId, String)>,
    /// Why a word of theirs was refused.
    refused: Vec<String>,
}

impl Volunteers {
    pub(super) fn new(schemas: BTreeMap<StepId, Value>) -> Self {
        let (open, sent, said) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { open, sent, schemas, said, refused: Vec::new() }
    }

    /// What they answered: tasks by their id, signals by their name.
    pub(super) fn said(&self) -> &BTreeSet<(RunId, String)> {
        &self.said
    }

    /// Why words of theirs were refused.
    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.clone()
    }

    /// Takes note of what is asked, and of what is not asked any more.
    pub(super) fn note(&mut self, run: RunId, event: &RunEvent) {
        let (path, asked) = match event {
            RunEvent::ApprovalRequested(event) => {
                (&event.id.path, Some(Asked::Approval(event.id.clone(), event.terms.clone())))
            }
            RunEvent::QuestionAsked(event) => {
                (&event.id.path, Some(Asked::Question(event.id.clone(), event.terms.clone())))
            }
            RunEvent::ApprovalDecided(event) => (&event.id.path, None),
            RunEvent::QuestionAnswered(event) => (&event.id.path, None),
            RunEvent::StepScheduled(event) => {
                self.sent.remove(&(run, event.id.path.to_string()));
                return;
            }
            _other => return,
        };
        match asked {
            Some(asked) => drop(self.open.insert((run, path.clone()), asked)),
            None => drop(self.open.remove(&(run, path.clone()))),
        }
    }

    /// Says all that is asked now; whether there was anything.
    pub(super) async fn act(&mut self, engine: &Engine, runs: &BTreeSet<RunId>) -> bool {
        let mut acted = false;
        for ((run, path), asked) in std::mem::take(&mut self.open) {
            acted = true;
            let (Asked::Approval(id, _) | Asked::Question(id, _)) = &asked;
            self.said.insert((run, id.to_string()));
            for (by, kind) in self.words(&path, &asked) {
                self.say(engine, run, kind, by, &path.to_string()).await;
            }
        }
        for run in runs {
            let awaited = engine.with_state(*run, |state| {
                let waits = state.awaited().into_iter().filter_map(|awaited| match awaited {
                    Awaited::Signal { path, name } => Some((path.to_string(), name)),
                    _other => None,
                });
                waits.collect::<Vec<_>>()
            });
            for (path, name) in awaited.await.unwrap_or_default() {
                if self.sent.insert((*run, path.clone())) {
                    acted = true;
                    self.said.insert((*run, name.clone()));
                    let payload = Payload::Inline(JsonText::new(&json!({})));
                    let signal = InputKind::Signal(SignalReceived { name, payload, delivery: None });
                    self.say(engine, *run, signal, "someone".to_owned(), &path).await;
                }
            }
        }
        acted
    }

    /// What is said, and by which user.
    fn words(&self, path: &StepPath, asked: &Asked) -> Vec<(String, InputKind)> {
        let decision = |kind, by: &str, roles: &[String]| CaseDecision {
            task: path.clone(),
            kind,
            by: by.to_owned(),
            roles: roles.to_vec(),
            after: Duration::ZERO,
            refused: None,
            line: 0,
        };
        match asked {
            Asked::Approval(id, terms) => {
                let comment = terms.comment.contains(&Vote::Approve).then(|| made_up::text("comment"));
                let voters =
                    (1..=terms.quorum.clamp(1, VOTERS_MAX)).map(|number| format!("approver {number}"));
                let vote = |by: String| {
                    let kind =
                        CaseDecisionKind::Vote { vote: Vote::Approve, comment: comment.clone(), value: None };
                    let word = input_of(&decision(kind, &by, &terms.roles), &OpenTask::Approval(id.clone()));
                    (by, word)
                };
                voters.map(vote).collect()
            }
            Asked::Question(id, terms) => {
                let kind = CaseDecisionKind::Answer(first_answer(terms, self.schemas.get(&path.step)));
                let by = "someone";
                let word = input_of(&decision(kind, by, &terms.roles), &OpenTask::Question(id.clone()));
                vec![(by.to_owned(), word)]
            }
        }
    }

    async fn say(&mut self, engine: &Engine, run: RunId, kind: InputKind, by: String, path: &str) {
        let submission = Submission { run, kind, actor: Actor::User(by), id: None, dedup: None };
        if let Err(error) = engine.submit(submission).await {
            self.refused.push(format!("{path}: what is made up for it is refused: {error}"));
        }
    }
}

/// The first answer that a question takes: `{choice?, text?, items?}`.
fn first_answer(terms: &QuestionTerms, schema: Option<&Value>) -> Value {
    let mut answer = Map::new();
    if let Some(option) = terms.options.first() {
        answer.insert("choice".to_owned(), json!(option));
    }
    let items = terms.items.as_ref().map(JsonText::value).unwrap_or_default();
    let item = |item: &Value| {
        let id = item["id"].as_str()?;
        let first = item["options"].as_array().and_then(|options| options.first()).cloned();
        Some((id.to_owned(), first.unwrap_or_else(|| json!(made_up::text(id)))))
    };
    let items: Map<String, Value> = items.as_array().into_iter().flatten().filter_map(item).collect();
    if !items.is_empty() {
        answer.insert("items".to_owned(), Value::Object(items));
    }
    if answer.is_empty() {
        return match schema {
            Some(schema) => made_up::example("answer", schema),
            None => json!({"text": made_up::text("answer")}),
        };
    }
    Value::Object(answer)
}
