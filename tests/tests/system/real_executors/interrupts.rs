//! Interrupted runs with real processes: the agent goes on in its session, a killed engine loses nothing of it.

use everfold_base::json::Payload;
use everfold_core::event::{RunPaused, RunResumed};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus, effects};
use everfold_language::definition::{NoFiles, parse};
use everfold_runtime::Which;
use serde_json::json;

use super::place::{Place, ended, found, tell};
use crate::workflow_fixtures::home::until;

/// An agent that speaks as Claude Code does: without a session it works until it is stopped, in one it ends at once.
const AGENT: &str = r#"
prompt=$(cat)
echo "${1:-none}|$prompt" >> calls
printf '{"type":"system","subtype":"init","session_id":"%s","model":"m"}\n' "${1:-s-1}"
if [ -z "$1" ]; then
  echo half > work.txt
  exec sleep 600
fi
printf '{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"%s","total_cost_usd":0.5,"usage":{"input_tokens":10,"output_tokens":2}}\n' "$1"
"#;

const PIPELINE: &str = r#"
name: interrupted
steps:
  - { id: work, agent: { profile: mine, prompt: "Do it." }, grace: 100ms, retry: { attempts: 1 } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_agent_goes_on_in_its_session_with_what_it_is_told() {
    for engine_dies in [false, true] {
        let place = Place::new();
        std::fs::write(place.home.work("agent.sh"), AGENT).unwrap();
        let settings = format!(
            "[agents.mine]\noutput = \"claude\"\ncommand = [\"sh\", \"{}\", [\"{{session}}\"]]\n",
            place.home.work("agent.sh").display()
        );
        let definition = parse(PIPELINE, "p.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}"));
        let mut engine = place.open_with(&settings);
        let run = place.start(&engine, definition.definition, &json!({})).await;
        let work = place.home.work("work.txt");
        until("the first half", || work.exists()).await;
        let paused = RunPaused { reason: Some("it goes astray".into()), interrupt: true };
        tell(&engine, run, InputKind::Pause(paused)).await;
        if engine_dies {
            drop(engine);
            engine = place.open_with(&settings);
            engine.recover(Which::All).await.unwrap();
        }
        let is_still = |state: &RunState| {
            let is_open = state.status() == RunStatus::Paused && effects(state).is_empty();
            is_open.then_some(())
        };
        found(&engine, run, "the end of the attempt", is_still).await;
        let prompt = Some(Payload::Inline(json!("Use the old API.").into()));
        tell(&engine, run, InputKind::Resume(RunResumed { reason: None, prompt })).await;
        assert_eq!(ended(&engine, run).await, RunStatus::Succeeded, "{engine_dies}: no try was used up");
        let calls = std::fs::read_to_string(place.home.work("calls")).unwrap();
        assert_eq!(calls, "none|Do it.\ns-1|Use the old API.\n", "{engine_dies}");
        assert!(engine.replay(run).await.unwrap().differences.is_empty());
    }
}
