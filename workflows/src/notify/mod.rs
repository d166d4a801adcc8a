//! The functions that tell people and other systems: `notify.log`, `notify.command`, `notify.http`,
//! `notify.slack`, `notify.telegram`, `notify.email`.
//!
//! Law: whatever tells is told the notice's id (`RUN/VERSION/NOTICE`), by which a repeated one is
//! recognised: after a crash, and after a failure that came too late, a notice goes again.
//!
//! They are functions like any other: a notice may call any function, and a step may call these.

mod command;
mod email;
mod functions;
mod http;
mod log;
mod message;
mod notifier;
mod parameters;
mod post;
pub(crate) mod settings;
mod signature;
mod slack;
mod telegram;
#[cfg(test)]
mod tests;

pub(crate) use functions::{declare, functions};
pub use functions::{names, to};
pub(crate) use notifier::FunctionNotifier;
pub use settings::{MailSettings, MailTls};
