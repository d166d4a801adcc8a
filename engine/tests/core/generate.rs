//! Pipelines for the laws: every construct, in every mixture.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Value, json};

/// What one generated step is made of.
#[derive(Debug, Clone)]
struct Shape {
    needs: Vec<prop::sample::Index>,
    work: u8,
    gates: Vec<u8>,
    on_fail: u8,
    retry: u32,
    on_lost: u8,
    standby: bool,
    when: u8,
    on_success: u8,
    max_rounds: u8,
    order: u8,
}

fn shape() -> BoxedStrategy<Shape> {
    let first = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        0_u8..17,
        prop::collection::vec(0_u8..40, 0..3),
        0_u8..15,
        1_u32..4,
    );
    let second = (0_u8..5, prop::bool::weighted(0.1), 0_u8..10, 0_u8..16, 0_u8..6, any::<u8>());
    (first, second)
        .prop_map(
            |(
                (needs, work, gates, on_fail, retry),
                (on_lost, standby, when, on_success, max_rounds, order),
            )| {
                Shape {
                    needs,
                    work,
                    gates,
                    on_fail,
                    retry,
                    on_lost,
                    standby,
                    when,
                    on_success,
                    max_rounds,
                    order,
                }
            },
        )
        .boxed()
}

/// Canonical documents of pipelines of 1 to 7 steps.
pub fn pipelines() -> impl Strategy<Value = Value> {
    let steps = prop::collection::vec(shape(), 1..7);
    let finish = prop::collection::vec(0_u8..3, 0..3);
    (steps, finish, 0_u8..4, (0_u8..6, 0_u8..12, 0_u8..12)).prop_map(
        |(steps, finish, workspace, (notices, on_signal, budget))| {
            let mut documents: Vec<Value> = Vec::new();
            for (at, shape) in steps.iter().enumerate() {
                documents.push(step(at, shape));
            }
            let on_finish: Vec<Value> =
                finish.iter().enumerate().map(|(at, kind)| finish_step(at, *kind)).collect();
            let mut document = json!({"name": "generated", "steps": documents, "on_finish": on_finish});
            if workspace == 0 {
                document["workspace"] = json!({"git": {"git": "/repository"}});
            }
            if workspace == 1 {
                document["output"] = json!("${steps.s0.status}");
            }
            if workspace == 2 {
                document["key"] = json!({"value": "${run.id}"});
                document["concurrency"] = json!([{"key": "repo", "limit": "${1 + 1}"}]);
                document["admit"] = json!({"gates": [{"id": "a", "probe": {"expression": "true"}}]});
            }
            if notices < 3 {
                document["notify"] = json!(notify(notices));
            }
            if budget < 8 {
                document["budgets"] = json!(budgets(budget));
            }
            let routes = signal_routes(on_signal, 0, 0, true);
            if routes != json!([]) {
                document["on_signal"] = json!({"stop": routes});
            }
            document
        },
    )
}

/// Budgets of the run alone and such that others share, with every period and consequence.
fn budgets(kind: u8) -> Vec<Value> {
    let total = json!({"id": "total", "cost": "0.50 USD", "reserve": "0.20 USD"});
    let daily = json!({"id": "daily", "per": "day", "zone": "Europe/Berlin", "cost": "1 USD", "tokens": 300});
    let wall = json!({"id": "wall", "wall": "20s", "on_over": "fail"});
    let stop = json!({"id": "stop", "cost": "${string(1)} USD", "on_over": "stop"});
    let team = json!({"id": "team", "scope": "team", "per": "month", "cost": "2 USD", "on_over": "stop"});
    match kind {
        0 => vec![total],
        1 => vec![daily],
        2 => vec![wall],
        3 => vec![stop],
        4 => vec![team],
        5 => vec![total, team],
        6 => vec![json!({"id": "short", "tokens": 100, "wall": "9s", "on_over": "stop", "per": "week"})],
        _ => vec![json!({"id": "strict", "cost": "0.4 USD", "on_over": "fail"}), daily],
    }
}

fn notify(kind: u8) -> Vec<Value> {
    let all = json!({"id": "all", "events": ["*"], "function": "f", "with": {"e": "${event.type}", "out": "${steps.s0.output}"}});
    let newest = json!({"id": "newest", "events": ["StepSucceeded", "RunFailed"], "function": "f", "channel": "c", "collapse": true, "when": "event.type != 'RunFailed' || run.status == 'failed'"});
    let changed = json!({"id": "changed", "events": ["StepScheduled", "NoteAdded"], "function": "f", "channel": "c", "changes_only": true, "with": "${steps.s0.status}"});
    match kind {
        0 => vec![all],
        1 => vec![newest, changed],
        _ => vec![changed, all, newest],
    }
}

