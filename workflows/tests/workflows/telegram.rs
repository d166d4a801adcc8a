//! The functions `telegram.*` over a Bot API server that fails in every way.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::{AttemptResult, Edge};
use everfold_workflows::fakes::{FakeMessage, FakeServer, FakeTelegram, ServiceFault};
use serde_json::{Value, json};

use crate::fixtures::home::{PATIENCE, observer};
use crate::fixtures::workspace_at_service::Place;

const TOKEN: &str = "4711:sesame-token";
const CHAT: i64 = -100_200;

struct Chat {
    place: Arc<Place>,
    edge: Edge,
    fake: Arc<FakeServer<FakeTelegram>>,
}

impl Chat {
    async fn new() -> Self {
        let place = Arc::new(Place::new(""));
        let fake = FakeServer::serve(FakeTelegram::new(TOKEN).knowing(&[&CHAT.to_string()])).await.unwrap();
        Self { edge: place.edge(&place.processes()), place, fake: Arc::new(fake) }
    }

    /// As after the end of the program: nothing is left but the data folder.
    fn again(&self) -> Self {
        let edge = self.place.edge(&self.place.processes());
        Self { edge, place: Arc::clone(&self.place), fake: Arc::clone(&self.fake) }
    }

    async fn call_as(&self, step: &str, name: &str, mut with: Value) -> Result<Value, Failure> {
        let own = json!({"token": TOKEN, "chat": CHAT, "url": self.fake.url()});
        for (key, value) in own.as_object().unwrap() {
            with.as_object_mut().unwrap().entry(key).or_insert_with(|| value.clone());
        }
        let mut request = self.place.home.request(json!({"name": name, "with": with}));
        request.id = self.place.home.id(step);
        match self.edge.executors["function"].start(request, observer()).await.result {
            AttemptResult::Succeeded(output) => Ok(output),
            AttemptResult::Failed(failure) => Err(failure),
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn live(&self, text: &str) -> Result<Value, Failure> {
        self.call_as("step", "telegram.live", json!({ "text": text, "key": "ET-1" })).await
    }

    fn messages(&self) -> Vec<FakeMessage> {
        self.fake.service(|telegram| telegram.messages().to_vec())
    }

    fn asked(&self, method: &str) -> usize {
        self.fake.asked().iter().filter(|asked| asked.path.ends_with(method)).count()
    }
}

#[tokio::test]
async fn o160_the_first_update_is_a_silent_message_and_the_second_an_edit() {
    let chat = Chat::new().await;
    let first = chat.live("🛠️ <b>ET-1</b> · a &amp; b").await.unwrap();
    assert_eq!(first, json!({"message": 1, "sent": true, "edited": false}));
    let second = chat.again().live("🎉 ET-1").await.unwrap();
    assert_eq!(second, json!({"message": 1, "sent": false, "edited": true}), "also by the next engine");
    let third = chat.live("🎉 ET-1").await.unwrap();
    assert_eq!((&third["message"], &third["edited"]), (&json!(1), &json!(false)));
    assert_eq!((chat.asked("/sendMessage"), chat.asked("/editMessageText")), (1, 1), "nothing changed");
    let messages = chat.messages();
    assert_eq!((messages.len(), messages[0].is_silent, messages[0].text.as_str()), (1, true, "🎉 ET-1"));
    for asked in chat.fake.asked() {
        assert_eq!(
            (&asked.body["parse_mode"], &asked.body["link_preview_options"]),
            (&json!("HTML"), &json!({"is_disabled": true}))
        );
    }
    let other = json!({"text": "x", "key": "ET-2"});
    assert_eq!(chat.call_as("step", "telegram.live", other).await.unwrap()["sent"], true, "another key");
    let of_run = chat.call_as("step", "telegram.live", json!({"text": "y"})).await.unwrap();
    assert_eq!(of_run["message"], 3, "without a key it is the run's");
}

#[tokio::test]
async fn o161_an_edit_that_fails_sends_nothing_and_keeps_the_message() {
    let chat = Chat::new().await;
    chat.live("1").await.unwrap();
    for (fault, kind) in [
        (ServiceFault::Status(500), FailureKind::Error),
        (ServiceFault::Status(502), FailureKind::Error),
        (ServiceFault::Status(400), FailureKind::Validation),
        (ServiceFault::Limited(7), FailureKind::Error),
        (ServiceFault::Garbled, FailureKind::Error),
        (ServiceFault::LostAnswer, FailureKind::Error),
    ] {
        chat.fake.fail_next([Some(fault)]);
        let failure = chat.live(&format!("{fault:?}")).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(!format!("{failure:?}").contains("sesame"), "{failure:?}");
        let now = chat.live(&format!("{fault:?}")).await.unwrap();
        assert_eq!(now["message"], 1, "the next try is of the same message");
    }
    assert_eq!((chat.asked("/sendMessage"), chat.messages().len()), (1, 1));
}

/// The engine does not know that a former edit arrived; the service says that the message is as it should be.
#[tokio::test]
async fn o161_not_modified_is_done() {
    let chat = Chat::new().await;
    chat.live("1").await.unwrap();
    chat.fake.fail_next([Some(ServiceFault::LostAnswer)]);
    chat.live("2").await.unwrap_err();
    let done = chat.live("2").await.unwrap();
    assert_eq!(done, json!({"message": 1, "sent": false, "edited": false, "reason": "it says so already"}));
    for words in [
        "Bad Request: message is not modified",
        "Bad Request: new content and markup are exactly the same as the current ones",
    ] {
        chat.fake.service(|telegram| telegram.refuse_edit(words));
        let again = chat.live(words).await.unwrap();
        assert_eq!((&again["message"], &again["reason"]), (&done["message"], &done["reason"]), "{words}");
    }
    assert_eq!(chat.asked("/sendMessage"), 1);
}

#[tokio::test]
async fn o161_a_service_that_never_answers_is_waited_for_five_seconds() {
    let chat = Chat::new().await;
    chat.live("1").await.unwrap();
    chat.fake.fail_next([Some(ServiceFault::Silent)]);
    let failure = chat.live("2").await.unwrap_err();
    assert!(failure.message.contains("no answer within 5s"), "{failure:?}");
    assert_eq!(
        (chat.asked("/sendMessage"), chat.live("2").await.unwrap()["edited"].clone()),
        (1, json!(true))
    );
}

#[tokio::test]
async fn o162_a_message_that_is_gone_is_sent_once_more_and_edited_from_then_on() {
    let chat = Chat::new().await;
    chat.live("1").await.unwrap();
    chat.fake.service(|telegram| telegram.delete(1));
    // The first try of the new message is refused; the former one is still the one to look at.
    chat.fake.fail_next([None, Some(ServiceFault::Limited(1))]);
    assert_eq!(chat.live("2").await.unwrap_err().kind, FailureKind::Error);
    let sent = chat.live("2").await.unwrap();
    assert_eq!((&sent["message"], &sent["sent"]), (&json!(2), &json!(true)));
    let edited = chat.again().live("3").await.unwrap();
    assert_eq!((&edited["message"], &edited["edited"]), (&json!(2), &json!(true)));
    assert!(chat.messages()[0].is_silent);
    for (words, message) in [
        ("Bad Request: message to edit not found", 3),
        ("Bad Request: message can't be edited", 4),
        ("Bad Request: MESSAGE_ID_INVALID", 5),
    ] {
        chat.fake.service(|telegram| telegram.refuse_edit(words));
        let sent = chat.live(words).await.unwrap();
        assert_eq!((&sent["message"], &sent["sent"]), (&json!(message), &json!(true)), "{words}");
    }
    // Any other refusal is none of a message that is gone.
    chat.fake.service(|telegram| telegram.refuse_edit("Bad Request: can't parse entities"));
    assert_eq!(chat.live("<").await.unwrap_err().kind, FailureKind::Validation);
    assert_eq!(chat.live("4").await.unwrap()["message"], 5);
}

#[tokio::test]
async fn o163_without_a_bot_or_a_chat_nothing_fails_and_nothing_is_sent() {
    let chat = Chat::new().await;
    for unset in [json!({"token": null}), json!({"token": " "}), json!({"chat": null}), json!({"chat": ""})] {
        let mut with = unset;
        with["text"] = "x".into();
        for name in ["telegram.live", "telegram.ping"] {
            let output = chat.call_as("step", name, with.clone()).await.unwrap();
            assert_eq!(
                (&output["message"], &output["reason"]),
                (&Value::Null, &json!("no bot or no chat is configured"))
            );
        }
    }
    assert!(chat.fake.asked().is_empty());
    let failure =
        chat.call_as("step", "telegram.ping", json!({"token": "a/b", "text": "x"})).await.unwrap_err();
    assert!(failure.message.contains("no token of a bot") && !failure.message.contains("a/b"));
    let failure = chat.call_as("step", "telegram.ping", json!({"chat": 5, "text": "x"})).await.unwrap_err();
    assert!(failure.message.contains("chat not found") && failure.kind == FailureKind::Validation);
    let failure = chat.call_as("step", "telegram.live", json!({"text": " \n"})).await.unwrap_err();
    assert!(failure.message.contains("`with.text` is empty"));
}

#[tokio::test]
async fn o160_a_send_that_was_refused_is_tried_again_and_one_whose_answer_was_lost_is_not() {
    let chat = Chat::new().await;
    for fault in [ServiceFault::Status(500), ServiceFault::Limited(1), ServiceFault::Status(400)] {
        chat.fake.fail_next([Some(fault)]);
        chat.live("1").await.unwrap_err();
    }
    // A redirect of a POST is not followed, so nothing was done.
    chat.fake.fail_next([Some(ServiceFault::Status(302))]);
    let moved = chat.live("1").await.unwrap_err();
    assert_eq!((moved.code.as_deref(), moved.message.contains("302")), (None, true), "{moved:?}");
    assert!(chat.messages().is_empty(), "Telegram said that it did not send it");
    for (key, fault) in
        [("a", ServiceFault::LostAnswer), ("b", ServiceFault::Garbled), ("c", ServiceFault::Status(504))]
    {
        let with = |text: &str| json!({"text": text, "key": key});
        chat.fake.fail_next([Some(fault)]);
        let before = chat.asked("/sendMessage");
        let failure = chat.call_as("step", "telegram.live", with("1")).await.unwrap_err();
        assert_eq!(
            (failure.kind, failure.code.as_deref()),
            (FailureKind::Validation, Some("MESSAGE_UNKNOWN")),
            "{failure:?}"
        );
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("remove the file")), "{failure:?}");
        let again = chat.again().call_as("step", "telegram.live", with("1")).await.unwrap_err();
        assert_eq!(again.code.as_deref(), Some("MESSAGE_UNKNOWN"), "the same update: {again:?}");
        assert!(again.message.contains("is not sent twice"), "{again:?}");
        assert_eq!(chat.asked("/sendMessage"), before + 1, "{fault:?}");
        let next = chat.again().call_as("next", "telegram.live", with("2")).await.unwrap();
        assert_eq!(next["sent"], true, "the next update is a new message: {next}");
        let edited = chat.again().call_as("later", "telegram.live", with("3")).await.unwrap();
        assert_eq!((&edited["message"], &edited["edited"]), (&next["message"], &json!(true)));
        assert_eq!(chat.asked("/sendMessage"), before + 2, "{fault:?}");
    }
    assert_eq!(chat.live("1").await.unwrap()["sent"], true);
}

