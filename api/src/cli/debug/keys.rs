//! What each key does: those of the pages' debugger, and a few more.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use everfold_pages::EventSearch;

use super::confirm::ForkQuestion;
use super::layout::{PaneAreas, side_width};
use super::log_view::LogView;
use super::model::{DebugModel, DebugPane, DebugPrompt, NoticeTone, SideContent};
use super::requests::{DebugRequest, EventGoal};
use super::side::side_lines;

/// The longest text that can be typed.
const TYPED_MAX: usize = 200;

/// Changes the model by a key; gives what the key asks of the routes.
pub(super) fn press(model: &mut DebugModel, key: KeyEvent) -> Vec<DebugRequest> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if is_control && key.code == KeyCode::Char('c') {
        model.is_over = true;
        return Vec::new();
    }
    // What failed was read; what the screen lacks is tried again.
    if model.notice.as_ref().is_some_and(|notice| notice.kind != NoticeTone::Away) {
        model.notice = None;
    }
    model.is_held = false;
    match model.prompt.take() {
        Some(prompt) => answer(model, prompt, key),
        None if is_control || key.modifiers.contains(KeyModifiers::ALT) => Vec::new(),
        None => command(model, key),
    }
}

fn command(model: &mut DebugModel, key: KeyEvent) -> Vec<DebugRequest> {
    let is_shifted = key.modifiers.contains(KeyModifiers::SHIFT);
    match key.code {
        KeyCode::Char('q') => model.is_over = true,
        KeyCode::Esc => stop(model),
        KeyCode::Char('?') => model.prompt = Some(DebugPrompt::Help),
        KeyCode::Right if is_shifted => return find(model, EventGoal::Decision, true),
        KeyCode::Left if is_shifted => return find(model, EventGoal::Decision, false),
        KeyCode::Char(']') => return find(model, EventGoal::Decision, true),
        KeyCode::Char('[') => return find(model, EventGoal::Decision, false),
        KeyCode::Right => walk(model, 1),
        KeyCode::Left => walk(model, -1),
        KeyCode::Home => jump(model, 1),
        KeyCode::End => jump(model, model.run.last),
        KeyCode::Char('s') => return of_step(model, true),
        KeyCode::Char('S') => return of_step(model, false),
        KeyCode::Char('x') => return find(model, EventGoal::Failure, true),
        KeyCode::Char('X') => return find(model, EventGoal::Failure, false),
        KeyCode::Char('n') => return again(model, true),
        KeyCode::Char('N') => return again(model, false),
        KeyCode::Char('/') => model.prompt = Some(DebugPrompt::Search(String::new())),
        KeyCode::Char('g') => model.prompt = Some(DebugPrompt::GoTo(String::new())),
        KeyCode::Tab => model.focus = model.focus.beside(!is_shifted),
        KeyCode::BackTab => model.focus = model.focus.beside(false),
        KeyCode::Char('c') => change(model, true),
        KeyCode::Char('C') => change(model, false),
        KeyCode::Char('w') => beside(model, SideContent::Why),
        KeyCode::Char('e') => beside(model, SideContent::Event),
        KeyCode::Char('l') => beside(model, SideContent::Log),
        // The map goes as it came.
        KeyCode::Char('m') if model.side == SideContent::Map => beside(model, SideContent::Why),
        KeyCode::Char('m') => beside(model, SideContent::Map),
        KeyCode::Char('t') => beside(model, SideContent::Today),
        KeyCode::Enter | KeyCode::Char(' ') if model.focus == DebugPane::State => model.tree.toggle(),
        KeyCode::Down | KeyCode::Char('j') => scroll(model, 1),
        KeyCode::Up | KeyCode::Char('k') => scroll(model, -1),
        KeyCode::PageDown => scroll(model, page(model)),
        KeyCode::PageUp => scroll(model, -page(model)),
        KeyCode::Char('b') => return breakpoint(model),
        KeyCode::Char('f') => fork(model),
        _none => {}
    }
    Vec::new()
}

/// What a key says to a question or a field that is open.
fn answer(model: &mut DebugModel, prompt: DebugPrompt, key: KeyEvent) -> Vec<DebugRequest> {
    match (prompt, key.code) {
        (DebugPrompt::Help, _any) => Vec::new(),
        (DebugPrompt::Fork(question), KeyCode::Char('y' | 'Y')) => {
            model.ask(DebugRequest::Fork { version: question.version })
        }
        (DebugPrompt::Fork(_), KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc) => {
            model.say(NoticeTone::Said, "nothing was forked");
            Vec::new()
        }
        (DebugPrompt::Search(_) | DebugPrompt::GoTo(_), KeyCode::Esc) => Vec::new(),
        (DebugPrompt::Search(text), KeyCode::Enter) => search(model, text),
        (DebugPrompt::GoTo(text), KeyCode::Enter) if text.trim().is_empty() => Vec::new(),
        (DebugPrompt::GoTo(text), KeyCode::Enter) => {
            model.stop_looking();
            model.ask(DebugRequest::GoTo(text))
        }
        (DebugPrompt::Search(mut text), _edits) => {
            edit(&mut text, key);
            model.prompt = Some(DebugPrompt::Search(text));
            Vec::new()
        }
        (DebugPrompt::GoTo(mut text), _edits) => {
            edit(&mut text, key);
            model.prompt = Some(DebugPrompt::GoTo(text));
            Vec::new()
        }
        (question @ DebugPrompt::Fork(_), _other) => {
            model.prompt = Some(question);
            Vec::new()
        }
    }
}

