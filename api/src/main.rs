//! The program `everfold`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A step is many small values that other threads give back: jemalloc takes a fifth less CPU for that than glibc does.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    everfold_api::main_with_args(std::env::args_os())
}
