use std::collections::BTreeMap;

use super::*;
use crate::run::attempt::ended_attempt::EndedAttempt;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_core::event::AttemptHolder;
use everfold_ports::RecordReceipt;

const LISTED: StateView = StateView { lists_it: true, is_durable: true };
const UNLISTED: StateView = StateView { lists_it: false, is_durable: true };
const AHEAD: StateView = StateView { lists_it: true, is_durable: false };
const SUPERVISED: WorkFacts = WorkFacts { is_supervised: true, is_idempotent: true };
const IDEMPOTENT: WorkFacts = WorkFacts { is_supervised: false, is_idempotent: true };
const ONCE: WorkFacts = WorkFacts { is_supervised: false, is_idempotent: false };

fn stop_listed(awaits_funds: bool, may_be_left: bool, superseded: Superseded) -> Event {
    Event::StopListed(StopFacts { awaits_funds, may_be_left, superseded })
}

fn launching(is_supervised: bool, is_recorded: bool, is_to_stop: bool) -> Phase {
    Phase::Launching(Launching { is_supervised, is_recorded, is_to_stop })
}

fn running(is_supervised: bool, is_recorded: bool, is_stopping: bool) -> Phase {
    Phase::Running(Running { is_supervised, is_recorded, is_stopping })
}

/// Every phase, each with a short name.
fn phases() -> Vec<(&'static str, Phase)> {
    let held_back = |is_recorded, has_place| Phase::HeldBack { is_recorded, has_place };
    vec![
        ("absent", Phase::Absent),
        ("queued", Phase::Queued),
        ("plan:place", Phase::Planning(Purpose::Place)),
        ("plan:start", Phase::Planning(Purpose::Start)),
        ("plan:recheck", Phase::Planning(Purpose::Recheck { is_recorded: false })),
        ("plan:recheck+recorded", Phase::Planning(Purpose::Recheck { is_recorded: true })),
        ("plan:reattach", Phase::Planning(Purpose::Reattach)),
        ("plan:stop", Phase::Planning(Purpose::Stop)),
        ("waiting", Phase::Waiting),
        ("recording", Phase::Recording { is_supervised: false }),
        ("recording+supervised", Phase::Recording { is_supervised: true }),
        ("launching", launching(false, false, false)),
        ("launching+recorded", launching(false, true, false)),
        ("launching+supervised", launching(true, false, false)),
        ("launching+supervised+recorded", launching(true, true, false)),
        ("launching+supervised+recorded+to_stop", launching(true, true, true)),
        ("running", running(false, false, false)),
        ("running+recorded", running(false, true, false)),
        ("running+stopping", running(false, false, true)),
        ("running+recorded+stopping", running(false, true, true)),
        ("running+supervised", running(true, false, false)),
        ("running+supervised+recorded", running(true, true, false)),
        ("running+supervised+stopping", running(true, false, true)),
        ("running+supervised+recorded+stopping", running(true, true, true)),
        ("held_back", held_back(false, false)),
        ("held_back+recorded", held_back(true, false)),
        ("held_back+place", held_back(false, true)),
        ("held_back+recorded+place", held_back(true, true)),
        ("unreadable", Phase::Unreadable { has_place: false }),
        ("unreadable+place", Phase::Unreadable { has_place: true }),
        ("reported", Phase::Reported),
    ]
}

