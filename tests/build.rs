//! Links the program under test as the program itself is linked: decision 67. Of an unoptimised build half a million addresses in
//! 6 MB would be written at each of the thousands of starts.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
