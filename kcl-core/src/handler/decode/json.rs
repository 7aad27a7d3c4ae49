use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::BoxError;
use crate::model::Record;

use super::{Decoded, DecodedBufferHandler, DecodedHandler, Decoder, decode, decode_buffer};

/// Gives the handler what serde reads from the JSON of each record, as [`decode`] does.
///
/// The whole content of a record has to be one JSON value: of its type, in UTF-8.
///
/// ```
/// use kcl_core::handler::{DecodedHandler, RecordContext, Retries, by_key, json};
/// use kcl_core::model::Record;
/// use kcl_core::{BoxError, Worker};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     customer: String,
///     amount: u64,
/// }
///
/// struct Orders;
///
/// impl DecodedHandler for Orders {
///     type Value = Order;
///
///     async fn handle(&self, order: Order, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
///         println!("{} orders for {}", order.customer, order.amount);
///         Ok(())
///     }
/// }
///
/// let orders = by_key(64, json(Orders)).retries(Retries::attempts(5).skip());
/// let builder = Worker::builder().stream("orders").processor(orders);
/// # drop(builder);
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub fn json<H>(handler: H) -> Decoded<JsonDecoder<H::Value>, H>
where
    H: DecodedHandler,
    H::Value: DeserializeOwned,
{
    decode(JsonDecoder::default(), handler)
}

/// The same for a handler of [buffers](crate::handler::buffer()), as [`decode_buffer`].
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub fn json_buffer<H>(handler: H) -> Decoded<JsonDecoder<H::Value>, H>
where
    H: DecodedBufferHandler,
    H::Value: DeserializeOwned,
{
    decode_buffer(JsonDecoder::default(), handler)
}

/// Reads the content of a record as JSON. Used by [`json`] and [`json_buffer`].
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub struct JsonDecoder<T>(PhantomData<fn() -> T>);

impl<T> Default for JsonDecoder<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Decoder for JsonDecoder<T> {
    type Value = T;

    fn decode(&self, record: &Record) -> Result<T, BoxError> {
        serde_json::from_slice(&record.data).map_err(|error| without_values(&error).into())
    }
}

/// What is wrong, and where, without what the record holds: errors are logged, and records are the
/// users' data.
fn without_values(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let is_of_the_type = ["missing field `", "duplicate field `"];
    if !error.is_data() || is_of_the_type.iter().any(|start| said.starts_with(start)) {
        return said;
    }
    // `invalid type: string "what it holds", expected u64 at line 1 column 9`. What it holds may say
    // `expected` too, so the last one counts.
    let kinds = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
        "unknown field",
    ];
    let kind = kinds.iter().find(|kind| said.starts_with(**kind));
    match kind.zip(said.rsplit_once(", expected ")) {
        Some((kind, (_, expected))) => format!("{kind}, expected {expected}"),
        None => format!(
            "a value of a wrong type or range at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

impl<T> fmt::Debug for JsonDecoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonDecoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RawRecord, SequenceNumber};

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Purchase {
        amount: u64,
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Kind {
        Paid,
    }

    fn decoded(content: &'static [u8]) -> Result<Purchase, String> {
        let number = SequenceNumber::from_u128(1);
        let record = Record::from(RawRecord::new(number, "k", content));
        let decoded = JsonDecoder::<Purchase>::default().decode(&record);
        decoded.map_err(|error| error.to_string())
    }

    #[test]
    fn the_whole_content_is_one_value() {
        let paid = Purchase {
            amount: 3,
            kind: Some(Kind::Paid),
        };
        assert_eq!(decoded(br#" {"amount": 3, "kind": "Paid"}"#), Ok(paid));
        for bad in [&b""[..], b"{", b"{\"amount\":1} {}", b"\xff"] {
            decoded(bad).unwrap_err();
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_nothing_of_the_content() {
        for (content, said) in [
            (&br#"{}"#[..], "missing field `amount` at line 1 column 2"),
            (
                br#"{"amount":"secret, expected secret"}"#,
                "invalid type, expected u64 at line 1 column 35",
            ),
            (
                br#"{"amount":-7}"#,
                "invalid value, expected u64 at line 1 column 12",
            ),
            (
                br#"{"secret":1}"#,
                "unknown field, expected `amount` or `kind` at line 1 column 9",
            ),
            (
                br#"{"amount":1,"kind":"secret"}"#,
                "unknown variant, expected `Paid` at line 1 column 27",
            ),
            (b"secret", "expected value at line 1 column 1"),
        ] {
            assert_eq!(decoded(content), Err(said.to_owned()));
        }
    }
}
