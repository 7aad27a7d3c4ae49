use bytes::Bytes;

use super::cbor::Cbor;
use super::json::Json;
use super::reader::{Form, Reader};
use super::unreadable::Unreadable;

/// What a body says about an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireRefusal {
    /// The service's name for it, without what some put before and behind it.
    pub(crate) code: Option<String>,
    /// The service's words for people. It may hold the iterator of the call.
    pub(crate) message: Option<String>,
}

/// What a body says about an error; nothing where it says nothing that can be read. `named` is the
/// header `x-amzn-errortype`, which comes first.
pub(crate) fn refusal_of(
    named: Option<&str>,
    content_type: Option<&str>,
    body: &Bytes,
) -> WireRefusal {
    let said = match Form::of(content_type, body) {
        Ok(Form::Cbor) => said(Cbor::new(body)),
        Ok(Form::Json) => said(Json::new(body, None)),
        // HTML of a proxy, or nothing: then the status alone is known.
        // Likewise where a body begins well and cannot be read to the end of its object. It is no
        // error of its own: the call was refused, and how is said by its status.
        Err(unreadable) => Err(unreadable),
    };
    let mut refusal = said.unwrap_or_default();
    // Proxies and emulators replace bodies sooner than headers, and the SDK goes by it as well.
    if let Some(named) = named {
        refusal.code = Some(named.to_owned());
    }
    refusal.code = refusal
        .code
        .map(|code| bare(&code).to_owned())
        .filter(|code| !code.is_empty());
    refusal
}

/// Reads code and message, which endpoints write under several names. `__type` wins over `code`, as
/// with the SDK.
fn said<'a>(mut reader: impl Reader<'a>) -> Result<WireRefusal, Unreadable> {
    let mut refusal = WireRefusal::default();
    reader.members(|reader, name| {
        let (known, is_code): (&mut Option<String>, _) = match name {
            b"__type" | b"code" => (&mut refusal.code, name == b"__type"),
            b"message" | b"Message" | b"errorMessage" => (&mut refusal.message, false),
            name => return reader.skip_member(name),
        };
        if reader.is_null()? {
            return Ok(());
        }
        let text = reader.text()?.into_owned();
        if known.is_none() || is_code {
            *known = Some(text);
        }
        Ok(())
    })?;
    Ok(refusal)
}

/// `ns#Name:http://...` without what is around the name.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().trim()
}
