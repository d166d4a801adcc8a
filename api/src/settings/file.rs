//! The settings of a data folder: `everfold.toml`.
//!
//! Law: a key that is not known is refused, with the nearest known one; nothing is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use everfold_engine::definition::similar;
use everfold_engine::driver::{EngineConfig, MoneyConfig, NoticeSubscription, OrderConfig};
use everfold_workflows::agent::{AgentProfile, PreflightSettings};
use everfold_workflows::builtin;
use everfold_workflows::handles;
use everfold_workflows::hook::HookSettings;
use everfold_workflows::notify::MailSettings;
use everfold_workflows::provider::{ProviderSettings, TokenSource};
use everfold_workflows::redact::RedactSettings;
use everfold_workflows::remote::WorkerSettings;
use everfold_workflows::secret::SettingsSecret;
use everfold_workflows::settings::{GitSettings, LogSettings, WorkflowSettings};
use serde::Deserialize;

use super::credentials::CredentialSettings;
use super::limits::{self, BreakerKinds, LimitSettings};
use super::prices::{self, PriceSettings};
use super::serve::ServeSettings;
use super::subscriptions::{self, SubscriptionSettings};
use super::tracing::TracingSettings;
use crate::named_file;

/// What a new data folder's `everfold.toml` says: every key, as a comment, with its default.
pub const TEMPLATE: &str = include_str!("settings.toml");

/// The largest settings file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Every setting there is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Commits that Everfold makes.
    pub git: GitSettings,
    /// Logs of attempts.
    pub logs: LogSettings,
    /// What may be in progress at once, and how often it may start.
    pub limits: LimitSettings,
    /// Slots that steps hold by `resources`: how many there are of each.
    pub resources: BTreeMap<String, usize>,
    /// When services that do not answer are left alone.
    pub breakers: BreakerKinds,
    /// Profiles of agents by name; they replace a built-in one of the same name.
    pub agents: BTreeMap<String, AgentProfile>,
    /// What is looked at before an agent begins, by profile.
    pub preflight: BTreeMap<String, PreflightSettings>,
    /// What tokens cost, by `PROVIDER:MODEL`, where a report of usage has no cost.
    pub prices: BTreeMap<String, PriceSettings>,
    /// What one unit of another currency is worth in US dollars, by its code.
    pub rates: BTreeMap<String, f64>,
    /// Services that host repositories, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// How `everfold serve` listens.
    pub serve: ServeSettings,
    /// Functions that workers do.
    pub workers: WorkerSettings,
    /// Sources of webhooks, by name.
    pub hooks: BTreeMap<String, HookSettings>,
    /// The server that mails go through.
    pub mail: Option<MailSettings>,
    /// What is masked by its form in all that is written.
    pub redact: RedactSettings,
    /// Runs as traces.
    pub tracing: TracingSettings,
    /// Secrets for subscriptions, by name.
    pub secrets: BTreeMap<String, SettingsSecret>,
    /// How credentials of requests are kept.
    pub credentials: CredentialSettings,
    /// Subscriptions to events of all runs.
    pub subscriptions: Vec<SubscriptionSettings>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("could not read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says what cannot be.
    #[error("{path}{}: {message}", .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which line, 1-based, where it is known.
        line: Option<usize>,
        /// What is wrong and what was probably meant.
        message: String,
    },
}

