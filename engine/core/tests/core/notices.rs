//! Notices: which event queues which notice, in which order, and that nothing else depends on it.

use everfold_base::id::Version;
use everfold_core::effect::Effect;
use everfold_core::event::{NoteAdded, NoticeFailed, NoticeSent, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::{NOTICES_MAX, RunStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::{World, definition};

fn function(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "function", "spec": {"name": "f"}}}})
}

fn notice(id: &str, events: &[&str], more: Value) -> Value {
    let mut notice = json!({"id": id, "events": events, "function": "notify.log"});
    let fields = notice.as_object_mut().expect("a notice");
    fields.extend(more.as_object().expect("fields").clone());
    notice
}

fn run(notify: Value) -> World {
    let steps = json!([function("a", &[]), function("b", &["a"])]);
    World::start(definition(json!({"name": "p", "notify": notify, "steps": steps})), json!({"n": 1}))
}

/// The notices that may be sent now, as `CHANNEL NOTICE VERSION`.
fn listed(world: &World) -> Vec<String> {
    let of = |effect| match effect {
        Effect::Notice { channel, version, notice } => Some(format!("{channel} {notice} {version}")),
        _other => None,
    };
    world.effects().into_iter().filter_map(of).collect()
}

fn notice_finished(world: &mut World, version: u64, notice: &str, failure: Option<&str>) -> Vec<RunEvent> {
    let (version, notice, tries) = (Version(version), notice.to_owned(), 1);
    let kind = match failure.map(ToOwned::to_owned) {
        None => InputKind::NoticeSent(NoticeSent { version, notice, tries, reason: None }),
        Some(message) => InputKind::NoticeFailed(NoticeFailed { version, notice, tries, message }),
    };
    world.give(kind).expect("reports are never refused")
}

/// Reports the end of the first notice of a channel.
fn finish_first_notice(world: &mut World, failure: Option<&str>) -> Vec<RunEvent> {
    let first = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Notice { version, notice, .. } => Some((version, notice)),
        _other => None,
    });
    let (version, notice) = first.expect("a notice to send");
    notice_finished(world, version.0, &notice, failure)
}

/// What a queued notice says.
fn said(events: &[RunEvent]) -> Vec<Value> {
    let of = |event: &RunEvent| match event {
        RunEvent::NoticeQueued(queued) => {
            Some(serde_json::to_value(&queued.with).expect("a payload is JSON"))
        }
        _other => None,
    };
    events.iter().filter_map(of).collect()
}

