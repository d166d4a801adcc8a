//! What one seed decides, as a value.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::generated_pipelines::pipelines;

/// Everything that is not the engine.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pipelines that runs are started with.
    pub pipelines: Vec<Piece>,
    /// What `run` steps start.
    pub child: Value,
    /// What the script's acts are, in their order.
    pub script: Vec<ScriptedAct>,
    /// What the store does to the appends of that number.
    pub faults: Vec<Fault>,
    /// Decides what each piece of work does, by its name.
    pub luck: u64,
    /// How the engine is bounded.
    pub bounds: Bounds,
    /// What the store does to the reads of that number.
    pub reads: Vec<ReadFault>,
}

/// A pipeline, and how its runs compete.
#[derive(Debug, Clone)]
pub struct Piece {
    pub document: Value,
    pub order: u8,
}

/// One thing that happens from outside.
#[derive(Debug, Clone)]
pub struct ScriptedAct {
    /// How long nothing happened before.
    pub pause: u8,
    /// What is done, and the actor.
    pub kind: u8,
    /// To which run, step or task.
    pub pick: prop::sample::Index,
    pub luck: u8,
}

/// What becomes of one append.
#[derive(Debug, Clone)]
pub struct Fault {
    /// So many appends after the former fault.
    pub after: u8,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The append is durable, and its writer gets an error.
    Kept,
    /// The append is lost, and its writer gets the same error.
    Dropped,
    /// The disk is full for a while.
    Full,
    /// The engine dies before it is kept.
    DiesBefore,
    /// The engine dies right after it is kept.
    DiesAfter,
    /// It takes long.
    Slow,
}

/// What becomes of one read.
#[derive(Debug, Clone)]
pub struct ReadFault {
    /// So many reads after the former fault.
    pub after: u8,
    pub kind: ReadFaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFaultKind {
    /// It fails, the next one does not.
    Fails,
    /// Nothing can be read for a while.
    Away,
    /// The disk is so full that nothing can be read for a while.
    Full,
    /// It takes long.
    Slow,
}

#[derive(Debug, Clone)]
pub struct Bounds {
    pub shards: usize,
    pub supervised: usize,
    pub functions: usize,
    pub probes: usize,
    pub states: usize,
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        3 => Just(FaultKind::Kept),
        3 => Just(FaultKind::Dropped),
        1 => Just(FaultKind::Full),
        3 => Just(FaultKind::DiesBefore),
        3 => Just(FaultKind::DiesAfter),
        2 => Just(FaultKind::Slow),
    ];
    (0_u8..16, kind).prop_map(|(after, kind)| Fault { after, kind })
}

fn read_fault() -> impl Strategy<Value = ReadFault> {
    let kind = prop_oneof![
        4 => Just(ReadFaultKind::Fails),
        1 => Just(ReadFaultKind::Away),
        1 => Just(ReadFaultKind::Full),
        3 => Just(ReadFaultKind::Slow),
    ];
    (any::<u8>(), kind).prop_map(|(after, kind)| ReadFault { after, kind })
}

fn act() -> impl Strategy<Value = ScriptedAct> {
    (any::<u8>(), any::<u8>(), any::<prop::sample::Index>(), any::<u8>())
        .prop_map(|(pause, kind, pick, luck)| ScriptedAct { pause, kind, pick, luck })
}

fn plans() -> impl Strategy<Value = Plan> {
    let bounds = (1_usize..3, 1_usize..5, 1_usize..5, 1_usize..4, 0_usize..4).prop_map(
        |(shards, supervised, functions, probes, states)| Bounds {
            shards,
            supervised,
            functions,
            probes,
            states,
        },
    );
    let piece = (pipelines(), 0_u8..16).prop_map(|(document, order)| Piece { document, order });
    (
        prop::collection::vec(fault(), 0..8),
        prop::collection::vec(act(), 1..30),
        prop::collection::vec(piece, 1..4),
        pipelines(),
        any::<u64>(),
        bounds,
        prop::collection::vec(read_fault(), 0..4),
    )
        .prop_map(|(faults, script, mut pipelines, mut child, luck, bounds, reads)| {
            pipelines.iter_mut().for_each(Piece::compete);
            childless(&mut child);
            child["name"] = json!("other");
            pipelines.iter_mut().map(|piece| &mut piece.document).chain([&mut child]).for_each(be_found);
            Plan { pipelines, child, script, faults, luck, bounds, reads }
        })
}

