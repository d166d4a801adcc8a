//! What a project needs before ORCH can work in it, checked and made.
//!
//! Laws:
//! - Each thing is looked at first, made only where it is missing, and looked at again: what the table calls made was seen.
//! - Nothing that is there is changed or removed: where it stands in the way, the table says what to do by hand.
//! - A secret is in no message: it is read where it lies, and written only to files that their owner alone may read.

mod bots;
mod checklist;
mod clone;
mod environment;
mod gitea;
mod onboard;
mod plane;
mod record;
mod request;
mod services;
mod settings_document;
mod settings_file;
#[cfg(test)]
mod stage;
mod telegram;
#[cfg(test)]
mod tests;
mod unread_keys;

pub(crate) use checklist::{Checklist, SetupFinding, SetupItem, SetupStanding};
pub(crate) use environment::Environment;
pub(crate) use onboard::{OnboardReport, onboard};
pub(crate) use request::OnboardRequest;
pub(crate) use unread_keys::ReadKeys;
