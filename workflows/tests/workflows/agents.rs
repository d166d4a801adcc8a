//! Agents: profiles, answers in turns, sessions.

use super::remarks::remarks;
use crate::fixtures::home::{Home, failure, observer, output};
use crate::fixtures::program::write_program;
use everfold_base::failure::FailureKind;
use everfold_language::definition::OnLost;
use everfold_ports::{AttemptEnd, AttemptRequest, AttemptResult, Executor as _, RequestedJson, Resumption};
use everfold_workflows::agent::AgentExecutor;
use serde_json::{Value, json};

/// An agent that speaks as Claude Code does, by a script over `$1` (the session it resumes, or nothing) and
/// the prompt on standard input; `say TEXT [SESSION]` answers.
fn fake_claude(home: &Home, script: &str) -> AgentExecutor {
    let agent = format!(
        r#"#!/bin/sh
resumed="$1"
prompt=$(cat)
turn=$(( $(cat turns 2>/dev/null || echo 0) + 1 )); echo $turn > turns
echo "$turn|$resumed|$prompt" >> calls
say() {{
  printf '{{"type":"system","subtype":"init","session_id":"%s","model":"m"}}\n' "${{2:-s-$turn}}"
  printf '{{"type":"result","subtype":"success","is_error":false,"result":%s,"session_id":"%s","total_cost_usd":0.5,"usage":{{"input_tokens":10,"output_tokens":2}}}}\n' "$1" "${{2:-s-$turn}}"
}}
{script}
"#
    );
    std::fs::write(home.work("agent.sh"), agent).unwrap();
    let settings =
        "[agents.claude]\noutput = \"claude\"\ncommand = [\"sh\", \"agent.sh\", [\"{session}\"]]\n";
    AgentExecutor::new(home.processes_with(settings))
}

fn judge(repair: u64) -> Value {
    let schema = json!({"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}});
    json!({"prompt": "Judge it.", "schema": schema, "repair": repair, "on_invalid": "fail"})
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_given_back_in_the_same_session_and_all_usage_is_one_sum() {
    let home = Home::new();
    let script = r#"case $turn in
        1) say '"I think so."' ;;
        2) say '"{\"ok\": 1}"' "$resumed" ;;
        *) say '"{\"ok\": true}"' "$resumed" ;;
    esac"#;
    let request = home.request(judge(3));
    let end = fake_claude(&home, script).start(request.clone(), observer()).await;
    assert_eq!(output(&end), &json!({"ok": true}));
    let [usage] = end.usage.as_slice() else { panic!("{:?}", end.usage) };
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.cost_micros), (30, 6, 1_500_000));
    assert_eq!(usage.session.as_deref(), Some("s-1"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert!(
        calls.starts_with("1||Judge it.\n2|s-1|That answer cannot be used: the answer holds no JSON"),
        "{calls}"
    );
    assert!(
        calls.contains("3|s-1|That answer cannot be used: the answer does not fit the schema: /ok"),
        "{calls}"
    );
    let remarks = remarks(&home.path("attempt"));
    assert!(remarks.len() == 2 && remarks[1].contains("(2 of 3)"), "{remarks:?}");
    let again = fake_claude(&home, script).reattach(request, observer()).await;
    assert_eq!((output(&again), &again.usage), (output(&end), &end.usage), "reported alike for ever");
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "3\n", "and nothing was asked again");
}

#[tokio::test]
async fn when_all_repairs_are_used_the_attempt_fails_or_its_output_is_null() {
    // Wherever the answer is read from.
    for (on_invalid, fails, is_lenient) in
        [("fail", true, false), ("keep", false, false), ("fail", true, true), ("keep", false, true)]
    {
        let home = Home::new();
        let mut spec = judge(1);
        spec["on_invalid"] = json!(on_invalid);
        let mut request = home.request(spec);
        request.outputs.json = is_lenient.then_some(RequestedJson::Lenient);
        let end = fake_claude(&home, "say '\"no\"'").start(request, observer()).await;
        assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "2\n");
        assert_eq!(end.usage[0].cost_micros, 1_000_000);
        match end.result {
            AttemptResult::Failed(failure) => assert!(fails && failure.kind == FailureKind::Validation),
            AttemptResult::Succeeded(output) => assert!(!fails && output.is_null()),
            other => panic!("{other:?}"),
        }
    }
}

/// A judge whose output is read out of a file.
fn judge_in_file(home: &Home, repair: u64, on_invalid: &str) -> AttemptRequest {
    let mut spec = judge(repair);
    spec["on_invalid"] = json!(on_invalid);
    let mut request = home.request(spec);
    request.outputs.json = Some(RequestedJson::File("verdict.json".to_owned()));
    request
}

