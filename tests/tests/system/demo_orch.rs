//! `everfold demo orch` from outside: the real program over servers that speak as Plane, Gitea and Telegram do.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const ITEM: &str = "ET-018";

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn everfold(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_everfold-under-test"))
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("NO_COLOR", "1")
        .env_remove("EVERFOLD_DIR")
        .env_remove("EVERFOLD_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_issue_goes_through_all_stages_while_its_server_is_killed() {
    let scratch = tempfile::tempdir().unwrap();
    let output = everfold(&["demo", "orch", "--json"], scratch.path());
    let report: Value = serde_json::from_str(&said(&output)).unwrap();
    let folder = Path::new(report["folder"].as_str().unwrap());
    assert_ne!(report["servers"][0], report["servers"][1]);

    // The files on disk, not what the demo says about them.
    let executions = std::fs::read_to_string(folder.join("agents/executions.log")).unwrap();
    let ran: Vec<String> =
        executions.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    let once = ["reviewer 1 1", "tester 1 1", "staging 1 1", "deployer 1 1"];
    let sent_back = ["analyst 1 1", "analyst 2 1", "architect 1 1", "developer 1 1", "developer 2 1"];
    assert_eq!(ran, [&sent_back[..], &once[..]].concat());
    // It is to end within a minute: a quarter of that is planned, and the rest is for what the machine needs.
    let pace: f64 = std::fs::read_to_string(folder.join("agents/pace")).unwrap().parse().unwrap();
    let planned = Duration::from_secs(ran.len() as u64).mul_f64(pace);
    assert!(planned <= Duration::from_secs(15), "{planned:?} of pauses");
    let origin = folder.join("gitea/roman.git");
    let main = |file: &str| {
        let output =
            Command::new("git").args(["show", &format!("main:{file}")]).current_dir(&origin).output();
        said(&output.unwrap())
    };
    assert!(main("src/roman.sh").contains("4 IV"), "what CI refused was mended, and merged");
    assert!(main(&format!("docs/work-items/{ITEM}/12-review.md")).contains("verdict: APPROVED"));

    // Each thing is said once, by the one who is to say it.
    let comments = report["comments"].as_array().unwrap();
    let by = |author: &str, words: &str| {
        let is_it = |comment: &&Value| {
            comment["by"] == author && comment["text"].as_str().is_some_and(|text| text.contains(words))
        };
        comments.iter().filter(is_it).count()
    };
    for (author, words, times) in [
        ("Ada", "Only up to 10?", 1),
        ("analyst", "Analyst перезапущен. Причина отклонения: Only up to 10?", 1),
        ("analyst", "Подготовил BRD", 2),
        ("architect", "См. ADR ниже", 1),
        ("reviewer", "Verdict: APPROVED", 1),
        ("tester", "Verdict: PASS", 1),
        ("stream", "Stage: deploy → done", 1),
        ("deployer", "Task completed!", 1),
    ] {
        assert_eq!(by(author, words), times, "{author}: {words} in {comments:#?}");
    }
    let live = texts(&report["live"]);
    assert!(live.last().unwrap().starts_with(&format!("🎉 {ITEM}")), "{live:#?}");

    let data = report["dir"].as_str().unwrap();
    let run = report["run"].as_str().unwrap();
    let replayed = said(&everfold(&["--dir", data, "replay", run], scratch.path()));
    assert!(replayed.contains("all equal"), "{replayed}");
    let status = said(&everfold(&["--dir", data, "orch", "status", "--all", "--json"], scratch.path()));
    assert!(status.contains(run), "{status}");
}

/// A closed terminal, or `kill -9`, left the server behind.
#[test]
fn the_server_of_a_demo_that_is_killed_ends_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"))
        .args(["demo", "orch", "--pace", "5"])
        .current_dir(scratch.path())
        .env("TMPDIR", scratch.path())
        .env_remove("EVERFOLD_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = until(|| {
        assert!(demo.try_wait().unwrap().is_none(), "the demo ended by itself");
        let folders = std::fs::read_dir(scratch.path()).unwrap();
        let records = folders.map(|folder| folder.unwrap().path().join("data/owner.json"));
        let text = records.filter_map(|record| std::fs::read(record).ok()).next()?;
        let record: Value = serde_json::from_slice(&text).ok()?;
        record["url"].is_string().then(|| record["pid"].as_u64().unwrap())
    });
    let process = format!("/proc/{server}/cmdline");
    let serves = || std::fs::read_to_string(&process).is_ok_and(|line| line.contains("serve"));
    assert!(serves(), "process {server} is the server");
    demo.kill().unwrap();
    demo.wait().unwrap();
    until(|| (!serves()).then_some(()));
}

/// Waits for something that comes to be.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it never came to be");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_it_prints_is_for_reading_and_what_it_names_works() {
    let scratch = tempfile::tempdir().unwrap();
    let shown = said(&everfold(&["demo", "orch", "--pace", "0.1"], scratch.path()));
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal");
    for words in ["Ada      sets it Rejected", "CI failed:", "kill -9", "lives on under its supervisor"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(shown.lines().count() < 160, "{shown}");
    let typed = |line: &str| {
        Command::new("sh")
            .args(["-c", line])
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let next = shown.lines().map(str::trim).filter(|line| line.contains(" --dir "));
    let answers: Vec<String> = next.map(|line| said(&typed(line))).collect();
    assert_eq!(answers.len(), 3, "{shown}");
    assert!(answers.iter().all(|answer| !answer.is_empty()), "{answers:?}");
    let (_, removal) = shown.trim_end().rsplit_once("remove it with: ").unwrap();
    said(&typed(removal));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
