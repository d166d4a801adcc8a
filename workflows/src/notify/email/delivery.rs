//! One mail given to one server, to every receiver that the server takes (RFC 5321, section 3.3).
//!
//! Law: a receiver that the server refuses for good does not keep the mail from the others, and is named. Where one is
//! put off (4xx), nothing is sent, so that the mail is sent again whole.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};

/// Refusals that ask for a login, or for a better one.
const OF_THE_CALLER: [u16; 4] = [530, 534, 535, 538];

/// How the connection to the server is encrypted.
pub(super) enum Encryption {
    /// From the first byte on.
    Implicit(TlsParameters),
    /// From `STARTTLS` on, without which nothing is sent.
    Starttls(TlsParameters),
    /// Not at all.
    None,
}

/// A receiver that the server refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedRecipient {
    pub(super) address: String,
    /// The server's answer.
    pub(super) answer: String,
}

/// Why a mail reached no receiver.
#[derive(Debug)]
pub(super) enum NotSent {
    /// The connection or the mail.
    Failed(Error),
    /// The server puts a receiver off; the mail may go later.
    PutOff { address: String, error: Error },
    /// The server refuses every receiver.
    AllRefused(Vec<RefusedRecipient>),
    /// An address needs what the server does not offer.
    NeedsUnicode { address: String },
}

impl From<Error> for NotSent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Connects and logs in.
pub(super) async fn connect(
    place: (&str, u16),
    timeout: Duration,
    encryption: Encryption,
    credentials: Option<&Credentials>,
) -> Result<AsyncSmtpConnection, Error> {
    let own_name = ClientId::default();
    let (implicit, starttls) = match encryption {
        Encryption::Implicit(tls) => (Some(tls), None),
        Encryption::Starttls(tls) => (None, Some(tls)),
        Encryption::None => (None, None),
    };
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(place, Some(timeout), &own_name, implicit, None).await?;
    if let Some(tls) = starttls {
        connection.starttls(tls, &own_name).await?;
    }
    if let Some(credentials) = credentials {
        connection.auth(DEFAULT_MECHANISMS, credentials).await?;
    }
    Ok(connection)
}

/// Sends a mail; gives the receivers that were refused.
pub(super) async fn send(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<Vec<RefusedRecipient>, NotSent> {
    let mut parameters = Vec::new();
    let addresses = envelope.to().iter().chain(envelope.from());
    if let Some(address) = addresses.map(ToString::to_string).find(|address| !address.is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(NotSent::NeedsUnicode { address });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await?;
    let mut refused = Vec::new();
    for address in envelope.to() {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() && !is_of_the_caller(&error) => {
                refused.push(RefusedRecipient { address: address.to_string(), answer: answer(&error) });
            }
            Err(error) if error.is_transient() => {
                return Err(NotSent::PutOff { address: address.to_string(), error });
            }
            Err(error) => return Err(error.into()),
        }
    }
    if refused.len() == envelope.to().len() {
        return Err(NotSent::AllRefused(refused));
    }
    connection.command(Data).await?;
    connection.message(mail).await?;
    Ok(refused)
}

/// Whether a refusal has to do with who asks, not with the mail: it ends when the settings are put right.
pub(super) fn is_of_the_caller(error: &Error) -> bool {
    let code = error.status().and_then(|code| code.to_string().parse::<u16>().ok());
    code.is_some_and(|code| OF_THE_CALLER.contains(&code))
}

/// What the server said: `550 no such mailbox`.
pub(super) fn answer(error: &Error) -> String {
    let said = std::error::Error::source(error).map(|source| format!(" {source}")).unwrap_or_default();
    error.status().map_or_else(|| error.to_string(), |code| format!("{code}{said}"))
}
