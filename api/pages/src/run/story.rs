//! The run told in sentences.
//!
//! Law: one sentence for each thing that a reader would tell; events that only keep the books are left out, and the
//! page of all events has them.

use serde_json::Value;

use super::event::Event;
use super::items::ItemNames;
use crate::visible::visible;
use crate::words;

/// The most sentences that are told at once.
pub(crate) const SENTENCES_MAX: usize = 200;
/// So many sentences about items of one step in a row are told together.
const FOLDED_MIN: usize = 4;
/// Users' texts are cut here; the event has the whole of them.
const QUOTE_MAX: usize = 400;

/// A sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) version: u64,
    pub(crate) at: String,
    /// Since the run began: `+8.6 s`.
    pub(crate) offset: String,
    /// A word of `words::tone` and `words::glyph`.
    pub(crate) state: &'static str,
    /// Who did it, where it was not the engine.
    pub(crate) who: Option<String>,
    /// The step with its round and try: `develop 2.1`.
    pub(crate) place: Option<String>,
    /// The step or the item, and its round and try where there is one, for its address.
    pub(crate) step: String,
    pub(crate) attempt: Option<String>,
    /// What the item is called.
    pub(crate) item: Option<String>,
    pub(crate) text: String,
    /// What people and programs said.
    pub(crate) quote: String,
    /// A run that it is about.
    pub(crate) run: Option<String>,
    /// What is told together here: of items of one step.
    pub(crate) folded: Vec<Sentence>,
}

impl Sentence {
    /// The step whose item it is about; none where it is about no item.
    fn item_of(&self) -> Option<&str> {
        self.step.split_once('.').filter(|_| self.who.is_none()).map(|(step, _)| step)
    }

    /// Whether the quote stands on lines of its own.
    pub(crate) fn is_long(&self) -> bool {
        self.quote.contains('\n') || self.quote.chars().count() > 100
    }
}

/// What is told of some events, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    pub(crate) sentences: Vec<Sentence>,
    /// There is more before them.
    pub(crate) has_more: bool,
}

/// Tells the newest sentences of these events.
pub(crate) fn story(events: &[Event], started_at: &str, names: &ItemNames) -> Story {
    let mut sentences: Vec<Sentence> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        // A vote that decides is the decision; an item whose work failed says so once.
        let is_news = match event.kind() {
            "VoteCast" => events.get(at + 1).is_some_and(|next| next.kind() == "ApprovalDecided"),
            "StepFailed" => at.checked_sub(1).and_then(|before| events.get(before)).is_some_and(|before| {
                matches!(before.kind(), "AttemptFailed" | "ChildFinished") && is_same_item(event, before)
            }),
            "RunQueued" => events.get(at..).is_some_and(is_admitted_at_once),
            _other => false,
        };
        if !is_news {
            sentences.extend(sentence(event, started_at));
        }
    }
    for one in &mut sentences {
        one.item = names.of_path(&one.step).map(str::to_owned);
    }
    let mut sentences = folded(sentences);
    let has_more = events.first().is_some_and(|first| first.version > 1) || sentences.len() > SENTENCES_MAX;
    let sentences = sentences.split_off(sentences.len().saturating_sub(SENTENCES_MAX));
    Story { sentences, has_more }
}

/// Whether a run got its slots as soon as it asked for them: what a reader would not call a wait.
fn is_admitted_at_once(from_queued: &[Event]) -> bool {
    const NOTICED_FROM_MS: i64 = 1_000;
    let admitted = from_queued.iter().find(|event| event.kind() == "RunAdmitted");
    let Some((queued, admitted)) = from_queued.first().zip(admitted) else { return false };
    let span = words::millis(&queued.recorded_at).zip(words::millis(&admitted.recorded_at));
    admitted.event.get("at_once") == Some(&Value::Bool(true))
        || span.is_some_and(|(from, to)| to - from < NOTICED_FROM_MS)
}

fn is_same_item(one: &Event, other: &Event) -> bool {
    let path = |event: &Event| event.place().filter(super::event::StepPlace::is_item).map(|place| place.path);
    path(one).is_some() && path(one) == path(other)
}

