//! The envelope of JSON-RPC 2.0, as InfraKit uses it: keys in any case, IDs returned verbatim.

use indexmap::IndexMap;
use serde_json::{Value as Json, json, value::RawValue};

/// Code of an error that a method returns, and of an unknown method.
const METHOD_ERROR: i32 = -32000;
/// Code of an invalid request.
const INVALID_REQUEST: i32 = -32600;
/// Code of a body that is not JSON.
const PARSE_ERROR: i32 = -32700;

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// ID of the request, as it was written; none for a notification, which gets no response.
    pub id: Option<Box<RawValue>>,
    /// Name of the service and of the method, separated by a dot.
    pub method: String,
    /// The parameters; an empty object if there are none.
    pub params: Json,
}

/// An error of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RpcError {
    code: i32,
    /// The message that clients show.
    pub message: String,
    /// The invalid part of the request.
    data: Json,
}

impl RpcError {
    /// Creates an error of a method.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with_code(METHOD_ERROR, message, Json::Null)
    }

    /// Creates an error of a request, with the invalid part.
    pub(crate) fn invalid(message: impl Into<String>, data: Json) -> Self {
        Self::with_code(INVALID_REQUEST, message, data)
    }

    fn with_code(code: i32, message: impl Into<String>, data: Json) -> Self {
        Self {
            code,
            message: message.into(),
            data,
        }
    }
}

/// Parses a body.
///
/// # Errors
///
/// The response to an invalid request.
pub(crate) fn parse(body: &[u8]) -> Result<Call, Vec<u8>> {
    let fields: IndexMap<String, Box<RawValue>> = match serde_json::from_slice(body) {
        Ok(fields) => fields,
        Err(error) => return Err(invalid_body(body, &error)),
    };
    let id = field(&fields, "id").filter(|id| id.get() != "null");
    let call = read(&fields);
    call.map(|(method, params)| Call {
        id: id.map(ToOwned::to_owned),
        method,
        params,
    })
    .map_err(|error| failure(id, &error))
}

/// Returns the response to a body that is not an object, or not JSON at all.
fn invalid_body(body: &[u8], error: &serde_json::Error) -> Vec<u8> {
    let error = match serde_json::from_slice::<Json>(body) {
        Ok(other) => RpcError::invalid("the request must be an object", other),
        Err(_) => RpcError::with_code(PARSE_ERROR, format!("invalid JSON: {error}"), Json::Null),
    };
    envelope("error", &error.to_json(), "null")
}

fn read(fields: &IndexMap<String, Box<RawValue>>) -> Result<(String, Json), RpcError> {
    let value =
        |name| field(fields, name).map_or(Ok(Json::Null), |raw| serde_json::from_str(raw.get()));
    let json = |name| value(name).map_err(|error| RpcError::invalid(error.to_string(), Json::Null));
    if json("jsonrpc")? != "2.0" {
        return Err(RpcError::invalid("jsonrpc must be 2.0", whole(fields)));
    }
    let method = match json("method")? {
        Json::String(method) => method,
        Json::Null => String::new(),
        _ => return Err(RpcError::invalid("method must be a string", whole(fields))),
    };
    Ok((method, params(json("params")?)?))
}

/// Returns the parameters: an object, or the only item of a list.
fn params(given: Json) -> Result<Json, RpcError> {
    match given {
        Json::Null => Ok(json!({})),
        Json::Object(_) => Ok(given),
        Json::Array(mut items) if items.len() == 1 && items[0].is_object() => Ok(items.remove(0)),
        other => {
            let message = "params must be an object, or a list with one object";
            Err(RpcError::invalid(message, other))
        }
    }
}

/// Returns a field. A name in the usual case wins over others.
fn field<'f>(fields: &'f IndexMap<String, Box<RawValue>>, name: &str) -> Option<&'f RawValue> {
    let same = || {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let found = fields.get(name).or_else(|| same().map(|(_, value)| value));
    found.map(AsRef::as_ref)
}

fn whole(fields: &IndexMap<String, Box<RawValue>>) -> Json {
    serde_json::to_value(fields).unwrap_or_default()
}