fn name(at: usize) -> String {
    format!("s{at}")
}

fn step(at: usize, shape: &Shape) -> Value {
    let mut needs: Vec<usize> =
        if at == 0 { Vec::new() } else { shape.needs.iter().map(|need| need.index(at)).collect() };
    needs.sort_unstable();
    needs.dedup();
    let upstream = needs.first().copied().unwrap_or(at);
    let mut step = json!({"id": name(at), "needs": needs.iter().map(|need| name(*need)).collect::<Vec<_>>()});
    match shape.work {
        0 => step["work"] = json!({"task": {"kind": "command", "spec": {"argv": ["true", "${run.id}"]}}}),
        1 => {
            step["work"] =
                json!({"task": {"kind": "run", "spec": {"pipeline": "other", "input": {"n": "${run.id}"}}}});
            if shape.order % 4 == 1 {
                step["work"]["task"]["spec"]["wait"] = json!(false);
            }
            if shape.order % 3 == 1 {
                step["work"]["task"]["spec"]["on_parent_cancel"] = json!("leave");
            }
        }
        2 => {
            step["work"] =
                json!({"task": {"kind": "function", "spec": {"name": "f", "with": {"input": "${input}"}}}});
            step["timeout"] = json!("5s");
        }
        3 => {
            step["work"] = json!({"approval": {"title": "go on?", "quorum": 1, "on_reject": routes(shape.on_success, at, upstream)}})
        }
        4 => step["work"] = json!({"wait": {"for": "10s"}}),
        8 => step["work"] = question(shape, at, upstream),
        9 => step["work"] = approval(shape, at, upstream),
        10 => {
            // Work that may ask, and is told the answers.
            step["work"] = json!({"task": {"kind": "agent", "spec": {"prompt": "${toJson(answers)}"}}});
            step["ask"] =
                json!({"max": 2, "expires": "30s", "on_expire": routes(shape.on_success, at, upstream)});
        }
        11 => {
            step["foreach"] =
                json!({"items": "${['a', 'b', 'c']}", "max_in_flight": 2, "on_failure": "continue"});
            step["work"] =
                if shape.retry == 1 { question(shape, at, upstream) } else { approval(shape, at, upstream) };
        }
        12 => {
            step["foreach"] = json!({"items": "${[1, 2]}"});
            step["work"] = json!({"wait": {"for": "5s"}});
        }
        5 => {
            step["foreach"] = json!({"items": "${[1, 2, 3, 4, 5]}", "as": "n", "max_in_flight": 2, "on_failure": "continue"});
            step["work"] = json!({"task": {"kind": "function", "spec": {"name": "f", "with": "${n}"}}});
        }
        6 => {
            step["foreach"] = json!({"items": "${['a', 'b', 'c']}"});
            step["work"] = json!({"task": {"kind": "command", "spec": {"argv": ["echo", "${item}"]}}});
        }
        13 => step["work"] = json!({"wait": {"signal": "go", "match": "signal.ok == true"}}),
        14 => {
            step["work"] = json!({"wait": {"signal": "go", "timeout": "20s", "on_timeout": routes(shape.on_success, at, upstream)}})
        }
        15 => step["work"] = json!({"wait": {"until": "1970-01-01T00:40:00", "zone": "Europe/Berlin"}}),
        7 if !needs.is_empty() => {
            // Mentions an output that may have to be loaded.
            let prompt = format!("do ${{json(steps.{}.output)}}", name(upstream));
            step["work"] = json!({"task": {"kind": "agent", "spec": {"prompt": prompt}}});
        }
        _ => {
            if shape.gates.is_empty() {
                step["gates"] = json!([{"id": "g", "probe": {"expression": "true"}}]);
            }
        }
    }
    if !shape.gates.is_empty() {
        let gates: Vec<Value> =
            shape.gates.iter().enumerate().map(|(no, kind)| gate(no, *kind, at, upstream)).collect();
        step["gates"] = json!(gates);
    }
    step["on_fail"] = routes(shape.on_fail, at, upstream);
    step["on_success"] = match shape.on_success {
        0 => json!([{"to": {"finish": "succeeded"}, "when": "output == null"}]),
        1 => json!([{"to": {"rework": name(at)}, "max": {"times": 1}, "then": {"to": "continue"}}]),
        _ => json!([]),
    };
    if shape.retry > 1 {
        step["retry"] = json!({"attempts": shape.retry, "backoff_min": "1s", "backoff_max": "4s"});
    }
    match shape.on_lost {
        0 => step["on_lost"] = json!("retry"),
        1 => step["on_lost"] = json!("block"),
        2 => step["on_lost"] = json!("fail"),
        3 => step["idempotent"] = json!(true),
        _ => {}
    }
    if shape.standby && at > 0 {
        step["standby"] = json!(true);
    }
    match shape.when {
        0 => step["when"] = json!("false"),
        1 => step["when"] = json!("step.round < 3"),
        2 => step["when"] = json!("input.missing == 1"),
        _ => {}
    }
    if shape.max_rounds < 2 {
        step["max_rounds"] = json!(shape.max_rounds + 1);
    }
    if shape.order.is_multiple_of(7) {
        step["budget_exempt"] = json!(if shape.order < 99 { "step.round > 1" } else { "input.missing" });
    }
    if shape.order.is_multiple_of(5) && step["work"]["task"].is_object() {
        step["resources"] = json!(["lamp"]);
        step["priority"] = json!(shape.order % 3);
    }
    if shape.order.is_multiple_of(3) {
        step["join"] = json!("any");
    }
    if shape.order.is_multiple_of(4) {
        step["deadline"] = json!("8s");
    }
    let on_signal = signal_routes(shape.order % 16, at, upstream, false);
    if on_signal != json!([]) {
        step["on_signal"] = json!({ (if shape.order < 128 { "go" } else { "stop" }): on_signal });
    }
    for (key, empty) in [("on_fail", json!([])), ("on_success", json!([]))] {
        if step[key] == empty {
            step.as_object_mut().expect("a map").remove(key);
        }
    }
    if shape.retry == 3 {
        step["clean"] = json!(true);
    }
    if shape.on_lost == 4 && shape.max_rounds == 0 {
        step["workspace"] = json!("own");
    }
    if shape.when == 9 {
        step["env"] = json!({"T": "x ${secrets.T}"});
        step["secrets"] = json!(["T"]);
    }
    step
}

