//! Addresses with a query.

/// An address with a query of the pairs that have a value.
pub(crate) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_users_become_no_part_of_an_address() {
        assert_eq!(address("/runs/x/log", &[("step", "a&b"), ("round", "")]), "/runs/x/log?step=a%26b");
    }
}
