//! What agents use up while they work: counted once, priced by the table, stopped by the budget.

use everfold_base::failure::FailureKind;
use everfold_core::event::CancelRequested;
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::{Definition, NoFiles, parse};
use everfold_runtime::Which;
use serde_json::json;

use super::place::{Place, ended, found, tell};
use crate::workflow_fixtures::home::until;

/// An agent that says what each of its messages used up, as Claude Code does, and works until it is stopped.
const ENDLESS: &str = r#"
n=0
while [ -z "$END" ] || [ "$n" -lt "$END" ]; do
  n=$((n+1))
  for twice in 1 2; do
    echo "{\"type\":\"assistant\",\"message\":{\"model\":\"m-1\",\"id\":\"msg_$n\",\"usage\":{\"input_tokens\":1000000,\"output_tokens\":1000},\"content\":[]},\"session_id\":\"s\"}"
  done
  sleep 0.05
done
sleep 600
"#;

fn metered(place: &Place, pipeline: &str) -> (Definition, String) {
    std::fs::write(place.home.work("agent.sh"), ENDLESS).unwrap();
    let script = place.home.work("agent.sh").display().to_string();
    let settings = format!(
        "[agents.endless]\ncommand = [\"sh\", \"{script}\"]\noutput = \"claude\"\n[prices.\"a:m-*\"]\nin = 0.001\nout = 1\n"
    );
    let definition =
        parse(pipeline, "metered.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}")).definition;
    (definition, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_an_agent_that_overspends_is_stopped_while_it_works() {
    let place = Place::new();
    // A message costs 0.002 dollars by the table: the fifth or so is too much.
    let (definition, settings) = metered(
        &place,
        r#"
name: metered
budget: { cost: 0.01, on_over: stop }
steps:
  - { id: work, agent: { profile: endless, prompt: "go on" }, grace: 100ms, on_fail: continue }
"#,
    );
    let engine = place.open_with(&settings);
    let run = place.start(&engine, definition, &json!({})).await;
    let status = ended(&engine, run).await;
    let state = engine.state(run).await.unwrap();
    assert_eq!(status, RunStatus::Succeeded, "{:?}", state.failure());
    let failure = state.step(&"work".into()).unwrap().1.failure.clone().unwrap();
    assert_eq!(failure.kind, FailureKind::Budget, "{failure:?}");
    let used = state.usage();
    assert!(used.cost_micros > 10_000, "{used:?}");
    // All of it, once: what it said while it worked is not counted again at its end.
    assert_eq!(used.cost_micros, used.input_tokens / 1_000_000 * 2_000, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_what_an_agent_used_up_is_counted_also_where_it_is_cancelled_or_out_of_time() {
    for how in ["timeout", "cancel"] {
        let place = Place::new();
        let limit = if how == "timeout" { "3s" } else { "10m" };
        let (definition, settings) = metered(
            &place,
            &format!(
                "name: metered\nsteps:\n  - {{ id: work, agent: {{ profile: endless, prompt: p }}, env: {{ END: \"7\" }}, timeout: {limit}, grace: 100ms }}\n"
            ),
        );
        let engine = place.open_with(&settings);
        let run = place.start(&engine, definition, &json!({})).await;
        if how == "cancel" {
            found(&engine, run, "its first report", |state| (state.usage().input_tokens > 0).then_some(()))
                .await;
            let said = place.home.path("data/attempts").join(run.to_string()).join("work-r1-a1/stdout");
            until("the seventh message", || {
                std::fs::read_to_string(&said).unwrap_or_default().contains("msg_7")
            })
            .await;
            // An engine that takes it up again counts from the beginning, and nothing twice.
            drop(engine);
            let engine = place.open_with(&settings);
            engine.recover(Which::All).await.unwrap();
            tell(&engine, run, InputKind::Cancel(CancelRequested { reason: None })).await;
            assert_eq!(ended(&engine, run).await, RunStatus::Cancelled);
            let used = engine.state(run).await.unwrap().usage();
            assert_eq!((used.input_tokens, used.output_tokens, used.cost_micros), (7_000_000, 7_000, 14_000));
            continue;
        }
        assert_eq!(ended(&engine, run).await, RunStatus::Failed);
        let state = engine.state(run).await.unwrap();
        assert_eq!(state.failure().unwrap().0.kind, FailureKind::Timeout);
        let said = place.home.path("data/attempts").join(run.to_string()).join("work-r1-a1/stdout");
        let said = std::fs::read_to_string(&said).unwrap().lines().count() as u64;
        let (messages, used) = (said.div_ceil(2), state.usage());
        assert!(messages > 0);
        assert_eq!(
            (used.input_tokens, used.output_tokens, used.cost_micros),
            (messages * 1_000_000, messages * 1_000, messages * 2_000)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_tokens_without_a_cost_count_by_the_table_of_prices() {
    let place = Place::new();
    let text = r#"
name: priced
budget: { cost: 0.01, on_over: fail }
steps:
  - id: first
    command: 'printf "{\"everfold\": {\"usage\": {\"model\": \"m-1\", \"input_tokens\": 5000000}}}" > "$EVERFOLD_OUTPUT"'
  - id: second
    agent: { profile: script, prompt: "go on", args: [sh, -c, "echo not reached > reached"] }
"#;
    let (definition, settings) = metered(&place, text);
    let settings = settings.replace("in = 0.001", "in = 1.25");
    let engine = place.open_with(&settings);
    let run = place.start(&engine, definition, &json!({})).await;
    assert_eq!(ended(&engine, run).await, RunStatus::Failed);
    let state = engine.state(run).await.unwrap();
    assert_eq!(state.usage().cost_micros, 6_250_000, "five million tokens are not free");
    assert_eq!(state.failure().unwrap().0.kind, FailureKind::Budget);
    assert!(!place.home.work("reached").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_what_an_agent_says_at_its_end_that_it_cost_counts_also_where_the_table_had_counted_more() {
    for models in ["", r#""modelUsage":{"m-1":{"inputTokens":3000000,"outputTokens":3000,"costUSD":0.004}},"#]
    {
        let place = Place::new();
        let text = "name: metered\nsteps:\n  - { id: work, agent: { profile: endless, prompt: p }, env: { END: \"3\" } }\n";
        let (definition, settings) = metered(&place, text);
        let bill = r#"{"type":"result","subtype":"success","result":"done","session_id":"s",MODELS"total_cost_usd":0.004,"usage":{"input_tokens":3000000,"output_tokens":3000}}"#;
        // Its end waits until what it said before was counted.
        let counted = place.home.work("counted");
        let script = ENDLESS.replace(
            "sleep 600",
            &format!(
                "until [ -e {} ]; do sleep 0.05; done\necho '{}'",
                counted.display(),
                bill.replace("MODELS", models)
            ),
        );
        std::fs::write(place.home.work("agent.sh"), script).unwrap();
        let engine = place.open_with(&settings);
        let run = place.start(&engine, definition, &json!({})).await;
        found(&engine, run, "the estimate", |state| (state.usage().cost_micros >= 2_000).then_some(())).await;
        std::fs::write(&counted, "").unwrap();
        let status = ended(&engine, run).await;
        let state = engine.state(run).await.unwrap();
        assert_eq!(status, RunStatus::Succeeded, "{:?}", state.failure());
        let used = state.usage();
        assert_eq!(
            (used.input_tokens, used.output_tokens, used.cost_micros),
            (3_000_000, 3_000, 4_000),
            "{models}"
        );
    }
}