fn failures(events: &[RunEvent]) -> Vec<String> {
    let of = |event: &RunEvent| match event {
        RunEvent::NoticeFailed(failed) => Some(failed.message.clone()),
        _other => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn l32_a_notice_stands_in_the_batch_of_its_event_after_everything_else() {
    let mut world = run(json!([notice(
        "steps",
        &["StepSucceeded"],
        json!({"with": {
            "text": "${event.path.step} of ${run.pipeline}, n = ${input.n}, by ${actor}",
            "event": "${event.type} ${event.version} at ${event.at}",
        }, "as": "bot"})
    )]));
    let batch = world.succeed("a/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "StepScheduled", "NoticeQueued"]);
    let event = format!("StepSucceeded 4 at {}", world.now);
    let text = "a of p, n = 1, by engine";
    assert_eq!(said(&batch), [json!({"with": {"text": text, "event": event}, "as": "bot"})]);
    let RunEvent::NoticeQueued(queued) = &batch[3] else { panic!("{batch:?}") };
    assert_eq!((queued.version, queued.channel.as_str()), (Version(4), "notice/steps"));
    assert_eq!(listed(&world), ["notice/steps steps 4"]);
}

#[test]
fn l32_when_looks_at_the_event_the_actor_and_the_run() {
    let mut world = run(json!([
        notice("late", &["NoteAdded"], json!({"when": "event.text == 'late' && actor == 'user:ada'"})),
        notice("never", &["NoteAdded"], json!({"when": "run.status == 'failed'"})),
    ]));
    assert!(
        !names(&world.by("ada", InputKind::Note(NoteAdded { text: "early".into() })).unwrap())
            .contains(&"NoticeQueued")
    );
    assert!(
        !names(&world.by("bob", InputKind::Note(NoteAdded { text: "late".into() })).unwrap())
            .contains(&"NoticeQueued")
    );
    let batch = world.by("ada", InputKind::Note(NoteAdded { text: "late".into() })).unwrap();
    assert_eq!(names(&batch), ["NoteAdded", "NoticeQueued"]);
}

#[test]
fn l32_the_star_stands_for_all_events_but_those_of_notices() {
    let mut world = run(json!([notice("all", &["*"], json!({}))]));
    assert_eq!(world.names(), ["RunStarted", "StepScheduled", "NoticeQueued", "NoticeQueued"]);
    assert_eq!(names(&notice_finished(&mut world, 1, "all", None)), ["NoticeSent"]);
    assert_eq!(names(&notice_finished(&mut world, 2, "all", Some("nobody there"))), ["NoticeFailed"]);
    assert_eq!(listed(&world), Vec::<String>::new());
}

#[test]
fn l32_notices_of_one_channel_go_in_order_and_channels_do_not_wait_for_each_other() {
    let mut world = run(json!([
        notice("x", &["StepScheduled", "StepSucceeded"], json!({"channel": "chat"})),
        notice("y", &["StepSucceeded"], json!({"channel": "chat"})),
        notice("z", &["StepSucceeded"], json!({"channel": "mail-${event.path.step}"})),
    ]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(listed(&world), ["chat x 2", "mail-a z 5"]);
    notice_finished(&mut world, 2, "x", None);
    assert_eq!(listed(&world), ["chat x 5", "mail-a z 5"]);
    notice_finished(&mut world, 5, "x", Some("no"));
    assert_eq!(listed(&world), ["chat y 5", "mail-a z 5"]);
}

#[test]
fn l32_notices_go_also_after_the_end_and_never_change_the_run() {
    let mut world = run(json!([notice("end", &["RunSucceeded", "NoteAdded"], json!({}))]));
    world.succeed("a/1/1", json!(1));
    let batch = world.succeed("b/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "RunSucceeded", "NoticeQueued"]);
    assert!(world.state.note().busy && !world.state.note().open, "a start sends what is outstanding");
    world
        .by("ada", InputKind::Note(NoteAdded { text: "well done".into() }))
        .expect("notes are taken after the end");
    assert_eq!(listed(&world), ["notice/end end 8"]);
    finish_first_notice(&mut world, Some("nobody there"));
    finish_first_notice(&mut world, None);
    assert_eq!((listed(&world).len(), world.state.status()), (0, RunStatus::Succeeded));
    assert!(!world.state.note().busy);
    world.check_fold();
}

#[test]
fn l32_a_report_that_comes_twice_or_for_nothing_changes_nothing() {
    let mut world = run(json!([notice("start", &["RunStarted"], json!({}))]));
    assert_eq!(names(&notice_finished(&mut world, 1, "start", None)), ["NoticeSent"]);
    assert!(notice_finished(&mut world, 1, "start", Some("late")).is_empty());
    assert!(notice_finished(&mut world, 9, "start", None).is_empty());
}

#[test]
fn l32_collapse_leaves_only_the_newest_unsent_of_a_notice() {
    let mut world = run(json!([
        notice("last", &["StepScheduled", "StepSucceeded"], json!({"collapse": true, "channel": "c"})),
        notice("each", &["StepScheduled"], json!({"channel": "c"})),
    ]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(listed(&world), ["c each 2"]);
    notice_finished(&mut world, 2, "each", None);
    assert_eq!(listed(&world), ["c last 7"], "the newest, of the second step's schedule");
}

#[test]
fn l32_changes_only_passes_over_what_says_the_same_as_the_last() {
    let with = json!({"changes_only": true, "with": "${event.text}"});
    let mut world = run(json!([notice("notes", &["NoteAdded"], with)]));
    let note = |world: &mut World, text: &str| {
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: text.into() })).unwrap();
        names(&batch).contains(&"NoticeQueued")
    };
    assert!(note(&mut world, "red"));
    assert!(!note(&mut world, "red"), "the same is on its way");
    finish_first_notice(&mut world, None);
    assert!(!note(&mut world, "red"), "the same was sent");
    assert!(note(&mut world, "green"));
    finish_first_notice(&mut world, Some("nobody there"));
    assert!(!note(&mut world, "red"), "what was sent last still says so");
    assert!(note(&mut world, "green"), "that was never sent");
    world.check_fold();
}

#[test]
fn l32_a_notice_that_cannot_be_rendered_is_recorded_as_failed() {
    let mut world = run(json!([
        notice("broken", &["StepSucceeded"], json!({"when": "event.nothing == 1"})),
        notice("long", &["StepSucceeded"], json!({"channel": "C".repeat(300)})),
        notice("fine", &["StepSucceeded"], json!({})),
    ]));
    let batch = world.succeed("a/1/1", json!(1));
    let failures = failures(&batch);
    assert!(failures[0].contains("nothing"), "{failures:?}");
    assert_eq!(listed(&world), ["notice/fine fine 4"]);
    assert_eq!(world.state.status(), RunStatus::Running);
}

#[test]
fn o174_a_parameter_that_cannot_be_computed_is_that_of_the_fallback_and_the_event_says_why() {
    let with = json!({"url": "u", "html": "${event.text} of ${event.nothing.at.all}", "~/": "${event.text}"});
    let own = |fallback: Value| {
        run(json!([notice("n", &["NoteAdded"], json!({"with": with, "fallback": fallback, "as": "bot"}))]))
    };
    let mut world = own(json!({"html": "<b>${event.text}</b>"}));
    let batch = world.by("ada", InputKind::Note(NoteAdded { text: "done".into() })).unwrap();
    assert_eq!(names(&batch), ["NoteAdded", "NoticeQueued"]);
    let html = "<b>done</b>";
    assert_eq!(said(&batch), [json!({"with": {"url": "u", "html": html, "~/": "done"}, "as": "bot"})]);
    let RunEvent::NoticeQueued(queued) = &batch[1] else { panic!("{batch:?}") };
    let why = queued.fallback.as_deref().expect("a reason");
    assert!(why.starts_with("html: ") && why.contains("nothing"), "{why}");

    // One that takes the place of another, too.
    let more = json!({"with": with, "fallback": {"html": "x"}, "collapse": true});
    let mut world = run(json!([notice("n", &["NoteAdded"], more)]));
    for replaces in [false, true] {
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: "done".into() })).unwrap();
        let RunEvent::NoticeQueued(queued) = &batch[1] else { panic!("{batch:?}") };
        assert_eq!((queued.replaces, queued.fallback.is_some()), (replaces, true));
    }

    // A fallback that cannot be computed either, and one of another parameter, help nobody.
    for fallback in [json!({"html": "${event.nothing.at.all}"}), json!({"url": "v"})] {
        let mut world = own(fallback);
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: "done".into() })).unwrap();
        assert_eq!(names(&batch), ["NoteAdded", "NoticeFailed"]);
        assert!(failures(&batch)[0].contains("nothing"));
    }
}