/// Every event with all facts that a phase tells apart, each with a short name.
fn events() -> Vec<(&'static str, Event)> {
    let ended = |result| Box::new(EndedAttempt { result, ..EndedAttempt::failed(cancelled(), Timestamp(7)) });
    let failure = Failure::new(everfold_base::failure::FailureKind::Spawn, "no");
    let holder = AttemptHolder { worker: "token:ci".to_owned(), instance: None, lease: Hash::of(b"lease") };
    let taken = (holder, RecordReceipt::new().0);
    vec![
        ("listed", Event::Listed { is_recorded: false }),
        ("listed:recorded", Event::Listed { is_recorded: true }),
        ("reserved", Event::Reserved),
        ("stop:none", stop_listed(false, false, Superseded::No)),
        ("stop:funds", stop_listed(true, false, Superseded::No)),
        ("stop:left", stop_listed(false, true, Superseded::No)),
        ("stop:in_process", stop_listed(false, false, Superseded::InProcess)),
        ("stop:left+in_process", stop_listed(false, true, Superseded::InProcess)),
        ("stop:supervised", stop_listed(false, false, Superseded::Supervised)),
        ("stop:left+supervised", stop_listed(false, true, Superseded::Supervised)),
        ("turn", Event::TurnCame(LISTED)),
        ("turn:unlisted", Event::TurnCame(UNLISTED)),
        ("turn:ahead", Event::TurnCame(AHEAD)),
        ("resumed", Event::PlanResumed(LISTED)),
        ("resumed:unlisted", Event::PlanResumed(UNLISTED)),
        ("resumed:ahead", Event::PlanResumed(AHEAD)),
        ("values_unreadable", Event::ValuesUnreadable),
        ("planned:supervised", Event::Planned { needs_funds: false, work: SUPERVISED }),
        ("planned:idempotent", Event::Planned { needs_funds: false, work: IDEMPOTENT }),
        ("planned:once", Event::Planned { needs_funds: false, work: ONCE }),
        ("planned:funds", Event::Planned { needs_funds: true, work: ONCE }),
        ("plan_failed", Event::PlanFailed(failure.clone())),
        ("plan_aborted", Event::PlanAborted),
        ("granted_at_once:supervised", Event::GrantedAtOnce(SUPERVISED)),
        ("granted_at_once:idempotent", Event::GrantedAtOnce(IDEMPOTENT)),
        ("granted_at_once:once", Event::GrantedAtOnce(ONCE)),
        ("granted", Event::Granted(LISTED)),
        ("granted:unlisted", Event::Granted(UNLISTED)),
        ("granted:ahead", Event::Granted(AHEAD)),
        ("launched", Event::Launched),
        ("launch_failed", Event::LaunchFailed(failure.clone())),
        ("began", Event::Began(AttemptBegin::default())),
        ("taken", Event::Began(AttemptBegin { at: None, taken: Some(taken) })),
        ("used", Event::Used(Vec::new())),
        ("ended", Event::Ended(ended(Ok(Err(failure))))),
        ("ended:lost", Event::Ended(ended(Err("gone".into())))),
        ("no_room", Event::HeldBack("full".into())),
        ("damaged", Event::Unreadable("torn".into())),
        ("stopped", Event::Stopped),
        ("withdrawn", Event::OfferWithdrawn),
        ("pause_over", Event::PauseOver(LISTED)),
        ("pause_over:unlisted", Event::PauseOver(UNLISTED)),
        ("pause_over:ahead", Event::PauseOver(AHEAD)),
        ("end_decided", Event::EndDecided),
        ("abandoned", Event::Abandoned),
    ]
}

fn name_of(phase: Phase) -> &'static str {
    phases().into_iter().find(|(_, known)| *known == phase).expect("every phase has a name").0
}

fn action_name(action: &Action) -> String {
    match action {
        Action::Launch { is_reattached: false } => "start".into(),
        Action::Launch { is_reattached: true } => "reattach".into(),
        Action::RecordStart(_) => "record_start".into(),
        Action::RecordUsage(_) => "record_usage".into(),
        Action::RetryLater(_) => "retry_later".into(),
        Action::Quarantine(_) => "quarantine".into(),
        Action::Report(ended) if ended.result.is_err() => "report_lost".into(),
        Action::Report(ended) if ended.result == Ok(Err(cancelled())) => "cancelled".into(),
        Action::Report(_) => "report".into(),
        // But for work of a worker that was interrupted.
        Action::ReportStopped(ended) if ended.clone().after_stop().result == Ok(Err(cancelled())) => {
            "cancelled".into()
        }
        Action::ReportStopped(_) => "report".into(),
        Action::ReportFailure(failure) if *failure == cancelled() => "cancelled".into(),
        Action::ReportFailure(_) => "fail".into(),
        plain => {
            let words = format!("{plain:?}");
            let parts = words.chars().flat_map(|letter| {
                let gap = letter.is_uppercase().then_some('_');
                gap.into_iter().chain(letter.to_lowercase())
            });
            parts.collect::<String>().trim_start_matches('_').to_owned()
        }
    }
}

