//! The supervisor's socket: packets of JSON, some with open sockets, between supervisor, components and command line.
//!
//! A packet socket keeps messages apart and tells both sides at once when the other is gone.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tenon_model::Role;
use tokio::io::unix::AsyncFd;

use super::binary::Binary;
use super::watched::watch;

/// The longest packet; a status of 49 servers takes a tenth of it.
const PACKET_BYTES_MAX: usize = 128 * 1024;

/// The most sockets that one packet carries: HTTP and HTTPS, and room for more.
const SOCKETS_MAX: usize = 8;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// Open sockets by name.
pub(crate) type Sockets = BTreeMap<String, OwnedFd>;

/// What is said over the socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Message {
    /// A component begins: who it is, and which public sockets it holds (they travel with the packet).
    Hello {
        /// Its name.
        name: String,
        /// Its process id.
        pid: u32,
        /// The version of its binary.
        version: String,
        /// Names of the sockets of this packet, in their order.
        sockets: Vec<String>,
    },
    /// The supervisor's answer, with the public sockets that the component is to use.
    Welcome {
        /// The supervisor's process id.
        pid: u32,
        /// Names of the sockets of this packet, in their order.
        sockets: Vec<String>,
    },
    /// A component lives, and this is how it is. Said each second.
    Beat {
        /// Whether it takes work.
        ready: bool,
        /// Why it does not.
        reason: String,
    },
    /// The supervisor lives. Said each second.
    Pulse,
    /// The supervisor goes on as another binary and will be back in a moment: nobody needs to take its place.
    Renewing,
    /// How are the components?
    Status,
    /// That is how they are.
    Components {
        /// Every component.
        components: Vec<ComponentReport>,
        /// The supervisor itself; none from one of an earlier version.
        #[serde(default)]
        supervisor: Option<SupervisorReport>,
    },
    /// Run these components from now on; all that were not stopped by name if none is named.
    Start {
        /// Their names.
        components: Vec<String>,
    },
    /// Stop these components, and let them be.
    Stop {
        /// Their names.
        components: Vec<String>,
    },
    /// Stop this component and start it again.
    Restart {
        /// Its name.
        component: String,
    },
    /// Go on as this binary, and leave the components as they are.
    Renew {
        /// Its path.
        program: PathBuf,
    },
    /// Let go of a component whose directory is about to be deleted; it does not run any more.
    Forget {
        /// Its name.
        component: String,
    },
    /// Stop all components, then end.
    Shutdown,
    /// It is under way.
    Done,
    /// It can't be done.
    Refused {
        /// Why.
        reason: String,
    },
}

/// How a component is, as the supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComponentReport {
    /// Its name.
    pub(crate) name: String,
    /// Its role.
    pub(crate) role: Role,
    /// Its process id while it runs.
    pub(crate) pid: Option<u32>,
    /// `starting`, `running`, `not-ready`, `draining`, `restarting` or `stopped`.
    pub(crate) state: String,
    /// Whether it is to run.
    pub(crate) wanted: bool,
    /// Whether it takes work.
    pub(crate) ready: bool,
    /// Why it does not.
    pub(crate) reason: String,
    /// The version of its binary while it runs.
    pub(crate) version: String,
    /// Where clients reach it.
    pub(crate) address: Option<String>,
    /// Its control address.
    pub(crate) control_address: Option<String>,
    /// How long it runs.
    pub(crate) uptime_seconds: Option<u64>,
    /// Its resident memory.
    pub(crate) memory_bytes: Option<u64>,
    /// The file that it runs.
    #[serde(default)]
    pub(crate) binary: Option<Binary>,
}

impl ComponentReport {
    /// Whether it is as it is meant to be: it takes work, or would if an operator had not set it aside.
    pub(crate) fn is_as_meant(&self) -> bool {
        self.ready || tenon_server::is_set_aside(&self.reason)
    }
}

