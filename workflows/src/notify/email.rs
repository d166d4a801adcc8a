//! `notify.email`: a mail, by SMTP, through the server that the settings name.
//!
//! Law: a mail that is sent again carries the same `Message-ID`, so that servers and readers recognise it. The
//! password goes to the server over TLS alone, or to this machine itself.

use std::path::PathBuf;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value};
use everfold_base::text::one_line;
use everfold_system::clock;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use serde_json::json;
use tokio_rustls::rustls::{self, CertificateError};

use self::delivery::{Encryption, NotSent, RefusedRecipient, answer, is_of_the_caller};
use super::message::Message;
use super::parameters::{invalid, known, optional};
use super::settings::{MailSettings, MailTls};
use crate::function::Call;
use crate::secret;

mod delivery;

const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Receivers of one mail.
const RECEIVERS_MAX: usize = 50;

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
        let mut connection = self.connection(settings).await?;
        let sent = delivery::send(&mut connection, mail.envelope(), &mail.formatted()).await;
        connection.abort().await;
        match sent {
            Ok(refused) if refused.is_empty() => Ok(json!({ "receivers": receivers })),
            Ok(refused) => Err(refused_some(settings, receivers, &refused)),
            Err(not_sent) => Err(failed(settings, not_sent)),
        }
    }

    async fn connection(&self, settings: &MailSettings) -> Result<AsyncSmtpConnection, Failure> {
        let encryption = match settings.tls {
            MailTls::Starttls => Encryption::Starttls(trust(settings).await?),
            MailTls::Implicit => Encryption::Implicit(trust(settings).await?),
            MailTls::None => Encryption::None,
        };
        let credentials = match (&settings.user, &settings.password) {
            (Some(user), Some(password)) => {
                let password = secret::value("mail.password", &password.0, &self.folder).await?;
                Some(Credentials::new(user.clone(), password))
            }
            _none => None,
        };
        let connected = delivery::connect(settings.place(), TIMEOUT, encryption, credentials.as_ref()).await;
        connected.map_err(|error| broken(settings, &error))
    }
}

/// Whose certificates are believed: those of this machine's authorities, and of the one that the settings name.
async fn trust(settings: &MailSettings) -> Result<TlsParameters, Failure> {
    let broken = |why: String| {
        Failure::new(FailureKind::Error, format!("mail.ca: {why}"))
            .with_hint("it names the certificate of the authority that signed the mail server's, as PEM")
    };
    let mut tls = TlsParameters::builder(settings.place().0.to_owned());
    if let Some(file) = &settings.ca {
        let pem =
            tokio::fs::read(file).await.map_err(|error| broken(format!("{}: {error}", file.display())))?;
        if !pem.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN) {
            return Err(broken(format!("{} holds no certificate", file.display())));
        }
        let authority = Certificate::from_pem(&pem);
        tls = tls
            .add_root_certificate(authority.map_err(|error| broken(format!("{}: {error}", file.display())))?);
    }
    tls.build_rustls().map_err(|error| broken(error.to_string()))
}

