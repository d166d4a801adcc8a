//! Events of CloudEvents as their senders write them.

use everfold_base::json::Value;
use serde_json::json;

use crate::hook::read::read;
use crate::hook::tests::{headers, of, settings};

#[test]
fn an_event_is_read_alike_whether_its_attributes_stand_in_headers_or_beside_its_data() {
    let data = json!({"n": 7});
    let beside = json!({
        "specversion": "1.0", "id": "A-1", "source": "https://ci.example.org/builds", "type": "org.example.build.done", "subject": "größe",
        "time": "2026-11-20T08:00:00Z", "datacontenttype": "application/json", "authid": "ada", "attempt": 2, "data": data,
    });
    let in_headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "A-1"),
        ("ce-source", "https://ci.example.org/builds"),
        ("ce-type", "org.example.build.done"),
        ("ce-subject", "gr%C3%B6%C3%9Fe"),
        ("ce-authid", "ada"),
        ("content-type", "application/json"),
    ];
    let whole = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let structured = of("cloudevents", &whole, beside.clone());
    for found in [&of("cloudevents", &in_headers, data.clone()), &structured, &of("cloudevents", &[], beside)]
    {
        assert_eq!(found.id, "https://ci.example.org/builds#A-1");
        assert_eq!(
            (found.name.as_deref(), found.about.value()["attributes"]["authid"].as_str()),
            (Some("org.example.build.done"), Some("ada"))
        );
        assert_eq!(found.body.value(), data);
        let attributes = found.about.value()["attributes"].clone();
        assert_eq!(
            (&attributes["subject"], &attributes["datacontenttype"]),
            (&json!("größe"), &json!("application/json"))
        );
    }
    assert_eq!(structured.about.value()["attributes"]["attempt"], 2);
    let binary = of("cloudevents", &in_headers, data);
    assert_eq!(
        (structured.sender.as_deref(), binary.sender),
        (Some("ada"), None),
        "no signature covers headers"
    );
    let bytes = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data_base64": "AAE="});
    assert_eq!(of("cloudevents", &whole, bytes).body.value(), json!({"data_base64": "AAE="}));
}

#[test]
fn events_of_other_sources_are_others_and_what_is_no_json_or_a_secret_is_taken_as_that() {
    let event = |source: &str, id: &str| {
        let body = json!({"specversion": "1.0", "id": id, "source": source, "type": "t", "accesskey": "hidden", "team": "blue"});
        of("cloudevents", &[], body)
    };
    assert_ne!(event("/s#b", "1").id, event("/s", "b#1").id);
    assert_ne!(event("/s#b", "1").id, event("/s%23b", "1").id);
    let attributes = event("/s", "1").about.value()["attributes"].clone();
    assert_eq!((&attributes["team"], attributes.get("accesskey")), (&json!("blue"), None));
    let settings = settings("reader = \"cloudevents\"");
    let sent = headers(&[
        ("ce-specversion", "1.0"),
        ("ce-id", "\"a \\\"1\\\"\""),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("content-type", "text/plain"),
    ]);
    let found = read(&settings, &sent, b"42", None).unwrap();
    assert_eq!((found.id.as_str(), found.body.value()), ("/s#a \"1\"", json!({"data_base64": "NDI="})));
}

#[test]
fn what_is_no_event_is_refused_with_what_it_lacks() {
    let event = |more: Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    for (kind, body, why) in [
        ("application/cloudevents-batch+json", json!([event(json!({}))]), "one at a time"),
        ("application/json", json!([event(json!({}))]), "one at a time"),
        ("application/cloudevents+json", event(json!({"source": ""})), "`source` is missing"),
        ("application/cloudevents+json", event(json!({"id": 7})), "`id` is missing"),
        ("application/cloudevents+json", event(json!({"specversion": "0.3"})), "version 0.3"),
        ("application/json", json!({"id": "1"}), "`specversion` is missing"),
        (
            "application/json",
            event(json!({"data": 1, "data_base64": "AAE="})),
            "both `data` and `data_base64`",
        ),
        ("application/json", event(json!({"data_base64": "AAE"})), "`data_base64` is no Base64"),
        ("application/json", event(json!({"data_base64": "not base64!"})), "`data_base64` is no Base64"),
        ("application/json", event(json!({"data_base64": 7})), "`data_base64` is no Base64"),
        (
            "application/json",
            event(json!({"time": "yesterday"})),
            "`time`: “yesterday” is no time of RFC 3339",
        ),
        ("application/json", event(json!({"time": "2026-11-20"})), "`time`: “2026-11-20”"),
        ("application/json", event(json!({"time": "20261120T090000Z"})), "no time of RFC 3339"),
        ("application/json", event(json!({"time": "2026-11-20T09:00:00"})), "no time of RFC 3339"),
        ("application/json", event(json!({"teamName": "blue"})), "`teamName`: names are lower-case letters"),
        ("application/json", event(json!({"team_name": "blue"})), "`team_name`: names are"),
        ("application/json", event(json!({"tags": ["a"]})), "`tags` is a list"),
        ("application/json", event(json!({"place": {"x": 1}})), "`place` is an object"),
        ("application/json", event(json!({"part": 0.5})), "`part` is 0.5"),
        ("application/json", event(json!({"size": 2_147_483_648_u64})), "`size` is 2147483648"),
    ] {
        let settings = settings("reader = \"cloudevents\"");
        let read = read(&settings, &headers(&[("content-type", kind)]), body.to_string().as_bytes(), None);
        let error = read.unwrap_err().to_string();
        assert!(error.contains("cloudevents") && error.contains(why), "{body}: {error}");
    }
}

#[test]
fn attributes_in_headers_are_text_that_is_known_or_refused_with_the_header_named() {
    let settings = settings("reader = \"cloudevents\"");
    let sent = |name: &str, value: &str| {
        let pairs =
            [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), (name, value)];
        read(&settings, &headers(&pairs), b"{}", None).map_err(|error| error.to_string())
    };
    for (value, text) in
        [("gr%C3%B6%C3%9Fe", "größe"), ("größe", "größe"), ("100%", "100%"), ("a%2525", "a%25")]
    {
        let read = sent("ce-subject", value).unwrap();
        assert_eq!(read.about.value()["attributes"]["subject"], text, "{value}");
    }
    for (name, value, why) in [
        ("ce-subject", "gr%F6%DFe", "the header `ce-subject` is no UTF-8"),
        ("ce-subject", "gr\u{fffd}e", "the header `ce-subject` is no UTF-8"),
        ("ce-time", "soon", "`time`: “soon” is no time of RFC 3339"),
        ("ce-team-name", "blue", "`team-name`: names are lower-case letters"),
        ("ce-", "blue", "names are lower-case letters"),
        ("ce-data", "{}", "no attribute is called `data`"),
    ] {
        let error = sent(name, value).unwrap_err();
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[test]
fn an_attribute_or_data_that_is_null_is_not_there() {
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": null, "time": null, "done": true,
        "at": -2_147_483_648_i64, "data": null, "data_base64": "AAE=",
    });
    let read = of("cloudevents", &[], event);
    assert_eq!(read.body.value(), json!({"data_base64": "AAE="}));
    let attributes = read.about.value()["attributes"].clone();
    assert_eq!((&attributes["done"], &attributes["at"]), (&json!(true), &json!(-2_147_483_648_i64)));
    assert!(attributes.get("subject").is_none() && attributes.get("time").is_none(), "{attributes}");
}
