//! What a person sees who did something wrong.

use super::fixtures::{Scratch, fixed};

/// Runs a command that fails and gives its code and its words.
fn seen(scratch: &Scratch, args: &[&str]) -> String {
    let done = scratch.run(args);
    assert_ne!(done.code, 0, "{args:?}: {done:?}");
    fixed(&format!("$ everfold {}\nexit {}\n{}", args.join(" "), done.code, done.err), scratch, &[])
}

#[test]
fn errors_say_what_where_and_what_next() {
    let scratch = Scratch::new();
    scratch.write("broken.yaml", "name: broken\nsteps:\n  - id: a\n    comand: echo\n  - id: b\n    needs: [c]\n    command: echo ${input.x\n");
    scratch.write("wants.yaml", "name: wants\ninput:\n  type: object\n  required: [repo]\n  properties: { repo: { type: string }, level: { enum: [low, high] } }\nsteps:\n  - id: a\n    command: echo\n");
    scratch.write("not.json", "{");
    scratch.write("list.json", "[1]");
    scratch.write("twice.json", "{\"repo\": \"a\",\n \"repo\": \"b\"}");
    let commands: &[&[&str]] = &[
        &["show", "abcd"],
        &["show", "no-run"],
        &["rnus"],
        &["run"],
        &["run", "delivry"],
        &["run", "wants"],
        &["run", "./absent.yaml"],
        &["run", "./broken.yaml"],
        &["run", "./wants.yaml"],
        &["run", "./wants.yaml", "-i", "repo=r", "-i", "level=hihg"],
        &["run", "./wants.yaml", "-i", "repo"],
        &["run", "./wants.yaml", "--input-file", "not.json"],
        &["run", "./wants.yaml", "--input-file", "twice.json"],
        &["run", "./wants.yaml", "--input-file", "list.json"],
        &["pause", "@", "--order", "7-1"],
        &["cancel", "@", "--at-most", "1"],
        &["run", "./wants.yaml", "--config", "absent.toml", "-i", "repo=r"],
        &["approve", "abcd:ok:1"],
        &["unblock", "@", "--decision", "retry"],
        &["state", "@", "--at", "noon"],
        &["explain", "EF9999"],
        &["--dir", "/proc/nowhere", "run", "./wants.yaml", "-i", "repo=r"],
    ];
    let text: Vec<String> = commands.iter().map(|args| seen(&scratch, args)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn errors_as_json_are_problem_documents() {
    let scratch = Scratch::new();
    let done = scratch.run(&["show", "abcd", "--json"]);
    let problem: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!((done.code, &problem["code"], &problem["status"]), (3, &"EF0201".into(), &404.into()));
    assert!(done.out.is_empty());
}

#[test]
fn a_name_that_is_given_back_is_cut() {
    let scratch = Scratch::new();
    let done = scratch.run(&["show", &"x".repeat(5_000)]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("there is no run “xxx") && done.err.contains("x…”"), "{}", done.err);
    assert!(done.err.len() < 500, "{} bytes", done.err.len());
}

#[test]
fn settings_with_an_unknown_key_are_refused_with_the_line() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.data()).unwrap();
    std::fs::write(scratch.data().join("everfold.toml"), "[git]\nautor = \"A <a@b>\"\n").unwrap();
    let done = scratch.run(&["runs"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("EF0503") && done.err.contains("everfold.toml:2"), "{}", done.err);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let scratch = Scratch::new();
    scratch.write("ok.yaml", "name: ok\nsteps:\n  - id: a\n    command: echo\n");
    std::fs::create_dir(scratch.path("photos")).unwrap();
    scratch.write("photos/cat.jpg", "");
    let done = scratch.run(&["--dir", "photos", "run", "./ok.yaml"]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.err.contains("EF0404"), "{}", done.err);
    assert_eq!(std::fs::read_dir(scratch.path("photos")).unwrap().count(), 1);
    // Neither does `init` begin one there that no other verb would take.
    let done = scratch.run(&["--dir", "photos", "init"]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.err.contains("EF0404") && done.err.contains("cat.jpg"), "{}", done.err);
    assert_eq!(std::fs::read_dir(scratch.path("photos")).unwrap().count(), 1);
    // Nor is anything repaired there.
    for verb in [&["store", "repair"][..], &["store", "repair", "--yes"]] {
        let done = scratch.run(&[&["--dir", "photos"], verb].concat());
        assert!(done.code == 7 && done.err.contains("EF0404"), "{done:?}");
        assert_eq!(std::fs::read_dir(scratch.path("photos")).unwrap().count(), 1);
    }
}

/// The hint was to name another folder, and the one that was meant lay in it.
#[test]
fn the_data_folder_of_a_project_is_named_where_the_project_is_given() {
    let scratch = Scratch::new();
    scratch.write("ok.yaml", "name: ok\nsteps:\n  - id: a\n    command: echo\n");
    assert_eq!(scratch.run(&["run", "./ok.yaml"]).code, 0);
    let project = scratch.path("");
    let done = scratch.run(&["--dir", project.to_str().unwrap(), "runs"]);
    assert_eq!(done.code, 7, "{done:?}");
    let named = format!("--dir {}", scratch.data().display());
    assert!(done.err.contains("EF0404") && done.err.contains(&named), "{}", done.err);
}

/// The hint was that a file has a `/`, which the name had; and where there was no data folder, to start a run first.
#[test]
fn what_is_no_pipeline_file_is_named_as_what_it_is() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("flows/dir")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(scratch.path("flows/pipe")).status().unwrap();
    assert!(made.success());
    for verb in [&["run"][..], &["pipeline", "check"], &["pipeline", "check", "delivery"]] {
        for (name, hint) in [
            ("flows/dir", "flows/dir is a folder: name a file in it"),
            ("flows/pipe", "flows/pipe is no regular file"),
            (".", ". is a folder"),
            ("delivry", "did you mean “delivery”?"),
            ("something", "`everfold pipeline list` shows the names"),
        ] {
            let done = scratch.run(&[verb, &[name]].concat());
            assert!(done.code != 0 && done.err.contains(hint), "{verb:?} {name}: {done:?}");
        }
    }
}