impl Settings {
    /// Reads the file; one that is not there gives the defaults.
    ///
    /// # Errors
    /// When it cannot be read, or holds an unknown key or a wrong value.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Io { path: path.to_owned(), source };
        match named_file::read_bounded(path, FILE_BYTES_MAX) {
            Ok(Some(bytes)) => {
                let no_text = |_| failed(Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"));
                Self::parse(&String::from_utf8(bytes).map_err(no_text)?, path)
            }
            Ok(None) => Err(failed(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(failed(source)),
        }
    }

    /// Reads the text of a settings file; `path` is for messages.
    ///
    /// # Errors
    /// When it holds an unknown key or a wrong value.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let invalid = |line, message| SettingsError::Invalid { path: path.to_owned(), line, message };
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            invalid(line, with_suggestion(error.message()))
        })?;
        for (name, profile) in &settings.agents {
            profile.check().map_err(|message| invalid(None, format!("agents.{name}: {message}")))?;
        }
        for (name, preflight) in &settings.preflight {
            preflight.check().map_err(|message| invalid(None, format!("preflight.{name}: {message}")))?;
            if !settings.agents.contains_key(name)
                && !everfold_workflows::agent::BUILT_IN.contains(&name.as_str())
            {
                let message = format!("preflight.{name}: there is no profile {name} of agents");
                return Err(invalid(None, message));
            }
        }
        let rates = prices::rates(&settings.rates).map_err(|message| invalid(None, message))?;
        prices::table(&settings.prices, &rates).map_err(|message| invalid(None, message))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (name, provider) in &mut settings.providers {
            provider
                .check(folder)
                .map_err(|message| invalid(None, format!("providers.{name}: {message}")))?;
        }
        settings.serve.check(folder).map_err(|message| invalid(None, format!("serve: {message}")))?;
        for (name, hook) in &mut settings.hooks {
            hook.check(name, folder).map_err(|message| invalid(None, format!("hooks.{name}: {message}")))?;
        }
        if let Some(mail) = &mut settings.mail {
            mail.check(folder).map_err(|message| invalid(None, format!("mail: {message}")))?;
        }
        settings.secrets.values_mut().for_each(|source| source.settle(folder));
        subscriptions::check(&settings.subscriptions, &settings.secrets)
            .map_err(|message| invalid(None, message))?;
        settings.workers.check().map_err(|message| invalid(None, format!("workers.{message}")))?;
        settings.logs.check().map_err(|message| invalid(None, format!("logs.{message}")))?;
        settings.redact.check().map_err(|message| invalid(None, format!("redact.{message}")))?;
        settings
            .credentials
            .check(folder)
            .map_err(|message| invalid(None, format!("credentials.{message}")))?;
        settings.order().map_err(|message| invalid(None, message))?;
        if !settings.git.author.contains('<') {
            return Err(invalid(None, "git.author is written NAME <EMAIL>".to_owned()));
        }
        Ok(settings)
    }

    /// The engine's bounds, with those that the settings name.
    #[must_use]
    pub fn engine_config(&self) -> EngineConfig {
        let LimitSettings { processes, functions, probes, .. } = self.limits;
        let rates = prices::rates(&self.rates).unwrap_or_default();
        EngineConfig {
            supervised_max: handles::bounded(processes, "processes"),
            functions_max: functions,
            probes_max: handles::bounded(probes, "probes"),
            // Settings that were read have been checked.
            order: self.order().unwrap_or_default(),
            money: MoneyConfig { prices: prices::table(&self.prices, &rates).unwrap_or_default(), rates },
            credentials_kept: self.credentials.kept(),
            ..EngineConfig::default()
        }
    }

    /// The subscriptions to events of all runs; commands that print secrets run in `folder`.
    #[must_use]
    pub fn subscriptions(&self, folder: &Path) -> Vec<NoticeSubscription> {
        subscriptions::of(&self.subscriptions, &self.secrets, folder)
    }

    fn order(&self) -> Result<OrderConfig, String> {
        limits::order(&self.limits, &self.resources, &self.breakers)
    }

    /// The sections that executors, probers and functions read.
    #[must_use]
    pub fn workflows(&self) -> WorkflowSettings {
        WorkflowSettings {
            git: self.git.clone(),
            logs: self.logs.clone(),
            agents: self.agents.clone(),
            preflight: self.preflight.clone(),
            providers: self.providers.clone(),
            workers: self.workers.clone(),
            mail: self.mail.clone(),
            redact: self.redact.clone(),
            url: self.serve.url.clone(),
            withheld: self.withheld(),
        }
    }

    /// The variables of the engine's environment that hold a token or a password of the engine itself: what the settings name,
    /// and what the built-in pipelines know, whether or not anything names it here.
    fn withheld(&self) -> BTreeSet<String> {
        let tokens = self.providers.values().filter_map(|provider| provider.token.as_ref());
        let signing = self.hooks.values().filter_map(|hook| hook.secret.as_ref());
        let receivers = self.subscriptions.iter().filter_map(|it| it.with.get("sign")?.get("env")?.as_str());
        let passwords = self.mail.iter().filter_map(|mail| mail.password.as_ref());
        let named = tokens.chain(signing).filter_map(TokenSource::variable);
        named
            .chain(passwords.chain(self.secrets.values()).filter_map(SettingsSecret::variable))
            .cloned()
            .chain(receivers.map(str::to_owned))
            .chain(builtin::SECRET_VARIABLES.map(str::to_owned))
            .collect()
    }
}

