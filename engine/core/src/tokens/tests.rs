//! Tokens and sessions over their whole life: limits, expiry, revocation, stored bytes.

use super::access::AccessRegistry;
use super::event::{AccessEvent, CallRefused, SessionClosed, SessionOpened, TokenCreated, TokenRevoked};
use super::limits::{SESSIONS_MAX, TOKEN_SESSIONS_MAX};
use super::refusal::{AccessRefusal, NotLetIn};
use super::role::Role;
use crate::aggregate::{Aggregate, EventStamp, stored_text};
use everfold_base::actor::Actor;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

fn at(millis: i64) -> Timestamp {
    Timestamp(millis)
}

fn fold(access: &mut AccessRegistry, event: &AccessEvent, now: i64) {
    let (kind, schema, bytes) = AccessRegistry::encode(event).unwrap();
    let read = AccessRegistry::decode(kind, schema, &bytes).unwrap();
    assert_eq!(&read, event, "read back as it was written");
    access.apply(&read, &EventStamp { by: &Actor::Engine, at: at(now) });
}

fn token(name: &str, expires: Option<i64>) -> TokenCreated {
    TokenCreated {
        name: name.into(),
        role: Role::Operator,
        approves: vec!["product".into()],
        hash: Hash::of(name.as_bytes()),
        expires_at: expires.map(at),
    }
}

#[test]
fn a_token_lets_in_until_it_expires_or_is_revoked_and_its_sessions_with_it() {
    let mut access = AccessRegistry::default();
    for (name, expires) in [("ci", Some(100)), ("ada", None)] {
        let event = access.create(token(name, expires), at(1)).unwrap();
        fold(&mut access, &event, 1);
    }
    let (ci, ada) = (Hash::of(b"ci"), Hash::of(b"ada"));
    assert_eq!(access.token_of(&ci, at(99)).unwrap().name, "ci");
    assert_eq!(access.token_of(&ci, at(100)), Err(NotLetIn::Expired("ci".into())));
    assert_eq!(access.token_of(&Hash::of(b"x"), at(1)), Err(NotLetIn::Unknown));

    let session = Hash::of(b"session");
    let opened = access.open("ci", session, at(1_000), at(50)).unwrap();
    fold(&mut access, &opened, 50);
    assert_eq!(access.session_of(&session, at(60)).unwrap().1, at(100), "a session ends with its token");
    let opened = access.open("ada", ada, at(1_000), at(50)).unwrap();
    fold(&mut access, &opened, 50);
    assert!(access.session_of(&ada, at(999)).is_ok());
    let revoked = access.revoke("ada", None).unwrap().unwrap();
    fold(&mut access, &revoked, 60);
    assert_eq!(access.session_of(&ada, at(70)), Err(NotLetIn::SessionOver));
    assert_eq!(access.token_of(&ada, at(70)), Err(NotLetIn::Revoked("ada".into())));
    assert_eq!(access.revoke("ada", None), Ok(None), "the same again is no event");
}

#[test]
fn a_name_is_given_once_for_ever() {
    let mut access = AccessRegistry::default();
    let event = access.create(token("ci", None), at(1)).unwrap();
    fold(&mut access, &event, 1);
    let event = access.revoke("ci", Some("leaked".into())).unwrap().unwrap();
    fold(&mut access, &event, 2);
    assert_eq!(access.create(token("ci", None), at(3)), Err(AccessRefusal::NameTaken("ci".into())));
    for name in ["", "a b", "a/b", &"x".repeat(65)] {
        assert_eq!(access.create(token(name, None), at(3)), Err(AccessRefusal::BadName(name.into())));
    }
    assert_eq!(access.create(token("new", Some(3)), at(3)), Err(AccessRefusal::ExpiresInThePast));
    assert_eq!(access.revoke("who", None), Err(AccessRefusal::NoToken("who".into())));
}

