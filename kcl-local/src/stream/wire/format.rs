//! The format of a body.
//!
//! Which one is used is up to the client: the SDK for Java and kcl-core's own calls of `GetRecords`
//! send CBOR; boto3, the AWS CLI and the SDK for Rust send JSON. A reply has the format of its
//! request.

use serde_json::Value;

use super::cbor;

/// The format of a request, and so of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) enum Format {
    /// `application/x-amz-json-1.1`
    Json,
    /// `application/x-amz-cbor-1.1`
    Cbor,
}

impl Format {
    /// The format of a content type; `None` if it is neither.
    pub(in crate::stream) fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/x-amz-json-1.1" => Some(Self::Json),
            "application/x-amz-cbor-1.1" => Some(Self::Cbor),
            _ => None,
        }
    }

    /// The content type of a body.
    pub(in crate::stream) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The content type of a payload in an event stream.
    pub(in crate::stream) fn event_content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// Parses a body; `None` if it is not in this format.
    pub(in crate::stream) fn decode(self, body: &[u8]) -> Option<Value> {
        match self {
            Self::Json => serde_json::from_slice(body).ok(),
            Self::Cbor => cbor::read(body).map(cbor::to_json),
        }
    }

    /// Writes a body.
    pub(in crate::stream) fn encode(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Json => value.to_string().into_bytes(),
            Self::Cbor => {
                let mut body = Vec::new();
                cbor::write(&mut body, value);
                body
            }
        }
    }
}
