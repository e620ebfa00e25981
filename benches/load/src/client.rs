//! The smallest client that measures a server and not itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::client::{ClientConfig, Resumption};
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::TcpStream;

/// Takes every certificate unseen: on loopback there is nobody else, and the load must cost less
/// than what it loads.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS settings of every client: no session is resumed.
pub fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has both")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// One TLS connection.
pub struct Conn {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer; its body lies in the buffer of the connection.
pub struct Answer {
    /// Status code.
    pub status: u16,
    body: std::ops::Range<usize>,
}

impl Conn {
    /// Connects and does the handshake.
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends the bytes of a request and reads the whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.send(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let text = std::str::from_utf8(&self.buffer[..head]).map_err(|_| broken())?;
        let status = text.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
        let length = text
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .ok_or_else(broken)?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, body: head..head + length })
    }

    /// Sends bytes and waits for nothing.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Body of the last answer.
    pub fn body(&self, answer: &Answer) -> &[u8] {
        &self.buffer[answer.body.clone()]
    }

    /// Reads until the server closes, as it does after `connection: close`.
    pub async fn until_closed(&mut self) {
        while self.more().await.is_ok() {}
    }

    /// Takes leave, as a client does that has its answer.
    pub async fn close(&mut self) {
        let _ = self.stream.close().await;
    }

    async fn more(&mut self) -> io::Result<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + 8192, 0);
        let count = self.stream.read(&mut self.buffer[filled..]).await?;
        self.buffer.truncate(filled + count);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Bytes of a request.
pub fn request(method: &str, path: &str, close: bool, body: &[u8]) -> Vec<u8> {
    let close = if close { "connection: close\r\n" } else { "" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: talosctl-oidc\r\n\
         accept: application/json\r\ncontent-type: application/json\r\n{close}\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The request of a login.
pub fn exchange(body: &[u8], close: bool) -> Vec<u8> {
    request("POST", "/exchange", close, body)
}