/// The engine is killed after the message was sent and before its number is recorded.
#[tokio::test]
async fn o160_an_engine_that_is_killed_while_it_sends_leaves_one_message_and_says_so_once() {
    let chat = Chat::new().await;
    chat.fake.fail_next([Some(ServiceFault::Slow(PATIENCE))]);
    let killed = chat.again();
    let sending = tokio::spawn(async move { killed.live("1").await });
    while chat.messages().is_empty() {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    let next = chat.again();
    let failure = next.live("1").await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("MESSAGE_UNKNOWN"), "{failure:?}");
    let again = next.live("1").await.unwrap_err();
    assert_eq!(again.code.as_deref(), Some("MESSAGE_UNKNOWN"), "however often it is asked: {again:?}");
    assert_eq!((chat.messages().len(), chat.asked("/sendMessage")), (1, 1));
    // The reason names the file that a person removes to have it sent anew.
    let file = failure.message.split_whitespace().find(|word| word.ends_with(".json")).unwrap();
    std::fs::remove_file(file).unwrap();
    assert_eq!(next.live("1").await.unwrap()["sent"], true);
}

/// A later update finds that the first one may have been sent: it sends one message, and no more.
#[tokio::test]
async fn o160_the_update_after_one_of_which_nothing_is_known_sends_one_new_message() {
    let chat = Chat::new().await;
    let with = |text: &str| json!({"text": text, "key": "ET-1"});
    chat.fake.fail_next([Some(ServiceFault::Garbled), Some(ServiceFault::Status(500))]);
    chat.call_as("first", "telegram.live", with("1")).await.unwrap_err();
    let refused = chat.call_as("second", "telegram.live", with("2")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Error, "it was not sent, so it is tried again: {refused:?}");
    let first = chat.call_as("first", "telegram.live", with("1")).await.unwrap_err();
    assert_eq!(first.code.as_deref(), Some("MESSAGE_UNKNOWN"), "still not sent twice: {first:?}");
    assert_eq!(chat.call_as("second", "telegram.live", with("2")).await.unwrap()["sent"], true);
    let edited = chat.call_as("third", "telegram.live", with("3")).await.unwrap();
    assert_eq!(edited["edited"], true);
    assert_eq!(chat.messages().last().unwrap().text, "3");
    assert!(chat.messages().len() <= 2 && chat.asked("/sendMessage") == 3, "{:?}", chat.messages());
}

