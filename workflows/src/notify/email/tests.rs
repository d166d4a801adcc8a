//! Mails over TLS, to a server that speaks it as mail servers do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everfold_ports::NoticeFailure;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, crypto::ring};

use crate::notify::tests::{mail_settings, notify};

/// The certificates of tests: of `localhost`, and signed by `ca.pem`, which no system trusts.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certificates").join(name)
}

/// How a server of these tests speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Starttls,
    Implicit,
    /// In the clear, and offers nothing else.
    Plain,
}

/// What a server received: whether over TLS, and the line.
type Said = Arc<Mutex<Vec<(bool, String)>>>;

struct MailServer {
    said: Said,
    port: u16,
}

impl MailServer {
    async fn start(speaks: Speaks, logins: &'static str) -> Self {
        Self::showing("good.pem", speaks, logins).await
    }

    async fn showing(shown: &str, speaks: Speaks, logins: &'static str) -> Self {
        let shown = CertificateDer::from_pem_file(certificate(shown)).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // On every address of this machine, so that it can be called by a name that is not in its certificate.
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let (port, said) = (listener.local_addr().unwrap().port(), Said::default());
        let log = Arc::clone(&said);
        tokio::spawn(async move {
            loop {
                let stream = listener.accept().await.unwrap().0;
                serve(stream, speaks, logins, &acceptor, &log).await;
            }
        });
        Self { said, port }
    }

    fn said(&self, over_tls: bool) -> Vec<String> {
        let said = self.said.lock().unwrap().clone();
        said.into_iter().filter(|(tls, _)| *tls == over_tls).map(|(_, line)| line).collect()
    }
}

async fn serve(mut stream: TcpStream, speaks: Speaks, logins: &str, acceptor: &TlsAcceptor, said: &Said) {
    if speaks != Speaks::Implicit {
        let is_starttls = dialogue(&mut stream, speaks == Speaks::Starttls, false, logins, said, true).await;
        if !is_starttls {
            return;
        }
    }
    // A client that does not trust the certificate hangs up.
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    dialogue(&mut stream, false, true, logins, said, speaks == Speaks::Implicit).await;
}

/// The dialogue of RFC 5321 up to its end, or to `STARTTLS`: then `true`.
async fn dialogue(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    offers_tls: bool,
    is_tls: bool,
    logins: &str,
    said: &Said,
    greets: bool,
) -> bool {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    if greets {
        write.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    }
    let mut awaits = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        said.lock().unwrap().push((is_tls, line.clone()));
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match (awaits.last(), verb.as_str()) {
            (Some(&"data"), _) if line != "." => continue,
            (Some(&"data"), _) => {
                awaits.pop();
                "250 2.0.0 queued".to_owned()
            }
            (Some(&"password"), _) => {
                awaits.pop();
                "235 2.7.0 welcome".to_owned()
            }
            (Some(&"user"), _) => {
                awaits.pop();
                format!("334 {}", STANDARD.encode("Password:"))
            }
            (_, "EHLO") if offers_tls => "250-mail.test\r\n250-8BITMIME\r\n250 STARTTLS".to_owned(),
            (_, "EHLO") if is_tls => format!("250-mail.test\r\n250-8BITMIME\r\n250 AUTH {logins}"),
            (_, "EHLO") => "250-mail.test\r\n250 8BITMIME".to_owned(),
            (_, "STARTTLS") if offers_tls => "220 2.0.0 go ahead".to_owned(),
            (_, "AUTH") if line == "AUTH LOGIN" => {
                awaits.extend(["password", "user"]);
                format!("334 {}", STANDARD.encode("Username:"))
            }
            (_, "AUTH") => "235 2.7.0 welcome".to_owned(),
            (_, "MAIL" | "RCPT" | "RSET" | "NOOP") => "250 2.1.0 ok".to_owned(),
            (_, "DATA") => {
                awaits.push("data");
                "354 go ahead".to_owned()
            }
            (_, "QUIT") => "221 2.0.0 bye".to_owned(),
            _other => "502 5.5.1 no such command".to_owned(),
        };
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() || verb == "QUIT" {
            return false;
        }
        if verb == "STARTTLS" && offers_tls {
            return true;
        }
    }
    false
}

