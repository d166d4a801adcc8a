//! Secrets, clean worktrees, turns of agents and copies of worktrees, over real processes and real git.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fixtures::home::{Home, failure, git, nobody, output, pid_in, probe_request, repository, until};
use everfold_base::failure::FailureKind;
use everfold_base::json::Value;
use everfold_language::definition::{Keep, Save, SecretSource};
use everfold_ports::{
    AttemptEnd, AttemptRequest, AttemptResult, Executor as _, Fate, GitWorkdir, Hidden, Piece, Prober as _,
    RequestedFile, RequestedJson, Secrets, WorkspaceRequest, Workspaces as _,
};
use everfold_workflows::agent::AgentExecutor;
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::git::GitWorkspaces;
use everfold_workflows::probe::CommandProber;
use everfold_workflows::shim::log::{LogReader, Source, tail};
use serde_json::json;

const VALUE: &str = "s3cr3t/Value+42==";

/// A secret `T` that a command tells, so that no test changes the environment of the others.
fn secrets(home: &Home) -> Secrets {
    std::fs::write(home.path("token"), format!("{VALUE}\n")).unwrap();
    let sources = BTreeMap::from([("T".to_owned(), SecretSource::File("token".to_owned()))]);
    Secrets {
        sources: Arc::new(sources),
        vars: vec!["T".to_owned()],
        folder: Some(home.path("")),
        ..Secrets::default()
    }
}

