//! Deliveries as services send them.

use everfold_base::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::content::Headers;
use super::read::{DeliveryReadError, SIGNED_BYTES_MAX, read};
use super::reply::AwaitedReply;
use super::settings::{HookSettings, ReaderKind};
use super::signature::{SignatureError, check, is_claimed};
use crate::provider::TokenSource;
use everfold_base::json::{JsonText, Value};
use everfold_core::hooks::{BODY_BYTES_MAX, DeliveryReceived};

pub(super) fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn settings(text: &str) -> HookSettings {
    let mut settings: HookSettings = toml::from_str(text).unwrap();
    settings.check("x", std::path::Path::new("/")).unwrap();
    settings
}

pub(super) fn of(kind: &str, pairs: &[(&str, &str)], body: Value) -> DeliveryReceived {
    let settings = settings(&format!("reader = \"{kind}\""));
    read(&settings, &headers(pairs), body.to_string().as_bytes(), None).unwrap()
}

#[test]
fn l28_each_reader_knows_its_services_id_event_sender_and_subject() {
    let push = json!({
        "ref": "refs/heads/feature/a", "after": "c0ffee", "sender": {"login": "ada"},
        "repository": {"full_name": "team/app"},
    });
    let pull = json!({
        "action": "opened", "number": 7, "sender": {"login": "ada"}, "repository": {"full_name": "team/app"},
        "pull_request": {"number": 7, "title": "Add it", "head": {"ref": "f", "sha": "beef"}},
    });
    let merge = json!({
        "object_kind": "merge_request", "user": {"username": "ada"}, "project": {"path_with_namespace": "team/app"},
        "object_attributes": {"iid": 7, "title": "Add it", "action": "merge", "source_branch": "f", "last_commit": {"id": "beef"}},
    });
    let issue = json!({
        "event": "issue", "action": "updated", "data": {"sequence_id": 12, "name": "Dark mode", "state": {"name": "Started"}, "project": "p1"},
        "activity": {"field": "state_id", "actor": {"display_name": "ada"}},
    });
    let gitea = [("x-gitea-delivery", "g1"), ("x-gitea-event", "push")];
    let github = [("x-github-delivery", "h1"), ("x-github-event", "pull_request")];
    let gitlab = [("x-gitlab-event-uuid", "l1"), ("x-gitlab-event", "Merge Request Hook")];
    let plane = [("x-plane-delivery", "p1"), ("x-plane-event", "issue")];
    for (kind, pairs, body, id, name, about) in [
        (
            "gitea",
            &gitea,
            push,
            "g1",
            "push",
            json!({"repository": "team/app", "branch": "feature/a", "commit": "c0ffee"}),
        ),
        (
            "github",
            &github,
            pull,
            "h1",
            "pull_request",
            json!({"action": "opened", "repository": "team/app", "branch": "f", "commit": "beef", "number": "7", "title": "Add it"}),
        ),
        (
            "gitlab",
            &gitlab,
            merge,
            "l1",
            "merge_request",
            json!({"action": "merge", "repository": "team/app", "branch": "f", "commit": "beef", "number": "7", "title": "Add it"}),
        ),
        (
            "plane",
            &plane,
            issue,
            "p1",
            "issue",
            json!({"action": "updated", "number": "12", "title": "Dark mode", "project": "p1", "state": "Started", "field": "state_id"}),
        ),
    ] {
        let found = of(kind, pairs, body);
        assert_eq!((found.id.as_str(), found.name.as_deref()), (id, Some(name)), "{kind}");
        assert_eq!(found.sender.as_deref(), Some("ada"), "{kind}");
        assert_eq!(found.about.value(), about, "{kind}");
    }
}

