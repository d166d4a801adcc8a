//! The command line, seen from outside: the real program, real folders, real processes.

mod codes;
mod errors;
mod owners;
mod support;
mod texts;
mod verbs;
