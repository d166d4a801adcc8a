//! What the process of a step may do with the engine that runs it: nothing, unless its step says so.
//!
//! Each process here runs as the same system user as the engine, in the engine's own data folder.

use std::fs;

use serde_json::Value;

use super::fixtures::Scratch;

impl Scratch {
    /// A script `call.sh OUT ARGS…` that calls the program on the folder and leaves what it said in `OUT`, its
    /// exit code in `OUT.rc`.
    fn write_call(&self) -> String {
        let program = env!("CARGO_BIN_EXE_everfold-under-test");
        let (data, out) = (self.data(), self.path("out"));
        fs::create_dir_all(&out).unwrap();
        let script = format!(
            "out={}/$1; shift\n{program} --dir {} \"$@\" > $out 2>&1\necho $? > $out.rc.new; mv $out.rc.new $out.rc\n",
            out.display(),
            data.display(),
        );
        self.write("call.sh", &script);
        format!("/bin/sh {}", self.path("call.sh").display())
    }

    fn called(&self, name: &str) -> (i32, String) {
        let out = self.path("out");
        let code = fs::read_to_string(out.join(format!("{name}.rc"))).unwrap_or_else(|_| panic!("{name}"));
        (code.trim().parse().unwrap(), fs::read_to_string(out.join(name)).unwrap())
    }
}

/// An operator's run made itself an admin token over the socket.
#[test]
fn row_52_no_process_of_a_step_is_let_in_on_the_socket_whatever_it_does_first() {
    let scratch = Scratch::new();
    let call = scratch.write_call();
    let (out, data) = (scratch.path("out"), scratch.data());
    let ways = [
        ("plain", format!("{call} plain ASK")),
        ("forked", format!("( ( {call} forked ASK & ) & )")),
        ("session", format!("setsid {call} session ASK &")),
        ("daemon", format!("setsid /bin/sh -c '( setsid env -i {call} daemon ASK & ) &' &")),
        ("bare", format!("env -i {call} bare ASK")),
        ("named", format!("EVERFOLD_SHIM={}/attempts/other/step-r1-a1 {call} named ASK", data.display())),
        ("user", format!("EVERFOLD_USER=root {call} user ASK")),
    ];
    let mut lines: Vec<String> = ways
        .iter()
        .map(|(name, line)| line.replace("ASK", &format!("token create {name} --role admin")))
        .collect();
    for (name, _) in &ways {
        lines.push(format!("while [ ! -e {}/{name}.rc ]; do sleep 0.05; done", out.display()));
    }
    let script: String = lines.iter().map(|line| format!("      {line}\n")).collect();
    let pipeline = format!(
        "name: p\nsteps:\n  - id: work\n    command: |\n{script}    gates:\n      - id: judge\n        command: {call} judge token create judge --role admin || true\n"
    );
    scratch.write("p.yaml", &pipeline);
    let done = scratch.run(&["run", "./p.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    for name in ways.iter().map(|(name, _)| *name).chain(["judge"]) {
        let (code, said) = scratch.called(name);
        assert!(code == 4 && said.contains("EF0625"), "{name}: {code} {said}");
    }
    let tokens = scratch.run(&["token", "list", "--json"]).json();
    assert_eq!(tokens["items"], Value::Array(Vec::new()), "{tokens}");
}

/// A command approved its own run's approval, of which it was said that who started the run may not.
#[test]
fn row_52_a_step_acts_as_itself_with_the_role_that_its_pipeline_gives_it_and_never_decides_on_its_own_run() {
    let scratch = Scratch::new();
    let call = scratch.write_call();
    let out = scratch.path("out");
    let program = env!("CARGO_BIN_EXE_everfold-under-test");
    let pipeline = format!(
        "name: p\nbudget: {{ scope: team, cost: 1.00 USD }}\nsteps:\n  - id: ok\n    needs: []\n    approval: {{ title: Is it right?, self_approval: false }}\n  - id: work\n    needs: []\n    api: {{ role: operator }}\n    command: |\n      \
           cd /\n      \
           {program} signal $EVERFOLD_RUN hello > {out}/signal 2>&1; echo $? > {out}/signal.rc\n      \
           {call} token token create mine --role admin\n      \
           {call} raise budget $EVERFOLD_RUN --add 5\n      \
           {call} limit budget set team --cost 500\n      \
           {call} other budget set other --cost 5\n      \
           until grep -q ok {out}/inbox; do {call} inbox inbox --json; done\n      \
           {call} approve approve $EVERFOLD_RUN\n",
        out = out.display(),
    );
    scratch.write("p.yaml", &pipeline);
    let waiting = scratch.start(&["run", "./p.yaml"]);
    super::fixtures::await_that("the step asked everything", || {
        out.join("approve.rc").exists().then_some(())
    });
    let id = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(scratch.called("signal").0, 0, "{:?}", scratch.called("signal"));
    let (code, said) = scratch.called("token");
    assert!(code == 4 && said.contains("EF0602"), "{code} {said}");
    for name in ["raise", "limit"] {
        let (code, said) = scratch.called(name);
        assert!(code == 4 && said.contains("EF0305"), "{name}: {code} {said}");
    }
    assert_eq!(scratch.called("other").0, 0, "{:?}", scratch.called("other"));
    let (code, said) = scratch.called("approve");
    assert!(code == 4 && said.contains("EF0305"), "{code} {said}");
    let events = scratch.run(&["events", "@", "--json"]);
    let signalled = events
        .out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["event"]["type"] == "SignalReceived");
    assert_eq!(signalled.unwrap()["actor"], format!("run:{id}/work"), "{}", events.out);
    let mut approve = scratch.command(&["approve", "@"]);
    assert!(approve.env("EVERFOLD_USER", "grace").status().unwrap().success());
    assert_eq!(waiting.end().code, 0);
}

