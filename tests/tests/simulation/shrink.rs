//! Makes a failing plan smaller: fewer faults, acts, pipelines, steps, gates and keys, while it fails
//! in the same way.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::plan::Plan;
use super::play::Failed;

/// The smallest plan found in the given time, and how it fails.
pub fn smallest(
    plan: Plan,
    failed: Failed,
    span: Duration,
    fails: impl Fn(&Plan) -> Option<Failed>,
) -> (Plan, Failed) {
    let until = Instant::now() + span;
    let mut best = (plan, failed);
    loop {
        let before = format!("{}", best.0);
        for way in [fewer_acts, fewer_faults, fewer_reads, fewer_pipelines, smaller_pipelines] {
            // Each smaller plan is tried on the best one so far, from the largest step to the smallest.
            let mut at = 0;
            loop {
                if Instant::now() > until {
                    return best;
                }
                let Some(smaller) = way(&best.0, at) else { break };
                match fails(&smaller) {
                    Some(failed) => best = (smaller, failed),
                    None => at += 1,
                }
            }
        }
        if format!("{}", best.0) == before {
            return best;
        }
    }
}

/// Leaves out halves, then quarters, then single ones.
fn fewer<T: Clone>(all: &[T], mut at: usize) -> Option<Vec<T>> {
    let mut size = all.len().div_ceil(2);
    while size > 0 {
        let places = all.len().div_ceil(size);
        if at < places {
            let (from, to) = (at * size, ((at + 1) * size).min(all.len()));
            return Some([&all[..from], &all[to..]].concat());
        }
        at -= places;
        if size == 1 {
            return None;
        }
        size = size.div_ceil(2);
    }
    None
}

fn fewer_acts(plan: &Plan, at: usize) -> Option<Plan> {
    Some(Plan { script: fewer(&plan.script, at)?, ..plan.clone() })
}

fn fewer_faults(plan: &Plan, at: usize) -> Option<Plan> {
    Some(Plan { faults: fewer(&plan.faults, at)?, ..plan.clone() })
}

fn fewer_reads(plan: &Plan, at: usize) -> Option<Plan> {
    Some(Plan { reads: fewer(&plan.reads, at)?, ..plan.clone() })
}

fn fewer_pipelines(plan: &Plan, at: usize) -> Option<Plan> {
    let pipelines = fewer(&plan.pipelines, at).filter(|left| !left.is_empty())?;
    Some(Plan { pipelines, ..plan.clone() })
}

fn smaller_pipelines(plan: &Plan, mut at: usize) -> Option<Plan> {
    for (place, piece) in plan.pipelines.iter().enumerate() {
        let smaller = smaller(&piece.document);
        if let Some(document) = smaller.get(at) {
            let mut plan = plan.clone();
            plan.pipelines[place].document = document.clone();
            return Some(plan);
        }
        at -= smaller.len();
    }
    let child = smaller(&plan.child).get(at)?.clone();
    Some(Plan { child, ..plan.clone() })
}

/// The document without one thing.
fn smaller(document: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let steps = document["steps"].as_array().map_or(0, Vec::len);
    for step in (0..steps).rev().filter(|_| steps > 1) {
        let mut without = document.clone();
        let gone = without["steps"].as_array_mut().unwrap().remove(step);
        for other in without["steps"].as_array_mut().unwrap() {
            other["needs"]
                .as_array_mut()
                .into_iter()
                .for_each(|needs| needs.retain(|need| *need != gone["id"]));
        }
        found.push(without);
    }
    for key in keys(document, &["name", "steps", "on_finish"]) {
        let mut without = document.clone();
        without.as_object_mut().unwrap().remove(&key);
        found.push(without);
    }
    for list in ["notify", "on_finish"] {
        for at in 0..document[list].as_array().map_or(0, Vec::len) {
            let mut without = document.clone();
            without[list].as_array_mut().unwrap().remove(at);
            found.push(without);
        }
    }
    for step in 0..steps {
        for gate in 0..document["steps"][step]["gates"].as_array().map_or(0, Vec::len) {
            let mut without = document.clone();
            without["steps"][step]["gates"].as_array_mut().unwrap().remove(gate);
            found.push(without);
        }
        for key in keys(&document["steps"][step], &["id", "needs"]) {
            let mut without = document.clone();
            let left = without["steps"][step].as_object_mut().unwrap();
            left.remove(&key);
            if key == "work" {
                left.remove("foreach");
            }
            found.push(without);
        }
    }
    found
}

fn keys(value: &Value, kept: &[&str]) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(Map::keys);
    keys.filter(|key| !kept.contains(&key.as_str())).cloned().collect()
}
