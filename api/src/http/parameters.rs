//! Parameters that several routes have: limits of lists, positions to wait for, past moments.

use std::time::Duration;

use everfold_engine::duration;
use everfold_engine::id::Position;

use super::app::App;
use super::values::time;
use crate::fault::{Code, Fault};

/// Items of a list without `limit`, and the largest `limit`.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// The longest that a request waits for the end of a run.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A limit within the bounds.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Fault> {
    bounded("limit", asked)
}

/// How many are asked for by a parameter of this name, within the bounds of a limit.
pub(crate) fn bounded(name: &str, asked: Option<usize>) -> Result<usize, Fault> {
    match asked.unwrap_or(LIMIT) {
        count @ 1..=LIMIT_MAX => Ok(count),
        _ => Err(Fault::new(Code::Invalid, format!("{name} is a number from 1 to {LIMIT_MAX}"))),
    }
}

/// The position of `min_position`, which a read waits for.
pub(crate) fn min_position(app: &App, asked: Option<u64>) -> Result<Option<Position>, Fault> {
    match asked {
        Some(wanted) if wanted > app.store().last_position().get() => Err(Fault::new(
            Code::NotYet,
            format!("min_position is beyond the end of the log, {}", app.store().last_position()),
        )
        .hint("every write answers with its position in `Everfold-Position`")),
        asked => Ok(asked.map(Position)),
    }
}

/// How long a request waits for the end of a run, by its parameter `wait`.
pub(super) fn wait(asked: Option<&str>) -> Result<Option<Duration>, Fault> {
    let Some(text) = asked else { return Ok(None) };
    match duration::parse(text) {
        Ok(span) if span <= WAIT_MAX => Ok(Some(span)),
        Ok(_) => Err(Fault::new(Code::Invalid, format!("wait is {} at most", duration::format(WAIT_MAX)))
            .hint("ask again when the answer says that the run goes on")),
        Err(error) => Err(Fault::new(Code::Invalid, format!("wait: {error}"))),
    }
}

/// A past moment: a position, or the last one that was durable at a time.
pub(crate) async fn moment(app: &App, asked: Option<&str>) -> Result<Option<Position>, Fault> {
    let Some(text) = asked else { return Ok(None) };
    if let Ok(position) = text.parse() {
        let last = app.store().last_position();
        if Position(position) > last {
            let what = format!("at: position {position} is beyond the end of the log, {last}");
            return Err(Fault::new(Code::NotYet, what).hint("leave `at` out for what is now"));
        }
        return Ok(Some(Position(position)));
    }
    app.position_at(time("at: it is no position, and it", text)?).await.map(Some)
}
