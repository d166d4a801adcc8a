//! The pages in a real browser: `tests/browser/*.test.mjs`, which drive the real program and Chromium.
//!
//! They need `node`, its packages (`npm ci --prefix tests/browser`) and Chromium. With `EVERFOLD_REQUIRE_BROWSER` they
//! must be there; elsewhere the test says loudly that it looked at nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program on the PATH.
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let in_folder =
        |folder: PathBuf| names.iter().map(|name| folder.join(name)).find(|program| program.is_file());
    std::env::split_paths(&path).find_map(in_folder)
}

/// What the tests need, or what is missing.
fn needed(folder: &Path) -> Result<(PathBuf, OsString), String> {
    let node = found(&["node"]).ok_or("node")?;
    let chromium = std::env::var_os("EVERFOLD_CHROMIUM")
        .or_else(|| found(&["chromium", "chromium-browser", "google-chrome"]).map(PathBuf::into_os_string))
        .ok_or("chromium")?;
    if !folder.join("node_modules/playwright-core").is_dir() {
        return Err("the packages of tests/browser (npm ci --prefix tests/browser)".to_owned());
    }
    Ok((node, chromium))
}

#[test]
fn the_pages_hold_in_a_real_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let (node, chromium) = match needed(&folder) {
        Ok(found) => found,
        Err(missing) => {
            assert!(
                std::env::var_os("EVERFOLD_REQUIRE_BROWSER").is_none(),
                "the browser's tests need {missing}"
            );
            eprintln!("SKIPPED: no page was looked at in a browser, since this machine lacks {missing}");
            return;
        }
    };
    let mut tests: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    tests.sort();
    assert!(!tests.is_empty());
    let done = Command::new(node)
        .args(["--test", "--test-concurrency=2", "--test-reporter=spec"])
        .args(tests)
        .current_dir(&folder)
        .env("EVERFOLD_PROGRAM", env!("CARGO_BIN_EXE_everfold-under-test"))
        .env("EVERFOLD_CHROMIUM", chromium)
        .env_remove("EVERFOLD_DIR")
        .env_remove("EVERFOLD_SERVER")
        .env_remove("NODE_OPTIONS")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
}
