//! The machine that engines come and go on: processes that outlive them, functions that do not.
//!
//! What a piece of work does follows from its name and the seed alone, so that it is the same however
//! often engines die in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use everfold_engine::artefact::Usage;
use everfold_engine::clock::Clock;
use everfold_engine::definition::Definition;
use everfold_engine::driver::Blobs;
use everfold_engine::execution::{AttemptEnd, AttemptResult};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::json::{BlobRef, Hash, Value};
use everfold_engine::time::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::luck::Luck;
use super::side_effects::SideEffects;

#[derive(Clone)]
pub enum Process {
    /// Asked for, and nothing began: no room.
    Unbegun,
    Living(watch::Sender<Option<Exit>>, PathBuf),
    /// It went with its machine, and left no record.
    Gone,
}

#[derive(Clone)]
pub struct Exit {
    pub end: AttemptEnd,
}

/// What becomes of attempts that are offered to workers.
#[derive(Default)]
pub struct Offers {
    /// A worker takes it, and it is not durable yet.
    pub lending: BTreeSet<EffectId>,
    /// No worker gets it any more.
    pub cancelled: BTreeSet<EffectId>,
}

/// The machine.
pub struct FakeMachine {
    pub side_effects: Arc<SideEffects>,
    pub clock: Clock,
    seed: u64,
    /// From here on everything goes well.
    calm: AtomicBool,
    processes: Mutex<BTreeMap<EffectId, Process>>,
    offers: Mutex<Offers>,
    blobs: Mutex<BTreeMap<(RunId, Hash), Vec<u8>>>,
    pub prepared: Mutex<BTreeMap<RunId, u32>>,
    /// How often each process was looked at.
    looks: Mutex<BTreeMap<EffectId, u32>>,
    pub child: Arc<Definition>,
}

impl FakeMachine {
    pub fn new(side_effects: Arc<SideEffects>, clock: Clock, seed: u64, child: Arc<Definition>) -> Arc<Self> {
        Arc::new(Self {
            side_effects,
            clock,
            seed,
            calm: AtomicBool::new(false),
            processes: Mutex::default(),
            offers: Mutex::default(),
            blobs: Mutex::default(),
            prepared: Mutex::default(),
            looks: Mutex::default(),
            child,
        })
    }

    pub fn be_calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub fn luck(&self, name: &str) -> Luck {
        Luck::of(self.seed, name)
    }

    pub fn processes(&self) -> MutexGuard<'_, BTreeMap<EffectId, Process>> {
        self.processes.lock().unwrap()
    }

    pub fn offers(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap()
    }

    /// The error that an engine gets that cannot look at a process, alive or ended.
    pub fn cannot_look(&self, id: &EffectId) -> Option<AttemptResult> {
        let look = {
            let mut looks = self.looks.lock().unwrap();
            let look = looks.entry(id.clone()).or_default();
            *look += 1;
            *look
        };
        let mut luck = self.luck(&format!("look {look} {} {}", id.run, id.attempt));
        if self.is_calm() || !luck.is_one_of(12) {
            return None;
        }
        let reason = "exit.json".to_owned();
        Some(match luck.is_one_of(4) {
            true => AttemptResult::Unreadable { reason },
            false => AttemptResult::NoRoom { reason },
        })
    }

    /// Every process goes, with no record.
    pub fn reboot(&self) {
        for (id, process) in self.processes().iter_mut() {
            if let Process::Living(exit, _) = process
                && exit.borrow().is_none()
            {
                self.side_effects.left(id);
                *process = Process::Gone;
            }
        }
    }

    /// Processes that have not ended.
    pub fn living(&self) -> Vec<EffectId> {
        let is_living =
            |process: &Process| matches!(process, Process::Living(exit, _) if exit.borrow().is_none());
        self.processes().iter().filter(|(_, process)| is_living(process)).map(|(id, _)| id.clone()).collect()
    }

    pub fn exit(&self, id: &EffectId, end: AttemptEnd) {
        let exit = match self.processes().get(id) {
            Some(Process::Living(exit, _)) => exit.clone(),
            _ => return,
        };
        let is_first = exit.send_if_modified(|exit| {
            let is_first = exit.is_none();
            exit.get_or_insert(Exit { end });
            is_first
        });
        if is_first {
            self.side_effects.left(id);
        }
    }

    /// How a piece of work ends.
    pub fn end(&self, id: &EffectId, luck: &mut Luck, can_ask: bool) -> AttemptEnd {
        let at = (self.clock)();
        if self.is_calm() {
            return AttemptEnd::new(AttemptResult::Succeeded(json!({"ok": true, "n": 16})), at);
        }
        let result = match luck.below(16) {
            0..9 => AttemptResult::Succeeded(output(luck)),
            9..14 => AttemptResult::Failed(failure(luck)),
            14 => AttemptResult::Lost { reason: "it is gone".into() },
            _ => AttemptResult::Succeeded(json!(null)),
        };
        let mut end = AttemptEnd::new(result, at);
        if can_ask && luck.is_one_of(4) {
            end.ask = Some(ask(luck));
        }
        if luck.is_one_of(3) {
            let usage = Usage {
                cost_micros: luck.below(2_000_000),
                output_tokens: luck.below(9_000),
                ..Usage::default()
            };
            end.usage = vec![usage; 1 + usize::try_from(luck.below(2)).unwrap()];
        }
        if luck.is_one_of(3) {
            end.commit = Some(format!("{:040x}", luck.below(u64::MAX)));
        }
        if luck.is_one_of(6) {
            end.notes.labels.insert("by".into(), id.attempt.path.step.as_str().into());
            end.notes.note = Some("as it said".into());
        }
        end.search = search(&mut self.luck(&format!("search {} {}", id.run, id.attempt)));
        end
    }
}

