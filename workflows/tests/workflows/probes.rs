//! Evidence from real files, commits and processes, judged by the default policies.

use std::path::PathBuf;
use std::time::Duration;

use crate::fixtures::home::{Home, git, in_git, judged, probe_request as request, repository};
use everfold_core::policy::Verdict;
use everfold_ports::{ProbeFailure, Prober};
use everfold_workflows::probe::{CommandProber, DiffProber, FileProber, FrontmatterProber};
use everfold_workflows::shim::protocol::ShimRecord;
use serde_json::{Value, json};

#[tokio::test]
async fn a_command_gives_its_exit_and_the_end_of_its_output() {
    let home = Home::new();
    let prober = CommandProber::new(home.processes());
    let spec = json!({"shell": "echo $GREETING $V1 $EVERFOLD_GATE; echo 2 tests failed >&2; exit 1", "vars": {"V1": "x y"}});
    let evidence = prober.probe(request(&home, spec.clone())).await.unwrap();
    assert_eq!(evidence["exit"], 1);
    assert!(evidence["output"].as_str().unwrap().contains("hello x y g"), "{evidence}");
    assert_eq!(evidence["source"]["argv"], evidence["argv"]);
    assert_eq!(judged("command", &evidence), (Verdict::Fail, "exit 1: 2 tests failed".to_owned()));
    let again = prober.probe(request(&home, spec)).await.unwrap();
    assert_eq!(again, evidence, "the same probe is not run again");
}

#[tokio::test]
async fn no_program_is_no_evidence_and_a_lost_probe_is_repeated() {
    let home = Home::new();
    let prober = CommandProber::new(home.processes());
    for spec in [json!({"argv": ["no-such-program-here"]}), json!({"shell": "no-such-program-here"})] {
        let _gone = std::fs::remove_dir_all(home.path("probe"));
        let failure = prober.probe(request(&home, spec)).await.unwrap_err();
        assert!(!failure.permanent && failure.message.contains("no"), "{failure:?}");
    }
    std::fs::remove_dir_all(home.path("probe")).unwrap();
    let once = json!({"shell": "if [ -e seen ]; then exit 0; fi; touch seen; sleep 60"});
    let probe = tokio::spawn(prober.probe(request(&home, once)));
    let record = || ShimRecord::read(&home.path("probe"));
    crate::fixtures::home::until("the probe", || record().is_some() && home.work("seen").exists()).await;
    crate::fixtures::home::kill_hard(record().unwrap().shim.pid);
    assert_eq!(probe.await.unwrap().unwrap()["exit"], 0);
    std::fs::remove_dir_all(home.path("probe")).unwrap();
    let mut limited = request(&home, json!({"shell": "sleep 60"}));
    limited.timeout = Duration::from_millis(200);
    let evidence = prober.probe(limited).await.unwrap();
    assert_eq!((evidence["exit"].as_i64(), evidence["timed_out"].as_bool()), (Some(124), Some(true)));
}

#[tokio::test]
async fn a_command_of_a_gate_that_others_end_is_asked_again_and_no_verdict_on_the_work() {
    let home = Home::new();
    let prober = CommandProber::new(home.processes());
    let once = json!({"shell": "if [ -e seen ]; then exit 0; fi; touch seen; kill -9 $$"});
    assert_eq!(prober.probe(request(&home, once)).await.unwrap()["exit"], 0);
    std::fs::remove_dir_all(home.path("probe")).unwrap();
    let failed = prober.probe(request(&home, json!({"shell": "kill -9 $$"}))).await.unwrap_err();
    assert!(!failed.permanent && failed.message.contains("signal 9"), "{failed:?}");
}