fn approval(shape: &Shape, at: usize, upstream: usize) -> Value {
    let mut approval = json!({
        "title": "go on?", "show": ["${input}"], "quorum": 1 + shape.on_success % 2, "veto": shape.on_lost != 0,
        "edit": "${input}", "on_changes": routes(shape.on_fail / 2, at, upstream),
    });
    if shape.when > 4 {
        approval["expires"] = json!("1m");
        approval["remind"] = json!("20s");
        approval["on_expire"] = routes(shape.on_success, at, upstream);
    }
    json!({"approval": approval})
}

fn question(shape: &Shape, at: usize, upstream: usize) -> Value {
    let mut question = json!({"title": "which?", "text": "${string(step.round)}"});
    match shape.on_lost {
        0 => question["options"] = json!("${['a', 'b']}"),
        1 => question["items"] = json!(["one", {"id": "two", "text": "${run.id}", "options": ["x", "y"]}]),
        2 => question["schema"] = json!({"type": "object", "required": ["text"]}),
        3 => question["accept"] = json!("answer.text != '' && steps.s0.output != 'nothing'"),
        _ => question["options"] = json!("${input}"),
    }
    if shape.when > 4 {
        question["expires"] = json!("1m");
        question["remind"] = json!("20s");
        question["on_expire"] = routes(shape.on_success, at, upstream);
    }
    json!({"question": question})
}

fn routes(kind: u8, at: usize, upstream: usize) -> Value {
    match kind {
        0 | 1 => json!([{"to": {"rework": name(upstream)}}]),
        2 => json!([{"to": {"rework": name(at)}, "max": {"times": 1}, "then": {"to": "continue"}}]),
        3 => json!([{"to": "block"}]),
        4 => json!([{"to": "continue"}]),
        5 => json!([{"to": {"finish": "cancelled"}}]),
        6 => json!([{"to": {"fail": {"code": "own", "message": "it is ${failure.kind}"}}}]),
        7 => {
            json!([{"when": "failure.kind == 'lost'", "to": "continue"}, {"to": {"rework": name(at)}, "max": {"times": 2}}])
        }
        9 => {
            json!([{"to": {"rework": name(upstream)}, "hold": true, "findings": "held: ${failure.message}"}])
        }
        10 => json!([{"to": {"rework": name(at)}, "if_unchanged": "block", "max": {"times": 9}}]),
        8 => json!([{"to": {"rework": name(upstream)}, "max": {"times": 0}, "then": {"to": {"fail": {}}}}]),
        _ => json!([]),
    }
}

