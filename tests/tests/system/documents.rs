//! What the documentation says that its examples do, they do.
//!
//! An example that begins with `# file:`, `# run:` and `# gives:` is written to that file, run with
//! that command, and compared with that status and result: the output of a run that succeeded, a part
//! of the failure's code or message of one that failed. `# of: @2` names the run that is meant where it is not
//! the newest. Other files of its page lie beside it, and those of its group: `a.md` is the index of the
//! pages in `a/`. One that works in `git: .` lies in a repository with one commit. The history of each is a snapshot.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Examples of one page that are tried beside each other.
const AT_ONCE: usize = 4;

/// A fenced block with a name.
struct Example {
    file: String,
    runs: Vec<String>,
    /// The run whose end and history are looked at.
    of: String,
    gives: Option<String>,
    text: String,
}

fn examples(page: &str) -> Vec<Example> {
    let (mut examples, mut open) = (Vec::new(), None);
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => examples.extend(open.take().and_then(example)),
            (Some(_), None) => open = Some(String::new()),
            (None, Some(text)) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    examples
}

fn example(text: String) -> Option<Example> {
    let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let file = head.first()?.strip_prefix("file: ")?.trim().to_owned();
    let runs = head.iter().filter_map(|line| line.strip_prefix("run: ")).map(str::to_owned).collect();
    let said = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let (of, gives) = (said("of: ").unwrap_or_else(|| "@".to_owned()), said("gives: "));
    Some(Example { file, runs, of, gives, text })
}

