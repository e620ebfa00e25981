//! One outbound request: name, connection, proxy, TLS, answer; with caps on size and time.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use exchange_core::http::{
    ClientCodec, ClientEvent, ConnectCodec, ConnectEvent, FetchError, FetchReply, FetchRequest,
    Limits, Trust, encode_connect, encode_request,
};
use exchange_core::types::Url;
use smol::Timer;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use zeroize::Zeroizing;

use crate::executor::within;
use crate::proxy::{ProxySettings, Route};
use crate::tls::{ClientTls, Stream, fetch_error};

/// Head start of an address before the next one is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried at most.
const ADDRESSES_MAX: usize = 8;
/// Size of one read.
const READ_BYTES: usize = 8 * 1024;
/// For saying good-bye.
const CLOSE_MILLIS: u64 = 100;

/// Performs the requests that machines order.
#[derive(Clone)]
pub struct Fetcher {
    provider: ClientTls,
    server: ClientTls,
    proxies: ProxySettings,
    user_agent: String,
}

impl Fetcher {
    /// Requests under [`Trust::Provider`] use the first client, those under [`Trust::Server`] the
    /// second.
    #[must_use]
    pub fn new(
        provider: ClientTls,
        server: ClientTls,
        proxies: ProxySettings,
        user_agent: impl Into<String>,
    ) -> Self {
        Self { provider, server, proxies, user_agent: user_agent.into() }
    }

    /// The client of requests under [`Trust::Provider`].
    #[must_use]
    pub fn provider(&self) -> &ClientTls {
        &self.provider
    }

