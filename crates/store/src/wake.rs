//! Waking workers when something is due now: in the process itself, over `LISTEN/NOTIFY`, and by a datagram from the CLI.
//!
//! A wake is only a hint; a poll stands behind it, so a lost one costs a second.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use crate::{Queue, Result, Store, StoreError};

/// One alarm a queue.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    alarms: Arc<[Notify; Queue::ALL.len()]>,
    poke: Option<Arc<Poke>>,
}

/// How the daemon on a SQLite file is woken by other processes.
#[derive(Debug)]
struct Poke {
    socket: PathBuf,
    /// This process is that daemon, and would poke itself.
    is_us: AtomicBool,
}

impl Wakes {
    pub(crate) fn poking(socket: PathBuf) -> Self {
        Self { alarms: Arc::default(), poke: Some(Arc::new(Poke { socket, is_us: AtomicBool::new(false) })) }
    }

    /// Wakes this process's workers of `queue`, and the daemon's when this is the CLI.
    pub fn ring(&self, queue: Queue) {
        self.ring_here(queue);
        if let Some(poke) = self.poke.as_ref().filter(|p| !p.is_us.load(Relaxed))
            && let Ok(socket) = UnixDatagram::unbound()
            // Never waits: what stands in line is read by a daemon that may be busy with a write of ours.
            && socket.set_nonblocking(true).is_ok()
        {
            // Nobody may be listening, or too many wakes stand in line; the daemon's poll finds the row then.
            let _ = socket.send_to(queue.as_str().as_bytes(), &poke.socket);
        }
    }

    fn ring_here(&self, queue: Queue) {
        self.alarms[queue as usize].notify_one();
    }

    /// Waits until `queue` is rung; a ring that came before is not lost.
    pub async fn rung(&self, queue: Queue) {
        self.alarms[queue as usize].notified().await;
    }
}

impl Store {
    /// Passes on the wakes of other processes until the future is dropped. Ends only with an error.
    pub async fn listen(&self) -> Result<()> {
        match self.listen_url() {
            Some(url) => self.listen_postgres(url).await,
            None => self.listen_socket().await,
        }
    }

    async fn listen_postgres(&self, url: &str) -> Result<()> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen_all(Queue::ALL.iter().map(|q| q.channel())).await?;
        loop {
            let note = listener.recv().await?;
            Queue::ALL.iter().filter(|q| q.channel() == note.channel()).for_each(|q| self.wakes().ring_here(*q));
        }
    }

    async fn listen_socket(&self) -> Result<()> {
        let Some(Poke { socket: path, is_us }) = self.wakes().poke.as_deref() else { return std::future::pending().await };
        let io = |e: std::io::Error| StoreError::Broken(format!("wake socket {}: {e}", path.display()));
        // Left over from a daemon that was killed; the file lock says that none is alive.
        let _ = std::fs::remove_file(path);
        let socket = tokio::net::UnixDatagram::bind(path).map_err(io)?;
        is_us.store(true, Relaxed);
        let mut buffer = [0; 32];
        loop {
            let len = socket.recv(&mut buffer).await.map_err(io)?;
            if let Some(queue) = std::str::from_utf8(&buffer[..len]).ok().and_then(|name| name.parse().ok()) {
                self.wakes().ring_here(queue);
            }
        }
    }

    /// Keeps [`Store::listen`] going for ever, through outages.
    pub async fn keep_listening(&self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(%error, "listening for wakes failed; polling meanwhile");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ringing_never_waits_for_a_daemon_that_does_not_listen() {
        let path = std::env::temp_dir().join(format!("leasehold-wake-{}", std::process::id()));
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let wakes = Wakes::poking(path.clone());
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            (0..1000).for_each(|_| wakes.ring(Queue::Servers));
            done.send(()).unwrap();
        });
        let rang = ended.recv_timeout(Duration::from_secs(20));
        std::fs::remove_file(path).unwrap();
        assert!(rang.is_ok(), "a thousand wakes do not fit, and one that waits stops its thread");
    }

    #[tokio::test]
    async fn the_daemon_does_not_poke_itself() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(crate::Options::new(format!("sqlite:{}", dir.path().join("l.db").display()))).await.unwrap();
        let Some(poke) = store.wakes().poke.clone() else { panic!("a file has a socket") };
        let listening = tokio::spawn({
            let store = store.clone();
            async move { store.listen().await }
        });
        while !poke.is_us.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        listening.abort();
        let _ = listening.await;
        std::fs::remove_file(&poke.socket).unwrap();
        let outside = UnixDatagram::bind(&poke.socket).unwrap();
        outside.set_nonblocking(true).unwrap();
        store.wakes().ring(Queue::Servers);
        store.wakes().rung(Queue::Servers).await;
        assert!(outside.recv(&mut [0; 32]).is_err(), "a wake that comes back wakes again, for ever");
    }
}
