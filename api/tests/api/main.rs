//! The api from outside: routes over a store in memory, servers over real sockets, the document, programs that embed.
//!
//! One binary: no test changes the environment, the current directory or a limit of the process. `embedding` starts this
//! very binary once more, as the program that embeds; `ops` starts `everfold` itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent_tools;
mod answers;
mod artefacts;
mod awaited_ends;
mod bisect;
mod buttons;
mod case_refusals;
mod credentials;
mod decided_by_other_ways;
mod document;
mod document_examples;
mod embedded_owners;
mod embedding;
mod event_follower;
mod event_streams;
mod filters;
mod fixtures;
mod free_branches;
mod generated_requests;
mod gone_clients;
mod hosts_and_origins;
mod idempotency;
mod inbox_of_forks;
mod insights;
mod lists_and_forms;
mod lost_answers;
mod machine_output;
mod names_with_credentials;
mod notices;
mod numbered_runs;
mod ops;
mod past_states;
mod pipeline_cases;
mod pipeline_checks;
mod pipeline_stats;
mod readiness;
mod rechecks;
mod replay_by_definition;
mod request_forms;
mod routes;
mod run_comparison;
mod run_pages;
mod run_shapes;
mod schema_mirrors;
mod shared_budgets;
mod slow_clients;
mod sql;
mod sql_documents;
mod sql_reads;
mod staged_tasks;
mod stats;
mod titles;
mod tls_clients;
mod tokens_and_roles;
mod verification;
mod webhook_handshake;
mod why;

use everfold_engine as engine;
