//! A worker inside this process, for what is timed: its handler can tell us the time without a detour.

use std::time::Duration;

use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::peer::{Handler, Peer, Worker};

const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Inside {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Inside {
    pub(crate) fn start<P: Peer>(url: &str, worker: Worker, handler: Handler) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let url = url.to_owned();
        let running = tokio::spawn(async move { P::work(&url, worker, handler, async move { drop(stopped.await) }).await });
        Self { stop, running }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        let abort = self.running.abort_handle();
        if timeout(GRACE, self.running).await.is_err() {
            abort.abort();
        }
    }
}
