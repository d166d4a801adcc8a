//! The command line, seen from outside: the real program, real folders, real processes.

mod answers;
mod bad_input;
mod child_runs_and_slots;
mod codes;
mod contexts;
mod engine_aborts;
mod engine_access;
mod errors;
mod evidence;
mod first_day;
mod fixtures;
mod folder_damage;
mod folder_owner;
mod human_tasks;
mod log_lines;
mod pipeline_cases;
mod preflight;
mod redaction;
mod remote;
mod roles;
mod same_everywhere;
mod secrets_and_worktrees;
mod signals_and_pauses;
mod texts;
mod verbs;
mod views;
