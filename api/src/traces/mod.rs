//! Runs as traces, sent by OTLP where the environment names a collector.

mod fold;
mod follow;
mod genai;
mod requests;
mod send;
mod sending;
mod span;
#[cfg(test)]
mod tests;

pub(crate) use sending::Traces;
