//! `everfold` under another name: tests cannot see the binary of another package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    everfold_api::main_with_args(std::env::args_os())
}
