//! The fixtures of `everfold-workflows` that the tests of real executors need.

#[path = "../../../workflows/tests/fixtures/fake_server.rs"]
pub mod fake_server;
#[path = "../../../workflows/tests/fixtures/fake_services.rs"]
pub mod fake_services;
#[path = "../../../workflows/tests/fixtures/home.rs"]
pub mod home;
#[path = "../../../workflows/tests/fixtures/program.rs"]
pub mod program;
#[path = "../../../workflows/tests/fixtures/workspace_at_service.rs"]
pub mod workspace_at_service;