#[test]
fn ov14_an_update_of_a_bot_tells_the_button_its_verb_its_target_and_who_pressed_it() {
    let pressed = json!({"update_id": 4711, "callback_query": {
        "id": "4382bfdwdsb323b2d9", "from": {"id": 42, "is_bot": false, "first_name": "Ada", "username": "ada"},
        "message": {"message_id": 17, "date": 1_800_000_000, "chat": {"id": -100_123, "type": "supergroup"}, "text": "ready"},
        "chat_instance": "1", "data": "approve:plane:7a79",
    }});
    let found = of("telegram", &[], pressed);
    assert_eq!(
        (found.id.as_str(), found.name.as_deref(), found.sender.as_deref()),
        ("4711", Some("callback_query"), Some("42"))
    );
    let about = json!({
        "data": "approve:plane:7a79", "verb": "approve", "target": "plane:7a79", "message": "17", "chat": "-100123",
        "text": "ready", "username": "ada",
    });
    assert_eq!(found.about.value(), about);

    let said = |text: &str| {
        let message = json!({"message_id": 18, "from": {"id": 43}, "chat": {"id": 43}, "text": text});
        of("telegram", &[], json!({"update_id": 4712, "message": message}))
    };
    let found = said("/approve@orch_bot  ET-018 ");
    assert_eq!((found.name.as_deref(), found.sender.as_deref()), (Some("message"), Some("43")));
    let about = found.about.value();
    assert_eq!((&about["verb"], &about["target"]), (&json!("approve"), &json!("ET-018")));
    assert_eq!(said("well: done").about.value().get("verb"), None, "a word is no command");
    let data = |data: &str| {
        let update = json!({"update_id": 1, "callback_query": {"id": "q", "from": {"id": 1}, "data": data}});
        of("telegram", &[], update).about.value()
    };
    assert_eq!(data("stop"), json!({"data": "stop", "verb": "stop"}));
    assert_eq!(of("telegram", &[], json!({"update_id": 5})).name, None);
}

#[test]
fn ov14_only_a_pressed_button_waits_for_an_answer_and_it_fits() {
    let telegram = settings("reader = \"telegram\"\nsignature = \"none\"");
    let update =
        json!({"update_id": 1, "callback_query": {"id": "q7", "from": {"id": 1}, "data": "x"}}).to_string();
    let reply = AwaitedReply::of(&telegram, update.as_bytes()).unwrap();
    let said = reply.body(&"щ".repeat(300), true);
    assert_eq!((&said["method"], &said["callback_query_id"]), (&json!("answerCallbackQuery"), &json!("q7")));
    assert_eq!((said["text"].as_str().unwrap().chars().count(), &said["show_alert"]), (200, &json!(true)));
    assert!(said["text"].as_str().unwrap().ends_with("щ…"));
    assert_eq!(reply.body("done", false)["text"], "done");
    let message = json!({"update_id": 1, "message": {"message_id": 1, "text": "x"}}).to_string();
    assert_eq!(AwaitedReply::of(&telegram, message.as_bytes()), None);
    assert_eq!(AwaitedReply::of(&HookSettings::default(), update.as_bytes()), None, "of another reader");
}

#[test]
fn l28_a_generic_source_is_read_where_the_settings_say() {
    let settings = settings("id = \"body.data.uid\"\nname = \"headers.X-Kind\"\nsender = \"body.by.0.name\"");
    let body = json!({"data": {"uid": 42}, "by": [{"name": "ada"}]});
    let pairs =
        [("x-kind", "moved"), ("x-token", "s3cret"), ("authorization", "Bearer x"), ("user-agent", "curl")];
    let found = read(&settings, &headers(&pairs), body.to_string().as_bytes(), None).unwrap();
    assert_eq!(
        (found.id.as_str(), found.name.as_deref(), found.sender.as_deref()),
        ("42", Some("moved"), Some("ada"))
    );
    assert_eq!(found.headers, headers(&[("x-kind", "moved"), ("user-agent", "curl")]), "no secret is kept");
    let found = read(&settings, &headers(&[]), body.to_string().as_bytes(), Some("mine")).unwrap();
    assert_eq!(found.id, "mine");
}

