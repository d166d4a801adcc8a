//! Decides a run's recorded inputs again, and compares the events with the recorded ones.
//!
//! Law (H5): they are equal for every history that this fold and these rules wrote. Where a fork cut a batch short,
//! the recorded part is compared.

use crate::error::LoadError;
use crate::load::meta;
use crate::replay::decision::decided;
use crate::replay::recorded_inputs::{InputEvents, RecordedInputs, blobs};
use crate::replay::report::{Difference, ReplayError, Replayed};
use crate::replay::verdicts;
use crate::runtime::Runtime;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{JsonText, Payload, Value};
use everfold_base::text::one_line;
use everfold_core::event::{ApprovalRequested, Hearing, QuestionAsked, RunEvent, SlotKind};
use everfold_core::replay_input::input_of;
use everfold_core::state::RunState;
use everfold_language::definition::OnLimit;
use everfold_language::expr::Loaded;

/// Replays a whole run.
pub(crate) async fn replay_with(shared: &Runtime, run: RunId) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed::default();
    let mut state: Option<RunState> = None;
    let mut inputs = RecordedInputs::from(shared, run, Version::FIRST);
    while let Some(input) = inputs.next().await? {
        decide_again(shared, run, &mut state, input, &mut replayed).await?;
    }
    if state.is_none() {
        return Err(LoadError::NotFound(run).into());
    }
    Ok(replayed)
}

/// Decides one input again on the state before it; the state then takes what was recorded.
async fn decide_again(
    shared: &Runtime,
    run: RunId,
    state: &mut Option<RunState>,
    group: InputEvents,
    replayed: &mut Replayed,
) -> Result<(), ReplayError> {
    let version = group.version();
    let meta = meta(&group.first);
    let mut state_now = match (state.take(), group.events.first()) {
        (Some(state), _) => state,
        (None, Some(RunEvent::RunStarted(started))) => {
            let definition = shared.definitions.get(started.definition).await;
            RunState::new(definition.map_err(|source| LoadError::Definition { run, source })?)
        }
        (None, first) => {
            let name = first.map_or("nothing", RunEvent::name);
            let what = "a history begins with RunStarted".into();
            return Err(LoadError::Illegal { run, version, name, what }.into());
        }
    };
    verdicts::again(shared, run, &state_now, (version, &meta), &group.events, replayed).await?;
    let lacking = |what: String| ReplayError::Value { run, version, what };
    let blobs = blobs(shared, run, &group.events[0]).await.map_err(lacking)?;
    shared.loader().go_on_by(run, &mut state_now, &group.events[0]).await?;
    let decided = match input_of(&group.events[0], &meta, &|blob| blobs.get(blob).cloned()) {
        Ok(input) => {
            let batch = decided(shared, run, &mut state_now, &input, &mut Loaded::default()).await?;
            batch.map(|batch| batch.events).map_err(|undecided| undecided.to_string())
        }
        Err(no_input) => Err(no_input.to_string()),
    };
    replayed.inputs += 1;
    replayed.events += group.events.len() as u64;
    let is_equal = decided.as_ref().is_ok_and(|decided| *decided == group.events);
    if !is_equal {
        if let Some(difference) = compare(version, &group.events, decided) {
            replayed.push(difference);
        }
        // The decision has folded other events: the state is taken from the history.
        state_now = shared.loader().fold(run, Some(group.last())).await?.state;
    }
    *state = Some(state_now);
    Ok(())
}

/// The first difference. A recorded batch may be a beginning of the decided one: a fork cut it.
fn compare(
    version: Version,
    recorded: &[RunEvent],
    decided: Result<Vec<RunEvent>, String>,
) -> Option<Difference> {
    let fact = recorded[0].name();
    let decided = match decided {
        Ok(decided) => decided,
        Err(message) => {
            return Some(Difference {
                version,
                fact,
                recorded: Some(recorded[0].clone()),
                decided: None,
                message,
            });
        }
    };
    let differs = |(one, other): (&RunEvent, &RunEvent)| one != other && as_now(one, other) != *other;
    let at = recorded.iter().zip(&decided).position(differs);
    let at = at.or_else(|| (recorded.len() > decided.len()).then_some(decided.len()))?;
    let name = |event: Option<&RunEvent>| event.map_or("nothing", RunEvent::name);
    let message = format!(
        "event {} of the batch: {} is recorded, {} would follow now",
        at + 1,
        name(recorded.get(at)),
        name(decided.get(at)),
    );
    let (recorded, decided) = (recorded.get(at).cloned(), decided.get(at).cloned());
    Some(Difference { version, fact, recorded, decided, message })
}