/// The mail itself.
fn mail(settings: &MailSettings, call: &Call, with: &Value) -> Result<Mail, Failure> {
    let address = |text: &str, what: &str| -> Result<Mailbox, Failure> {
        text.trim().parse().map_err(|_| invalid(format!("{what}: “{}” is no address", text.trim())))
    };
    let message = Message::of(call, with);
    let subject = optional(with, "subject")?.unwrap_or(&message.subject);
    let subject = one_line(subject).into_owned();
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

/// The others have the mail: to send it again would be to send it twice.
fn refused_some(settings: &MailSettings, receivers: usize, refused: &[RefusedRecipient]) -> Failure {
    let sent = receivers - refused.len();
    let (host, port) = settings.place();
    invalid(format!(
        "the mail was sent to {sent} of {receivers} receivers; the mail server {host}:{port} refused {}",
        listed(refused)
    ))
}

fn listed(refused: &[RefusedRecipient]) -> String {
    let one = |refused: &RefusedRecipient| format!("{} ({})", refused.address, refused.answer);
    refused.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn failed(settings: &MailSettings, not_sent: NotSent) -> Failure {
    let (host, port) = settings.place();
    match not_sent {
        NotSent::Failed(error) => broken(settings, &error),
        NotSent::PutOff { address, error } => Failure::new(
            FailureKind::Error,
            format!(
                "the mail server {host}:{port} puts {address} off ({}); nobody got the mail",
                answer(&error)
            ),
        ),
        NotSent::AllRefused(refused) => {
            invalid(format!("the mail server {host}:{port} refused {}", listed(&refused)))
        }
        NotSent::NeedsUnicode { address } => invalid(format!(
            "the mail server {host}:{port} takes no address that is not ASCII (no SMTPUTF8): {address}"
        )),
    }
}

fn broken(settings: &MailSettings, error: &Error) -> Failure {
    let (host, port) = settings.place();
    let of_the_caller = is_of_the_caller(error);
    let message = |what: String| format!("the mail server {host}:{port} {what}");
    if let Some((what, hint)) = of_tls(settings, error) {
        return Failure::new(FailureKind::Error, message(what)).with_hint(hint);
    }
    let said = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let message = message(match error.status() {
        Some(code) => format!("answered {code}{said}"),
        None if error.is_timeout() => "did not answer in time".to_owned(),
        None => format!("could not be spoken to{said}"),
    });
    match error.is_permanent() && !of_the_caller {
        true => invalid(message),
        false if of_the_caller => Failure::new(FailureKind::Error, message)
            .with_hint("set mail.user and mail.password in everfold.toml; `everfold doctor` checks them"),
        false if error.is_timeout() && settings.tls == MailTls::Starttls => Failure::new(
            FailureKind::Error,
            message,
        )
        .with_hint(
            "a server that expects TLS from the first byte on says nothing before: mail.tls = \"implicit\"",
        ),
        false => Failure::new(FailureKind::Error, message),
    }
}

/// What is wrong with the other end's TLS, and what can be done. Nothing of it is the mail's fault: it may go when the
/// settings, or the server, were put right.
fn of_tls(settings: &MailSettings, error: &Error) -> Option<(String, String)> {
    let (host, _) = settings.place();
    if error.is_client() && settings.tls == MailTls::Starttls && is_about_starttls(error) {
        let hint = "nothing was sent; mail.tls = \"implicit\" where it speaks TLS from the first byte on, \"none\" \
                    for one on this machine that has none";
        return Some(("offers no STARTTLS".to_owned(), hint.to_owned()));
    }
    let Some(tls) = tls_error(error) else {
        let said = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        return error.is_tls().then(|| {
            (format!("could not be spoken to over TLS{said}"), "it speaks TLS 1.2 and 1.3".to_owned())
        });
    };
    let rustls::Error::InvalidCertificate(bad) = tls else {
        let is_plain = matches!(tls, rustls::Error::InvalidMessage(_)) && settings.tls == MailTls::Implicit;
        return Some(match is_plain {
            true => {
                ("does not begin with TLS".to_owned(), "mail.tls = \"starttls\", with port 587".to_owned())
            }
            false => (
                format!("could not be spoken to over TLS: {tls}"),
                "it is spoken to by TLS 1.2 or 1.3".to_owned(),
            ),
        });
    };
    let (what, hint) = match bad {
        CertificateError::UnknownIssuer => (
            "shows a certificate that nobody whom this machine trusts has signed".to_owned(),
            "nothing was sent; mail.ca = \"FILE\" in everfold.toml names the authority that did, as PEM"
                .to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("shows a certificate of another name than {host}: {tls}"),
            "nothing was sent; mail.server names the server as its certificate does".to_owned(),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("shows a certificate that is over: {tls}"),
            "nothing was sent; it is renewed at the mail server".to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            format!("shows a certificate that does not hold yet: {tls}"),
            "nothing was sent; look at this machine's clock".to_owned(),
        ),
        _other => (
            format!("shows a certificate that cannot be trusted: {tls}"),
            "nothing was sent; mail.ca = \"FILE\" in everfold.toml names its authority, as PEM".to_owned(),
        ),
    };
    Some((what, hint))
}

fn is_about_starttls(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("STARTTLS"))
}

/// The fault of TLS that an error of the connection goes back to.
fn tls_error(error: &Error) -> Option<&rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        if let Some(tls) = one.downcast_ref() {
            return Some(tls);
        }
        let inner = one.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(tls);
        }
        cause = one.source();
    }
    None
}

#[cfg(test)]
mod tests;