/// Phases, events, the phase that follows (`=`: the same), actions. `name*` stands for all names that begin so. A pair
/// that is not here changes nothing.
const TABLE: &str = "
# It is listed, and waits for its turn.
absent | listed | queued | enqueue
absent | listed:recorded | plan:reattach | plan
queued | turn | plan:place | plan
queued | turn:ahead | plan:place | plan_when_durable
queued | turn:unlisted | absent |

# It is planned.
plan:place | planned:supervised, planned:idempotent, planned:once | waiting | ask_for_place
plan:place | planned:funds | absent | ask_for_funds
plan:start | planned:supervised | launching+supervised | start
plan:start | planned:idempotent | launching | start
plan:start | planned:once, planned:funds | recording | record_start
plan:recheck | planned:supervised | launching+supervised | start
plan:recheck | planned:idempotent, planned:once, planned:funds | launching | start
plan:recheck+recorded | planned:supervised | launching+supervised+recorded | reattach
plan:recheck+recorded | planned:idempotent, planned:once, planned:funds | launching+recorded | reattach
plan:reattach | planned:supervised | launching+supervised+recorded | seize_place, reattach
plan:reattach | planned:idempotent, planned:once, planned:funds | launching+recorded | seize_place, reattach
plan:stop | planned:supervised | launching+supervised+recorded+to_stop | seize_place, reattach
plan:stop | planned:idempotent, planned:once, planned:funds | reported | cancelled
plan:* | plan_failed | reported | fail
plan:* | plan_aborted, values_unreadable | absent |
plan:place, plan:reattach, plan:stop | resumed* | absent | list_again
plan:start, plan:recheck* | resumed | plan:start | plan
plan:start, plan:recheck* | resumed:ahead | plan:start | plan_when_durable
plan:start, plan:recheck* | resumed:unlisted | absent |

# It has a place.
waiting | granted_at_once:supervised | launching+supervised | start
waiting | granted_at_once:idempotent | launching | start
waiting | granted_at_once:once | recording | record_start
waiting | granted | plan:start | plan
waiting | granted:ahead | plan:start | plan_when_durable
waiting | granted:unlisted | absent |
recording | listed:recorded | launching+recorded | start
absent | reserved | recording+supervised |
recording+supervised | listed:recorded | launching+supervised+recorded | start

# Its executor is called.
launching | launched | running |
launching+recorded | launched | running+recorded |
launching+supervised | launched | running+supervised |
launching+supervised+recorded | launched | running+supervised+recorded |
launching+supervised+recorded+to_stop | launched | running+supervised+recorded+stopping | stop
launching* | launch_failed | reported | fail
launching* | ended | reported | report
launching* | ended:lost | reported | report_lost

# It is in progress.
running, running+stopping, running+supervised, running+supervised+stopping | began, taken | = | note_living, record_start
running+recorded*, running+supervised+recorded* | began | = | note_living
running+recorded*, running+supervised+recorded* | taken | = | note_living, record_start
running | listed:recorded | running+recorded |
running+stopping | listed:recorded | running+recorded+stopping |
running+supervised | listed:recorded | running+supervised+recorded |
running+supervised+stopping | listed:recorded | running+supervised+recorded+stopping |
running* | used | = | record_usage
running* | ended | reported | report
running, running+recorded, running+supervised, running+supervised+recorded | ended:lost | reported | report_lost
running+stopping, running+recorded+stopping | ended:lost, no_room, damaged | reported | cancelled
running+supervised+stopping, running+supervised+recorded+stopping | ended:lost | reported | cancelled
running+supervised | withdrawn | absent | abort_task
running* | stopped | reported | abort_task, cancelled
running | no_room | held_back | retry_later
running+recorded | no_room | held_back+recorded | retry_later
running+supervised | no_room | held_back+place | note_left, retry_later
running+supervised+recorded | no_room | held_back+recorded+place | note_left, retry_later
running, running+recorded | damaged | unreadable | note_left, quarantine
running+supervised, running+supervised+recorded | damaged | unreadable+place | note_left, quarantine

