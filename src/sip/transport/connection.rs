//! One open connection: reads what comes, writes what is queued, and tells when it is gone.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Event, Patience, READ, Wires};
use crate::sip::core::{Link, Packet};

/// Packets that may wait for a slow peer; one that takes less is cut off. More than the driver makes of all that it
/// takes at once, so that no burst of a peer who reads is taken for slowness.
const QUEUE: usize = 4096;
/// Packets that are written at once.
const AT_ONCE: usize = 256;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often TCP asks whether a silent peer is there, before it gives up.
const KEEP_ALIVE_REPEAT: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TRIES: u32 = 4;

/// What a connection is told.
#[derive(Debug)]
pub enum Command {
    /// Write this.
    Send(Packet),
    /// Write what was told before, then close.
    Close,
}

/// The way to an open connection; it closes when the last writer is dropped.
#[derive(Clone, Debug)]
pub struct Writer {
    commands: mpsc::Sender<Command>,
    cut: CancellationToken,
}

impl Writer {
    /// Queues a command. A peer that takes nothing is cut off instead of being waited for.
    pub fn tell(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            self.cut.cancel();
        }
    }
}

/// Runs a connection to its end.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, link: Link, wires: &Wires) {
    let (commands, queue) = mpsc::channel(QUEUE);
    let (conn, cut) = (link.conn, wires.cut.child_token());
    let writer = Writer { commands, cut: cut.clone() };
    if wires.events.send(Event::Opened(Box::new(link), writer)).await.is_err() {
        return;
    }
    let patience = wires.patience.write;
    let mut connection = Connection { stream: &mut stream, queue, batch: Vec::new(), patience };
    let ended = async {
        loop {
            match connection.turn().await {
                Turn::Read(bytes) => {
                    if wires.events.send(Event::Received(conn, bytes)).await.is_err() {
                        return;
                    }
                }
                Turn::Written => {}
                Turn::Over => return,
            }
        }
    };
    tokio::select! {
        () = ended => {}
        () = cut.cancelled() => {}
    }
    // The driver may be gone.
    let _ = wires.events.send(Event::Closed(conn)).await;
}

/// No delay, and a peer that vanished without a word is found out.
pub fn prepare(stream: &TcpStream, patience: &Patience) {
    let keep_alive = socket2::TcpKeepalive::new()
        .with_time(patience.keep_alive)
        .with_interval(KEEP_ALIVE_REPEAT)
        .with_retries(KEEP_ALIVE_TRIES);
    // A connection without them works as well.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keep_alive);
}

struct Connection<'s, S> {
    stream: &'s mut S,
    queue: mpsc::Receiver<Command>,
    batch: Vec<Command>,
    /// How long one write may take.
    patience: Duration,
}

enum Turn {
    Read(Vec<u8>),
    Written,
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn turn(&mut self) -> Turn {
        let mut bytes = Vec::with_capacity(READ);
        tokio::select! {
            biased;
            count = self.queue.recv_many(&mut self.batch, AT_ONCE) => {
                if count > 0 && self.write().await { Turn::Written } else { Turn::Over }
            }
            read = self.stream.read_buf(&mut bytes) => match read {
                Ok(count) if count > 0 => Turn::Read(bytes),
                Ok(_) | Err(_) => Turn::Over,
            },
        }
    }

    /// Writes what is queued; `false` = the connection is over.
    async fn write(&mut self) -> bool {
        let closing = self.batch.iter().position(|command| matches!(command, Command::Close));
        self.batch.truncate(closing.unwrap_or(self.batch.len()));
        let packets: Vec<Packet> = self
            .batch
            .drain(..)
            .filter_map(|command| if let Command::Send(packet) = command { Some(packet) } else { None })
            .collect();
        let written = async {
            match packets.as_slice() {
                [one] => self.stream.write_all(one).await?,
                // One record of TLS and one segment for what waits together.
                several => self.stream.write_all(&several.concat()).await?,
            }
            self.stream.flush().await
        };
        if !matches!(tokio::time::timeout(self.patience, written).await, Ok(Ok(()))) {
            return false;
        }
        if closing.is_some() {
            // It is over whether the peer heard it or not.
            let _ = tokio::time::timeout(GOODBYE, self.stream.shutdown()).await;
        }
        closing.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tcp_asks_by_itself_whether_a_silent_peer_is_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream, &Patience::default());
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(45));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEP_ALIVE_REPEAT);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEP_ALIVE_TRIES);
    }
}
