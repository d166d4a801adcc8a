//! `explain`: what an error code means.

use everfold_engine::definition::{self, similar};
use serde_json::json;

use super::args::ExplainArgs;
use super::output::Out;
use crate::fault::{Code, Fault};

/// Every code with its title and its text, those of pipeline files too, in order.
pub(crate) fn all() -> Vec<(&'static str, &'static str, &'static str)> {
    let own = Code::ALL.iter().map(|code| (code.as_str(), code.title(), code.explanation()));
    let mut codes: Vec<_> = definition::codes().into_iter().chain(own).collect();
    codes.sort_unstable_by_key(|(code, ..)| *code);
    codes
}

pub(crate) fn run(args: &ExplainArgs, json: bool) -> Result<u8, Fault> {
    let out = Out::new();
    let codes = all();
    let Some(wanted) = &args.code else {
        if json {
            let list: Vec<_> = codes
                .iter()
                .map(|(code, title, text)| json!({ "code": code, "title": title, "explanation": text }))
                .collect();
            out.json(&list)?;
        } else {
            codes.iter().for_each(|(code, title, _)| out.line(format!("{code}  {title}")));
        }
        return Ok(0);
    };
    let found = codes.iter().find(|(code, ..)| code.eq_ignore_ascii_case(wanted));
    let Some((code, title, text)) = found else {
        let near = similar(&wanted.to_ascii_uppercase(), codes.iter().map(|(code, ..)| *code));
        return Err(Fault::new(Code::Usage, format!("there is no code “{wanted}”"))
            .hint("`everfold explain` lists them")
            .hinted(near.map(|near| format!("did you mean {near}?"))));
    };
    if json {
        out.json(&json!({ "code": code, "title": title, "explanation": text }))?;
    } else {
        out.line(format!("{code}: {title}\n\n{text}"));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_for_two_things() {
        let codes = all();
        assert!(codes.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(codes.iter().all(|(_, title, text)| !title.is_empty() && text.len() > title.len()));
    }
}
