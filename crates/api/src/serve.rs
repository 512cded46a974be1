//! The listener: HTTP/1.1 over connections that have limits. A client that sends slowly, or nothing, is cut off; the others do not
//! notice it.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::ServiceExt;

use crate::Api;

/// Connections of one process.
const CONNECTIONS: usize = 2048;
/// How long the head of a request may take; also how long a connection may rest between two.
const HEAD: Duration = Duration::from_secs(15);
/// The longest head.
const HEAD_BYTES: usize = 32 * 1024;
/// Headers of a request.
const HEADERS: usize = 100;
/// How long a client may take nothing of what is sent to it.
const STALLED: Duration = Duration::from_secs(30);
/// The wait before the next try when the system gives no connection out.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop`; what is in flight then has `grace` to end.
pub async fn serve(api: &Api, listener: TcpListener, stop: impl Future<Output = ()> + Send, grace: Duration) -> io::Result<()> {
    let (router, open, places) = (api.router(), GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            // Whoever takes nothing of an answer for so long is cut off, too.
            set_tcp_user_timeout(&stream, STALLED.as_millis() as u32)?;
            Ok::<_, io::Error>((place, stream, peer))
        };
        let (place, stream, peer) = tokio::select! {
            accepted = next => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection was taken; trying again");
                    sleep(AGAIN).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let connection = open.watch(connection(&router, stream, peer));
        tokio::spawn(async move {
            // A client that went away, or was cut off.
            let _ = connection.await;
            drop(place);
        });
    }
    api.stopping.cancel();
    drop(listener);
    let _ = timeout(grace, open.shutdown()).await;
    Ok(())
}

fn connection(
    router: &Router,
    stream: TcpStream,
    peer: SocketAddr,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::Service<hyper::Request<Incoming>, Response = axum::response::Response, Error = Infallible, Future: Send> + use<>,
> {
    let router = router.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    http.serve_connection(TokioIo::new(stream), service)
}