#[tokio::test]
async fn the_schema_holds_for_an_output_wherever_the_step_declares_it() {
    let wrong = r#"{"ok": 1}"#;
    let script = format!("echo '{wrong}' > verdict.json; say '\"{}\"'", wrong.replace('"', "\\\""));
    let declared = [
        (RequestedJson::File("verdict.json".to_owned()), "verdict.json does not fit the schema: /ok"),
        (RequestedJson::Lenient, "the answer does not fit the schema: /ok"),
        (RequestedJson::Stdout, "the answer does not fit the schema: /ok"),
    ];
    for (json, message) in declared {
        for on_invalid in ["fail", "keep"] {
            let home = Home::new();
            let mut request = judge_in_file(&home, 0, on_invalid);
            request.outputs.json = Some(json.clone());
            let end = fake_claude(&home, &script).start(request, observer()).await;
            if on_invalid == "keep" {
                assert_eq!(output(&end), &Value::Null, "{json:?}");
                continue;
            }
            let failure = failure(&end);
            assert_eq!(failure.kind, FailureKind::Validation, "{json:?}");
            assert!(failure.message.starts_with(message), "{json:?}: {}", failure.message);
        }
    }
}

#[tokio::test]
async fn a_declared_file_that_breaks_the_schema_is_given_back_and_one_that_fits_is_not() {
    let home = Home::new();
    let script = r#"case $turn in
        1) ;;
        2) echo '{"ok": 1}' > verdict.json ;;
        *) echo '{"ok": true}' > verdict.json ;;
    esac
    say '"It is written."' s-1"#;
    let end = fake_claude(&home, script).start(judge_in_file(&home, 3, "fail"), observer()).await;
    assert_eq!(output(&end), &json!({"ok": true}));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    for part in [
        "2|s-1|That answer cannot be used: the declared output verdict.json is missing",
        "3|s-1|That answer cannot be used: verdict.json does not fit the schema: /ok",
        "Write verdict.json again, with nothing but JSON that fits",
    ] {
        assert!(calls.contains(part), "{part}: {calls}");
    }
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "3\n", "and what fits ends it");
}

#[tokio::test]
async fn a_program_without_sessions_gets_its_task_and_its_former_answer_again() {
    let home = Home::new();
    let script = "n=$(( $(cat n 2>/dev/null || echo 0) + 1 )); echo $n > n; cp $EVERFOLD_PROMPT p$n; \
                  [ $n = 1 ] && echo maybe || echo '{\"ok\": false}'";
    let mut spec = judge(1);
    (spec["profile"], spec["args"]) = (json!("script"), json!(["sh", "-c", script]));
    let end = AgentExecutor::new(home.processes()).start(home.request(spec), observer()).await;
    assert_eq!(output(&end), &json!({"ok": false}));
    let asked = std::fs::read_to_string(home.work("p2")).unwrap();
    assert!(asked.starts_with("Judge it.\n\nYour former answer was:\n\nmaybe\n"), "{asked}");
    assert!(asked.contains("the answer holds no JSON") && asked.contains("\"required\""), "{asked}");
}

#[tokio::test]
async fn an_agent_that_fails_is_not_given_its_answer_back_and_a_time_limit_is_of_all_turns() {
    let home = Home::new();
    let end = fake_claude(&home, "say '\"no\"'; exit 4").start(home.request(judge(2)), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Exit);
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "1\n");
    let home = Home::new();
    let mut request = home.request(judge(50));
    request.timeout = Some(std::time::Duration::from_secs(2));
    let end = fake_claude(&home, "sleep 0.5; say '\"no\"'").start(request, observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Timeout, "{:?}", end.result);
}

fn continued(session: Option<&str>) -> impl Fn(&Home) -> AttemptRequest {
    let session = session.map(str::to_owned);
    move |home| {
        let mut request = home.request(json!({"prompt": "Go on.", "session": "resume"}));
        request.session.clone_from(&session);
        request
    }
}

