//! Links the program under test at a fixed address. Tests start it thousands of times, and each time the loader would write
//! half a million addresses into 6 MB of it first: more than half of what the start of an unoptimised build takes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
