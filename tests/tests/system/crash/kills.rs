//! SIGKILL at random moments over generated pipelines whose commands leave one line per execution.
//!
//! `EVERFOLD_KILLS` says how many kills, `EVERFOLD_SEED` repeats what a failure printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};

use super::fixtures::{Lab, TRACE};

/// Labs at work at once.
const WORKERS: usize = 3;
/// Kills of one run before it is let go: who is killed faster than work ends never gets there.
const KILLS_MAX: usize = 10;

/// What a kill takes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// The engine: processes live on.
    Engine,
    /// Everything, as a restart of the machine would.
    Everything,
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_when_the_engine_is_killed_at_random_moments() {
    storm(Kill::Engine, number("EVERFOLD_KILLS", 25));
}

#[test]
fn nothing_runs_twice_when_engine_supervisors_and_processes_are_killed_at_random_moments() {
    storm(Kill::Everything, number("EVERFOLD_KILLS", 25) / 2);
}

fn number<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => otherwise,
    }
}

fn storm(kill: Kill, kills_wanted: usize) {
    let seed: u64 = number("EVERFOLD_SEED", rand::random());
    println!("EVERFOLD_SEED={seed}");
    let (kills, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while kills.load(Ordering::SeqCst) < kills_wanted {
                    let run = runs.fetch_add(1, Ordering::SeqCst) as u64;
                    kills.fetch_add(one(kill, seed, run), Ordering::SeqCst);
                }
            });
        }
    });
    println!("{} kills over {} runs", kills.into_inner(), runs.into_inner());
}

/// One pipeline without kills and with them; gives how many there were.
fn one(kill: Kill, seed: u64, run: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(run));
    let pipeline = generate(&mut random);
    let context = format!("EVERFOLD_SEED={seed}, run {run}, {kill:?}\n{pipeline}");
    let calm = Lab::with(&pipeline);
    let expected = calm.run(&["run", "./p.yaml", "--json"]);
    assert!(matches!(expected.code, Some(0 | 1)), "{context}\n{expected:#?}");
    calm.await_quiet();
    let lab = Lab::with(&pipeline);
    let mut kills = 0;
    for engines in 0.. {
        // The key makes a repeated start the same run, also where none got as far as starting it.
        let run: &[&str] = &["run", "./p.yaml", "--idempotency-key", "k"];
        let verb = if random.random_bool(0.5) && engines > 2 { &["resume", "@"] } else { run };
        if kills == KILLS_MAX {
            let done = lab.run(run);
            assert_eq!(done.code, expected.code, "{context}\n{done:#?}");
            break;
        }
        let mut engine = lab.start(verb);
        // Any moment: while it starts, and while work is in progress.
        let span = if random.random_bool(0.3) { 120 } else { 900 };
        std::thread::sleep(Duration::from_millis(random.random_range(0..span)));
        if engine.has_ended() {
            let done = engine.end();
            if done.code == Some(3) && done.err.contains("no run") {
                continue; // Killed before there was one.
            }
            assert_eq!(done.code, expected.code, "{context}\n{done:#?}");
            break;
        }
        engine.kill();
        kills += 1;
        if kill == Kill::Everything {
            for pid in lab.processes().into_iter().filter_map(Pid::from_raw) {
                let _gone = kill_process(pid, Signal::KILL);
            }
            lab.await_quiet();
        }
    }
    let view = lab.view("@");
    assert_eq!(view["status"], expected.json()["status"], "{context}");
    assert_eq!(view["output"], expected.json()["output"], "{context}");
    let (calm_lines, lines) = (counted(&calm), counted(&lab));
    match kill {
        Kill::Engine => assert_eq!(lines, calm_lines, "{context}"),
        Kill::Everything => check_attempts(&lab, &lines, &context),
    }
    let runs = lab.run(&["runs", "--json"]).json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{context}");
    lab.assert_left_in_order();
    kills
}

fn counted(lab: &Lab) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in lab.trace() {
        *counted.entry(line).or_default() += 1;
    }
    counted
}

