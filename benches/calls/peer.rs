//! The role of the telephone system: answers every call by UDP at once, 180 and then 200.

use tokio::net::UdpSocket;

use crate::message::{header, lines_copied, sdp};

pub async fn run() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = socket2::SockRef::from(&socket);
    let _ = options.set_recv_buffer_size(8 * 1024 * 1024);
    let address = socket.local_addr().unwrap();
    println!("{address}");
    let body = sdp(42_000);
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        let copied = lines_copied(&text);
        let tag = header(&text, "Call-ID").unwrap_or_default().len();
        if text.starts_with("INVITE ") {
            let contact = format!("Contact: <sip:{address}>\r\n");
            let ringing = answer("180 Ringing", &copied, tag, &contact, "");
            socket.send_to(ringing.as_bytes(), from).await.unwrap();
            let answered = answer("200 OK", &copied, tag, &contact, &body);
            socket.send_to(answered.as_bytes(), from).await.unwrap();
        } else if text.starts_with("BYE ") {
            socket.send_to(answer("200 OK", &copied, tag, "", "").as_bytes(), from).await.unwrap();
        }
    }
}

fn answer(status: &str, copied: &str, tag: usize, contact: &str, body: &str) -> String {
    let copied = if copied.contains("To: ") && !to_is_tagged(copied) {
        let at = copied.find("To: ").unwrap();
        let end = at + copied[at..].find("\r\n").unwrap();
        format!("{};tag=p{tag}{}", &copied[..end], &copied[end..])
    } else {
        copied.to_owned()
    };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("SIP/2.0 {status}\r\n{copied}{contact}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn to_is_tagged(copied: &str) -> bool {
    copied.lines().any(|line| line.starts_with("To: ") && line.contains(";tag="))
}
