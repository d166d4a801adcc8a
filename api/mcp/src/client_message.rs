//! What a client sends: a message of the protocol, or what is answered in its place.
//!
//! Law: what is no JSON is a parse error, other JSON that is no message an invalid request, and a known method whose
//! parameters cannot be read is one of invalid parameters (JSON-RPC 2.0, 5.1). The error names the request where that can be
//! read, and has no `id` otherwise, as the protocol has it.

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, ErrorData, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use serde_json::Value;

/// What was sent.
pub(crate) enum ClientMessage {
    /// A message of the protocol.
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// A notification that is not known: no notification is answered.
    Unknown,
    /// It is none, and this is the answer.
    Refused(Box<TxJsonRpcMessage<RoleServer>>),
}

/// Reads a message.
pub(crate) fn read(bytes: &[u8]) -> ClientMessage {
    // RFC 8259, 8.1: a byte order mark may be passed over.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Ok(message) = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(bytes) {
        return match half_read(&message) {
            Some((id, method)) => {
                let what = format!(
                    "the parameters of {method} cannot be read: `params` is an object with a `name` or a `uri`"
                );
                refused(ErrorData::invalid_params(what, None), Some(id))
            }
            None => ClientMessage::Message(Box::new(message)),
        };
    }
    let sent: Value = match serde_json::from_slice(bytes) {
        Ok(sent) => sent,
        Err(error) => {
            return refused(ErrorData::parse_error(format!("this is no JSON: {error}"), None), None);
        }
    };
    if sent.is_array() {
        let what = "the protocol has no batches: send one message at a time";
        return refused(ErrorData::invalid_request(what, None), None);
    }
    if sent["jsonrpc"] == "2.0" && sent["method"].is_string() && sent.get("id").is_none() {
        return ClientMessage::Unknown;
    }
    let id = serde_json::from_value(sent["id"].clone()).ok();
    let what = "this is no message of JSON-RPC 2.0: an object with `jsonrpc`, `method` and, of a request, an `id` that is a \
                text or a whole number";
    refused(ErrorData::invalid_request(what, None), id)
}

/// Methods that are taken for ones of their own where their parameters are not those of the protocol.
const WITH_PARAMETERS: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];

/// The request whose method is known and whose parameters are not those of that method.
fn half_read(message: &RxJsonRpcMessage<RoleServer>) -> Option<(RequestId, String)> {
    let JsonRpcMessage::Request(request) = message else { return None };
    let ClientRequest::CustomRequest(custom) = &request.request else { return None };
    WITH_PARAMETERS.contains(&custom.method.as_str()).then(|| (request.id.clone(), custom.method.clone()))
}

/// The answer to a message that is longer than one may be.
pub(crate) fn too_long(max: usize) -> TxJsonRpcMessage<RoleServer> {
    let what = format!("a message has at most {max} bytes");
    TxJsonRpcMessage::<RoleServer>::error(ErrorData::invalid_request(what, None), None)
}

fn refused(error: ErrorData, id: Option<RequestId>) -> ClientMessage {
    ClientMessage::Refused(Box::new(TxJsonRpcMessage::<RoleServer>::error(error, id)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(sent: &str) -> Value {
        match read(sent.as_bytes()) {
            ClientMessage::Refused(answer) => serde_json::to_value(answer).unwrap(),
            ClientMessage::Message(_) => json!("a message"),
            ClientMessage::Unknown => json!("unknown"),
        }
    }

    #[test]
    fn what_is_no_json_is_a_parse_error_and_other_json_an_invalid_request() {
        for junk in ["junk", "{", "{\"jsonrpc\":\"2.0\",\"id\":1,", "[1,", "\u{0}", "nul"] {
            let answer = refusal(junk);
            assert_eq!((&answer["error"]["code"], answer.get("id")), (&json!(-32700), None), "{junk}");
        }
        let latin = read(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xe9\"}");
        assert!(matches!(latin, ClientMessage::Refused(_)));
        for wrong in
            ["[]", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", "1", "null", "{}", "\"ping\""]
        {
            let answer = refusal(wrong);
            assert_eq!((&answer["error"]["code"], answer.get("id")), (&json!(-32600), None), "{wrong}");
        }
        let old = refusal("{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}");
        assert_eq!((&old["error"]["code"], &old["id"]), (&json!(-32600), &json!(7)), "{old}");
        let half = refusal("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}");
        assert_eq!((&half["error"]["code"], half.get("id")), (&json!(-32600), None), "{half}");
        for params in ["", ",\"params\":{}", ",\"params\":{\"name\":7}"] {
            let call = format!("{{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\"{params}}}");
            let answer = refusal(&call);
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32602), &json!(8)), "{call}");
        }
        assert_eq!(refusal("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"), "a message");
    }
}