/// Sentences about items of one step that follow each other, joined where there are many.
fn folded(sentences: Vec<Sentence>) -> Vec<Sentence> {
    let mut joined = Vec::new();
    let mut rest = sentences.into_iter().peekable();
    while let Some(first) = rest.next() {
        let Some(step) = first.item_of().map(str::to_owned) else {
            joined.push(first);
            continue;
        };
        let mut group = vec![first];
        while let Some(next) = rest.next_if(|next| next.item_of() == Some(&step)) {
            group.push(next);
        }
        if group.len() < FOLDED_MIN {
            joined.extend(group);
        } else {
            joined.extend(fold(step, group));
        }
    }
    joined
}

/// One sentence of many about items of a step: how often each was so.
fn fold(step: String, group: Vec<Sentence>) -> Option<Sentence> {
    let first = group.first()?;
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for one in &group {
        match counts.iter_mut().find(|(text, _)| *text == one.text) {
            Some((_, count)) => *count += 1,
            None => counts.push((&one.text, 1)),
        }
    }
    let counted: Vec<String> = counts.iter().map(|(text, count)| format!("{text} {count}×")).collect();
    let worst = ["failed", "fail", "blocked", "asking"].into_iter();
    let state =
        worst.clone().find(|state| group.iter().any(|one| one.state == *state)).unwrap_or(first.state);
    Some(Sentence {
        version: first.version,
        at: first.at.clone(),
        offset: first.offset.clone(),
        state,
        place: Some(step.clone()),
        text: format!("items: {}", counted.join(", ")),
        step,
        folded: group,
        ..Sentence::default()
    })
}

fn sentence(event: &Event, started_at: &str) -> Option<Sentence> {
    let place = event.place();
    let is_item = place.as_ref().is_some_and(super::event::StepPlace::is_item);
    let (state, text, quote) = said_of(event, is_item)?;
    let who = (event.actor != "engine" && !event.actor.is_empty() && is_of_people(event.kind()))
        .then(|| event.actor.clone());
    let step = place.as_ref().map(|place| place.path.clone()).unwrap_or_default();
    let attempt = place.as_ref().filter(|place| place.round > 0 && place.attempt > 0);
    let attempt = attempt.map(|place| format!("{}.{}", place.round, place.attempt));
    let run = match event.kind() {
        "ChildStarted" | "ChildFinished" => event.event.get("child").and_then(Value::as_str),
        "RunForked" => event.at("/origin/run").as_str(),
        _ => None,
    };
    Some(Sentence {
        version: event.version,
        at: event.recorded_at.clone(),
        offset: match words::took(started_at, Some(&event.recorded_at)) {
            none if none == "0 ms" => "0".to_owned(),
            took => format!("+{took}"),
        },
        state,
        who,
        place: place.filter(|place| !place.path.starts_with('$')).map(|place| place.words()),
        step,
        attempt,
        text,
        quote: cut(&quote),
        run: run.map(str::to_owned),
        ..Sentence::default()
    })
}

/// Whether somebody did it, and did not only cause it.
fn is_of_people(kind: &str) -> bool {
    matches!(
        kind,
        "RunStarted"
            | "RunForked"
            | "VoteCast"
            | "ApprovalDecided"
            | "AnswerSaved"
            | "QuestionAnswered"
            | "SignalReceived"
            | "RunPaused"
            | "RunResumed"
            | "CancelRequested"
            | "RunAbandoned"
            | "RunUnblocked"
            | "RecheckRequested"
            | "BudgetRaised"
            | "NoteAdded"
            | "BreakpointsSet"
            | "StepCancelRequested"
    )
}

