//! Who on this machine may use the proxy.
//!
//! Why apart: a web page in the person's browser, and every other user of the machine, can reach 127.0.0.1.
//!
//! # Invariants
//! Over TCP a request needs the token, a Host that names this address (against DNS rebinding) and no Origin.
//! The Unix socket is mode 0600, so only its owner gets here; it needs no token and refuses Origin too. An
//! `Admitted` is made only here, and nothing is forwarded without one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::client::connection::random;
use crate::client::error::ClientError;

/// The proxy's own bearer token: 256 random bits, new at each start.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Draws one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, ClientError> {
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random()?.as_slice()))))
    }

    /// The text that a program presents. It is meant to be shown, once, to the person who started the proxy.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn is(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

/// The rules for one listener.
pub enum Access {
    /// A Unix socket of mode 0600.
    Owner,
    /// 127.0.0.1 at this port.
    Loopback {
        /// The port that Host must name.
        port: u16,
        /// What Authorization must carry.
        token: Token,
    },
}

/// A request passed the rules.
#[must_use = "an admitted request is to be forwarded"]
pub(super) struct Admitted {
    _private: (),
}

/// Which rule a request broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It comes from a web page.
    Origin,
    /// It names another host.
    Host,
    /// No token, or another one.
    Token,
}

impl Access {
    /// Judges a request by its headers alone: the body is not read before.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Admitted, Refused> {
        if headers.contains_key(ORIGIN) {
            return Err(Refused::Origin);
        }
        if let Self::Loopback { port, token } = self {
            let host = only(headers, &HOST).ok_or(Refused::Host)?;
            let names = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
            if !names
                .iter()
                .any(|name| host.eq_ignore_ascii_case(name.as_bytes()))
            {
                return Err(Refused::Host);
            }
            let presented = only(headers, &AUTHORIZATION)
                .and_then(bearer)
                .ok_or(Refused::Token)?;
            if !token.is(presented) {
                return Err(Refused::Token);
            }
        }
        Ok(Admitted { _private: () })
    }
}

/// The header's value when it is there exactly once: of two values another reader may take the other.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// RFC 6750 section 2.1; the scheme's name has no case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn over_tcp_host_token_and_origin_are_each_needed_to_be_right() {
        let token = Token::generate().unwrap();
        let right = format!("Bearer {}", token.reveal());
        let wrong = format!("Bearer {}x", token.reveal());
        let access = Access::Loopback { port: 8080, token };
        let verdict = |pairs: &[(&'static str, &str)]| access.admit(&headers(pairs)).map(|_| ());
        let (host, authorization) = (("host", "127.0.0.1:8080"), ("authorization", right.as_str()));

        assert_eq!(verdict(&[host, authorization]), Ok(()));
        assert_eq!(verdict(&[("host", "LOCALHOST:8080"), authorization]), Ok(()));
        let lower = right.replacen("Bearer", "bearer", 1);
        assert_eq!(verdict(&[host, ("authorization", &lower)]), Ok(()));

        for other in [
            "127.0.0.1",
            "127.0.0.1:8081",
            "evil.example:8080",
            "127.0.0.1:8080.evil.example",
            "",
        ] {
            assert_eq!(
                verdict(&[("host", other), authorization]),
                Err(Refused::Host),
                "{other}"
            );
        }
        assert_eq!(verdict(&[authorization]), Err(Refused::Host));
        assert_eq!(verdict(&[host, host, authorization]), Err(Refused::Host));
        for other in [
            wrong.as_str(),
            "Bearer ",
            "Bearer",
            "",
            "Basic abc",
            &right[7..],
            &right[..right.len() - 1],
        ] {
            assert_eq!(
                verdict(&[host, ("authorization", other)]),
                Err(Refused::Token),
                "{other}"
            );
        }
        assert_eq!(verdict(&[host]), Err(Refused::Token));
        assert_eq!(
            verdict(&[host, authorization, authorization]),
            Err(Refused::Token)
        );
        for origin in ["null", "http://127.0.0.1:8080", "https://evil.example"] {
            assert_eq!(
                verdict(&[host, authorization, ("origin", origin)]),
                Err(Refused::Origin)
            );
        }
    }

    #[test]
    fn over_the_socket_only_a_web_page_is_refused() {
        let verdict = |pairs: &[(&'static str, &str)]| Access::Owner.admit(&headers(pairs)).map(|_| ());
        assert_eq!(verdict(&[]), Ok(()));
        assert_eq!(verdict(&[("origin", "null")]), Err(Refused::Origin));
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let (one, two) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one.reveal(), two.reveal());
        assert_eq!(one.reveal().len(), 43);
    }
}
