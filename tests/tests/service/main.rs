//! The service with real processes: the program serves, is killed and serves again; programs write, read and
//! follow over REST, and afterwards the log is compared with what they were told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod deliveries;
mod ending;
mod example;
mod load;
mod place;
mod streams;
mod traces;
