//! The laws of the source itself: which crate may use which, no circles among files, words that are found.
//!
//! What does not hold yet stands in `debts.toml` with its figure. A figure may only shrink: where the source is
//! better than the list the test fails as well, and names the figure to write down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod definitions;
mod events;
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use modules::{Source, SourceFile, circles};

/// The crates, from bottom to top, with the crates of this workspace that each may depend on.
const CRATES: [(&str, &[&str]); 14] = [
    ("engine/base", &[]),
    ("engine/system", &["base"]),
    ("engine/language", &["base"]),
    ("engine/core", &["base", "language"]),
    ("engine/store", &["base", "system"]),
    ("engine/ports", &["base", "language", "core"]),
    ("engine/runtime", &["base", "system", "language", "core", "store", "ports"]),
    ("engine", &["base", "system", "language", "core", "store", "ports", "runtime"]),
    ("projections", &["base", "system", "language", "core", "store", "ports"]),
    ("workflows", &["base", "system", "language", "core", "ports"]),
    ("api/pages", &[]),
    ("api/mcp", &[]),
    ("api/sql", &[]),
    ("api", &["engine", "projections", "workflows", "pages", "mcp", "sql"]),
];

/// What must not be below the pure core.
const IMPURE: [&str; 5] = ["tokio", "sled", "rustix", "rand", "tracing"];

/// Words of a private idiom, with what the field says.
const PRIVATE: [(&str, &str); 14] = [
    ("desk", "mailbox, allocator"),
    ("clerk", "slot allocator"),
    ("treasury", "budgets"),
    ("treasurer", "budget allocator"),
    ("teller", "subscription worker"),
    ("letter", "delivery, grant"),
    ("lane", "wait group"),
    ("rings", "start queue"),
    ("errand", "trigger action"),
    ("doom", "pending quarantine"),
    ("keeper", "checkpointer"),
    ("shelf", "storage"),
    ("spine", "lifetimes"),
    ("told", "report, notice"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    CRATES.iter().map(|(folder, _)| Source::read(&repository(), &format!("{folder}/src"))).collect()
});

fn files() -> impl Iterator<Item = &'static SourceFile> {
    SOURCES.iter().flat_map(|source| source.files.values())
}

/// What does not hold yet: figures by law, and by file, word or crate.
fn debts(law: &str) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(repository().join("tests/tests/house/debts.toml")).unwrap();
    let all: BTreeMap<String, BTreeMap<String, usize>> = toml::from_str(&text).unwrap();
    all.get(law).cloned().unwrap_or_default()
}

/// Compares what was found with what is owed; `why` tells what to do about more.
#[track_caller]
fn owes(law: &str, found: &BTreeMap<String, usize>, why: &str) {
    let owed = debts(law);
    let names: BTreeSet<&String> = found.keys().chain(owed.keys()).collect();
    let wrong: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let (now, then) = (found.get(name).copied().unwrap_or(0), owed.get(name).copied().unwrap_or(0));
            match now.cmp(&then) {
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(format!("{name}: {now}, at most {then}. {why}")),
                std::cmp::Ordering::Less => {
                    Some(format!("{name}: {now}, better than {then}: write {now} to debts.toml"))
                }
            }
        })
        .collect();
    assert!(wrong.is_empty(), "[{law}]\n{}", wrong.join("\n"));
}

