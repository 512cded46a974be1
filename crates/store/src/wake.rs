//! Waking workers when something is due now: in the process itself, over `LISTEN/NOTIFY`, and by a datagram from the CLI.
//!
//! A wake is only a hint; a poll stands behind it, so a lost one costs a second.

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use crate::{Queue, Result, Store, StoreError};

/// One alarm a queue.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    alarms: Arc<[Notify; Queue::ALL.len()]>,
    /// The socket of the daemon on this SQLite file, for a process that is not the daemon.
    poke: Option<Arc<Path>>,
}

impl Wakes {
    pub(crate) fn poking(socket: PathBuf) -> Self {
        Self { alarms: Arc::default(), poke: Some(socket.into()) }
    }

    /// Wakes this process's workers of `queue`, and the daemon's when this is the CLI.
    pub fn ring(&self, queue: Queue) {
        self.alarms[queue as usize].notify_one();
        if let (Some(path), Ok(socket)) = (&self.poke, UnixDatagram::unbound())
            // Never waits: the daemon rings, too, and a full socket is one that is about to be read by the very thread that would wait.
            && socket.set_nonblocking(true).is_ok()
        {
            // Nobody may be listening, or too many wakes stand in line; the daemon's poll finds the row then.
            let _ = socket.send_to(queue.as_str().as_bytes(), path);
        }
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
            Queue::ALL.iter().filter(|q| q.channel() == note.channel()).for_each(|q| self.wakes().ring(*q));
        }
    }

    async fn listen_socket(&self) -> Result<()> {
        let Some(path) = self.socket_path() else { return std::future::pending().await };
        let io = |e: std::io::Error| StoreError::Broken(format!("wake socket {}: {e}", path.display()));
        // Left over from a daemon that was killed; the file lock says that none is alive.
        let _ = std::fs::remove_file(&path);
        let socket = tokio::net::UnixDatagram::bind(&path).map_err(io)?;
        let mut buffer = [0; 32];
        loop {
            let len = socket.recv(&mut buffer).await.map_err(io)?;
            if let Some(queue) = std::str::from_utf8(&buffer[..len]).ok().and_then(|name| name.parse().ok()) {
                self.wakes().ring(queue);
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
}
