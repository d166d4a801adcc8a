//! The command line, seen from outside: the real program, real folders, real processes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alike;
mod answers;
mod bad_input;
mod codes;
mod contexts;
mod edge;
mod errors;
mod lines;
mod order;
mod owners;
mod ownership;
mod people;
mod poison;
mod reach;
mod remote;
mod roles;
mod runs;
mod steps;
mod support;
mod texts;
mod verbs;
mod views;
