//! Connections to the load balancer, new ones and those between two requests.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::kind::{Pace, Via};
use super::multiplexed::Multiplexed;
use super::request::Request;
use super::stream::{Stream, connector};
use super::verdict::{Seen, Sent};
use super::wire::{Connection, Exchanged, connect_tcp};

/// Connections of one kind that are kept at most; each gets its turn, so that all of them are in use all the time.
const IDLE_MAX: usize = 32;

/// Connections of all kinds.
pub(super) struct Pool {
    http_port: u16,
    https_port: u16,
    tls: TlsConnector,
    multiplexed: Multiplexed,
    plain: Mutex<VecDeque<Connection>>,
    secure: Mutex<VecDeque<Connection>>,
}

/// Why there is no connection.
enum NoConnection {
    NotTaken(io::Error),
    /// It was taken and ended before a request could be sent.
    Ended(io::Error),
}

impl Pool {
    /// Connections to these ports; that for HTTPS may be missing if nobody asks for it.
    pub(super) fn new(http_port: u16, https_port: Option<u16>) -> Result<Self, rustls::Error> {
        let https_port = https_port.unwrap_or_default();
        Ok(Self {
            http_port,
            https_port,
            tls: connector(&[b"http/1.1"])?,
            multiplexed: Multiplexed::new(https_port)?,
            plain: Mutex::default(),
            secure: Mutex::default(),
        })
    }

    /// Sends a request on a connection as its kind wants it.
    pub(super) async fn exchange(&self, via: Via, request: &Request) -> Exchanged {
        if via == Via::H2 {
            return self.multiplexed.exchange(request).await;
        }
        let shape = request.kind.shape();
        let kept = if shape.keeps && shape.pace != Pace::Reading {
            self.take(via)
        } else {
            None
        };
        let connection = match kept {
            Some(connection) => Ok(connection),
            None => self.connect(via, shape.pace == Pace::Reading).await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(NoConnection::NotTaken(error)) => return nothing(Seen::NotConnected(error.to_string())),
            Err(NoConnection::Ended(error)) => return nothing(Seen::Lost(Sent::Nothing, error.to_string())),
        };
        let exchanged = connection.exchange(request).await;
        if exchanged.reusable && shape.keeps && shape.pace != Pace::Reading {
            let mut idle = self.idle(via).lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push_back(connection);
            }
        }
        exchanged
    }

    fn idle(&self, via: Via) -> &Mutex<VecDeque<Connection>> {
        match via {
            Via::Http => &self.plain,
            Via::Https | Via::H2 => &self.secure,
        }
    }

    fn take(&self, via: Via) -> Option<Connection> {
        let mut idle = self.idle(via).lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = idle.pop_front()?;
            if connection.is_open() {
                return Some(connection);
            }
        }
    }

    async fn connect(&self, via: Via, reads_slowly: bool) -> Result<Connection, NoConnection> {
        let port = if via == Via::Http {
            self.http_port
        } else {
            self.https_port
        };
        let tcp = connect_tcp(port, reads_slowly).await.map_err(NoConnection::NotTaken)?;
        if via == Via::Http {
            return Ok(Connection::new(Stream::Plain(tcp)));
        }
        let name = ServerName::try_from("localhost").map_err(|error| NoConnection::Ended(io::Error::other(error)))?;
        let secure = self.tls.connect(name, tcp).await.map_err(NoConnection::Ended)?;
        Ok(Connection::new(Stream::Secure(Box::new(secure))))
    }
}

fn nothing(seen: Seen) -> Exchanged {
    Exchanged {
        seen,
        cid: String::new(),
        reusable: false,
    }
}
