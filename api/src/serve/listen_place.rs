//! The address that the server listens on. Law: an address that other machines reach is served by TLS, by a certificate
//! or by a proxy in front, or not at all.

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::settings::ServeSettings;

use crate::fault::{Code, Fault};

/// An address to listen on, and how people reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenPlace {
    /// The address.
    pub address: SocketAddr,
    is_tls: bool,
    public: Option<String>,
}

impl ListenPlace {
    /// The place that the settings name.
    ///
    /// # Errors
    /// It is no address, or would be open to other machines in the clear.
    pub fn of(settings: &ServeSettings) -> Result<Self, Fault> {
        let listen = &settings.listen;
        let found = listen.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = found.ok_or_else(|| {
            Fault::new(Code::Listen, format!("“{listen}” is no address to listen on"))
                .hint("write ADDRESS:PORT, as in 127.0.0.1:7878")
        })?;
        let is_tls = settings.tls.is_some();
        if !address.ip().is_loopback() && !is_tls && settings.behind_proxy.is_empty() {
            return Err(Fault::new(
                Code::InTheClear,
                format!(
                    "{listen} can be reached from other machines, and tokens would go there in the clear"
                ),
            )
            .hint(
                "give --tls-cert FILE --tls-key FILE, or --behind-proxy ADDRESS where a proxy in front speaks TLS",
            ));
        }
        Ok(Self { address, is_tls, public: settings.url.clone() })
    }

    /// How people reach it, where it listens on `address`.
    #[must_use]
    pub fn url(&self, address: SocketAddr) -> String {
        match &self.public {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{address}", if self.is_tls { "https" } else { "http" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Proxies;

    use super::*;

    fn at(listen: &str, change: impl FnOnce(&mut ServeSettings)) -> Result<ListenPlace, Code> {
        let mut settings = ServeSettings { listen: listen.to_owned(), ..ServeSettings::default() };
        change(&mut settings);
        ListenPlace::of(&settings).map_err(|fault| fault.code)
    }

    #[test]
    fn nothing_is_served_to_other_machines_in_the_clear() {
        for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            assert_eq!(at(listen, |_| {}), Err(Code::InTheClear), "{listen}");
            assert!(at(listen, |settings| settings.behind_proxy = Proxies::loopback()).is_ok(), "{listen}");
        }
        for listen in ["127.0.0.1:0", "[::1]:0", "127.8.8.8:1"] {
            assert!(at(listen, |_| {}).is_ok(), "{listen}");
        }
        for listen in ["", "7878", "127.0.0.1", "127.0.0.1:70000"] {
            assert_eq!(at(listen, |_| {}), Err(Code::Listen), "{listen}");
        }
    }

    #[test]
    fn links_name_the_public_url_where_there_is_one() {
        let address = "127.0.0.1:81".parse().unwrap();
        assert_eq!(at("127.0.0.1:0", |_| {}).unwrap().url(address), "http://127.0.0.1:81");
        let public = at("127.0.0.1:0", |settings| settings.url = Some("https://e.example/".into())).unwrap();
        assert_eq!(public.url(address), "https://e.example");
    }
}