impl RpcError {
    fn to_json(&self) -> Json {
        json!({ "code": self.code, "message": self.message, "data": self.data })
    }
}

/// Returns the response to a successful request; empty for a notification.
pub(crate) fn success(id: Option<&RawValue>, result: &Json) -> Vec<u8> {
    id.map_or_else(Vec::new, |id| envelope("result", result, id.get()))
}

/// Returns the response to a failed request; empty for a notification.
pub(crate) fn failure(id: Option<&RawValue>, error: &RpcError) -> Vec<u8> {
    id.map_or_else(Vec::new, |id| envelope("error", &error.to_json(), id.get()))
}

/// Returns the response to a request that was not read.
pub(crate) fn unread(message: &str) -> Vec<u8> {
    let error = RpcError::invalid(message, Json::Null);
    envelope("error", &error.to_json(), "null")
}

fn envelope(kind: &str, value: &Json, id: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"{kind}\":{value},\"id\":{id}}}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        String::from_utf8(parse(body.as_bytes()).unwrap_err()).unwrap()
    }

    #[test]
    fn ids_are_returned_verbatim() {
        for id in [
            "9223372036854775807",
            "18446744073709551615",
            "\"a\\u0062\"",
            "1.50",
            "[1]",
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","method":"A.B","id":{id}}}"#);
            let call = parse(body.as_bytes()).unwrap();
            let reply = success(call.id.as_deref(), &json!({}));
            let expected = format!("{{\"jsonrpc\":\"2.0\",\"result\":{{}},\"id\":{id}}}\n");
            assert_eq!(String::from_utf8(reply).unwrap(), expected);
        }
    }

    #[test]
    fn notifications_get_no_response() {
        for body in [
            r#"{"jsonrpc":"2.0","method":"A.B"}"#,
            r#"{"jsonrpc":"2.0","method":"A.B","id":null}"#,
        ] {
            let call = parse(body.as_bytes()).unwrap();
            assert_eq!(success(call.id.as_deref(), &json!({})), b"");
        }
        assert_eq!(refused(r#"{"jsonrpc":"1.0","method":"A.B"}"#), "");
    }

    #[test]
    fn params_are_an_object_or_a_list_with_one() {
        let params = |params: &str| {
            let body = format!(r#"{{"JSONRPC":"2.0","Method":"A.B","Params":{params},"ID":1}}"#);
            parse(body.as_bytes()).map(|call| call.params)
        };
        assert_eq!(params(r#"{"a":1}"#).unwrap(), json!({ "a": 1 }));
        assert_eq!(params(r#"[{"a":1}]"#).unwrap(), json!({ "a": 1 }));
        assert_eq!(params("null").unwrap(), json!({}));
        for wrong in ["5", "[]", "[{},{}]", "[5]", "\"x\""] {
            let reply = String::from_utf8(params(wrong).unwrap_err()).unwrap();
            let message = "params must be an object, or a list with one object";
            let error = format!("{{\"code\":-32600,\"message\":\"{message}\",\"data\":{wrong}}}");
            assert_eq!(
                reply,
                format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":1}}\n")
            );
        }
    }

    #[test]
    fn invalid_requests_are_told_apart() {
        assert_eq!(
            refused(r#"{"jsonrpc":"1.0","method":"Instance.Validate","params":{},"id":6}"#),
            concat!(
                r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"jsonrpc must be 2.0","#,
                r#""data":{"jsonrpc":"1.0","method":"Instance.Validate","params":{},"id":6}},"id":6}"#,
                "\n"
            )
        );
        assert!(
            refused("{bad").starts_with(
                r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"invalid JSON: "#
            )
        );
        assert!(refused("").ends_with(",\"id\":null}\n"));
        assert!(refused("[1]").contains("the request must be an object"));
        assert!(
            refused(r#"{"jsonrpc":"2.0","method":5,"id":1}"#).contains("method must be a string")
        );
        let deep = "[".repeat(100_000);
        assert!(refused(&deep).contains("-32700"));
    }
}
