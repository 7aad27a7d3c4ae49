//! `GetRecords` by a call of our own, without the SDK's orchestration: its reader of JSON takes most
//! of what a page costs, and its orchestration most of what a call without records costs.
//!
//! ```text
//!   DirectCall  ->  Signer: endpoint, credentials, time        asked of the SDK, once and then cached
//!               ->  Http1Client: a connection, an answer       http/
//!               ->  page_of, refusal_of                        wire/
//!               ->  Page, or Error by the same table           classify.rs
//! ```
//!
//! What a call needs is what the SDK would use: its endpoint rules are asked once by a call that an
//! interceptor stops before it is signed, and its cache of credentials is asked for each call.
//!
//! # CBOR, and endpoints that have none
//!
//! A call is in CBOR, which the SDK for Java speaks to the service by default. Endpoints without it
//! answer in ways of their own (404, 415, 400, 500), and what is between may answer with anything.
//! So nothing that is said to a call in CBOR is believed to be the last word unless the service's
//! name for an error stands in it, or a page:
//!
//! | answer to a call in CBOR | before the first page in CBOR | after it |
//! |---|---|---|
//! | a page, in CBOR or JSON | read | read |
//! | an error that the table of [`classify`](super::classify) names for a call | that error | that error |
//! | any other error, or one that says that the call was not understood | asked again in JSON | that error |
//! | an answer that cannot be read, HTML for one | asked again in JSON | asked again in JSON |
//! | no answer | that failure | that failure |
//!
//! When the second answer is a page, or an error that is named, and CBOR has given no page yet, JSON
//! is used from then on; a log line says so once.
//!
//! # The SDK has the last word
//!
//! As long as no page has come by a call of ours, one that is refused for good, or whose answer
//! cannot be read, is made by the SDK as well, and its answer counts. If that is a page, the SDK
//! makes the calls from then on, and a log line says so: the endpoint wants more than is done here.

mod cbor_use;
mod direct_call;
mod signer;

pub(super) use cbor_use::is_cbor_wanted;
pub(super) use direct_call::DirectCall;
