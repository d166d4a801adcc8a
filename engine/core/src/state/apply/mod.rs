//! The fold: [`fold`] takes an event to what it changes; the other files have a family of events each.
//!
//! Law: every fact is accepted. A fact about something that is no longer current (an attempt that
//! was stopped, a gate of a reset round) counts the version and changes nothing else.

mod account;
mod admission;
mod attempt;
mod breakpoint;
mod cut;
mod definition;
mod fold;
mod fork;
mod gate;
mod items;
mod notice;
mod people;
mod question;
mod reminders;
mod signal;
mod spend;
mod step;
