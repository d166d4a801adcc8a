//! Names of fields whose values are masked.
//!
//! Law: names are compared word by word, and the last words count: `github_token` and `clientSecret` name a secret,
//! `max_tokens`, `token_count` and `author` do not.

/// The names, each as its words joined.
#[derive(Debug, Default)]
pub(super) struct KeyNames(Vec<String>);

impl KeyNames {
    pub(super) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| words_of(key).concat()).collect())
    }

    /// Whether the values of a field of this name are masked.
    pub(super) fn name_secret(&self, name: &str) -> bool {
        const NAME_BYTES_MAX: usize = 128;
        if self.0.is_empty() || name.len() > NAME_BYTES_MAX {
            return false;
        }
        let mut words = words_of(name);
        while words.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
            words.pop();
        }
        (0..words.len()).any(|from| {
            let joined = words[from..].concat();
            self.0.contains(&joined)
        })
    }
}

/// The words of a name, in lower case: parted by other characters than letters and digits, and where a capital
/// follows a small letter.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let is_new = character.is_uppercase() && before.is_lowercase()
            || !character.is_alphanumeric()
            || character.is_ascii_digit() && before.is_alphabetic();
        if is_new && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        before = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The spellings of a key in which it stands in texts: `api_key`, `api-key`, `apikey`.
pub(super) fn spellings(key: &str) -> Vec<String> {
    let words = words_of(key);
    let mut spellings: Vec<String> = ["_", "-", ""].iter().map(|by| words.join(by)).collect();
    spellings.dedup();
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_last_words() {
        let keys: Vec<String> = ["token", "api-key", "password"].map(str::to_owned).to_vec();
        let names = KeyNames::new(&keys);
        for name in [
            "token",
            "GITHUB_TOKEN",
            "githubToken",
            "x-api-key",
            "apikey",
            "apiKey",
            "api_key",
            "token2",
            "db.password",
        ] {
            assert!(names.name_secret(name), "{name}");
        }
        for name in ["max_tokens", "tokens_in", "token_count", "author", "keys", "tokenizer", "", "_"] {
            assert!(!names.name_secret(name), "{name}");
        }
    }
}
