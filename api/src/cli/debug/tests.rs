//! The model by its keys and answers, and screens as they are drawn.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use serde_json::{Value, json};

use super::model::{DebugModel, DebugPane, DebugPrompt, DebuggedRun, NoticeTone, SideContent};
use super::requests::{DebugAnswer, DebugRequest, EventGoal, StatePair};
use super::theme::DebugTheme;
use super::{answers, keys, screen};

const LAST: u64 = 12;

/// The events of a small run: a step that failed once.
fn event(version: u64) -> Value {
    let id =
        |attempt: u64| json!({ "path": { "step": "build", "item": null }, "round": 1, "attempt": attempt });
    let (what, input) = match version {
        1 => (json!({ "type": "RunAdmitted" }), 1),
        2 => (json!({ "type": "StepScheduled", "id": id(1), "work": "gates" }), 1),
        3 => (json!({ "type": "AttemptStarted", "id": id(1) }), 3),
        4 => (json!({ "type": "AttemptFailed", "id": id(1), "failure": { "kind": "exit" } }), 4),
        5 => (json!({ "type": "RetryScheduled", "id": id(2), "at": "2026-11-26T10:00:09Z" }), 4),
        other => (json!({ "type": "ClockRead", "no": other }), other),
    };
    json!({ "version": version, "recorded_at": format!("2026-11-26T10:00:{version:02}.250Z"),
        "actor": "engine", "cause": { "input": format!("i{input}"), "because": 1 }, "event": what })
}

fn state(version: u64) -> Value {
    let status = match version {
        0..=1 => "pending",
        2 => "scheduled",
        3 => "running",
        _later => "waiting",
    };
    let step = json!({ "id": "build", "kind": "command", "status": status,
        "round": u64::from(version > 1), "attempt": u64::from(version > 1), "gates": [] });
    json!({ "version": version, "status": "running", "input": { "title": "x" },
        "steps": [step, { "id": "test", "kind": "command", "status": "pending", "round": 0, "attempt": 0 }] })
}

/// Answers what the routes would, until nothing is asked any more.
fn settle(model: &mut DebugModel) {
    let mut left = 0..50;
    loop {
        let needs = model.needs();
        if needs.is_empty() {
            return;
        }
        assert!(left.next().is_some(), "it asks on and on: {needs:?}");
        for request in needs {
            if let Some(answer) = answered(request) {
                answers::take(model, answer);
            }
        }
    }
}

fn answered(request: DebugRequest) -> Option<DebugAnswer> {
    Some(match request {
        DebugRequest::Events { from, limit } => {
            let items = (from..(from + limit).min(LAST + 1)).map(event).collect();
            DebugAnswer::Events { from, limit, items }
        }
        DebugRequest::State { version } => {
            let (before, after) = (Arc::new(state(version - 1)), Arc::new(state(version)));
            DebugAnswer::State(StatePair { version, before, after })
        }
        DebugRequest::Causes { version } => {
            DebugAnswer::Causes { version, text: "  step build waits for its next attempt".to_owned() }
        }
        DebugRequest::Today { version } => {
            let lines =
                vec!["delivery@3 would decide otherwise here".to_owned(), "  the routes differ".to_owned()];
            DebugAnswer::Today { version, lines }
        }
        DebugRequest::Log(attempt) => {
            let record = json!({ "source": "stdout", "text": "cc: error\u{1b}[2J", "complete": true });
            DebugAnswer::LogRecord { attempt, record }
        }
        _by_key => return None,
    })
}

fn model(width: u16, height: u16) -> DebugModel {
    let run = DebuggedRun {
        id: "0198".to_owned(),
        short_id: "5b8093ed".to_owned(),
        title: Some("Fix the \u{1b}[31mbuild\u{202e}".to_owned()).as_deref().map(crate::text::plain),
        pipeline: "delivery".to_owned(),
        last: LAST,
        is_ended: false,
        breakpoints: Vec::new(),
    };
    let mut model = DebugModel::new(run, Size::new(width, height));
    settle(&mut model);
    model
}

