//! Functions with types: what they are called with, what they can say, how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fixtures::home::{Home, failure, observer, output, probe_request, until};
use everfold_base::data_folder::Layout;
use everfold_base::failure::FailureKind;
use everfold_core::artefact::Usage;
use everfold_language::definition::OnLost;
use everfold_ports::{AttemptResult, Executor as _, Prober as _};
use everfold_workflows::function::{Call, Function, FunctionError, FunctionExecutor, Functions, StepError};
use everfold_workflows::probe::FunctionProber;
use everfold_workflows::shim::log::LogReader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// What is ordered.
    item: String,
    #[serde(default)]
    count: u32,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    number: String,
    ok: bool,
}

async fn place(call: Call, order: Order) -> Result<Receipt, StepError> {
    call.log(format!("{} of {}", order.count, order.item));
    call.log("second line");
    call.progress("sent");
    call.usage(Usage { cost_micros: 250_000, ..Usage::default() });
    if order.item == "unobtainium" {
        return Err(StepError::new("sold out").code("SOLD_OUT").hint("order another item"));
    }
    Ok(Receipt { number: call.idempotency_key().to_owned(), ok: true })
}

fn executor(functions: impl IntoIterator<Item = Function>) -> FunctionExecutor {
    let mut all = Functions::built_in();
    functions.into_iter().for_each(|function| all.register(function).unwrap());
    FunctionExecutor::new(all)
}

#[tokio::test]
async fn every_schema_of_the_functions_of_the_program_can_be_built() {
    let home = Home::new();
    let layout = Layout::new(home.path("data"));
    let functions =
        everfold_workflows::registry(&layout, &home.processes(), Functions::built_in(), None).functions;
    assert!(functions.names().len() > 20, "{:?}", functions.names());
    for name in functions.names() {
        let about = functions.about(name).unwrap();
        for schema in [&about.input, &about.output] {
            assert!(jsonschema::options().build(schema).is_ok(), "{name}: {schema}");
        }
    }
}

#[tokio::test]
async fn a_typed_function_gets_its_parameters_and_says_what_it_does() {
    let home = Home::new();
    let executor = executor([Function::new("shop.order", place).idempotent()]);
    let mut request = home.request(json!({"name": "shop.order", "with": {"item": "tea", "count": 2}}));
    request.folder = home.path("attempt");
    let seen = observer();
    let end = executor.start(request.clone(), seen.clone()).await;
    assert_eq!(output(&end), &json!({"number": request.id.idempotency_key(), "ok": true}));
    assert_eq!(end.usage.iter().map(|usage| usage.cost_micros).collect::<Vec<_>>(), [250_000]);
    let log = LogReader::from_start(&home.path("attempt/log")).read().unwrap();
    assert_eq!(log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["2 of tea", "second line"]);
    assert_eq!(*seen.lines.lock().unwrap(), ["2 of tea", "second line", "sent"]);
    let sealed = end.notes.log.clone().expect("its log is sealed");
    let written = std::fs::read(home.path("attempt/log")).unwrap();
    assert_eq!((sealed.hash, sealed.lines), (everfold_base::json::Hash::of(&written), 2));

    request.spec = json!({"name": "shop.order", "with": {"item": "unobtainium"}});
    let end = executor.start(request, observer()).await;
    let failed = failure(&end);
    assert_eq!(
        (failed.kind, failed.message.as_str(), failed.code.as_deref(), failed.hint()),
        (FailureKind::Error, "sold out", Some("SOLD_OUT"), "order another item")
    );
    assert_eq!(end.usage.len(), 1, "what a failed attempt used up counts, too");
}

#[tokio::test]
async fn what_does_not_fit_is_a_validation_and_its_value_is_not_repeated() {
    async fn huge(_: Call, bytes: usize) -> Result<String, StepError> {
        Ok("x".repeat(bytes))
    }
    async fn liar(_: Call, _: ()) -> Result<Value, StepError> {
        Ok(json!({"n": "no number"}))
    }
    async fn unsayable(_: Call, _: ()) -> Result<std::collections::BTreeMap<(u8, u8), u8>, StepError> {
        Ok([((1, 2), 3)].into())
    }
    let home = Home::new();
    let numbers = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let executor = executor([
        Function::new("shop.order", place),
        Function::new("huge", huge),
        Function::described("liar", json!({"type": "null"}), numbers, liar),
        Function::described("unsayable", json!({"type": "null"}), json!(true), unsayable),
    ]);
    let fails = async |name: &str, with: Value| {
        let end = executor.start(home.request(json!({"name": name, "with": with})), observer()).await;
        let failed = failure(&end).clone();
        assert_eq!(failed.kind, FailureKind::Validation, "{failed:?}");
        assert!(failed.hint.is_some(), "{failed:?}");
        failed.message
    };
    let missing = fails("shop.order", json!({})).await;
    assert!(missing.contains("\"item\" is a required property"), "{missing}");
    let wrong = fails("shop.order", json!({"item": "tea", "count": "hunter2"})).await;
    assert!(wrong.contains("`with/count`") && !wrong.contains("hunter2"), "{wrong}");
    let unknown = fails("shop.order", json!({"item": "tea", "colour": "red"})).await;
    assert!(unknown.contains("colour"), "{unknown}");
    assert!(fails("huge", json!(2 * 1024 * 1024)).await.contains("at most 1048576"));
    assert!(fails("liar", Value::Null).await.contains("`output/n`"));
    assert!(fails("unsayable", Value::Null).await.contains("no JSON"));
}

