//! Readiness on a full disk: a small tmpfs. Needs root; elsewhere it says so, loudly, and passes; with
//! `EVERFOLD_REQUIRE_FULL_DISK=1` it fails instead.
//!
//! The room of the journal is laid out ahead. While it lasted `/readyz` said `ready`, though every start was refused (507):
//! its definition could not be kept.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use everfold_api::node::Readiness;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixtures::server::Served;

/// A mounted tmpfs, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=16m", "everfold-test"]).arg(folder).output();
        let mount = mount.map_err(|error| format!("mount: {error}"))?;
        match mount.status.success() {
            true => Ok(Self(folder.to_owned())),
            false => Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

async fn readiness(served: &Served) -> (u16, Value) {
    let mut stream = TcpStream::connect(served.server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn s7_readiness_says_that_the_disk_is_full_until_there_is_room() {
    let served = Served::new(|_| {}).await;
    served.held.node().set_readiness(Readiness::Ready);
    assert_eq!(readiness(&served).await, (200, json!({ "ready": true, "state": "ready" })));
    let folder = served.held.node().layout().root().to_owned();
    let _disk = match SmallDisk::at(&folder) {
        Ok(disk) => disk,
        Err(why) => {
            let required = std::env::var("EVERFOLD_REQUIRE_FULL_DISK").is_ok_and(|value| value == "1");
            assert!(!required, "the full-disk test is required and cannot run: {why}");
            eprintln!("\n*** THE FULL-DISK TEST DID NOT RUN: it needs root and tmpfs ({why}) ***\n");
            return;
        }
    };
    assert_eq!(readiness(&served).await.0, 200);
    let filler = folder.join(".filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&vec![0; 1 << 16]).is_ok() {}
    let (status, body) = readiness(&served).await;
    assert_eq!((status, &body["ready"], &body["state"]), (503, &json!(false), &json!("full")), "{body}");
    assert!(body["why"].as_str().unwrap().contains("the disk is full"), "{body}");
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(readiness(&served).await.0, 200);
}
