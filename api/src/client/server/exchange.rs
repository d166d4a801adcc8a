//! Requests to a server and their answers, sent again while patience lasts.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use everfold_engine::clock::Stopwatch;
use everfold_workflows::http::{KeptConnection, USER_AGENT};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::address::ServerAddress;
use super::connect::{Tls, away, unknown};
use super::lost::{Lost, Repeated};
use super::token::ServerTokenSource;
use crate::client::answer::{bytes, fault_in, retry_after};
use crate::client::request::RestRequest;
use crate::fault::{Code, Fault};

/// How long a server may be away before a command gives up, unless `--patience` says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The pauses between tries grow from one to the other.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long it may be away before a warning is logged.
const QUIET: Duration = Duration::from_secs(2);

/// A server, and how it is reached.
pub(crate) struct RemoteServer {
    address: ServerAddress,
    tokens: ServerTokenSource,
    patience: Duration,
    tls: Tls,
    token: Mutex<Option<HeaderValue>>,
    /// The version of the server that was met.
    met: OnceCell<String>,
    /// A connection that may be used again.
    spare: Mutex<Option<KeptConnection<Body>>>,
}

impl RemoteServer {
    pub(crate) fn new(address: ServerAddress, tokens: ServerTokenSource, ca: Option<PathBuf>) -> Self {
        Self {
            address,
            tokens,
            patience: PATIENCE,
            tls: Tls::new(ca),
            token: Mutex::new(None),
            met: OnceCell::new(),
            spare: Mutex::new(None),
        }
    }

    /// The same, which waits so long for a server that is away, and for each answer.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Where the token comes from.
    pub(crate) fn tokens(&self) -> &ServerTokenSource {
        &self.tokens
    }

