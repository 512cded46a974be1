//! A real mail server: aiosmtpd in a process of its own.

use std::{path::Path, process::Command};

use crate::program::{Daemon, eventually};

/// Stores mail, and puts everybody off whose address begins with `later`.
const HANDLER: &str = r#"from aiosmtpd.handlers import Mailbox

class Store(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("later"):
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
"#;

/// Listens on this port of the loopback and stores what comes into the maildir `mailbox` below `dir`.
pub fn mail_server(dir: &Path, port: u16) -> Daemon {
    let aiosmtpd = std::env::var("LEASEHOLD_AIOSMTPD").expect("LEASEHOLD_AIOSMTPD is not set; a real SMTP server is never skipped: run scripts/test");
    let listen = format!("127.0.0.1:{port}");
    std::fs::write(dir.join("mail_handler.py"), HANDLER).unwrap();
    let mut command = Command::new(aiosmtpd);
    command.args(["-n", "-l", &listen, "-c", "mail_handler.Store"]).arg(dir.join("mailbox")).env("PYTHONPATH", dir);
    let server = Daemon::start(&mut command);
    eventually("the SMTP server answers", || std::net::TcpStream::connect(&listen).is_ok());
    server
}
