//! The program `everfold`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Decision 65 says what it saves. Embedding programs choose their own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    everfold_api::main_with_args(std::env::args_os())
}
