//! Every verb does the same without an owner, through an owner's socket, and at a server: what it prints and
//! the code that it ends with.

mod steady;
mod table;

use std::path::Path;

use super::fixtures::{Done, Running, Scratch, Served, await_that, verbs_in};
use steady::Steady;
use table::{FILES, TABLE};

/// How a command reaches the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Alone,
    Socket,
    Server,
}

/// A folder of its own for each way.
struct World {
    way: Way,
    scratch: Scratch,
    server: Option<(Running, Served)>,
}

impl World {
    fn new(way: Way) -> Self {
        let scratch = Scratch::new();
        for (name, text) in FILES {
            scratch.write(name, text);
        }
        let server = match way {
            Way::Alone => {
                // The first server makes it where there is one.
                assert_eq!(scratch.run(&["token", "create", "admin", "--role", "admin"]).code, 0);
                None
            }
            Way::Socket | Way::Server => Some(scratch.serve(&["--config", "served.toml"])),
        };
        Self { way, scratch, server }
    }

    fn run(&self, args: &[&str]) -> Done {
        match (&self.server, self.way) {
            (Some((_, served)), Way::Server) => self.scratch.run_far(served, args),
            (None, _) => self.scratch.run(&[&["--config", "served.toml"], args].concat()),
            _ => self.scratch.run(args),
        }
    }

    /// Waits until what was written before is folded. A read waits for that two seconds at most, and under load answers
    /// with less than a read of another way; also `@` is found by a read model.
    fn until_folded(&self) {
        if self.server.is_none() {
            return;
        }
        await_that("the read models are at the end of the log", || {
            let models = self.run(&["projections", "--json"]).json();
            let at_end = |model: &serde_json::Value| model["position"] == models["head"];
            models["items"].as_array()?.iter().all(at_end).then_some(())
        });
    }

    /// Ends what waits for people: an owner in the background would stay for a run of a schedule.
    fn end(&self) {
        if self.server.is_some() {
            return;
        }
        let open = self
            .run(&["runs", "--status", "queued,running,waiting,paused,blocked,stopping", "--json"])
            .json();
        for run in open["items"].as_array().into_iter().flatten() {
            assert_eq!(self.run(&["cancel", run["id"].as_str().unwrap()]).code, 0, "{run}");
        }
    }

    fn steady(&self) -> Steady {
        let folder = self.scratch.path("").display().to_string();
        let url = self.server.as_ref().map(|(_, served)| served.url.clone());
        Steady::new(&[&folder], url.as_deref())
    }
}

/// What each row printed, in words that do not change from time to time.
fn played(way: Way) -> Vec<(String, i32, String, String)> {
    let world = World::new(way);
    let mut steady = world.steady();
    let rows = TABLE
        .iter()
        .map(|(line, _)| {
            let args: Vec<&str> = split(line);
            world.until_folded();
            let done = world.run(&args);
            // The code of the error is the same; what is said beside it may name what differs.
            let err = steady.text(&codes(&done.err));
            ((*line).to_owned(), done.code, steady.text(&done.out), err)
        })
        .collect();
    world.end();
    rows
}

/// Words, with quotes as a shell has them.
pub(super) fn split(line: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), line.trim());
    while !rest.is_empty() {
        let end = match rest.strip_prefix('\'') {
            Some(quoted) => {
                let end = quoted.find('\'').unwrap();
                words.push(&quoted[..end]);
                end + 2
            }
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                words.push(&rest[..end]);
                end
            }
        };
        rest = rest[end..].trim_start();
    }
    words
}

/// The head of each error.
fn codes(err: &str) -> String {
    let heads = err.lines().filter(|line| line.starts_with("error[") || line.contains("\"code\": \"EF"));
    heads.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_verb_does_the_same_without_an_owner_through_its_socket_and_at_a_server() {
    let ways = [Way::Alone, Way::Socket, Way::Server];
    let played: Vec<_> = std::thread::scope(|scope| {
        let playing = ways.map(|way| scope.spawn(move || played(way)));
        playing.into_iter().map(|playing| playing.join().unwrap()).collect()
    });
    let mut differing = String::new();
    for (row, (line, code)) in TABLE.iter().enumerate() {
        let [alone, others @ ..] = &played[..] else { unreachable!() };
        let alone = &alone[row];
        if alone.1 != *code {
            differing.push_str(&format!("\n{line}: {} is wanted: {alone:?}\n", code));
        }
        for (way, other) in ways[1..].iter().zip(others) {
            if &other[row] != alone {
                differing.push_str(&format!("\n{line}: {way:?}\n{:#?}\nis not\n{alone:#?}\n", other[row]));
            }
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

/// Verbs of the program that no row and no other test of servers plays.
#[test]
fn every_verb_of_the_program_stands_in_the_table_or_works_on_a_folder() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]).out;
    let verbs = verbs_in(&help);
    assert!(verbs.len() > 40, "{help}");
    let apart = [
        // Of the folder, or of the program alone.
        "demo",
        "serve",
        "ui",
        "doctor",
        "init",
        "bench",
        "explain",
        "completions",
        "man",
        "version",
        // Played where servers die, and with contexts.
        "context",
    ];
    for verb in &verbs {
        let verb = verb.as_str();
        let is_played = TABLE.iter().any(|(line, _)| split(line).contains(&verb));
        assert!(
            is_played || apart.contains(&verb),
            "{verb}: add a row to {}",
            Path::new(file!()).with_file_name("table.rs").display()
        );
    }
}
