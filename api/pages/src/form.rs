//! Forms: what they bring.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt as _, Limited};

use crate::problem::Problem;

/// The largest form in bytes: the same as that of a body of REST.
const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The field with the session's secret.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// The field with the key by which a form that is sent twice does one thing.
pub(crate) const ONCE_FIELD: &str = "once";

/// The fields of a form in their order, without those of the frame.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pairs: Vec<(String, String)>,
    once: Option<String>,
}

impl Fields {
    /// The fields of a body of the type `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                CSRF_FIELD => {}
                ONCE_FIELD => fields.once = Some(value.into_owned()),
                _ => fields.pairs.push((name.into_owned(), value.into_owned())),
            }
        }
        fields
    }

    /// The text of a field, where it is there and not blank.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|text| !text.trim().is_empty())
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same with one field more, unless it is there.
    #[must_use]
    pub fn or(mut self, name: &str, text: Option<&str>) -> Self {
        if let Some(text) = text.filter(|_| !self.is_set(name)) {
            self.pairs.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// The key by which the form does one thing, however often it is sent.
    #[must_use]
    pub fn once(&self) -> Option<&str> {
        self.once.as_deref()
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        Ok(Self::read(&taken_in(request.into_body()).await?))
    }
}

/// The bytes of a form.
///
/// # Errors
/// It is too large.
pub(crate) async fn taken_in(body: Body) -> Result<Bytes, Problem> {
    let read = Limited::new(body, FORM_BYTES_MAX).collect().await;
    let too_large = |_| Problem {
        status: 413,
        title: "too large".to_owned(),
        detail: format!("the form is over the limit of {} MiB", FORM_BYTES_MAX / 1024 / 1024),
        ..Problem::default()
    };
    Ok(read.map_err(too_large)?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_address_names_is_kept_where_the_form_says_nothing_of_it() {
        let form = Fields::read(b"reason=late");
        assert_eq!(form.clone().or("step", Some("build")).text("step"), Some("build"));
        assert_eq!(form.clone().or("reason", Some("early")).text("reason"), Some("late"));
        assert_eq!(form.or("step", None).text("step"), None);
    }
}
