//! A server over TCP in front of an owner in memory.

use std::time::Duration;

use everfold_api::access::TokenWish;
use everfold_api::owner::{self, Held};
use everfold_api::serve::Server;
use everfold_engine::access::Role;
use everfold_engine::actor::Actor;
use everfold_engine::layout::Layout;
use everfold_workflows::settings::ServeSettings;

pub struct Served {
    pub held: Held,
    pub server: Server,
    _folder: tempfile::TempDir,
}

impl Served {
    pub async fn new(change: impl FnOnce(&mut ServeSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held = owner::imagine(Layout::new(folder.path().join("data"))).unwrap();
        let mut settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
        change(&mut settings);
        let server = Server::start(held.owner().clone(), held.routes(), &settings).await.unwrap();
        Self { held, server, _folder: folder }
    }

    pub async fn token_of(&self, name: &str, role: Role, lasts: Option<Duration>) -> String {
        let wish = TokenWish { name: name.into(), role, approves: Vec::new(), lasts };
        let made = self.held.owner().access().create(wish, Actor::Engine, None).await.unwrap();
        made.secret.reveal().to_owned()
    }
}