impl Piece {
    /// What its runs have in common with each other and with those of other pipelines.
    fn compete(&mut self) {
        let on_limit = ["queue", "reject", "cancel_oldest", "queue"][usize::from(self.order % 4)];
        let on_taken = ["return", "reject", "replace"][usize::from(self.order % 3)];
        match self.order {
            0..4 => {
                self.document["concurrency"] =
                    json!([{"key": "lane", "limit": 1, "on_limit": on_limit}, {"key": "hall", "limit": 2}]);
            }
            4..8 => {
                self.document["key"] = json!({"value": "one", "on_taken": on_taken, "release": if self.order < 6 { "ended" } else { "unsuccessful" }});
            }
            8..14 => self.listen(),
            14 => self.document["number"] = json!({}),
            _other => self.document["number"] = json!({"key": "board"}),
        }
    }

    /// What starts it or tells its runs something from outside: deliveries and moments.
    fn listen(&mut self) {
        let by_hook = json!({"hook": SOURCE});
        let own_key = json!({"value": "issue-${input.n}"});
        self.document["name"] = json!(LISTENING);
        let triggers = match self.order {
            8 => {
                self.document["concurrency"] = json!([{"key": "lane", "limit": 1, "on_limit": "reject"}]);
                json!([{"on": by_hook, "start": {"input": {"n": "${event.body.n}"}, "park": true}}])
            }
            9 => {
                self.document["key"] = own_key;
                let start = json!({"input": {"n": "${event.body.n}"}, "title": "issue ${event.body.n}"});
                json!([{"on": by_hook, "start": start, "signal": "go", "payload": "${event.body}"}])
            }
            10 => json!([
                {"on": by_hook, "signal": "go", "to": {"key": "one"}, "park": true},
                {"on": by_hook, "when": "event.body.n == 2", "signal": "ci", "to": {"key": "issue-1"}, "park": true},
            ]),
            11 => {
                json!([{"on": {"schedule": {"every": "3m", "catch_up": "all", "overlap": "queue", "anchor": "added", "hours": [6, 22]}}, "start": {}}])
            }
            12 => {
                self.document["key"] = own_key;
                json!([{"on": {"schedule": {"every": "2m", "catch_up": "one", "overlap_by": "key"}}, "start": {"input": {"n": "${event.at}"}}}])
            }
            _ => {
                self.document["key"] = own_key;
                json!([
                    {"on": {"schedule": {"every": "5m", "overlap": "allow"}}, "signal": "stop", "to": {"key": "issue-1"}},
                    {"on": by_hook, "when": "event.body.n == 1", "start": {"input": {"n": 1}}},
                ])
            }
        };
        self.document["triggers"] = triggers;
    }

    /// Whether anything from outside starts it.
    pub fn listens(&self) -> bool {
        self.document.get("triggers").is_some()
    }
}

/// Where deliveries come from.
pub const SOURCE: &str = "forge";
/// The pipelines that listen to them.
pub const LISTENING: &str = "listening";

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.pipelines {
            writeln!(f, "pipeline {}", piece.document)?;
        }
        writeln!(f, "child    {}", self.child)?;
        for act in &self.script {
            writeln!(f, "act      {act:?}")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault    {fault:?}")?;
        }
        for read in &self.reads {
            writeln!(f, "fault    {read:?}")?;
        }
        write!(f, "bounds   {:?}, luck {}", self.bounds, self.luck)
    }
}

/// What its runs are found by: at their start, and by what work says.
fn be_found(document: &mut Value) {
    document["search"] =
        json!({"began": {"value": "yes"}, "said": {"type": "text"}, "count": {"type": "number"}});
}

/// A child that starts itself would never end. What its parent holds it may want, too.
fn childless(document: &mut Value) {
    if let Some(slot) = document.get_mut("concurrency") {
        slot[0]["key"] = json!("lane");
    }
    for step in document["steps"].as_array_mut().into_iter().flatten() {
        if step["work"]["task"]["kind"] == "run" {
            step["work"] = json!({"task": {"kind": "command", "spec": {"argv": ["true"]}}});
        }
    }
}

/// The plan of a seed.
pub fn of_seed(seed: u64) -> Plan {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    plans().new_tree(&mut runner).unwrap().current()
}
