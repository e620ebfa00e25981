//! HTTP over loopback sockets, both sides: one request a connection.

use std::io;
use std::sync::Arc;

use exchange_core::http::{
    After, CONTINUE, ClientCodec, ClientEvent, FetchReply, FetchRequest, Limits, Request, Response,
    ServerCodec, ServerEvent, Trust, encode_request,
};
use exchange_core::types::Url;
use exchange_smol::executor::{spawn, within};
use exchange_smol::tls::{ClientTls, ServerTls, Stream};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::lock::Semaphore;
use smol::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

/// Time for one request, on either side.
const PATIENCE_MILLIS: u64 = 10_000;
/// Connections at one time.
const CONNECTIONS_MAX: usize = 64;
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a refused client may take to notice.
const DRAIN_MILLIS: u64 = 1000;
const AGENT: &str = "talosctl-oidc-demo";

/// Answers one request; the certificates are the client's, its own first.
pub(crate) trait Answer: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: &Request, certificates: &[Vec<u8>]) -> Response;
}

/// A socket on loopback, on the given port or, with 0, a free one.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

/// Serves for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    service: Arc<impl Answer>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = room.acquire_arc().await;
        let Ok((tcp, _)) = listener.accept().await else {
            exchange_smol::clock::sleep(100).await;
            continue;
        };
        let (tls, service) = (tls.clone(), Arc::clone(&service));
        spawn(async move {
            // What a stranger does wrong ends its own connection only.
            let _ = within(PATIENCE_MILLIS, connection(tcp, tls, &*service)).await;
            drop(place);
        })
        .detach();
    }
}

async fn connection(
    tcp: TcpStream,
    tls: Option<Arc<ServerTls>>,
    service: &impl Answer,
) -> io::Result<()> {
    let mut stream = match tls {
        Some(tls) => {
            let mut below = tcp.clone();
            match tls.accept(tcp).await {
                Ok(stream) => stream,
                Err(error) => {
                    // Closing with unread bytes would reset the connection, and the client would
                    // perhaps not learn why it was refused.
                    let mut nowhere = smol::io::sink();
                    let _ = within(DRAIN_MILLIS, smol::io::copy(&mut below, &mut nowhere)).await;
                    return Err(error);
                }
            }
        }
        None => Stream::plain(tcp),
    };
    let certificates = stream.peer_certificates();
    let mut codec = ServerCodec::new(Limits::SERVER);
    codec.close_after_response();
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    loop {
        let response = match codec.poll() {
            ServerEvent::NeedBytes { .. } => {
                let count = read(&mut stream, &mut buffer, codec.wants_bytes()).await?;
                let bytes = buffer.get(..count).unwrap_or_default();
                if bytes.is_empty() || codec.receive(bytes) == 0 {
                    return Ok(());
                }
                continue;
            }
            ServerEvent::SendContinue => {
                stream.write_all(CONTINUE).await?;
                stream.flush().await?;
                continue;
            }
            ServerEvent::Request(request) => service.answer(&request, &certificates),
            ServerEvent::Refuse(refusal) => refusal.response(),
            ServerEvent::Answering | ServerEvent::Closed => return Ok(()),
        };
        let mut out = Zeroizing::new(Vec::new());
        let (After::Close | After::KeepAlive) = codec.respond(&response, &mut out);
        stream.write_all(&out).await?;
        return stream.close().await;
    }
}

/// What went wrong with a request, in words of this machine.
pub(crate) type Trouble = String;

/// A GET, or a POST of a form or of JSON.
pub(crate) async fn request(
    url: &Url,
    post: Option<(&'static str, &str)>,
    headers: &[(&'static str, &str)],
    tls: Option<&ClientTls>,
) -> Result<FetchReply, Trouble> {
    let order = FetchRequest {
        url: url.clone(),
        post: post.map(|(kind, body)| (kind, Zeroizing::new(body.as_bytes().to_vec()))),
        headers: headers
            .iter()
            .map(|(name, value)| (*name, Zeroizing::new((*value).to_owned())))
            .collect(),
        trust: Trust::Server,
        body_bytes_max: ANSWER_BYTES_MAX,
        timeout_millis: PATIENCE_MILLIS,
    };
    let late = || Err("no answer in time".to_owned());
    within(PATIENCE_MILLIS, attempt(&order, tls)).await.unwrap_or_else(late)
}

async fn attempt(order: &FetchRequest, tls: Option<&ClientTls>) -> Result<FetchReply, Trouble> {
    let mut out = Zeroizing::new(Vec::new());
    encode_request(order, AGENT, false, &mut out).map_err(|error| error.to_string())?;
    let url = &order.url;
    let tcp = TcpStream::connect((url.host(), url.port())).await.map_err(told)?;
    let mut stream = match tls {
        Some(tls) => tls.connect(url.host(), tcp).await.map_err(told)?,
        None => Stream::plain(tcp),
    };
    // The peer may refuse before it has read everything; what it says then comes by reading.
    if stream.write_all(&out).await.is_ok() {
        let _ = stream.flush().await;
    }
    let mut codec = ClientCodec::new(Limits::client(order.body_bytes_max), false);
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    loop {
        match codec.poll() {
            ClientEvent::Reply(reply) => return Ok(reply),
            ClientEvent::Failed(error) => return Err(error.to_string()),
            ClientEvent::Done => return Err("there is no answer".to_owned()),
            ClientEvent::NeedBytes => {
                let wanted = codec.wants_bytes();
                let count = read(&mut stream, &mut buffer, wanted).await.map_err(told)?;
                let bytes = buffer.get(..count).unwrap_or_default();
                if bytes.is_empty() {
                    codec.finish();
                } else if codec.receive(bytes) != count {
                    return Err("the answer is too large".to_owned());
                }
            }
        }
    }
}

/// Reads at most `wanted` bytes.
async fn read(stream: &mut Stream, buffer: &mut [u8], wanted: usize) -> io::Result<usize> {
    let room = wanted.min(buffer.len());
    stream.read(buffer.get_mut(..room).unwrap_or_default()).await
}

fn told(error: io::Error) -> Trouble {
    error.to_string()
}
