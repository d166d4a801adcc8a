//! `debug --dap`: an editor's debugger steps through the history of a run, by the Debug Adapter Protocol.
//!
//! Laws:
//! - Nothing is executed and nothing is written: a client of the routes, as the debugger on the terminal is.
//! - Standard output has frames of the protocol and nothing else.
//! - What an answer holds is bounded, however large a state, a history or a log is.
//!
//! [`frames`] reads and writes frames, [`session`] takes them in turn while a [`travel`] goes on, [`dispatch`] finds who
//! answers. [`adapter`] is what is known of the session; [`history`] asks for events and states, by [`routes`].

mod adapter;
mod arguments;
mod attempt_output;
mod breakpoint_requests;
mod breakpoints;
mod console;
mod definition_yaml;
mod dispatch;
mod evaluate;
mod frames;
mod history;
mod inspect;
mod launch;
mod movement;
mod pipeline_text;
mod protocol;
mod routes;
mod session;
mod stack;
#[cfg(test)]
mod tests;
mod travel;
mod variables;

pub(super) use session::run;
