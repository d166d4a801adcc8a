//! Texts without what is another each time: ids, times, spans, hashes, places.

use regex::{Captures, Regex};

/// Puts words in place of what changes, the same word for the same run.
pub(super) struct Steady {
    folders: Vec<String>,
    url: Option<String>,
    uuid: Regex,
    short: Regex,
    rest: Vec<(Regex, &'static str)>,
    /// Short ids of runs, in the order in which they were seen first.
    runs: Vec<String>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

impl Steady {
    pub(super) fn new(folders: &[&str], url: Option<&str>) -> Self {
        let rest = [
            (r"evf_[0-9a-f]{64}", "TOKEN"),
            (r"[0-9a-f]{16}-\d+", "CURSOR"),
            (r"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b", "HASH"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?", "TIME"),
            (r"\b\d\d:\d\d:\d\d(?:\.\d+)?Z?\b", "TIME"),
            (r"\b\d{4}-\d\d-\d\d\b", "DAY"),
            (r"[+]?\b(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\b(?: \d+(?:s|m|h)\b)?", "SPAN"),
            (r#""(position|since|version|inputs|events|entropy|took_ms|driven|cwd)": [^,\n]+"#, "\"$1\": IT"),
            // That a process has started is recorded on its own, or not at all where it ends at once.
            (r"\b(version|at|models?)  ?\d+\b", "$1 N"),
            // So is the version of each later event: `[RunSucceeded 24]`.
            (r"\b((?:[A-Z][a-z]+){2,}) \d+\b", "$1 N"),
            (r"\d+ (inputs|events) ", "N $1 "),
            (r"(?m)^(\w+) +\d+ +\d+ +\d+ +", "$1  N  "),
            (r"\b(?:user:ada|token:admin|engine)\b", "WHO"),
            (r" {2,}", "  "),
            // A run that what it waited for lets end may have ended by the answer.
            (
                r"(waited for it\nrun RUN\d+) (?:has succeeded|is running\n\nnext\n +everfold watch RUN\d+ +# it goes on)",
                "$1 goes on",
            ),
        ];
        Self {
            folders: folders.iter().map(|folder| folder.trim_end_matches('/').to_owned()).collect(),
            url: url.map(str::to_owned),
            uuid: regex(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-([0-9a-f]{4})([0-9a-f]{8})"),
            short: regex(r"\b[0-9a-f]{8}\b"),
            rest: rest.map(|(pattern, word)| (regex(pattern), word)).to_vec(),
            runs: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        let mut text = pretty(text);
        // How the next command is typed names the place.
        if let Some(url) = &self.url {
            text = text.replace(&format!(" --server {url}"), "").replace(url, "URL");
        }
        text = text.replace(" --config served.toml", "");
        for folder in &self.folders {
            text = text.replace(folder, "FOLDER");
        }
        let runs = &mut self.runs;
        let mut named = |short: &str| {
            let number = runs.iter().position(|known| known == short).unwrap_or_else(|| {
                runs.push(short.to_owned());
                runs.len() - 1
            });
            format!("RUN{number}")
        };
        let text = self.uuid.replace_all(&text, |found: &Captures<'_>| format!("{}-ID", named(&found[2])));
        let text = self.short.replace_all(&text, |found: &Captures<'_>| {
            // A word of eight digits that is no run's is none of them.
            named(&found[0])
        });
        let text = self
            .rest
            .iter()
            .fold(text.into_owned(), |text, (pattern, word)| pattern.replace_all(&text, *word).into_owned());
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// JSON in lines of its own, so that its parts can be compared one by one.
fn pretty(text: &str) -> String {
    let line = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value @ serde_json::Value::Object(_)) => serde_json::to_string_pretty(&value).unwrap(),
        _no_object => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
