//! The functions that send notices to people and other systems: `notify.log`, `notify.command`, `notify.http`,
//! `notify.slack`, `notify.telegram`, `notify.email`.
//!
//! Law: each of them sends the notice's id (`RUN/VERSION/NOTICE`), by which receivers recognise a repeated notice:
//! after a crash, and after a failure that came too late, a notice is sent again.
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
mod written;

pub(crate) use functions::{declare, functions};
pub use functions::{names, to};
pub(crate) use notifier::FunctionNotifier;
pub use settings::{MailSettings, MailTls};
pub use written::misfits;
