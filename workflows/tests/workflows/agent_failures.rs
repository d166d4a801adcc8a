//! Agents: codes of failures, answers that are not complete, what is looked at before anything is paid.

use crate::fixtures::home::{Home, failure, observer, output, until};
use everfold_base::failure::FailureKind;
use everfold_ports::{AttemptEnd, Executor as _};
use everfold_workflows::agent::AgentExecutor;
use serde_json::{Value, json};
use std::time::Duration;

/// An agent whose profile reads this format and runs this script.
fn agent(home: &Home, format: &str, script: &str, more: &str) -> AgentExecutor {
    std::fs::write(home.work("agent.sh"), format!("cat > /dev/null\n{script}\n")).unwrap();
    let settings =
        format!("[agents.claude]\noutput = \"{format}\"\ncommand = [\"sh\", \"agent.sh\"]\n{more}");
    AgentExecutor::new(home.processes_with(&settings))
}

async fn end_of(format: &str, script: &str, spec: Value) -> AttemptEnd {
    let home = Home::new();
    agent(&home, format, script, "").start(home.request(spec), observer()).await
}

fn transcript(name: &str) -> String {
    format!("cat '{}/tests/transcripts/{name}'", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn a_failure_of_the_service_has_its_code_and_is_an_outage_whatever_the_exit_code() {
    for exit in ["", "; exit 1"] {
        let home = Home::new();
        let script = format!("{}{exit}", transcript("claude-limited.jsonl"));
        let executor = agent(&home, "claude", &script, "");
        let end = executor.start(home.request(json!({"prompt": "Do it."})), observer()).await;
        let failed = failure(&end);
        assert_eq!(failed.code.as_deref(), Some("RATE_LIMITED"), "{failed:?}");
        assert!(failed.message.contains("You've hit your limit"), "{}", failed.message);
        assert!(failed.hint().contains("only: [RATE_LIMITED, OVERLOADED]"), "{}", failed.hint());
        assert!(executor.is_outage(failed), "breakers count it");
    }
}

#[tokio::test]
async fn the_pause_that_a_service_asks_for_is_reported() {
    let said = "{\"type\":\"turn.failed\",\"error\":{\"message\":\"Rate limit reached for gpt-5 on tokens per min. Please try again in 11.5s.\"}}";
    for exit in ["", "exit 1"] {
        let script = format!("echo '{said}'\n{exit}");
        let end = end_of("codex", &script, json!({"prompt": "Do it."})).await;
        assert_eq!(failure(&end).code.as_deref(), Some("RATE_LIMITED"));
        assert_eq!(end.again_after, Some(Duration::from_millis(11_500)));
    }
    let end = end_of(
        "codex",
        "echo '{\"type\":\"turn.failed\",\"error\":{\"message\":\"no\"}}'",
        json!({"prompt": "Do it."}),
    )
    .await;
    assert_eq!((failure(&end).code.as_deref(), end.again_after), (None, None));
}

#[tokio::test]
async fn a_program_that_is_logged_out_says_so_on_whatever_it_writes_to() {
    let end =
        end_of("claude", "echo 'Invalid API key · Please run /login' >&2; exit 1", json!({"prompt": "x"}))
            .await;
    let failed = failure(&end);
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Exit, Some("UNAUTHORISED")));
    assert!(failed.detail.as_deref().is_some_and(|detail| detail.contains("Please run /login")));
    let refused = "echo '{\"type\":\"error\",\"message\":\"unexpected status 401 Unauthorized: Missing bearer\"}'; exit 1";
    assert_eq!(
        failure(&end_of("codex", refused, json!({"prompt": "x"})).await).code.as_deref(),
        Some("UNAUTHORISED")
    );
}

