//! The network between the processes and their database: it can be cut, and it can go silent.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Clone, Copy)]
struct Weather {
    /// Connections of an older generation end at once.
    generation: u64,
    /// Nothing gets through, and nobody is told.
    silent: bool,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    weather: Arc<watch::Sender<Weather>>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Arc::new(watch::Sender::new(Weather { generation: 0, silent: false }));
        let sky = Arc::clone(&weather);
        tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                // A refused connection is the database's to explain.
                if let Ok(outside) = TcpStream::connect(("127.0.0.1", target)).await {
                    let (from, to) = (inside.into_split(), outside.into_split());
                    tokio::spawn(carry(from.0, to.1, sky.subscribe()));
                    tokio::spawn(carry(to.0, from.1, sky.subscribe()));
                }
            }
        });
        Self { port, weather }
    }

    /// Every connection ends now.
    pub(crate) fn cut(&self) {
        self.weather.send_modify(|w| w.generation += 1);
    }

    pub(crate) fn silent(&self, silent: bool) {
        self.weather.send_modify(|w| w.silent = silent);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut sky: watch::Receiver<Weather>) {
    let born = sky.borrow().generation;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            gone = sky.wait_for(|w| w.generation != born) => {
                drop(gone);
                return;
            }
        };
        let Ok(len @ 1..) = read else { return };
        match sky.wait_for(|w| w.generation != born || !w.silent).await {
            Ok(weather) if weather.generation == born => {}
            _ => return,
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
