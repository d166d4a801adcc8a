//! Programs that embed the engine: the example, killed and run again, and what the façade answers.

use everfold_engine::artefact::Usage;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use everfold_api::embed::*;
use everfold_api::view::AwaitView;
use serde_json::{Value, json};

#[path = "../../examples/embedding.rs"]
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
        .args(["--exact", "embedding::example_process", "--nocapture"])
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
    let text = include_str!("../../examples/embedding.rs");
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
    let wide = "x".repeat(8 * 1024 + 1);
    let wide = start(json!({ "n": 1 })).credential("a", wide).await.unwrap_err();
    assert!(wide.code == Code::Invalid && wide.to_string().contains("8 KiB"), "{wide}");
    let many =
        (0..17).fold(start(json!({ "n": 1 })), |start, at| start.credential(format!("n{at}"), "value"));
    let many = many.await.unwrap_err();
    assert!(many.code == Code::Invalid && many.to_string().contains("at most 16"), "{many}");
    engine.save(&people()).await.unwrap();
    engine.start_named("people", json!({})).await.unwrap();
    assert_eq!(first.cancel("enough").await.unwrap().status, RunStatus::Cancelled);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_was_changed_is_started_as_it_is_now_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), []).await;
    let says = |what: &str| {
        let step = Step::function("say", "everfold.echo").with(json!({ "what": what }));
        Pipeline::new("says").step(step).output("${steps.say.output.what}").build().unwrap()
    };
    let one = async |n: usize| {
        let what = ["a", "b"][n % 2];
        let run = engine.start(&says(what), json!({})).await.unwrap();
        assert_eq!(run.ended().await.unwrap().output, json!(what));
        // Who waits for what is over already is answered, too.
        assert_eq!(run.ended().await.unwrap().status, RunStatus::Succeeded);
    };
    futures::future::join_all((0..40).map(one)).await;
    let waits = engine.start(&people(), json!({})).await.unwrap();
    let (ended, ()) = tokio::join!(waits.ended(), async {
        tokio::task::yield_now().await;
        engine.node().begin_closing();
    });
    assert_eq!(ended.unwrap_err().code, Code::Ending);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_output_stands_in_the_view_as_a_reference_and_is_given_in_full() {
    async fn writes(_: Call, _: Value) -> Result<Value, StepError> {
        Ok(json!({ "text": "x".repeat(300 * 1024), "n": 7 }))
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), [Function::new("test.writes", writes)]).await;
    for (output, is_whole) in [
        ("${steps.write.output}", false),
        ("${{'a': steps.write.output.text}}", false),
        ("${steps.write.output.n}", true),
    ] {
        let step = Step::function("write", "test.writes");
        let pipeline = Pipeline::new("writes").step(step).output(output).build().unwrap();
        let run = engine.start(&pipeline, json!({})).await.unwrap();
        let end = run.ended().await.unwrap();
        let given = run.output().await.unwrap();
        assert_eq!(end.output == given, is_whole, "{output}: {}", end.output);
        let text = json!("x".repeat(300 * 1024));
        let wanted = match output {
            "${steps.write.output}" => json!({ "text": text, "n": 7 }),
            "${steps.write.output.n}" => json!(7),
            _ => json!({ "a": text }),
        };
        assert!(given == wanted, "{output}");
    }
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_says_how_far_it_is_and_that_stays_with_its_step() {
    async fn builds(call: Call, _: Value) -> Result<(), StepError> {
        let item = ProgressItem { text: "core".into(), done: true };
        call.report(WorkProgress { done: 3, of: 8, items: vec![item], note: Some("linking".into()) });
        Err(StepError::new("no room"))
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), [Function::new("test.builds", builds)]).await;
    let pipeline = Pipeline::new("builds").step(Step::function("build", "test.builds")).build().unwrap();
    let end = engine.start(&pipeline, json!({})).await.unwrap().ended().await.unwrap();
    assert_eq!(end.status, RunStatus::Failed);
    let progress = end.step("build").unwrap().progress.clone().unwrap();
    assert_eq!((progress.done, progress.of, progress.share), (3, 8, 0.375));
    assert_eq!((progress.items[0].done, progress.note.as_deref()), (true, Some("linking")));
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

