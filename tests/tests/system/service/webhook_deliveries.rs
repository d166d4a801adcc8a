//! Deliveries of webhooks from one address: many at once, and some without a signature.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::fixtures::Place;

const SECRET: &str = "secret-of-the-forge";
const SETTINGS: &str =
    "[hooks.forge]\nreader = \"generic\"\nsignature = \"gitlab\"\nsecret = { env = \"FORGE_SECRET\" }\n";

fn place() -> Place {
    Place::with(SETTINGS, vec![("FORGE_SECRET", SECRET.to_owned())])
}

/// Sends the head of a delivery, and what there is of its body.
fn begin(place: &Place, secret: Option<&str>, length: usize, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&place.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let signed = secret.map(|secret| format!("x-gitlab-token: {secret}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /api/v1/hooks/forge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n{signed}content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

fn status(mut stream: TcpStream) -> u16 {
    let mut answer = Vec::new();
    // One that is refused before its end may be hung up on.
    let _cut = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer}")).parse().unwrap()
}

/// A page in a browser can send a delivery as well as a service can; who is behind it, a signature alone tells.
#[test]
fn row_57_a_page_of_another_host_delivers_nothing_to_a_source_that_nobody_signs_for() {
    const OPEN: &str = "[hooks.open]\nreader = \"generic\"\nsignature = \"none\"\n";
    let place = Place::with(&format!("{SETTINGS}{OPEN}"), vec![("FORGE_SECRET", SECRET.to_owned())]);
    let deliver = |source: &str, head: &str| {
        let mut stream = TcpStream::connect(&place.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!(
            "POST /api/v1/hooks/{source} HTTP/1.1\r\ncontent-type: application/json\r\nconnection: close\r\n{head}content-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        status(stream)
    };
    assert_eq!(deliver("open", "host: localhost\r\norigin: http://evil.example\r\n"), 403);
    assert_eq!(deliver("open", "host: localhost\r\nsec-fetch-site: cross-site\r\n"), 403);
    assert_eq!(deliver("open", "host: evil.example\r\n"), 421);
    assert_eq!(deliver("open", "host: localhost\r\n"), 202, "a service says neither");
    let signed = format!("host: localhost\r\norigin: http://evil.example\r\nx-gitlab-token: {SECRET}\r\n");
    assert_eq!(deliver("forge", &signed), 202, "its signature says more than its origin");
    assert_eq!(deliver("forge", "host: localhost\r\norigin: http://evil.example\r\n"), 401);
}

/// 16 senders at once, each with its share of these.
fn burst(place: &Place, count: usize, secret: &str) -> Vec<u16> {
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..16)
            .map(|sender| {
                scope.spawn(move || {
                    let mine = (0..count).filter(|n| n % 16 == sender);
                    mine.map(|n| {
                        let body = format!("{{\"n\": {n}}}");
                        status(begin(place, Some(secret), body.len(), &body))
                    })
                    .collect::<Vec<_>>()
                })
            })
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    })
}

/// 295 of 400 were refused with 429.
#[test]
fn row_55_rightly_signed_deliveries_are_not_held_up_by_the_rate_for_strangers_and_others_are() {
    let place = place();
    let statuses = burst(&place, 400, SECRET);
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    let statuses = burst(&place, 400, "a-guess");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    // Guesses keep no signed delivery out.
    assert_eq!(burst(&place, 16, SECRET).len(), 16);
}

/// Bodies of any sender were taken in before anything was looked at: some 2.7 GB per address.
#[test]
fn row_53_a_delivery_that_is_not_signed_is_refused_before_its_body_comes() {
    let place = place();
    assert_eq!(status(begin(&place, None, 1_000_000, "{")), 401);
    assert_eq!(status(begin(&place, Some("a-guess"), 1_000_000, "{")), 401);
    let large = format!("\"{}\"", "x".repeat(5 * 1024 * 1024));
    assert_eq!(status(begin(&place, Some(SECRET), large.len(), &large[..4_500_000])), 413);
}