#[test]
fn o174_secrets_beside_a_fallback_stay_hidden_and_one_that_is_not_needed_leaves_no_trace() {
    let said_with = |html: &str| {
        let with = json!({"a/b": {"token": "Bearer ${secrets.T}"}, "html": html});
        let more = json!({"with": with, "fallback": {"html": "ready"}});
        let mut world = run(json!([notice("n", &["NoteAdded"], more)]));
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: "done".into() })).unwrap();
        let RunEvent::NoticeQueued(queued) = &batch[1] else { panic!("{batch:?}") };
        (serde_json::to_value(&queued.with).unwrap(), queued.clone())
    };
    let (with, queued) = said_with("${event.nothing.x}");
    let hidden = json!([{"at": "/a~1b/token", "of": ["Bearer ", {"secret": "T"}]}]);
    assert_eq!(with["with"], json!({"a/b": {"token": "Bearer ***"}, "html": "ready"}));
    assert!(with.as_object().unwrap().values().any(|value| *value == hidden), "{with}");
    assert!(queued.fallback.is_some());
    let (with, queued) = said_with("${event.text}");
    assert_eq!(with["with"]["html"], "done");
    assert!(queued.fallback.is_none());
    assert!(!serde_json::to_string(&queued).unwrap().contains("fallback"));
}

#[test]
fn l32_large_values_of_the_state_are_loaded_before_the_batch_begins() {
    let large = "x".repeat(50_000);
    let mut world = run(json!([
        notice("old", &["NoteAdded"], json!({"with": "${size(steps.a.output)}"})),
        notice("new", &["StepSucceeded"], json!({"with": "${size(toJson(steps.a.output))}"})),
    ]));
    let batch = world.succeed("a/1/1", json!(large));
    assert_eq!(failures(&batch), Vec::<String>::new());
    assert_eq!(said(&batch), [json!({"with": 50_002, "as": null})], "the batch's own value");
    assert!(world.state.snapshot().len() < 5_000);
    let batch = world.by("ada", InputKind::Note(NoteAdded { text: "n".into() })).unwrap();
    assert_eq!(said(&batch), [json!({"with": 50_000, "as": null})]);
}

