//! Runs as traces, sent by OTLP where a build has the feature `otlp` and the environment names a collector.

#[cfg(feature = "otlp")]
mod fold;
#[cfg(feature = "otlp")]
mod follow;
#[cfg(feature = "otlp")]
mod genai;
#[cfg(feature = "otlp")]
mod requests;
#[cfg(feature = "otlp")]
mod send;
mod sending;
#[cfg(feature = "otlp")]
mod span;
#[cfg(all(test, feature = "otlp"))]
mod tests;

pub(crate) use sending::Traces;
