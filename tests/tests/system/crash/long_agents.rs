//! Agents that live for long: three engines die over one, and it never begins again.

use super::fixtures::{Lab, TRACE, await_that, lives, only, places};

#[test]
fn an_agent_of_20_seconds_survives_three_kills_of_the_engine_and_never_begins_again() {
    let lab = Lab::with(
        "name: p\nsteps:\n  - id: think\n    agent: { profile: script, prompt: Think long, args: [sh, think.sh] }\n  - id: after\n    command: 'echo \"after ${steps.think.output}\" >> \"$TRACE\"'\n",
    );
    lab.settings("[agents.script]\ncommand = [\"{args}\"]\nprompt = \"file\"\noutput = \"text\"\nenv = { MOOD = \"calm\" }\n");
    lab.write(
        "think.sh",
        "echo \"begins $EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT $MOOD\" >> \"$TRACE\"\necho $$ >> \"$LAB/pid\"\ni=0\nwhile [ $i -lt 20 ]; do i=$((i+1)); echo \"tick $i\" >> \"$LAB/ticks\"; sleep 1; done\necho thought\n",
    );
    let ticked = |times: usize| {
        await_that("the agent goes on", || {
            (super::fixtures::lines(&lab.path("ticks")).len() >= times).then_some(())
        });
    };
    let mut engine = lab.start(&["run", "./p.yaml"]);
    for ticks in [3, 8, 13] {
        ticked(ticks);
        engine.kill().was_killed();
        ticked(ticks + 2);
        engine = lab.start(&["resume", "@"]);
    }
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    assert!(lives(pid), "the same process, after three kills");
    engine.end().ended_with(0);
    lab.assert_trace(&["begins think 1 1 calm", "after thought"]);
    assert_eq!(super::fixtures::lines(&lab.path("pid")).len(), 1, "one process");
    assert_eq!(super::fixtures::lines(&lab.path("ticks")).len(), 20, "all its time, once");
    let events = lab.events("@");
    assert_eq!(places(&events, "StepScheduled"), ["think 1.1", "after 1.1"]);
    assert_eq!(places(&events, "AttemptLost"), [""; 0]);
    assert_eq!(places(&events, "AttemptStarted").iter().filter(|place| **place == "think 1.1").count(), 1);
    lab.assert_left_in_order();
}

/// An agent that is killed while no engine is there; its second attempt ends at once.
fn killed(profile: &str, step: &str) -> Lab {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - id: think\n    agent: {{ profile: thinker, prompt: Think }}\n{step}  - id: after\n    command: '{TRACE}'\n"
    ));
    lab.settings(&format!("[agents.thinker]\ncommand = [\"sh\", \"think.sh\"]\n{profile}"));
    lab.write(
        "think.sh",
        &format!("{TRACE}\n[ $EVERFOLD_ATTEMPT = 1 ] || exit 0\necho $$ > \"$LAB/pid\"\nexec sleep 600\n"),
    );
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    lab.supervisor("think-r1-a1");
    engine.kill().was_killed();
    lab.vanish("think-r1-a1");
    lab
}

#[test]
fn a_killed_agent_is_lost_and_blocks_where_nothing_else_is_said() {
    let lab = killed("", "");
    lab.run(&["resume", "@", "--no-wait"]).ended_with(6);
    assert_eq!(lab.view("@")["status"], "blocked");
    assert_eq!(lab.view("@")["steps"][0]["failure"]["kind"], "lost");
    lab.run(&["unblock", "@", "--decision", "retry"]).ended_with(0);
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["think 1 1", "think 1 2", "after 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_killed_agent_is_tried_again_where_its_profile_says_so() {
    let lab = killed("on_lost = \"retry\"\n", "");
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(only(&lab.events("@"), "AttemptLost").place(), "think 1.1");
    lab.assert_trace(&["think 1 1", "think 1 2", "after 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn what_the_step_says_of_a_killed_agent_goes_before_what_its_profile_says() {
    let lab = killed("on_lost = \"retry\"\n", "    on_lost: fail\n");
    lab.run(&["resume", "@"]).ended_with(1);
    assert_eq!(lab.view("@")["failure"]["kind"], "lost");
    lab.assert_trace(&["think 1 1"]);
    lab.assert_left_in_order();
}