/// A shell line where the program is found as `everfold`.
fn shell(folder: &Path, line: &str) -> Output {
    let bin = folder.join(".bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_everfold-under-test"), bin.join("everfold")).unwrap();
    }
    let inherited = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(bin).chain(std::env::split_paths(&inherited));
    Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("EVERFOLD_USER", "ada")
        .env_remove("EVERFOLD_DIR")
        .env_remove("EVERFOLD_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// What is wrong with an example, if anything.
fn tried(page: &str, example: &Example, all: &[Example]) -> Option<String> {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    for file in all {
        let path = folder.join(&file.file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    if example.text.contains("git: .") {
        let made = shell(
            folder,
            "printf '.bin\\n.everfold\\n' > .gitignore && git init -q -b main . && git add . && \
             git -c user.name=Ada -c user.email=ada@example.org commit -q -m begin",
        );
        assert!(made.status.success(), "{}", shown(&made));
    }
    let Some(gives) = &example.gives else { return Some("it does not say what it gives".to_owned()) };
    let (status, result) = gives.split_once(' ').unwrap_or((gives, ""));
    let mut last = None;
    for line in &example.runs {
        // What would wait for ever answers at once that it waits.
        last = Some(shell(folder, &line.replace("everfold run ", "everfold run --no-wait ")));
    }
    let last = last.unwrap();
    let code = match status {
        "succeeded" => 0,
        "failed" => 1,
        "cancelled" => 5,
        _ => 6,
    };
    let events = shell(folder, &format!("everfold events {} --json", example.of));
    let place = folder.canonicalize().unwrap().display().to_string();
    let hidden = [(place.as_str(), "FOLDER"), (folder.to_str().unwrap(), "FOLDER")];
    let history = crate::history::steady_history(&String::from_utf8_lossy(&events.stdout), &hidden);
    let page = page.rsplit('/').next().unwrap().trim_end_matches(".md");
    let name = format!("{page}__{}", example.file.replace(['/', '.'], "_"));
    insta::with_settings!({ snapshot_path => "history/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, history);
    });
    let view = shell(folder, &format!("everfold show {} --json", example.of));
    let Ok(view) = serde_json::from_slice::<Value>(&view.stdout) else {
        return Some(format!("there is no run: {}", shown(&last)));
    };
    if view["status"] != status || last.status.code() != Some(code) {
        return Some(format!(
            "it is {} with exit code {:?}: {}",
            view["status"],
            last.status.code(),
            shown(&last)
        ));
    }
    let fits = match status {
        "failed" => view["failure"].to_string().contains(result),
        _ if result.is_empty() => true,
        _ => serde_json::from_str::<Value>(result).is_ok_and(|result| result == view["output"]),
    };
    (!fits).then(|| format!("it gives {} {}", view["output"], view["failure"]))
}

/// The text of a page; of an index, with the pages of its group (`a.md`, `a/*.md`).
fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let of_group = std::fs::read_dir(path.with_extension("")).into_iter().flatten();
    let mut pages: Vec<_> = of_group.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages.insert(0, path);
    pages.iter().map(|page| std::fs::read_to_string(page).unwrap()).collect()
}

fn page(name: &str, least: usize) {
    let examples = examples(&text(name));
    let to_run: Vec<&Example> = examples.iter().filter(|example| !example.runs.is_empty()).collect();
    assert!(to_run.len() >= least, "{name}: {} examples", to_run.len());
    // They wait for disks and for each other's processes more than they compute.
    let (next, examples) = (std::sync::atomic::AtomicUsize::new(0), &examples);
    let work = || {
        let taken = || to_run.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let tried = |example: &&Example| {
            Some(format!("{name}, {}: {}", example.file, tried(name, example, examples)?))
        };
        std::iter::from_fn(taken).filter_map(tried).collect::<Vec<String>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_examples_of_the_language_do_what_they_say() {
    page("reference/pipeline.md", 3);
}

#[test]
fn the_examples_of_runs_do_what_they_say() {
    page("reference/runs.md", 1);
}

#[test]
fn the_examples_of_triggers_do_what_they_say() {
    page("reference/triggers.md", 2);
}

#[test]
fn the_examples_of_delivery_systems_do_what_they_say() {
    page("reference/expressing.md", 3);
}

/// Each mechanism names the sketches that carry it, and each of these runs; each that runs carries one.
#[test]
fn the_mechanisms_of_delivery_systems_name_sketches_that_run() {
    let page = text("reference/expressing.md");
    let run: BTreeSet<String> = examples(&page)
        .into_iter()
        .filter(|example| !example.runs.is_empty())
        .map(|example| example.file.trim_end_matches(".yaml").to_owned())
        .collect();
    let (mut named, mut rows, mut is_listed) = (BTreeSet::new(), 0, false);
    for line in page.lines() {
        is_listed = line.ends_with("| runs in |") || (is_listed && line.starts_with('|'));
        if !is_listed || line.ends_with("| runs in |") || line.starts_with("|---") {
            continue;
        }
        let place = line.trim_end_matches(" |").rsplit("| ").next().unwrap();
        rows += 1;
        if place != "–" && !place.starts_with('[') {
            named.extend(place.split(", ").map(|name| name.trim_matches('`').to_owned()));
        }
    }
    assert!(rows > 200, "{rows} mechanisms");
    assert_eq!(named, run);
}

/// Two runs, one of which failed and one of which waits, are enough for each verb to have something to say.
#[test]
fn the_verbs_of_the_cookbook_have_an_answer() {
    const ASKS: &str = "name: asks\nlabels: { team: blue }\nsteps:\n  - { id: approve, approval: { title: Ship it?, roles: [lead] } }\n";
    const FAILS: &str =
        "name: counted\nsteps:\n  - { id: pass, gates: [{ id: even, expression: 1 == 2, code: ODD }] }\n";
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    std::fs::create_dir(folder.join(".everfold")).unwrap();
    let source = "[hooks.shop]\nsecret = { env = \"SHOP_SECRET\" }\n";
    std::fs::write(folder.join(".everfold/everfold.toml"), source).unwrap();
    for (name, text, code) in [("asks.yaml", ASKS, 6), ("fails.yaml", FAILS, 1)] {
        std::fs::write(folder.join(name), text).unwrap();
        let begun = shell(folder, &format!("everfold run --no-wait ./{name}"));
        assert_eq!(begun.status.code(), Some(code), "{}", shown(&begun));
    }
    let page = text("guides/questions.md");
    let verbs: Vec<&str> = page.lines().filter(|line| line.starts_with("everfold ")).collect();
    assert!(verbs.len() >= 30, "{} verbs", verbs.len());
    for verb in verbs {
        let said = shell(folder, verb);
        assert_eq!(said.status.code(), Some(0), "{verb}: {}", shown(&said));
    }
    let ended = shell(folder, "everfold cancel @1");
    assert!(ended.status.success(), "{}", shown(&ended));
}