#[test]
fn l28_without_an_id_equal_bodies_are_one_delivery() {
    let (one, same, other) = (
        of("generic", &[], json!({"a": 1})),
        of("generic", &[], json!({"a": 1})),
        of("generic", &[], json!({"a": 2})),
    );
    assert_eq!(one.id, same.id);
    assert_ne!(one.id, other.id);
}

#[test]
fn l28_deliveries_of_one_body_whose_ids_are_too_long_are_two() {
    let (first, second) = ("a".repeat(300), "b".repeat(300));
    let id = |id: &str| of("plane", &[("x-plane-delivery", id)], json!({"a": 1})).id;
    assert_ne!(id(&first), id(&second));
    assert_eq!(id(&first), id(&first));
}

#[test]
fn l28_what_is_no_json_or_too_large_is_refused() {
    let settings = HookSettings::default();
    let refused = |raw: &[u8]| read(&settings, &headers(&[]), raw, None).unwrap_err();
    assert!(matches!(refused(b"payload=%7B"), DeliveryReadError::NoJson(_)));
    assert_eq!(
        refused(&vec![b' '; BODY_BYTES_MAX + 1]),
        DeliveryReadError::TooLarge { bytes: BODY_BYTES_MAX + 1, allowed: BODY_BYTES_MAX }
    );
    assert_eq!(read(&settings, &headers(&[]), b"", None).unwrap().body, JsonText::null());
}

#[test]
fn the_long_texts_of_a_large_signed_delivery_are_cut_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Some(TokenSource::File(folder.path().join("secret")));
    let settings = HookSettings { reader: ReaderKind::Plane, secret, ..HookSettings::default() };
    let issue = |bytes: usize| {
        let html = format!("<p>A page that is dark at night. {}</p>", "ж".repeat(bytes / 4));
        json!({"event": "issue", "data": {"id": "i1", "name": "Dark mode", "description_html": html,
            "description_stripped": html, "project": "p1"}})
    };
    let raw = issue(1_900_000).to_string();
    assert!(raw.len() > BODY_BYTES_MAX);
    let kept = read(&settings, &headers(&[]), raw.as_bytes(), None).unwrap();
    let about = kept.about.value();
    assert!(about["description"].as_str().unwrap().contains("A page that is dark at night."));
    assert_eq!((&about["title"], &about["issue"]), (&json!("Dark mode"), &json!("i1")));
    let body = kept.body.value();
    assert!(body["data"]["description_html"].as_str().unwrap().ends_with("bytes cut]"), "it is said");
    assert!(kept.body.as_str().len() < BODY_BYTES_MAX / 2);

    let beyond = issue(SIGNED_BYTES_MAX * 2).to_string();
    let refused = read(&settings, &headers(&[]), beyond.as_bytes(), None).unwrap_err();
    assert_eq!(refused, DeliveryReadError::TooLarge { bytes: beyond.len(), allowed: SIGNED_BYTES_MAX });
    let many: Vec<String> = vec!["x".repeat(1_000); 2_000];
    let refused = read(&settings, &headers(&[]), json!(many).to_string().as_bytes(), None).unwrap_err();
    assert!(matches!(refused, DeliveryReadError::TooLargeCut(_)), "{refused}");
    let unsigned = read(&HookSettings::default(), &headers(&[]), raw.as_bytes(), None).unwrap_err();
    assert_eq!(unsigned, DeliveryReadError::TooLarge { bytes: raw.len(), allowed: BODY_BYTES_MAX });
}

#[test]
fn control_characters_of_an_issue_are_left_out() {
    let body = json!({"event": "issue", "data": {"id": "i1", "name": "Dark\u{0} mode\u{1b}",
        "description_stripped": "A page\u{0}\nthat is\tdark at night"}});
    let about = of("plane", &[], body).about.value();
    assert_eq!(about["title"], "Dark mode");
    assert_eq!(about["description"], "A page\nthat is\tdark at night");
}