#[test]
fn l32_no_more_than_a_thousand_are_outstanding() {
    let mut world = run(json!([
        notice("all", &["NoteAdded"], json!({})),
        notice("last", &["NoteAdded"], json!({"collapse": true})),
    ]));
    for at in 0..NOTICES_MAX - 1 {
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: at.to_string() })).unwrap();
        assert_eq!(failures(&batch), Vec::<String>::new(), "{at}");
    }
    assert_eq!(world.state.notices_outstanding(), NOTICES_MAX);
    let batch = world.by("ada", InputKind::Note(NoteAdded { text: "one more".into() })).unwrap();
    let failures = failures(&batch);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with("too many"), "{failures:?}");
    assert_eq!(world.state.notices_outstanding(), NOTICES_MAX, "the newest of `last` took its older's place");
}

#[test]
fn l32_a_notice_is_known_by_its_version_and_id_so_each_event_has_its_own() {
    let mut world = run(json!([
        notice("x", &["StepSucceeded"], json!({"with": "${event.version}"})),
        notice("y", &["StepSucceeded"], json!({"with": "${event.version}"})),
    ]));
    let mut keys = Vec::new();
    for step in ["a/1/1", "b/1/1"] {
        for event in world.succeed(step, json!(1)) {
            if let RunEvent::NoticeQueued(queued) = event {
                assert_eq!(
                    serde_json::to_value(&queued.with).expect("JSON")["with"],
                    json!(queued.version.0),
                    "it tells of the event that it is known by"
                );
                keys.push((queued.version, queued.notice));
            }
        }
    }
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!((all, keys.len()), (4, 4), "{keys:?}");
    // What was sent of one event says nothing of another.
    finish_first_notice(&mut world, None);
    assert_eq!(world.state.notices_outstanding(), 3);
}

#[test]
fn l32_without_changes_only_the_same_is_told_again() {
    let mut world = run(json!([notice("notes", &["NoteAdded"], json!({"with": "the same"}))]));
    for _ in 0..2 {
        let batch = world.by("ada", InputKind::Note(NoteAdded { text: "n".into() })).unwrap();
        assert!(names(&batch).contains(&"NoticeQueued"));
    }
    assert_eq!(world.state.notices_outstanding(), 2, "and without collapse each goes");
}

/// Says a word, and whether it is on its way to `channel`.
fn says(world: &mut World, text: &str) -> Vec<String> {
    let batch = world.by("ada", InputKind::Note(NoteAdded { text: text.into() })).expect("a note is taken");
    let queued = batch.into_iter().filter_map(|event| match event {
        RunEvent::NoticeQueued(queued) => Some(format!("{} {}", queued.channel, queued.notice)),
        _other => None,
    });
    queued.collect()
}

#[test]
fn row_31_what_a_channel_said_last_counts_whichever_notice_said_it() {
    let on = |id: &str, channel: &str| {
        let when = format!("event.text.startsWith('{id}')");
        let with = json!({"state": id});
        notice(
            id,
            &["NoteAdded"],
            json!({"changes_only": true, "channel": channel, "when": when, "with": with}),
        )
    };
    let own = notice(
        "own",
        &["NoteAdded"],
        json!({"changes_only": true, "channel": "${event.text}", "when": "event.text.startsWith('to-')"}),
    );
    let mut world = run(json!([on("blocked", "card"), on("works", "card"), own]));
    assert_eq!(says(&mut world, "blocked"), ["card blocked"]);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "works"), ["card works"]);
    assert_eq!(says(&mut world, "works again"), Vec::<String>::new(), "the same is on its way");
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "blocked"), ["card blocked"], "the card says that it works");
    assert_eq!(says(&mut world, "works"), ["card works"], "and will say that it is blocked");
    finish_first_notice(&mut world, None);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "works"), Vec::<String>::new());
    // The same words in another place are news there.
    assert_eq!(says(&mut world, "to-ada"), ["to-ada own"]);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "to-bob"), ["to-bob own"]);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "to-ada"), Vec::<String>::new());
    world.check_fold();
}

