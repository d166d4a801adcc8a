//! The program `everfold`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    everfold_api::main_with_args(std::env::args_os())
}