/// What was given up is sent again after newer ones arrived: the newer text stays.
#[tokio::test]
async fn o160_a_former_update_that_is_sent_again_changes_nothing() {
    let chat = Chat::new().await;
    let round = async |round: u32, text: &str| {
        let mut request = chat.place.home.request(json!({"name": "telegram.live", "with": {
            "token": TOKEN, "chat": CHAT, "url": chat.fake.url(), "text": text, "key": "ET-1",
        }}));
        request.id = chat.place.home.id("step");
        request.id.attempt.round = everfold_base::id::Round(round);
        match chat.edge.executors["function"].start(request, observer()).await.result {
            AttemptResult::Succeeded(output) => Ok(output),
            AttemptResult::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    };
    round(2, "new").await.unwrap();
    let late = round(1, "old").await.unwrap_err();
    assert_eq!(late.code.as_deref(), Some("MESSAGE_OUTDATED"), "{late:?}");
    assert_eq!(chat.messages()[0].text, "new");
}

/// A task that is begun anew has another run; its message is that of the issue.
#[tokio::test]
async fn o160_runs_of_one_key_share_a_message_and_an_older_one_says_nothing_any_more() {
    let chat = Chat::new().await;
    let says = async |run: &str, text: &str| {
        let mut request = chat.place.home.request(json!({"name": "telegram.live", "with": {
            "token": TOKEN, "chat": CHAT, "url": chat.fake.url(), "text": text, "key": "plane:8c5a3025",
        }}));
        request.id = chat.place.home.id("step");
        request.id.run = run.parse().unwrap();
        match chat.edge.executors["function"].start(request, observer()).await.result {
            AttemptResult::Succeeded(output) => Ok(output),
            AttemptResult::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    };
    let (former, newer) = ("0198c1f0-0000-7fff-8000-00000000000f", "0198c1f0-0001-7000-8000-000000000000");
    assert_eq!(says(former, "of the first run").await.unwrap()["sent"], true);
    let taken_over = says(newer, "of the second run").await.unwrap();
    assert_eq!((&taken_over["message"], &taken_over["edited"]), (&json!(1), &json!(true)));
    let late = says(former, "late").await.unwrap_err();
    assert_eq!(late.code.as_deref(), Some("MESSAGE_OUTDATED"), "{late:?}");
    // The id of a history that another system recorded holds no moment.
    let of_text = "5f0f6f43-6f6a-5d3b-8a3c-0d0a8a8f2c11";
    assert_eq!(says(of_text, "of no known moment").await.unwrap()["edited"], true);
    let messages = chat.messages();
    assert_eq!((messages.len(), messages[0].text.as_str()), (1, "of no known moment"));
}

#[tokio::test]
async fn o160_updates_at_once_send_one_message() {
    let chat = Chat::new().await;
    chat.fake.fail_next([Some(ServiceFault::Slow(Duration::from_millis(50)))]);
    let texts: Vec<String> = (0..10).map(|n| format!("update {n}")).collect();
    let outputs = futures::future::join_all(texts.iter().map(|text| chat.live(text))).await;
    assert!(outputs.iter().all(|output| output.as_ref().unwrap()["message"] == 1));
    assert_eq!((chat.asked("/sendMessage"), chat.messages().len()), (1, 1));
}

#[tokio::test]
async fn o180_a_ping_has_a_sound_its_links_and_buttons_and_leads_nobody_to_their_own_machine() {
    let chat = Chat::new().await;
    let with = json!({
        "text": "📋 ORCH&amp;17: BRD готовы.",
        "links": [
            {"text": "📄 Открыть BRD", "url": "https://git.example.org/a?b=1&c=2"},
            {"text": "✅ Задача в Plane", "url": "http://localhost:8091/acme/"},
            {"text": "no branch", "url": null},
        ],
        "buttons": [
            [{"text": "✅", "data": "approve:0198c1f0-0000-7000-8000-0000deadbeef"}, {"text": "❌", "data": "reject:1"}],
            {"text": "Board", "url": "http://127.0.0.1:4000/"},
        ],
    });
    let sent = chat.call_as("ask", "telegram.ping", with.clone()).await.unwrap();
    assert_eq!(sent, json!({"message": 1}));
    let message = chat.messages().pop().unwrap();
    assert!(!message.is_silent);
    assert_eq!(
        message.text,
        "📋 ORCH&amp;17: BRD готовы.\n\n<a href=\"https://git.example.org/a?b=1&amp;c=2\">📄 Открыть BRD</a>"
    );
    let row = &message.markup["inline_keyboard"];
    assert_eq!((row.as_array().unwrap().len(), &row[0][1]["callback_data"]), (1, &json!("reject:1")));

    let again = chat.again().call_as("ask", "telegram.ping", with.clone()).await.unwrap();
    assert_eq!(again, json!({"message": 1, "reason": "it was sent before"}), "the same round");
    chat.call_as("other", "telegram.ping", with).await.unwrap();
    assert_eq!(chat.messages().len(), 2, "another step calls, too");
    let long = json!({"text": "x", "buttons": [{"text": "a", "data": "é".repeat(33)}]});
    let failure = chat.call_as("third", "telegram.ping", long).await.unwrap_err();
    assert!(failure.kind == FailureKind::Validation && failure.message.contains("66 bytes"), "{failure:?}");
}

#[tokio::test]
async fn o180_a_ping_whose_answer_is_lost_is_sent_again() {
    let chat = Chat::new().await;
    chat.fake.fail_next([Some(ServiceFault::LostAnswer), Some(ServiceFault::Status(500))]);
    for _ in 0..2 {
        let failure = chat.call_as("ask", "telegram.ping", json!({"text": "x"})).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Error, "it is tried again");
    }
    chat.call_as("ask", "telegram.ping", json!({"text": "x"})).await.unwrap();
    assert_eq!(chat.messages().len(), 2, "twice rather than not at all");
}