/// They named neither the folder nor the run, and a name with a blank without quotes.
#[test]
fn a_command_of_a_hint_works_where_the_one_worked_that_names_it() {
    let scratch = Scratch::new();
    scratch.write("my flow.yaml", "name: flow\nsteps:\n  - { id: a, command: echo a }\n");
    for (place, dir) in
        [(&["--dir", "else where"][..], "--dir 'else where'"), (&["--dir=-dash"], "--dir=-dash")]
    {
        let run = |args: &[&str]| scratch.run(&[place, args].concat());
        let hints = |args: &[&str], hint: &str| {
            let done = run(args);
            assert!(done.code != 0 && done.err.contains(hint), "{args:?}: {hint}: {done:?}");
        };
        hints(&["cancel", "abcd"], &format!("`everfold {dir} run PIPELINE`"));
        let begun = run(&["init"]);
        assert!(begun.out.ends_with(&format!("next\n  everfold {dir} doctor\n")), "{begun:?}");
        let unnamed = run(&["pipeline", "check", "nothing", "neither"]);
        let list = format!("`everfold {dir} pipeline list`");
        assert_eq!((unnamed.code, unnamed.err.matches(&list).count()), (3, 2), "{unnamed:?}");
        let flow = "./my flow.yaml";
        hints(&["pipeline", "test", flow], &format!("everfold {dir} pipeline test './my flow.yaml' --init"));
        let shown = run(&["pipeline", "show", flow]);
        assert!(shown.out.ends_with(&format!("everfold {dir} run './my flow.yaml'\n")), "{shown:?}");
        assert_eq!(run(&["run", flow]).code, 0);
        hints(&["cancel", "@"], &format!("`everfold {dir} show @` shows it"));
        hints(&["retry", "@1"], "there is no run");
        hints(&["retry", "@"], &format!("everfold {dir} restart @ --from STEP"));
        assert_eq!(run(&["show", "@"]).code, 0);
    }
}

#[test]
fn every_code_that_is_shown_is_explained() {
    let scratch = Scratch::new();
    let all = scratch.run(&["explain"]).out;
    for line in all.lines() {
        let code = line.split_whitespace().next().unwrap();
        if code.ends_with('1') {
            assert_eq!(scratch.run(&["explain", code]).code, 0, "{code}");
        }
    }
    assert!(all.lines().count() > 60);
}

