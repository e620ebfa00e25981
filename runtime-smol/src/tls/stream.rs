//! One connection, encrypted or not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_rustls::{client, server};
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::TcpStream;

/// A TCP connection, plain or inside TLS.
#[derive(Debug)]
pub struct Stream(pub(super) Inner);

#[derive(Debug)]
pub(super) enum Inner {
    Plain(TcpStream),
    // Boxed: an idle plain connection should not be as large as a TLS session.
    Server(Box<server::TlsStream<TcpStream>>),
    Client(Box<client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection without TLS.
    #[must_use]
    pub fn plain(tcp: TcpStream) -> Self {
        Self(Inner::Plain(tcp))
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        !matches!(self.0, Inner::Plain(_))
    }

    /// The TCP connection below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Inner::Plain(tcp) => tcp,
            Inner::Server(tls) => tls.get_ref().0,
            Inner::Client(tls) => tls.get_ref().0,
        }
    }

    /// The peer's certificates in DER, its own first. Empty without TLS or when it showed none.
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        let shown = match &self.0 {
            Inner::Plain(_) => None,
            Inner::Server(tls) => tls.get_ref().1.peer_certificates(),
            Inner::Client(tls) => tls.get_ref().1.peer_certificates(),
        };
        shown.unwrap_or_default().iter().map(|der| der.to_vec()).collect()
    }

    /// The application protocol both sides agreed on, if they named one.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Plain(_) => None,
            Inner::Server(tls) => tls.get_ref().1.alpn_protocol(),
            Inner::Client(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Server(tls) => Pin::new(tls).poll_read(cx, buf),
            Inner::Client(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Inner::Server(tls) => Pin::new(tls).poll_write(cx, buf),
            Inner::Client(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Server(tls) => Pin::new(tls).poll_flush(cx),
            Inner::Client(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// Ends the writing side: `close_notify` with TLS, then the TCP half-close.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(tcp) => Pin::new(tcp).poll_close(cx),
            Inner::Server(tls) => Pin::new(tls).poll_close(cx),
            Inner::Client(tls) => Pin::new(tls).poll_close(cx),
        }
    }
}
