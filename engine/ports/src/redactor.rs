//! The port that masks credentials by their form.

use std::borrow::Cow;

use everfold_base::json::Value;

/// Masks what looks like a credential in what people and other systems say, before anything of it is written.
pub trait Redactor: Send + Sync {
    /// The text, masked.
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str>;

    /// Masks the texts of a value, and all values of fields whose names say that they are secret.
    fn value(&self, value: &mut Value);

    /// A credential that the text of a pipeline holds: the name of its pattern, and the line. What may be anything
    /// else, as a field of a certain name, does not count.
    fn find(&self, text: &str) -> Option<(String, usize)>;
}