#[test]
fn sessions_are_bounded_and_the_one_that_ends_first_makes_room() {
    let mut access = AccessRegistry::default();
    let name = |n: usize| format!("t{}", n / TOKEN_SESSIONS_MAX);
    let hash = |n: usize| Hash::of(&n.to_le_bytes());
    for n in 0..=SESSIONS_MAX {
        if n % TOKEN_SESSIONS_MAX == 0 {
            let event = access.create(token(&name(n), None), at(1)).unwrap();
            fold(&mut access, &event, 1);
        }
        let until = at(1_000 + i64::try_from(n).unwrap());
        let opened = access.open(&name(n), hash(n), until, at(2)).unwrap();
        fold(&mut access, &opened, 2);
    }
    assert!(access.session_of(&hash(0), at(3)).is_err());
    assert!(access.session_of(&hash(1), at(3)).is_ok());
    let closed = access.close(hash(1)).unwrap();
    fold(&mut access, &closed, 4);
    assert!(access.session_of(&hash(1), at(5)).is_err());
    assert_eq!(access.close(hash(1)), None);
}

#[test]
fn a_token_that_opens_many_sessions_closes_its_own_and_no_others() {
    let mut access = AccessRegistry::default();
    for name in ["ada", "vic"] {
        let event = access.create(token(name, None), at(1)).unwrap();
        fold(&mut access, &event, 1);
    }
    let opened = access.open("ada", Hash::of(b"ada"), at(500), at(2)).unwrap();
    fold(&mut access, &opened, 2);
    let hash = |n: usize| Hash::of(&n.to_le_bytes());
    for n in 0..2 * SESSIONS_MAX {
        let until = at(1_000 + i64::try_from(n).unwrap());
        let opened = access.open("vic", hash(n), until, at(2)).unwrap();
        fold(&mut access, &opened, 2);
    }
    assert!(access.session_of(&Hash::of(b"ada"), at(3)).is_ok());
    let last = 2 * SESSIONS_MAX - 1;
    assert!(access.session_of(&hash(last - TOKEN_SESSIONS_MAX + 1), at(3)).is_ok());
    assert!(access.session_of(&hash(last - TOKEN_SESSIONS_MAX), at(3)).is_err());
}

#[test]
fn the_stored_bytes_stay() {
    let hash = Hash([7; 32]);
    let created = AccessEvent::TokenCreated(TokenCreated {
        name: "ci".into(),
        role: Role::Operator,
        approves: vec!["product".into()],
        hash,
        expires_at: Some(Timestamp(5)),
    });
    let revoked = AccessEvent::TokenRevoked(TokenRevoked { name: "ci".into(), reason: Some("lost".into()) });
    let opened =
        AccessEvent::SessionOpened(SessionOpened { hash, token: "ci".into(), expires_at: Timestamp(6) });
    let closed = AccessEvent::SessionClosed(SessionClosed { hash });
    let route = "POST /api/v1/runs".to_owned();
    let refused = AccessEvent::CallRefused(CallRefused { route, needed: Role::Admin, times: 2 });
    let stored = [
        stored_text::<AccessRegistry>(&created),
        stored_text::<AccessRegistry>(&revoked),
        stored_text::<AccessRegistry>(&opened),
        stored_text::<AccessRegistry>(&closed),
        stored_text::<AccessRegistry>(&refused),
    ];
    assert_eq!(
        stored,
        [
            "30/1/02000000000000006369020000000100000000000000070000000000000070726f647563740707070707070707070707070707070707070707070707070707070707070707010500000000000000",
            "31/1/020000000000000063690104000000000000006c6f7374",
            "32/1/0707070707070707070707070707070707070707070707070707070707070707020000000000000063690600000000000000",
            "33/1/0707070707070707070707070707070707070707070707070707070707070707",
            "34/1/1100000000000000504f5354202f6170692f76312f72756e730400000002000000",
        ]
    );
}
