//! The UDP socket toward trunks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::{Event, Wires};

/// What the system may hold for us while we are busy.
const BUFFER: usize = 4 * 1024 * 1024;
/// The longest datagram there is.
const LONGEST: usize = 65_535;

/// The socket that datagrams leave and come in by.
#[derive(Clone, Debug)]
pub struct Datagrams {
    socket: Arc<UdpSocket>,
}

impl Datagrams {
    /// Takes a bound socket.
    pub fn new(socket: UdpSocket) -> Self {
        let options = socket2::SockRef::from(&socket);
        // A smaller buffer works as well.
        let _ = options.set_recv_buffer_size(BUFFER);
        let _ = options.set_send_buffer_size(BUFFER);
        Self { socket: Arc::new(socket) }
    }

    /// Sends at once. What the system cannot take is lost, as datagrams are; SIP repeats it.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.try_send_to(bytes, to).map(drop)
    }

    /// Reads until the edge is gone.
    pub async fn read(self, wires: Wires) {
        let mut buffer = vec![0; LONGEST];
        loop {
            let (length, peer) = tokio::select! {
                () = wires.gone.cancelled() => return,
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok(received) => received,
                    // What a peer's machine refused is told here; the next datagram may be a good one.
                    Err(_) => continue,
                },
            };
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if wires.events.send(Event::Datagram(peer, bytes)).await.is_err() {
                return;
            }
        }
    }
}
