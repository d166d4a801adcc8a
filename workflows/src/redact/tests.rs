//! What is found, what is left alone, and that pieces make no difference. Credentials are put together here, so that
//! this file holds none.

use proptest::prelude::*;

use super::anchors::BYTES_SEARCHED;
use super::line::BYTES_READ;
use super::patterns::Patterns;
use super::rules::RULES;
use super::settings::RedactSettings;
use super::stream::PatternStream;

fn masked_by(settings: &RedactSettings, text: &str) -> String {
    let patterns = Patterns::new(settings).unwrap();
    let masked = patterns.bytes(text.as_bytes());
    masked.map_or(text.to_owned(), |masked| String::from_utf8(masked).unwrap())
}

fn masked(text: &str) -> String {
    masked_by(&RedactSettings::default(), text)
}

fn in_pieces(settings: &RedactSettings, text: &str, size: usize) -> String {
    let mut stream = PatternStream::new(Patterns::new(settings).unwrap());
    let mut shown: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| stream.take(piece)).collect();
    shown.extend(stream.finish());
    String::from_utf8(shown).unwrap()
}

fn of(length: usize) -> String {
    "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8".chars().cycle().take(length).collect()
}

/// The beginning of a credential, how many characters follow at least, and the characters.
fn kinds() -> Vec<(&'static str, usize)> {
    vec![
        ("sk-ant-", 20),
        ("sk-", 20),
        ("ghp_", 36),
        ("gho_", 36),
        ("AKIA", 16),
        ("sk_live_", 24),
        ("sk_test_", 24),
        ("AIza", 35),
        ("key-", 32),
        ("npm_", 36),
        ("pypi-", 100),
        ("glpat-", 20),
    ]
}

fn private_key(line_end: &str) -> String {
    let body = [of(64), of(64), format!("{}==", of(20))].join(line_end);
    ["-----BEGIN RSA PRIV", "ATE KEY-----", line_end, &body, line_end, "-----END RSA PRIV", "ATE KEY-----"]
        .concat()
}

#[test]
fn each_kind_is_found_and_one_character_less_is_left_alone() {
    for (begin, least) in kinds() {
        let whole = format!("{begin}{}", of(least));
        for text in [
            format!("a {whole} b"),
            format!("x={whole}\n"),
            format!("\"a\\n{whole}\\n\""),
            format!("\u{1b}[32m{whole}"),
        ] {
            assert_eq!(masked(&text), text.replace(&whole, "***"), "{begin}");
        }
        let less = format!("a {begin}{} b", of(least - 1));
        assert_eq!(masked(&less), less, "{begin}");
    }
    let hex: String = "0123456789abcdef".repeat(2);
    let uuid = "0a1b2c3d-1111-2222-3333-0123456789ab";
    for (text, shown) in [
        (format!("SK{hex}"), "***".to_owned()),
        (format!("SK{}", &hex[1..]), format!("SK{}", &hex[1..])),
        (format!("SG.{}.{}", of(22), of(43)), "***".to_owned()),
        (format!("SG.{}.{}", of(21), of(43)), format!("SG.{}.{}", of(21), of(43))),
        (format!("xox{}-{}", "b", of(24)), "***".to_owned()),
        (
            format!("https://hooks.slack{}.com/services/T{}/B{}", "", of(8), of(24)),
            "https://hooks.slack.com/services/***".to_owned(),
        ),
        (
            format!("https://discord{}.com/api/webhooks/1234/{}", "", of(60)),
            "https://discord.com/api/webhooks/***".to_owned(),
        ),
        (format!("M{}.{}.{}", of(23), of(6), of(27)), "***".to_owned()),
        (format!("M{}.{}.{}", of(22), of(6), of(27)), format!("M{}.{}.{}", of(22), of(6), of(27))),
        (format!("eyJ{}.eyJ{}.{}", of(20), of(30), of(43)), "***".to_owned()),
        (format!("HEROKU_API_KEY={uuid}"), "HEROKU_API_KEY=***".to_owned()),
        (format!("aws_secret_access_key = {}", of(40)), "aws_secret_access_key = ***".to_owned()),
        (format!("aws_secret_access_key = {}", of(39)), format!("aws_secret_access_key = {}", of(39))),
        (format!("token: {}", of(40)), "token: ***".to_owned()),
        (format!("token: {}", of(39)), format!("token: {}", of(39))),
        ("password = \"hunter22\"".to_owned(), "password = \"***\"".to_owned()),
        ("password = \"hunter2\"".to_owned(), "password = \"hunter2\"".to_owned()),
        ("pwd='correct horse'".to_owned(), "pwd='***'".to_owned()),
        ("--password=hunter2222".to_owned(), "--password=***".to_owned()),
        ("Authorization: Bearer x".to_owned(), "Authorization: Bearer *".to_owned()),
        ("-H 'Authorization: Basic dXNlcjpw'".to_owned(), "-H 'Authorization: Basic ***'".to_owned()),
        (format!("Bearer {}", of(12)), "Bearer ***".to_owned()),
        ("postgres://ada:s3cr@db/x".to_owned(), "postgres://ada:***@db/x".to_owned()),
        ("mongodb+srv://ada:s3cr@db/x".to_owned(), "mongodb+srv://ada:***@db/x".to_owned()),
        ("redis://:s3cr@db:6379".to_owned(), "redis://:***@db:6379".to_owned()),
    ] {
        assert_eq!(masked(&text), shown, "{text}");
    }
}

