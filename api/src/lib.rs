//! Everfold.
#![forbid(unsafe_code)]
