//! How git is given the token of the service that a remote lies at.

use super::call::Git;
use crate::provider::remote::Remote;

/// Git with the token of the service that the remote lies at, where there is one. The header is for that
/// address alone, and stands in the environment of git, never among its arguments.
pub(super) fn authorised(git: Git, token: Option<(String, String)>, remote: &Remote) -> Git {
    use base64::Engine as _;
    let Some((web_url, token)) = token.filter(|_| remote.is_http) else { return git };
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    git.with_env("GIT_CONFIG_COUNT", "1")
        .with_env("GIT_CONFIG_KEY_0", &format!("http.{web_url}/.extraHeader"))
        .with_env("GIT_CONFIG_VALUE_0", &format!("Authorization: Basic {basic}"))
        .hiding(&token)
        .hiding(&basic)
}
