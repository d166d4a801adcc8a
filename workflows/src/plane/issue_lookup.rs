//! Finds an issue by its name, such as `ORCH-005`: by the number in it, whatever stands before.

use everfold_base::json::Value;

use super::client::PlaneClient;
use super::error::PlaneError;
use super::parameters::IssuePlace;
use crate::http::percent_encoded;

/// Issues in whose names the number stands, too, are among what a search finds.
const FOUND_MAX: u32 = 1_000;

/// The number in a name; none where it is the id of an issue.
pub(super) fn number_in(name: &str) -> Option<u64> {
    let (prefix, number) = name.trim().rsplit_once('-')?;
    let is_prefix = !prefix.is_empty() && prefix.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|number| is_prefix && is_number && *number > 0)
}

/// The id of the issue of a project that has a number.
pub(super) async fn find(
    client: &PlaneClient,
    place: &IssuePlace,
    number: u64,
) -> Result<String, PlaneError> {
    let project = percent_encoded(&place.project, b"");
    let path = format!("issues/search/?search={number}&project_id={project}&limit={FOUND_MAX}");
    let what = format!("issue {}", place.issue);
    let found = client.get(&place.site, &path, &what).await?;
    let items =
        found["issues"].as_array().or_else(|| found["results"].as_array()).or_else(|| found.as_array());
    let items = items.ok_or_else(|| PlaneError::Foreign("what was found comes as no list".to_owned()))?;
    let is_it = |item: &&Value| {
        let sequence = &item["sequence_id"];
        let has_number = sequence.as_u64().or_else(|| sequence.as_str()?.parse().ok()) == Some(number);
        has_number && item["project_id"].as_str().is_none_or(|project| project == place.project)
    };
    let id = items.iter().find(is_it).and_then(|item| item["id"].as_str());
    id.map(str::to_owned).ok_or(PlaneError::NotFound { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o116_a_name_has_a_number_and_an_id_has_none() {
        for (name, number) in [
            ("ORCH-005", Some(5)),
            ("ET-2", Some(2)),
            (" enduro_trails-18 ", Some(18)),
            ("8da6aa25-a60e-44d6-a1e2-000000000018", None),
            ("ORCH-0", None),
            ("ORCH-", None),
            ("-5", None),
            ("ORCH-+5", None),
            ("ORCH", None),
        ] {
            assert_eq!(number_in(name), number, "{name}");
        }
    }
}
