//! Which names the page answers to.

use std::net::IpAddr;

/// The host names under which the page may be asked for.
///
/// The page has no login: what protects it is that it listens on loopback. A foreign page in a
/// browser on the same machine can reach loopback too, by a name of its own that suddenly resolves
/// to 127.0.0.1 (DNS rebinding). Then the browser believes that both are of one origin, but it still
/// sends the foreign name as `Host`: a request with a name that is not known is refused.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// The loopback names, and these.
    pub(super) fn new(allowed: &[String]) -> Self {
        let lower = |name: &String| name.to_ascii_lowercase();
        Self(allowed.iter().map(lower).collect())
    }

    /// Whether a `Host` header, which may have a port, is one of them.
    pub(super) fn allows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        is_loopback(&name) || self.0.contains(&name)
    }

    /// Whether an `Origin` header is of one of them. A browser sends it with requests that another
    /// page makes.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|host| self.allows(host))
    }
}

/// A name of --allow-host: without scheme, port and path, as a `Host` header has it.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_address = text.parse::<IpAddr>().is_ok() || bracketed(text).is_some();
    let is_name = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Ok(format!("[{address}]")),
        _ if is_address || is_name => Ok(text.to_owned()),
        _ => {
            Err("expected a host name or an address without a port, such as kcl.example".to_owned())
        }
    }
}

/// An IPv6 address as a `Host` header has it.
fn bracketed(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok()
}

/// The name of a `Host` header. A port is digits only, so that nothing can hide behind a colon.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether a name or an address is this machine's own.
fn is_loopback(name: &str) -> bool {
    match bracketed(name).or_else(|| name.parse().ok()) {
        Some(address) => address.is_loopback(),
        // By RFC 6761 these names are loopback, and no server is asked for them.
        None => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_allowed_names_are_answered() {
        let hosts = Hosts::new(&["kcl.Example".to_owned(), "[2001:db8::1]".to_owned()]);
        for good in [
            "127.0.0.1:7878",
            "localhost",
            "LOCALHOST:80",
            "a.localhost:1",
            "[::1]:7878",
            "127.9.9.9",
            "KCL.example:7878",
            "[2001:db8::1]:7878",
        ] {
            assert!(hosts.allows(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:7878",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:evil",
            "kcl.example.",
            "10.0.0.1:7878",
            "notlocalhost",
            "0.0.0.0",
            "localhost:1:2",
        ] {
            assert!(!hosts.allows(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_judged_by_its_host() {
        let hosts = Hosts::new(&[]);
        assert!(hosts.allows_origin("http://127.0.0.1:7878"));
        assert!(hosts.allows_origin("https://localhost"));
        for bad in [
            "null",
            "",
            "http://evil.example",
            "file://localhost",
            "localhost",
        ] {
            assert!(!hosts.allows_origin(bad), "{bad}");
        }
    }

    #[test]
    fn an_allowed_host_is_a_name_without_a_port() {
        assert_eq!(name("kcl.example"), Ok("kcl.example".to_owned()));
        assert_eq!(name("2001:db8::1"), Ok("[2001:db8::1]".to_owned()));
        assert_eq!(name("10.0.0.1"), Ok("10.0.0.1".to_owned()));
        for bad in ["", "http://kcl.example", "kcl.example:80", "a b", "*"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
