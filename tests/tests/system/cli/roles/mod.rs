//! Every verb by every role at a server, and without a token: the code that it ends with. A refused call changes nothing.

mod table;

use std::collections::BTreeSet;

use super::fixtures::{Done, Running, Scratch, Served, verbs_in};
use table::{APART, FILES, ROLES, TABLE};

/// A server that a role calls, with a folder of its own.
struct World {
    scratch: Scratch,
    _server: Running,
    admin: Served,
    caller: Served,
}

impl World {
    fn new(role: &str) -> Self {
        let scratch = Scratch::new();
        for (name, text) in FILES {
            scratch.write(name, text);
        }
        let (server, admin) = scratch.serve(&["--config", "served.toml"]);
        let mut caller = admin.clone();
        let world = |caller| Self { scratch, _server: server, admin, caller };
        if role == "nobody" {
            caller.token = String::new();
            return world(caller);
        }
        let world = world(caller);
        // A role of pipelines is no role of the service.
        let option = if role == "product" { "--approves" } else { "--role" };
        let made = world.by_admin(&["token", "create", "caller", option, role]);
        Self { caller: Served { token: made.out.trim().to_owned(), ..world.caller.clone() }, ..world }
    }

    fn by_admin(&self, args: &[&str]) -> Done {
        let done = self.scratch.run_far(&self.admin, args);
        assert!(matches!(done.code, 0 | 1 | 6), "{args:?}: {done:?}");
        done
    }

    fn by_caller(&self, args: &[&str]) -> Done {
        let mut command = self.scratch.far(&self.caller, args);
        if self.caller.token.is_empty() {
            command.env_remove("EVERFOLD_TOKEN");
        }
        command.output().unwrap().into()
    }

    /// What is there for the caller to work on.
    fn furnish(&self) {
        for file in ["asks", "people", "hooked"] {
            self.by_admin(&["pipeline", "save", &format!("./{file}.yaml")]);
        }
        self.by_admin(&["hook", "deliver", "tracker", "delivery.json", "--id", "d-1"]);
        self.by_admin(&["schedule", "add", "nightly", "people", "--every", "1h"]);
        self.by_admin(&["token", "create", "other", "--role", "viewer"]);
    }

    fn version(&self, run: &str) -> u64 {
        self.by_admin(&["show", run, "--json"]).json()["version"].as_u64().unwrap()
    }

    /// Plays a row; says what is wrong.
    fn play(&self, line: &str, on: &str, wanted: i32) -> Option<String> {
        let run = (!on.is_empty()).then(|| {
            let started = self.by_admin(&["run", &format!("./{on}.yaml"), "--no-wait", "--json"]).json();
            started["id"].as_str().unwrap().to_owned()
        });
        let args: Vec<&str> = super::same_everywhere::split(line)
            .into_iter()
            .map(|word| if word == "RUN" { run.as_deref().unwrap() } else { word })
            .collect();
        let before = run.as_deref().map(|run| self.version(run));
        let done = self.by_caller(&args);
        let is_refusal = done.code == 4 && (done.err.contains("EF0601") || done.err.contains("EF0602"));
        let code = if is_refusal { REFUSED } else { done.code };
        if code != wanted {
            return Some(format!("{line}: {wanted} is wanted, not {code}: {}", done.err));
        }
        let why = if self.caller.token.is_empty() { "EF0601" } else { "EF0602" };
        if is_refusal && !(done.err.contains(why) && done.err.contains("hint:") && done.out.is_empty()) {
            return Some(format!("{line}: it is not said why: {done:?}"));
        }
        match (is_refusal, &run) {
            (true, Some(run)) if before != Some(self.version(run)) => {
                Some(format!("{line}: what is refused changed the run"))
            }
            _ => None,
        }
    }
}

/// Stands for: not let in, or not with this role; the program ends with 4 then.
const REFUSED: i32 = -4;

#[test]
fn every_verb_by_every_role_and_by_nobody_at_a_server() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let playing: Vec<_> = ROLES
            .iter()
            .enumerate()
            .map(|(column, role)| {
                scope.spawn(move || {
                    let world = World::new(role);
                    world.furnish();
                    let played =
                        TABLE.iter().filter_map(|(line, on, codes)| world.play(line, on, codes[column]));
                    played.map(|wrong| format!("{role}: {wrong}")).collect::<Vec<_>>()
                })
            })
            .collect();
        playing.into_iter().flat_map(|playing| playing.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_verb_is_missing_in_the_table_of_roles() {
    let scratch = Scratch::new();
    let played: BTreeSet<String> = TABLE
        .iter()
        .flat_map(|(line, ..)| {
            let words: Vec<&str> = line.split(' ').collect();
            [words[0].to_owned(), words[..words.len().min(2)].join(" ")]
        })
        .collect();
    let mut missing = Vec::new();
    for verb in verbs_in(&scratch.run(&["--help"]).out) {
        let below = verbs_in(&scratch.run(&[&verb, "--help"]).out);
        let all = if below.is_empty() { vec![verb.clone()] } else { Vec::new() };
        let all = all.into_iter().chain(below.into_iter().map(|below| format!("{verb} {below}")));
        missing.extend(all.filter(|verb| !played.contains(verb) && !APART.contains(&verb.as_str())));
    }
    assert!(missing.is_empty(), "{missing:?}");
}
