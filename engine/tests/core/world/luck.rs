//! What the world answers where a number of luck decides.

use std::time::Duration;

use everfold_engine::decide::plan;
use everfold_engine::definition::OnLost;
use everfold_engine::effect::Effect;
use everfold_engine::event::{BudgetReading, BudgetRefusal, Measure, Spent, TimerKind};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::trace::Workspace;
use serde_json::{Value, json};

use super::World;

impl World {
    /// Answers one effect as the world of tests does: by what `luck` says.
    pub fn answer(&mut self, effect: &Effect, luck: u8) {
        let ended_at = self.now;
        if let Effect::Attempt { id, started } = effect
            && plan::executor(&self.state, id) == Some("agent")
        {
            if !started && self.state.wants_funds(id) {
                let kind = InputKind::FundsWanted { id: id.clone() };
                self.give(kind).expect("reports are never refused");
                return;
            }
            if self.state.budgets(self.now).next().is_some() {
                self.use_up(id, u64::from(luck % 4) * 400_000);
            }
        }
        let kind = match effect {
            Effect::Attempt { id, .. } => match luck % 8 {
                0..4 => InputKind::AttemptFinished {
                    id: id.clone(),
                    result: Ok(output(luck)),
                    commit: Some(format!("c{luck}")),
                    artefacts: Vec::new(),
                    ended_at,
                    told: Default::default(),
                    ask: None,
                },
                4 if luck % 16 == 4 => InputKind::AttemptStarted { id: id.clone() },
                4 => InputKind::AttemptFinished {
                    id: id.clone(),
                    result: Ok(JsonText::null()),
                    commit: None,
                    artefacts: Vec::new(),
                    ended_at,
                    told: Default::default(),
                    ask: Some(ask(luck)),
                },
                5 => {
                    InputKind::AttemptLost { id: id.clone(), reason: "gone".into(), fallback: fallback(luck) }
                }
                _ => InputKind::AttemptFinished {
                    id: id.clone(),
                    result: Err(Failure::new(FailureKind::Exit, "exit 1")),
                    commit: None,
                    artefacts: Vec::new(),
                    ended_at,
                    told: Default::default(),
                    ask: None,
                },
            },
            Effect::Stop { id } => InputKind::AttemptFinished {
                id: id.clone(),
                result: if luck.is_multiple_of(3) {
                    Ok(json!("late").into())
                } else {
                    Err(Failure::new(FailureKind::Cancelled, "stopped"))
                },
                commit: None,
                artefacts: Vec::new(),
                ended_at,
                told: Default::default(),
                ask: None,
            },
            Effect::Probe { id, gate, probe_no } => {
                let plan = plan::probe(&self.state, id, gate, &self.all_loaded()).expect("all is loaded");
                let plan = plan.expect("a listed probe has a plan");
                let (id, gate, probe_no) = (id.clone(), gate.clone(), *probe_no);
                if plan.kind == "members" {
                    let evidence = members(plan.spec, luck);
                    InputKind::ProbeFinished { id, gate, probe_no, evidence: evidence.into(), took_ms: 1 }
                } else if luck.is_multiple_of(5) {
                    let permanent = luck.is_multiple_of(2);
                    InputKind::ProbeFailed {
                        id,
                        gate,
                        probe_no,
                        message: "unreadable".into(),
                        permanent,
                        took_ms: 1,
                        broken: false,
                    }
                } else {
                    let evidence = json!({"exit": u8::from(!luck.is_multiple_of(3)), "output": "x".repeat(usize::from(luck) * 20)});
                    InputKind::ProbeFinished { id, gate, probe_no, evidence: evidence.into(), took_ms: 1 }
                }
            }
            Effect::Timer { timer, at } => {
                if !matches!(timer.kind, TimerKind::Timeout | TimerKind::Deadline) {
                    self.now = self.now.max(*at);
                }
                InputKind::TimerFired { timer: timer.clone(), due: *at }
            }
            Effect::Workspace => InputKind::WorkspacePrepared(if luck.is_multiple_of(7) {
                Err(Failure::new(FailureKind::Spawn, "no repository"))
            } else {
                Ok(Workspace {
                    path: "/w".into(),
                    repository: luck.is_multiple_of(2).then(|| "/repository".into()),
                    branch: Some("b".into()),
                    base: None,
                    commit: Some("c0".into()),
                })
            }),
            Effect::Notice { version, notice, .. } => InputKind::NoticeFinished {
                version: *version,
                notice: notice.clone(),
                tries: u32::from(luck % 3) + 1,
                failure: luck.is_multiple_of(4).then(|| "nobody there".to_owned()),
            },
            Effect::Advance => InputKind::Advance,
            Effect::Slots => InputKind::Admitted { admission: Vec::new(), at_once: false },
            Effect::Funds { id, .. } => {
                let budget = self.state.shared_budgets().next().expect("one that is asked").id.clone();
                let spent = Spent { cost_micros: u64::from(luck) * 10_000, ..Spent::default() };
                let until = luck.is_multiple_of(2).then(|| self.now.plus(Duration::from_secs(60)));
                let reading = BudgetReading {
                    budget: budget.clone(),
                    spent,
                    reserved_micros: 0,
                    raised: Spent::default(),
                    until,
                };
                let refused =
                    luck.is_multiple_of(3).then_some(BudgetRefusal { budget, measure: Measure::Cost });
                InputKind::FundsAnswered { id: id.clone(), refused, readings: vec![reading] }
            }
            Effect::SpendReport { version } => {
                InputKind::SpendReported { version: *version, readings: Vec::new() }
            }
        };
        self.give(kind).expect("reports are never refused");
    }
}

/// What the members of a gate say, by luck.
fn members(mut list: Value, luck: u8) -> Value {
    for (at, member) in list["members"].as_array_mut().into_iter().flatten().enumerate() {
        let fields = member.as_object_mut().expect("a member");
        let Some(spec) = fields.remove("spec") else { continue };
        let luck = luck.wrapping_add(u8::try_from(at * 7).unwrap_or(0));
        if spec.get("members").is_some() {
            fields.insert("evidence".into(), members(spec, luck));
        } else if luck.is_multiple_of(5) {
            fields.insert("message".into(), json!("unreadable"));
            if luck.is_multiple_of(2) {
                fields.insert("permanent".into(), json!(true));
            }
        } else {
            let exit = u8::from(!luck.is_multiple_of(3));
            fields.insert(
                "evidence".into(),
                json!({"exit": exit, "output": "x".repeat(usize::from(luck) * 20)}),
            );
        }
    }
    list
}

/// Sometimes small, sometimes too large for the state, sometimes for the event.
fn output(luck: u8) -> JsonText {
    match luck % 4 {
        0 => json!({"ok": true, "n": luck}).into(),
        1 => json!("x".repeat(2_000 + usize::from(luck))).into(),
        2 => json!(["y".repeat(40_000), luck]).into(),
        _ => json!(null).into(),
    }
}

/// Sometimes one that can be asked, sometimes not.
fn ask(luck: u8) -> JsonText {
    match luck % 5 {
        0 => json!({"text": "which one?", "options": ["a", "b"]}).into(),
        1 => json!({"text": "z".repeat(3_000)}).into(),
        2 => {
            json!({"text": "all of them?", "items": ["one", {"id": "two", "text": "two", "options": [1, 2]}]})
                .into()
        }
        3 => json!({"text": "why?"}).into(),
        _ => json!({"options": ["a"]}).into(),
    }
}

fn fallback(luck: u8) -> OnLost {
    match luck % 3 {
        0 => OnLost::Retry,
        1 => OnLost::Block,
        _ => OnLost::Fail,
    }
}
