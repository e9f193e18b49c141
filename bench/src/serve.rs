//! The servers that are measured: the gateway, a bare echo, and an echo that does what no gateway can leave out.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tollgate_gateway::gateway::{Gateway, StartOptions};
use tollgate_protocol::mac::FrameMac;

use crate::floor::{Records, read_spinning, work, write_spinning};
use crate::subject::{SECRET, settings};
use crate::{Class, Idle, Mac, cores, order_floor};

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Server {
    /// The gateway.
    Gateway,
    /// Reads a request, writes an answer.
    Echo,
    /// The same with the MAC checked, an answer signed, and a record copied.
    Floor,
    /// Echo for many requests at once: reads what there is, answers all of it with one write.
    EchoMany,
    /// The same with the floor's work for every request.
    FloorMany,
    /// The same with an order's whole way: to a venue's thread, and back as two reports.
    FloorOrders,
}

/// How to serve.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    server: Server,
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    #[arg(long, default_value_t = 0)]
    request_bytes: usize,
    #[arg(long, default_value_t = 0)]
    answer_bytes: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

/// Serves until the client's end of standard input closes.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    match options.server {
        Server::Gateway => gateway(options),
        Server::Echo | Server::Floor => echo(options).map(|()| true).map_err(|error| error.to_string()),
        Server::EchoMany | Server::FloorMany => {
            echo_many(options).map(|()| true).map_err(|error| error.to_string())
        }
        Server::FloorOrders => {
            let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
            let served = order_floor::serve(options.connections, options.request_bytes, &mac);
            served.map(|()| true).map_err(|error| error.to_string())
        }
    }
}

fn gateway(options: &Options) -> Result<bool, String> {
    // Every thread inherits this; the hot one then pins itself to its own core.
    cores::pin(cores::client())?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut settings = settings(directory.path(), options.durability)?;
    settings.hot.idle = options.idle.strategy();
    let gateway = Gateway::start(settings, StartOptions::default()).map_err(|error| error.to_string())?;
    while gateway.metrics().venues[0].state.get() != 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{} {}", gateway.address(), gateway.side_address());
    // Until whoever started this closes the other end.
    let _ = io::stdin().read(&mut [0]);
    gateway.stop().map_err(|error| error.to_string())?;
    Ok(true)
}

fn echo(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{0} {0}", listener.local_addr()?);
    cores::pin(cores::server()).map_err(io::Error::other)?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut request = vec![0; options.request_bytes];
    let mut answer = vec![0; options.answer_bytes];
    let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
    let mut records = Records::new();
    while read_spinning(&mut stream, &mut request)? {
        if options.server == Server::Floor {
            let (request_bytes, answer_bytes) = (request.len(), answer.len());
            work(&mac, (&request, request_bytes), (&mut answer, answer_bytes), &mut records);
        }
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// Serves every connection in turn without ever sleeping, until all are gone.
fn echo_many(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{0} {0}", listener.local_addr()?);
    cores::pin(cores::server()).map_err(io::Error::other)?;
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        let stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push((stream, vec![0; 1 << 16], 0));
    }
    let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
    let mut records = Records::new();
    let (request_bytes, answer_bytes) = (options.request_bytes, options.answer_bytes);
    let mut answers = Vec::with_capacity(1 << 18);
    while !streams.is_empty() {
        let mut closed = None;
        for (number, (stream, buffer, end)) in streams.iter_mut().enumerate() {
            match stream.read(&mut buffer[*end..]) {
                Ok(0) => closed = Some(number),
                Ok(length) => *end += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => closed = Some(number),
            }
            let count = *end / request_bytes;
            let whole = count * request_bytes;
            answers.resize(count * answer_bytes, 0);
            if options.server == Server::FloorMany {
                work(&mac, (&buffer[..whole], request_bytes), (&mut answers, answer_bytes), &mut records);
            }
            buffer.copy_within(whole..*end, 0);
            *end -= whole;
            write_spinning(stream, &answers)?;
        }
        if let Some(number) = closed {
            streams.swap_remove(number);
        }
    }
    Ok(())
}