    /// Makes the request and reads the whole answer, of whatever status. Follows no redirect.
    ///
    /// # Errors
    /// [`FetchError`]; within the time the request allows, it comes in any case.
    pub async fn fetch(&self, request: FetchRequest) -> Result<FetchReply, FetchError> {
        let millis = request.timeout_millis;
        within(millis, self.attempt(request)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn attempt(&self, mut request: FetchRequest) -> Result<FetchReply, FetchError> {
        let route = self.proxies.route(&request.url);
        let mut in_full = false;
        let tcp = match route {
            Route::Direct => connect(request.url.host(), request.url.port()).await?,
            Route::Unusable => return Err(FetchError::Proxy),
            Route::Through(proxy) => {
                // That the proxy is not there must not look like the server being away.
                let tcp = connect(proxy.host(), proxy.port()).await;
                let mut tcp = tcp.map_err(|_| FetchError::Proxy)?;
                let authorization = proxy.authorization();
                if request.url.is_https() {
                    let authorization = authorization.map(|value| value.as_str());
                    self.tunnel(&mut tcp, &request.url, authorization).await?;
                } else {
                    in_full = true;
                    if let Some(value) = authorization {
                        request.headers.push(("proxy-authorization", value.clone()));
                    }
                }
                tcp
            }
        };
        let mut stream = if request.url.is_https() {
            let tls = match request.trust {
                Trust::Provider => &self.provider,
                Trust::Server => &self.server,
            };
            let connected = tls.connect(request.url.host(), tcp).await;
            connected.map_err(|error| fetch_error(&error))?
        } else {
            Stream::plain(tcp)
        };
        let mut out = Zeroizing::new(Vec::new());
        encode_request(&request, &self.user_agent, in_full, &mut out)?;
        let reply = exchange(&mut stream, &out, Limits::client(request.body_bytes_max)).await?;
        let _ = within(CLOSE_MILLIS, stream.close()).await;
        Ok(reply)
    }

    /// Has the proxy connect us to the server of `url`.
    async fn tunnel(
        &self,
        tcp: &mut TcpStream,
        url: &Url,
        authorization: Option<&str>,
    ) -> Result<(), FetchError> {
        let mut out = Zeroizing::new(Vec::new());
        encode_connect(url, &self.user_agent, authorization, &mut out)?;
        tcp.write_all(&out).await.map_err(|_| FetchError::Proxy)?;
        let mut codec = ConnectCodec::new(Limits::client(0));
        let mut buffer = [0; 1024];
        loop {
            match codec.poll() {
                ConnectEvent::Established => return Ok(()),
                ConnectEvent::Failed(error) => return Err(error),
                ConnectEvent::NeedBytes => {
                    let wanted = codec.wants_bytes().min(buffer.len());
                    let space = buffer.get_mut(..wanted).unwrap_or_default();
                    match tcp.read(space).await {
                        Ok(0) => codec.finish(),
                        Ok(count) => take(|bytes| codec.receive(bytes), space, count)?,
                        Err(_) => return Err(FetchError::Proxy),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

/// Writes the request and reads its answer.
async fn exchange(
    stream: &mut Stream,
    request: &[u8],
    limits: Limits,
) -> Result<FetchReply, FetchError> {
    // A server may refuse before it has read everything; what it says then is worth reading, so
    // a failed write is not the end yet.
    if stream.write_all(request).await.is_ok() {
        let _ = stream.flush().await;
    }
    let mut codec = ClientCodec::new(limits, false);
    let mut buffer = Zeroizing::new(vec![0; READ_BYTES]);
    loop {
        match codec.poll() {
            ClientEvent::Reply(reply) => return Ok(reply),
            ClientEvent::Failed(error) => return Err(error),
            ClientEvent::Done => return Err(FetchError::Protocol),
            ClientEvent::NeedBytes => {
                let wanted = codec.wants_bytes().min(buffer.len());
                let space = buffer.get_mut(..wanted).unwrap_or_default();
                match stream.read(space).await {
                    Ok(0) => codec.finish(),
                    Ok(count) => take(|bytes| codec.receive(bytes), space, count)?,
                    Err(error) => return Err(broken(&error, stream.is_tls())),
                }
            }
        }
    }
}

/// Gives `count` bytes to a codec that said it wants them.
fn take(
    receive: impl FnOnce(&[u8]) -> usize,
    space: &[u8],
    count: usize,
) -> Result<(), FetchError> {
    let bytes = space.get(..count).unwrap_or_default();
    // Zero would mean a codec that wants bytes and has no room, and a loop without end.
    if !bytes.is_empty() && receive(bytes) == bytes.len() {
        Ok(())
    } else {
        Err(FetchError::Protocol)
    }
}

/// A stream that breaks off amid an answer. In TLS 1.3 a client learns only here that its
/// certificate was refused.
fn broken(error: &io::Error, is_tls: bool) -> FetchError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum belongs to std and grows")]
    match error.kind() {
        io::ErrorKind::InvalidData if is_tls => fetch_error(error),
        _ => FetchError::Protocol,
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, FetchError> {
    let addresses = resolve(host, port).await?;
    let tcp = connect_any(addresses).await?;
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

/// All addresses of a host, the two families in turn, the system's favourite first.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_owned();
    let found = smol::unblock(move || (name.as_str(), port).to_socket_addrs()).await;
    let found: Vec<SocketAddr> = found.map_err(|_| FetchError::Resolve)?.collect();
    let first_is_v6 = found.first().ok_or(FetchError::Resolve)?.is_ipv6();
    let (favoured, other): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut favoured, mut other) = (favoured.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [favoured.next(), other.next()];
        if pair == [None, None] || mixed.len() >= ADDRESSES_MAX {
            return Ok(mixed);
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// The first connection that comes about. Each address gets a head start over the next one; a
/// host with a broken IPv6 route thus costs a quarter of a second, not the whole time.
async fn connect_any(addresses: Vec<SocketAddr>) -> Result<TcpStream, FetchError> {
    type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
    let mut waiting = addresses.into_iter().peekable();
    let mut trying: Vec<Attempt> = Vec::new();
    let mut timer = Timer::never();
    poll_fn(|cx| {
        loop {
            let (before, mut won) = (trying.len(), None);
            trying.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(tcp)) => {
                    won.get_or_insert(tcp);
                    false
                }
                Poll::Ready(Err(_)) => false,
            });
            if let Some(tcp) = won {
                return Poll::Ready(Ok(tcp));
            }
            if trying.is_empty() && waiting.peek().is_none() {
                return Poll::Ready(Err(FetchError::Connect));
            }
            let one_failed = trying.len() < before;
            let is_due =
                trying.is_empty() || one_failed || Pin::new(&mut timer).poll(cx).is_ready();
            match waiting.next_if(|_| is_due) {
                Some(address) => {
                    trying.push(Box::pin(TcpStream::connect(address)));
                    timer.set_after(STAGGER);
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
