//! The address at which people see an issue.

use super::parameters::IssuePlace;

/// The address of an issue below that of Plane's pages; none where only this machine would reach it.
pub(super) fn issue_link(web: Option<&str>, place: &IssuePlace) -> Option<String> {
    let base = web.unwrap_or(&place.site.url).trim().trim_end_matches('/');
    let host = url::Url::parse(base).ok()?.host()?.to_owned();
    let is_near = match &host {
        url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    };
    let (workspace, project, issue) = (&place.site.workspace, &place.project, &place.issue);
    (!is_near).then(|| format!("{base}/{workspace}/projects/{project}/issues/{issue}/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::parameters::PlaneSite;

    #[test]
    fn o175_o180_no_link_leads_to_a_machine_that_nobody_else_reaches() {
        let site =
            PlaneSite { url: "http://127.0.0.1:8091".into(), workspace: "w".into(), token: "t".into() };
        let place = IssuePlace { site, project: "p".into(), issue: "i".into() };
        let link = Some("https://plane.example.org/w/projects/p/issues/i/".to_owned());
        assert_eq!(issue_link(Some("https://plane.example.org/"), &place), link);
        for near in [
            None,
            Some(""),
            Some("nowhere"),
            Some("http://localhost:8091"),
            Some("http://LOCALHOST"),
            Some("http://127.0.0.1"),
            Some("http://127.0.0.2:80/"),
            Some("http://0.0.0.0:3000"),
            Some("http://[::1]:3000"),
        ] {
            assert_eq!(issue_link(near, &place), None, "{near:?}");
        }
        assert!(issue_link(Some("http://10.0.0.7:8091"), &place).is_some());
    }
}