/// A run that a schedule of the step started voted on the step's own run, one that the step started signalled it, and the step
/// itself passed over its approval that had timed out.
#[test]
fn row_52_a_step_decides_on_its_own_run_by_no_way_round() {
    let scratch = Scratch::new();
    let call = scratch.write_call();
    let out = scratch.path("out");
    let asks = "input: { type: object, required: [run], properties: { run: { type: string } } }";
    for (name, does) in [("vote", "approve ${input.run}:ok:1"), ("tell", "signal ${input.run} fine")] {
        for way in ["run", "moment", "tick"] {
            let pipeline = format!(
                "name: {name}-{way}\n{asks}\nsteps:\n  - {{ id: s, api: {{ role: operator }}, command: '{call} {name}-{way} {does}' }}\n"
            );
            scratch.write(&format!("{name}-{way}.yaml"), &pipeline);
        }
    }
    // The moments of its trigger are its own, and their signals are.
    let ticks = "name: ticks\ntriggers:\n  - { schedule: { every: 1s }, signal: fine, to: { key: only } }\nsteps:\n  - { id: s, command: 'true' }\n";
    scratch.write("ticks.yaml", ticks);
    let folder = out.parent().unwrap().display().to_string();
    let mut lines = vec![
        format!("cd {folder}"),
        format!("{call} vote-run0 run ./vote-run.yaml -i run=$EVERFOLD_RUN"),
        format!("{call} tell-run0 run ./tell-run.yaml -i run=$EVERFOLD_RUN"),
        format!("{call} unblock unblock $EVERFOLD_RUN late --decision proceed -m because"),
        format!("{call} skip unblock $EVERFOLD_RUN late --decision skip -m because"),
        format!("{call} ticks pipeline save ./ticks.yaml"),
    ];
    for name in ["vote", "tell"] {
        lines.push(format!("{call} {name}-saved pipeline save ./{name}-moment.yaml"));
        lines.push(format!(
            "{call} {name}-added schedule add {name} {name}-moment --every 1d -i run=$EVERFOLD_RUN"
        ));
        lines.push(format!("{call} {name}-triggered schedule trigger {name}"));
        lines.push(format!("{call} {name}-removed schedule remove {name}"));
        lines.push(format!("while [ ! -e {}/{name}-moment.rc ]; do sleep 0.05; done", out.display()));
    }
    lines.push(format!("{call} done version"));
    let script: String = lines.iter().map(|line| format!("      {line}\n")).collect();
    let pipeline = format!(
        "name: p\nkey: {{ value: only }}\nsteps:\n  - id: ok\n    needs: []\n    approval: {{ title: Is it right? }}\n    on_signal: {{ fine: approve }}\n  \
         - {{ id: late, needs: [], approval: {{ title: Soon?, timeout: 100ms, on_timeout: block }} }}\n  \
         - id: work\n    needs: []\n    api: {{ role: operator }}\n    command: |\n      set +e; sleep 1\n{script}"
    );
    scratch.write("p.yaml", &pipeline);
    let (server, _) = scratch.serve(&[]);
    let run =
        scratch.run(&["run", "./p.yaml", "--detach", "--json"]).json()["id"].as_str().unwrap().to_owned();
    super::fixtures::await_that("the step tried everything", || out.join("done.rc").exists().then_some(()));
    for name in ["vote-run", "tell-run", "unblock", "skip", "vote-moment", "tell-moment"] {
        let (code, said) = scratch.called(name);
        assert!(code == 4 && said.contains("EF0305"), "{name}: {code} {said}");
    }
    for name in ["ticks", "vote-added", "tell-added", "vote-triggered", "tell-triggered"] {
        assert_eq!(scratch.called(name).0, 0, "{name}: {:?}", scratch.called(name));
    }
    super::fixtures::await_that("a moment of the step's trigger came", || {
        let listed = scratch.run(&["schedule", "show", "ticks:1", "--json"]).json();
        listed["ticks"].as_array().is_some_and(|ticks| !ticks.is_empty()).then_some(())
    });
    let view = scratch.run(&["show", &run, "--json"]).json();
    let steps: Vec<_> = view["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    assert_eq!(steps, ["waiting", "blocked", "succeeded"], "{view}");
    drop(server);
}
