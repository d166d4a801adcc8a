//! The debugger on the terminal: keys and answers in, screens out, until a key or a signal ends it.

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::{FutureExt as _, StreamExt as _};
use ratatui::layout::Size;

use super::loader::DebugLoader;
use super::model::{DebugModel, DebuggedRun};
use super::requests::DebugRequest;
use super::terminal::DebugTerminal;
use super::theme::DebugTheme;
use super::{answers, keys, screen};
use crate::cli::context::CommandContext;
use crate::cli::interrupt::Interrupts;
use crate::fault::{Code, Fault};
use crate::view::RunView;

/// How often the model asks again for what a route refused, and says for how long no answer came.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(2);
/// Answers that are taken in before the screen is drawn again.
const AT_ONCE: usize = 200;

pub(super) async fn run(context: &CommandContext, view: RunView) -> Result<u8, Fault> {
    let theme = DebugTheme::new(anstream::stdout().current_choice() != anstream::ColorChoice::Never);
    let mut interrupts = Interrupts::listen()?;
    let mut terminal = DebugTerminal::open()?;
    let run = DebuggedRun::of(&view);
    drop(view);
    let mut loader = DebugLoader::new(context, &run.id, run.last);
    let mut model = DebugModel::new(run, terminal.size()?);
    let mut keyboard = EventStream::new();
    let mut again = tokio::time::interval(AGAIN);
    loop {
        ask(&mut loader, Vec::new(), &mut model);
        terminal.draw(|frame| {
            let area = frame.area();
            model.size = Size::new(area.width, area.height);
            screen::draw(frame, &model, theme);
        })?;
        tokio::select! {
            event = keyboard.next() => typed(&mut loader, &mut model, event)?,
            answer = loader.next() => {
                let mut answer = answer;
                for _ in 0..AT_ONCE {
                    answers::take(&mut model, answer);
                    match loader.next().now_or_never() {
                        Some(next) => answer = next,
                        None => break,
                    }
                }
            }
            _ = interrupts.next() => model.is_over = true,
            _ = again.tick() => model.strike(AGAIN.as_secs()),
        }
        if model.is_over {
            return Ok(0);
        }
    }
}

/// Asks what the keys wanted, and what the screen needs.
fn ask(loader: &mut DebugLoader<'_>, wanted: Vec<DebugRequest>, model: &mut DebugModel) {
    let needs = model.needs();
    wanted.into_iter().chain(needs).for_each(|request| loader.ask(request));
}

fn typed(
    loader: &mut DebugLoader<'_>,
    model: &mut DebugModel,
    event: Option<std::io::Result<Event>>,
) -> Result<(), Fault> {
    match event {
        Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
            let wanted = keys::press(model, key);
            ask(loader, wanted, model);
        }
        // The next drawing has its size.
        Some(Ok(_resized)) => {}
        Some(Err(error)) => {
            return Err(Fault::new(Code::File, format!("keys cannot be read from the terminal: {error}")));
        }
        // The terminal is gone.
        None => model.is_over = true,
    }
    Ok(())
}