#[test]
fn row_31_what_another_function_said_in_the_channel_is_not_the_same() {
    let of = |id: &str, function: &str| {
        let mut one =
            notice(id, &["NoteAdded"], json!({"changes_only": true, "channel": "c", "with": "done"}));
        one["function"] = json!(function);
        one["when"] = json!(format!("event.text == '{id}'"));
        one
    };
    let mut world = run(json!([of("chat", "notify.slack"), of("mail", "notify.email")]));
    assert_eq!(says(&mut world, "chat"), ["c chat"]);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "mail"), ["c mail"]);
}

#[test]
fn row_31_channels_that_are_remembered_are_bounded() {
    let with = json!({"changes_only": true, "channel": "${event.text}", "with": "the same"});
    let mut world = run(json!([notice("all", &["NoteAdded"], with)]));
    for n in 0..300 {
        says(&mut world, &format!("c{n}"));
        finish_first_notice(&mut world, None);
    }
    assert_eq!(says(&mut world, "c299"), Vec::<String>::new());
    assert_eq!(says(&mut world, "c0"), ["c0 all"], "forgotten, so it is said once more");
    assert!(world.state.snapshot().len() < 64 * 1024, "{}", world.state.snapshot().len());
    world.check_fold();
}

#[test]
fn row_32_an_overtaken_notice_is_no_failure_and_no_fact_of_its_own() {
    let mut world = run(json!([notice("board", &["*"], json!({"collapse": true, "channel": "card"}))]));
    world.succeed("a/1/1", json!(1));
    world.succeed("b/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let names = world.names();
    let of_notices: Vec<_> = names.iter().filter(|name| name.starts_with("Notice")).collect();
    // Three inputs, of which each queued notices of two to three events.
    assert!(of_notices.len() == 3 && of_notices.iter().all(|name| **name == "NoticeQueued"), "{names:?}");
    assert_eq!(listed(&world), ["card board 10"], "the newest of all");
    assert_eq!(names[9], "RunSucceeded", "{names:?}");
    assert!(
        notice_finished(&mut world, 2, "board", None).is_empty(),
        "what was overtaken on its way changes nothing"
    );
    finish_first_notice(&mut world, None);
    assert!(listed(&world).is_empty() && !world.state.note().busy);
    world.check_fold();
}

#[test]
fn row_32_of_one_batch_only_what_would_go_is_a_fact() {
    let notify = json!([
        notice("newest", &["*"], json!({"collapse": true, "channel": "all", "with": "${event.type}"})),
        notice("state", &["*"], json!({"changes_only": true, "channel": "b", "with": "${run.status}"})),
        notice(
            "items",
            &["StepSucceeded", "StepScheduled"],
            json!({
                "collapse": true, "channel": "${event.?path.?step.orValue('none')}",
            })
        ),
    ]);
    let mut world = run(notify);
    let batch = world.succeed("a/1/1", json!(1));
    let queued: Vec<String> = batch
        .iter()
        .filter_map(|event| match event {
            RunEvent::NoticeQueued(queued) => Some(format!("{} {}", queued.channel, queued.version)),
            _other => None,
        })
        .collect();
    // `run.status` did not change, and each channel of `items` has a newest one of its own.
    let after = world.state.version().0;
    assert_eq!(queued.len(), 3, "{queued:?} of {after}");
    assert_eq!(queued.iter().filter(|one| one.starts_with("all ")).count(), 1, "{queued:?}");
    assert!(queued.iter().any(|one| one.starts_with("none ")), "{queued:?}");
    world.check_fold();
}

#[test]
fn row_31_after_one_was_overtaken_on_its_way_the_last_word_is_said_again() {
    let with = json!({"changes_only": true, "collapse": true, "channel": "c", "with": "${event.text}"});
    let mut world = run(json!([notice("state", &["NoteAdded"], with)]));
    assert_eq!(says(&mut world, "red").len(), 1);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "green").len(), 1);
    // It may be on its way already, so what was said before it must be said again.
    assert_eq!(says(&mut world, "red").len(), 1);
    assert_eq!(world.state.notices_outstanding(), 1);
    finish_first_notice(&mut world, None);
    assert_eq!(says(&mut world, "red").len(), 0);
    world.check_fold();
}