fn digits(secret: &str, parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn l28_a_delivery_is_believed_only_with_the_secret_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hush\n").unwrap();
    let now = Timestamp(1_800_000_000_000);
    let body = r#"{"a":1}"#;
    let right = digits("hush", &[body]);
    let wrong = digits("other", &[body]);
    for (reader, name, prefix) in [
        ("gitea", "x-gitea-signature", ""),
        ("github", "x-hub-signature-256", "sha256="),
        ("plane", "x-plane-signature", ""),
        ("generic", "x-signature", "sha256="),
        ("generic", "everfold-signature", "sha256="),
    ] {
        let settings =
            settings(&format!("reader = \"{reader}\"\nsecret = {{ file = \"{}\" }}", file.display()));
        let try_it = |value: &str| check(&settings, &headers(&[(name, value)]), body.as_bytes(), now);
        try_it(&format!("{prefix}{right}")).unwrap();
        assert!(matches!(try_it(&format!("{prefix}{wrong}")), Err(SignatureError::Wrong)), "{reader}");
        assert!(matches!(try_it("sha256=zz"), Err(SignatureError::Malformed(_))), "{reader}");
        assert!(matches!(try_it(&right[..32]), Err(SignatureError::Wrong)), "{reader}: a part of it");
        let other_body = check(&settings, &headers(&[(name, &right)]), b"{}", now);
        assert!(matches!(other_body, Err(SignatureError::Wrong)));
        let none = check(&settings, &headers(&[]), body.as_bytes(), now).unwrap_err();
        assert!(none.is_of_sender() && none.to_string().contains("signature"), "{none}");
    }
    for (reader, name) in [("gitlab", "x-gitlab-token"), ("telegram", "x-telegram-bot-api-secret-token")] {
        let itself =
            settings(&format!("reader = \"{reader}\"\nsecret = {{ file = \"{}\" }}", file.display()));
        check(&itself, &headers(&[(name, "hush")]), b"", now).unwrap();
        is_claimed(&itself, &headers(&[(name, "hush")])).unwrap();
        for wrong in ["hus", "hushh", ""] {
            assert!(check(&itself, &headers(&[(name, wrong)]), b"", now).is_err());
            assert!(is_claimed(&itself, &headers(&[(name, wrong)])).is_err(), "before the body is read");
        }
        let kept = read(&itself, &headers(&[(name, "hush")]), b"{}", None).unwrap().headers;
        assert!(kept.is_empty(), "the secret is kept nowhere");
    }
    let unset = settings("reader = \"gitea\"");
    let error = check(&unset, &headers(&[("x-gitea-signature", &right)]), body.as_bytes(), now).unwrap_err();
    assert!(matches!(error, SignatureError::NoSecret) && !error.is_of_sender());
    check(&settings("signature = \"none\""), &headers(&[]), b"", now).unwrap();
}

#[test]
fn l28_a_signed_time_is_believed_within_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hush").unwrap();
    let text = format!("signature = \"timestamped\"\nsecret = {{ file = \"{}\" }}", file.display());
    let settings = settings(&text);
    let body = r#"{"a":1}"#;
    let right = digits("hush", &["1800000000", ".", body]);
    let other = digits("other", &["1800000000", ".", body]);
    let try_it = |value: &str, now: i64| {
        check(&settings, &headers(&[("stripe-signature", value)]), body.as_bytes(), Timestamp(now * 1_000))
    };
    try_it(&format!("t=1800000000,v1={right}"), 1_800_000_299).unwrap();
    try_it(&format!("t=1800000000,v1={other},v1={right}"), 1_799_999_900).unwrap();
    let late = try_it(&format!("t=1800000000,v1={right}"), 1_800_000_301);
    assert!(matches!(late, Err(SignatureError::TooOld(301))), "{late:?}");
    assert!(matches!(try_it(&format!("t=1800000001,v1={right}"), 1_800_000_000), Err(SignatureError::Wrong)));
    assert!(matches!(try_it(&format!("v1={right}"), 1_800_000_000), Err(SignatureError::Malformed(_))));
}

