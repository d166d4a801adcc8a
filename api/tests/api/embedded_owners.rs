//! Programs that embed the engine, and what becomes of their folder without them.

use std::path::Path;
use std::time::Duration;

use everfold_api::embed::*;
use serde_json::{Value, json};

async fn open(folder: &Path, functions: impl IntoIterator<Item = Function>) -> Everfold {
    let opening = Everfold::at(folder).user("ada");
    functions.into_iter().fold(opening, Opening::function).open().await.unwrap()
}

/// Resolves within a time in which it must.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.unwrap_or_else(|_| panic!("{what} never ends"))
}

fn shop() -> Definition {
    Pipeline::new("shop")
        .step(Step::approval("fine", Approval::new("Is it fine?")))
        .step(Step::function("order", "shop.order"))
        .output("${steps.order.output}")
        .build()
        .unwrap()
}

async fn ordered(_call: Call, _with: Value) -> Result<String, StepError> {
    Ok("ordered".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_without_a_function_leaves_its_runs_to_the_program_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let order = || Function::new("shop.order", ordered);
    let engine = open(folder.path(), [order()]).await;
    let run = engine.start(&shop(), json!({})).await.unwrap().id().to_string();
    engine.close().await;

    // As `everfold ui` or `everfold approve` does it.
    let stranger = open(folder.path(), []).await;
    let seen = stranger.run(&run).await.unwrap();
    let waiting = [seen.clone(), seen.clone()].map(|run| {
        tokio::spawn(
            async move { (run.ended().await, run.until(|view| view.status == RunStatus::Failed).await) },
        )
    });
    seen.until(|view| !view.awaits.is_empty()).await.unwrap();
    // Its answer shows the run, which may be set aside by then.
    let _voted = seen.decide("fine", Vote::Approve, "").await;
    for waits in waiting {
        let (ended, until) = soon("who waits", waits).await.unwrap();
        for said in [ended.unwrap_err(), until.unwrap_err()] {
            assert!(said.message.contains("there is no function shop.order"), "{said}");
            assert!(said.message.contains("the program that has it goes on"), "{said}");
        }
    }
    stranger.close().await;

    let engine = open(folder.path(), [order()]).await;
    let end = soon("the run", engine.run(&run).await.unwrap().ended()).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Succeeded, json!("ordered")));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_many_megabytes_is_cut_and_ends_its_run() {
    let folder = tempfile::tempdir().unwrap();
    async fn fails(_call: Call, _with: Value) -> Result<(), StepError> {
        Err(StepError::new("no ".repeat(1_000_000)).code("TOO_MUCH"))
    }
    async fn panics(_call: Call, _with: Value) -> Result<(), StepError> {
        panic!("{}", "no ".repeat(1_000_000))
    }
    let functions = [Function::new("t.fails", fails), Function::new("t.panics", panics)];
    let engine = open(folder.path(), functions).await;
    for name in ["t.fails", "t.panics"] {
        let pipeline = Pipeline::new("big").step(Step::function("a", name)).build().unwrap();
        let run = engine.start(&pipeline, json!({})).await.unwrap();
        let end = soon(name, run.ended()).await.unwrap();
        let failure = end.failure.expect("a failure");
        assert_eq!(end.status, RunStatus::Failed);
        let text = serde_json::to_string(&failure).unwrap();
        assert!(text.contains("no no") && text.len() < 400_000, "{} bytes", text.len());
    }
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_dropped_gives_its_folder_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), []).await;
    let again = Everfold::open(folder.path()).await.unwrap_err();
    assert_eq!(again.code, Code::InUse);
    assert!(again.message.contains("this process has") && again.hint.is_some(), "{again}");
    drop(engine);
    let opened = async {
        loop {
            match Everfold::open(folder.path()).await {
                Ok(engine) => return engine,
                Err(fault) => assert_eq!(fault.code, Code::InUse, "{fault}"),
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the folder", opened).await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_that_is_given_up_leaves_the_folder_free() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), []).await.close().await;
    for patience in [1, 5, 20, 50] {
        let opening = Everfold::open(folder.path());
        let opened = tokio::time::timeout(Duration::from_millis(patience), opening).await;
        drop(opened);
    }
    let opened = async {
        loop {
            if let Ok(engine) = Everfold::open(folder.path()).await {
                return engine;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the folder", opened).await.close().await;
}

#[tokio::test]
async fn a_user_that_is_no_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in ["", " ", "x\ny", "user:ada", &"a".repeat(10_000)] {
        let refused = Everfold::at(folder.path().join("data")).user(bad).open().await.unwrap_err();
        assert!(refused.message.contains("under which nothing can be recorded"), "{refused}");
    }
    assert!(!folder.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_without_a_workspace_has_a_folder_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    async fn writes(call: Call, _with: Value) -> Result<bool, StepError> {
        std::fs::write(call.folder().join("made"), "x")?;
        Ok(call.folder().join("made").is_file())
    }
    let engine = open(folder.path(), [Function::new("t.writes", writes)]).await;
    let pipeline =
        Pipeline::new("p").step(Step::function("a", "t.writes")).output("${steps.a.output}").build().unwrap();
    let run = engine.start(&pipeline, json!({})).await.unwrap();
    let end = soon("the run", run.ended()).await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Succeeded, json!(true)), "{:?}", end.failure);
    engine.close().await;
}
