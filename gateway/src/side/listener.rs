//! Connections to the side port: few, short, and with little to say.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// The most connections at a time. One more, and the oldest is dropped: a probe always gets in.
const CONNECTIONS_MAX: usize = 64;
/// A connection on which nothing moves for so long is dropped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// No connection lives longer.
const LIFETIME: Duration = Duration::from_secs(300);
/// The most bytes that are taken from one connection: hundreds of requests.
const RECEIVED_BYTES_MAX: usize = 64 * 1024;
/// After a failure to accept: most often there is no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that keeps its connections within bounds.
pub(super) struct Bounded {
    listener: TcpListener,
    /// Drops each connection; oldest first.
    connections: VecDeque<oneshot::Sender<()>>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, connections: VecDeque::new() }
    }

    fn admit(&mut self, stream: TcpStream) -> Connection {
        self.connections.retain(|connection| !connection.is_closed());
        if self.connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.connections.pop_front()
        {
            // A connection that ended by itself needs no telling.
            let _ = oldest.send(());
        }
        let (sender, dropped) = oneshot::channel();
        self.connections.push_back(sender);
        Connection {
            stream,
            dropped,
            lifetime: Box::pin(tokio::time::sleep(LIFETIME)),
            idle: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)),
            left_bytes: RECEIVED_BYTES_MAX,
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (self.admit(stream), address),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection within bounds.
pub(super) struct Connection {
    stream: TcpStream,
    dropped: oneshot::Receiver<()>,
    lifetime: Pin<Box<Sleep>>,
    idle: Pin<Box<Sleep>>,
    left_bytes: usize,
}

impl Connection {
    /// An error once the connection must end; it will be asked again then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over = Pin::new(&mut self.dropped).poll(context).is_ready()
            || self.lifetime.as_mut().poll(context).is_ready()
            || self.idle.as_mut().poll(context).is_ready();
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = buffer.filled().len() - before;
        if received > 0 {
            self.left_bytes = self
                .left_bytes
                .checked_sub(received)
                .ok_or_else(|| io::Error::other("more was sent than one connection may"))?;
            self.moved();
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.moved();
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