/// It showed the counter as it was when this run was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_75_a_held_run_shows_its_shared_budget_as_its_counter_stands_now() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path(), [spends()]).await;
    let paid = |name: &str, cents: u64, reserve: &str| {
        let text = format!(
            "name: {name}\nbudget: {{ id: team, scope: team, cost: \"1 USD\", reserve: \"{reserve} USD\" }}\n\
             steps:\n  - {{ id: work, function: shop.spend, with: {{ cents: {cents} }} }}\n"
        );
        everfold_engine::definition::parse(&text, name, &BTreeMap::<String, String>::new())
            .unwrap()
            .definition
    };
    let (big, small) = (paid("big", 50, "0.60"), paid("small", 20, "0.10"));
    engine.start(&big, json!({})).await.unwrap().ended().await.unwrap();
    counted(&engine, 500_000).await;
    let held = engine.start(&big, json!({})).await.unwrap();
    let is_held =
        |view: &RunView| view.awaits.iter().any(|awaited| matches!(awaited, AwaitView::Budget { .. }));
    let view = held.until(is_held).await.unwrap();
    assert_eq!(view.budget[0].spent.cost_usd.as_deref(), Some("0.500000"));

    // Another run spends, and a person raises the limit in a third one.
    engine.start(&small, json!({})).await.unwrap().ended().await.unwrap();
    counted(&engine, 700_000).await;
    let view = held.view().await.unwrap();
    assert!(is_held(&view), "{:?}", view.awaits);
    assert_eq!(view.budget[0].spent.cost_usd.as_deref(), Some("0.700000"));
    let third = engine.start(&big, json!({})).await.unwrap();
    third.until(is_held).await.unwrap();
    let add = everfold_engine::event::Spent { cost_micros: 100_000, ..Default::default() };
    let kind = everfold_engine::input::InputKind::RaiseBudget { budget: None, add, reason: None };
    let actor = everfold_engine::actor::Actor::User("ada".into());
    let raise = everfold_engine::driver::Submission { run: third.id(), kind, actor, id: None, dedup: None };
    engine.node().engine().submit(raise).await.unwrap();
    let raised = |view: &RunView| view.budget[0].raised.cost_usd.as_deref() == Some("0.100000");
    third.until(raised).await.unwrap();
    until_counter(&engine, |counter| counter.used().raised.cost_micros == 100_000).await;
    let view = held.view().await.unwrap();
    assert!(is_held(&view) && raised(&view), "{:?}", view.budget);
    assert_eq!(view.budget[0].limit.cost_usd.as_deref(), Some("1.100000"));
    assert_eq!(view.budget[0].set.run.cost_usd.as_deref(), Some("1.000000"), "as it was set");
    let message = view.awaits.iter().find_map(|awaited| match awaited {
        AwaitView::Budget { message, .. } => Some(message.clone()),
        _another => None,
    });
    assert_eq!(message.as_deref(), Some(view.budget[0].summary.as_str()));
    assert!(view.budget[0].summary.contains("0.70 USD of 1.10 USD (0.10 USD of it raised)"), "{view:?}");
    engine.close().await;
}

/// A function that costs what its parameters say.
fn spends() -> Function {
    async fn spend(call: Call, with: BTreeMap<String, u64>) -> Result<(), StepError> {
        call.usage(Usage { cost_micros: with["cents"] * 10_000, ..Usage::default() });
        Ok(())
    }
    Function::new("shop.spend", spend).paid()
}

async fn counted(engine: &Everfold, micros: u64) {
    until_counter(engine, |counter| counter.used().spent.cost_micros == micros).await;
}

/// Waits until the only counter says so.
async fn until_counter(engine: &Everfold, wanted: impl Fn(&everfold_engine::budgets::Counter) -> bool) {
    let owner = engine.node().clone();
    let mut events = owner.engine().subscribe(everfold_engine::id::Position::FIRST);
    while !owner.engine().budget_counters().await.unwrap().iter().any(|(_, counter)| wanted(counter)) {
        events.next().await.unwrap();
    }
}