#[test]
fn the_header_that_the_settings_name_for_the_signature_is_kept_nowhere() {
    for scheme in ["gitlab", "generic"] {
        let settings = settings(&format!("signature = \"{scheme}\"\nheader = \"X-Monitor-Auth\""));
        let given = headers(&[("x-monitor-auth", "hush"), ("x-other", "shown")]);
        let delivery = read(&settings, &given, b"{}", None).unwrap();
        let kept: Vec<_> = delivery.headers.keys().collect();
        assert_eq!(kept, ["x-other"], "{scheme}");
    }
}

#[test]
fn a_delivery_that_would_be_read_as_another_one_is_refused() {
    let settings = settings("id = \"body.id\"");
    for body in [r#"{"id": 20000000000000000001}"#, r#"{"id": "x", "n": 1, "n": 2}"#] {
        let refused = read(&settings, &headers(&[]), body.as_bytes(), None);
        assert!(matches!(refused, Err(DeliveryReadError::NoJson(_))), "{body}: {refused:?}");
    }
}

#[test]
fn headers_that_hold_what_lets_their_reader_act_as_the_sender_are_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hush-hush-hush\n").unwrap();
    let text = format!(
        "name = \"headers.X-Event-Key\"\nsignature = \"none\"\nsecret = {{ file = \"{}\" }}",
        file.display()
    );
    let settings = settings(&text);
    let secret = [
        "x-functions-key",
        "ocp-apim-subscription-key",
        "x-access-key",
        "x-webhook-key",
        "x-api-key",
        "x-auth",
        "x-api-auth",
        "proxy-authorization",
        "x-client-secret",
        "x-token-id",
        "x-hub-signature-256",
        "cookie2",
        "x-basic-password",
        "x-amz-credential",
    ];
    let mut given = headers(&secret.map(|name| (name, "4711")));
    given.extend(headers(&[
        ("x-monitor", "hush-hush-hush"),
        ("x-scheme", "Monitor hush-hush-hush"),
        ("x-event-key", "repo:push"),
        ("x-github-event", "push"),
        ("x-request-id", "r1"),
        ("user-agent", "curl"),
    ]));
    let delivery = read(&settings, &given, b"{}", None).unwrap();
    let kept: Vec<_> = delivery.headers.keys().collect();
    assert_eq!(kept, ["user-agent", "x-event-key", "x-github-event", "x-request-id"]);
    assert_eq!(delivery.name.as_deref(), Some("repo:push"));
}

#[test]
fn what_says_which_delivery_it_is_is_read_also_from_headers_that_are_not_kept() {
    let pairs = [("x-gitlab-event-uuid", "l1"), ("x-gitlab-event", "Push Hook"), ("idempotency-key", "i1")];
    let found = of("gitlab", &pairs, json!({ "object_kind": "push" }));
    assert_eq!(found.id, "i1");
    assert_eq!(found.headers, headers(&pairs[..2]));
}

/// What triggers see of a delivery of Plane.
fn of_plane(event: &str, body: Value) -> Value {
    of("plane", &[("x-plane-delivery", "p1"), ("x-plane-event", event)], body).about.value()
}

