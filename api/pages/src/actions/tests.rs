use askama::Template as _;
use serde_json::json;

use super::asking::{ActionPart, Asking};
use super::confirmation::{Asked, Boxes, Confirmation, Line, Meter, Offer, Select};
use super::verb::{Verb, done_sentence};
use crate::frame::{CallerRole, Frame, NavPlace, Who};
use crate::problem::Problem;
use crate::start::schema_form::SchemaForm;

const HOSTILE: &str =
    "\"><script>alert(1)</script></textarea></select><img src=x onerror=alert(1)> \u{202e}\u{1b}[31m\n";

fn frame() -> Frame {
    Frame {
        title: HOSTILE.to_owned(),
        place: NavPlace::Elsewhere,
        who: Who {
            actor: "user:ada".to_owned(),
            role: Some(CallerRole::Operator),
            approves: None,
            expires_at: None,
            csrf: Some("secret".to_owned()),
        },
        at: None,
        then: None,
        here: "/runs/78b722bb/act/cancel?step=\"><script>".to_owned(),
        waiting: 0,
        follows: None,
        live: false,
    }
}

fn asking(refused: Option<String>) -> Asking {
    let text = || HOSTILE.to_owned();
    let line = Line {
        name: text(),
        label: text(),
        hint: text(),
        text: text(),
        offers: vec![text()],
        ..Line::default()
    };
    let offers = vec![Offer::new(text(), text(), text())];
    let select =
        Select { name: text(), label: text(), hint: text(), options: offers.clone(), chosen: text() };
    let boxes = Boxes { name: text(), label: text(), options: offers, chosen: vec![text()] };
    let schema = json!({ "properties": { "task": { "type": "string", "description": HOSTILE } } });
    let form = SchemaForm::new(&schema, Some(&json!({ "task": HOSTILE })));
    let mut problem = Problem::invalid(text());
    problem.errors = vec![json!({ "path": HOSTILE, "message": HOSTILE }), json!(HOSTILE)];
    Asking {
        verb: Verb::Cancel,
        run_path: "/runs/78b722bb".to_owned(),
        short_id: "78b722bb".to_owned(),
        pipeline: text(),
        status: "running".to_owned(),
        confirmation: Confirmation {
            title: text(),
            says: vec![text()],
            hint: None,
            asked: vec![
                Asked::Line(line.clone()),
                Asked::Area(line),
                Asked::Select(select.clone()),
                Asked::Radios(select),
                Asked::Boxes(boxes),
                Asked::Meter(Meter {
                    label: text(),
                    says: text(),
                    percent: Some(40),
                    taken: Some("used up"),
                }),
                Asked::Open { label: text(), is_open: true },
                Asked::Input(Box::new(form)),
                Asked::Close,
            ],
            button: text(),
            command: text(),
            refused,
            ..Confirmation::default()
        },
        problem: Some(problem),
    }
}

#[test]
fn texts_of_users_are_texts_in_the_form() {
    for refused in [None, Some(HOSTILE.to_owned())] {
        let text = ActionPart { frame: &frame(), asking: &asking(refused) }.render().unwrap();
        for tag in ["<script", "<img", "onerror=alert(1)>"] {
            assert!(!text.contains(tag), "{tag} in {text}");
        }
        assert_eq!(text.matches("</form>").count(), text.matches("<form").count());
        assert_eq!(text.matches("</textarea>").count(), text.matches("<textarea").count());
    }
}

#[test]
fn a_refused_action_has_no_button() {
    let text =
        ActionPart { frame: &frame(), asking: &asking(Some("it has ended".to_owned())) }.render().unwrap();
    assert!(!text.contains("<form") && !text.contains("data-submit") && text.contains("it has ended"));
}

#[test]
fn every_word_of_what_was_done_is_a_fixed_sentence() {
    for word in ["cancel", "pause", "restart", "held", "signal-kept"] {
        assert!(
            done_sentence(word).is_some_and(|sentence| sentence.ends_with('.') && !sentence.contains('<'))
        );
    }
    assert_eq!(done_sentence("<script>"), None);
    let mut frame = frame();
    frame.here = "/runs/78b722bb?tab=x&done=pause".to_owned();
    assert_eq!(frame.done(), done_sentence("pause"));
    assert_eq!(frame.here_at("5"), "/runs/78b722bb?tab=x&at=5");
}
