//! O198: with credentials that look alive, the walk calls nothing but loopback.
//!
//! One walk is walked once more in a network of its own, where loopback is all there is. The kernel counts there what would
//! have gone anywhere else: connections and questions for names. The server and its agents have the credentials, and the walk
//! itself asserts that.

use std::process::Command;

use super::world::{LIVE, TRAPPED};

/// `$0`: this program, `$@`: its arguments.
const TRAP: &str = r#"
python3 -c '
import fcntl, socket, struct
loopback = struct.pack("16sh", b"lo", 0x1 | 0x40)
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, loopback)' || exit 90
count() {
  python3 -c '
lines = [line.split() for line in open("/proc/net/snmp") if line.startswith("Ip:")]
old = int(dict(zip(*lines))["OutNoRoutes"])
new = sum(int(line.split()[1]) for line in open("/proc/net/snmp6") if line.startswith("Ip6OutNoRoutes"))
print(old + new)'
}
[ "$(count)" = 0 ] || exit 91
"$0" "$@" || exit 92
[ "$(count)" = 0 ] || { echo "there were $(count) calls beyond loopback" >&2; exit 93; }
# The trap itself: a call beyond loopback is counted.
python3 -c 'import socket; socket.create_connection(("192.0.2.1", 443), 1)' 2> /dev/null
[ "$(count)" != 0 ] || exit 94
"#;

#[test]
fn o198_with_live_credentials_nothing_is_called_but_loopback() {
    let can = Command::new("unshare").args(["--net", "--map-root-user", "true"]).output();
    if !can.is_ok_and(|done| done.status.success()) {
        assert!(std::env::var_os("EVERFOLD_REQUIRE_TRIPWIRE").is_none(), "no network of its own can be made");
        eprintln!("SKIPPED: o198 needs `unshare --net`, which this machine does not allow");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user", "sh", "-c", TRAP]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "orch::walk::an_issue_goes_from_in_progress_to_done", "--nocapture"]);
    for name in LIVE {
        command.env(name, "alive-and-well-0123456789");
    }
    command.env(TRAPPED, "1");
    command.env("OTEL_SDK_DISABLED", "true");
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}: {said}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("1 passed"), "the walk was walked: {said}");
}
