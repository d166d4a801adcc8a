//! What the engine's log warns of where the cost of a use is not known.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use everfold_core::state::RunStatus;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::fixtures::test_engine::{Rig, function, pipeline};

/// The lines of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        *about.level() <= Level::WARN
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

/// A program that tells its cost at its end was warned of with its first tokens.
#[tokio::test(start_paused = true)]
async fn tokens_without_a_cost_are_warned_of_when_the_attempt_has_ended_without_one() {
    let warnings = Warnings::default();
    let _until_the_end = set_default(warnings.clone());
    let rig = Rig::new();
    for (model, micros) in [("tells", 500), ("never-tells", 0)] {
        let with = json!({"model": model, "micros": micros});
        let run = rig.start(&pipeline(vec![function("work", &[], "streams", with)])).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert!(rig.names(run).await.contains(&"UsageRecorded"), "{:?}", rig.names(run).await);
    }
    let said = warnings.0.lock().unwrap();
    let said: Vec<&String> = said.iter().filter(|line| line.contains("tokens without a cost")).collect();
    assert!(said.len() == 1 && said[0].contains("never-tells"), "{said:?}");
}
