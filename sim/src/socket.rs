//! Connections in memory: they split and hold back bytes, end half-way, and break.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_core::{Readiness, Socket};

/// What lies between a client and the gateway.
#[derive(Debug)]
pub struct Pipe {
    /// Bytes that the client has sent and the gateway has not read.
    pub to_gateway: VecDeque<u8>,
    /// Bytes that the gateway has sent and the client has not read.
    pub to_client: VecDeque<u8>,
    /// The client will send no more.
    pub client_ended: bool,
    /// The gateway has let go of it.
    pub gateway_ended: bool,
    /// Nothing goes either way any more.
    pub is_broken: bool,
    /// Bytes that one read gives at most.
    pub read_bytes_max: usize,
    /// Bytes that one write takes at most.
    pub write_bytes_max: usize,
    /// Bytes that lie on the way to the client at most.
    pub room_bytes: usize,
}

/// A handle to a [`Pipe`]: client and gateway have one each.
#[derive(Clone, Debug)]
pub struct SharedPipe(Arc<Mutex<Pipe>>);

impl SharedPipe {
    /// A connection that stands, and hands bytes on as they come.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Pipe {
            to_gateway: VecDeque::new(),
            to_client: VecDeque::new(),
            client_ended: false,
            gateway_ended: false,
            is_broken: false,
            read_bytes_max: usize::MAX,
            write_bytes_max: usize::MAX,
            room_bytes: 1 << 16,
        })))
    }

    /// The pipe.
    pub fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a poll would say of the gateway's end.
    pub fn readiness(&self) -> Readiness {
        let pipe = self.lock();
        let closed = pipe.client_ended || pipe.is_broken;
        Readiness {
            readable: closed || !pipe.to_gateway.is_empty(),
            writable: pipe.to_client.len() < pipe.room_bytes,
            closed,
        }
    }

    /// True when both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for SharedPipe {
    fn default() -> Self {
        Self::new()
    }
}

/// The gateway's end of a connection.
#[derive(Debug)]
pub struct SimSocket(pub SharedPipe);

impl Socket for SimSocket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock();
        if pipe.is_broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if pipe.to_gateway.is_empty() {
            return if pipe.client_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let length = out.len().min(pipe.to_gateway.len()).min(pipe.read_bytes_max.max(1));
        for (place, byte) in out.iter_mut().zip(pipe.to_gateway.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock();
        if pipe.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = pipe.room_bytes.saturating_sub(pipe.to_client.len());
        let length = bytes.len().min(room).min(pipe.write_bytes_max.max(1));
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.to_client.extend(&bytes[..length]);
        Ok(length)
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.0.lock().gateway_ended = true;
    }
}