#[test]
fn fields_are_masked_by_their_names_in_text_too() {
    for (text, shown) in [
        (
            r#"{"api_key":"a","n":{"token":5,"max_tokens":9,"author":"x"}}"#,
            r#"{"api_key":"*","n":{"token":5,"max_tokens":9,"author":"x"}}"#,
        ),
        (r#"{"apiKey" : "abc\"def", "b": 1}"#, r#"{"apiKey" : "***", "b": 1}"#),
        (
            r#"{"t":"{\"client_secret\": \"abcdef\", \"b\": 1}"}"#,
            r#"{"t":"{\"client_secret\": \"***\", \"b\": 1}"}"#,
        ),
        (r#"{"password": 1234567}"#, r#"{"password": "***"}"#),
        ("{'token': 'abcdef'}", "{'token': '***'}"),
        (
            r#"{"input_tokens":1234567,"output_tokens":7654321,"token_count":1234567}"#,
            r#"{"input_tokens":1234567,"output_tokens":7654321,"token_count":1234567}"#,
        ),
    ] {
        assert_eq!(masked(text), shown);
        assert_eq!(masked(shown), shown, "twice is as once");
    }
    let settings =
        RedactSettings { keys: vec!["pin".to_owned(), "x-session".to_owned()], ..RedactSettings::default() };
    for (text, shown) in [
        ("pin=1234 shipping=5", "pin=*** shipping=5"),
        ("X-Session: abc", "X-Session: ***"),
        (r#"{"pin":"1"}"#, r#"{"pin":"*"}"#),
    ] {
        assert_eq!(masked_by(&settings, text), shown);
    }
}

#[test]
fn of_a_private_key_no_line_remains() {
    assert_eq!(masked(&format!("a\n{}\nb\n", private_key("\n"))), "a\n***\nb\n");
    assert_eq!(masked(&format!("a\r\n{}\r\nb", private_key("\r\n"))), "a\r\n***\r\nb");
    assert_eq!(masked(&format!("{{\"key\":\"{}\\n\"}}", private_key("\\n"))), "{\"key\":\"***\\n\"}");
    // Of one that is cut off, and behind what a log puts before each line.
    let cut: String = private_key("\n").lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(masked(&format!("{cut}and so on, as before")), "***\nand so on, as before");
    let prefixed: String = private_key("\n").lines().map(|line| format!("12:01 key | {line}\n")).collect();
    assert_eq!(masked(&prefixed), "12:01 key | ***\n");
    for text in [
        "This is normal text.",
        "-----BEGIN PUBLIC KEY-----\nabcd\n",
        "grep '-----BEGIN PRIVATE KEY-----' file\n",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn ordinary_texts_are_left_alone() {
    let image = format!("data:image/png;base64,iVBORw0KGgo{}", of(4_000));
    for text in [
        "commit 3d5f9a0c1b2e4f6a8b7c9d0e1f2a3b4c5d6e7f80",
        "run 0190163d-8694-739b-aea5-966c26f8ad91 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "error: expected one of `!` or `::`, found token `=`: unexpected token: identifier",
        "   Compiling tokio v1.48.0 (/home/ada/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.48.0)",
        "the password: it must have 8 characters; author = \"Ada Lovelace\"; task-1234567890abcdefghij0123",
        "token: src/engine/language/src/expression/template/parse.rs",
        "Bearer authentication and basic internationalization are described there",
        "https://example.org:8443/a@b http://localhost:8080/x?y=z ssh://git@example.org:22/x.git",
        "postgres://${USER}:${PASSWORD}@db/x  risk-assessment-of-the-whole-thing monkey-abcdefghijklmnop",
        "test secret::tests::l34_a_value_is_found_in_every_usual_form ... ok",
        image.as_str(),
    ] {
        assert_eq!(masked(text), text);
    }
}

/// The repository's own documents, source files and lock file: what developers print every day.
#[test]
fn the_repositorys_own_texts_hold_next_to_nothing_that_looks_like_a_credential() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let settings = RedactSettings {
        except: ["named-field", "url-credentials", "authorization", "password-assignment"]
            .map(str::to_owned)
            .to_vec(),
        ..RedactSettings::default()
    };
    let patterns = Patterns::new(&settings).unwrap();
    let mut folders =
        vec![root.join("docs"), root.join("workflows/src"), root.join("engine"), root.join("api/src")];
    let (mut files, mut found) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let is_text = path
                .extension()
                .is_some_and(|it| ["md", "rs", "toml", "yaml", "json"].iter().any(|text| it == *text));
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if is_text && let Ok(text) = std::fs::read(&path) {
                files += 1;
                // One holds a sample of a token.
                if !path.ends_with("document/exact.rs") && patterns.bytes(&text).is_some() {
                    found.push((path, patterns.first(&text).map(|(name, _)| name.to_owned())));
                }
            }
        }
    }
    assert!(files > 500, "{files}");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn programs_and_their_outputs_are_left_alone() {
    for text in [
        r#"input("Enter password: ").strip() + "x""#,
        r#"input("Enter password:").strip("0123456789")"#,
        r#"["Enter password:",null,null,1]"#,
        r#"["Enter password:",null,null,"x"]"#,
        r#"{"Enter password:":12345678,"b":"c"}"#,
        r#"{"t":"[\"Enter password:\",null,null,\"x\"]"}"#,
        r#"ask('New passwd: '); ask('Again: ')"#,
        r#"declare -x PWD="/home/ada/project""#,
        "PWD='~/project with blanks'",
        r#"{"pwd":"/home/ada/project","oldpwd":"x"}"#,
        "connect(user=u, password=settings.database_password, timeout=5)",
        "password=os.environ['DATABASE_PASSWORD']",
        "password: null\nsecret: false\ntoken_type: bearer\n",
        r#"{"token":null,"secret":false,"authorization":true,"tokens":{"in":1234567},"token_count":1234567}"#,
        r#"{"token_type":"bearer"}"#,
        "https://example.org:8443?from=ada@example.org https://example.org:8443,ada@example.org",
        "postgres://ada:%s@db postgres://ada:%(password)s@db postgres://ada:%DB_PASSWORD%@db",
    ] {
        assert_eq!(masked(text), text);
    }
    let whole = || serde_json::json!({"token": null, "secret": false, "authorization": true, "tokens": 5, "pwd": "/x"});
    let mut output = whole();
    crate::secret::Mask::of_patterns(Patterns::new(&RedactSettings::default())).value(&mut output);
    assert_eq!(output, whole());
}

#[test]
fn the_password_of_a_url_reaches_to_the_last_at_of_its_host() {
    for (text, shown) in [
        ("postgres://ada:%40s3cret@db/x", "postgres://ada:***@db/x"),
        ("postgres://ada:p@ss@db/x ada@example.org", "postgres://ada:***@db/x ada@example.org"),
        ("postgres://ada:p@ss@db", "postgres://ada:***@db"),
        ("postgres://ada:p@ss@db:5432/x@y", "postgres://ada:***@db:5432/x@y"),
        ("postgres://ada:12345@db", "postgres://ada:***@db"),
    ] {
        assert_eq!(masked(text), shown);
    }
}

#[test]
fn a_private_key_of_pgp_has_an_empty_line_before_it() {
    let (begin, end) =
        (["-----BEGIN PGP PRIV", "ATE KEY BLOCK-----"].concat(), "-----END PGP PRIVATE KEY BLOCK-----");
    for line_end in ["\n", "\r\n"] {
        for before in [vec![], vec![""], vec!["", ""], vec!["Version: GnuPG v2", ""]] {
            let body = [of(64), of(64), "=aB3d".to_owned()];
            let lines: Vec<&str> = std::iter::once(begin.as_str())
                .chain(before.iter().copied())
                .chain(body.iter().map(String::as_str))
                .collect();
            let cut = lines.join(line_end);
            let whole = format!("{cut}{line_end}{end}");
            for (text, shown) in [
                (format!("a{line_end}{whole}{line_end}b"), format!("a{line_end}***{line_end}b")),
                (
                    format!("{cut}{line_end}and so on, as before"),
                    format!("***{line_end}and so on, as before"),
                ),
            ] {
                // A line end belongs to the line before it.
                let plain = |text: &str| text.replace('\r', "");
                assert_eq!(plain(&masked(&text)), plain(&shown), "{before:?}");
                for size in [1, 7, 64] {
                    assert_eq!(in_pieces(&RedactSettings::default(), &text, size), masked(&text), "{size}");
                }
            }
        }
        let text = format!("{begin}{line_end}{line_end}{line_end}{line_end}prose follows here");
        assert_eq!(masked(&text), text);
    }
}

#[test]
fn own_patterns_and_exceptions_count() {
    let settings = RedactSettings {
        patterns: [("order".to_owned(), "ORD-[0-9]{8}".to_owned())].into(),
        except: vec!["github-token".to_owned()],
        ..RedactSettings::default()
    };
    let token = format!("ghp_{}", of(36));
    let text = format!("ORD-12345678 {token} ORD-1\n");
    assert_eq!(masked_by(&settings, &text), format!("*** {token} ORD-1\n"));
    let none = RedactSettings { built_in: false, ..RedactSettings::default() };
    assert!(Patterns::new(&none).is_none());
    assert!(RedactSettings::default().active().len() > 20);
}

#[test]
fn own_patterns_are_found_wherever_they_stand_in_a_long_line() {
    let settings = RedactSettings {
        patterns: [
            ("order".to_owned(), r"\bORD-[0-9]{8}\b".to_owned()),
            ("digits".to_owned(), "<[0-9]{3,2000}>".to_owned()),
            ("rest".to_owned(), "REST:[a-z]+".to_owned()),
        ]
        .into(),
        built_in: false,
        ..RedactSettings::default()
    };
    let digits = format!("<{}>", "7".repeat(1_900));
    for before in [0, 8_185, 8_192, 16_370, 16_376, 16_380, 16_384, 24_570, 32_764, 50_000] {
        let text = format!(
            "{} ORD-12345678 {digits} xORD-12345678 {}\nb",
            "ab ".repeat(before / 3),
            "c ".repeat(20_000)
        );
        let shown = text.replacen("ORD-12345678", "***", 1).replace(&digits, "***");
        assert_eq!(masked_by(&settings, &text), shown, "{before}");
        for size in [4_096, 16_384, 65_536] {
            assert_eq!(in_pieces(&settings, &text, size), shown, "{before} {size}");
        }
    }
    // One that is longer than a window is masked up to where a window from its beginning ends.
    let text = format!("{}REST:{} and so on", "ab ".repeat(3_000), "x".repeat(30_000));
    let whole = masked_by(&settings, &text);
    assert!(whole.contains("***"), "{}", whole.len());
    for size in [1_000, 4_096, 20_000] {
        assert_eq!(in_pieces(&settings, &text, size), whole, "{size}");
    }
}

#[test]
fn many_keys_and_long_tokens_are_searched_once() {
    let keys = format!("{}\n", private_key("\n")).repeat(500);
    let tokens = format!("sk-ant-{} b ", of(20_000)).repeat(20);
    for (text, shown) in [(keys, "***\n".repeat(500)), (tokens, "*** b ".repeat(20))] {
        let before = BYTES_SEARCHED.get();
        assert_eq!(masked(&text), shown);
        assert_eq!(BYTES_SEARCHED.get() - before, text.len());
    }
}

#[test]
fn a_token_of_any_length_is_masked_to_its_end() {
    for length in [10_000, 16_384, 16_385, 40_000, 200_000] {
        let text = format!("a sk-ant-{} b {}", of(length), of(100_000));
        let shown = format!("a *** b {}", of(100_000));
        assert_eq!(masked(&text), shown, "{length}");
        assert_eq!(in_pieces(&RedactSettings::default(), &text, 4_096), shown, "{length}");
    }
}

#[test]
fn every_built_in_expression_compiles_and_begins_with_an_anchor() {
    for rule in RULES {
        assert!(
            regex::bytes::Regex::new(&format!("(?s-u)^(?:{})", rule.expression)).is_ok(),
            "{}",
            rule.name
        );
        assert!(rule.anchors.iter().all(|anchor| *anchor == anchor.to_ascii_lowercase()), "{}", rule.name);
    }
    RedactSettings::default().check().unwrap();
}

/// Counted in the bytes that are read, not in time: each of these texts was read once for each of its anchors.
#[test]
fn a_line_of_nothing_but_beginnings_is_gone_through_once() {
    for begun in [
        "eyJ-",
        "eyJ_",
        "eyJaaaaaa.eyJ-",
        "sk-a-",
        "://a:",
        "token=",
        "auth:a/b/c/",
        "password=\"",
        "\"token\": ",
    ] {
        let text = begun.repeat(256 * 1024 / begun.len());
        let before = BYTES_READ.get();
        assert!(masked(&text).len() <= text.len());
        let read = BYTES_READ.get() - before;
        assert!(read <= 3 * text.len(), "{begun}: {read} bytes are read for {}", text.len());
    }
}

#[test]
fn web_tokens_are_found_as_their_expression_finds_them() {
    let rule = RULES.iter().find(|rule| rule.name == super::rules::WEB_TOKEN).unwrap();
    let regex = regex::bytes::Regex::new(&format!("(?s-u)^(?:{})", rule.expression)).unwrap();
    let parts = ["eyJ", "eyJab", "aaaaa", "eyJaaaaaa", ".", "-", "_", " ", "ey", "."];
    let mut seed = 7_u64;
    for _text in 0..20_000 {
        let text: String = (0..8)
            .map(|_part| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                parts[usize::try_from(seed >> 33).unwrap() % parts.len()]
            })
            .collect();
        let mut runs = super::web_token::TokenRuns::default();
        for start in 0..text.len() {
            let expected = regex.find(&text.as_bytes()[start..]).map(|found| start + found.end());
            let found = match runs.token_at(text.as_bytes(), start, true) {
                super::web_token::WebToken::Until(end) => Some(end),
                _other => None,
            };
            assert_eq!(found, expected, "{text} at {start}");
        }
    }
}

#[test]
fn a_log_without_credentials_is_searched_at_a_speed_that_no_process_waits_for() {
    let line = "2026-11-22T07:00:00Z INFO  building module core/state step=17 token_count=1200 took=12ms path=/home/ada/src/core/state.rs\n";
    let text = line.repeat(8 * 1024 * 1024 / line.len());
    let patterns = Patterns::new(&RedactSettings::default()).unwrap();
    let _warm = patterns.bytes(line.as_bytes());
    let mut stream = PatternStream::new(patterns);
    let begun = std::time::Instant::now();
    let shown: usize = text.as_bytes().chunks(64 * 1024).map(|piece| stream.take(piece).len()).sum();
    let took = begun.elapsed();
    let rate = 8.0 / took.as_secs_f64();
    println!("{rate:.0} MiB/s, {shown} bytes");
    assert_eq!(shown + stream.finish().len(), text.len());
    assert!(rate > 0.5, "{rate} MiB/s: even without optimisation");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn pieces_are_masked_as_the_whole_and_nothing_becomes_longer(
        parts in proptest::collection::vec(prop_oneof![
            Just(format!("ghp_{}", of(36))), Just(format!("sk-ant-{}", of(20))), Just(private_key("\n")), Just("\n".to_owned()),
            Just("-----BEGIN PRIVATE KEY-----\n".to_owned()), Just(of(64)), Just(format!("M{}.{}.{}", of(23), of(6), of(27))),
            Just("\"api_key\": \"".to_owned()), Just("\",".to_owned()), Just("password=".to_owned()), Just(" ".to_owned()),
            Just("postgres://a:b@c".to_owned()), Just("ORD-12345678".to_owned()), "[a-z3\"\\\\]{0,5}", Just("pin: 12".to_owned()),
        ], 0..12),
        size in 1_usize..40,
        has_own in any::<bool>(),
    ) {
        let mut settings = RedactSettings::default();
        if has_own {
            settings.patterns.insert("order".to_owned(), "ORD-[0-9]{8}".to_owned());
            settings.keys.push("pin".to_owned());
        }
        let text = parts.concat();
        let whole = masked_by(&settings, &text);
        prop_assert_eq!(in_pieces(&settings, &text, size), whole.as_str());
        prop_assert!(whole.len() <= text.len());
    }
}
