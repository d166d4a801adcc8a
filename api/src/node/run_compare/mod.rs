//! Two runs, or two moments of one, laid beside each other.

mod aligned;
mod divergence;
mod gates_apart;
mod rounds;
