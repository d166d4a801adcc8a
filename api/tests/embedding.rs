//! Programs that embed the engine: the example, killed and run again, and what the façade answers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use everfold_api::embed::*;
use serde_json::{Value, json};

#[path = "../examples/embedding.rs"]
#[allow(missing_docs)]
mod example;

/// The example itself, in a process of its own: this test, run by the one below.
#[test]
fn example_process() {
    if std::env::var_os("SHOP_DATA").is_some() {
        example::main().unwrap();
    }
}

fn run_example(data: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "example_process", "--nocapture"])
        .env("SHOP_DATA", data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The line that holds a text, and what came behind it.
fn line_with(child: &mut Child, text: &str) -> String {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    let line = output.lines().map(Result::unwrap).find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("it ended without “{text}”"))
}

#[test]
fn the_example_goes_on_after_it_was_killed() {
    let text = include_str!("../examples/embedding.rs");
    assert!(text.lines().count() <= 40, "an example of {} lines", text.lines().count());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = run_example(&data);
    let begun = line_with(&mut first, "run ");
    first.kill().unwrap();
    first.wait().unwrap();
    let second = run_example(&data).wait_with_output().unwrap();
    let said = String::from_utf8(second.stdout).unwrap();
    let run = begun.split("run ").last().unwrap();
    assert!(said.contains(&format!("run {run}")), "the same run: {begun} {said}");
    assert!(said.contains("succeeded with \""), "{said}");
}

async fn open(folder: &Path, functions: impl IntoIterator<Item = Function>) -> Everfold {
    let opening = Everfold::at(folder).user("ada");
    functions.into_iter().fold(opening, Opening::function).open().await.unwrap()
}

fn people() -> Definition {
    Pipeline::new("people")
        .step(Step::approval("fine", Approval::new("Is it fine?")))
        .step(Step::question("how", Question::new("How many?").options(vec!["one", "two"])))
        .step(Step::wait("go", Wait::signal("go")))
        .output(json!({ "by": "${steps.fine.output.by}", "how": "${steps.how.output.choice}", "go": "${steps.go.output}" }))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_answered_for_and_a_run_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), []).await;
    let run = engine.start(&people(), json!({})).title("the first").label("team", "a").await.unwrap();
    let asks = |step: &'static str| {
        move |view: &RunView| view.step(step).is_some_and(|step| format!("{:?}", step.status) == "Waiting")
    };
    run.until(asks("fine")).await.unwrap();
    assert_eq!(
        engine.tasks().await.unwrap().iter().map(|task| task.step.as_str()).collect::<Vec<_>>(),
        ["fine"]
    );
    let early = run.answer("how", json!({ "choice": "one" })).await.unwrap_err();
    assert_eq!((early.code, early.hint.as_deref()), (Code::NoTask, Some("what is open: fine")));
    run.decide("fine", Vote::Approve, "").await.unwrap();
    run.until(asks("how")).await.unwrap();
    let wrong = run.answer("how", json!({ "choice": "three" })).await.unwrap_err();
    assert_eq!(wrong.code, Code::BadAnswer, "{wrong}");
    run.answer("how", json!({ "choice": "two" })).await.unwrap();
    engine.close().await;

    let engine = open(folder.path(), []).await;
    let again = engine.run("@").await.unwrap();
    assert_eq!(again.id(), run.id());
    again.signal("go", json!({ "n": 7 })).await.unwrap();
    let end = again.ended().await.unwrap();
    assert_eq!((end.status, end.title.as_deref()), (RunStatus::Succeeded, Some("the first")));
    assert_eq!(end.output, json!({ "by": ["user:ada"], "how": "two", "go": { "n": 7 } }));
    assert!(again.cancel("too late").await.is_err());
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_start_gives_the_first_run_and_another_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), []).await;
    let start = |input: Value| engine.start(&people(), input).once("a");
    let first = start(json!({ "n": 1 })).await.unwrap();
    assert_eq!(start(json!({ "n": 1 })).await.unwrap().id(), first.id());
    assert!(start(json!({ "n": 2 })).await.is_err());
    assert_ne!(engine.start(&people(), json!({ "n": 1 })).await.unwrap().id(), first.id());
    let named = engine.start_named("people", json!({})).await.unwrap_err();
    assert_eq!(named.code, Code::NoPipeline);
    engine.save(&people()).await.unwrap();
    engine.start_named("people", json!({})).await.unwrap();
    assert_eq!(first.cancel("enough").await.unwrap().status, RunStatus::Cancelled);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_step_is_decided_and_a_function_judges() {
    async fn is_even(_: Call, with: BTreeMap<String, i64>) -> Result<bool, StepError> {
        Ok(with["n"] % 2 == 0)
    }
    async fn fails(call: Call, _: Value) -> Result<i64, StepError> {
        if call.attempt() == 1 { Err(StepError::new("not yet").code("EARLY")) } else { Ok(4) }
    }
    let pipeline = Pipeline::new("judged")
        .step(
            Step::function("n", "test.fails")
                .on_fail(Route::block())
                .gate(Gate::new("even", Probe::function("test.even").with(json!({ "n": "${output}" })))),
        )
        .output("${steps.n.output}")
        .build()
        .unwrap();
    let functions = [Function::new("test.even", is_even).read_only(), Function::new("test.fails", fails)];
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), functions).await;
    let run = engine.start(&pipeline, json!({})).await.unwrap();
    let blocked = run.until(|view| view.status == RunStatus::Blocked).await.unwrap();
    assert!(format!("{blocked:?}").contains("not yet"));
    run.unblock("n", UnblockDecision::Retry).await.unwrap();
    let end = run.ended().await.unwrap();
    assert_eq!((end.status, end.output), (RunStatus::Succeeded, json!(4)));
    engine.close().await;
}

#[tokio::test]
async fn a_folder_has_one_owner_and_a_function_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), []).await;
    assert!(Everfold::open(folder.path()).await.is_err());
    engine.close().await;
    async fn nothing(_: Call, _: ()) -> Result<(), StepError> {
        Ok(())
    }
    let refused = Everfold::at(folder.path()).function(Function::new("everfold.noop", nothing)).open().await;
    let Err(refused) = refused else { panic!("it was opened") };
    assert_eq!(refused.message, "there is a function everfold.noop already");
    Everfold::open(folder.path()).await.unwrap().close().await;
}