#[tokio::test]
async fn a_function_that_listens_gets_the_grace_to_end_in_good_order() {
    let cleaned = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&cleaned);
    let listens = move |call: Call, _: Value| {
        let cleaned = Arc::clone(&own);
        async move {
            call.progress("waiting");
            call.cancelled().await;
            tokio::task::yield_now().await;
            cleaned.store(true, Ordering::SeqCst);
            Ok::<_, StepError>("too late")
        }
    };
    async fn deaf(call: Call, _: Value) -> Result<(), StepError> {
        call.progress("waiting");
        std::future::pending().await
    }
    let home = Home::new();
    let executor = executor([Function::new("listens", listens), Function::new("deaf", deaf)]);
    for name in ["listens", "deaf"] {
        let mut request = home.request(json!({"name": name, "with": {}}));
        request.grace = Duration::from_secs(3600);
        let seen = observer();
        let running = tokio::spawn(executor.start(request.clone(), seen.clone()));
        until("its beginning", || !seen.lines.lock().unwrap().is_empty()).await;
        executor.cancel(request).await;
        assert_eq!(failure(&running.await.unwrap()).kind, FailureKind::Cancelled, "{name}");
    }
    assert!(cleaned.swap(false, Ordering::SeqCst));
    let mut request = home.request(json!({"name": "listens", "with": {}}));
    (request.timeout, request.grace) = (Some(Duration::from_millis(20)), Duration::from_secs(3600));
    assert_eq!(failure(&executor.start(request, observer()).await).kind, FailureKind::Timeout);
    assert!(cleaned.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_a_function_left_behind_hears_of_its_end() {
    let heard = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&heard);
    let leaves = move |call: Call, _: Value| {
        let (token, heard) = (call.cancellation(), Arc::clone(&own));
        tokio::spawn(async move {
            token.cancelled().await;
            heard.store(true, Ordering::SeqCst);
        });
        async { Ok::<_, StepError>(()) }
    };
    let executor = executor([Function::new("leaves", leaves)]);
    let end = executor.start(Home::new().request(json!({"name": "leaves"})), observer()).await;
    assert_eq!(output(&end), &Value::Null);
    until("the end that it hears of", || heard.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_attempt_with_what_it_said() {
    async fn panics(_: Call, n: u32) -> Result<u32, StepError> {
        let list = [1, 2];
        Ok(list[n as usize])
    }
    let at_once = |_: Call, _: Value| -> std::future::Ready<Result<(), StepError>> { panic!("at once") };
    let executor = executor([Function::new("panics", panics), Function::new("at-once", at_once)]);
    let home = Home::new();
    for (name, said) in [("panics", "index out of bounds"), ("at-once", "at once")] {
        let end = executor.start(home.request(json!({"name": name, "with": 7})), observer()).await;
        let failed = failure(&end);
        assert_eq!((failed.kind, failed.message.as_str()), (FailureKind::Crash, "the function panicked"));
        assert!(failed.detail.as_deref().unwrap().contains(said), "{failed:?}");
        assert!(failed.hint().contains("correct it, then retry"));
    }
}

#[tokio::test]
async fn any_error_becomes_a_failure_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the order could not be read")]
    struct Unread(#[source] std::num::ParseIntError);
    async fn reads(_: Call, text: String) -> Result<u8, StepError> {
        Ok(text.parse::<u8>().map_err(Unread)?)
    }
    let executor = executor([Function::new("reads", reads)]);
    let end = executor.start(Home::new().request(json!({"name": "reads", "with": "x"})), observer()).await;
    let failed = failure(&end);
    assert_eq!(failed.message, "the order could not be read");
    assert_eq!(failed.detail.as_deref(), Some("invalid digit found in string"));
}

#[tokio::test]
async fn only_what_reads_only_is_a_probe_and_its_answer_is_the_evidence() {
    let home = Home::new();
    let read_only = Function::new("shop.open", place).read_only();
    let prober = FunctionProber::new(executor([read_only, Function::new("shop.order", place).idempotent()]));
    let ask = |name: &str| probe_request(&home, json!({"name": name, "with": {"item": "tea"}}));
    assert_eq!(prober.probe(ask("shop.open")).await.unwrap()["ok"], json!(true));
    assert!(prober.probe(ask("shop.order")).await.unwrap_err().message.contains("only reads"));
}

#[test]
fn what_a_function_says_of_itself_is_made_from_its_types() {
    let mut functions = Functions::built_in();
    functions.register(Function::new("shop.order", place).summary("Orders.").paid().reads_context()).unwrap();
    let about = functions.about("shop.order").unwrap();
    assert!(
        about.effects.paid && about.reads_context && !about.effects.idempotent && !about.effects.read_only
    );
    assert_eq!(about.input["properties"]["item"]["description"], "What is ordered.");
    assert_eq!(about.input["required"], json!(["item"]));
    assert_eq!(about.output["required"], json!(["number", "ok"]));
    let traits = FunctionExecutor::new(functions).traits(&json!({"name": "shop.order"}));
    assert!(traits.reads_input && !traits.loss.idempotent);
}

#[test]
fn a_function_that_no_pipeline_could_call_is_refused() {
    let mut functions = Functions::built_in();
    for name in ["Order", "shop..order", "", "shop order"] {
        let refused = functions.register(Function::new(name, place)).unwrap_err();
        assert_eq!(refused, FunctionError::Name { name: name.to_owned() });
    }
    let twice = functions.register(Function::new("everfold.echo", place)).unwrap_err();
    assert_eq!(twice.to_string(), "there is a function everfold.echo already");
    let bad = Function::described("x", json!({"type": "strin"}), json!(true), place);
    assert!(functions.register(bad).unwrap_err().to_string().starts_with("the schema of the input of x"));
}

#[tokio::test]
async fn a_function_that_may_not_be_repeated_is_lost_with_its_engine() {
    let home = Home::new();
    let executor = executor([Function::new("shop.order", place)]);
    let request = home.request(json!({"name": "shop.order", "with": {"item": "tea"}}));
    let end = executor.reattach(request.clone(), observer()).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "{end:?}");
    let end =
        executor.reattach(everfold_ports::AttemptRequest { idempotent: Some(true), ..request }, observer());
    assert!(matches!(end.await.result, AttemptResult::Succeeded(_)));
}

#[tokio::test]
async fn functions_are_called_by_name_and_say_whether_a_repeat_does_harm() {
    let home = Home::new();
    let mut functions = Functions::built_in();
    async fn pay(_: Call, _: Value) -> Result<String, StepError> {
        Ok("paid".to_owned())
    }
    async fn panics(_: Call, with: Value) -> Result<Value, StepError> {
        assert!(with.is_string(), "a list");
        Ok(Value::Null)
    }
    functions.register(Function::new("pay", pay)).unwrap();
    functions.register(Function::new("panics", panics).idempotent()).unwrap();
    let executor = FunctionExecutor::new(functions);
    let call = |name: &str, with: Value| home.request(json!({"name": name, "with": with}));
    let end = executor.start(call("everfold.echo", json!([1])), observer()).await;
    assert_eq!(output(&end), &json!([1]));
    let end = executor.reattach(call("everfold.echo", json!([2])), observer()).await;
    assert_eq!(output(&end), &json!([2]));
    let end = executor.reattach(call("pay", json!(1)), observer()).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }));
    assert_eq!(executor.traits(&json!({"name": "pay"})).loss.on_lost, OnLost::Block);
    let end = executor.start(call("panics", json!(1)), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Crash);
    assert_eq!(failure(&end).detail.as_deref(), Some("a list"));
    assert!(failure(&end).hint().contains("a bug in the program"));
    let end = executor.start(call("everfold.ecko", json!(1)), observer()).await;
    assert!(failure(&end).message.contains("did you mean everfold.echo?"));
    let sleep = call("everfold.sleep", json!({"for": "1h"}));
    let sleeping = tokio::spawn(executor.start(sleep.clone(), observer()));
    executor.cancel(sleep).await;
    assert_eq!(failure(&sleeping.await.unwrap()).kind, FailureKind::Cancelled);
    let mut limited = call("everfold.sleep", json!({"for": "1h"}));
    limited.timeout = Some(std::time::Duration::from_millis(20));
    assert_eq!(failure(&executor.start(limited, observer()).await).kind, FailureKind::Timeout);
}