/// Every attempt ran at most once; one that is recorded with a result ran exactly once.
fn check_attempts(lab: &Lab, lines: &BTreeMap<String, usize>, context: &str) {
    for (line, count) in lines {
        assert_eq!(*count, 1, "{line} ran {count} times: {context}");
    }
    for event in lab.events("@") {
        let is_traced = matches!(event.kind(), "AttemptSucceeded" | "AttemptFailed");
        if is_traced && !event.place().starts_with("call") {
            let line = event.place().replace('.', " ");
            let line = match event.0["event"]["id"]["path"]["item"].as_u64() {
                Some(item) => line.replacen(&format!(" {item} "), &format!(".{item} "), 1),
                None => line,
            };
            assert!(lines.contains_key(&line), "“{line}” has a result and did not run: {context}");
        }
    }
}

/// A pipeline: a chain, whose reworks go back to any step above, or a graph, whose steps rework
/// themselves, so that what runs does not depend on who is faster.
fn generate(random: &mut StdRng) -> String {
    let is_chain = random.random_bool(0.5);
    let mut text = "name: storm\ndefaults: { on_lost: retry }\nsteps:\n".to_owned();
    let count = random.random_range(4..8);
    let mut ids: Vec<String> = Vec::new();
    let mut commands: Vec<String> = Vec::new();
    for at in 0..count {
        let kind = ["plain", "plain", "fan", "flaky", "gate", "gate", "tolerated", "wait", "call", "skipped"]
            [random.random_range(0..10)];
        let id = format!("{kind}{at}");
        let nap = format!("sleep 0.{:02}", random.random_range(0..25));
        let _infallible = writeln!(text, "  - id: {id}");
        if !is_chain {
            let needs: Vec<&str> =
                ids.iter().filter(|_| random.random_bool(0.4)).map(String::as_str).collect();
            let _infallible = writeln!(text, "    needs: [{}]", needs.join(", "));
        }
        let command = |end: &str| format!("    command: |\n      {TRACE}\n      {nap}\n      {end}\n");
        text += &match kind {
            "fan" => format!(
                "    foreach: {{ in: {:?}, max_in_flight: {} }}\n{}",
                (0..random.random_range(2..6)).collect::<Vec<_>>(),
                random.random_range(1..4),
                command("true")
            ),
            "flaky" => format!(
                "    retry: {{ attempts: {}, backoff: 20ms..120ms }}\n{}",
                random.random_range(2..5),
                command("[ $EVERFOLD_ATTEMPT -ge 2 ]")
            ),
            "gate" => {
                let target = match is_chain && !commands.is_empty() && random.random_bool(0.5) {
                    true => &commands[random.random_range(0..commands.len())],
                    false => &id,
                };
                format!(
                    "{}    gates:\n      - {{ id: g, command: '{nap}; [ $EVERFOLD_ROUND -ge 2 ]', on_fail: {{ rework: {target} }} }}\n",
                    command("true")
                )
            }
            "tolerated" => format!("    on_fail: continue\n{}", command("exit 9")),
            "wait" => format!("    wait: {{ for: {}ms }}\n", random.random_range(10..300)),
            "call" => format!(
                "    function: everfold.sleep\n    with: {{ for: {}ms }}\n",
                random.random_range(1..100)
            ),
            "skipped" => format!("    when: size(run.id) == 0\n{}", command("true")),
            _plain => command("true"),
        };
        if matches!(kind, "plain" | "fan" | "gate") {
            commands.push(id.clone());
        }
        ids.push(id);
    }
    let all = ids.join(", ");
    text += &format!("  - id: last\n    needs: [{all}]\n    command: '{TRACE}'\n");
    text += &format!("on_finish:\n  - {{ id: tidy, command: '{TRACE}' }}\n");
    text + &format!(
        "output: {{ rounds: \"${{steps.{0}.rounds}}\", last: \"${{steps.last.status}}\" }}\n",
        ids[0]
    )
}
