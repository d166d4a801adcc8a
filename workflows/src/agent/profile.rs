//! Profiles: how an agent's program is called.

use std::collections::BTreeMap;

use super::settings::{AgentProfile, Argument, OutputFormat, PromptBy};

/// The names of the built-in profiles.
pub const BUILT_IN: [&str; 3] = ["claude", "codex", "script"];

/// Placeholders that an argument may hold. `{args}` stands alone and becomes the step's `args`.
const PLACEHOLDERS: [&str; 8] =
    ["prompt", "prompt_file", "model", "effort", "session", "role", "workspace", "args"];

/// A built-in profile.
pub(crate) fn built_in(name: &str) -> Option<AgentProfile> {
    let (command, prompt, output): (&[&[&str]], _, _) = match name {
        "claude" => (
            &[
                &["claude"],
                &["-p"],
                &["--output-format"],
                &["stream-json"],
                &["--verbose"],
                &["--permission-mode"],
                &["acceptEdits"],
                &["--model", "{model}"],
                &["--effort", "{effort}"],
                &["--resume", "{session}"],
                &["{args}"],
            ],
            PromptBy::Stdin,
            OutputFormat::Claude,
        ),
        "codex" => (
            &[
                &["codex"],
                &["exec"],
                &["--json"],
                &["--sandbox"],
                &["workspace-write"],
                &["--model", "{model}"],
                &["-c", "model_reasoning_effort={effort}"],
                &["{args}"],
                &["resume", "{session}"],
                &["-"],
            ],
            PromptBy::Stdin,
            OutputFormat::Codex,
        ),
        "script" => (&[&["{args}"]], PromptBy::File, OutputFormat::Text),
        _ => return None,
    };
    let argument = |words: &&[&str]| match words {
        [one] => Argument::One((*one).to_owned()),
        group => Argument::Group(group.iter().map(|word| (*word).to_owned()).collect()),
    };
    Some(AgentProfile {
        command: command.iter().map(argument).collect(),
        env: BTreeMap::new(),
        prompt,
        output,
        model: None,
        effort: None,
        on_lost: None,
    })
}

impl AgentProfile {
    /// Whether it can be used.
    ///
    /// # Errors
    /// What is wrong with its command, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.command.is_empty() {
            return Err("the command is empty".to_owned());
        }
        let words = self.command.iter().flat_map(|argument| match argument {
            Argument::One(word) => std::slice::from_ref(word),
            Argument::Group(words) => words.as_slice(),
        });
        for word in words {
            for name in placeholders(word) {
                if !PLACEHOLDERS.contains(&name) {
                    let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
                    return Err(format!("{{{name}}} is no placeholder; there are {known}"));
                }
                if name == "args" && word != "{args}" {
                    return Err("{args} stands for several arguments and must be one of its own".to_owned());
                }
            }
        }
        let by_argument = self.command.iter().any(|argument| match argument {
            Argument::One(word) => word.contains("{prompt}"),
            Argument::Group(words) => words.iter().any(|word| word.contains("{prompt}")),
        });
        match (self.prompt, by_argument) {
            (PromptBy::Argument, false) => {
                Err("prompt = \"argument\" needs {prompt} in the command".to_owned())
            }
            (PromptBy::Stdin | PromptBy::File, true) => {
                Err("{prompt} in the command needs prompt = \"argument\"".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a profile's program can be told to continue a session.
pub(crate) fn can_continue(profile: &AgentProfile) -> bool {
    profile.command.iter().any(|argument| match argument {
        Argument::One(word) => placeholders(word).contains(&"session"),
        Argument::Group(words) => words.iter().any(|word| placeholders(word).contains(&"session")),
    })
}

/// The program that a profile starts; `None` where the step's `args` name it.
#[must_use]
pub fn program(profile: &AgentProfile) -> Option<&str> {
    match profile.command.first()? {
        Argument::One(word) if word != "{args}" => Some(word),
        Argument::Group(words) => words.first().map(String::as_str),
        Argument::One(_) => None,
    }
}

/// The lower-case names in braces; other braces are left alone, JSON may stand there.
fn placeholders(word: &str) -> Vec<&str> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    word.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| is_name(name))
        .collect()
}

/// Fills in the placeholders. A group with one that has no value is left out; so is a lone word.
pub(crate) fn render(
    profile: &AgentProfile,
    values: &BTreeMap<&str, String>,
    args: &[String],
) -> Vec<String> {
    let mut argv = Vec::new();
    let mut args_placed = false;
    for argument in &profile.command {
        match argument {
            Argument::One(word) if word == "{args}" => {
                argv.extend(args.iter().cloned());
                args_placed = true;
            }
            Argument::One(word) => argv.extend(fill(word, values)),
            Argument::Group(words) => {
                let filled: Option<Vec<String>> = words.iter().map(|word| fill(word, values)).collect();
                argv.extend(filled.unwrap_or_default());
            }
        }
    }
    if !args_placed {
        argv.extend(args.iter().cloned());
    }
    argv
}

fn fill(word: &str, values: &BTreeMap<&str, String>) -> Option<String> {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) if PLACEHOLDERS.contains(&name) => {
                text.push_str(values.get(name)?);
                rest = behind;
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_are_sound_and_omit_what_is_not_given() {
        for name in BUILT_IN {
            built_in(name).unwrap().check().unwrap();
        }
        let claude = built_in("claude").unwrap();
        let argv = render(
            &claude,
            &[("model", "opus".to_owned())].into(),
            &["--max-turns".to_owned(), "9".to_owned()],
        );
        assert_eq!(
            argv.join(" "),
            "claude -p --output-format stream-json --verbose --permission-mode acceptEdits --model opus --max-turns 9"
        );
        let codex = render(&built_in("codex").unwrap(), &BTreeMap::new(), &[]);
        assert_eq!(codex.join(" "), "codex exec --json --sandbox workspace-write -");
        assert!(built_in("gpt").is_none());
    }

    #[test]
    fn values_are_put_in_as_they_are_and_other_braces_stay() {
        let profile = AgentProfile {
            command: vec![
                Argument::One("a".to_owned()),
                Argument::One("{\"p\": \"{prompt}\"}".to_owned()),
                Argument::Group(vec!["-s".to_owned(), "{session}".to_owned()]),
            ],
            prompt: PromptBy::Argument,
            ..built_in("script").unwrap()
        };
        profile.check().unwrap();
        let argv = render(&profile, &[("prompt", "{model} {x".to_owned())].into(), &["z".to_owned()]);
        assert_eq!(argv, ["a", "{\"p\": \"{model} {x\"}", "z"]);
    }
}
