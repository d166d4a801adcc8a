//! Words of the builder that no other test writes: what they say is what a file says.

use everfold_language::builder::*;
use everfold_language::definition::{Anchor, Overlap, OverlapBy, Period};
use serde_json::json;

use super::fixtures::read;

const FILE: &str = "
name: x
input: { type: object, required: [card], properties: { card: { type: string } } }
key: 'card-${input.card}'
config: { board: [/etc/board.yaml, { projects: {}, complete: true }] }
config_records: { board.projects: { type: object, required: [repo] } }
budget: { id: team, scope: team, per: month }
on_signal:
  rejected: [{ rework: previous, steps: [build, ask] }, { refuse: nothing is under way }]
triggers:
  - hook: board
    when: event.body.project in config.board.projects
    otherwise: 'unknown project ${event.body.project}'
    park_when: '!config.board.complete'
    start: { input: { card: '${event.body.card}' }, park: true }
  - { schedule: { every: 6h, anchor: added, hours: 22..6, overlap: queue, overlap_by: key }, start: { input: { card: x } } }
steps:
  - { id: plan, stage: analysis, command: x }
  - id: build
    stage: development
    command: x
    gates:
      - { id: read, frontmatter: { file: a.md, fields: [status], pass: [OK], from: [origin/main], fetch: true, text: true } }
      - { id: up, command: x, poll: { every: 10s, max: 280, max_unread: 5 } }
  - id: ask
    question: { title: Which?, items: [{ id: who, text: Who? }, { id: why, text: Why?, optional: true }] }
  - { id: tell, signal: { name: merged, to: { key: 'card-${input.card}' }, payload: { by: x } } }
";

fn built() -> Pipeline {
    let card =
        json!({ "type": "object", "required": ["card"], "properties": { "card": { "type": "string" } } });
    let back = [Route::rework("previous").steps(["build", "ask"]), Route::refuse("nothing is under way")];
    let intake = Trigger::hook("board")
        .when("event.body.project in config.board.projects")
        .otherwise("unknown project ${event.body.project}")
        .park_when("!config.board.complete")
        .start(TriggerStart::new().input(json!({ "card": "${event.body.card}" })).park(true));
    let schedule = Schedule::every("6h")
        .anchor(Anchor::Added)
        .hours(22, 6)
        .overlap(Overlap::Queue)
        .overlap_by(OverlapBy::Key);
    let read = Frontmatter::new("a.md", "status", ["OK"]).from("origin/main").fetch(true).text(true);
    let poll = Poll::every_so_often("10s").max(280).max_unread(5);
    let parts =
        Question::new("Which?").part(Part::new("who", "Who?")).part(Part::new("why", "Why?").optional());
    let told = SignalWork::new("merged", Target::key("card-${input.card}")).payload(json!({ "by": "x" }));
    Pipeline::new("x")
        .input(card)
        .key("card-${input.card}")
        .config("board", Config::files("/etc/board.yaml").or(json!({ "projects": {}, "complete": true })))
        .config_record("board.projects", json!({ "type": "object", "required": ["repo"] }))
        .budget(Budget::new("team").scope("team").per(Period::Month))
        .on_signal("rejected", back)
        .trigger(intake)
        .trigger(Trigger::schedule(schedule).start(TriggerStart::new().input(json!({ "card": "x" }))))
        .step(Step::command("plan", "x").stage("analysis"))
        .step(
            Step::command("build", "x")
                .stage("development")
                .gate(Gate::new("read", Probe::frontmatter(read)))
                .gate(Gate::command("up", "x").poll(poll)),
        )
        .step(Step::question("ask", parts))
        .step(Step::signal("tell", told))
}

#[test]
fn what_people_signals_and_triggers_are_given_in_rust_is_what_a_file_gives_them() {
    assert_eq!(built().build().unwrap(), read(FILE));
}
