//! Handlers that are given what the records hold, in place of their bytes.

mod decoded;
mod decoder;
#[cfg(feature = "json")]
mod json;
mod traits;

pub use decoded::{Decoded, decode, decode_buffer};
pub use decoder::Decoder;
#[cfg(feature = "json")]
pub use json::{JsonDecoder, json, json_buffer};
pub use traits::{DecodedBufferHandler, DecodedHandler};
