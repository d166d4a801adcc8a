//! The built-in set: what the credentials of well-known services look like.
//!
//! Law: each rule begins with a text that the search can look for; `***` stands in place of the group `s` of its
//! expression, or of all that it matched. An expression looks at one line.

/// The name of a rule; `except` names it.
pub(super) type BuiltInName = &'static str;

/// Names of fields whose values are masked, in words. `pwd` is not one: it names a folder more often.
pub(super) const KEYS: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "pgpassword",
    "secret",
    "secrets",
    "token",
    "api-key",
    "auth",
    "authorization",
    "proxy-authorization",
    "credential",
    "credentials",
    "private-key",
    "access-key",
    "secret-key",
    "client-secret",
    "access-token",
    "refresh-token",
];

/// What a match must be beside what its expression says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plausible {
    /// Nothing more.
    Always,
    /// Neither a path, as `src/auth/token/...` is one, nor a name in words.
    NoPath,
    /// Digits and letters, or very long: no word of a sentence.
    NoWord,
    /// The same, and not the path of a field in a program.
    NoName,
    /// Not the name of a variable or a placeholder.
    NoPlaceholder,
    /// The same, and neither a path nor what goes on in a program behind a quote that ends a text.
    NoProgram,
    /// Not a placeholder, nor the port of a host before the next address.
    NoPort,
}

/// One built-in rule.
pub(super) struct BuiltInRule {
    pub(super) name: BuiltInName,
    /// In lower case; a match begins with one of them, in any case.
    pub(super) anchors: &'static [&'static str],
    /// From the anchor on.
    pub(super) expression: &'static str,
    pub(super) plausible: Plausible,
}

const fn rule(
    name: BuiltInName,
    anchors: &'static [&'static str],
    expression: &'static str,
    plausible: Plausible,
) -> BuiltInRule {
    BuiltInRule { name, anchors, expression, plausible }
}

pub(super) const RULES: &[BuiltInRule] = &[
    rule("anthropic-key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{20,}", Plausible::Always),
    rule(
        "openai-key",
        &["sk-"],
        r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{20,})",
        Plausible::Always,
    ),
    rule(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"gh[pousr]_[A-Za-z0-9]{36,}",
        Plausible::Always,
    ),
    rule("github-token", &["github_pat_"], r"github_pat_[A-Za-z0-9_]{22,}", Plausible::Always),
    rule("gitlab-token", &["glpat-"], r"glpat-[A-Za-z0-9_-]{20,}", Plausible::Always),
    rule("aws-access-key", &["akia"], r"AKIA[A-Za-z0-9]{16,}", Plausible::Always),
    rule("aws-access-key", &["asia"], r"ASIA[A-Z0-9]{16,}", Plausible::Always),
    rule(
        "aws-secret",
        &[
            "aws_secret",
            "aws-secret",
            "awssecret",
            "secret_access_key",
            "secret-access-key",
            "secretaccesskey",
        ],
        r#"(?i)(?:aws[_-]?)?secret[_-]?(?:access[_-]?)?key["'\\]*\s*[:=]\s*["'\\]*(?P<s>[A-Za-z0-9/+=]{40,})"#,
        Plausible::Always,
    ),
    rule(
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{24,}",
        Plausible::Always,
    ),
    rule("slack-token", &["xox"], r"xox[baprs]-[A-Za-z0-9-]{10,}", Plausible::Always),
    rule(
        "slack-webhook",
        &["hooks.slack.com/"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_-]{20,})",
        Plausible::Always,
    ),
    rule(
        "discord-webhook",
        &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
        r"discord(?:app)?\.com/api/webhooks/(?P<s>[0-9]+/[A-Za-z0-9_-]{20,})",
        Plausible::Always,
    ),
    rule("google-key", &["aiza"], r"AIza[A-Za-z0-9_-]{35,}", Plausible::Always),
    rule(
        "heroku-key",
        &["heroku"],
        r#"(?i)heroku[A-Za-z0-9_. -]{0,20}["'\\]*\s*[:=]\s*["'\\]*(?P<s>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"#,
        Plausible::Always,
    ),
    rule("twilio-key", &["sk"], r"SK[0-9a-fA-F]{32}", Plausible::Always),
    rule("sendgrid-key", &["sg."], r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43,}", Plausible::Always),
    rule("mailgun-key", &["key-"], r"key-[A-Za-z0-9]{32,}", Plausible::Always),
    rule("npm-token", &["npm_"], r"npm_[A-Za-z0-9]{36,}", Plausible::Always),
    rule("pypi-token", &["pypi-"], r"pypi-[A-Za-z0-9_-]{100,}", Plausible::Always),
    rule("everfold-token", &["evf_"], r"evf_[A-Za-z0-9]{40,}", Plausible::Always),
    rule("huggingface-token", &["hf_"], r"hf_[A-Za-z0-9]{34,}", Plausible::Always),
    rule(
        "digitalocean-token",
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        r"do[por]_v1_[a-f0-9]{64}",
        Plausible::Always,
    ),
    rule("azure-key", &["accountkey="], r"(?i)accountkey=(?P<s>[A-Za-z0-9+/=]{40,})", Plausible::Always),
    rule(
        WEB_TOKEN,
        &["eyj"],
        r"eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}",
        Plausible::Always,
    ),
    rule(
        "secret-assignment",
        &["secret", "password", "token", "api_key", "api-key", "apikey", "auth"],
        r#"(?i)(?:secret|password|token|api[_-]?key|auth)["'\\]*\s*(?:=>|[:=])\s*["'\\]*(?P<s>[A-Za-z0-9+/=_-]{40,})"#,
        Plausible::NoPath,
    ),
    rule(
        "password-assignment",
        &["password", "passwd", "pwd"],
        r#"(?i)(?:password|passwd|pwd)\s*(?:=>|[:=])\s*(?:\\*"(?P<s>[^"\\]{8,})\\*"|\\*'(?P<t>[^'\\]{8,})\\*')"#,
        Plausible::NoProgram,
    ),
    rule(
        "password-assignment",
        &["password=", "passwd=", "pgpassword="],
        r#"(?i)(?:pg)?(?:password|passwd)=(?P<s>[^\s"'`,;&(){}<>$\\]{8,})"#,
        Plausible::NoName,
    ),
    rule("authorization", &["bearer "], r"(?i)bearer\s+(?P<s>[A-Za-z0-9._~+/=-]{8,})", Plausible::NoWord),
    rule("authorization", &["basic "], r"(?i)basic\s+(?P<s>[A-Za-z0-9+/=]{20,})", Plausible::NoWord),
    rule(
        "authorization",
        &["authorization"],
        r#"(?i)authorization["'\\]*\s*[:=]\s*["'\\]*(?:bearer|basic|token|digest|negotiate)\s+(?P<s>[^\s"'\\,;]+)"#,
        Plausible::NoPlaceholder,
    ),
    rule("url-credentials", &["://"], r#"://[^\s/@:"'<>\\]*:(?P<s>[^\s/"'<>\\]+)@"#, Plausible::NoPort),
];

