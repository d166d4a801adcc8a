//! The pure core: laws over generated pipelines and input sequences, and rules one by one.

mod anew;
mod edge;
mod fan_out;
mod gates;
mod generate;
mod golden;
mod hands;
mod histories;
mod laws;
mod names;
mod order;
mod outbox;
mod people;
mod routes;
mod rules;
mod runs;
mod sentences;
mod spend;
mod tasks;
mod world;
