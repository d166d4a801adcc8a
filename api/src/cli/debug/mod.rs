//! `debug`: a run event by event, full-screen on a terminal; elsewhere where it stands, in lines.
//!
//! Law: a client of the routes as every verb is, with the keys of the pages' debugger. [`model`], [`tree`], [`window`],
//! [`side`] and [`screen`] are pure: keys and answers change the model, the model names what to ask next, and the
//! screen draws it. [`dap`] is the same for editors. [`loader`] asks, [`terminal`] has the terminal and gives it back however the verb ends.

mod answers;
mod confirm;
mod dap;
mod keys;
mod layout;
mod loader;
mod log_view;
mod map;
mod model;
mod plain;
mod popup;
mod requests;
mod screen;
mod session;
mod side;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod today;
mod tree;
mod verb;
mod window;

pub(super) use verb::run;