/// Three texts with dots between them: [`super::web_token`] reads them as the expression does.
pub(super) const WEB_TOKEN: BuiltInName = "jwt";
/// A token that begins with no text of its own: `ID.TIME.SIGNATURE`.
pub(super) const DISCORD: BuiltInName = "discord-token";
pub(super) const DISCORD_EXPRESSION: &str =
    r"[MN][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}";
/// Blocks of several lines.
pub(super) const PRIVATE_KEY: BuiltInName = "private-key";
/// Fields by name, in JSON and alike.
pub(super) const NAMED_FIELD: BuiltInName = "named-field";

/// Those that say where a credential stands, not what it looks like.
pub(super) const VAGUE: [BuiltInName; 5] =
    [NAMED_FIELD, "secret-assignment", "password-assignment", "authorization", "url-credentials"];

impl Plausible {
    pub(super) fn takes(self, found: &[u8]) -> bool {
        let has = |is: fn(&u8) -> bool| found.iter().any(is);
        match self {
            Self::Always => true,
            Self::NoPath => {
                let slashes = found.iter().filter(|byte| **byte == b'/').count();
                let is_name = has(|byte| matches!(byte, b'_' | b'-'))
                    && found.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'));
                !is_name && (slashes < 3 || has(|byte| matches!(byte, b'+' | b'=')))
            }
            Self::NoWord => {
                let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
                is_mixed
                    || (found.len() >= 20 && has(|byte| matches!(byte, b'A'..=b'Z' | b'=' | b'-' | b'_')))
            }
            Self::NoName => {
                let is_name = found.iter().all(|byte| byte.is_ascii_alphabetic() || b"_.[]".contains(byte));
                !is_name && Self::NoWord.takes(found)
            }
            Self::NoPlaceholder => !is_placeholder(found),
            Self::NoProgram => {
                let begins = |byte: &u8| byte.is_ascii_whitespace() || b"),]}.;:/~".contains(byte);
                !is_placeholder(found) && !found.first().is_some_and(begins)
            }
            Self::NoPort => {
                let digits = found.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let is_port = (1..=5).contains(&digits)
                    && found.get(digits).is_some_and(|byte| b"?,;#)]}".contains(byte));
                !is_placeholder(found) && !is_port
            }
        }
    }
}

/// Whether a text names a variable, or is masked already. `%41` is an encoded character, `%s` and `%NAME%` are not.
fn is_placeholder(found: &[u8]) -> bool {
    match found {
        [b'%', name @ .., b'%'] if name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') => {
            true
        }
        [b'%', first, second, ..] => !(first.is_ascii_hexdigit() && second.is_ascii_hexdigit()),
        [first, ..] => matches!(first, b'$' | b'{' | b'<' | b'*' | b'%'),
        [] => false,
    }
}