/// The supervisor, as it sees itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SupervisorReport {
    /// Its process id, which stays when it goes on as another binary.
    pub(crate) pid: u32,
    /// This life of it.
    pub(crate) life: String,
    /// The version of its binary.
    pub(crate) version: String,
    /// The file that it runs.
    pub(crate) binary: Option<Binary>,
}

/// A listening supervisor socket.
#[derive(Debug)]
pub(crate) struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Binds the socket, in place of a stale one. The caller holds the supervisor's lock.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<Self> {
        crate::environment::locks::remove_if_there(path)?;
        let bind = || {
            let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            rustix::net::listen(&socket, BACKLOG)?;
            watch(socket)
        };
        let socket = bind().map_err(|error| anyhow::anyhow!("can't listen on {}: {error}", path.display()))?;
        Ok(Self(socket))
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Link> {
        loop {
            let mut guard = self.0.readable().await?;
            let accepted = guard.try_io(|socket| {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                Ok(rustix::net::accept_with(socket.get_ref(), flags)?)
            });
            if let Ok(accepted) = accepted {
                return Link::new(accepted?);
            }
        }
    }
}

/// A connection of a component or of the command line, without blocking.
#[derive(Debug)]
pub(crate) struct Link(AsyncFd<OwnedFd>);

impl Link {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(watch(socket)?))
    }

    /// Connects to the supervisor.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::new(socket)
    }

    /// Sends a packet, or fails at once if the other side does not read.
    pub(crate) fn send(&self, message: &Message, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.0.get_ref().as_fd(), message, sockets)
    }

    /// The next packet; none when the other side is gone.
    pub(crate) async fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        loop {
            let mut guard = self.0.readable().await?;
            if let Ok(received) = guard.try_io(|socket| receive(socket.get_ref().as_fd())) {
                return received;
            }
        }
    }
}

/// A connection of the command line, which waits for each answer.
#[derive(Debug)]
pub(crate) struct Caller(OwnedFd);

impl Caller {
    /// Connects to the supervisor; each answer may take so long.
    pub(crate) fn connect(path: &Path, timeout: Duration) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::CLOEXEC)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(timeout))?;
        set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, message: &Message) -> io::Result<Message> {
        send(self.0.as_fd(), message, &[])?;
        loop {
            match receive(self.0.as_fd())? {
                Some((Message::Pulse, _)) => {}
                Some((answer, _)) => return Ok(answer),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// The names of sockets and the sockets, as a packet takes them.
pub(crate) fn split(sockets: &Sockets) -> (Vec<String>, Vec<BorrowedFd<'_>>) {
    sockets
        .iter()
        .map(|(name, socket)| (name.clone(), socket.as_fd()))
        .unzip()
}

fn new_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn send(socket: BorrowedFd<'_>, message: &Message, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = serde_json::to_vec(message).expect("a message is plain data and always serialises");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("more sockets than a packet carries"));
    }
    let packet = [IoSlice::new(&packet)];
    rustix::net::sendmsg(socket, &packet, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut packet = vec![0_u8; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut sockets = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = part {
            sockets.extend(passed);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a packet is longer than it may be"));
    }
    let message = serde_json::from_slice(&packet[..received.bytes])
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, sockets)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listening_socket_travels_with_its_packet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("supervisor.sock");
        let listener = Listener::bind(&path).unwrap();
        let component = Link::connect(&path).unwrap();
        let supervisor = listener.accept().await.unwrap();

        let public = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = public.local_addr().unwrap();
        let sockets = Sockets::from([("http".to_owned(), OwnedFd::from(public))]);
        let (names, fds) = split(&sockets);
        let welcome = Message::Welcome { pid: 1, sockets: names };
        supervisor.send(&welcome, &fds).unwrap();
        drop(sockets);

        let (message, mut passed) = component.receive().await.unwrap().unwrap();
        assert_eq!(message, welcome);
        let public = TcpListener::from(passed.remove(0));
        assert_eq!(public.local_addr().unwrap(), address);
        std::net::TcpStream::connect(address).unwrap();
        public.accept().unwrap();

        drop(supervisor);
        assert!(component.receive().await.unwrap().is_none());
    }
}