fn edit(text: &mut String, key: KeyEvent) {
    match key.code {
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => text.clear(),
        KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) && text.len() < TYPED_MAX => {
            text.push(c);
        }
        _other => {}
    }
}

fn search(model: &mut DebugModel, text: String) -> Vec<DebugRequest> {
    let text = if text.trim().is_empty() { model.searched.clone() } else { text };
    if text.is_empty() {
        return Vec::new();
    }
    match EventSearch::read(&text) {
        Ok(_terms) => {
            model.searched.clone_from(&text);
            find(model, EventGoal::Text(text), true)
        }
        Err(why) => {
            model.say(NoticeTone::Failed, why);
            model.prompt = Some(DebugPrompt::Search(text));
            Vec::new()
        }
    }
}

fn again(model: &mut DebugModel, is_forward: bool) -> Vec<DebugRequest> {
    match model.searched.clone() {
        text if text.is_empty() => {
            model.say(NoticeTone::Said, "nothing was searched for yet: / searches");
            Vec::new()
        }
        text => find(model, EventGoal::Text(text), is_forward),
    }
}

fn of_step(model: &mut DebugModel, is_forward: bool) -> Vec<DebugRequest> {
    match model.event().and_then(|event| event.nature.step.clone()) {
        Some(step) => find(model, EventGoal::OfStep(step), is_forward),
        None => {
            model.say(NoticeTone::Said, "this event is of no step");
            Vec::new()
        }
    }
}

fn stop(model: &mut DebugModel) {
    if model.stop_looking() {
        model.say(NoticeTone::Said, "stopped looking");
    }
}

fn find(model: &mut DebugModel, goal: EventGoal, is_forward: bool) -> Vec<DebugRequest> {
    model.stop_looking();
    model.ask(DebugRequest::Find { goal, from: model.version, is_forward })
}

fn jump(model: &mut DebugModel, version: u64) {
    model.stop_looking();
    model.go(version);
}

fn walk(model: &mut DebugModel, by: i64) {
    jump(model, model.version.saturating_add_signed(by).max(1));
}

fn change(model: &mut DebugModel, is_forward: bool) {
    if model.tree.go_to_change(is_forward) {
        model.focus = DebugPane::State;
    } else {
        model.say(NoticeTone::Said, "this event changed nothing of the state");
    }
}

/// Shows something beside the state, and scrolls it from there on.
fn beside(model: &mut DebugModel, content: SideContent) {
    if model.side != content {
        (model.side, model.scroll) = (content, Default::default());
    }
    // A log that broke off is asked for again.
    if content == SideContent::Log && model.log.fault.is_some() {
        model.log = LogView::default();
    }
    model.focus = DebugPane::Side;
}

fn page(model: &DebugModel) -> i64 {
    let areas = PaneAreas::of(model);
    let height = areas.of_pane(model.focus).map_or(0, |area| area.height.saturating_sub(2));
    i64::from(height.max(2)) - 1
}

fn scroll(model: &mut DebugModel, by: i64) {
    match model.focus {
        DebugPane::Events => walk(model, by),
        DebugPane::State => model.tree.step(by as isize),
        DebugPane::Side => {
            let areas = PaneAreas::of(model);
            let Some(area) = areas.of_pane(DebugPane::Side) else { return };
            let lines = side_lines(model, side_width(area)).len();
            let most = lines.saturating_sub(usize::from(area.height.saturating_sub(2)));
            let is_at_end = model.side == SideContent::Log && !model.scroll.is_by_hand;
            let top = if is_at_end { most } else { model.scroll.top.min(most) };
            model.scroll.top = top.saturating_add_signed(by as isize).min(most);
            model.scroll.is_by_hand = model.scroll.top < most;
        }
    }
}

fn breakpoint(model: &mut DebugModel) -> Vec<DebugRequest> {
    match model.step().map(str::to_owned) {
        Some(step) => {
            // That it is set is an event, too; the one whose step it is stays on the screen.
            model.is_following = false;
            model.ask(DebugRequest::Breakpoint { step })
        }
        None => {
            model.say(NoticeTone::Said, "this event is of no step: a breakpoint stands before one");
            Vec::new()
        }
    }
}

fn fork(model: &mut DebugModel) {
    match model.tree.state().filter(|_| model.tree.version() == Some(model.version)) {
        Some(state) => {
            let question = ForkQuestion::of(&model.run.short_id, model.version, state);
            model.prompt = Some(DebugPrompt::Fork(question));
        }
        None => model.say(NoticeTone::Said, "the state of this version is not here yet: f again"),
    }
}
