//! Two runs, or two moments of one, laid beside each other.

mod gates_apart;
mod rounds;