    pub(in crate::client) fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends a request until it is answered.
    pub(in crate::client) async fn send(&self, ask: &RestRequest<'_>) -> Result<Response<Body>, Fault> {
        let since = Stopwatch::start();
        let (mut pause, mut is_reported, mut is_renewed) = (PAUSES.0, false, false);
        let mut may_have_arrived = false;
        loop {
            let (fault, wait) = match self.once(ask).await {
                Ok(mut response)
                    if may_have_arrived && ask.method != "GET" && !is_passing(response.status()) =>
                {
                    response.extensions_mut().insert(Repeated);
                    return Ok(response);
                }
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !is_renewed => {
                    is_renewed = true;
                    if !self.renew().await? {
                        return Ok(response);
                    }
                    continue;
                }
                Ok(response) if is_passing(response.status()) => match self.passing(response).await {
                    (fault, Some(wait)) => (fault, wait),
                    (fault, None) => return Err(self.versed(fault)),
                },
                Ok(response) => return Ok(response),
                Err(Lost::Never(fault)) => return Err(fault),
                Err(Lost::Away(fault)) if !self.met.initialized() => return Err(fault),
                Err(Lost::Away(fault)) => {
                    may_have_arrived = true;
                    (fault, Duration::ZERO)
                }
            };
            let wait = wait.max(pause);
            if since.elapsed().saturating_add(wait) > self.patience {
                return Err(fault);
            }
            if since.elapsed() > QUIET && !std::mem::replace(&mut is_reported, true) {
                tracing::warn!("{fault}; trying again for {} s", self.patience.as_secs());
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// What an answer tells that may be another one soon, and how long to wait for that at least; no wait
    /// where it will stay so.
    async fn passing(&self, response: Response<Body>) -> (Fault, Option<Duration>) {
        let (status, wait) = (response.status(), retry_after(&response).unwrap_or(Duration::ZERO));
        let fault = bytes(response.into_body()).await.ok().and_then(|bytes| fault_in(&bytes));
        match fault {
            Some(fault) if matches!(fault.code, Code::Ending | Code::Busy | Code::TooFast) => {
                (fault, Some(wait))
            }
            Some(fault) => (fault, None),
            None => {
                let what = format!(
                    "{} answers {status}: what stands before the server does not reach it",
                    self.address
                );
                (Fault::new(Code::ServerAway, what), Some(wait))
            }
        }
    }

    /// Sends a request once.
    async fn once(&self, ask: &RestRequest<'_>) -> Result<Response<Body>, Lost> {
        let mut sender = self.connection().await?;
        let mut request = ask.request(&self.address.target(ask.path)).map_err(Lost::Never)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host()?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(token) = self.token().await.map_err(Lost::Never)? {
            headers.insert(header::AUTHORIZATION, token);
        }
        let response = match tokio::time::timeout(self.patience, sender.send(request)).await {
            Ok(Ok(response)) => response.map(Body::new),
            Ok(Err(error)) => return Err(Lost::Away(away(&self.address, &error))),
            Err(_elapsed) => return Err(Lost::Never(self.no_answer())),
        };
        // Free for the next request once this answer has been read to its end.
        *self.spare.lock().await = Some(sender);
        Ok(response)
    }

    fn host(&self) -> Result<HeaderValue, Lost> {
        HeaderValue::from_str(&self.address.authority)
            .map_err(|error| Lost::Never(Fault::new(Code::Usage, error.to_string())))
    }

    /// A connection to a server that is known to be one.
    async fn connection(&self) -> Result<KeptConnection<Body>, Lost> {
        if let Some(mut spare) = self.spare.lock().await.take()
            && spare.is_free()
        {
            return Ok(spare);
        }
        let mut sender = self.tls.connect(&self.address, self.patience).await?;
        if !self.met.initialized() {
            let version = self.introduce(&mut sender).await?;
            if parts(&version) != parts(env!("CARGO_PKG_VERSION")) {
                tracing::warn!(
                    "{} is Everfold {version}, this command line {}: what the other does not know fails",
                    self.address,
                    env!("CARGO_PKG_VERSION")
                );
            }
            // Another task may have met it meanwhile.
            let _known = self.met.set(version);
            if !sender.freed().await {
                // One answer per connection is what it gives.
                sender = self.tls.connect(&self.address, self.patience).await?;
            }
        }
        Ok(sender)
    }

    /// Asks who is there; gives the version of the server.
    async fn introduce(&self, sender: &mut KeptConnection<Body>) -> Result<String, Lost> {
        let request = RestRequest::get("/healthz").request(&self.address.target("/healthz"));
        let mut request = request.map_err(Lost::Never)?;
        request.headers_mut().insert(header::HOST, self.host()?);
        let asked = async {
            let response = sender.send(request).await.map_err(|error| unknown(&self.address, &error))?;
            let (head, body) = response.into_parts();
            let body = bytes(Body::new(body)).await.map_err(|error| unknown(&self.address, &error))?;
            Ok((head, body))
        };
        let (head, body) = match tokio::time::timeout(self.patience, asked).await {
            Ok(answer) => answer.map_err(Lost::Never)?,
            Err(_elapsed) => return Err(Lost::Never(self.no_answer())),
        };
        let health: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let (Some(version), true) = (health["version"].as_str(), health["epoch"].is_string()) {
            return Ok(version.to_owned());
        }
        if let Some(fault) = fault_in(&body) {
            return Err(Lost::Never(fault));
        }
        Err(Lost::Never(self.stranger(head.status, head.headers.get(header::LOCATION))))
    }

    /// What speaks HTTP and is no Everfold.
    fn stranger(&self, status: StatusCode, location: Option<&HeaderValue>) -> Fault {
        let address = &self.address;
        if matches!(status.as_u16(), 502..=504) {
            let what = format!("{address} answers {status}: what stands before the server does not reach it");
            return Fault::new(Code::ServerAway, what).hint("look at the server there: `everfold serve`");
        }
        let place = location.and_then(|place| place.to_str().ok());
        let what = match place {
            Some(place) if status.is_redirection() => format!("{address} sends on to {place}"),
            _ => format!("{address} is no Everfold server: it answers /healthz with {status}"),
        };
        Fault::new(Code::NotEverfold, what)
            .hint("name the address that `everfold serve` printed, or the one of the proxy before it")
    }

    /// The server's version.
    ///
    /// # Errors
    /// It cannot be reached, or is none.
    pub(crate) async fn meet(&self) -> Result<String, Fault> {
        if !self.met.initialized() {
            let sender = self.connection().await.map_err(|(Lost::Away(fault) | Lost::Never(fault))| fault)?;
            *self.spare.lock().await = Some(sender);
        }
        Ok(self.met.get().cloned().unwrap_or_default())
    }

    /// The token, as it is sent.
    async fn token(&self) -> Result<Option<HeaderValue>, Fault> {
        let mut token = self.token.lock().await;
        if token.is_none() {
            *token = self.tokens.read().await?.map(|text| bearer(&text)).transpose()?;
        }
        Ok(token.clone())
    }

    /// Looks for the token again; whether it is another one now.
    async fn renew(&self) -> Result<bool, Fault> {
        if !self.tokens.may_change() {
            return Ok(false);
        }
        let new = self.tokens.read().await?.map(|text| bearer(&text)).transpose()?;
        let mut token = self.token.lock().await;
        let is_other = *token != new;
        *token = new;
        Ok(is_other)
    }

    fn no_answer(&self) -> Fault {
        let span = everfold_engine::duration::format(self.patience);
        Fault::new(Code::NoAnswer, format!("{} did not answer within {span}", self.address))
            .hint("look whether it was done before you repeat it; --patience SPAN waits longer")
    }

    /// A fault that the server told, with what only this side knows.
    pub(in crate::client) fn versed(&self, fault: Fault) -> Fault {
        let (theirs, own) = (self.met.get().map_or("", String::as_str), env!("CARGO_PKG_VERSION"));
        match fault.code {
            Code::NotKnown => {
                let (address, source) = (&self.address, &self.tokens);
                let makes = "`everfold token create NAME --role ROLE`, where the server's folder is, makes";
                fault.hint(match source {
                    ServerTokenSource::Env(name) if std::env::var_os(name).is_none() => {
                        format!("put a token of {address} into {source}; {makes} one")
                    }
                    _there => format!("the token in {source} does not let in at {address}; {makes} another"),
                })
            }
            Code::NoRoute | Code::NoMethod | Code::Invalid | Code::Internal
                if parts(theirs) != parts(own) =>
            {
                let hint = format!(
                    "{} is Everfold {theirs}, this command line {own}: use the same version",
                    self.address
                );
                Fault { code: Code::OtherVersion, ..fault }.hint(hint)
            }
            _known => fault,
        }
    }
}

/// Whether an answer may be another one in a moment.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// What versions that understand each other have in common.
fn parts(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.split('.');
    Some((parts.next()?, parts.next()?))
}

fn bearer(token: &str) -> Result<HeaderValue, Fault> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| Fault::new(Code::Usage, "the token holds a character that none has"))?;
    value.set_sensitive(true);
    Ok(value)
}
