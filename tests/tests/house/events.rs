//! `docs/reference/events.md` is made from the declarations of the events.
//!
//! `EVERFOLD_WRITE_REFERENCE=1 cargo test -p everfold-tests --test house reference` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use quote::ToTokens as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, ExprLit, Field, Fields, Ident, Item, Lit, LitInt, Meta, MetaNameValue, Token, braced,
    bracketed,
};

use crate::repository;

/// The table of the events of runs: their names and numbers.
const TABLE: &str = "engine/core/src/event/run_event.rs";

/// Where their payloads are declared, by family.
const PAYLOADS: &str = "engine/core/src/event/kinds";

/// The other streams: heading, what the stream is of, file and enum of its events.
const OTHERS: [(&str, &str, &str, &str); 12] = [
    ("Slots", "The holders of one concurrency key, and who waits.", "slots/event.rs", "SlotEvent"),
    ("Shared budgets", "What runs together have spent of one budget.", "budgets/event.rs", "CounterEvent"),
    ("Hooks", "The deliveries of one source, and what was done with each.", "hooks/event.rs", "HookEvent"),
    ("Schedules", "One schedule: its terms and its ticks.", "schedules/event.rs", "ScheduleEvent"),
    (
        "Notifications",
        "How far each subscription has come, and what could not be sent.",
        "notifications/event.rs",
        "NoticeEvent",
    ),
    ("Tokens", "Who may come in over HTTP.", "tokens/event.rs", "AccessEvent"),
    ("Pauses", "Pauses of pipelines and of the engine.", "pauses.rs", "PauseEvent"),
    ("Breaker resets", "Breakers that a person closed.", "breaker_resets.rs", "BreakerEvent"),
    (
        "Pauses of services",
        "Until when services asked to be left alone.",
        "service_pauses.rs",
        "ServicePauseEvent",
    ),
    ("Numbers of runs", "The runs of one key, counted.", "run_numbers.rs", "NumberEvent"),
    ("Names", "The names of one scope that were given to steps.", "unique_names.rs", "NameEvent"),
    (
        "Pipelines",
        "Definitions by their hash, and the saved versions.",
        "pipeline_versions.rs",
        "PipelineEvent",
    ),
];

/// An event as it is declared.
struct Event {
    attributes: Vec<Attribute>,
    name: Ident,
    number: LitInt,
    /// How many other forms its bytes had.
    formers: usize,
    fields: Vec<Field>,
}

/// A payload as it is declared.
struct Declaration {
    attributes: Vec<Attribute>,
    name: Ident,
    formers: usize,
    fields: Vec<Field>,
}

/// The body of `event_payloads!`.
struct Declarations(Vec<Declaration>);

impl Parse for Declarations {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut declarations = Vec::new();
        while !input.is_empty() {
            let attributes = input.call(Attribute::parse_outer)?;
            let name = input.parse()?;
            let mut formers = 0;
            while input.peek(syn::token::Bracket) {
                let former;
                bracketed!(former in input);
                former.parse::<proc_macro2::TokenStream>()?;
                formers += 1;
                if input.peek(Ident) {
                    input.parse::<Ident>()?; // `then`, `whole`
                }
            }
            if !input.peek(syn::token::Brace) {
                input.parse::<syn::Path>()?; // what holds the bytes of the newest one
            }
            let body;
            braced!(body in input);
            let fields = Punctuated::<Field, Token![,]>::parse_terminated_with(&body, Field::parse_named)?;
            let fields = fields.into_iter().collect();
            declarations.push(Declaration { attributes, name, formers, fields });
        }
        Ok(Self(declarations))
    }
}

/// `Name = 1`.
fn numbered(one: ParseStream<'_>) -> syn::Result<(Ident, LitInt)> {
    let name = one.parse()?;
    one.parse::<Token![=]>()?;
    Ok((name, one.parse()?))
}

/// The body of `run_events!`: `Name = 1, …`.
struct Table(Vec<(Ident, LitInt)>);

impl Parse for Table {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let numbers = Punctuated::<_, Token![,]>::parse_terminated_with(input, numbered)?;
        Ok(Self(numbers.into_iter().collect()))
    }
}

/// The body of `stored!`: enum, limit, `{ Name = 1, … }`.
struct Numbered {
    of: Ident,
    numbers: Vec<(Ident, LitInt)>,
}

impl Parse for Numbered {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let of = input.parse()?;
        input.parse::<Token![,]>()?;
        input.parse::<Expr>()?;
        input.parse::<Token![,]>()?;
        let body;
        braced!(body in input);
        let numbers = Punctuated::<_, Token![,]>::parse_terminated_with(&body, numbered)?;
        Ok(Self { of, numbers: numbers.into_iter().collect() })
    }
}

fn source(path: &str) -> syn::File {
    let text = fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    syn::parse_file(&text).unwrap()
}

/// The bodies of the macro of this name in a file.
fn bodies<T: Parse>(path: &str, name: &str) -> Vec<T> {
    let items = source(path).items.into_iter();
    let body = |item| match item {
        Item::Macro(it) if it.mac.path.is_ident(name) => Some(it.mac.parse_body().unwrap()),
        _ => None,
    };
    items.filter_map(body).collect()
}

fn run_events() -> Vec<Event> {
    let mut declared = BTreeMap::new();
    for file in fs::read_dir(repository().join(PAYLOADS)).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        for body in bodies::<Declarations>(&format!("{PAYLOADS}/{file}"), "event_payloads") {
            declared.extend(body.0.into_iter().map(|it| (it.name.to_string(), it)));
        }
    }
    let table = bodies::<Table>(TABLE, "run_events").pop();
    let event = |(name, number): (Ident, LitInt)| {
        let Declaration { attributes, formers, fields, .. } =
            declared.remove(&name.to_string()).unwrap_or_else(|| panic!("{PAYLOADS} declares no {name}"));
        Event { attributes, name, number, formers, fields }
    };
    let table = table.unwrap_or_else(|| panic!("{TABLE} has no run_events!")).0;
    let events = table.into_iter().map(event).collect();
    let without_number: Vec<&String> = declared.keys().collect();
    assert!(without_number.is_empty(), "{TABLE} gives no number to {without_number:?}");
    events
}

