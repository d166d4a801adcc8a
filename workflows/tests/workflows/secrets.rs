//! Secrets of attempts, over real processes: nothing that is kept holds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fixtures::home::{Home, failure, observer, output, pid_in, probe_request};
use everfold_base::failure::FailureKind;
use everfold_language::definition::SecretSource;
use everfold_ports::{Executor as _, Hidden, Piece, Prober as _, RequestedFile, RequestedJson, Secrets};
use everfold_workflows::agent::AgentExecutor;
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::probe::CommandProber;
use everfold_workflows::shim::log::tail;
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
    let seen = observer();
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
    let again = CommandExecutor::new(home.processes()).reattach(request, observer()).await;
    assert_eq!((output(&again), &again.artefacts), (output(&end), &end.artefacts));
}

/// A secret of digits, as a PIN: what holds it as a number stays JSON, and nothing that is kept holds the digits.
#[tokio::test]
async fn json_with_a_number_that_holds_a_secret_stays_json() {
    const PIN: &str = "20261129";
    let lenient = Some(RequestedJson::Lenient);
    let file = Some(RequestedJson::File("report.json".to_owned()));
    let result = |text: &str| format!("printf '{text}' > \"$EVERFOLD_OUTPUT\"");
    for (script, read, wanted) in [
        (
            result(r#"{"stamp":1620261129000,"n":[1,-20261129.5]}"#),
            None,
            json!({"stamp": "***", "n": [1, "***"]}),
        ),
        (result("20261129"), None, json!("***")),
        (
            result(r#"{"n":1,"everfold":{"usage":{"input_tokens":120261129,"cost":20261129}}}"#),
            None,
            json!({"n": 1}),
        ),
        (format!("echo '{{\"pin\":{PIN}}}'"), Some(RequestedJson::Stdout), json!({"pin": "***"})),
        (format!("echo 1{PIN}0"), Some(RequestedJson::Stdout), json!("***")),
        (format!("echo first; echo '[{PIN}]'"), lenient, json!(["***"])),
        (format!("printf '{{\"a\": {PIN}}}' > report.json"), file, json!({"a": "***"})),
    ] {
        let home = Home::new();
        let mut request = home.shell(&script);
        request.secrets = secrets(&home);
        std::fs::write(home.path("token"), PIN).unwrap();
        request.outputs.json = read;
        let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
        assert_eq!(output(&end), &wanted, "{script}");
        let output = home.path("attempt/output.json");
        for name in ["attempt/output.json", "attempt/stdout", "attempt/log"] {
            let kept = std::fs::read_to_string(home.path(name)).unwrap_or_default();
            assert!(!kept.contains(PIN), "{name}: {kept}");
        }
        assert!(output.exists() == script.contains("EVERFOLD_OUTPUT"));
    }
    let home = Home::new();
    let mut request = home.shell(&result(r#"{"stamp":1620261129000,20261129}"#));
    request.secrets = secrets(&home);
    std::fs::write(home.path("token"), PIN).unwrap();
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    let failed = failure(&end);
    assert!(failed.message.contains("is no JSON") && !format!("{failed:?}").contains(PIN), "{failed:?}");
    let kept = std::fs::read_to_string(home.path("attempt/output.json")).unwrap();
    assert!(!kept.contains(PIN), "{kept}");
}

#[tokio::test]
async fn l34_a_re_attached_process_needs_no_secret_and_what_it_says_later_is_masked() {
    let home = Home::new();
    let script = "echo $$ > pid; while [ ! -e go ]; do sleep 0.02; done; echo \"late $T\"; exit 3";
    let mut request = home.shell(script);
    request.secrets = secrets(&home);
    let executor = CommandExecutor::new(home.processes());
    let waiting = tokio::spawn(executor.start(request.clone(), observer()));
    pid_in(&home.work("pid")).await;
    waiting.abort();
    std::fs::remove_file(home.path("token")).unwrap();
    let again = tokio::spawn(executor.reattach(request, observer()));
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
    let end = executor.start(request.clone(), observer()).await;
    let failed = failure(&end);
    assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Spawn, Some("SECRET")));
    assert!(failed.message.contains("the secret T"), "{}", failed.message);
    assert!(!home.work("ran").exists());
    std::fs::write(home.path("token"), VALUE).unwrap();
    output(&executor.start(request, observer()).await);
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
    let end = AgentExecutor::new(home.processes_with(settings)).start(request, observer()).await;
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
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    assert_eq!(output(&end), &json!({"t": "***"}));
}