/// A recorded event as it is recorded now: former versions kept titles as they were rendered, and recorded no output of
/// a run that failed, no reason why a signal led to nothing, no decision of one that ended its run, no gates that were
/// passed over, no states of a question's items, and other words of a poll or budget that was over; forks that hold back what acts
/// outside of them wanted slots of running work.
pub(crate) fn as_now(recorded: &RunEvent, decided: &RunEvent) -> RunEvent {
    if is_former_end_of_poll(recorded, decided) || is_former_hint_of_budget(recorded, decided) {
        return decided.clone();
    }
    let mut event = recorded.clone();
    if let (RunEvent::RunFailed(former), RunEvent::RunFailed(now)) = (&mut event, decided)
        && former.result.is_none()
    {
        former.result.clone_from(&now.result);
    }
    if let (RunEvent::RunQueued(former), RunEvent::RunQueued(now)) = (&mut event, decided) {
        for (former, now) in former.slots.iter_mut().zip(&now.slots) {
            if let (
                SlotKind::Concurrency { on_limit: former @ OnLimit::CancelOldest, .. },
                SlotKind::Concurrency { on_limit: OnLimit::Queue, .. },
            ) = (&mut former.kind, &now.kind)
            {
                *former = OnLimit::Queue;
            }
        }
    }
    if let (RunEvent::SignalTaken(former), RunEvent::SignalTaken(now)) = (&mut event, decided)
        && former.reason.is_none()
        && now.how == Hearing::Ignored
        && matches!(former.how, Hearing::Ignored | Hearing::Now)
    {
        (former.how, former.reason) = (now.how, now.reason.clone());
    }
    if let (RunEvent::SignalTaken(former), RunEvent::SignalTaken(now)) = (&mut event, decided)
        && former.decision.is_none()
        && former.ends == now.ends
    {
        former.decision.clone_from(&now.decision);
    }
    if let (RunEvent::RunUnblocked(former), RunEvent::RunUnblocked(now)) = (&mut event, decided)
        && former.bypassed.is_empty()
    {
        former.bypassed.clone_from(&now.bypassed);
    }
    if let (RunEvent::QuestionAnswered(former), RunEvent::QuestionAnswered(now)) = (&mut event, decided)
        && let (Some(was), Some(is)) = (former.answer.text(), now.answer.text())
        && let (Value::Object(mut was), Value::Object(is)) = (was.value(), is.value())
        && !was.contains_key("states")
        && let Some(states) = is.get("states")
    {
        was.insert("states".to_owned(), states.clone());
        former.answer = Payload::Inline(JsonText::new(&Value::Object(was)));
    }
    if let RunEvent::ApprovalRequested(ApprovalRequested { title, .. })
    | RunEvent::QuestionAsked(QuestionAsked { title, .. }) = &mut event
    {
        *title = one_line(title).into_owned();
    }
    event
}

/// Whether both say the same of a poll that ended without a verdict: former versions did not say that its time was over.
fn is_former_end_of_poll(recorded: &RunEvent, decided: &RunEvent) -> bool {
    const FROM: &str = ", and its time of ";
    const TO: &str = " is over";
    let Ok(mut text) = serde_json::to_string(decided) else { return false };
    let mut is_named = false;
    while let Some((from, to)) = text.find(FROM).and_then(|from| Some((from, from + text[from..].find(TO)?)))
    {
        text.replace_range(from..to + TO.len(), "");
        is_named = true;
    }
    is_named && serde_json::to_string(recorded).is_ok_and(|recorded| recorded == text)
}

