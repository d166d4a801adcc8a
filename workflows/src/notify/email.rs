//! `notify.email`: a mail, by SMTP, through the server that the settings name.
//!
//! Law: a mail that is sent again carries the same `Message-ID`, so that servers and readers recognise it. The
//! password goes to the server over TLS alone, or to this machine itself.

use std::path::PathBuf;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::{Hash, Value};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Tokio1Executor};
use serde_json::json;

use super::message::Message;
use super::parameters::{invalid, known, optional};
use crate::function::Call;
use crate::secret;
use crate::settings::{MailSettings, MailTls};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Receivers of one mail.
const RECEIVERS_MAX: usize = 50;
/// Refusals of the server that have to do with who asks, not with the mail: they end when the settings are put right.
const OF_THE_CALLER: [u16; 4] = [530, 534, 535, 538];

/// Sends mails through one server.
#[derive(Clone)]
pub(super) struct Mailer {
    settings: Option<MailSettings>,
    /// Where relative files of secrets lie.
    folder: PathBuf,
}

impl Mailer {
    pub(super) fn new(settings: Option<MailSettings>, folder: PathBuf) -> Self {
        Self { settings, folder }
    }

    /// Sends to `with.to`.
    pub(super) async fn send(self, call: Call, with: Value) -> Result<Value, Failure> {
        known(&with, "notify.email", &["to", "subject", "text", "from", "reply_to"])?;
        let Some(settings) = &self.settings else {
            return Err(Failure::new(FailureKind::Error, "the settings name no mail server")
                .with_hint("set [mail] in everfold.toml: server, from, user, password"));
        };
        let mail = mail(settings, &call, &with)?;
        let receivers = mail.envelope().to().len();
        let transport = self.transport(settings).await?;
        match transport.send(mail).await {
            Ok(_) => Ok(json!({ "receivers": receivers })),
            Err(error) => Err(failed(settings, &error)),
        }
    }

    async fn transport(
        &self,
        settings: &MailSettings,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let (host, port) = settings.place();
        let broken = |error: Error| Failure::new(FailureKind::Error, format!("no TLS for {host}: {error}"));
        let tls = || TlsParameters::new(host.to_owned()).map_err(broken);
        let tls = match settings.tls {
            MailTls::Starttls => Tls::Required(tls()?),
            MailTls::Implicit => Tls::Wrapper(tls()?),
            MailTls::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            let password = secret::value("mail.password", &password.0, &self.folder).await?;
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.build())
    }
}

/// The mail itself.
fn mail(settings: &MailSettings, call: &Call, with: &Value) -> Result<Mail, Failure> {
    let address = |text: &str, what: &str| -> Result<Mailbox, Failure> {
        text.trim().parse().map_err(|_| invalid(format!("{what}: “{}” is no address", text.trim())))
    };
    let message = Message::of(call, with);
    let subject = optional(with, "subject")?.unwrap_or(&message.subject).replace(['\r', '\n'], " ");
    let from = optional(with, "from")?.unwrap_or(&settings.from);
    let id = Hash::of(call.idempotency_key().as_bytes()).to_string();
    let mut builder = Mail::builder()
        .message_id(Some(format!("<{id}@everfold>")))
        // One thread per run, in readers that show threads.
        .references(format!("<{}@everfold>", call.run()))
        .date(std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().0.unsigned_abs()))
        .from(address(from, "from")?)
        .subject(subject);
    if let Some(reply_to) = optional(with, "reply_to")? {
        builder = builder.reply_to(address(reply_to, "reply_to")?);
    }
    let receivers = receivers(with)?;
    for receiver in &receivers {
        builder = builder.to(address(receiver, "to")?);
    }
    for (name, value) in [("Auto-Submitted", "auto-generated"), ("Everfold-Notice", call.idempotency_key())] {
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| invalid(error.to_string()))?;
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    builder
        .header(lettre::message::header::ContentType::TEXT_PLAIN)
        .body(message.text() + "\n")
        .map_err(|error| invalid(format!("no mail can be made: {error}")))
}

fn receivers(with: &Value) -> Result<Vec<String>, Failure> {
    let wrong = || invalid("`with.to` is an address, or a list of them");
    let all: Vec<String> = match &with["to"] {
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        Value::Array(list) => list
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
        _other => return Err(wrong()),
    };
    match all.iter().filter(|one| !one.trim().is_empty()).count() {
        0 => Err(wrong()),
        count if count > RECEIVERS_MAX => {
            Err(invalid(format!("a mail goes to at most {RECEIVERS_MAX} addresses")))
        }
        _some => Ok(all.into_iter().filter(|one| !one.trim().is_empty()).collect()),
    }
}

fn failed(settings: &MailSettings, error: &Error) -> Failure {
    let (host, port) = settings.place();
    let of_the_caller = error.status().is_some_and(|code| {
        let code = code.to_string().parse::<u16>().unwrap_or_default();
        OF_THE_CALLER.contains(&code)
    });
    let said = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let what = match error.status() {
        Some(code) => format!("answered {code}{said}"),
        None if error.is_timeout() => "did not answer in time".to_owned(),
        None if error.is_tls() => format!("could not be spoken to over TLS{said}"),
        None => format!("could not be spoken to{said}"),
    };
    let message = format!("the mail server {host}:{port} {what}");
    match error.is_permanent() && !of_the_caller {
        true => invalid(message),
        false if of_the_caller => Failure::new(FailureKind::Error, message)
            .with_hint("set mail.user and mail.password in everfold.toml; `everfold doctor` checks them"),
        false => Failure::new(FailureKind::Error, message),
    }
}
