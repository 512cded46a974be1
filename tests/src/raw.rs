//! HTTP by hand, over a socket: for what no well-behaved client sends.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// What a server answered before it closed the connection.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// The status; 0 where nothing came.
    pub status: u16,
    /// All of the head, lower case.
    pub head: String,
    /// What followed it.
    pub body: String,
}

impl Raw {
    /// Reads what came.
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// A connection to a port of the loopback that gives up after a while.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(40))).unwrap();
    stream
}

/// Reads until the other side closes.
pub fn answer(stream: &mut TcpStream) -> Raw {
    let mut bytes = Vec::new();
    // It may close with a reset after its answer, when we had more to say.
    let _ = stream.read_to_end(&mut bytes);
    Raw::read(&String::from_utf8_lossy(&bytes))
}

/// Sends bytes and reads the answer.
pub fn send(port: u16, bytes: &[u8]) -> Raw {
    let mut stream = connect(port);
    // It may have answered and closed before all was sent.
    let _ = stream.write_all(bytes);
    answer(&mut stream)
}

/// A request as an ordinary client sends it.
pub fn request(port: u16, method: &str, path: &str, key: &str, headers: &[(&str, &str)], body: &str) -> Raw {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let auth = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{auth}{more}Content-Length: {}\r\n\r\n{body}", body.len());
    send(port, text.as_bytes())
}
