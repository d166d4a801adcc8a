//! The settings of a data folder, put together from the sections of each area: those of executors, probers and
//! functions come from `everfold_workflows`, those of the engine and of the server stand here.
//!
//! Law: a section is declared where it is used; only this module knows the whole file.

mod credentials;
mod file;
mod host;
mod limits;
mod prices;
mod proxies;
mod serve;
mod subscriptions;
mod tracing;

pub use credentials::CredentialSettings;
pub use file::{Settings, SettingsError, TEMPLATE};
pub use host::{Host, HostPort, NoHost};
pub use limits::{BreakerKinds, BreakerSettings, LimitSettings, RateSettings};
pub use prices::PriceSettings;
pub use proxies::{Proxies, ProxyError};
pub(crate) use serve::RATE_WITHOUT_TOKEN;
pub use serve::{ServeSettings, TlsFiles};
pub use subscriptions::{SubscriptionSettings, TextList};
pub use tracing::{GenAiConventions, TracingSettings};
