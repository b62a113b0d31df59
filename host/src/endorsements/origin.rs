//! Where a service is: `https://host[:port][/prefix]`.
//!
//! Why apart: what a person typed is parsed once, and plain HTTP is let through in one place only.
//!
//! # Invariants
//! No user information, query or fragment. Plain HTTP goes to this machine, or anywhere when somebody said so by name.
//! Endorsements are signed themselves; what TLS keeps away is a network that serves old ones and reads which chips are
//! asked about.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;

/// Where plain HTTP may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// To this machine: 127.0.0.0/8, `::1` and `localhost`.
    LoopbackOnly,
    /// Anywhere: whoever is on the way may withhold newer items.
    DangerouslyAnywhere,
}

/// One service's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    server_name: ServerName<'static>,
    prefix: String,
}

/// Text is not a service's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginError {
    /// Not a URL with a host.
    NotAUrl,
    /// A scheme other than https and http.
    Scheme,
    /// Plain HTTP to another machine.
    PlainHttp,
    /// A user name, query or fragment.
    MoreThanAPath,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "the address is not a URL with a host",
            Self::Scheme => "the address starts with neither https:// nor http://",
            Self::PlainHttp => "plain http to another machine needs --dangerously-plain-http",
            Self::MoreThanAPath => "the address has more than a host, a port and a path",
        })
    }
}

impl std::error::Error for OriginError {}

impl Origin {
    /// Parses an address; `plain` says where `http://` may go.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn parse(text: &str, plain: PlainHttp) -> Result<Self, OriginError> {
        // A fragment never reaches a server, and `Uri` drops it silently.
        if text.contains(['#', '?']) {
            return Err(OriginError::MoreThanAPath);
        }
        let uri: Uri = text.parse().map_err(|_| OriginError::NotAUrl)?;
        let authority = uri.authority().ok_or(OriginError::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::MoreThanAPath);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(OriginError::Scheme),
        };
        if !secure && plain == PlainHttp::LoopbackOnly && !is_loopback(&host) {
            return Err(OriginError::PlainHttp);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // `HOST:` and `HOST:99999` are typing errors.
            None if authority.as_str() != authority.host() => return Err(OriginError::NotAUrl),
            None if secure => 443,
            None => 80,
        };
        Ok(Self {
            secure,
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| OriginError::NotAUrl)?,
            server_name: ServerName::try_from(host.clone()).map_err(|_| OriginError::NotAUrl)?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            host,
        })
    }

    /// Over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    pub(super) const fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// `path`, which begins with `/`, below the address's own path.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let authority = self.authority.to_str().unwrap_or(&self.host);
        write!(f, "{scheme}://{authority}{}", self.prefix)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, OriginError> {
        Origin::parse(text, PlainHttp::LoopbackOnly).map(|origin| origin.to_string())
    }

    #[test]
    fn an_address_is_a_host_and_a_path() {
        let origin = Origin::parse("https://mirror.example:8443/kds/", PlainHttp::LoopbackOnly).unwrap();
        assert_eq!((origin.host(), origin.port()), ("mirror.example", 8443));
        assert_eq!(origin.path("/vcek/v1/Milan/crl"), "/kds/vcek/v1/Milan/crl");
        assert_eq!(
            parse("https://kdsintf.amd.com").unwrap(),
            "https://kdsintf.amd.com"
        );
        for (text, error) in [
            ("", OriginError::NotAUrl),
            ("mirror.example", OriginError::Scheme),
            ("ftp://mirror.example", OriginError::Scheme),
            ("https://mirror.example:", OriginError::NotAUrl),
            ("https://mirror.example:99999", OriginError::NotAUrl),
            ("https://user@mirror.example", OriginError::MoreThanAPath),
            ("https://mirror.example/?a=b", OriginError::MoreThanAPath),
            ("https://mirror.example/#a", OriginError::MoreThanAPath),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_it_is_said() {
        for text in ["http://127.0.0.1:81", "http://[::1]:81", "http://localhost:81"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://mirror.example",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            assert_eq!(parse(text), Err(OriginError::PlainHttp), "{text}");
            assert!(Origin::parse(text, PlainHttp::DangerouslyAnywhere).is_ok());
        }
    }
}