/// Sends a mail by settings of `server`, `tls` and `ca`.
async fn mailed(folder: &Path, server: &str, tls: &str, ca: Option<&str>) -> Result<(), NoticeFailure> {
    std::fs::write(folder.join("password"), "open sesame\n").unwrap();
    std::fs::copy(certificate("ca.pem"), folder.join("ca.pem")).unwrap();
    std::fs::write(folder.join("empty.pem"), "nothing\n").unwrap();
    let ca = ca.map(|file| format!("ca = \"{file}\"\n")).unwrap_or_default();
    let text = format!(
        "[mail]\nserver = \"{server}\"\ntls = \"{tls}\"\nfrom = \"everfold@example.org\"\n{ca}\
         user = \"everfold\"\npassword = {{ file = \"password\" }}\n"
    );
    let mail = mail_settings(&text, folder).unwrap();
    notify("notify.email", json!({"to": "ada@example.org"}), Some(mail)).await
}

#[tokio::test]
async fn l32_a_mail_goes_over_starttls_and_over_implicit_tls_and_logs_in_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    for (speaks, tls, logins) in
        [(Speaks::Starttls, "starttls", "PLAIN LOGIN"), (Speaks::Implicit, "implicit", "LOGIN")]
    {
        let server = MailServer::start(speaks, logins).await;
        let place = format!("localhost:{}", server.port);
        mailed(folder.path(), &place, tls, Some("ca.pem")).await.unwrap_or_else(|e| panic!("{tls}: {e}"));
        let (open, secret) = (server.said(false), server.said(true));
        let verbs: Vec<_> = open.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        match speaks {
            Speaks::Starttls => assert_eq!(verbs, ["EHLO", "STARTTLS"], "nothing else is said in the clear"),
            _other => assert!(open.is_empty(), "{open:?}"),
        }
        let login = match logins {
            "LOGIN" => STANDARD.encode("open sesame"),
            _plain => format!("AUTH PLAIN {}", STANDARD.encode("\0everfold\0open sesame")),
        };
        let at = |part: &str| secret.iter().position(|line| line.starts_with(part));
        assert!(at(&login).is_some() && at(&login) < at("MAIL FROM:<everfold@example.org>"), "{secret:#?}");
        assert!(at("RCPT TO:<ada@example.org>") < at("Message-ID: <"), "{secret:#?}");
    }
}

#[tokio::test]
async fn l32_a_mail_server_that_cannot_be_trusted_hears_nothing_and_it_is_said_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (starttls, implicit, plain, over, early) = (
        MailServer::start(Speaks::Starttls, "PLAIN").await,
        MailServer::start(Speaks::Implicit, "PLAIN").await,
        MailServer::start(Speaks::Plain, "PLAIN").await,
        MailServer::showing("over.pem", Speaks::Starttls, "PLAIN").await,
        MailServer::showing("early.pem", Speaks::Implicit, "PLAIN").await,
    );
    for (server, host, tls, ca, parts) in [
        (&starttls, "localhost", "starttls", None, ["whom this machine trusts", "mail.ca"]),
        (&implicit, "localhost", "implicit", None, ["whom this machine trusts", "mail.ca"]),
        (&starttls, "127.0.0.2", "starttls", Some("ca.pem"), ["another name than 127.0.0.2", "mail.server"]),
        (&implicit, "127.0.0.2", "implicit", Some("ca.pem"), ["another name than 127.0.0.2", "mail.server"]),
        (&over, "localhost", "starttls", Some("ca.pem"), ["that is over", "renewed at the mail server"]),
        (&early, "localhost", "implicit", Some("ca.pem"), ["does not hold yet", "this machine's clock"]),
        (&plain, "localhost", "starttls", Some("ca.pem"), ["offers no STARTTLS", "mail.tls"]),
        (&starttls, "localhost", "implicit", Some("ca.pem"), ["does not begin with TLS", "starttls"]),
        (&starttls, "localhost", "starttls", Some("gone.pem"), ["mail.ca", "gone.pem"]),
        (&starttls, "localhost", "starttls", Some("empty.pem"), ["holds no certificate", "PEM"]),
    ] {
        let place = format!("{host}:{}", server.port);
        let refused = mailed(folder.path(), &place, tls, ca).await.unwrap_err();
        // It is no fault of the mail: it goes when the settings were put right.
        assert!(!refused.permanent, "{refused}");
        for part in parts {
            assert!(refused.message.contains(part), "{part}: {refused}");
        }
        assert!(!refused.message.contains("sesame"), "{refused}");
    }
    for server in [starttls, implicit, plain, over, early] {
        let said = [server.said(false), server.said(true)].concat();
        assert!(said.iter().all(|line| !line.starts_with("AUTH") && !line.starts_with("MAIL")), "{said:?}");
    }
}