#[tokio::test]
async fn a_session_is_continued_and_one_that_is_not_there_is_begun_anew_and_said() {
    let home = Home::new();
    let executor = fake_claude(&home, "say '\"done\"' \"${EVERFOLD_SESSION:-s-new}\"");
    let end = executor.start(continued(Some("s-7"))(&home), observer()).await;
    assert_eq!((output(&end), end.usage[0].session.as_deref()), (&json!("done"), Some("s-7")));
    assert!(end.notes.note.is_none() && remarks(&home.path("attempt")).is_empty());

    let home = Home::new();
    let gone = r#"if [ -n "$resumed" ]; then
        printf '{"type":"result","subtype":"error_during_execution","is_error":true,"session_id":"x","total_cost_usd":0,"usage":{"input_tokens":0,"output_tokens":0},"errors":["No conversation found with session ID: %s"]}\n' "$resumed"
        exit 1
    fi
    say '"done"' s-new"#;
    let end = fake_claude(&home, gone).start(continued(Some("s-7"))(&home), observer()).await;
    assert_eq!(output(&end), &json!("done"));
    assert_eq!(end.usage.last().and_then(|usage| usage.session.as_deref()), Some("s-new"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert_eq!(calls, "1|s-7|Go on.\n2||Go on.\n");
    let note = end.notes.note.unwrap();
    assert!(note.contains("s-7 could not be continued") && note.contains("No conversation found"), "{note}");
    assert_eq!(remarks(&home.path("attempt")), [note]);
}

#[tokio::test]
async fn another_failure_of_a_continued_session_is_no_reason_to_begin_anew() {
    let home = Home::new();
    let executor = fake_claude(&home, "echo 'invalid API key' >&2; exit 1");
    let end = executor.start(continued(Some("s-7"))(&home), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Exit);
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "1\n");
    // One that was cut short tells its session all the same.
    let home = Home::new();
    let cut = r#"printf '{"type":"system","subtype":"init","session_id":"s-9","model":"m"}\n'; exit 9"#;
    let end = fake_claude(&home, cut).start(continued(None)(&home), observer()).await;
    assert_eq!(end.usage[0].session.as_deref(), Some("s-9"));
}

#[tokio::test]
async fn codex_resumes_its_thread() {
    let home = Home::new();
    let script = "#!/bin/sh\ncat > /dev/null; echo \"$@\" >> calls\n\
        echo '{\"type\":\"thread.started\",\"thread_id\":\"t-1\"}'\n\
        echo '{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"ok\"}}'\n\
        echo '{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}'\n";
    write_program(&home.path("bin/codex"), script);
    let mut request = continued(Some("t-1"))(&home);
    request.spec["profile"] = json!("codex");
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    request.env.insert("PATH".to_owned(), path);
    let end: AttemptEnd = AgentExecutor::new(home.processes()).start(request, observer()).await;
    assert_eq!(output(&end), &json!("ok"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert_eq!(calls, "exec --json --sandbox workspace-write resume t-1 -\n");
}

#[tokio::test]
async fn the_script_profile_runs_any_program_with_the_prompt_as_a_file() {
    let home = Home::new();
    std::fs::write(
        home.work("agent.sh"),
        "cat \"$EVERFOLD_PROMPT\"; echo; echo $1 $EVERFOLD_ROLE $EVERFOLD_MODEL ${EVERFOLD_SESSION-none} >&2",
    )
    .unwrap();
    let executor = AgentExecutor::new(home.processes());
    let spec = json!({"profile": "script", "role": "analyst", "model": "small", "prompt": "Do it.", "args": ["sh", "agent.sh", 7]});
    let end = executor.start(home.request(spec), observer()).await;
    assert_eq!(output(&end), &json!("Do it."));
    let [prompt] = end.artefacts.as_slice() else { panic!("{end:?}") };
    assert_eq!((prompt.name.as_str(), home.blob(prompt.blob).as_str()), ("everfold.prompt", "Do it."));
    let log = everfold_workflows::shim::log::tail(&home.path("attempt/log"), 10);
    assert!(log.contains("7 analyst small none"), "{log}");
}

/// A null of a step or of its role counted as nothing, so the profile's model was taken.
#[tokio::test]
async fn a_null_leaves_the_flag_out_whatever_the_profile_says() {
    let settings = "[agents.script]\ncommand = [\"sh\", \"-c\", \"echo called $*\", \"sh\", \
                    [\"--model\", \"{model}\"], [\"--effort\", \"{effort}\"]]\n\
                    prompt = \"file\"\nmodel = \"large\"\neffort = \"high\"\n";
    for (said, called) in [
        (json!({}), "called --model large --effort high"),
        (json!({"model": null}), "called --effort high"),
        (json!({"effort": null, "model": "small"}), "called --model small"),
        (json!({"effort": null, "model": null}), "called"),
    ] {
        let home = Home::new();
        let mut spec = json!({"profile": "script", "prompt": "Do it."});
        spec.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let end =
            AgentExecutor::new(home.processes_with(settings)).start(home.request(spec), observer()).await;
        assert_eq!(output(&end), &json!(called), "{said}");
    }
}

#[tokio::test]
async fn a_claude_stream_gives_answer_usage_and_progress() {
    let home = Home::new();
    let transcript = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/claude.jsonl");
    let settings = format!(
        "[agents.claude]\ncommand = [\"sh\", \"-c\", \"cat > prompt; cat '{transcript}'; sleep 0.5\", \"sh\", [\"--model\", \"{{model}}\"]]\n\
         output = \"claude\"\non_lost = \"retry\"\n"
    );
    let executor = AgentExecutor::new(home.processes_with(&settings));
    let spec = json!({"prompt": "Fix the greeting."});
    assert_eq!(executor.traits(&spec).loss.on_lost, OnLost::Retry);
    let seen = observer();
    let end = executor.start(home.request(spec), seen.clone()).await;
    assert_eq!(output(&end), &json!("The greeting now handles an empty name. All 4 tests pass."));
    assert_eq!(end.usage.iter().map(|usage| usage.cost_micros).sum::<u64>(), 36_201);
    assert_eq!(std::fs::read_to_string(home.work("prompt")).unwrap(), "Fix the greeting.");
    assert_eq!(
        seen.lines.lock().unwrap().last().map(String::as_str),
        Some("The greeting now handles an empty name. All 4 tests pass.")
    );
    assert_eq!(*seen.started.lock().unwrap(), 1);
}

#[tokio::test]
async fn parameters_that_mean_nothing_are_refused_before_anything_is_paid_for() {
    let home = Home::new();
    let executor = AgentExecutor::new(home.processes());
    for spec in [json!({"schema": {"type": 3}}), json!({"promt": "x"})] {
        let end = executor.start(home.request(spec), observer()).await;
        assert_eq!(failure(&end).kind, FailureKind::Validation);
    }
}

/// Work that was interrupted, and goes on with this word.
fn resumed(home: &Home, session: Option<&str>, prompt: Option<&str>) -> AttemptRequest {
    let mut request = home.request(json!({"prompt": "Do it.", "session": "new"}));
    request.session = session.map(str::to_owned);
    request.resumption = Some(Resumption { prompt: prompt.map(str::to_owned) });
    request
}

#[tokio::test]
async fn interrupted_work_goes_on_in_its_session_whatever_the_step_says() {
    let answers = "say '\"done\"' \"${EVERFOLD_SESSION:-s-new}\"";
    for (prompt, said) in
        [(Some("Use the old API."), "Use the old API."), (None, "Continue from where you left off.")]
    {
        let home = Home::new();
        let executor = fake_claude(&home, answers);
        let end = executor.start(resumed(&home, Some("s-7"), prompt), observer()).await;
        assert_eq!(output(&end), &json!("done"));
        assert_eq!(std::fs::read_to_string(home.work("calls")).unwrap(), format!("1|s-7|{said}\n"));
        let [kept] = end.artefacts.as_slice() else { panic!("{end:?}") };
        assert_eq!(home.blob(kept.blob), said, "what it was told is kept");
    }
    // Without a session, and where that is gone, it is told its task again.
    let home = Home::new();
    fake_claude(&home, answers).start(resumed(&home, None, Some("Hurry.")), observer()).await;
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert!(
        calls.starts_with("1||Do it.\n\nThis work was interrupted.") && calls.contains("\n\nHurry."),
        "{calls}"
    );
    let home = Home::new();
    let gone = "[ -z \"$resumed\" ] || { echo 'No conversation found with session ID' >&2; exit 1; }\nsay '\"done\"'";
    let end = fake_claude(&home, gone).start(resumed(&home, Some("s-7"), Some("Hurry.")), observer()).await;
    assert_eq!(output(&end), &json!("done"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert!(calls.starts_with("1|s-7|Hurry.\n2||Do it.\n\nThis work was interrupted."), "{calls}");
}

#[tokio::test]
async fn an_agent_that_is_stopped_before_it_used_anything_up_reports_its_session() {
    let home = Home::new();
    let script = "printf '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-3\",\"model\":\"m\"}\\n'; touch up; exec sleep 60";
    let executor = fake_claude(&home, script);
    let request = home.request(json!({"prompt": "Do it.", "session": "new"}));
    let working = tokio::spawn({
        let (executor, request) = (executor.clone(), request.clone());
        async move { executor.start(request, observer()).await }
    });
    crate::fixtures::home::until("its beginning", || home.work("up").exists()).await;
    executor.cancel(request).await;
    let end = working.await.unwrap();
    assert_eq!(failure(&end).kind, FailureKind::Cancelled);
    assert_eq!(end.usage[0].session.as_deref(), Some("s-3"));
}
