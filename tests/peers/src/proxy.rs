//! The network between a worker and its database: while it is closed, connections end and new ones are refused.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = watch::Sender::new(true);
        let sky = open.clone();
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let mut sky = sky.subscribe();
                if !*sky.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut outside) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    tokio::select! {
                        ended = copy_bidirectional(&mut inside, &mut outside) => drop(ended),
                        closed = sky.wait_for(|open| !open) => drop(closed),
                    }
                });
            }
        });
        Self { port, open }
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}
