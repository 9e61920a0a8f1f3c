//! The worker's process: its arguments, the socket that it inherits, the pipe whose end tells that its server is gone.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use rustix::fs::FileType;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tenon_protocol::worker::WORKER_FD_VARIABLE;

/// What the server says on the command line. What a later server may say besides is not for this worker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) root: Option<PathBuf>,
    pub(crate) body_bytes_max: Option<usize>,
    pub(crate) describe: bool,
}

impl Options {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--root") => options.root = arguments.next().map(PathBuf::from),
                Some("--body-limit") => {
                    let value = arguments.next().unwrap_or_default();
                    let bytes = value.to_str().and_then(|text| text.parse().ok());
                    options.body_bytes_max = Some(bytes.ok_or("--body-limit: a number of bytes")?);
                }
                Some("--describe") => options.describe = true,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// The socket to the server; none if this process was started by hand.
pub(crate) fn inherited_socket() -> Result<Option<UnixStream>, String> {
    let Some(value) = std::env::var_os(WORKER_FD_VARIABLE) else {
        return Ok(None);
    };
    let wrong = |why: String| format!("{WORKER_FD_VARIABLE} has to be the number of the socket to the server: {why}");
    let number: RawFd = value
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wrong(value.display().to_string()))?;
    if number <= 2 {
        return Err(wrong(format!("{number} is a standard stream")));
    }
    let owned = adopt(number).map_err(|error| wrong(error.to_string()))?;
    let socket = UnixStream::from(owned);
    socket.set_nonblocking(true).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(socket))
}

/// Makes an inherited descriptor one of ours, closed in programs that a service starts: the process sends it to itself, which
/// gives a new one whose owner is known, and closes the old one.
fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;

    let (here, there) = UnixStream::pair()?;
    let descriptors = [number];
    let control = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<UnixAddr>(
        here.as_raw_fd(),
        &[IoSlice::new(b"s")],
        &control,
        MsgFlags::empty(),
        None,
    )?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(
        &there,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let received = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    nix::unistd::close(number)?;
    received.ok_or_else(|| io::Error::other("it can't be taken over"))
}

/// Ends the process when the server does: standard input is a pipe that it holds open.
pub(crate) fn watch_owner() -> io::Result<()> {
    let status = rustix::fs::fstat(rustix::stdio::stdin())?;
    if !matches!(
        FileType::from_raw_mode(status.st_mode),
        FileType::Fifo | FileType::Socket
    ) {
        return Ok(());
    }
    let owner = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    // Programs that a service starts have nothing to read, and don't hold the pipe.
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let mut owner = std::fs::File::from(owner);
    std::thread::Builder::new()
        .name("tenon-owner".to_owned())
        .spawn(move || {
            let mut bytes = [0_u8; 64];
            while matches!(owner.read(&mut bytes), Ok(count) if count > 0) {}
            leave(0);
        })?;
    Ok(())
}

/// Ends the process from any thread, whatever the others do.
#[expect(clippy::exit, reason = "the server is gone, and a handler may never come back")]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_later_servers_are_passed_over() {
        let options =
            Options::parse(["--later", "--root", "/a", "--group", "g", "--body-limit", "9"].map(OsString::from));
        let expected = Options {
            root: Some("/a".into()),
            body_bytes_max: Some(9),
            describe: false,
        };
        assert_eq!(options, Ok(expected));
        assert!(Options::parse(["--body-limit", "x"].map(OsString::from)).is_err());
    }

    #[test]
    fn a_descriptor_taken_over_is_the_same_socket() {
        use std::io::Write;
        use std::os::fd::IntoRawFd;

        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut adopted = UnixStream::from(adopt(theirs.into_raw_fd()).unwrap());
        ours.write_all(b"x").unwrap();
        let mut byte = [0_u8; 1];
        adopted.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        drop(adopted);
        // No other descriptor holds it open.
        assert_eq!(ours.read(&mut byte).unwrap(), 0);
    }
}
