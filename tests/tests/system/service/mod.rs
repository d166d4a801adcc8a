//! The service with real processes: the program serves, is killed and serves again; programs write, read and
//! follow over REST, and afterwards the log is compared with the answers that they got.

mod agent_example;
mod event_streams;
pub(crate) mod fixtures;
mod load;
mod python_example;
pub(crate) mod rest_client;
mod shutdown;
mod traces;
mod webhook_deliveries;
