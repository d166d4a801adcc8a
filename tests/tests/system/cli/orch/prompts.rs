//! The contract of prompts and gates: a document that a prompt tells its role to write passes the role's own gate, with the
//! good word of the prompt, and fails with the bad one; names of files are those that the gates read.

use everfold_workflows::builtin;

use super::corpus::verdict_on;

fn prompt(role: &str) -> String {
    builtin::find("orch").unwrap().file(&format!("orch/prompts/{role}.md")).unwrap().to_owned()
}

/// The prompt in one line, however its lines are broken.
fn sentences(role: &str) -> String {
    prompt(role).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The block that the prompt tells to begin the document with, with its placeholders filled in.
fn block(prompt: &str, status: &str) -> String {
    let from = prompt.find("```\n---\n").expect("a block") + 4;
    let to = from + prompt[from..].find("```").expect("the end of the block");
    let name = "${step.stage == 'deploy' ? 'deploy_status' : 'staging_status'}";
    let filled = prompt[from..to].replace(name, status).replace("${local.deploy_fields}", "exit_code: 0");
    regex::Regex::new(r"\$\{[^}]*\}").unwrap().replace_all(&filled, "1").into_owned()
}

#[test]
fn o6_each_gate_accepts_the_very_words_that_its_prompt_tells() {
    for (role, kind, words, status) in [
        ("reviewer", ("review", "12-review.md", "[verdict]"), ["APPROVED", "REQUEST_CHANGES"], ""),
        ("tester", ("tests", "13-test-report.md", "[verdict, status, result]"), ["PASS", "FAIL"], ""),
        (
            "deployer",
            ("deployed", "14-deploy-log.md", "[deploy_status]"),
            ["SUCCESS", "FAILED"],
            "deploy_status",
        ),
        (
            "deployer",
            ("deployed", "15-staging-log.md", "[staging_status]"),
            ["SUCCESS", "FAILED"],
            "staging_status",
        ),
    ] {
        let told = prompt(role);
        for word in words {
            assert!(told.contains(&format!("`{word}`")), "{role} is told {word}");
        }
        assert!(told.contains(kind.1), "{role} is told the name {}", kind.1);
        let good = block(&told, status);
        let (passes, reason) = verdict_on(kind, good.clone());
        assert!(passes, "{role}: {reason}\n{good}");
        let bad = good.replacen(&format!(": {}", words[0]), &format!(": {}", words[1]), 1);
        assert_ne!(good, bad);
        assert!(!verdict_on(kind, bad).0, "{role} says {}", words[1]);
    }
}

#[test]
fn o6_the_documents_of_analysis_and_architecture_are_named_as_the_gates_read_them() {
    let pipeline = builtin::find("orch").unwrap().text;
    for (role, files) in [
        (
            "analyst",
            &["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.yaml", "questions.md"][..],
        ),
        ("architect", &["06-adr/ADR-", "arch-conflict.md"][..]),
    ] {
        for file in files {
            assert!(prompt(role).contains(file) && pipeline.contains(file), "{role}: {file}");
        }
    }
}

#[test]
fn o195_every_prompt_forbids_what_no_gate_can_see() {
    for role in ["analyst", "architect", "developer", "reviewer", "tester", "deployer"] {
        let told = prompt(role);
        for word in ["force-push", "--no-verify", "the state of the task"] {
            assert!(told.contains(word), "{role}: {word}");
        }
        if role != "deployer" {
            assert!(told.contains("Never merge"), "{role}");
        }
    }
}

#[test]
fn o073_the_staging_log_names_its_commit_and_what_was_not_exercised() {
    assert!(prompt("deployer").contains("`staging_check.py --base-url ADDRESS --mode stub --report FILE`"));
    let settings = builtin::find("orch").unwrap().file("orch/settings.yaml").unwrap();
    let fields =
        settings.lines().find(|line| line.contains("base_url: http")).expect("the fields of staging");
    for field in ["commit", "mode", "result", "unexercised", "inputs"] {
        assert!(fields.contains(&format!("{field}: ")), "{field}: {fields}");
    }
}

#[test]
fn o5_o200_the_tester_names_what_is_missing_and_what_is_red_on_main_too() {
    let tester = prompt("tester");
    for words in [
        "`git fetch origin main` (where that is refused, `origin/main` as it stands): one that fails on a fresh `origin/main`, too, is not this task's",
        "Name it as a work item of its own",
        "“tool missing”, not a test that failed",
    ] {
        assert!(tester.contains(words), "{words}");
    }
}

#[test]
fn o43_the_reviewer_refuses_docs_of_what_was_taken_back() {
    assert!(prompt("reviewer").contains("documentation of code that was taken back, and tests"));
    assert!(prompt("reviewer").contains("are P1"));
}

#[test]
fn o72_the_deployer_writes_what_it_found_and_changes_nothing_to_have_a_check_pass() {
    let deployer = sentences("deployer");
    for words in [
        "Whatever a program's exit code, the status is what you found",
        "if a check, the harness or a health check fails, write `FAILED`",
        "Never change infrastructure, registries or environments to have a check pass",
        "Write that one file alone",
    ] {
        assert!(deployer.contains(words), "{words}");
    }
}

#[test]
fn ov23_who_plans_and_who_builds_reads_what_former_tasks_were_sent_back_for() {
    for role in ["analyst", "developer"] {
        let words = "`docs/lessons/` is there, its files say what earlier tasks were sent back for: read the newest first";
        assert!(sentences(role).contains(words), "{role}");
    }
}