/// Adds “did you mean” to the parser's word about an unknown key.
fn with_suggestion(message: &str) -> String {
    let message = message.trim();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown ") => {
            match similar(unknown, known.iter().copied()) {
                Some(near) => format!("{message}; did you mean `{near}`?"),
                None => message.to_owned(),
            }
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::BreakerSettings;
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("everfold.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_absent_file_and_the_template_give_the_defaults() {
        assert_eq!(Settings::load(Path::new("/no/such/everfold.toml")).unwrap(), Settings::default());
        assert_eq!(parse(TEMPLATE).unwrap(), Settings::default());
        let uncommented: String = TEMPLATE
            .lines()
            .filter(|line| !line.starts_with("##"))
            .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let settings = parse(&uncommented).unwrap();
        assert_eq!((settings.git, settings.logs), (GitSettings::default(), LogSettings::default()));
        let limits = LimitSettings { agent: BTreeMap::new(), ..settings.limits };
        assert_eq!(limits, LimitSettings::default());
        let (pause, pause_max) = ("30s".to_owned(), "15m".to_owned());
        let claude = BreakerSettings { failures: 5, pause, pause_max };
        assert_eq!(settings.breakers.agent["claude"], claude);
        assert_eq!(BreakerSettings::default(), claude, "the numbers of the template are the defaults");
        assert!(settings.resources.contains_key("gpu"));
        assert_eq!(settings.serve.listen, ServeSettings::default().listen);
        assert!(settings.agents.contains_key("mine"));
        assert!(settings.prices.contains_key("openai:gpt-5*"));
        assert!(settings.rates.contains_key("EUR"));
        assert!(settings.providers.contains_key("gitea"));
        assert!(settings.hooks.contains_key("forge"));
        assert_eq!(settings.subscriptions[0].name, "on-call");
        assert!(settings.secrets.contains_key("SLACK"));
        assert!(settings.redact.built_in && settings.redact.patterns.contains_key("order"));
        assert_eq!(settings.mail.unwrap().place(), ("smtp.example.org", 587));
        assert_eq!(settings.workers.lease, "30s");
        assert_eq!(settings.credentials.keep, CredentialSettings::default().keep);
        assert_eq!(settings.tracing, TracingSettings::default());
        assert!(settings.workers.functions.contains_key("deploy.canary"));
    }

    #[test]
    fn the_variables_of_the_engines_own_tokens_are_withheld_from_steps_and_gates() {
        let text = r#"
            [providers.gitea]
            kind = "gitea"
            url = "https://git.example.org"
            token = { env = "OF_PROVIDER" }
            [providers.other]
            kind = "github"
            token = { file = "token" }
            [hooks.gitea]
            reader = "gitea"
            secret = { env = "OF_HOOK" }
            [mail]
            server = "smtp.example.org"
            from = "a@example.org"
            user = "a"
            password = { env = "OF_MAIL" }
            [secrets]
            A = { env = "OF_SUBSCRIPTION" }
            B = { command = ["pass", "b"] }
        "#;
        let withheld = parse(text).unwrap().workflows().withheld;
        let names: Vec<&str> = withheld.iter().map(String::as_str).collect();
        let known = builtin::SECRET_VARIABLES;
        let own: Vec<&str> = names.iter().filter(|name| !known.contains(name)).copied().collect();
        assert_eq!(own, ["OF_HOOK", "OF_MAIL", "OF_PROVIDER", "OF_SUBSCRIPTION"]);
        // Also where no setting names them: their names are known.
        let unnamed = Settings::default().workflows().withheld;
        assert_eq!(unnamed, known.map(str::to_owned).into());
    }

    #[test]
    fn the_default_limits_are_those_of_the_engine() {
        let (limits, engine) = (LimitSettings::default(), EngineConfig::default());
        assert_eq!(limits.processes, engine.supervised_max);
        assert_eq!((limits.functions, limits.probes), (engine.functions_max, engine.probes_max));
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_with_the_line() {
        for (text, part) in [
            (
                "[git]\nautor = \"A <a@b>\"",
                "everfold.toml:2: unknown field `autor`, expected `author`; did you mean `author`?",
            ),
            ("[agent.x]\n", "did you mean `agents`?"),
            ("[agents.x]\ncommand = []", "agents.x: the command is empty"),
            ("[agents.x]\ncommand = [\"a\", \"{promt}\"]", "{promt}"),
            ("[agents.x]\ncommand = [\"a\"]\noutput = \"claud\"", "did you mean `claude`?"),
            ("[logs]\nmax_bytes = \"64\"", "everfold.toml:2"),
            ("[logs]\nkeep = \"5m\"", "logs.keep: 5m is less than an hour"),
            ("[logs]\nkeep = \"soon\"", "logs.keep"),
            ("[logs]\narchive_after = \"never\"", "logs.archive_after: "),
            ("[logs]\narchive_after = \"59s\"", "logs.archive_after: 59s is less than a minute"),
            ("[tracing]\ngenai = \"1.20\"", "expected one of `off`, `1.36`, `1.37`"),
            ("[git]\nauthor = \"me\"", "NAME <EMAIL>"),
            ("[limits]\nprobes = 0", "at least 1"),
            ("[limits]\nfair_by = \"team\"", "limits.fair_by: “team” is none of `run`"),
            ("[preflight.claude]\nnetwork = [\"api\"]", "preflight.claude: network: api is not HOST:PORT"),
            ("[limits.agents.claude]\n", "did you mean `agent`?"),
            ("[limits.agent.claude]\nper = \"1m\"", "missing field `starts`"),
            (
                "[limits.agent.claude]\nper = \"1\"\nstarts = 1",
                "limits.agent.claude: per: “1” is not a duration",
            ),
            ("[limits.agent.claude]\nper = \"1m\"\nstarts = 0", "at least 1"),
            ("[resources]\ngpu = 0", "resources.gpu is at least 1"),
            ("[resources]\ngpu = -1", "everfold.toml:2"),
            ("[breakers.agent.claude]\nfailure = 1", "did you mean `failures`?"),
            ("[breakers.agent.claude]\npause = \"1h\"", "breakers.agent.claude: pause (1h) is longer than"),
            ("[prices.\"gpt-5\"]\nin = 1\nout = 1", "prices.gpt-5: write PROVIDER:MODEL"),
            ("[prices.\"a:**\"]\nin = 1\nout = 1", "prices.a:**: write PROVIDER:MODEL"),
            ("[prices.\"a:b\"]\nin = -1\nout = 1", "prices.a:b: in: -1 is no price"),
            (
                "[prices.\"a:b\"]\nin = 1\nout = 1\ncurrency = \"EUR\"",
                "prices.a:b: currency: EUR has no rate",
            ),
            ("[rates]\neur = 1.08", "rates.eur: a currency has three capital letters"),
            ("[rates]\nEUR = 0", "rates.EUR: 0 is no worth"),
            ("[prices.\"a:b\"]\nin = 1", "missing field `out`"),
            ("[prices.\"a:b\"]\nin = 1\nout = 1\ncache = 1", "did you mean `cached`?"),
            ("[providers.x]\nkind = \"gitae\"", "did you mean `gitea`?"),
            ("[providers.x]\nkind = \"gitea\"", "providers.x: url is required"),
            ("[serve]\nrate = 0", "serve: rate and burst are at least 1"),
            ("[serve]\nurl = \"example.org\"", "serve: url begins with http"),
            ("[serve]\nlisen = \"x\"", "did you mean `listen`?"),
            (
                "[serve]\nbehind_proxy = [\"10.1.2.3/8\"]",
                "everfold.toml:2: behind_proxy: “10.1.2.3/8” is no network",
            ),
            ("[serve]\nbehind_proxy = 1", "behind_proxy is true, false or a list"),
            ("[serve]\nhosts = [\"https://e.example\"]", "“https://e.example” names no host"),
            ("[serve]\nurl = \"https://\"", "url names no host"),
            ("[hooks.x]\nreader = \"gitae\"", "did you mean `gitea`?"),
            (
                "[mail]\nserver = \"x\"\nfrom = \"a@example.org\"\ntls = \"startls\"",
                "did you mean `starttls`?",
            ),
            ("[hooks.x]\nid = \"delivery\"", "no place: write"),
            ("[hooks.X]\nreader = \"gitea\"", "hooks.X: the name"),
            ("[hooks.x]\ntolerance = \"5\"", "hooks.x: tolerance"),
            ("[credentials]\nkeep = \"5s\"", "credentials.keep: 5s is not between 1m and 30d"),
            ("[credentials]\nkeys = \"x\"", "did you mean `key`?"),
            ("[redact]\npattern = {}", "did you mean `patterns`?"),
            ("[redact]\npatterns = { order = \"ORD-(\" }", "redact.patterns.order: no regular expression"),
            (
                "[redact]\npatterns = { order = \"[0-9]*\" }",
                "redact.patterns.order: it matches the empty text",
            ),
            (
                "[redact]\npatterns = { order = \"(a{1000}){1000}\" }",
                "redact.patterns.order: no regular expression",
            ),
            ("[redact]\npatterns = { jwt = \"x\" }", "redact.patterns.jwt: a name has"),
            ("[redact]\nexcept = [\"github-tokens\"]", "did you mean `github-token`?"),
            ("[redact]\nkeys = [\"--\"]", "redact.keys: “--” is no name"),
            ("[workers]\nlease = \"500ms\"", "workers.lease: 500ms is not between 1s and 1h"),
            ("[workers.functions.deploy.canary]\nsummary = \"x\"", "write [workers.functions.\"a.b\"]"),
            ("[workers.functions.\"Deploy\"]", "workers.functions.Deploy: “Deploy” is no name of a function"),
            (
                "[workers.functions.\"git.push\"]",
                "workers.functions.git.push: there is a function git.push already",
            ),
            ("[workers.functions.x]\ninput = { type = \"objct\" }", "the schema of the input of x is none"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
