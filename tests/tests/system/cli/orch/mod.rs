//! The built-in pipeline `orch`, from outside: its length, its cases, its gates on real files, its prompts, its table of rules.

mod cases;
mod corpus;
mod corpus_ci;
mod corpus_golden;
mod deploy_logs;
mod gate_snapshot;
mod judged_rows;
mod prompts;
mod rules;
mod saved;