/// Whether both say the same of a budget that ended its run or stopped its work: former versions hinted at raising it alone, and
/// at money whatever was used up, without the period and the zone of a scope.
fn is_former_hint_of_budget(recorded: &RunEvent, decided: &RunEvent) -> bool {
    let without_hint = |event: &RunEvent| {
        let mut event = serde_json::to_value(event).ok()?;
        let failure = event.get_mut("failure")?.as_object_mut()?;
        (failure.get("kind")? == "budget").then(|| failure.remove("hint"))?;
        Some(event)
    };
    without_hint(recorded).is_some_and(|recorded| without_hint(decided) == Some(recorded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::failure::{Failure, FailureKind};
    use everfold_base::id::{Attempt, AttemptId, Round, StepPath};
    use everfold_core::event::{AskedBy, FailedResult, QuestionTerms, RunFailed, StepFailed};

    fn asked(title: &str) -> RunEvent {
        let id =
            AttemptId { path: StepPath::step(&"how".into()), round: Round::FIRST, attempt: Attempt::FIRST };
        let terms =
            QuestionTerms { by: AskedBy::Step, options: vec![], items: None, roles: vec![], remind_ms: None };
        RunEvent::QuestionAsked(QuestionAsked { id, title: title.into(), text: None, terms })
    }

    #[test]
    fn row_57_a_title_that_a_former_version_kept_as_it_was_is_no_difference() {
        let of = |recorded: &str, decided: &str| {
            compare(Version::FIRST, &[asked(recorded)], Ok(vec![asked(decided)])).is_some()
        };
        assert!(!of("How\nmuch\u{202e}?", "How much?"));
        assert!(of("How many?", "How much?") && of("How much?", "How\nmuch?"));
    }

    fn failed(message: &str, output: Option<&str>) -> RunEvent {
        let failure = Failure::new(FailureKind::Exit, message);
        let result = output.map(|output| FailedResult {
            output: Payload::Inline(JsonText::new(&output.into())),
            problems: Vec::new(),
        });
        RunFailed { path: None, failure, result }.into()
    }

    #[test]
    fn a_failed_run_of_a_former_version_lacks_an_output_and_nothing_else() {
        let differ = |recorded, decided| compare(Version::FIRST, &[recorded], Ok(vec![decided])).is_some();
        assert!(!differ(failed("no", None), failed("no", Some("a"))));
        assert!(differ(failed("no", None), failed("other", Some("a"))));
        assert!(differ(failed("no", Some("a")), failed("no", Some("b"))));
        assert!(differ(failed("no", Some("a")), failed("no", None)));
    }

    #[test]
    fn another_hint_at_a_budget_that_ended_its_run_is_no_difference() {
        let failed = |kind, message: &str, hint: &str| {
            let failure = Failure::new(kind, message).with_hint(hint);
            RunEvent::from(RunFailed { path: None, failure, result: None })
        };
        let differ = |recorded, decided| compare(Version::FIRST, &[recorded], Ok(vec![decided])).is_some();
        let budget = |message, hint| failed(FailureKind::Budget, message, hint);
        assert!(!differ(budget("used up", "add"), budget("used up", "retry")));
        assert!(differ(budget("used up", "add"), budget("all gone", "add")));
        let error = |hint| failed(FailureKind::Error, "no", hint);
        assert!(differ(error("add"), error("retry")));
        let stopped = |hint: &str| {
            let failure = Failure::new(FailureKind::Budget, "used up").with_hint(hint);
            let (path, round) = (StepPath::step(&"a".into()), Round::FIRST);
            RunEvent::from(StepFailed { path, round, failure, tolerated: false, finish: None, output: None })
        };
        assert!(!differ(stopped("add"), stopped("unblock")));
        let of_tokens = "raise it with `everfold budget RUN --budget words --tokens 100000 -m WHY`";
        assert!(!differ(
            stopped("raise it with `everfold budget RUN --add 2.00 -m WHY`"),
            stopped(of_tokens)
        ));
        let of_scope = "raise the limit of its scope with `everfold budget set SCOPE --cost 500.00`";
        let as_now =
            "raise the limit of its scope with `everfold budget set team --per month --tokens 1000000`";
        assert!(!differ(budget("used up", of_scope), budget("used up", as_now)));
    }
}