/// They said what was not wanted, and not what was.
#[test]
fn a_command_that_lacks_something_or_has_too_much_says_what_and_how_it_is_typed() {
    let scratch = Scratch::new();
    for (args, message, form) in [
        (&["bisect"][..], "a run and an expression are missing", "everfold bisect RUN '"),
        (&["bisect", "@"], "an expression is missing", "everfold bisect RUN '"),
        (&["bisect", "--runs", "cost > 1"], "an expression is missing", "everfold bisect --runs \""),
        (
            &["bisect", "--pipeline", "p"],
            "an expression is missing",
            "everfold bisect --pipeline release EXPR",
        ),
        (
            &["bisect", "--pipeline", "p", "@", "cost > 1"],
            "--pipeline asks each of many runs",
            "--pipeline release EXPR",
        ),
        (&["notices", "retry"], "<ID>", "everfold notices retry [OPTIONS] --all"),
        (
            &["notices", "drop", "a", "--all"],
            "cannot be used with '--all'",
            "everfold notices drop [OPTIONS] ID...",
        ),
        (
            &["budget", "@", "x", "3"],
            "unexpected argument 'x' found",
            "everfold budget [OPTIONS] RUN --add AMOUNT|",
        ),
    ] {
        let done = scratch.run(args);
        assert!(done.code == 2 && done.err.contains("error[EF0501]"), "{args:?}: {done:?}");
        assert!(done.err.contains(message) && done.err.contains(form), "{args:?}: {}", done.err);
    }
    assert!(!scratch.data().exists());
}

#[test]
fn arguments_that_are_not_understood_are_a_problem_document_where_json_is_wanted() {
    let scratch = Scratch::new();
    let problem = |args: &[&str]| -> (i32, serde_json::Value) {
        let done = scratch.run(args);
        assert!(done.out.is_empty(), "{done:?}");
        (done.code, serde_json::from_str(&done.err).unwrap_or_else(|_| panic!("{args:?}: {}", done.err)))
    };
    for (args, message, hint) in [
        (&["runs", "--json", "--stauts", "failed"][..], "unexpected argument '--stauts' found", "'--status'"),
        (&["--json", "rnus"], "unrecognized subcommand 'rnus'", "'runs'"),
        (&["--json", "run"], "<PIPELINE>", "usage: everfold"),
        (&["--json"], "a verb is missing", "usage: everfold"),
        (&["--json", "token"], "a verb is missing", "usage: everfold token"),
        (&["--json", "notices", "retry"], "<ID>", "ID..., or everfold notices retry [OPTIONS] --all"),
    ] {
        let (code, problem) = problem(args);
        assert_eq!((code, &problem["code"]), (2, &"EF0501".into()), "{problem}");
        assert!(problem.to_string().contains(message) && problem.to_string().contains(hint), "{problem}");
    }
    // What comes behind `--` is no flag.
    assert!(scratch.run(&["runs", "--stauts", "--", "--json"]).err.starts_with("error[EF0501]:"));
}

#[test]
fn names_and_moments_that_are_empty_are_refused_in_words() {
    let scratch = Scratch::new();
    for (args, words) in [
        (&["pause", "--pipeline", ""][..], "a value is required for '--pipeline <NAME>'"),
        (&["resume", "--pipeline", ""], "a value is required for '--pipeline <NAME>'"),
        (&["signal", "@", ""], "the name of the signal is empty"),
        (&["signal", "", "go"], "the run is empty"),
        (&["signal", "--key", "k", ""], "the name of the signal is empty"),
        (&["fork", "@", "--at", "0"], "--at 0 is no moment of a run: its first version is 1"),
        (&["state", "@", "--at", "0"], "--at 0 is no moment of a run: its first version is 1"),
        (&["why", "@", "--at", "0"], "--at 0 is no moment of a run: its first version is 1"),
        (&["--json=", "runs"], "--json= names no field"),
        (&["runs", "--json=,"], "--json= names no field"),
    ] {
        let done = scratch.run(args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.err.contains(words), "{args:?}: {}", done.err);
    }
}