/// What its run is found by from now on; sometimes what no pipeline declares, or not of its type.
fn search(luck: &mut Luck) -> BTreeMap<String, Value> {
    let (name, value) = match luck.below(24) {
        0 => ("said", json!("this")),
        1 => ("said", json!("that")),
        2 => ("count", json!(luck.below(9))),
        3 => ("said", json!(null)),
        4 => ("nothing", json!("undeclared")),
        5 => ("count", json!(["no", "number"])),
        _silent => return BTreeMap::new(),
    };
    [(name.to_owned(), value)].into()
}

/// Small, too large for the state, too large for an event.
fn output(luck: &mut Luck) -> Value {
    match luck.below(8) {
        0 => json!("x".repeat(2_000)),
        1 => json!(["y".repeat(40_000), luck.below(9)]),
        2 => json!(null),
        _ => json!({"ok": true, "n": luck.below(100)}),
    }
}

fn failure(luck: &mut Luck) -> Failure {
    let kind = [FailureKind::Exit, FailureKind::Error, FailureKind::Crash, FailureKind::Timeout];
    Failure::new(kind[usize::try_from(luck.below(4)).unwrap()], "as it happens")
}

/// Sometimes one that cannot be asked.
fn ask(luck: &mut Luck) -> Value {
    match luck.below(5) {
        0 => json!({"text": "which one?", "options": ["a", "b"]}),
        1 => json!({"text": "z".repeat(3_000)}),
        2 => json!({"text": "all?", "items": ["one", {"id": "two", "text": "two", "options": [1, 2]}]}),
        3 => json!({"text": "why?"}),
        _ => json!({"options": ["a"]}),
    }
}

impl Blobs for FakeMachine {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        let blob = BlobRef { hash: Hash::of(bytes), size_bytes: bytes.len() as u64 };
        self.blobs.lock().unwrap().insert((run, blob.hash), bytes.to_vec());
        Ok(blob)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        let blobs = self.blobs.lock().unwrap();
        blobs.get(&(run, blob.hash)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The calendar of a paused runtime; in every other plan it jumps, both ways, for a while or for good.
pub fn virtual_clock(luck: u64) -> Clock {
    const STEPS_MS: [i64; 6] = [3_600_000, -3_600_000, 86_400_000, -90_000, 30_000, -500];
    let mut luck = Luck::of(luck, "clock");
    let mut jumps = Vec::new();
    if luck.is_one_of(2) {
        for _ in 0..1 + luck.below(4) {
            let at = Duration::from_millis(luck.below(900_000));
            let step = STEPS_MS[usize::try_from(luck.below(6)).expect("an index")];
            let lasts =
                if luck.is_one_of(3) { Duration::MAX } else { Duration::from_millis(luck.below(60_000)) };
            jumps.push((at, at.saturating_add(lasts), step));
        }
    }
    let start = tokio::time::Instant::now();
    Arc::new(move || {
        let passed = start.elapsed();
        let wrong = jumps.iter().filter(|(from, until, _)| (*from..*until).contains(&passed));
        let wrong: i64 = wrong.map(|(_, _, step)| step).sum();
        Timestamp(Timestamp(1_790_000_000_000).plus(passed).0 + wrong)
    })
}
