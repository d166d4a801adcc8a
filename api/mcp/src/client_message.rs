//! What a client sends: a message of the protocol, or what is answered in its place.
//!
//! Law: what is no JSON is a parse error, other JSON that is no message an invalid request, and a known method whose
//! parameters cannot be read is one of invalid parameters (JSON-RPC 2.0, 5.1). The error names the request where that can be
//! read, and has no `id` otherwise, as the protocol has it.

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CancelTaskParams, ClientRequest, CustomRequest, ErrorData, GetTaskParams,
    JsonRpcMessage, ReadResourceRequestParams, RequestId, UpdateTaskParams,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

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
            Some((id, error)) => refused(error, Some(id)),
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
    refused(ErrorData::invalid_request(no_message(bytes), None), id)
}

/// The request whose method is known and whose parameters are not those of that method.
fn half_read(message: &RxJsonRpcMessage<RoleServer>) -> Option<(RequestId, ErrorData)> {
    let JsonRpcMessage::Request(request) = message else { return None };
    let ClientRequest::CustomRequest(custom) = &request.request else { return None };
    Some((request.id.clone(), unread_parameters(custom)?))
}

/// Why the parameters of a request cannot be read; none where its method is none of the protocol. The SDK takes a known
/// method with other parameters for a method that it does not know.
pub(crate) fn unread_parameters(request: &CustomRequest) -> Option<ErrorData> {
    let params = request.params.clone().unwrap_or_else(|| json!({}));
    let arguments = params.get("arguments").cloned().unwrap_or_default();
    let why = match request.method.as_str() {
        "tools/call" if !arguments.is_object() && !arguments.is_null() => {
            Some("`arguments` is no object".to_owned())
        }
        "tools/call" => unlike::<CallToolRequestParams>(params),
        "resources/read" => unlike::<ReadResourceRequestParams>(params),
        "tasks/get" => unlike::<GetTaskParams>(params),
        "tasks/update" => unlike::<UpdateTaskParams>(params),
        "tasks/cancel" => unlike::<CancelTaskParams>(params),
        _other => return None,
    };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let what = format!("the parameters of {} cannot be read{why}", request.method);
    Some(ErrorData::invalid_params(what, None))
}

/// Why parameters are not of a type.
fn unlike<T: DeserializeOwned>(params: Value) -> Option<String> {
    serde_json::from_value::<T>(params).err().map(|error| error.to_string())
}

/// The names of a message, each of which stands there once.
#[derive(Deserialize)]
struct MessageNames {
    #[serde(rename = "jsonrpc")]
    _jsonrpc: Option<IgnoredAny>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "method")]
    _method: Option<IgnoredAny>,
    #[serde(rename = "params")]
    _params: Option<IgnoredAny>,
}

/// What is wrong with JSON that is no message.
fn no_message(bytes: &[u8]) -> String {
    match serde_json::from_slice::<MessageNames>(bytes) {
        Err(error) if error.to_string().starts_with("duplicate field") => {
            format!("a name of the message stands there twice: {error}")
        }
        _ => "this is no message of JSON-RPC 2.0: an object with `jsonrpc`, `method` and, of a request, an `id` that is a \
              text or a whole number"
            .to_owned(),
    }
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
        assert_eq!(refusal("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"), "a message");
    }

    #[test]
    fn a_known_method_with_other_parameters_is_told_what_is_wrong_with_them() {
        for (method, params, wrong) in [
            ("tools/call", "", "missing field `name`"),
            ("tools/call", ",\"params\":{}", "missing field `name`"),
            ("tools/call", ",\"params\":{\"name\":7}", "invalid type: integer `7`"),
            ("tools/call", ",\"params\":{\"name\":\"why\",\"arguments\":[]}", "`arguments` is no object"),
            ("resources/read", "", "missing field `uri`"),
            ("tasks/get", ",\"params\":{}", "missing field `taskId`"),
        ] {
            let sent = format!("{{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"{method}\"{params}}}");
            let answer = refusal(&sent);
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32602), &json!(8)), "{sent}");
            let said = answer["error"]["message"].as_str().unwrap();
            assert!(said.contains(method) && said.contains(wrong), "{sent}: {said}");
        }
        assert_eq!(refusal("{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tables/drop\"}"), "a message");
    }

    #[test]
    fn a_name_that_stands_twice_in_a_message_is_named() {
        let twice = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"method\":\"ping\"}";
        let answer = refusal(twice);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &json!(7)), "{answer}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("twice") && said.contains("`method`"), "{said}");
    }
}