# There may be room again, or its run was loaded again.
held_back | pause_over, pause_over:unlisted | queued | enqueue
held_back | pause_over:ahead | plan:place | plan_when_durable
held_back+recorded | pause_over, pause_over:unlisted | plan:reattach | plan
held_back+recorded | pause_over:ahead | plan:reattach | plan_when_durable
held_back+place | pause_over | plan:recheck | plan
held_back+recorded+place | pause_over | plan:recheck+recorded | plan
held_back+place, held_back+recorded+place | pause_over:unlisted | absent |
held_back+place, held_back+recorded+place | pause_over:ahead | plan:start | plan_when_durable
unreadable | listed | queued | enqueue
unreadable | listed:recorded | plan:reattach | plan
unreadable+place | listed | plan:recheck | plan
unreadable+place | listed:recorded | plan:recheck+recorded | plan

# It is to be stopped: what may be left of it is looked for, and the rest is cancelled.
absent | stop:none, stop:left | plan:stop | plan
absent | stop:funds, stop:in_process, stop:left+in_process | reported | cancelled
absent | stop:supervised, stop:left+supervised | running+supervised+recorded+stopping | stop_superseded
queued, plan:place, plan:start, plan:recheck*, waiting, recording* | stop:left | plan:stop | plan
held_back*, unreadable* | stop:left | plan:stop | plan
queued, plan:place, plan:start, plan:recheck*, waiting, recording* | stop:left+supervised | running+supervised+recorded+stopping | stop_superseded
held_back*, unreadable* | stop:left+supervised | running+supervised+recorded+stopping | stop_superseded
queued, plan:place, plan:start, plan:recheck*, waiting, recording* | stop:none, stop:funds, stop:in_process, stop:supervised, stop:left+in_process | reported | cancelled
held_back*, unreadable* | stop:none, stop:funds, stop:in_process, stop:supervised, stop:left+in_process | reported | cancelled
plan:reattach | stop:* | plan:stop |
running | stop:* | running+stopping | stop
running+recorded | stop:* | running+recorded+stopping | stop
running+supervised | stop:* | running+supervised+stopping | stop
running+supervised+recorded | stop:* | running+supervised+recorded+stopping | stop

# It is over.
reported | end_decided, abandoned | absent |
queued, plan:*, waiting, recording*, launching*, held_back*, unreadable* | abandoned | absent |
running* | abandoned | absent | abandon
";

/// The names that a cell of the table stands for.
fn expand<'a>(cell: &str, all: &[&'a str]) -> Vec<&'a str> {
    let is_named = |name: &str, word: &str| match word.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == word,
    };
    let words: Vec<&str> = cell.split(',').map(str::trim).collect();
    for word in &words {
        assert!(all.iter().any(|name| is_named(name, word)), "nothing is called {word}");
    }
    all.iter().copied().filter(|name| words.iter().any(|word| is_named(name, word))).collect()
}

/// The table, by phase and event.
fn table() -> BTreeMap<(&'static str, &'static str), (String, String)> {
    let phases: Vec<&'static str> = phases().into_iter().map(|(name, _)| name).collect();
    let events: Vec<&'static str> = events().into_iter().map(|(name, _)| name).collect();
    let mut written = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [from, named, next, actions] = cells[..] else { panic!("four cells: {line}") };
        for phase in expand(from, &phases) {
            for event in expand(named, &events) {
                let next = if next == "=" { phase } else { next };
                let former = written.insert((phase, event), (next.to_owned(), actions.to_owned()));
                assert_eq!(former, None, "{phase} and {event} stand in the table twice");
            }
        }
    }
    written
}

#[test]
fn every_pair_of_a_phase_and_an_event_does_what_the_table_says() {
    let table = table();
    for (from, phase) in phases() {
        for (name, event) in events() {
            let (next, actions) = phase.next(event);
            let actions: Vec<String> = actions.iter().map(action_name).collect();
            let found = (name_of(next).to_owned(), actions.join(", "));
            let written = table.get(&(from, name)).cloned().unwrap_or((from.to_owned(), String::new()));
            assert_eq!(found, written, "{from}, {name}");
        }
    }
}

/// The phases that events lead to from the beginning.
fn reachable() -> Vec<Phase> {
    let mut found = vec![Phase::Absent];
    let mut at = 0;
    while let Some(phase) = found.get(at).copied() {
        at += 1;
        for (_, event) in events() {
            let (next, _) = phase.next(event);
            if !found.contains(&next) {
                found.push(next);
            }
        }
    }
    found
}

