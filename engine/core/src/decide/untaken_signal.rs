//! Why a run does not take a signal: the reason separates a condition that is false from one that fails on what the signal says.
//!
//! Pure: asked after the signal is recorded, and recorded nowhere. A condition that asks for values which are not at hand
//! is not looked at.

use super::offered_signal::OfferedSignal;
use super::scope::RunScope;
use crate::event::SignalReceived;
use crate::state::{Key, RunState};
use everfold_base::actor::Actor;
use everfold_base::json::JsonText;
use everfold_language::definition::{Routes, Wait, Work};
use everfold_language::expr::{EvalError, Expr, Loaded, Scope};

/// The most of a condition, and of what is wrong with it, that a reason shows.
const SHOWN_CHARS: usize = 300;

/// Why nothing takes a signal now: where each step stands that listens to it, and what its conditions say of it.
#[must_use]
pub fn why_not_taken(state: &RunState, signal: &SignalReceived, by: &Actor) -> String {
    let Some(payload) = signal.payload.text().map(JsonText::value) else {
        return state.why_not_taken(&signal.name, &|_| None);
    };
    let (name, by) = (signal.name.clone(), by.clone());
    let offer = OfferedSignal { version: state.version(), name, payload, by };
    state.why_not_taken(&signal.name, &|at| match at {
        Some(at) => of_step(state, &offer, at),
        None => {
            let (routes, none) = (state.definition().on_signal.get(&offer.name)?, Loaded::NONE);
            of_routes(routes, &offer.scope(RunScope::run(state, &none)))
        }
    })
}

fn of_step(state: &RunState, offer: &OfferedSignal, at: usize) -> Option<String> {
    let step = state.graph.step(at);
    if let Some(Work::Wait(wait)) = &step.work
        && wait.signal.as_deref() == Some(offer.name.as_str())
        && let Some(why) = of_wait(state, offer, at, wait)
    {
        return Some(why);
    }
    let none = Loaded::NONE;
    let scope = offer.scope_of_step(state, &none, at).ok()?;
    of_routes(step.on_signal.get(&offer.name)?, &scope).map(|failed| format!("listens, and {failed}"))
}

fn of_wait(state: &RunState, offer: &OfferedSignal, at: usize, wait: &Wait) -> Option<String> {
    let matches = wait.matches.as_ref()?;
    let none = Loaded::NONE;
    let mut waiting = state.facts.order.waiting.range(Key::step(at)..Key::step(at + 1));
    let scope = RunScope::of(state, &none, *waiting.next()?).with("signal", offer.payload.clone());
    match matches.eval_bool(&scope) {
        Ok(true) | Err(EvalError::Needs(_)) => None,
        Ok(false) => {
            Some(format!("waits for one that fits `match`, and `{}` is false", short(matches.source())))
        }
        Err(EvalError::Failed { message, .. }) => {
            Some(format!("waits for one that fits `match`, and {}", failed(matches, &message)))
        }
    }
}

/// The first condition that fails.
fn of_routes(routes: &Routes, scope: &dyn Scope) -> Option<String> {
    routes.0.iter().filter_map(|route| route.when.as_ref()).find_map(|when| match when.eval_bool(scope) {
        Err(EvalError::Failed { message, .. }) => Some(failed(when, &message)),
        Ok(_) | Err(EvalError::Needs(_)) => None,
    })
}

fn failed(condition: &Expr, message: &str) -> String {
    format!("`{}` cannot be answered for what it says: {}", short(condition.source()), short(message))
}

/// The beginning of a text: a reason is kept with the delivery of its signal.
fn short(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