fn other_events(path: &str, name: &str) -> Vec<Event> {
    let (mut structs, mut variants, mut numbers) = (BTreeMap::<String, Fields>::new(), BTreeMap::new(), None);
    for item in source(path).items {
        match item {
            Item::Struct(it) => _ = structs.insert(it.ident.to_string(), it.fields),
            Item::Enum(it) if it.ident == name => {
                variants.extend(it.variants.into_iter().map(|it| (it.ident.to_string(), it)));
            }
            Item::Macro(it) if it.mac.path.is_ident("stored") => {
                numbers = Some(it.mac.parse_body::<Numbered>().unwrap())
                    .filter(|it| it.of == name)
                    .map(|it| it.numbers);
            }
            _ => {}
        }
    }
    let event = |(name, number): (Ident, LitInt)| {
        let variant =
            variants.remove(&name.to_string()).unwrap_or_else(|| panic!("{path} has no variant {name}"));
        let held = match &variant.fields {
            Fields::Unnamed(it) => it.unnamed.first().map(|field| field.ty.to_token_stream().to_string()),
            Fields::Named(_) | Fields::Unit => None,
        };
        let fields = match held.and_then(|held| structs.get(&held).cloned()) {
            Some(Fields::Named(fields)) => fields.named.into_iter().collect(),
            Some(Fields::Unnamed(_) | Fields::Unit) | None => variant.fields.into_iter().collect(),
        };
        Event { attributes: variant.attrs, name, number, formers: 0, fields }
    };
    let numbers = numbers.unwrap_or_else(|| panic!("{path} has no stored!({name}, …)"));
    numbers.into_iter().map(event).collect()
}

/// The text of doc comments: their paragraphs.
fn doc(attributes: &[Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(it) if it.path.is_ident("doc") => match &it.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let mut paragraphs = vec![String::new()];
    for line in lines {
        let last = paragraphs.last_mut().unwrap();
        match (line.is_empty(), last.is_empty()) {
            (true, _) => paragraphs.push(String::new()),
            (false, true) => last.push_str(&line),
            (false, false) => _ = write!(last, " {line}"),
        }
    }
    paragraphs.retain(|it| !it.is_empty());
    paragraphs
}

/// The name of a field in JSON: `#[serde(rename = "…")]`, or its own.
fn wire_name(field: &Field) -> String {
    let mut name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let Meta::List(list) = &attribute.meta else { continue };
        let options = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap();
        for option in options {
            if let Meta::NameValue(MetaNameValue {
                path,
                value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }),
                ..
            }) = option
                && path.is_ident("rename")
            {
                name = text.value();
            }
        }
    }
    name
}

/// A type as people write it.
fn spelled(field: &Field) -> String {
    let mut text = field.ty.to_token_stream().to_string();
    for (from, to) in [(" < ", "<"), (" <", "<"), ("< ", "<"), (" >", ">"), (" ,", ","), (" :: ", "::")] {
        text = text.replace(from, to);
    }
    text
}

fn chapter(page: &mut String, events: &[Event]) {
    page.push_str("| Number | Event | Schema | Meaning |\n| --- | --- | --- | --- |\n");
    for event in events {
        let schema = match event.formers {
            0 => "1".to_owned(),
            1 => "2 (reads 1)".to_owned(),
            more => format!("{} (reads 1 to {more})", more + 1),
        };
        let meaning = doc(&event.attributes).into_iter().next().unwrap_or_default();
        writeln!(
            page,
            "| {} | [`{name}`](#{}) | {schema} | {meaning} |",
            event.number,
            event.name.to_string().to_lowercase(),
            name = event.name
        )
        .unwrap();
    }
    for event in events {
        writeln!(page, "\n### {}\n\n{}\n", event.name, doc(&event.attributes).join("\n\n")).unwrap();
        if event.fields.is_empty() {
            page.push_str("No fields.\n");
            continue;
        }
        page.push_str("| Field | Type | Meaning |\n| --- | --- | --- |\n");
        for field in &event.fields {
            let name = wire_name(field);
            writeln!(page, "| `{name}` | `{}` | {} |", spelled(field), doc(&field.attrs).join(" ")).unwrap();
        }
    }
}

fn page() -> String {
    let mut page = "# Events\n\n\
        Every kind of event that Everfold records, with the number under which it is stored. A number is never \
        given again; where the form of a kind changed, it has a new schema and the former one is still read.\n\n\
        This page is made from the declarations in the source; a test compares them.\n\n\
        ## Runs\n\n\
        One stream for each run. “Fact of” names the input that an event is the record of; every other event \
        follows from one and is recorded in the same batch.\n\n"
        .to_owned();
    chapter(&mut page, &run_events());
    for (heading, text, path, name) in OTHERS {
        write!(page, "\n## {heading}\n\n{text}\n\n").unwrap();
        chapter(&mut page, &other_events(&format!("engine/core/src/{path}"), name));
    }
    page
}

#[test]
fn the_reference_of_events_is_that_of_the_declarations() {
    let path = repository().join("docs/reference/events.md");
    let made = page();
    if std::env::var_os("EVERFOLD_WRITE_REFERENCE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/reference/events.md is not what the source declares: EVERFOLD_WRITE_REFERENCE=1 cargo test -p everfold-tests --test house reference"
    );
}
