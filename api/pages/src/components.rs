//! What is drawn the same way on every page: `templates/components.html` names it for the templates of pages. Each is a
//! template of its own, so that it is compiled once.

use askama::Template;

use crate::frame::Frame;
use crate::problem::Problem;
use crate::words::{age, age_at, exact, long_age, long_age_at};

/// A status, with its glyph and in its tone.
#[derive(Template)]
#[template(
    source = r#"<span class="status {{ crate::words::tone(word) }}"><span class="glyph" aria-hidden="true">{{ crate::words::glyph(word) }}</span> {{ word }}</span>"#,
    ext = "html"
)]
pub(crate) struct StatusMark<'a> {
    word: &'a str,
}

pub(crate) fn status(word: &str) -> StatusMark<'_> {
    StatusMark { word }
}

/// A time as its age, which the script of the page keeps up to date.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ time }}" data-age{% if let Some(then) = then %} data-then="{{ then }}"{% endif %} title="{{ crate::words::exact(time) }}">{{ age }}</time>"#,
    ext = "html"
)]
pub(crate) struct AgeMark<'a> {
    time: &'a str,
    /// The moment up to which it is counted, where that is a former one.
    then: Option<&'a str>,
    age: String,
}

pub(crate) fn ago(time: &str) -> AgeMark<'_> {
    AgeMark { time, then: None, age: age(time) }
}

/// The age up to the moment that the page shows.
pub(crate) fn since<'a>(time: &'a str, frame: &'a Frame) -> AgeMark<'a> {
    match frame.then.as_deref() {
        None => ago(time),
        Some(then) => AgeMark { time, then: Some(then), age: age_at(time, then) },
    }
}

/// An age for a sentence: `just now`, `3 m ago`.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ time }}"{% if is_live %} data-age="ago"{% endif %} title="{{ crate::words::exact(time) }}">{{ age }}</time>"#,
    ext = "html"
)]
pub(crate) struct LongAgeMark<'a> {
    time: &'a str,
    is_live: bool,
    age: String,
}

pub(crate) fn long_ago(time: &str) -> LongAgeMark<'_> {
    LongAgeMark { time, is_live: true, age: long_age(time) }
}

/// The same up to the moment that the page shows.
pub(crate) fn since_ago<'a>(time: &'a str, frame: &Frame) -> LongAgeMark<'a> {
    match frame.then.as_deref() {
        None => long_ago(time),
        Some(then) => LongAgeMark { time, is_live: false, age: long_age_at(time, then) },
    }
}

/// A time itself, with its age.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ time }}" data-exact{% if let Some(then) = then %} data-then="{{ then }}"{% endif %} title="{{ age }}">{{ exact }}</time>"#,
    ext = "html"
)]
pub(crate) struct TimeMark<'a> {
    time: &'a str,
    then: Option<&'a str>,
    exact: String,
    age: String,
}

pub(crate) fn when(time: &str) -> TimeMark<'_> {
    TimeMark { time, then: None, exact: exact(time), age: age(time) }
}

/// The same, its age up to the moment that the page shows.
pub(crate) fn when_then<'a>(time: &'a str, frame: &'a Frame) -> TimeMark<'a> {
    match frame.then.as_deref() {
        None => when(time),
        Some(then) => TimeMark { time, then: Some(then), exact: exact(time), age: age_at(time, then) },
    }
}

/// Who did something.
#[derive(Template)]
#[template(
    source = r#"<span class="actor" title="{{ who }}">{{ crate::words::actor_name(who) }}</span>"#,
    ext = "html"
)]
pub(crate) struct ActorMark<'a> {
    who: &'a str,
}

pub(crate) fn actor(who: &str) -> ActorMark<'_> {
    ActorMark { who }
}

/// The hidden fields of every form.
#[derive(Template)]
#[template(
    source = r#"<input type="hidden" name="csrf" value="{{ frame.csrf() }}"><input type="hidden" name="once" value="{{ frame.once() }}">"#,
    ext = "html"
)]
pub(crate) struct FormFields<'a> {
    frame: &'a Frame,
}

pub(crate) fn fields(frame: &Frame) -> FormFields<'_> {
    FormFields { frame }
}

/// A refusal, with its code and what to do next.
#[derive(Template)]
#[template(path = "problem_box.html")]
pub(crate) struct ProblemBox<'a> {
    problem: &'a Problem,
}

pub(crate) fn problem(problem: &Problem) -> ProblemBox<'_> {
    ProblemBox { problem }
}