/// The files below a folder in which the value stands.
fn leaks(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(leaks(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

fn log(folder: &Path) -> String {
    tail(&folder.join("log"), 1_000)
}

/// What the supervisor itself said in a log.
fn remarks(folder: &Path) -> Vec<String> {
    let lines = LogReader::from_start(&folder.join("log")).read().unwrap();
    lines.into_iter().filter(|line| line.source == Source::Supervisor).map(|line| line.text).collect()
}

#[tokio::test]
async fn l34_whatever_a_process_does_with_a_secret_the_attempts_folder_and_the_kept_files_do_not_hold_it() {
    let home = Home::new();
    let script = r#"
        test "$T" = "$(cat ../token)"; test "$AUTH" = "Bearer $T!"
        echo "plain $T"; echo "err $T" >&2
        printf '%s' "$T" | head -c 5; sleep 0.4; printf '%s' "$T" | tail -c +6; echo
        printf '%s' "$T" | base64; printf 'user:%s' "$T" | base64; printf '%s' "$T" | od -An -tx1 | tr -d ' \n'; echo
        printf '%s\n%s\n' "$(printf '%s' "$T" | head -c 9)" "$(printf '%s' "$T" | tail -c +10)"
        printf '{"a": "%s", "n": ["x%sx"]}' "$T" "$T" > "$EVERFOLD_OUTPUT"
        echo "hidden $T" > "$(dirname "$EVERFOLD_OUTPUT")/.mine"; mkdir "$(dirname "$EVERFOLD_OUTPUT")/deep"
        echo "$T" > "$(dirname "$EVERFOLD_OUTPUT")/deep/er"
        echo "report: $T" > report.txt
    "#;
    let mut request = home.shell(script);
    request.secrets = secrets(&home);
    request.env.insert("AUTH".to_owned(), "Bearer ***!".to_owned());
    let of = vec![
        Piece::Text("Bearer ".to_owned()),
        Piece::Secret { secret: "T".to_owned() },
        Piece::Text("!".to_owned()),
    ];
    request.secrets.env = vec![Hidden { at: "/AUTH".to_owned(), of }];
    let report = RequestedFile { path: "report.txt".to_owned(), optional: false, fresh: true };
    request.outputs.files.insert("report".to_owned(), report);
    let seen = nobody();
    let end = CommandExecutor::new(home.processes()).start(request.clone(), seen.clone()).await;
    assert_eq!(output(&end), &json!({"a": "***", "n": ["x***x"]}));
    assert_eq!(home.blob(end.artefacts[0].blob), "report: ***\n");
    assert_eq!(leaks(&home.path("attempt")), Vec::<PathBuf>::new());
    assert_eq!(leaks(&home.path("blobs")), Vec::<PathBuf>::new());
    let log = log(&home.path("attempt"));
    assert!(log.starts_with("plain ***\n") && log.contains("err ***"), "{log}");
    let shown: Vec<&str> = log.lines().filter(|line| !line.contains("***")).collect();
    assert!(shown.is_empty(), "every line held it in some form: {shown:?}");
    assert!(seen.lines.lock().unwrap().iter().all(|line| !line.contains(VALUE)));
    let kept = std::fs::read_to_string(home.work("report.txt")).unwrap();
    assert!(kept.contains(VALUE), "what the work wrote for itself stays its own");
    // Reported alike after a restart, without the secret.
    std::fs::remove_file(home.path("token")).unwrap();
    let again = CommandExecutor::new(home.processes()).reattach(request, nobody()).await;
    assert_eq!((output(&again), &again.artefacts), (output(&end), &end.artefacts));
}

#[tokio::test]
async fn l34_a_re_attached_process_needs_no_secret_and_what_it_says_later_is_masked() {
    let home = Home::new();
    let script = "echo $$ > pid; while [ ! -e go ]; do sleep 0.02; done; echo \"late $T\"; exit 3";
    let mut request = home.shell(script);
    request.secrets = secrets(&home);
    let executor = CommandExecutor::new(home.processes());
    let waiting = tokio::spawn(executor.start(request.clone(), nobody()));
    pid_in(&home.work("pid")).await;
    waiting.abort();
    std::fs::remove_file(home.path("token")).unwrap();
    let again = tokio::spawn(executor.reattach(request, nobody()));
    std::fs::write(home.work("go"), "").unwrap();
    let end = again.await.unwrap();
    let failed = failure(&end);
    assert_eq!((failed.kind, failed.detail.as_deref()), (FailureKind::Exit, Some("late ***")));
    assert!(leaks(&home.path("attempt")).is_empty());
}

#[tokio::test]
async fn l34_without_its_secret_nothing_starts_and_the_next_asking_looks_anew() {
    let home = Home::new();
    let mut request = home.shell("echo ran >> ran");
    request.secrets = secrets(&home);
    std::fs::remove_file(home.path("token")).unwrap();
    let executor = CommandExecutor::new(home.processes());
    let end = executor.start(request.clone(), nobody()).await;
    let failed = failure(&end);
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Spawn, Some("SECRET")));
    assert!(failed.message.contains("the secret T"), "{}", failed.message);
    assert!(!home.work("ran").exists());
    std::fs::write(home.path("token"), VALUE).unwrap();
    output(&executor.start(request, nobody()).await);
    assert_eq!(std::fs::read_to_string(home.work("ran")).unwrap(), "ran\n");
}

#[tokio::test]
async fn l34_the_input_file_holds_a_secret_only_while_the_work_runs() {
    let home = Home::new();
    let script = "grep -q 's3cr3t' \"$EVERFOLD_INPUT\" && stat -c %a \"$EVERFOLD_INPUT\"";
    let settings = "[agents.tool]\ncommand = [\"{args}\"]\nprompt = \"file\"\n";
    let spec =
        json!({"profile": "tool", "prompt": "p", "with": {"key": "k ***"}, "args": ["sh", "-c", script]});
    let mut request = home.request(spec.clone());
    request.input = json!({"with": spec["with"]});
    request.secrets = Secrets { vars: Vec::new(), ..secrets(&home) };
    let of = vec![Piece::Text("k ".to_owned()), Piece::Secret { secret: "T".to_owned() }];
    request.secrets.spec = vec![Hidden { at: "/with/key".to_owned(), of }];
    let end = AgentExecutor::new(home.processes_with(settings)).start(request, nobody()).await;
    assert_eq!(output(&end), &json!("600"), "{}", log(&home.path("attempt")));
    let input = std::fs::read_to_string(home.path("attempt/input.json")).unwrap();
    assert_eq!(input, r#"{"with":{"key":"k ***"}}"#);
    assert!(leaks(&home.path("attempt")).is_empty());
}

#[tokio::test]
async fn l34_the_command_of_a_gate_is_given_the_secrets_of_its_step_and_its_evidence_shows_none() {
    let home = Home::new();
    let mut request = probe_request(&home, json!({"shell": "test -n \"$T\"; echo \"tried $T\"", "vars": {}}));
    request.secrets = secrets(&home);
    let evidence = CommandProber::new(home.processes()).probe(request).await.unwrap();
    assert_eq!((&evidence["exit"], &evidence["output"]), (&json!(0), &json!("tried ***")));
    assert!(leaks(&home.path("probe")).is_empty());
}

#[tokio::test]
async fn l34_a_declared_json_file_is_read_masked() {
    let home = Home::new();
    let mut request = home.shell("printf '{\"t\": \"%s\"}' \"$T\" > out.json");
    request.secrets = secrets(&home);
    request.outputs.json = Some(RequestedJson::File("out.json".to_owned()));
    let end = CommandExecutor::new(home.processes()).start(request, nobody()).await;
    assert_eq!(output(&end), &json!({"t": "***"}));
}

fn in_worktree(home: &Home, script: &str, save: Save) -> AttemptRequest {
    let mut request = home.shell(script);
    let base_commit = git(&home.path("work"), &["rev-parse", "HEAD"]);
    request.workdir.git = Some(GitWorkdir {
        save,
        message: None,
        author: None,
        base_commit,
        is_copy: false,
        repository: home.path("work"),
        branch: Some("main".to_owned()),
    });
    request
}

#[tokio::test]
async fn l33_a_clean_retry_finds_the_worktree_as_it_was_and_ignored_caches_still_there() {
    let home = Home::new();
    let work = home.path("work");
    repository(&work);
    std::fs::write(work.join(".gitignore"), "cache/\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "ignore"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    let script = "echo two > readme; mkdir -p cache new; echo c > cache/c; echo n > new/n; exit 1";
    let end = CommandExecutor::new(home.processes())
        .start(in_worktree(&home, script, Save::Commit), nobody())
        .await;
    assert_eq!(failure(&end).exit_code, Some(1));
    assert_ne!(end.commit.as_deref(), Some(first.as_str()), "leftovers of a failed attempt are saved, too");
    std::fs::write(work.join("stray"), "x").unwrap();
    let mut request = in_worktree(&home, "cat readme; ls; cat cache/c; git status --porcelain", Save::Commit);
    request.folder = home.path("second");
    request.reset_to = Some(first.clone());
    let end = CommandExecutor::new(home.processes()).start(request.clone(), nobody()).await;
    assert_eq!(output(&end)["stdout"], "one\ncache\nreadme\nc\n");
    assert_eq!(end.commit, Some(first.clone()));
    // Once begun it is never reset again.
    std::fs::write(work.join("later"), "x").unwrap();
    CommandExecutor::new(home.processes()).reattach(request, nobody()).await;
    assert!(work.join("later").exists());
}

#[tokio::test]
async fn l33_where_commits_were_pushed_a_clean_retry_takes_back_what_they_did_and_not_the_history() {
    let home = Home::new();
    let (work, remote) = (home.path("work"), home.path("remote.git"));
    repository(&work);
    git(&work, &["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    git(&work, &["remote", "add", "origin", remote.to_str().unwrap()]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    let executor = CommandExecutor::new(home.processes());
    let wrong = in_worktree(&home, "echo wrong > readme; echo w > wrong; exit 1", Save::Push);
    executor.start(wrong, nobody()).await;
    let mut request = in_worktree(&home, "test ! -e wrong; echo right > right", Save::Push);
    (request.folder, request.reset_to) = (home.path("second"), Some(first));
    let end = executor.start(request, nobody()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    assert_eq!(git(&remote, &["rev-list", "--count", "main"]), "3", "nothing that was pushed is rewritten");
    assert_eq!(git(&remote, &["ls-tree", "--name-only", "main"]), "readme\nright");
    assert_eq!(git(&remote, &["show", "main:readme"]), "one");
}

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
    let end = fake_claude(&home, script).start(request.clone(), nobody()).await;
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
    let again = fake_claude(&home, script).reattach(request, nobody()).await;
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
        let end = fake_claude(&home, "say '\"no\"'").start(request, nobody()).await;
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
            let end = fake_claude(&home, &script).start(request, nobody()).await;
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
    let end = fake_claude(&home, script).start(judge_in_file(&home, 3, "fail"), nobody()).await;
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
async fn a_program_without_sessions_is_told_its_task_and_its_former_answer_again() {
    let home = Home::new();
    let script = "n=$(( $(cat n 2>/dev/null || echo 0) + 1 )); echo $n > n; cp $EVERFOLD_PROMPT p$n; \
                  [ $n = 1 ] && echo maybe || echo '{\"ok\": false}'";
    let mut spec = judge(1);
    (spec["profile"], spec["args"]) = (json!("script"), json!(["sh", "-c", script]));
    let end = AgentExecutor::new(home.processes()).start(home.request(spec), nobody()).await;
    assert_eq!(output(&end), &json!({"ok": false}));
    let asked = std::fs::read_to_string(home.work("p2")).unwrap();
    assert!(asked.starts_with("Judge it.\n\nYour former answer was:\n\nmaybe\n"), "{asked}");
    assert!(asked.contains("the answer holds no JSON") && asked.contains("\"required\""), "{asked}");
}

#[tokio::test]
async fn an_agent_that_fails_is_not_given_its_answer_back_and_a_time_limit_is_of_all_turns() {
    let home = Home::new();
    let end = fake_claude(&home, "say '\"no\"'; exit 4").start(home.request(judge(2)), nobody()).await;
    assert_eq!(failure(&end).kind, FailureKind::Exit);
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "1\n");
    let home = Home::new();
    let mut request = home.request(judge(50));
    request.timeout = Some(std::time::Duration::from_secs(2));
    let end = fake_claude(&home, "sleep 0.5; say '\"no\"'").start(request, nobody()).await;
    assert_eq!(failure(&end).kind, FailureKind::Timeout, "{:?}", end.result);
}

fn continued(session: Option<&str>) -> impl Fn(&Home) -> AttemptRequest {
    let session = session.map(str::to_owned);
    move |home| {
        let mut request = home.request(json!({"prompt": "Go on.", "session": "continue"}));
        request.session.clone_from(&session);
        request
    }
}

#[tokio::test]
async fn a_session_is_continued_and_one_that_is_not_there_is_begun_anew_and_said() {
    let home = Home::new();
    let executor = fake_claude(&home, "say '\"done\"' \"${EVERFOLD_SESSION:-s-new}\"");
    let end = executor.start(continued(Some("s-7"))(&home), nobody()).await;
    assert_eq!((output(&end), end.usage[0].session.as_deref()), (&json!("done"), Some("s-7")));
    assert!(end.told.note.is_none() && remarks(&home.path("attempt")).is_empty());

    let home = Home::new();
    let gone = r#"if [ -n "$resumed" ]; then
        printf '{"type":"result","subtype":"error_during_execution","is_error":true,"session_id":"x","total_cost_usd":0,"usage":{"input_tokens":0,"output_tokens":0},"errors":["No conversation found with session ID: %s"]}\n' "$resumed"
        exit 1
    fi
    say '"done"' s-new"#;
    let end = fake_claude(&home, gone).start(continued(Some("s-7"))(&home), nobody()).await;
    assert_eq!(output(&end), &json!("done"));
    assert_eq!(end.usage.last().and_then(|usage| usage.session.as_deref()), Some("s-new"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert_eq!(calls, "1|s-7|Go on.\n2||Go on.\n");
    let note = end.told.note.unwrap();
    assert!(note.contains("s-7 could not be continued") && note.contains("No conversation found"), "{note}");
    assert_eq!(remarks(&home.path("attempt")), [note]);
}

#[tokio::test]
async fn another_failure_of_a_continued_session_is_no_reason_to_begin_anew() {
    let home = Home::new();
    let executor = fake_claude(&home, "echo 'invalid API key' >&2; exit 1");
    let end = executor.start(continued(Some("s-7"))(&home), nobody()).await;
    assert_eq!(failure(&end).kind, FailureKind::Exit);
    assert_eq!(std::fs::read_to_string(home.work("turns")).unwrap(), "1\n");
    // One that was cut short tells its session all the same.
    let home = Home::new();
    let cut = r#"printf '{"type":"system","subtype":"init","session_id":"s-9","model":"m"}\n'; exit 9"#;
    let end = fake_claude(&home, cut).start(continued(None)(&home), nobody()).await;
    assert_eq!(end.usage[0].session.as_deref(), Some("s-9"));
}

#[tokio::test]
async fn codex_resumes_its_thread() {
    let home = Home::new();
    std::fs::create_dir(home.path("bin")).unwrap();
    let program = home.path("bin/codex");
    let script = "#!/bin/sh\ncat > /dev/null; echo \"$@\" >> calls\n\
        echo '{\"type\":\"thread.started\",\"thread_id\":\"t-1\"}'\n\
        echo '{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"ok\"}}'\n\
        echo '{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}'\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut request = continued(Some("t-1"))(&home);
    request.spec["profile"] = json!("codex");
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    request.env.insert("PATH".to_owned(), path);
    let end: AttemptEnd = AgentExecutor::new(home.processes()).start(request, nobody()).await;
    assert_eq!(output(&end), &json!("ok"));
    let calls = std::fs::read_to_string(home.work("calls")).unwrap();
    assert_eq!(calls, "exec --json --sandbox workspace-write resume t-1 -\n");
}

#[tokio::test]
async fn l33_copies_are_made_once_found_again_discarded_and_swept() {
    let home = Home::new();
    repository(&home.path("repo"));
    let workspaces = GitWorkspaces::new(&home.path("worktrees"));
    let request = WorkspaceRequest::Git {
        repository: home.path("repo"),
        base: None,
        from: None,
        branch: "everfold/1".to_owned(),
        keep: Keep::Never,
        keep_branch: true,
    };
    let workspace = workspaces.prepare(home.run, request).await.unwrap();
    let commit = workspace.commit.clone().unwrap();
    let copies = home.path("worktrees").join(format!("{}.own", home.run));
    let (one, two) = (copies.join("review-r1-a1"), copies.join("review-r1-a2"));
    for path in [&one, &two, &one] {
        workspaces.copy(home.run, workspace.clone(), commit.clone(), path.clone()).await.unwrap();
        std::fs::write(path.join("mine"), "x").unwrap();
    }
    assert_eq!(git(&one, &["rev-parse", "HEAD"]), commit);
    assert!(one.join("mine").exists(), "one that is there is not made again");
    assert!(!Path::new(&workspace.path).join("mine").exists());
    // A crash in the middle of making one leaves no mark: it is made anew.
    std::fs::remove_file(copies.join("review-r1-a2.made")).unwrap();
    workspaces.copy(home.run, workspace.clone(), commit.clone(), two.clone()).await.unwrap();
    assert!(!two.join("mine").exists());
    workspaces.discard(home.run, workspace.clone(), HashSet::from([one.clone()])).await;
    assert!(!one.exists() && two.exists());
    GitWorkspaces::new(&home.path("worktrees")).sweep([].into()).await;
    assert!(two.exists(), "the run has not ended");
    workspaces.release(home.run, workspace, Keep::Always, true, true).await;
    assert!(!copies.exists());
    assert_eq!(git(&home.path("repo"), &["worktree", "list"]).lines().count(), 2);
    let path = copies.join("left-r1-a1");
    let kept = Path::new(&home.path("worktrees")).join(home.run.to_string());
    let workspace = everfold_ports::Workspace {
        path: kept.display().to_string(),
        repository: Some(home.path("repo").display().to_string()),
        branch: None,
        base: None,
        commit: Some(commit.clone()),
    };
    workspaces.copy(home.run, workspace, commit, path.clone()).await.unwrap();
    let ended = Fate::Ended { succeeded: true, began: true };
    GitWorkspaces::new(&home.path("worktrees")).sweep([(home.run, ended)].into()).await;
    assert!(!path.exists() && !copies.exists(), "what a crash left goes with the next start");
    assert_eq!(git(&home.path("repo"), &["worktree", "list"]).lines().count(), 2, "and git forgets it");
}

#[tokio::test]
async fn y_what_a_process_leaves_is_bounded_and_a_log_over_its_limit_says_so() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes_with("[logs]\nmax_bytes = 20000\n"));
    let end = executor.start(home.shell("yes 0123456789 | head -n 50000"), nobody()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    assert!(std::fs::metadata(home.path("attempt/log")).unwrap().len() < 21_000);
    assert!(remarks(&home.path("attempt"))[0].contains("the limit of this log is reached"));
    for (script, part) in [
        ("head -c 1100000 /dev/zero | tr '\\0' ' ' > $EVERFOLD_OUTPUT", "larger than 1 MiB"),
        ("echo '{\"a\": ' > $EVERFOLD_OUTPUT", "no JSON"),
    ] {
        let home = Home::new();
        let end = CommandExecutor::new(home.processes()).start(home.shell(script), nobody()).await;
        assert_eq!(failure(&end).kind, FailureKind::Validation);
        assert!(failure(&end).message.contains(part), "{}", failure(&end).message);
    }
    let home = Home::new();
    std::os::unix::fs::symlink("/etc/hostname", home.work("link")).unwrap();
    for path in ["link", "../token", "/etc/hostname"] {
        std::fs::write(home.path("token"), "x").unwrap();
        let mut request = home.shell("true");
        request.folder = home.path(&format!("attempt-{}", path.len()));
        let file = RequestedFile { path: path.to_owned(), optional: false, fresh: false };
        request.outputs.files.insert("f".to_owned(), file);
        let end = CommandExecutor::new(home.processes()).start(request, nobody()).await;
        assert!(failure(&end).message.contains("leads out of the workspace"), "{:?}", end.result);
    }
}

#[tokio::test]
async fn y_a_process_that_forks_away_and_one_that_ignores_sigterm_do_not_outlive_their_attempt() {
    let home = Home::new();
    let script = "setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; echo $$ > away; sleep 600) & sleep 600' & \
                  while [ ! -s away ]; do sleep 0.02; done";
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), nobody()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    let away = pid_in(&home.work("away")).await;
    until("what forked away is gone", || !crate::fixtures::home::is_alive(away)).await;
    let home = Home::new();
    let mut request = home.shell("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    request.timeout = Some(std::time::Duration::from_millis(700));
    let end = CommandExecutor::new(home.processes()).start(request, nobody()).await;
    assert_eq!(failure(&end).kind, FailureKind::Timeout);
    let stubborn = pid_in(&home.work("pid")).await;
    until("what ignores SIGTERM is gone", || !crate::fixtures::home::is_alive(stubborn)).await;
}