#[tokio::test]
async fn files_are_found_and_looked_into() {
    let home = Home::new();
    std::fs::create_dir_all(home.work("docs/deep")).unwrap();
    std::fs::write(home.work("docs/a.md"), "# A\n").unwrap();
    std::fs::write(home.work("docs/deep/b.md"), "# B\n").unwrap();
    std::fs::write(home.work("ok.json"), "{\"a\": 1}").unwrap();
    std::fs::write(home.work("bad.json"), "{").unwrap();
    std::fs::write(home.work("ok.yaml"), "a: [1]\n").unwrap();
    std::fs::write(home.work("bad.yaml"), "a: [\n").unwrap();
    std::os::unix::fs::symlink("../ok.json", home.work("docs/link.json")).unwrap();
    std::os::unix::fs::symlink("../../blobs", home.work("docs/out.json")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(home.work("pipe")).status().unwrap();
    assert!(made.success());
    let prober = FileProber::new(home.processes());
    for (spec, verdict, reason) in [
        (json!({"exists": "docs/a.md"}), Verdict::Pass, "docs/a.md is there"),
        (json!({"exists": "docs/none.md"}), Verdict::Fail, "docs/none.md does not exist"),
        (json!({"exists": "docs"}), Verdict::Fail, "docs is a folder, not a file"),
        (json!({"exists": "pipe", "json": true}), Verdict::Fail, "pipe is a named pipe, not a file"),
        (json!({"all": ["docs/a.md", "none"]}), Verdict::Fail, "none does not exist"),
        (json!({"glob": "**/*.md", "min": 2}), Verdict::Pass, "2 files of **/*.md, 2 needed"),
        (json!({"glob": "*.md", "in": "docs", "min": "3"}), Verdict::Fail, "2 files of *.md, 3 needed"),
        (json!({"glob": "*", "in": "none"}), Verdict::Fail, "0 files of *, 1 needed"),
        (json!({"exists": "ok.json", "json": true}), Verdict::Pass, "ok.json is there"),
        (json!({"exists": "docs/a.md", "matches": "^# B"}), Verdict::Fail, "docs/a.md: nothing matches ^# B"),
        (json!({"exists": "ok.yaml", "yaml": true}), Verdict::Pass, "ok.yaml is there"),
        // Of those that a pattern finds only the sound ones count.
        (json!({"glob": "**/*.md", "matches": "^# B"}), Verdict::Pass, "1 file of **/*.md, 1 needed"),
        (
            json!({"glob": "**/*.md", "matches": "^# B", "min": 2}),
            Verdict::Fail,
            "1 file of **/*.md, 2 needed; docs/a.md: nothing matches ^# B",
        ),
        // A link may lead out of the folder that is looked at, and not out of the workspace.
        (json!({"exists": "link.json", "in": "docs", "json": true}), Verdict::Pass, "link.json is there"),
    ] {
        let evidence = prober.probe(request(&home, spec.clone())).await.unwrap();
        assert_eq!(judged("file", &evidence), (verdict, reason.to_owned()), "{spec} {evidence}");
    }
    let evidence = prober.probe(request(&home, json!({"exists": "bad.json", "json": true}))).await.unwrap();
    assert!(judged("file", &evidence).1.starts_with("bad.json: no JSON: "), "{evidence}");
    let absolute = json!({"exists": home.work("docs/a.md"), "in": "docs"});
    let found = prober.probe(request(&home, absolute)).await.unwrap();
    assert_eq!(judged("file", &found).0, Verdict::Pass, "{found}");
    let found = prober.probe(request(&home, json!({"exists": "bad.yaml", "yaml": true}))).await.unwrap();
    assert!(judged("file", &found).1.starts_with("bad.yaml: no YAML: "), "{found}");
    assert_eq!(evidence["source"]["blob"].as_str().unwrap().len(), 64);
    for spec in [
        json!({"exists": "../attempt"}),
        json!({"exists": "out.json", "in": "docs"}),
        json!({}),
        json!({"exists": "a", "exist": "b"}),
        json!({"exists": "a", "matches": "("}),
    ] {
        assert!(prober.probe(request(&home, spec)).await.unwrap_err().permanent);
    }
}

#[tokio::test]
async fn frontmatter_is_read_from_the_first_place_that_has_the_file() {
    let home = Home::new();
    let work = home.path("work");
    repository(&work);
    std::fs::write(work.join("log.md"), "---\ndeploy_status: failed\n---\ntext\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "log"]);
    git(&work, &["tag", "v1"]);
    let prober = FrontmatterProber::new(home.processes());
    let spec = |from: Value| json!({"file": "log.md", "fields": ["deploy_status"], "pass": ["SUCCESS"], "fail": ["FAILED"], "from": from});
    let evidence = prober.probe(in_git(&home, spec(json!(null)))).await.unwrap();
    assert_eq!(judged("frontmatter", &evidence), (Verdict::Fail, "deploy_status is FAILED".to_owned()));
    assert_eq!((evidence["from"].as_str(), evidence["value"].as_str()), (Some("worktree"), Some("failed")));
    std::fs::write(work.join("log.md"), "---\ndeploy_status: Success\n---\n").unwrap();
    for (from, verdict) in [(json!(["worktree", "v1"]), Verdict::Pass), (json!("v1"), Verdict::Fail)] {
        let evidence = prober.probe(in_git(&home, spec(from))).await.unwrap();
        assert_eq!(judged("frontmatter", &evidence).0, verdict, "{evidence}");
        assert_eq!(evidence["source"]["commit"].as_str().unwrap().len(), 40);
    }
    std::fs::remove_file(work.join("log.md")).unwrap();
    let evidence = prober.probe(in_git(&home, spec(json!(["worktree", "v1"])))).await.unwrap();
    assert_eq!(evidence["from"], "v1");
    let evidence = prober.probe(in_git(&home, spec(json!("worktree")))).await.unwrap();
    assert_eq!(judged("frontmatter", &evidence), (Verdict::Fail, "log.md: does not exist".to_owned()));
    // Whatever stands in it, the first place that has the file decides; keys are as they are written.
    for (text, reason) in [
        ("deploy_status: Success\n", "log.md: has no front matter: its first line is not ---"),
        ("---\nDeploy_Status: Success\n---\n", "log.md: no deploy_status at its head"),
    ] {
        std::fs::write(work.join("log.md"), text).unwrap();
        let evidence = prober.probe(in_git(&home, spec(json!(["worktree", "v1"])))).await.unwrap();
        assert_eq!(judged("frontmatter", &evidence), (Verdict::Fail, reason.to_owned()));
        assert_eq!(evidence["from"], "worktree");
    }
    std::fs::write(work.join("log.md"), "---\nn: 1.10\ndeploy_status: ok\nlist: [1]\n---\n").unwrap();
    for (fields, value, all) in [
        (json!(["n", "deploy_status"]), json!("1.10"), json!({"n": "1.10", "deploy_status": "ok"})),
        (json!(["list", "n"]), json!(null), json!({"list": ["1"], "n": "1.10"})),
        (json!(["none"]), json!(null), json!({"none": null})),
    ] {
        let asked = json!({"file": "log.md", "fields": fields, "pass": ["1.10"]});
        let evidence = prober.probe(in_git(&home, asked)).await.unwrap();
        assert_eq!((&evidence["value"], &evidence["fields"]), (&value, &all), "the first field's, as text");
    }
    let failure = prober.probe(in_git(&home, spec(json!("no-such-ref")))).await.unwrap_err();
    assert!(!failure.permanent && failure.message.contains("no-such-ref"));
    let outside = json!({"file": "../x", "from": "v1"});
    assert!(matches!(prober.probe(in_git(&home, outside)).await, Err(ProbeFailure { permanent: true, .. })));
}

#[tokio::test]
async fn a_diff_counts_tracked_and_untracked_changes_since_the_base() {
    let home = Home::new();
    let work: PathBuf = home.path("work");
    repository(&work);
    std::fs::write(work.join(".gitignore"), "ignored\n").unwrap();
    std::fs::write(work.join("ignored"), "x\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "second"]);
    std::fs::write(work.join("readme"), "one\ntwo\n").unwrap();
    std::fs::write(work.join("new ä.txt"), "1\n2\n3").unwrap();
    std::fs::write(work.join("bin"), [0, 1, 10]).unwrap();
    let evidence =
        DiffProber.probe(in_git(&home, json!({"max_files": "9", "deny": ["*.lock"]}))).await.unwrap();
    assert_eq!(evidence["names"], json!([".gitignore", "bin", "new ä.txt", "readme"]));
    assert_eq!((evidence["files"].as_u64(), evidence["lines"].as_u64()), (Some(4), Some(5)));
    assert_eq!(judged("diff", &evidence), (Verdict::Pass, "4 files and 5 lines changed".to_owned()));
    let bounds = json!({"min_files": 5, "allow": ["*"], "deny": []});
    let evidence = DiffProber.probe(in_git(&home, bounds)).await.unwrap();
    assert_eq!(judged("diff", &evidence), (Verdict::Fail, "4 files changed, at least 5 needed".to_owned()));
    let evidence = DiffProber.probe(in_git(&home, json!({"allow": "readme"}))).await.unwrap();
    let (verdict, reason) = judged("diff", &evidence);
    assert_eq!(
        (verdict, reason.as_str()),
        (Verdict::Fail, ".gitignore is changed, which only readme may be")
    );
    let evidence = DiffProber.probe(in_git(&home, json!({"max_lines": 4}))).await.unwrap();
    assert_eq!(judged("diff", &evidence), (Verdict::Fail, "5 lines changed, at most 4 allowed".to_owned()));
    for spec in [json!({"max_files": "many"}), json!({"maxfiles": 1}), json!({"deny": [1]})] {
        assert!(DiffProber.probe(in_git(&home, spec)).await.unwrap_err().permanent);
    }
    assert!(DiffProber.probe(request(&home, json!({}))).await.unwrap_err().permanent, "no git workspace");
}

#[tokio::test]
async fn a_diff_since_a_step_counts_what_changed_behind_the_commit_that_the_step_left() {
    let home = Home::new();
    let work: PathBuf = home.path("work");
    repository(&work);
    std::fs::create_dir_all(work.join("docs")).unwrap();
    std::fs::write(work.join("docs/plan.md"), "plan\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "plan"]);
    let left = git(&work, &["rev-parse", "HEAD"]);
    std::fs::write(work.join("code.rs"), "fn main() {}\n").unwrap();
    let spec = |base: Value| json!({"allow": ["*.rs"], "since": "plan", "base": base});
    let evidence = DiffProber.probe(in_git(&home, spec(json!(left.trim())))).await.unwrap();
    assert_eq!(evidence["names"], json!(["code.rs"]));
    assert_eq!(judged("diff", &evidence).0, Verdict::Pass);
    assert_eq!(
        (&evidence["source"]["since"], &evidence["source"]["base"]),
        (&json!("plan"), &json!(left.trim()))
    );
    let whole = DiffProber.probe(in_git(&home, json!({"allow": ["*.rs"]}))).await.unwrap();
    assert_eq!(judged("diff", &whole).0, Verdict::Fail, "since the run began the plan is changed, too");
    for base in [json!(null), json!(""), json!("--output=x")] {
        let failure = DiffProber.probe(in_git(&home, spec(base))).await.unwrap_err();
        assert!(failure.permanent && failure.message.contains("the step plan left no commit"), "{failure:?}");
    }
}

/// A worktree in which a role may write `review.md` alone: what rounds of it left, and what others committed in between.
struct ScopedWork {
    home: Home,
    work: PathBuf,
}

impl ScopedWork {
    fn new() -> Self {
        let home = Home::new();
        let work: PathBuf = home.path("work");
        repository(&work);
        Self { home, work }
    }

    /// Writes files, removes those without text, commits all; gives the commit before and the one behind.
    fn commit(&self, files: &[(&str, Option<&str>)]) -> [String; 2] {
        let head = || git(&self.work, &["rev-parse", "HEAD"]).trim().to_owned();
        let before = head();
        for (name, text) in files {
            let path = self.work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text {
                Some(text) => std::fs::write(path, text).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        git(&self.work, &["add", "-A"]);
        git(&self.work, &["commit", "--quiet", "--allow-empty", "-m", "a round"]);
        [before, head()]
    }

    async fn judged(&self, base: &str, refused: &[[String; 2]]) -> (Value, Verdict, String) {
        let spec = json!({"since": "passed", "allow": ["review.md"], "base": base, "refused": refused});
        let evidence = DiffProber.probe(in_git(&self.home, spec)).await.unwrap();
        let (verdict, reason) = judged("diff", &evidence);
        (evidence, verdict, reason)
    }
}

#[tokio::test]
async fn o194_what_a_refused_round_left_is_named_until_it_is_as_it_was_found() {
    let at = ScopedWork::new();
    at.commit(&[("kept.py", Some("kept\n")), ("src/app.py", Some("1\n"))]);
    let first = at.commit(&[("src/evil.py", Some("evil\n")), ("review.md", Some("no\n")), ("kept.py", None)]);
    // The developer's own work in between.
    at.commit(&[("src/app.py", Some("2\n")), ("CHANGELOG.md", Some("more\n"))]);
    let second = at.commit(&[("review.md", Some("yes\n"))]);
    let refused = [first.clone()];
    let (evidence, verdict, reason) = at.judged(&second[0], &refused).await;
    assert_eq!(evidence["names"], json!(["kept.py", "review.md", "src/evil.py"]));
    assert_eq!((&evidence["left"], &evidence["files"]), (&json!(["kept.py", "src/evil.py"]), &json!(3)));
    let told = "kept.py is still as a refused round left it: only review.md may be changed";
    assert_eq!((verdict, reason.as_str()), (Verdict::Fail, told));
    // A further round that takes one of them back, and writes another one.
    let third = at.commit(&[("kept.py", Some("kept\n")), ("src/more.py", Some("more\n"))]);
    let refused = [first, second];
    let (evidence, verdict, reason) = at.judged(&third[0], &refused).await;
    assert_eq!(evidence["names"], json!(["review.md", "src/evil.py", "src/more.py"]));
    assert_eq!(evidence["left"], json!(["review.md", "src/evil.py"]));
    assert!(verdict == Verdict::Fail && reason.starts_with("src/evil.py is still"), "{reason}");
    let fourth = at.commit(&[("src/evil.py", None), ("src/more.py", None)]);
    let refused = [refused.to_vec(), vec![third]].concat();
    let (evidence, verdict, reason) = at.judged(&fourth[0], &refused).await;
    assert_eq!((evidence["names"].clone(), verdict), (json!(["review.md"]), Verdict::Pass), "{reason}");
}

#[tokio::test]
async fn o194_what_others_changed_or_took_back_since_is_not_held_against_the_step() {
    for by_others in [Some("theirs\n"), None] {
        let at = ScopedWork::new();
        let first = at.commit(&[("src/evil.py", Some("evil\n"))]);
        let refused = [first];
        let others = at.commit(&[("src/evil.py", by_others)]);
        at.commit(&[("review.md", Some("yes\n"))]);
        let (evidence, verdict, reason) = at.judged(&others[1], &refused).await;
        assert_eq!((evidence["names"].clone(), verdict), (json!(["review.md"]), Verdict::Pass), "{reason}");
        // A round that changes the file again answers for it.
        at.commit(&[("src/evil.py", Some("evil\n"))]);
        let (evidence, verdict, reason) = at.judged(&others[1], &refused).await;
        assert_eq!((evidence["left"].clone(), verdict), (json!([]), Verdict::Fail));
        assert_eq!(reason, "src/evil.py is changed, which only review.md may be");
    }
}

#[tokio::test]
async fn what_came_by_a_merge_of_another_branch_is_not_held_against_the_step_and_what_it_changed_of_that_is()
{
    let at = ScopedWork::new();
    let work = at.work.clone();
    let [_, base] = at.commit(&[("src/app.py", Some("1\n"))]);
    git(&work, &["checkout", "--quiet", "-b", "others"]);
    at.commit(&[("docs/other.md", Some("theirs\n")), ("src/app.py", Some("2\n"))]);
    git(&work, &["checkout", "--quiet", "-"]);
    at.commit(&[("review.md", Some("yes\n"))]);
    git(&work, &["merge", "--quiet", "--no-edit", "others"]);
    let judge = async |merged: Value| {
        let spec =
            json!({"since": "passed", "allow": ["review.md"], "base": base, "refused": [], "merged": merged});
        let evidence = DiffProber.probe(in_git(&at.home, spec)).await.unwrap();
        (evidence["names"].clone(), judged("diff", &evidence).0)
    };
    let all = json!(["docs/other.md", "review.md", "src/app.py"]);
    assert_eq!(judge(Value::Null).await, (all, Verdict::Fail));
    assert_eq!(judge(json!("others")).await, (json!(["review.md"]), Verdict::Pass));
    at.commit(&[("docs/other.md", Some("mine\n"))]);
    assert_eq!(judge(json!("others")).await, (json!(["docs/other.md", "review.md"]), Verdict::Fail));
    let spec = json!({"max_files": 9, "merged": "nobody"});
    let problem = DiffProber.probe(in_git(&at.home, spec)).await.unwrap_err();
    assert!(format!("{problem:?}").contains("merged: nobody"), "{problem:?}");
}

#[tokio::test]
async fn a_diff_since_passed_passes_over_rounds_whose_commits_are_gone_and_sees_what_is_not_committed() {
    let at = ScopedWork::new();
    let gone = [["0".repeat(40), "1".repeat(40)]];
    let own = at.commit(&[("review.md", Some("yes\n"))]);
    let (evidence, verdict, _) = at.judged(&own[0], &gone).await;
    assert_eq!((evidence["names"].clone(), verdict), (json!(["review.md"]), Verdict::Pass));
    std::fs::write(at.work.join("new.py"), "new\n").unwrap();
    let (evidence, verdict, _) = at.judged(&own[0], &gone).await;
    assert_eq!((evidence["names"].clone(), verdict), (json!(["new.py", "review.md"]), Verdict::Fail));
}

#[tokio::test]
async fn o10_the_evidence_of_a_diff_says_which_change_it_is() {
    let at = ScopedWork::new();
    let patch = async |text: &str| {
        let [base, _] = at.commit(&[("review.md", Some(text))]);
        let (evidence, ..) = at.judged(&base, &[]).await;
        git(&at.work, &["reset", "--quiet", "--hard", &base]);
        assert_eq!(evidence["lines"], 1);
        evidence["source"]["patch"].clone()
    };
    let (one, other, again) = (patch("one\n").await, patch("other\n").await, patch("one\n").await);
    assert!(one.is_string() && one == again && one != other, "{one} {other} {again}");
}

#[tokio::test]
async fn frontmatter_fetches_a_branch_first_and_holds_the_text_for_findings() {
    let home = Home::new();
    let (work, remote) = (home.path("work"), home.path("remote"));
    repository(&work);
    let folder = home.path("");
    git(&folder, &["clone", "--quiet", work.to_str().unwrap(), remote.to_str().unwrap()]);
    let branch = git(&remote, &["branch", "--show-current"]);
    let branch = branch.trim();
    git(&work, &["remote", "add", "origin", remote.to_str().unwrap()]);
    git(&work, &["fetch", "--quiet", "origin"]);
    // The remote goes on.
    let text = "---\nstatus: FAILED\n---\nThe smoke test says 503.\n";
    std::fs::write(remote.join("log.md"), text).unwrap();
    git(&remote, &["add", "."]);
    git(&remote, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "log"]);
    let head = git(&remote, &["rev-parse", "HEAD"]);
    let prober = FrontmatterProber::new(home.processes());
    let from = json!([format!("origin/{branch}")]);
    let spec = |fetch: bool| json!({"file": "log.md", "pass": ["SUCCESS"], "fail": ["FAILED"], "from": from, "fetch": fetch, "text": true});
    let cached = prober.probe(in_git(&home, spec(false))).await.unwrap();
    assert_eq!(judged("frontmatter", &cached), (Verdict::Fail, "log.md: does not exist".to_owned()));
    let fetched = prober.probe(in_git(&home, spec(true))).await.unwrap();
    assert_eq!(fetched["source"]["commit"], json!(head.trim()), "{fetched}");
    assert_eq!(fetched["source"]["fetched"][0]["ok"], json!(true));
    assert_eq!(fetched["text"], json!(text));
    assert_eq!(judged("frontmatter", &fetched).0, Verdict::Fail);
    // Where the remote is gone, what was fetched before counts, and the evidence says so.
    std::fs::rename(&remote, home.path("gone")).unwrap();
    let gone = prober.probe(in_git(&home, spec(true))).await.unwrap();
    assert_eq!((&gone["source"]["commit"], &gone["text"]), (&json!(head.trim()), &json!(text)));
    assert_eq!(gone["source"]["fetched"][0]["ok"], json!(false));
    assert!(gone["source"]["fetched"][0]["problem"].is_string());
}
