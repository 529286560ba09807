//! The UDP socket toward trunks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

/// What the system may hold for us while we are busy.
const BUFFER: usize = 4 * 1024 * 1024;
/// The longest datagram there is.
pub const LONGEST: usize = 65_535;
/// Faults that are read over at once.
const FAULTS: usize = 64;

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

    /// Waits until there may be something to read.
    pub async fn readable(&self) {
        // A fault of the socket is told by the read.
        let _ = self.socket.readable().await;
    }

    /// What has come, if anything; never waits.
    pub fn read(&self, buffer: &mut [u8]) -> Option<(SocketAddr, Vec<u8>)> {
        for _ in 0..FAULTS {
            match self.socket.try_recv_from(buffer) {
                Ok((length, peer)) => return Some((peer, buffer.get(..length)?.to_vec())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // What a peer's machine refused is told here; the next datagram may be a good one.
                Err(_) => {}
            }
        }
        None
    }
}
