//! Where the proxy listens: 127.0.0.1 or a Unix socket of mode 0600.
//!
//! Why apart: the address is the first fence, and no other kind of address can be expressed.
//!
//! # Invariants
//! The socket is never reachable under its name with a wider mode: it is made inside a folder of mode 0700,
//! given its mode, then moved. What is not a dead socket is never replaced.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anchorhold_encoding::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::client::connection::random;

/// An address to listen at, as a person writes it: `127.0.0.1:PORT` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// 127.0.0.1 at a port; 0 lets the system choose.
    Loopback(u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("after unix: comes the path of the socket"),
                path => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        match text.parse::<SocketAddrV4>() {
            Ok(address) if *address.ip() == Ipv4Addr::LOCALHOST => Ok(Self::Loopback(address.port())),
            _ => Err("the proxy listens at 127.0.0.1:PORT or unix:/path, never where others can reach it"),
        }
    }
}

/// A place that is being listened at.
pub(super) enum Listener {
    Loopback(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removes the name when the listener goes.
        _file: SocketFile,
    },
}

/// The socket's name in the file system; removed when dropped, if it is still this socket.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode);
        if ours {
            // Nobody is left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A local connection of either kind.
pub(super) trait Local: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Local for T {}

impl Listener {
    pub(super) async fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Loopback(port) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                TcpListener::bind(address).await.map(Self::Loopback)
            }
            Place::Unix(path) => {
                remove_dead_socket(path)?;
                let listener = private_socket(path)?;
                let meta = fs::symlink_metadata(path)?;
                let file = SocketFile {
                    path: path.clone(),
                    inode: (meta.dev(), meta.ino()),
                };
                Ok(Self::Unix {
                    listener,
                    _file: file,
                })
            }
        }
    }

    /// The TCP port, when there is one.
    pub(super) fn port(&self) -> io::Result<Option<u16>> {
        match self {
            Self::Loopback(listener) => listener.local_addr().map(|address| Some(address.port())),
            Self::Unix { .. } => Ok(None),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Local>> {
        match self {
            Self::Loopback(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix { listener, .. } => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// A socket that nobody listens at is left over from a process that was killed.
fn remove_dead_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if !meta.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

fn private_socket(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = random().map_err(|_| io::ErrorKind::Other)?;
    let room = folder
        .unwrap_or(Path::new("."))
        .join(format!(".ah-{}", Digest::new(*name).short()));
    fs::DirBuilder::new().mode(0o700).create(&room)?;
    let inside = room.join("s");
    let made = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        // A link refuses an existing name, where a rename would replace it.
        fs::hard_link(&inside, path)?;
        Ok(listener)
    });
    // A failure above is the one to report.
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&room);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_sockets_can_be_written() {
        assert_eq!("127.0.0.1:80".parse(), Ok(Place::Loopback(80)));
        assert_eq!("unix:/run/a".parse(), Ok(Place::Unix("/run/a".into())));
        for bad in [
            "0.0.0.0:80",
            "127.0.0.2:80",
            "[::1]:80",
            "localhost:80",
            "127.0.0.1",
            "unix:",
            "/run/a",
            "",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let place = Place::Unix(path.clone());
        let listener = Listener::open(&place).await.unwrap();
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "the room is gone"
        );
        let (served, asked) = tokio::join!(listener.accept(), tokio::net::UnixStream::connect(&path));
        assert!(served.is_ok() && asked.is_ok());
        let second = Listener::open(&place).await.err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Listener::open(&Place::Unix(path.clone())).await.unwrap());
        fs::write(&path, b"mine").unwrap();
        let refused = Listener::open(&Place::Unix(path.clone())).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
