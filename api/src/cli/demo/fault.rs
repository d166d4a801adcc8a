//! The fault of a demo that cannot go on.

use crate::fault::{Code, Fault};

/// An error of the operating system in the story.
pub(super) fn stopped(what: &str) -> impl Fn(std::io::Error) -> Fault {
    let what = what.to_owned();
    move |error| Fault::new(Code::DemoStopped, format!("{what}: {error}"))
}
