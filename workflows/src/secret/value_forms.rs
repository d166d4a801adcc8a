//! The forms in which the values of secrets are found.
//!
//! A value is found as it is (from eight bytes on also with line ends in it, as programs wrap long
//! ones), with any of its characters escaped as in JSON, percent-encoded or as entities of HTML
//! ([`spelling`](super::spelling)), in hexadecimal digits, and in base64, also in the middle of something
//! else that is encoded. Of a value of several lines each long one is found by itself.
//! What a program makes of it by other means (a part of it, another encoding, letter by letter) is not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use everfold_ports::MASK;

use super::spelling::{Spelled, spelled};

/// A shorter value would be found in everything.
pub(super) const VALUE_BYTES_MIN: usize = 4;
/// From this length on a value is found with line ends in it.
const WRAPPED_BYTES_MIN: usize = 8;
/// A shorter value may be a word of any file's name.
const NAMED_VALUE_BYTES_MIN: usize = 8;
/// The shortest line of a value that is found by itself.
const LINE_BYTES_MIN: usize = 16;
/// The shortest run of base64 digits that stands for a value.
const BASE64_BYTES_MIN: usize = 5;

/// All forms of all values.
#[derive(Default)]
pub(super) struct ValueForms {
    forms: Vec<ValueForm>,
    /// The bytes that some form begins with.
    firsts: Vec<u8>,
}

impl ValueForms {
    /// Those of the values that are long enough to be found.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = Vec::new();
        for value in values.into_iter().filter(|value| value.len() >= VALUE_BYTES_MIN) {
            for part in std::iter::once(value).chain(lines(value)) {
                let text = without_line_ends(part);
                forms.push(ValueForm::Spelled { characters: text.chars().collect(), length: text.len() });
                forms.extend(encoded(part.as_bytes()).into_iter().map(ValueForm::Encoded));
            }
        }
        forms.retain(|form| form.length() > MASK.len());
        // Longest first: of two that begin alike the longer one is meant.
        forms.sort_by_key(|form| std::cmp::Reverse(form.length()));
        Self::of_forms(forms)
    }

    fn of_forms(forms: Vec<ValueForm>) -> Self {
        let mut firsts: Vec<u8> = forms.iter().flat_map(ValueForm::firsts).collect();
        firsts.sort_unstable();
        firsts.dedup();
        Self { forms, firsts }
    }

    /// Those that are looked for in the names of files.
    pub(super) fn of_names(&self) -> Self {
        let is_long = |form: &&ValueForm| form.length() >= NAMED_VALUE_BYTES_MIN;
        Self::of_forms(self.forms.iter().filter(is_long).cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// What stands at a place; at the end of everything (`is_last`) nothing more can come.
    pub(super) fn at(&self, text: &[u8], from: usize, is_last: bool) -> Spelled {
        if self.firsts.binary_search(&text[from]).is_err() {
            return Spelled::No;
        }
        let found = self.forms.iter().map(|form| form.at(text, from, is_last));
        found.into_iter().find(|found| *found != Spelled::No).unwrap_or(Spelled::No)
    }

    /// How much of a text is the end of a value, whose beginning was cut off.
    pub(super) fn left_before(&self, text: &str) -> Option<usize> {
        self.forms.iter().filter_map(|form| form.left_before(text)).max()
    }
}

#[derive(Clone)]
enum ValueForm {
    /// The value's characters, in any spelling.
    Spelled { characters: Vec<char>, length: usize },
    /// What encoders make of its bytes.
    Encoded(Vec<u8>),
}

impl ValueForm {
    /// The bytes that it may begin with.
    fn firsts(&self) -> Vec<u8> {
        match self {
            Self::Encoded(bytes) => bytes.first().copied().into_iter().collect(),
            Self::Spelled { characters, .. } => {
                let mut firsts = vec![b'%', b'\\', b'&'];
                let mut buffer = [0; 4];
                if let Some(first) = characters.first() {
                    firsts.push(first.encode_utf8(&mut buffer).as_bytes()[0]);
                    firsts.extend((*first == ' ').then_some(b'+'));
                }
                firsts
            }
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Encoded(bytes) => bytes.len(),
            Self::Spelled { length, .. } => *length,
        }
    }

    /// How much of a text is the end of it, whose beginning was cut off; `None`: less than [`VALUE_BYTES_MIN`].
    fn left_before(&self, text: &str) -> Option<usize> {
        let whole = match self {
            Self::Spelled { characters, .. } => characters.iter().collect::<String>().into_bytes(),
            Self::Encoded(bytes) => bytes.clone(),
        };
        let ends = (1..whole.len()).map(|from| &whole[from..]);
        let found = ends.take_while(|end| end.len() >= VALUE_BYTES_MIN);
        found
            .map(|end| (end.len(), text.as_bytes().starts_with(end)))
            .find(|(_, is_it)| *is_it)
            .map(|it| it.0)
    }

    fn at(&self, text: &[u8], from: usize, is_last: bool) -> Spelled {
        match self {
            Self::Spelled { characters, length } => {
                spelled(characters, *length >= WRAPPED_BYTES_MIN, text, from, is_last)
            }
            Self::Encoded(bytes) => encoded_at(bytes, text, from, is_last),
        }
    }
}

fn encoded_at(bytes: &[u8], text: &[u8], from: usize, is_last: bool) -> Spelled {
    let wraps = bytes.len() >= WRAPPED_BYTES_MIN;
    let (mut matched, mut to) = (0, from);
    while matched < bytes.len() {
        match text.get(to) {
            None if is_last => return Spelled::No,
            None => return Spelled::Perhaps,
            Some(byte) if *byte == bytes[matched] => matched += 1,
            Some(b'\n' | b'\r') if wraps && matched > 0 => {}
            Some(_other) => return Spelled::No,
        }
        to += 1;
    }
    Spelled::Until(to)
}

/// The lines of a value of several that are long enough to be found by themselves.
fn lines(value: &str) -> impl Iterator<Item = &str> {
    let is_telling = |line: &&str| line.len() >= LINE_BYTES_MIN && !line.starts_with("-----");
    let several = value.contains('\n');
    value.lines().map(str::trim).filter(is_telling).filter(move |_| several)
}

fn without_line_ends(text: &str) -> String {
    if text.len() < WRAPPED_BYTES_MIN {
        return text.to_owned();
    }
    text.chars().filter(|character| !matches!(character, '\n' | '\r')).collect()
}

/// What encoders make of a value's bytes.
fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![hex(value, "0123456789abcdef"), hex(value, "0123456789ABCDEF")];
    for before in 0..3 {
        // Encoded behind so many other bytes; only digits that stand for nothing but the value count.
        let padded = [&[0_u8; 2][..before], value].concat();
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let digits = text.as_bytes().get(first..last).unwrap_or_default();
            if digits.len() >= BASE64_BYTES_MIN {
                forms.push(digits.to_vec());
            }
        }
    }
    forms
}

pub(super) fn hex(value: &[u8], digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes();
    value.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}
