//! The address of an enclave: `https://host[:port]` and nothing else.
//!
//! Why apart: what a person typed is parsed once, so that no later code meets a URL with a path, a user name
//! or another scheme.
//!
//! # Invariants
//! The scheme is https. There is no user information, path, query or fragment.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;

/// Where an enclave listens. The name is for routing only: what the enclave is follows from its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    authority: HeaderValue,
    server_name: ServerName<'static>,
}

/// Text was not `https://host[:port]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    /// Not a URL with a host.
    NotAUrl,
    /// A scheme other than https.
    NotHttps,
    /// A user name, path, query or fragment after or before the host.
    MoreThanAHost,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "the address is not a URL with a host",
            Self::NotHttps => "the address does not start with https://",
            Self::MoreThanAHost => "the address has more than a host and a port",
        })
    }
}

impl std::error::Error for EndpointError {}

impl Endpoint {
    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port; 443 when the address named none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Value of the Host header.
    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Name sent in the handshake so that a network can route it; never checked against a certificate.
    pub(super) const fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority.to_str().unwrap_or(&self.host))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // A fragment never reaches a server, and `Uri` drops it silently.
        if text.contains('#') {
            return Err(EndpointError::MoreThanAHost);
        }
        let uri: Uri = text.parse().map_err(|_| EndpointError::NotAUrl)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some(_) => return Err(EndpointError::NotHttps),
            None => return Err(EndpointError::NotAUrl),
        }
        let authority = uri.authority().ok_or(EndpointError::NotAUrl)?;
        let bare_path = uri.path().is_empty() || uri.path() == "/";
        if authority.as_str().contains('@') || !bare_path || uri.query().is_some() {
            return Err(EndpointError::MoreThanAHost);
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let server_name = ServerName::try_from(host.to_owned()).map_err(|_| EndpointError::NotAUrl)?;
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| EndpointError::NotAUrl)?,
            // `host:` and `host:99999` have no port that `Uri` could parse.
            None if authority.as_str().len() != authority.host().len() => return Err(EndpointError::NotAUrl),
            None => 443,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| EndpointError::NotAUrl)?,
            server_name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_taken() {
        for (text, host, port) in [
            ("https://localhost:8443", "localhost", 8443),
            ("https://localhost:8443/", "localhost", 8443),
            ("https://enclave.example", "enclave.example", 443),
            ("https://127.0.0.1:1", "127.0.0.1", 1),
            ("https://[::1]:9", "::1", 9),
            ("https://[::1]", "::1", 443),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn anything_more_or_less_is_refused() {
        for (text, error) in [
            ("http://localhost:1", EndpointError::NotHttps),
            ("localhost:1", EndpointError::NotAUrl),
            ("", EndpointError::NotAUrl),
            ("https://", EndpointError::NotAUrl),
            ("https://localhost:", EndpointError::NotAUrl),
            ("https://localhost:99999", EndpointError::NotAUrl),
            ("https://localhost:1/v1", EndpointError::MoreThanAHost),
            ("https://localhost:1/?a", EndpointError::MoreThanAHost),
            ("https://localhost:1#a", EndpointError::MoreThanAHost),
            ("https://user@localhost:1", EndpointError::MoreThanAHost),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
