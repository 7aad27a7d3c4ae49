use http::Uri;
use http::uri::Authority;

use super::failure::ConnectionFailure;

/// The address without the user and password that may stand before its host. Neither may be sent as
/// part of a host (RFC 9113, section 8.3.1), and what is logged or told of an address must not hold
/// them.
pub(in crate::stream::kinesis) fn without_userinfo(address: Uri) -> Result<Uri, ConnectionFailure> {
    let Some((_, host)) = address
        .authority()
        .and_then(|authority| authority.as_str().rsplit_once('@'))
    else {
        return Ok(address);
    };
    let wrong = |error| ConnectionFailure::wrong("the endpoint is no address", error);
    let host = Authority::try_from(host).map_err(|error| wrong(http::Error::from(error)))?;
    let mut parts = address.into_parts();
    parts.authority = Some(host);
    Uri::from_parts(parts).map_err(|error| wrong(http::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_its_user_and_password_and_nothing_else() {
        for (given, kept) in [
            (
                "http://user:pass@host:4567/path?query",
                "http://host:4567/path?query",
            ),
            ("https://user@host/", "https://host/"),
            ("http://user%40:pass@[::1]:80/", "http://[::1]:80/"),
            ("http://@host/", "http://host/"),
            (
                "http://host:4567/user:pass@path",
                "http://host:4567/user:pass@path",
            ),
        ] {
            assert_eq!(
                without_userinfo(given.parse().unwrap()).unwrap(),
                kept,
                "{given}"
            );
        }
    }
}