/// Routes of a signal; those of the run decide on no task.
fn signal_routes(kind: u8, at: usize, upstream: usize, of_run: bool) -> Value {
    match kind {
        0 => json!([{"to": {"rework": name(upstream)}}]),
        1 => json!([{"to": {"rework": name(at)}, "busy": "interrupt", "max": "unlimited"}]),
        2 => json!([{"to": {"rework": name(at)}, "busy": "ignore", "hold": true}]),
        3 => json!([{"when": "signal.ok == true", "to": "block", "busy": "interrupt"}]),
        4 => {
            json!([{"when": "signal.text.size() > 5", "to": {"fail": {"code": "told"}}, "busy": "interrupt"}])
        }
        5 => json!([{"to": {"finish": "succeeded"}}]),
        6 => json!([{"to": "ignore"}]),
        7 if !of_run => json!([{"when": "signal.ok == true", "to": "approve"}, {"to": "reject"}]),
        8 if !of_run => json!([{"to": {"unblock": "retry"}}]),
        9 if !of_run => json!([{"to": "changes"}]),
        10 if !of_run => json!([{"to": {"unblock": "proceed"}}]),
        11 if !of_run => json!([{"when": "signal == 'words'", "to": {"answer": "${signal}"}},
            {"to": {"answer": {"choice": "a", "items": {"1": "yes", "two": "x"}, "text": "${signal.text}"}}}]),
        _ => json!([]),
    }
}

fn gate(no: usize, kind: u8, at: usize, upstream: usize) -> Value {
    let mut gate = json!({"id": format!("g{no}")});
    gate["probe"] = match kind % 6 {
        _ if kind >= 24 => combined(kind),
        0 => json!({"expression": "true"}),
        1 => json!({"expression": "step.round >= 2"}),
        2 => json!({"expression": "input.missing"}),
        _ => json!({"task": {"kind": "command", "spec": {"argv": ["check", "${step.round}"]}}}),
    };
    match kind % 5 {
        0 => gate["policy"] = json!("evidence.exit == 0 || step.round > 2"),
        1 => gate["policy"] = json!("gate.probe_no > 2 ? 'pass' : 'pending'"),
        _ => {}
    }
    match kind % 4 {
        0 => gate["on_fail"] = routes(if kind > 12 { 10 } else { 0 }, at, upstream),
        1 => gate["on_fail"] = json!([{"to": "continue"}]),
        2 => gate["on_fail"] = json!([{"to": "block"}]),
        _ => {}
    }
    if kind.is_multiple_of(7) {
        gate["poll"] = json!({"every": "5s", "max": 2, "on_timeout": [{"to": "continue"}]});
    }
    if kind.is_multiple_of(4) {
        gate["wake"] = json!(["ci"]);
    }
    if kind == 11 {
        gate["when"] = json!("step.round > 1");
        gate["otherwise"] = json!("first round");
    }
    gate
}

/// Several probes of one gate, nested, with policies of their own, some passed over.
fn combined(kind: u8) -> Value {
    let command =
        json!({"probe": {"task": {"kind": "command", "spec": {"argv": ["check", "${step.round}"]}}}});
    let own = json!({"id": "own", "probe": command["probe"], "policy": "size(evidence.output) > 100 ? 'pass' : 'pending'"});
    let known = json!({"probe": {"expression": "step.round > 1"}});
    let passed_over = json!({"id": "not-yet", "when": "step.round > 1", "otherwise": "first round", "probe": command["probe"]});
    let of = json!([command, own, known, passed_over]);
    match kind % 6 {
        0 => json!({ "all": of }),
        1 => json!({ "any": of }),
        2 => json!({"not": own}),
        3 => json!({"at_least": {"n": 2, "of": of}}),
        4 => json!({"any": [known, {"id": "inner", "probe": {"all": of}}]}),
        _ => json!({"all": [known, {"probe": {"expression": "true"}}]}),
    }
}

fn finish_step(at: usize, kind: u8) -> Value {
    let id = format!("f{at}");
    match kind {
        0 => json!({"id": id, "work": {"task": {"kind": "command", "spec": {"argv": ["tidy"]}}}}),
        1 => {
            json!({"id": id, "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "when": "run.status != 'x'"})
        }
        _ => json!({"id": id, "work": {"task": {"kind": "command", "spec": {"argv": ["${input.missing}"]}}}}),
    }
}
