//! A mail server with moods. It remembers which messages it took.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use leasehold_domain::Dice;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    /// 451 at the recipient.
    Busy,
    /// 550 at the recipient.
    Refuses,
    /// 451 after the message.
    BusyAtEnd,
    /// Takes the message, and its answer never arrives.
    TakesAndDrops,
    /// Loses the message, and no answer comes.
    LosesAndDrops,
}

#[derive(Clone)]
pub(crate) struct Smtp {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    dice: Dice,
    stormy: bool,
    taken: BTreeMap<String, u64>,
}

impl State {
    fn mood(&self) -> Mood {
        match (self.stormy, self.dice.below(100)) {
            (true, 0..10) => Mood::Busy,
            (true, 10..12) => Mood::Refuses,
            (true, 12..16) => Mood::BusyAtEnd,
            (true, 16..18) => Mood::TakesAndDrops,
            (true, 18..20) => Mood::LosesAndDrops,
            _ => Mood::Takes,
        }
    }
}

impl Smtp {
    pub(crate) async fn start(dice: Dice) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let state = Arc::new(Mutex::new(State { dice, stormy: true, taken: BTreeMap::new() }));
        let smtp = Self { port: listener.local_addr().unwrap().port(), state };
        let server = smtp.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    // A client that hangs up ends its own conversation only.
                    let _ = server.talk(stream).await;
                });
            }
        });
        smtp
    }

    pub(crate) fn calm(&self) {
        self.state.lock().unwrap().stormy = false;
    }

    /// How often each message was taken, by its Message-ID.
    pub(crate) fn taken(&self) -> BTreeMap<String, u64> {
        self.state.lock().unwrap().taken.clone()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 stand-in\r\n").await?;
        let mut mood = Mood::Takes;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.split([' ', ':', '\r']).next().unwrap_or_default().to_ascii_uppercase();
            let answer: &[u8] = match verb.as_str() {
                "EHLO" | "HELO" => b"250 stand-in\r\n",
                "MAIL" => {
                    mood = self.state.lock().unwrap().mood();
                    b"250 ok\r\n"
                }
                "RCPT" if mood == Mood::Busy => b"451 come back later\r\n",
                "RCPT" if mood == Mood::Refuses => b"550 nobody lives here\r\n",
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let id = read_message(&mut stream).await?;
                    if matches!(mood, Mood::Takes | Mood::TakesAndDrops) {
                        *self.state.lock().unwrap().taken.entry(id).or_default() += 1;
                    }
                    match mood {
                        Mood::BusyAtEnd => b"451 come back later\r\n",
                        Mood::TakesAndDrops | Mood::LosesAndDrops => return Ok(()),
                        _ => b"250 taken\r\n",
                    }
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).await?;
        }
    }
}

/// Reads to the lone dot; answers the Message-ID.
async fn read_message(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut id = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(found) = line.strip_prefix("Message-ID: ") {
            found.trim().clone_into(&mut id);
        }
        if line == ".\r\n" {
            return Ok(id);
        }
    }
}
