//! More saved pipelines than definitions are kept: what a save and a list read of the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use everfold_base::actor::Actor;
use everfold_language::definition::{Definition, DefinitionSummary};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, definition, function};

/// More than are kept compiled.
const SAVED: usize = 300;

/// A pipeline that listens to a source of its own.
fn listens(name: &str, source: &str) -> Arc<Definition> {
    let trigger = json!({"on": {"hook": source}, "start": {"input": {}}});
    definition(
        json!({"name": name, "triggers": [trigger], "steps": [function("a", &[], "ok", json!({"of": name}))]}),
    )
}

async fn save(rig: &Rig, definition: &Arc<Definition>) {
    rig.engine.save_pipeline(definition, None, Actor::User("ada".into())).await.unwrap();
}

async fn many() -> (Rig, Vec<String>) {
    let rig = Rig::new();
    let names: Vec<String> = (0..SAVED).map(|nth| format!("p{nth:03}")).collect();
    for name in &names {
        save(&rig, &listens(name, name)).await;
    }
    (rig, names)
}

fn reads(rig: &Rig) -> usize {
    rig.store.reads.load(Ordering::SeqCst)
}

/// All of them were read, and compiled, anew.
#[tokio::test(start_paused = true)]
async fn a_save_among_many_pipelines_reads_the_triggers_of_no_other_one_again() {
    let (rig, _names) = many().await;
    assert!(rig.engine.is_heard("p007").await.unwrap());
    let before = reads(&rig);
    save(&rig, &listens("p007", "other")).await;
    assert!(rig.engine.is_heard("other").await.unwrap() && !rig.engine.is_heard("p007").await.unwrap());
    assert!(rig.engine.is_heard("p000").await.unwrap());
    save(&rig, &definition(json!({"name": "p007", "steps": [function("a", &[], "ok", json!({}))]}))).await;
    assert!(!rig.engine.is_heard("other").await.unwrap() && rig.engine.is_heard("p299").await.unwrap());
    let read = reads(&rig) - before;
    assert!(read < 20, "{read} reads");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_pipelines_displaces_no_definition_that_is_in_use() {
    let (rig, names) = many().await;
    let reference = "p000".parse().unwrap();
    let used = rig.engine.pipeline(&reference).await.unwrap();
    for name in &names {
        let (saved, summary) = rig.engine.pipeline_summary(name).await.unwrap().unwrap();
        let definition = listens(name, name);
        assert_eq!((saved.n, saved.hash), (1, definition.hash()));
        assert_eq!(summary, DefinitionSummary::of(&definition));
    }
    assert!(Arc::ptr_eq(&used, &rig.engine.pipeline(&reference).await.unwrap()));
    assert!(rig.engine.pipeline_summary("unsaved").await.unwrap().is_none());
}