#[tokio::test]
async fn an_answer_that_is_not_complete_fails_or_counts_with_a_remark() {
    let script = format!("{}; exit 1", transcript("claude-error.jsonl"));
    let end = end_of("claude", &script, json!({"prompt": "x"})).await;
    assert_eq!(failure(&end).code.as_deref(), Some("MAX_TURNS"));
    let end = end_of("claude", &script, json!({"prompt": "x", "on_incomplete": "warn"})).await;
    assert_eq!(output(&end), &json!("Working on it."));
    assert_eq!(end.notes.code.as_deref(), Some("MAX_TURNS"));
    assert!(end.notes.note.as_deref().is_some_and(|note| note.starts_with("the answer is not complete")));
    assert_eq!(end.usage[0].cost_micros, 12_500, "and what it cost is known");
    // It must be what the step asks for all the same.
    let spec = json!({"prompt": "x", "on_incomplete": "warn", "schema": {"type": "object"}});
    assert_eq!(failure(&end_of("claude", &script, spec).await).kind, FailureKind::Validation);
    // A stream without an end, of a program that ended well.
    let end = end_of("claude", "echo noise", json!({"prompt": "x"})).await;
    assert_eq!(failure(&end).code.as_deref(), Some("TRUNCATED"));
    let end = end_of("claude", "echo noise", json!({"prompt": "x", "on_incomplete": "warn"})).await;
    assert_eq!((output(&end), end.notes.code.as_deref()), (&Value::Null, Some("TRUNCATED")));
    // What failed is no answer.
    let end = end_of("claude", "exit 3", json!({"prompt": "x", "on_incomplete": "warn"})).await;
    assert_eq!(failure(&end).exit_code, Some(3));
}

/// O137: nothing of an agent that is logged out begins, and nothing fails.
#[tokio::test]
async fn o137_what_is_logged_out_waits_and_begins_as_soon_as_it_is_logged_in() {
    let home = Home::new();
    let (called, login) = (home.work("called"), home.work("login"));
    let preflight = format!(
        "[preflight.claude]\ncredentials = [\"{}\"]\nkeep = \"0s\"\non_missing = \"wait\"\n",
        login.display()
    );
    let executor = agent(&home, "text", &format!("touch '{}'", called.display()), &preflight);
    let request = home.request(json!({"prompt": "x"}));
    let seen = observer();
    let waiting = tokio::spawn(executor.start(request.clone(), seen.clone()));
    // Twice, so that it was looked again.
    until("it waits", || seen.lines.lock().unwrap().len() > 1).await;
    let said = seen.lines.lock().unwrap().clone();
    assert!(
        said.iter().all(|line| line.starts_with("waits: no credentials for the agent claude: /")),
        "{said:?}"
    );
    assert!(
        !called.exists() && !request.folder.exists() && *seen.started.lock().unwrap() == 0,
        "nothing was begun"
    );
    std::fs::write(&login, "{}").unwrap();
    assert_eq!(output(&waiting.await.unwrap()), &json!(""));
    assert!(called.exists() && *seen.started.lock().unwrap() == 1);
    // One that is stopped while it waits ends, and its program is never called.
    std::fs::remove_file(&login).unwrap();
    std::fs::remove_file(&called).unwrap();
    let mut request = home.request(json!({"prompt": "x"}));
    request.id.attempt.round = everfold_base::id::Round(2);
    request.folder = request.folder.with_file_name("stopped");
    let waiting = tokio::spawn(executor.start(request.clone(), observer()));
    executor.cancel(request).await;
    assert_eq!(failure(&waiting.await.unwrap()).kind, FailureKind::Cancelled);
    assert!(!called.exists());
}

#[tokio::test]
async fn what_the_preflight_misses_fails_the_attempt_before_the_program_is_called() {
    let home = Home::new();
    let called = home.work("called");
    let script = format!("touch '{}'", called.display());
    let preflight = format!(
        "[preflight.claude]\ncommand = [\"test\", \"-e\", \"{}\"]\nkeep = \"0s\"\n",
        home.work("login").display()
    );
    let executor = agent(&home, "text", &script, &preflight);
    let request = home.request(json!({"prompt": "x"}));
    let end = executor.start(request.clone(), observer()).await;
    let failed = failure(&end);
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Spawn, Some("UNAUTHORISED")));
    assert!(failed.hint().contains("log the program in"), "{}", failed.hint());
    assert!(!called.exists() && end.usage.is_empty() && !request.folder.exists(), "nothing was begun");
    std::fs::write(home.work("login"), "").unwrap();
    let end = executor.start(request.clone(), observer()).await;
    assert_eq!(output(&end), &json!(""), "what was mended is seen");
    assert!(called.exists());
    // An attempt that began is never judged by what came later.
    std::fs::remove_file(home.work("login")).unwrap();
    let end = executor.start(request, observer()).await;
    assert_eq!(output(&end), &json!(""));
}