#[test]
fn o104_a_state_is_read_as_an_object_and_as_a_text_and_what_is_missing_is_left_out() {
    let state = "e331bfb3-e17e-4699-ba48-4abb89c21b7b";
    let of = |data: Value| of_plane("issue", json!({"event": "issue", "action": "updated", "data": data}));
    let expanded = of(json!({"id": "i1", "state": {"id": state, "name": "In Progress", "group": "started"}}));
    assert_eq!(
        expanded,
        json!({"action": "updated", "issue": "i1", "state": "In Progress", "state_id": state})
    );
    let bare = of(json!({"id": "i1", "state": state}));
    assert_eq!(bare, json!({"action": "updated", "issue": "i1", "state": state, "state_id": state}));
    let nameless = of(json!({"id": "i1", "state": {"id": state}}));
    assert_eq!(nameless, bare);
    for (data, missing) in [
        (json!({"id": "i1"}), "state_id"),
        (json!({"id": "i1", "state": null}), "state_id"),
        (json!({"id": "i1", "state": {}}), "state_id"),
        (json!({"id": "i1", "state": ""}), "state_id"),
        (json!({"state": state}), "issue"),
        (json!({"id": null, "state": state}), "issue"),
        (Value::Null, "issue"),
    ] {
        assert_eq!(of(data.clone())[missing], Value::Null, "{data}");
    }
}

#[test]
fn o105_o109_the_project_the_issue_and_its_texts_are_read() {
    let issue = json!({
        "id": "i1", "name": "Dark mode", "sequence_id": 18, "project": "p1", "state": "s1",
        "description_html": "<p>For the <b>night</b></p><p>&amp; more</p>",
    });
    let actor = json!({"id": "u1", "display_name": "ada"});
    let body = |event: &str, data: &Value| json!({"event": event, "action": "updated", "data": data, "activity": {"field": "state", "actor": actor}});
    for name in ["issue", "work_item.updated"] {
        let seen = of_plane(name, body(name, &issue));
        let fields = ["project", "issue", "title", "description", "number", "sender_id", "field"];
        assert_eq!(
            fields.map(|field| seen[field].as_str().unwrap_or_default()),
            ["p1", "i1", "Dark mode", "For the night & more", "18", "u1", "state"],
            "{name}"
        );
    }
    let mut stripped = issue.clone();
    stripped["description_stripped"] = json!(" if a < b and c > d ");
    stripped["project"] = json!({"id": "p2", "name": "ORCH"});
    let seen = of_plane("issue", body("issue", &stripped));
    assert_eq!((&seen["description"], &seen["project"]), (&json!("if a < b and c > d"), &json!("p2")));
    stripped["description_stripped"] = json!("ж".repeat(30_000));
    let long = of_plane("issue", body("issue", &stripped));
    assert_eq!(long["description"].as_str().unwrap().chars().count(), 20_000);
    let partial = of_plane("issue", body("issue", &json!({"id": "i1", "description_html": "<p></p>"})));
    assert_eq!((&partial["title"], &partial["description"]), (&Value::Null, &Value::Null));

    let comment = json!({"id": "c1", "issue": "i1", "project": "p1", "comment_html": "<p>:approved:</p>"});
    let seen = of_plane("issue_comment", body("issue_comment", &comment));
    assert_eq!((&seen["issue"], &seen["state_id"]), (&json!("i1"), &Value::Null));
    let project = of_plane("project", body("project", &json!({"id": "p1", "name": "ORCH"})));
    assert_eq!(project["issue"], Value::Null, "its own id is none of an issue");
}

#[test]
fn what_a_proxy_calls_a_request_is_no_name_of_a_delivery() {
    let body = json!({ "same": 2 });
    let (one, other) = (
        of("generic", &[("x-request-id", "r1")], body.clone()),
        of("generic", &[("x-request-id", "r2")], body),
    );
    assert_eq!(one.id, other.id, "each try has another");
}

/// Programs of Windows write one. It was refused as a character that no JSON begins with.
#[test]
fn a_body_behind_a_byte_order_mark_is_read() {
    let marked = read(&settings(""), &headers(&[]), "\u{feff}{\"a\": 1}".as_bytes(), None).unwrap();
    assert_eq!(marked.body, JsonText::new(&json!({"a": 1})));
}