type Line = (&'static str, String, String);

fn said_of(event: &Event, is_item: bool) -> Option<Line> {
    let plain = |state: &'static str, text: &str| Some((state, text.to_owned(), String::new()));
    let quoting =
        |state: &'static str, text: &str, quote: &str| Some((state, text.to_owned(), quote.to_owned()));
    match event.kind() {
        "RunStarted" => {
            quoting("starting", &format!("started {}", event.text("pipeline")), event.text("title"))
        }
        "RunForked" => plain(
            "starting",
            &format!("began it as a {} of", event.at("/origin/how").as_str().unwrap_or("copy")),
        ),
        "RunQueued" => plain("queued", "it waits for a place that other runs hold"),
        "WorkspacePrepared" => workspace(event),
        "RunPaused" if event.event.get("interrupt") == Some(&Value::Bool(true)) => {
            quoting("paused", "interrupted it", event.text("reason"))
        }
        "RunPaused" => quoting("paused", "paused it", event.text("reason")),
        "RunHalted" => quoting("paused", "it stands still with more than itself", event.text("reason")),
        "RunReleased" => plain("running", "it may go on again"),
        "RunResumed" => quoting("running", "resumed it", event.text("reason")),
        "BreakpointHit" => plain("paused", "it pauses at the breakpoint"),
        "BreakpointsSet" => plain("paused", "set breakpoints"),
        "CancelRequested" => quoting("stopping", "asked to cancel it", event.text("reason")),
        "RunAbandoned" => quoting("cancelled", "gave it up", event.text("reason")),
        "SignalReceived" => {
            let payload = event.event.get("payload").filter(|it| !it.is_null()).map(words::json);
            quoting(
                "working",
                &format!("sent the signal {}", event.text("name")),
                &payload.unwrap_or_default(),
            )
        }
        "NoteAdded" => quoting("done", "noted", event.text("text")),
        "BudgetExceeded" => {
            let taken = words::taken(words::is_reserved(&event.event));
            plain("blocked", &format!("a budget is {taken}; paid work waits for it"))
        }
        "BudgetRaised" => {
            quoting("done", &format!("raised the budget {}", event.text("budget")), event.text("reason"))
        }
        "RunSucceeded" => plain("succeeded", "the run succeeded"),
        "RunCancelled" => plain("cancelled", "the run was cancelled"),
        "RunFailed" => quoting("failed", "the run failed", &failure(event)),
        _of_a_step => of_step(event, is_item).or_else(|| of_people(event)),
    }
}

fn of_step(event: &Event, is_item: bool) -> Option<Line> {
    let plain = |state: &'static str, text: &str| Some((state, text.to_owned(), String::new()));
    let quoting =
        |state: &'static str, text: &str, quote: &str| Some((state, text.to_owned(), quote.to_owned()));
    let round = event.place().map_or(0, |place| place.round);
    match event.kind() {
        // A thousand items would tell the same a thousand times.
        "StepScheduled" | "StepSucceeded" | "AttemptSucceeded" | "StepSkipped" | "RetryScheduled"
            if is_item =>
        {
            None
        }
        "StepScheduled" if round > 1 => plain("running", "begins again"),
        "StepScheduled" => plain("running", "begins"),
        "ItemsExpanded" => {
            let count = event.event.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            plain("running", &format!("has {count} {}", if count == 1 { "item" } else { "items" }))
        }
        // What was interrupted is done again, and no try is used up.
        "AttemptFailed" if event.is_interruption() => plain("paused", "was interrupted"),
        "AttemptFailed" => quoting("failed", "failed", &failure(event)),
        "AttemptLost" => quoting("blocked", "was lost", event.text("reason")),
        "RetryScheduled" => plain("waiting", "is tried again"),
        "StepSucceeded" => plain("succeeded", "succeeded"),
        "StepFailed" if is_item => quoting("failed", "failed", &failure(event)),
        "StepFailed" => plain("failed", "failed for good"),
        "StepSkipped" => quoting("skipped", "is skipped", event.text("reason")),
        "StepCancelled" if round == 0 => plain("cancelled", "never began: the run ended before"),
        "StepCancelled" => plain("cancelled", "was ended with the run"),
        "StepBlocked" => quoting("blocked", "is blocked until somebody decides", event.text("message")),
        "GateEvaluated" if event.text("verdict") == "skipped" => None,
        // Before a run begins, only what keeps it from that is worth telling.
        "GateEvaluated" if event.text("verdict") == "pass" && is_of_admission(event) => None,
        "GateEvaluated" => {
            let (state, word) = match (event.text("verdict"), event.event.get("tolerated")) {
                ("pass", _) => ("pass", "passes"),
                ("fail", Some(Value::Bool(true))) => ("blocked", "fails, which is tolerated"),
                ("fail", _) => ("fail", "fails"),
                (_, _) => ("waiting", "does not know yet"),
            };
            quoting(state, &format!("gate {} {word}", event.text("gate")), event.text("reason"))
        }
        "ProbeFailed" => quoting(
            "blocked",
            &format!("gate {} could not be asked", event.text("gate")),
            event.text("message"),
        ),
        "ReworkRequested" => plain("working", &rework(event)),
        "ChildStarted" => plain("running", "started the run"),
        "ChildFinished" if event.at("/failure").is_object() => {
            quoting("failed", "its run failed", &failure(event))
        }
        "ChildFinished" => plain("done", "its run ended"),
        _other => None,
    }
}

fn of_people(event: &Event) -> Option<Line> {
    let quoting =
        |state: &'static str, text: &str, quote: &str| Some((state, text.to_owned(), quote.to_owned()));
    match event.kind() {
        "ApprovalRequested" => quoting("asking", "asks for approval", event.text("title")),
        "QuestionAsked" => quoting("asking", "asks", event.text("title")),
        "VoteCast" => quoting("working", &format!("votes: {}", event.text("vote")), event.text("comment")),
        "ApprovalDecided" => {
            let (state, word) = match event.text("decision") {
                "approve" => ("approved", "approved"),
                "reject" => ("rejected", "rejected"),
                "changes" => ("working", "asked for changes"),
                _other => ("done", "decided"),
            };
            quoting(state, word, event.text("comment"))
        }
        "AnswerSaved" => {
            quoting("working", "saved a part of the answer", &words::answer(event.at("/answer")))
        }
        "QuestionAnswered" => quoting("done", "answered", &words::answer(event.at("/answer"))),
        "RunUnblocked" => {
            let decision = event.at("/unblocked/decision").as_str().unwrap_or("go on");
            quoting(
                "done",
                &format!("decided: {decision}"),
                event.at("/unblocked/reason").as_str().unwrap_or_default(),
            )
        }
        "RecheckRequested" => quoting("working", "has its gates asked again", event.text("reason")),
        "StepCancelRequested" => quoting("stopping", "asked to end it", event.text("reason")),
        _books => None,
    }
}

fn is_of_admission(event: &Event) -> bool {
    event.place().is_some_and(|place| place.path.starts_with('$'))
}

fn workspace(event: &Event) -> Option<Line> {
    let branch = event.at("/workspace/branch").as_str();
    match branch {
        Some(branch) => Some(("done", format!("works on the branch {branch}"), String::new())),
        None => Some(("failed", "its workspace could not be made".to_owned(), failure(event))),
    }
}

fn rework(event: &Event) -> String {
    let by = event.at("/source/gate").as_str();
    let by = by.map(|gate| format!(" by the gate {gate}")).unwrap_or_default();
    let used = event.number("used").unwrap_or(1);
    let of = event.number("max").map(|max| format!(" of {max}")).unwrap_or_default();
    format!("sends the run back to {}{by}, rework {used}{of}", event.text("target"))
}

fn failure(event: &Event) -> String {
    let message = event.at("/failure/message").as_str().unwrap_or_default();
    match event.at("/failure/detail").as_str() {
        Some(detail) if !detail.is_empty() => format!("{message}: {detail}"),
        _ => message.to_owned(),
    }
}

fn cut(text: &str) -> String {
    let text = &*visible(text.trim());
    match text.char_indices().nth(QUOTE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BEGAN: &str = "2026-11-22T15:49:50Z";

    fn event(version: u64, actor: &str, event: Value) -> Event {
        Event { version, recorded_at: "2026-11-22T15:49:54Z".to_owned(), actor: actor.to_owned(), event }
    }

    #[test]
    fn a_vote_that_decides_is_told_once() {
        let id = json!({"path": {"step": "ok", "item": null}, "round": 1, "attempt": 1});
        let story = story(
            &[
                event(1, "user:ada", json!({"type": "RunStarted", "pipeline": "greet", "title": "Hi"})),
                event(2, "engine", json!({"type": "Advanced"})),
                event(3, "user:bo", json!({"type": "VoteCast", "id": id, "vote": "approve"})),
                event(
                    4,
                    "user:bo",
                    json!({"type": "ApprovalDecided", "id": id, "decision": "approve", "comment": "fine"}),
                ),
            ],
            BEGAN,
            &ItemNames::default(),
        );
        let texts: Vec<_> = story
            .sentences
            .iter()
            .map(|it| (it.who.as_deref(), it.text.as_str(), it.quote.as_str()))
            .collect();
        assert_eq!(texts, [(Some("user:ada"), "started greet", "Hi"), (Some("user:bo"), "approved", "fine")]);
        assert!(!story.has_more);
    }

    #[test]
    fn only_the_failures_of_items_are_told() {
        let id = |item: u64| json!({"path": {"step": "each", "item": item}, "round": 1, "attempt": 1});
        let mut events: Vec<Event> = (0..900)
            .map(|item| event(item + 1, "engine", json!({"type": "StepScheduled", "id": id(item)})))
            .collect();
        events.push(event(
            901,
            "engine",
            json!({"type": "AttemptFailed", "id": id(7), "failure": {"message": "exit 1"}}),
        ));
        let story = story(&events, BEGAN, &ItemNames::default());
        assert_eq!(story.sentences.len(), 1);
        assert_eq!(story.sentences[0].place.as_deref(), Some("each.7 1.1"));
    }

    #[test]
    fn items_that_fail_are_told_once_and_many_of_them_together() {
        let path = |item: u64| json!({"step": "each", "item": item});
        let id = |item: u64| json!({"path": path(item), "round": 1, "attempt": 2});
        let failed = |item: u64| {
            [
                json!({"type": "AttemptFailed", "id": id(item), "failure": {"message": "exit 1"}}),
                json!({"type": "StepFailed", "path": path(item), "round": 1, "failure": {"message": "exit 1"}}),
            ]
        };
        let said = |items: u64| {
            let events = (0..items).flat_map(failed).map(|it| event(1, "engine", it)).collect::<Vec<_>>();
            story(&events, BEGAN, &ItemNames::default()).sentences
        };
        assert_eq!(said(2).len(), 2);
        assert_eq!((said(2)[1].step.as_str(), said(2)[1].attempt.as_deref()), ("each.1", Some("1.2")));
        let many = said(40);
        assert_eq!((many.len(), many[0].text.as_str(), many[0].state), (1, "items: failed 40×", "failed"));
        assert_eq!(many[0].folded.len(), 40);
    }

    #[test]
    fn a_child_that_failed_and_an_attempt_that_was_interrupted_are_told_as_such() {
        let id = json!({"path": {"step": "p", "item": null}, "round": 1, "attempt": 1});
        let failure = |kind: &str, message: &str| json!({"kind": kind, "message": message});
        let said = |it: Value| sentence(&event(1, "engine", it), BEGAN).map(|it| (it.state, it.text));
        assert_eq!(
            said(
                json!({"type": "ChildFinished", "id": id, "child": "c", "failure": failure("exit", "exit 1")})
            ),
            Some(("failed", "its run failed".to_owned()))
        );
        assert_eq!(
            said(json!({"type": "AttemptFailed", "id": id, "failure": failure("cancelled", "interrupted")})),
            Some(("paused", "was interrupted".to_owned()))
        );
    }

    /// Every run with a key was said to wait, also where the key was free.
    #[test]
    fn a_run_is_said_to_wait_only_where_it_waited() {
        let told = |admitted: Option<(&str, Value)>| {
            let mut events = vec![event(2, "engine", json!({"type": "RunQueued", "slots": []}))];
            events.extend(admitted.map(|(recorded_at, it)| Event {
                recorded_at: recorded_at.to_owned(),
                ..event(3, "engine", it)
            }));
            !story(&events, BEGAN, &ItemNames::default()).sentences.is_empty()
        };
        let admitted = |at_once: bool| json!({"type": "RunAdmitted", "admission": [], "at_once": at_once});
        assert!(!told(Some(("2026-11-22T15:49:54Z", admitted(true)))));
        assert!(!told(Some(("2026-11-22T15:49:54.5Z", admitted(false)))), "a retry asks anew");
        assert!(told(Some(("2026-11-22T15:49:59Z", admitted(false)))));
        assert!(told(None), "it waits still");
    }

    #[test]
    fn a_step_that_never_began_was_not_ended() {
        let cancelled = |round: u32| {
            let path = json!({"step": "b", "item": null});
            let it = json!({"type": "StepCancelled", "path": path, "round": round});
            sentence(&event(1, "engine", it), BEGAN).map(|it| it.text)
        };
        assert_eq!(cancelled(0).as_deref(), Some("never began: the run ended before"));
        assert_eq!(cancelled(1).as_deref(), Some("was ended with the run"));
    }

    #[test]
    fn a_rework_says_where_it_leads_and_how_often() {
        let sentence = sentence(&event(9, "engine", json!({
            "type": "ReworkRequested", "target": "develop", "used": 1, "max": 3,
            "source": {"by": null, "gate": "tests", "id": {"path": {"step": "test", "item": null}, "round": 1, "attempt": 1}},
        })), BEGAN).unwrap();
        assert_eq!(sentence.text, "sends the run back to develop by the gate tests, rework 1 of 3");
        assert_eq!(sentence.place.as_deref(), Some("test 1.1"));
    }
}
