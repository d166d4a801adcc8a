//! Runs as a release wrote them, kept in `tests/golden` for ever: how one is written from a store, and decided again.
//!
//! The form is that of the core's golden histories, so `everfold-core` folds them, too: the definition, an event per line, the end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::envelope::StreamId;
use everfold_base::id::Version;
use everfold_base::json::{JsonText, Payload};
use everfold_core::decide::{Decision, decide};
use everfold_core::event::{self, RunEvent};
use everfold_core::replay_input::input_of;
use everfold_core::state::{EventMeta, FOLD_VERSION, RunState};
use everfold_engine::definition::Definition;
use everfold_engine::expr::Loaded;
use everfold_engine::store::{EventStore as _, SledOptions, SledStore};
use serde_json::{Value, json};

/// Events of one run that are kept at most.
const EVENTS_MAX: usize = 5_000;

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Whether a history that is missing is to be written.
pub(crate) fn are_written() -> bool {
    std::env::var_os("EVERFOLD_WRITE_GOLDEN").is_some()
}

/// A history that is kept.
pub(crate) struct KeptHistory {
    pub(crate) name: String,
    /// The definition's canonical document.
    pub(crate) document: Value,
    events: Vec<(EventMeta, RunEvent)>,
    end: Value,
}

/// The kept histories whose names begin so.
pub(crate) fn kept(begin: &str) -> Vec<KeptHistory> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begin));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> KeptHistory {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, document) = (lines.pop().unwrap(), lines.remove(0));
    let events = lines.iter().map(|line| {
        let number = |key: &str| u16::try_from(line[key].as_u64().unwrap()).unwrap();
        let text = |key: &str| line[key].as_str().unwrap();
        let meta = EventMeta {
            at: text("at").parse().unwrap(),
            actor: text("actor").parse().unwrap(),
            input: text("input").parse().unwrap(),
        };
        (meta, event::decode(number("kind"), number("schema"), &unhex(text("payload"))).unwrap())
    });
    let events = events.collect();
    KeptHistory { name: path.file_stem().unwrap().to_string_lossy().into_owned(), document, events, end }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Writes the run of a data folder in which no program is at work.
pub(crate) fn write(name: &str, data: &Path, run: &str, definition: &Definition) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stored = runtime.block_on(async {
        let store = SledStore::open(data, SledOptions::default()).unwrap();
        let stored =
            store.read(&StreamId::run(run.parse().unwrap()), Version::FIRST, EVENTS_MAX).await.unwrap();
        store.close().await.unwrap();
        stored
    });
    assert!(stored.len() < EVENTS_MAX, "{name} is too long to be kept");
    let mut text = format!("{}\n", definition.document());
    let mut state = RunState::new(Arc::new(definition.clone()));
    for envelope in stored {
        let header = &envelope.header;
        let event = event::decode(header.kind, header.schema, &envelope.payload).unwrap();
        if let RunEvent::RunStarted(started) = &event {
            assert_eq!(started.definition, definition.hash(), "{name} ran by another definition");
        }
        let meta =
            EventMeta { at: header.recorded_at, actor: header.actor.clone(), input: header.cause.input };
        state.apply(&event, &meta);
        let payload: String = envelope.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = json!({
            "kind": header.kind, "schema": header.schema, "at": meta.at, "actor": meta.actor, "input": meta.input,
            "payload": payload, "event": event,
        });
        writeln!(text, "{line}").unwrap();
    }
    let end =
        json!({"fold_version": FOLD_VERSION, "fingerprint": state.fingerprint(), "status": state.status()});
    writeln!(text, "{end}").unwrap();
    std::fs::write(folder().join(format!("{name}.jsonl")), text).unwrap();
}

impl KeptHistory {
    pub(crate) fn definition(&self) -> Arc<Definition> {
        Arc::new(serde_json::from_value(self.document.clone()).unwrap())
    }

    /// Decides each input of the history again, by this definition, on the history before it. `judge` is given what was
    /// recorded and what is decided now.
    pub(crate) fn decided_again(
        &self,
        definition: Arc<Definition>,
        mut judge: impl FnMut(&[RunEvent], &[RunEvent]),
    ) {
        let mut state = RunState::new(definition);
        let same = |one: &(EventMeta, RunEvent), other: &(EventMeta, RunEvent)| one.0.input == other.0.input;
        for batch in self.events.chunk_by(same) {
            let (meta, fact) = &batch[0];
            let recorded: Vec<RunEvent> = batch.iter().map(|(_, event)| event.clone()).collect();
            let input =
                input_of(fact, meta, &|_| None).unwrap_or_else(|error| panic!("{}: {error}", self.name));
            let mut loaded = Loaded::default();
            let mut again = state.clone();
            let decided = loop {
                match decide(&mut again, &input, &loaded) {
                    Ok(Decision::Events(decided)) => break decided.events,
                    Ok(Decision::Needs(values)) => {
                        values
                            .iter()
                            .for_each(|value| loaded.insert(value, self.value(value.version, value.hash)));
                    }
                    Err(refusal) => panic!("{}: {} is refused now: {refusal}", self.name, fact.name()),
                }
            };
            judge(&recorded, &decided);
            batch.iter().for_each(|(meta, event)| state.apply(event, meta));
        }
        assert_eq!(json!(state.status()), self.end["status"], "{}", self.name);
    }

    /// The same by its own definition: all is as it was recorded.
    pub(crate) fn assert_replays(&self) {
        let mut inputs = 0;
        self.decided_again(self.definition(), |recorded, decided| {
            inputs += 1;
            assert_eq!(recorded, decided, "{}, input {inputs}", self.name);
        });
        assert!(inputs > 3, "{} has {inputs} inputs", self.name);
    }

    fn value(&self, version: Version, hash: everfold_base::json::Hash) -> JsonText {
        let (_, event) = &self.events[usize::try_from(version.0 - 1).unwrap()];
        let payload = event.payloads().into_iter().find(|payload| payload.hash() == hash);
        match payload.unwrap_or_else(|| panic!("{}: version {} has no such value", self.name, version.0)) {
            Payload::Inline(text) => text.clone(),
            Payload::Blob(_) => panic!("{}: a value lies outside of the history", self.name),
        }
    }
}
