//! What is asked of the routes, behind a trait: tests answer in their place.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::client::{Client, Follow, FollowMessage, Followed, LogLines};
use crate::fault::Fault;

/// When a run is followed again that could not be.
const AGAIN: Duration = Duration::from_secs(2);

/// An answer that comes.
pub(super) type RouteAnswer<T> = LocalBoxFuture<'static, Result<T, Fault>>;

/// The way to the routes.
pub(super) trait RunRoutes {
    /// A document.
    fn get(&self, path: String) -> RouteAnswer<Value>;

    /// The last records of a log, oldest first.
    fn log(&self, path: String, most: usize) -> RouteAnswer<Vec<Value>>;

    /// Resolves when a run has recorded this version, or its last one before.
    fn recorded(&self, run: String, version: u64) -> LocalBoxFuture<'static, ()>;
}

/// The routes as every verb asks them.
pub(super) struct ClientRoutes {
    client: Client,
}

impl ClientRoutes {
    pub(super) fn shared(client: Client) -> Rc<dyn RunRoutes> {
        Rc::new(Self { client })
    }
}

impl RunRoutes for ClientRoutes {
    fn get(&self, path: String) -> RouteAnswer<Value> {
        let client = self.client.clone();
        async move { client.get(&path).await }.boxed_local()
    }

    fn log(&self, path: String, most: usize) -> RouteAnswer<Vec<Value>> {
        let client = self.client.clone();
        let read = async move {
            let mut lines = LogLines::new(&client, format!("{path}?tail={most}&format=json"));
            let mut records = Vec::new();
            while let Some(record) = lines.next().await? {
                records.push(record);
            }
            Ok(records)
        };
        read.boxed_local()
    }

    fn recorded(&self, run: String, version: u64) -> LocalBoxFuture<'static, ()> {
        let client = self.client.clone();
        let wait = async move {
            loop {
                let follow = Follow { run: run.clone(), from: version, live: false, drive: false };
                let mut followed = Followed::new(&client, follow);
                loop {
                    match followed.next().await {
                        Ok(FollowMessage::Event(_) | FollowMessage::End) => return,
                        Ok(FollowMessage::State(_)) => {}
                        Err(fault) => {
                            tracing::warn!("the run cannot be followed: {fault}; it is tried again");
                            break;
                        }
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        wait.boxed_local()
    }
}