fn reports(action: &Action) -> bool {
    matches!(action, Action::Report(_) | Action::ReportStopped(_) | Action::ReportFailure(_))
}

/// Whether the action leads to work, or to the record of its start.
fn begins(action: &Action) -> bool {
    match action {
        Action::Enqueue
        | Action::Plan
        | Action::PlanWhenDurable
        | Action::ListAgain
        | Action::AskForFunds
        | Action::AskForPlace
        | Action::SeizePlace
        | Action::RecordStart(_)
        | Action::Launch { .. }
        | Action::RetryLater(_) => true,
        Action::NoteLiving
        | Action::RecordUsage(_)
        | Action::Stop
        | Action::StopSuperseded
        | Action::AbortTask
        | Action::Abandon
        | Action::NoteLeft
        | Action::Quarantine(_)
        | Action::Report(_)
        | Action::ReportStopped(_)
        | Action::ReportFailure(_) => false,
    }
}

#[test]
fn no_sequence_reports_twice_or_starts_after_the_report() {
    for phase in reachable() {
        for (name, event) in events() {
            let (next, actions) = phase.next(event);
            let count = actions.iter().filter(|action| reports(action)).count();
            let context = format!("{phase:?}, {name}");
            // A report leads to the phase that reports and begins nothing, and that is left only when the end is
            // decided or the run abandoned; so this holds for sequences of any length.
            assert_eq!(count, usize::from(next == Phase::Reported && phase != Phase::Reported), "{context}");
            if count > 0 || phase == Phase::Reported {
                assert!(!actions.iter().any(begins), "{context}");
            }
            if phase == Phase::Reported {
                assert!(matches!(next, Phase::Reported | Phase::Absent), "{context}");
                assert!(next == Phase::Reported || matches!(name, "end_decided" | "abandoned"), "{context}");
            }
        }
    }
}

#[test]
fn random_sequences_keep_the_order_of_a_life() {
    let events = events();
    let mut drawn: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..500 {
        let (mut phase, mut is_reported, mut is_called) = (Phase::Absent, false, false);
        for _ in 0..400 {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (name, event) = events[usize::try_from(drawn >> 33).unwrap() % events.len()].clone();
            let (next, actions) = phase.next(event);
            for action in &actions {
                assert!(!is_reported || !(begins(action) || reports(action)), "{phase:?}, {name}");
                is_reported |= reports(action);
                is_called |= matches!(action, Action::Launch { .. } | Action::StopSuperseded);
                let needs_call = matches!(
                    action,
                    Action::Stop | Action::AbortTask | Action::Report(_) | Action::ReportStopped(_)
                );
                assert!(!needs_call || is_called, "{phase:?}, {name}");
            }
            if next == Phase::Absent {
                (is_reported, is_called) = (false, false);
            }
            phase = next;
        }
    }
}

#[test]
fn only_what_was_stopped_or_has_ended_is_reported_of_a_supervised_process() {
    let is_at_work = |phase| matches!(phase, Phase::Running(Running { is_supervised: true, .. }));
    for phase in reachable().into_iter().filter(|phase| is_at_work(*phase)) {
        for (name, event) in events() {
            let (_, actions) = phase.next(event);
            let is_end = matches!(name, "ended" | "ended:lost" | "stopped");
            assert_eq!(actions.iter().any(reports), is_end, "{phase:?}, {name}");
        }
    }
}

#[test]
fn a_vanished_process_counts_as_cancelled_where_a_stop_was_requested() {
    let lost = EndedAttempt { result: Err("gone".into()), ..EndedAttempt::failed(cancelled(), Timestamp(7)) };
    let (_, actions) = running(true, true, true).next(Event::Ended(Box::new(lost.clone())));
    assert_eq!(actions, [Action::ReportStopped(Box::new(lost.clone()))]);
    assert_eq!(lost.clone().after_stop().result, Ok(Err(cancelled())));
    let (_, actions) = running(true, true, false).next(Event::Ended(Box::new(lost.clone())));
    assert_eq!(actions, [Action::Report(Box::new(lost))]);
}

#[test]
fn every_reachable_phase_stands_in_the_table() {
    for phase in reachable() {
        name_of(phase);
    }
    assert_eq!(reachable().len(), phases().len(), "and no other does");
}
