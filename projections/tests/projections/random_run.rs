//! Runs that random choices lead through the real core.

use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, InputId, Position, RunId, Version};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_core::artefact::Usage;
use everfold_core::decide::{Decision, Loaded, decide};
use everfold_core::effect::Effect;
use everfold_core::event::{
    AnswerSaved, AttemptNotes, AttemptStarted, CancelRequested, DefinitionSaved, NoteAdded, NoticeSent,
    ProbeFailed, QuestionAnswered, RecheckRequested, RunAdmitted, RunEvent, RunPaused, RunResumed, SearchSet,
    SearchValue, SignalReceived, SpareReason, TimerFired, UnblockDecision, UsageRecorded, VoteCast,
    WorkSpared, decode, encode,
};
use everfold_core::input::{Input, InputKind, Start, StartOptions};
use everfold_core::pipeline_versions::{PipelineEvent, definition_stream};
use everfold_core::state::{Awaited, RunState, effects};
use everfold_language::definition::{NoFiles, OnLost, Vote, parse};
use serde_json::json;

const PIPELINE: &str = "\
name: everything
steps:
  - id: a
    stage: making
    max_rounds: 3
    command: work
    retry: { attempts: 2, backoff: 1s..2s }
    gates:
      - { id: checked, command: check, wake: [ci], poll: { every: 5s, max: 2 }, on_fail: { rework: a, max: 1 } }
      - { id: known, expression: 'step.round > 1 ? true : false', policy: \"evidence.value ? 'pass' : 'pending'\", wake: [ci], poll: { every: 5s, max: 2 } }
  - id: b
    needs: [a]
    foreach: { in: '${[1, 2, 3]}', max_in_flight: 2, fail_fast: false }
    command: work
    on_fail: block
  - id: c
    needs: [a]
    stage: deciding
    approval: { title: Right?, on_reject: { rework: a } }
    on_fail: block
  - id: d
    needs: [b, c]
    command: last
";

/// A run that random choices lead through the core.
pub struct RandomRun {
    pub run: RunId,
    pub state: RunState,
    pub events: Vec<Envelope>,
    now: i64,
    inputs: u128,
}

impl RandomRun {
    /// The run of a number: its id, title and labels follow from it.
    pub fn begin(number: u64) -> Self {
        let parsed = parse(PIPELINE, "everything.yaml", &NoFiles).unwrap().definition;
        let mut document = serde_json::to_value(parsed).unwrap();
        let question = json!({"title": "Which?", "timeout": "5m", "remind": "1m"});
        document["steps"].as_array_mut().unwrap().extend([
            json!({"id": "q", "needs": ["a"], "on_fail": [{"to": "block"}],
                   "remind": {"first": "30s", "every": "1m", "max": 2}, "work": {"question": question}}),
            json!({"id": "qs", "needs": ["a"], "foreach": {"items": "${['x', 'y']}", "fail_fast": false},
                   "on_fail": [{"to": {"rework": "qs"}}], "work": {"question": question}}),
        ]);
        let search = json!({
            "amount": {"type": "number"}, "share": {"value": "${double(input.n) * 0.5}"}, "due": {"type": "time", "value": "${input.due}"},
            "kind": {"value": "${input.n % 2 == 0 ? 'even' : 'odd'}"}, "big": {"value": "${input.n > 4}"}, "tags": {"type": "list"},
        });
        document["search"] = search;
        let definition = Arc::new(serde_json::from_value(document).unwrap());
        let run: RunId =
            format!("0198c1f0-0000-7000-8000-0000dead{:04x}", number * 0x1357 % 0x1_0000).parse().unwrap();
        let mut drawn = Self {
            run,
            state: RunState::new(definition),
            events: Vec::new(),
            now: 1_790_000_000_000 + number.cast_signed() * 500,
            inputs: 0,
        };
        let start = Start {
            run,
            options: StartOptions {
                title: (!number.is_multiple_of(4)).then(|| format!("Deliver Größe {number}")),
                labels: [("team".to_owned(), format!("t{}", number % 3))].into(),
                ..StartOptions::new(JsonText::new(&json!({
                    "n": number, "due": Timestamp(1_790_000_000_000 + number.cast_signed() * 1_000).to_string(),
                })))
            },
            entropy: 7,
            config: None,
            admission: Vec::new(),
            number: None,
        };
        drawn.tell(InputKind::Start(start), Actor::User("ada".into()));
        drawn
    }

    /// The event that saves the definition of these runs, as the first of a log.
    pub fn definition_saved() -> Envelope {
        let document = Self::begin(0).state.definition().document();
        let hash = Hash::of(document.as_bytes());
        let document = JsonText::new(&serde_json::from_str(&document).unwrap());
        let saved = DefinitionSaved { hash, name: "everything".to_owned(), document };
        let (kind, schema, payload) = PipelineEvent::DefinitionSaved(saved).encode().unwrap();
        let header = EventHeader {
            stream: definition_stream(&hash),
            version: Version(1),
            recorded_at: Timestamp(1_789_999_999_000),
            actor: Actor::Engine,
            cause: Cause { input: InputId::default(), because: Version(0) },
            kind,
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let NewEvent { header, hash, payload } = NewEvent::link(header, payload, &Hash::ZERO);
        let committed_at = header.recorded_at;
        Envelope { header, hash, position: Position(1), committed_at, payload }
    }

    /// Decides on an input; a refused one changes nothing.
    fn tell(&mut self, kind: InputKind, actor: Actor) {
        self.inputs += 1;
        self.now += 1_000;
        let input = Input { id: InputId(self.inputs.to_be_bytes()), at: Timestamp(self.now), actor, kind };
        let because = self.state.version();
        let Ok(Decision::Events(batch)) = decide(&mut self.state, &input, &Loaded::default()) else { return };
        for event in batch.events {
            let (schema, payload) = encode(&event).unwrap();
            let number = self.events.len() as u64 + 1;
            let previous = self.events.last().map_or(Hash::ZERO, |event| event.hash);
            let header = EventHeader {
                stream: StreamId::run(self.run),
                version: Version(number),
                recorded_at: input.at,
                actor: input.actor.clone(),
                cause: Cause { input: input.id, because },
                kind: event.kind(),
                schema,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let NewEvent { header, hash, payload } = NewEvent::link(header, payload, &previous);
            self.events.push(Envelope {
                header,
                hash,
                position: Position(number),
                committed_at: input.at,
                payload,
            });
        }
    }

    /// Somebody cancels it. What works must end before it does.
    pub fn cancel(&mut self) {
        self.tell(InputKind::Cancel(CancelRequested { reason: None }), Actor::User("ada".into()));
    }

    /// Somebody leaves a note.
    pub fn note(&mut self) {
        self.tell(InputKind::Note(NoteAdded { text: "late".into() }), Actor::User("ada".into()));
    }

    /// Lets something happen that can happen now.
    pub fn step(&mut self, which: usize, how: u8) {
        let open = effects(&self.state);
        if let Some(effect) = open.get(which % open.len().max(1))
            && how < 200
        {
            return self.happen(effect.clone(), how);
        }
        let user = Actor::User("ada".into());
        match how % 9 {
            6 => self.tell(
                InputKind::Signal(SignalReceived {
                    name: "ci".into(),
                    payload: Payload::Inline(JsonText::null()),
                    delivery: None,
                }),
                Actor::Hook("ci".into()),
            ),
            7 => {
                let path = "a".parse().unwrap();
                let policy = ("checked".to_owned(), "true".to_owned());
                let policies = which.is_multiple_of(2).then_some(policy).into_iter().collect();
                self.tell(InputKind::Recheck(RecheckRequested { path, policies, reason: None }), user);
            }
            8 => self.late(which),
            0 | 1 => {
                let asked = self.state.awaited().into_iter().find_map(|awaited| match awaited {
                    Awaited::Approval { id, .. } => Some((id, false)),
                    Awaited::Question { id, .. } => Some((id, true)),
                    _other => None,
                });
                if let Some((id, true)) = asked {
                    let answer = JsonText::new(&json!({"text": "that one"}));
                    let kind = match how % 4 {
                        0 => InputKind::SaveAnswer(AnswerSaved {
                            id,
                            answer: Payload::Inline(answer),
                            roles: Vec::new(),
                        }),
                        _ => InputKind::Answer(QuestionAnswered {
                            id,
                            answer: Payload::Inline(answer),
                            roles: Vec::new(),
                        }),
                    };
                    self.tell(kind, user);
                } else if let Some((id, false)) = asked {
                    let vote = if how.is_multiple_of(2) { Vote::Approve } else { Vote::Reject };
                    self.tell(
                        InputKind::Vote(VoteCast {
                            id,
                            vote,
                            comment: None,
                            roles: Vec::new(),
                            comments: Vec::new(),
                            edited: None,
                            seen: None,
                        }),
                        user,
                    );
                }
            }
            2 | 3 => {
                let decision =
                    if how.is_multiple_of(2) { UnblockDecision::Retry } else { UnblockDecision::Skip };
                let path = self.state.awaited().into_iter().find_map(|awaited| match awaited {
                    Awaited::Unblock { path, .. } => Some(path),
                    _other => None,
                });
                self.tell(
                    InputKind::Unblock {
                        path,
                        decision,
                        output: None,
                        reason: None,
                        policies: Default::default(),
                        keeps_items: true,
                    },
                    user,
                );
            }
            4 if how.is_multiple_of(2) => {
                self.tell(InputKind::Cancel(CancelRequested { reason: None }), user)
            }
            4 => self.tell(InputKind::Pause(RunPaused { reason: None, interrupt: false }), user),
            _ => {
                let open = effects(&self.state);
                let working = open.iter().find_map(|effect| match effect {
                    Effect::Attempt { id, .. } => Some(id.clone()),
                    _other => None,
                });
                match working.filter(|_| !which.is_multiple_of(4)) {
                    Some(id) if which.is_multiple_of(2) => self.search(id, which),
                    Some(id) => self.used(id, which),
                    // What comes behind the end changes the row of an ended run.
                    None if self.state.is_ended() => self.note(),
                    None => self.tell(InputKind::Resume(RunResumed { reason: None, prompt: None }), user),
                }
            }
        }
    }

    /// An attempt says what its run is found by.
    fn search(&mut self, id: AttemptId, which: usize) {
        let tags = ["red", "blue", "x y"][..which % 3 + 1].iter().map(|tag| (*tag).to_owned()).collect();
        let values = [
            ("amount".to_owned(), (!which.is_multiple_of(5)).then_some(SearchValue::Whole(which as i64 % 7))),
            ("tags".to_owned(), (!which.is_multiple_of(4)).then_some(SearchValue::Texts(tags))),
        ];
        let set = SearchSet { id: Some(id), values: values.into() };
        self.tell(InputKind::SetSearch(set), Actor::Engine);
    }

    /// The work of an attempt is not done.
    fn spare(&mut self, id: AttemptId, which: usize) {
        let version = Some(Version(which as u64 + 1));
        let reason = SpareReason::Held { would: format!("POST /{which}"), version };
        self.tell(InputKind::Spare(WorkSpared { id, reason }), Actor::Engine);
    }

    /// An attempt reports what it used up.
    fn used(&mut self, id: AttemptId, which: usize) {
        let usage = Usage {
            model: which.is_multiple_of(2).then(|| format!("model-{}", which % 3)),
            input_tokens: 100,
            output_tokens: which as u64,
            cost_micros: 1_000 * self.inputs as u64,
            ..Usage::default()
        };
        let seq = self.inputs as u32;
        self.tell(InputKind::Usage(UsageRecorded { id, seq, usage, less_micros: 0 }), Actor::Engine);
    }

    /// A probe answers, perhaps of a round that was reset.
    fn late(&mut self, which: usize) {
        let asked = self.events.iter().filter_map(|event| {
            match decode(event.header.kind, event.header.schema, &event.payload).unwrap() {
                RunEvent::ProbeScheduled(probe) => Some((probe.id, probe.gate, probe.probe_no)),
                _other => None,
            }
        });
        let asked: Vec<_> = asked.collect();
        if let Some((id, gate, probe_no)) = asked.get(which % asked.len().max(1)).cloned() {
            let evidence = JsonText::new(&json!({ "argv": ["check"], "exit": 0, "output": "late" }));
            let kind = InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms: 1 };
            self.tell(kind, Actor::Engine);
        }
    }

    fn happen(&mut self, effect: Effect, how: u8) {
        let kind = match effect {
            Effect::Attempt { id, started: false } if how.is_multiple_of(3) => {
                InputKind::AttemptStarted(AttemptStarted { id, began_at: None, holder: None })
            }
            Effect::Attempt { id, .. } | Effect::Stop { id } if how.is_multiple_of(11) => {
                InputKind::AttemptLost { id, reason: "gone".into(), fallback: OnLost::Block }
            }
            Effect::Attempt { id, .. } | Effect::Stop { id } => {
                if how.is_multiple_of(2) {
                    self.search(id.clone(), usize::from(how) / 2);
                }
                if how.is_multiple_of(7) {
                    self.spare(id.clone(), usize::from(how));
                }
                let result = match how % 4 {
                    0 => Err(Failure::new(FailureKind::Exit, "exit 1")),
                    _ => Ok(JsonText::new(&json!({ "exit_code": 0, "stdout": "" }))),
                };
                let mut notes = AttemptNotes::default();
                if how.is_multiple_of(5) {
                    notes.labels.insert("by".into(), format!("{id} {how}"));
                }
                let ask = (how % 9 == 1).then(|| JsonText::new(&json!({"text": "which one?"})));
                InputKind::AttemptFinished {
                    id,
                    result,
                    commit: None,
                    artefacts: Vec::new(),
                    ended_at: Timestamp(self.now),
                    notes,
                    ask,
                }
            }
            Effect::Probe { id, gate, probe_no } if how.is_multiple_of(7) => {
                InputKind::ProbeFailed(ProbeFailed {
                    id,
                    gate,
                    probe_no,
                    message: "no answer".into(),
                    permanent: false,
                    took_ms: 1,
                    broken: false,
                })
            }
            Effect::Probe { id, gate, probe_no } => InputKind::ProbeFinished {
                id,
                gate,
                probe_no,
                evidence: JsonText::new(
                    &json!({ "argv": ["check"], "exit": u8::from(how.is_multiple_of(3)), "output": "" }),
                ),
                took_ms: 1,
            },
            Effect::Notice { version, notice, .. } => {
                InputKind::NoticeSent(NoticeSent { version, notice, tries: 1, reason: None })
            }
            Effect::Timer { timer, at } => {
                self.now = self.now.max(at.0);
                InputKind::TimerFired(TimerFired { timer, due: at })
            }
            Effect::Workspace => InputKind::WorkspacePrepared(Err(Failure::new(FailureKind::Spawn, "none"))),
            Effect::Advance => InputKind::Advance,
            Effect::Slots => InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false }),
            Effect::Funds { .. } | Effect::SpendReport { .. } => return,
        };
        self.tell(kind, Actor::Engine);
    }
}
