//! What triggers see of a delivery.

use serde_json::json;

use crate::triggers::TriggerEvent;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;

use super::event::DeliveryReceived;

impl DeliveryReceived {
    /// What a trigger's expressions see of it: what its source's reader says, with `source`, `id`, `name`,
    /// `sender`, `headers`, `body` and `received_at`.
    #[must_use]
    pub fn trigger_event(&self, source: &str, received_at: Timestamp) -> TriggerEvent {
        let mut event = match self.about.value() {
            Value::Object(about) => about,
            _nothing => serde_json::Map::new(),
        };
        let own = json!({
            "source": source, "id": self.id, "name": self.name, "sender": self.sender,
            "headers": self.headers, "received_at": received_at.to_string(),
        });
        if let Value::Object(own) = own {
            event.extend(own);
        }
        event.insert("body".to_owned(), self.body.value());
        let actor = self.sender.clone().unwrap_or_else(|| format!("hook:{source}"));
        TriggerEvent { event: Value::Object(event), actor, config: json!({}) }
    }
}