#[test]
fn a_crate_depends_on_crates_below_it_alone() {
    let own = CRATES.iter().map(|(folder, allowed)| ((*folder).to_owned(), allowed.to_vec()));
    // The tests of a crate that are a package of their own use it, and what it may use.
    let of_tests = CRATES.iter().filter_map(|(folder, allowed)| {
        let (tests, name) = (format!("{folder}/tests"), folder.rsplit('/').next()?);
        let is_package = repository().join(&tests).join("Cargo.toml").exists();
        is_package.then(|| (tests, [allowed.to_vec(), vec![name]].concat()))
    });
    assert_eq!(of_tests.clone().count(), 4);
    for (folder, below) in own.chain(of_tests) {
        let text = std::fs::read_to_string(repository().join(&folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names =
                manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            for name in names.filter_map(|name| name.strip_prefix("everfold-")) {
                assert!(
                    below.contains(&name),
                    "{folder}/Cargo.toml: [{section}] names everfold-{name}; it may use {below:?}"
                );
            }
        }
    }
}

#[test]
fn below_the_pure_core_there_is_no_clock_no_thread_and_no_file() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "everfold-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8_lossy(&tree.stdout);
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("everfold-base"), "the tree was not read: {text}");
    for name in IMPURE {
        assert!(
            !names.contains(name),
            "everfold-core depends on {name}: cargo tree -p everfold-core -i {name}"
        );
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut found = BTreeMap::new();
    for source in SOURCES.iter() {
        let arrows = source.arrows();
        for circle in circles(&arrows) {
            for file in &circle {
                let ties: Vec<String> = arrows[file]
                    .iter()
                    .filter(|(target, _)| circle.contains(*target))
                    .map(|(target, names)| {
                        format!(
                            "{} ({})",
                            target.display(),
                            names.iter().cloned().collect::<Vec<_>>().join(", ")
                        )
                    })
                    .collect();
                println!("{} -> {}", file.display(), ties.join("; "));
            }
            let first = circle.first().unwrap().display().to_string();
            found.insert(first, circle.len());
        }
    }
    owes("circles", &found, "Move what both take into a file below them; the arrows are printed above.");
}

#[test]
fn a_file_takes_nothing_from_its_own_mod_rs() {
    let mut found = BTreeMap::new();
    for source in SOURCES.iter() {
        for (file, targets) in source.arrows() {
            let own: Vec<_> = targets
                .iter()
                .filter(|(target, _)| target.ends_with("mod.rs") && target.parent() == file.parent())
                .collect();
            if let Some((_, names)) = own.first() {
                println!("{} takes {names:?}", file.display());
                *found.entry(source.root.display().to_string()).or_default() += 1;
            }
        }
    }
    owes("own_mod", &found, "Move it to a file beside: mod.rs declares, re-exports and explains.");
}

#[test]
fn a_mod_rs_declares_and_re_exports() {
    const LINES_MAX: usize = 80;
    let mut found = BTreeMap::new();
    for file in files().filter(|file| file.path.ends_with("mod.rs")) {
        if file.lines > LINES_MAX {
            println!("{}: {} lines of code", file.path.display(), file.lines);
            *found.entry(file.path.iter().next().unwrap().to_string_lossy().into_owned()).or_default() += 1;
        }
    }
    owes("long_mod", &found, "Move code to a file with a noun for a name.");
}

#[test]
fn identifiers_use_the_words_of_the_field() {
    let mut found = BTreeMap::new();
    for (word, field) in PRIVATE {
        for file in files() {
            if let Some(count) = file.definitions.identifiers.get(word) {
                println!("{}: {word} {count} times; the field says {field}", file.path.display());
                *found.entry(word.to_owned()).or_default() += count;
            }
        }
    }
    owes("private_words", &found, "Use the field's word; it is printed above.");
}

#[test]
fn a_type_name_means_one_thing() {
    // The pages know the answers of REST and no type behind them, so their names are a world of their own.
    let mut files_of: BTreeMap<(bool, &String), Vec<String>> = BTreeMap::new();
    for file in files() {
        let is_page = file.path.starts_with("api/pages");
        for name in &file.definitions.types {
            files_of.entry((is_page, name)).or_default().push(file.path.display().to_string());
        }
    }
    files_of.retain(|_, files| files.len() > 1);
    for ((_, name), files) in &files_of {
        println!("{name}: {}", files.join(", "));
    }
    let found = BTreeMap::from([("types".to_owned(), files_of.len())]);
    owes("names_twice", &found, "Give it a name of its own; all are printed above.");
}

#[test]
fn structs_and_functions_stay_readable() {
    const LINES_MAX: usize = 70;
    let (mut all, mut long, mut heavy) = (0, 0, 0);
    for file in files() {
        all += file.definitions.functions.len();
        for (name, lines) in file.definitions.functions.iter().filter(|(_, lines)| *lines > LINES_MAX) {
            println!("{}: {name} has {lines} lines", file.path.display());
            long += 1;
        }
        for name in &file.definitions.heavy {
            println!("{}: {name} has more than 25 fields or 3 bools", file.path.display());
            heavy += 1;
        }
    }
    assert!(long * 200 <= all, "{long} of {all} functions have more than {LINES_MAX} lines, more than 0.5 %");
    let found = BTreeMap::from([("structs".to_owned(), heavy)]);
    owes("heavy_structs", &found, "Group the fields that belong together; make a state of the bools.");
}