fn at(version: u64, width: u16, height: u16) -> DebugModel {
    let mut model = model(width, height);
    model.go(version);
    settle(&mut model);
    model
}

fn press(model: &mut DebugModel, code: KeyCode) -> Vec<DebugRequest> {
    let wanted = keys::press(model, KeyEvent::new(code, KeyModifiers::NONE));
    settle(model);
    wanted
}

fn typed(model: &mut DebugModel, text: &str) {
    for c in text.chars() {
        press(model, KeyCode::Char(c));
    }
}

fn drawn(model: &DebugModel) -> String {
    let mut terminal = Terminal::new(TestBackend::new(model.size.width, model.size.height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, model, DebugTheme::new(true))).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_first_screen() {
    insta::assert_snapshot!(drawn(&model(120, 16)));
}

#[test]
fn a_changed_state_in_two_rows() {
    insta::assert_snapshot!(drawn(&at(4, 80, 24)));
}

#[test]
fn why_it_happened_on_a_small_terminal() {
    let mut model = at(4, 60, 15);
    press(&mut model, KeyCode::Char('w'));
    insta::assert_snapshot!(drawn(&model));
}

#[test]
fn the_keys_are_told() {
    let mut model = at(3, 90, 26);
    press(&mut model, KeyCode::Char('?'));
    insta::assert_snapshot!(drawn(&model));
    press(&mut model, KeyCode::Char('x'));
    assert_eq!((model.prompt.as_ref(), model.version), (None, 3), "any key closes them and does no more");
}

#[test]
fn the_map_shows_the_steps_as_they_stood() {
    let mut model = at(4, 120, 12);
    press(&mut model, KeyCode::Char('m'));
    insta::assert_snapshot!(drawn(&model));
    press(&mut model, KeyCode::Left);
    assert!(drawn(&model).contains("▸▶ build  running 1.1"), "{}", drawn(&model));
    press(&mut model, KeyCode::Char('m'));
    assert_eq!(model.side, SideContent::Why, "the same key takes it away");
}

#[test]
fn todays_definition_is_asked_at_each_version_that_is_shown() {
    let mut model = at(4, 120, 12);
    press(&mut model, KeyCode::Char('t'));
    insta::assert_snapshot!(drawn(&model));
    press(&mut model, KeyCode::Left);
    assert_eq!(model.today.as_ref().map(|today| today.version), Some(3));
    let why = "there is no pipeline delivery [EF0404]: save it".to_owned();
    let request = DebugRequest::Today { version: 3 };
    answers::take(&mut model, DebugAnswer::Refused { request, why, is_away: false });
    assert!(drawn(&model).contains("It cannot be decided"), "{}", drawn(&model));
}

#[test]
fn a_fork_is_asked_before_it_is_done() {
    let mut model = at(3, 80, 20);
    press(&mut model, KeyCode::Char('f'));
    insta::assert_snapshot!(drawn(&model));
    assert!(press(&mut model, KeyCode::Enter).is_empty() && model.prompt.is_some(), "Enter is no yes");
    let wanted = press(&mut model, KeyCode::Char('y'));
    assert_eq!(wanted, [DebugRequest::Fork { version: 3 }]);
    let request = wanted[0].clone();
    let (short_id, command) = ("aaaabbbb".to_owned(), "everfold debug aaaabbbb".to_owned());
    answers::take(&mut model, DebugAnswer::Forked { request, short_id, command });
    let said = model.notice.clone().unwrap().text;
    assert!(said.contains("aaaabbbb goes on from 5b8093ed at version 3: everfold debug aaaabbbb"), "{said}");
    press(&mut model, KeyCode::Char('f'));
    assert!(press(&mut model, KeyCode::Char('n')).is_empty() && model.prompt.is_none());
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    insta::assert_snapshot!(drawn(&model(30, 6)));
}

#[test]
fn no_size_is_a_panic() {
    for (width, height) in [(1, 1), (40, 8), (41, 9), (75, 21), (76, 22), (119, 10), (120, 9), (300, 90)] {
        let mut model = at(5, width, height);
        for key in ['?', 'q', 'f', 'n', '/', 'z'] {
            drawn(&model);
            press(&mut model, KeyCode::Char(key));
        }
        press(&mut model, KeyCode::Esc);
        for key in ['w', 'e', 'l'] {
            press(&mut model, KeyCode::Char(key));
            press(&mut model, KeyCode::PageDown);
            drawn(&model);
        }
    }
}

#[test]
fn text_of_a_run_does_nothing_to_the_terminal() {
    let mut model = at(3, 160, 30);
    press(&mut model, KeyCode::Char('l'));
    let screen = drawn(&model);
    assert!(screen.contains("cc: error") && screen.contains("Fix the build"), "{screen}");
    assert!(!screen.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn keys_go_from_event_to_event() {
    let mut model = model(120, 20);
    assert!(model.is_following);
    for (key, version) in [
        (KeyCode::Left, 11),
        (KeyCode::Right, 12),
        (KeyCode::Right, 12),
        (KeyCode::Home, 1),
        (KeyCode::Left, 1),
        (KeyCode::Right, 2),
        (KeyCode::Down, 3),
        (KeyCode::Up, 2),
        (KeyCode::PageDown, 12),
        (KeyCode::PageUp, 1),
        (KeyCode::End, 12),
    ] {
        press(&mut model, key);
        assert_eq!((model.version, model.tree.version()), (version, Some(version)), "{key:?}");
        assert_eq!(model.is_following, version == LAST, "{key:?}");
    }
}

#[test]
fn keys_look_for_events() {
    let mut model = at(3, 120, 20);
    let shifted = |model: &mut DebugModel, code| keys::press(model, KeyEvent::new(code, KeyModifiers::SHIFT));
    let find = |goal, is_forward| [DebugRequest::Find { goal, from: 3, is_forward }];
    assert_eq!(shifted(&mut model, KeyCode::Right), find(EventGoal::Decision, true));
    assert_eq!(shifted(&mut model, KeyCode::Left), find(EventGoal::Decision, false));
    for (key, goal, is_forward) in [
        (']', EventGoal::Decision, true),
        ('[', EventGoal::Decision, false),
        ('x', EventGoal::Failure, true),
        ('X', EventGoal::Failure, false),
        ('s', EventGoal::OfStep("build".to_owned()), true),
        ('S', EventGoal::OfStep("build".to_owned()), false),
    ] {
        assert_eq!(press(&mut model, KeyCode::Char(key)), find(goal, is_forward), "{key}");
    }
    // The last of them is awaited, the others are not any more.
    let request = |goal, is_forward| DebugRequest::Find { goal, from: 3, is_forward };
    let answer = |request, version| DebugAnswer::Found { request, version, looked_to: 9, is_all: true };
    answers::take(&mut model, answer(request(EventGoal::Failure, true), Some(4)));
    assert_eq!(model.version, 3);
    answers::take(&mut model, answer(request(EventGoal::OfStep("build".to_owned()), false), Some(2)));
    assert_eq!(model.version, 2);
    let wanted = press(&mut model, KeyCode::Char('x'));
    assert!(model.looked_for().unwrap().contains("next failure"));
    answers::take(&mut model, answer(wanted[0].clone(), None));
    assert_eq!(model.notice.as_ref().unwrap().text, "there is no failure behind version 2");
    press(&mut model, KeyCode::Char('x'));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.looked_for(), None);
}

#[test]
fn what_is_typed_is_searched_for_and_what_cannot_be_is_said() {
    let mut model = at(3, 120, 20);
    press(&mut model, KeyCode::Char('n'));
    assert!(model.notice.as_ref().unwrap().text.contains("nothing was searched for"));
    press(&mut model, KeyCode::Char('/'));
    typed(&mut model, "a || b");
    press(&mut model, KeyCode::Enter);
    let said = model.notice.clone().unwrap();
    assert!(said.kind == NoticeTone::Failed && said.text.contains("cannot be searched for"), "{said:?}");
    keys::press(&mut model, KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    typed(&mut model, "type=ClockReadq");
    press(&mut model, KeyCode::Backspace);
    let goal = EventGoal::Text("type=ClockRead".to_owned());
    let wanted = |is_forward| [DebugRequest::Find { goal: goal.clone(), from: 3, is_forward }];
    assert_eq!(press(&mut model, KeyCode::Enter), wanted(true));
    assert_eq!(press(&mut model, KeyCode::Char('n')), wanted(true));
    assert_eq!(press(&mut model, KeyCode::Char('N')), wanted(false));
    press(&mut model, KeyCode::Char('/'));
    assert_eq!(press(&mut model, KeyCode::Enter), wanted(true), "an empty field is the same again");
    press(&mut model, KeyCode::Char('/'));
    assert!(press(&mut model, KeyCode::Esc).is_empty() && model.prompt.is_none());
}

#[test]
fn a_version_or_a_time_is_gone_to() {
    let mut model = model(120, 20);
    press(&mut model, KeyCode::Char('g'));
    typed(&mut model, "99");
    assert_eq!(model.prompt, Some(DebugPrompt::GoTo("99".to_owned())));
    let wanted = press(&mut model, KeyCode::Enter);
    assert_eq!(wanted, [DebugRequest::GoTo("99".to_owned())]);
    answers::take(&mut model, DebugAnswer::Meant { request: wanted[0].clone(), version: 99 });
    let said = model.notice.clone().unwrap().text;
    assert!(model.version == 12 && said.contains("no version 99: they go from 1 to 12"), "{said}");
}

#[test]
fn panes_take_keys_in_turn() {
    let mut model = at(4, 120, 14);
    let mut panes = Vec::new();
    for _ in 0..3 {
        press(&mut model, KeyCode::Tab);
        panes.push(model.focus);
    }
    assert_eq!(panes, [DebugPane::State, DebugPane::Side, DebugPane::Events]);
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.focus, DebugPane::Side);
    press(&mut model, KeyCode::Down);
    assert_eq!((model.version, model.scroll.top), (4, 1), "the text is scrolled, no event is gone");
    for (key, side) in [('e', SideContent::Event), ('l', SideContent::Log), ('w', SideContent::Why)] {
        press(&mut model, KeyCode::Char(key));
        assert_eq!((model.side, model.scroll.top), (side, 0), "{key}");
    }
    press(&mut model, KeyCode::Char('c'));
    assert_eq!(model.focus, DebugPane::State);
    let change = model.tree.cursor;
    assert_eq!(model.tree.rows[change].path, "steps.build.status");
    press(&mut model, KeyCode::Up);
    assert_eq!(model.tree.cursor, change - 1);
    press(&mut model, KeyCode::Char('C'));
    assert_eq!(model.tree.cursor, change);
    press(&mut model, KeyCode::Home);
    assert_eq!(model.version, 1, "← → Home and End go through the events in every pane");
}

#[test]
fn rows_are_folded_and_what_was_folded_stays_so() {
    let mut model = at(4, 120, 30);
    press(&mut model, KeyCode::Char('c'));
    model.tree.cursor = model.tree.rows.iter().position(|row| row.path == "input").unwrap();
    press(&mut model, KeyCode::Enter);
    assert!(model.tree.rows.iter().any(|row| row.path == "input.title"));
    press(&mut model, KeyCode::Right);
    assert!(model.tree.rows.iter().any(|row| row.path == "input.title"), "in the next version, too");
    model.tree.cursor = model.tree.rows.iter().position(|row| row.path == "input").unwrap();
    press(&mut model, KeyCode::Char(' '));
    assert!(!model.tree.rows.iter().any(|row| row.path == "input.title"));
}

#[test]
fn a_breakpoint_is_of_a_step() {
    let mut model = model(120, 20);
    assert!(press(&mut model, KeyCode::Char('b')).is_empty());
    assert!(model.notice.as_ref().unwrap().text.contains("of no step"));
    model.go(3);
    settle(&mut model);
    let wanted = press(&mut model, KeyCode::Char('b'));
    assert_eq!(wanted, [DebugRequest::Breakpoint { step: "build".to_owned() }]);
    let steps = vec!["build".to_owned()];
    answers::take(&mut model, DebugAnswer::Breakpoints { request: wanted[0].clone(), steps });
    assert!(drawn(&model).contains("Events  ● build"));
    assert_eq!(model.notice.as_ref().unwrap().text, "run 5b8093ed pauses before build");
}

#[test]
fn a_run_is_followed_at_its_last_version_only() {
    let mut model = model(120, 20);
    answers::take(&mut model, DebugAnswer::Appended(event(13)));
    assert_eq!((model.version, model.run.last), (13, 13));
    press(&mut model, KeyCode::Left);
    answers::take(&mut model, DebugAnswer::Appended(event(14)));
    assert_eq!((model.version, model.run.last, model.window.get(14).is_some()), (12, 14, true));
    answers::take(&mut model, DebugAnswer::Now { last: 900, is_ended: true, breakpoints: Vec::new() });
    assert_eq!((model.version, model.run.last), (12, 900));
    answers::take(&mut model, DebugAnswer::Appended(event(901)));
    assert!(model.window.get(901).is_none(), "it would stand behind a gap");
}

#[test]
fn who_is_away_is_asked_again_and_not_at_once() {
    let mut model = model(120, 20);
    model.go(3);
    let needs = model.needs();
    assert_eq!(needs, [DebugRequest::State { version: 3 }]);
    model.go(4);
    assert!(model.needs().is_empty(), "one is under way at a time");
    let (request, why) = (needs[0].clone(), "no answer".to_owned());
    let refused = DebugAnswer::Refused { request, why, is_away: true };
    answers::take(&mut model, refused);
    assert_eq!(model.notice.as_ref().unwrap().kind, NoticeTone::Away);
    assert!(model.needs().is_empty(), "not at once");
    model.strike(2);
    assert_eq!(model.needs(), [DebugRequest::State { version: 4 }]);
    model.notice = None;
    (0..3).for_each(|_| model.strike(2));
    assert!(model.notice.as_ref().unwrap().text.contains("no answer for 4 s"));
    answers::take(&mut model, answered(DebugRequest::State { version: 4 }).unwrap());
    assert_eq!(model.notice, None);
}

#[test]
fn what_a_key_asked_for_and_was_refused_is_said_until_the_next_key() {
    let mut model = at(3, 120, 20);
    let wanted = press(&mut model, KeyCode::Char('b'));
    let why = "the run has ended [EF0201]".to_owned();
    answers::take(&mut model, DebugAnswer::Refused { request: wanted[0].clone(), why, is_away: false });
    assert_eq!(model.notice.as_ref().unwrap().kind, NoticeTone::Failed);
    assert!(drawn(&model).contains("the run has ended [EF0201]"));
    press(&mut model, KeyCode::Right);
    assert_eq!(model.notice, None);
}

#[test]
fn causes_that_are_refused_are_told_once_and_those_of_a_server_that_is_away_are_asked_for_again() {
    let mut model = at(3, 120, 20);
    model.causes = None;
    for (is_away, asked) in [(true, 1), (false, 0)] {
        let needs = model.needs();
        assert_eq!(needs, [DebugRequest::Causes { version: 3 }]);
        let (request, why) = (needs[0].clone(), "no".to_owned());
        answers::take(&mut model, DebugAnswer::Refused { request, why, is_away });
        model.strike(2);
        let again = model.needs();
        assert_eq!(again.len(), asked);
        assert!(again.iter().all(|request| model.answered(request)));
    }
}

#[test]
fn keys_end_it() {
    for key in [
        KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE),
        KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
    ] {
        let mut model = model(120, 20);
        keys::press(&mut model, key);
        assert!(model.is_over, "{key:?}");
    }
    let mut model = model(120, 20);
    press(&mut model, KeyCode::Char('/'));
    keys::press(&mut model, KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE));
    assert!(!model.is_over, "q is typed into a field");
}
