//! An address of this machine that is taken before there is anything to serve.
//!
//! Why apart: binding may need a privilege, and it is the last time that a port is chosen: from then on the process can
//! bind none. Nobody can connect until somebody listens.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// Connections that wait to be accepted; the kernel allows no more than its own limit.
const BACKLOG: i32 = 1024;

/// A TCP socket with an address.
#[derive(Debug)]
pub struct Bound(OwnedFd);

impl Bound {
    /// Takes `address`; with port 0 the system chooses one.
    ///
    /// # Errors
    /// The system's.
    pub fn to(address: SocketAddr) -> Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // Connections of an enclave that ended a moment ago do not hold the port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        Ok(Self(socket))
    }

    /// From now on clients can connect.
    ///
    /// # Errors
    /// The system's: somebody else listens there.
    pub(super) fn listen(self) -> Result<std::net::TcpListener> {
        listen(&self.0, BACKLOG)?;
        Ok(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nobody_can_connect_before_somebody_listens() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let bound = Bound::to(address.parse().unwrap()).unwrap();
            let taken = rustix::net::getsockname(&bound.0).unwrap();
            let taken = SocketAddr::try_from(taken).unwrap();
            assert!(TcpStream::connect(taken).is_err());
            let listener = bound.listen().unwrap();
            assert_eq!(listener.local_addr().unwrap(), taken);
            TcpStream::connect(taken).unwrap();
        }
    }

    #[test]
    fn an_address_that_is_served_is_not_taken() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(Bound::to(other.local_addr().unwrap()).is_err());
    }
}
