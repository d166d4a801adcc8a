//! Contexts: servers and folders that have names.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::fixtures::{Done, Scratch};

fn file(scratch: &Scratch) -> std::path::PathBuf {
    scratch.path("config/everfold/contexts.toml")
}

#[test]
fn a_context_names_a_server_and_where_its_token_is() {
    let scratch = Scratch::new();
    let (_server, served) = scratch.serve(&[]);
    scratch.write("token", &format!("{}\n", served.token));
    let add = |name: &str, source: &[&str]| {
        let mut args = vec!["context", "add", name, "--server", &served.url];
        args.extend(source);
        scratch.run(&args)
    };
    assert_eq!(add("by-file", &["--token-file", "token"]).code, 0);
    assert_eq!(
        add("by-command", &["--token-command", "cat \"$OLDPWD/token\" 2>/dev/null || cat token"]).code,
        0
    );
    assert_eq!(add("by-env", &["--token-env", "MINE"]).code, 0);
    assert_eq!(add("none", &[]).code, 0);
    assert_eq!(add("none", &[]).code, 4, "a name is not taken twice unless one says so");
    assert_eq!(add("none", &["--replace"]).code, 0);

    for name in ["by-file", "by-command"] {
        assert_eq!(scratch.run(&["--context", name, "runs"]).code, 0, "{name}");
    }
    let with = |name: &str, variable: &str| -> Done {
        let mut command = scratch.command(&["--context", name, "runs"]);
        command.env(variable, &served.token).output().unwrap().into()
    };
    assert_eq!(with("by-env", "MINE").code, 0);
    assert_eq!(with("none", "EVERFOLD_TOKEN").code, 0);
    let other = with("by-env", "EVERFOLD_TOKEN");
    assert_eq!(other.code, 4, "a token goes to the server that it is meant for alone: {other:?}");

    let shown = scratch.run(&["context", "show", "by-file"]);
    assert!(shown.out.contains("token:admin, admin") && shown.out.contains(&served.url), "{shown:?}");
    let json = scratch.run(&["context", "show", "by-file", "--json"]).json();
    assert_eq!(json["session"]["actor"], "token:admin");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_context_in_use_is_worked_with_until_another_place_is_named() {
    let scratch = Scratch::new();
    let (_server, served) = scratch.serve(&[]);
    scratch.write("one.yaml", "name: one\nsteps:\n  - { id: a, function: everfold.noop }\n");
    assert_eq!(scratch.run(&["--dir", "other", "run", "./one.yaml", "--title", "elsewhere"]).code, 0);
    assert_eq!(scratch.run_far(&served, &["run", "./one.yaml", "--title", "served"]).code, 0);
    let add = ["context", "add", "prod", "--server", &served.url, "--use", "--with-token"];
    let mut adding = scratch.command(&add).stdin(Stdio::piped()).spawn().unwrap();
    adding.stdin.take().unwrap().write_all(served.token.as_bytes()).unwrap();
    let added: Done = adding.wait_with_output().unwrap().into();
    assert_eq!(added.code, 0, "{added:?}");
    assert!(!format!("{added:?}").contains(&served.token));
    let mode = std::fs::metadata(file(&scratch)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the token is there");

    let titles = |args: &[&str]| scratch.run(args).out;
    assert!(titles(&["runs"]).contains("served"));
    assert!(titles(&["--dir", "other", "runs"]).contains("elsewhere"));
    let by_variable = |name: &str, value: &str| -> Done {
        scratch.command(&["runs"]).env(name, value).output().unwrap().into()
    };
    assert!(by_variable("EVERFOLD_DIR", "other").out.contains("elsewhere"));
    assert!(by_variable("EVERFOLD_CONTEXT", "local").out.contains("served"), "its folder is the nearest one");
    assert_eq!(scratch.run(&["context", "add", "folder", "--dir", "other"]).code, 0);
    assert!(titles(&["--context", "folder", "runs"]).contains("elsewhere"));

    let listed = scratch.run(&["context", "list"]);
    assert!(listed.out.contains("*  prod") && !listed.out.contains(&served.token), "{}", listed.out);
    let refused = scratch.run(&["doctor"]);
    assert!(refused.code == 2 && refused.err.contains("EF0615"), "{refused:?}");

    std::fs::set_permissions(file(&scratch), std::fs::Permissions::from_mode(0o644)).unwrap();
    let read_by_all = scratch.run(&["runs"]);
    assert!(read_by_all.code == 2 && read_by_all.err.contains("chmod 600"), "{read_by_all:?}");
    std::fs::set_permissions(file(&scratch), std::fs::Permissions::from_mode(0o600)).unwrap();

    assert_eq!(scratch.run(&["context", "remove", "prod"]).code, 0);
    assert_eq!(
        scratch.run(&["context", "show", "--json"]).json()["dir"],
        scratch.data().display().to_string()
    );
}

#[test]
fn a_mistake_is_reported_before_anything_is_asked() {
    let scratch = Scratch::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["context", "add", "local", "--server", "https://e.example"], 2, "EF0501"),
        (&["context", "add", "a b", "--server", "https://e.example"], 2, "EF0501"),
        (&["context", "add", "a"], 2, "EF0501"),
        (&["context", "add", "a", "--server", "http://e.example"], 2, "EF0609"),
        (&["context", "add", "a", "--server", "https://me:pw@e.example"], 2, "EF0501"),
        (&["context", "add", "a", "--dir", "x", "--token-env", "T"], 2, "EF0501"),
        (&["context", "use", "none"], 3, "EF0616"),
        (&["context", "remove", "none"], 3, "EF0616"),
        (&["--context", "none", "runs"], 3, "EF0616"),
        (&["--server", "https://e.example", "--dir", "x", "runs"], 2, "EF0501"),
        (&["--server", "https://e.example", "--patience", "long", "runs"], 2, "EF0501"),
        (&["--ca", "x", "runs"], 2, "EF0501"),
        (&["--patience", "1s", "runs"], 2, "EF0501"),
        (&["--patience", "x", "runs"], 2, "EF0501"),
    ];
    for (args, code, named) in cases {
        let done = scratch.run(args);
        assert!(done.code == *code && done.err.contains(named), "{args:?}: {done:?}");
        assert!(!done.err.contains("pw@"), "{done:?}");
    }
    scratch.run(&["context", "add", "prod", "--server", "https://e.example", "--use"]);
    let near = scratch.run(&["--context", "prdo", "runs"]);
    assert!(near.err.contains("did you mean “prod”?"), "{near:?}");
    std::fs::write(file(&scratch), "use = 'gone'\n").unwrap();
    let gone = scratch.run(&["runs"]);
    assert!(gone.code == 3 && gone.err.contains("context use local"), "{gone:?}");
    std::fs::write(file(&scratch), "ues = 'gone'\n").unwrap();
    let mistyped = scratch.run(&["runs"]);
    assert!(mistyped.code == 2 && mistyped.err.contains("contexts.toml:1"), "{mistyped:?}");
    assert_eq!(
        scratch.run(&["--dir", ".everfold", "runs"]).code,
        0,
        "a folder that is named needs no contexts"
    );
    assert_eq!(scratch.run(&["version"]).code, 0);
}
