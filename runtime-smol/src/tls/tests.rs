use ::ring::digest::{SHA256, digest};
use exchange_core::http::FetchError;
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name))
    };
}

const CA: &[u8] = fixture!("ca.crt");
const SERVER: (&[u8], &[u8]) = (fixture!("server.crt"), fixture!("server.key"));
const EXPIRED: (&[u8], &[u8]) = (fixture!("expired.crt"), fixture!("expired.key"));

fn only(roots: &[u8]) -> ClientOptions<'_> {
    ClientOptions { roots: ClientRoots::Only(roots), ..ClientOptions::default() }
}

/// One handshake with `host`, an echo of four bytes, and an orderly end. Gives both streams.
fn meet(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> Result<(Stream, Stream), FetchError> {
    let talk = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = server.accept(tcp).await.ok()?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.ok()?;
            stream.write_all(&bytes).await.ok()?;
            stream.flush().await.ok()?;
            Some(stream)
        };
        let ask = async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let mut stream = client.connect(host, tcp).await.map_err(|e| fetch_error(&e))?;
            assert!(stream.is_tls());
            stream.write_all(b"ping").await.map_err(|e| fetch_error(&e))?;
            stream.flush().await.map_err(|e| fetch_error(&e))?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.map_err(|e| fetch_error(&e))?;
            assert_eq!(&bytes, b"ping");
            stream.close().await.map_err(|e| fetch_error(&e))?;
            Ok(stream)
        };
        let (served, asked) = future::zip(serve, ask).await;
        asked.map(|asked| (served.unwrap(), asked))
    };
    smol::block_on(crate::executor::within(10_000, talk)).expect("no deadlock")
}

fn server(pair: (&[u8], &[u8])) -> ServerTls {
    ServerTls::new(pair.0, pair.1, ServerTlsOptions::default()).unwrap()
}

#[test]
fn every_kind_of_key_serves() {
    let client = ClientTls::new(only(CA)).unwrap();
    assert_eq!(client.root_count(), 1);
    for (chain, key) in [
        SERVER,
        (SERVER.0, fixture!("server.sec1.key")),
        (fixture!("rsa.crt"), fixture!("rsa.key")),
        (fixture!("rsa.crt"), fixture!("rsa.pkcs1.key")),
        (fixture!("ed25519.crt"), fixture!("ed25519.key")),
        (fixture!("ed25519.crt"), fixture!("ed25519.talos.key")),
    ] {
        for host in ["localhost", "localhost.", "127.0.0.1", "::1"] {
            let (served, asked) = meet(&server((chain, key)), &client, host).unwrap();
            assert_eq!((served.protocol(), asked.protocol()), (Some(HTTP_1_1), Some(HTTP_1_1)));
            assert!(served.peer_certificates().is_empty());
        }
    }
}

#[test]
fn a_bad_certificate_has_a_name() {
    let refuse = |pair, options, host: &str| {
        meet(&server(pair), &ClientTls::new(options).unwrap(), host).map(|_| ()).unwrap_err()
    };
    assert_eq!(refuse(SERVER, only(CA), "other.example"), FetchError::WrongName);
    assert_eq!(refuse(SERVER, only(CA), "127.0.0.2"), FetchError::WrongName);
    assert_eq!(refuse(EXPIRED, only(CA), "localhost"), FetchError::ExpiredCertificate);
    let foreign = only(fixture!("other-ca.crt"));
    assert_eq!(refuse(SERVER, foreign, "localhost"), FetchError::UntrustedCertificate);
    // The system's roots are not ours; with ours added, they suffice.
    let system = ClientOptions::default();
    assert_eq!(refuse(SERVER, system, "localhost"), FetchError::UntrustedCertificate);
    let plus = ClientOptions { roots: ClientRoots::SystemPlus(CA), ..system };
    assert!(meet(&server(SERVER), &ClientTls::new(plus).unwrap(), "localhost").is_ok());
}

#[test]
fn insecure_takes_anybody_and_only_then() {
    let insecure = ClientOptions {
        verification: Verification::InsecureAcceptAnything,
        ..ClientOptions::default()
    };
    let client = ClientTls::new(insecure).unwrap();
    for pair in [SERVER, EXPIRED] {
        assert!(meet(&server(pair), &client, "other.example").is_ok());
    }
}

#[test]
fn a_pinned_authority_must_be_sent_and_must_have_signed() {
    let der = pem::certificates(CA).unwrap();
    let pin: [u8; 32] = digest(&SHA256, &der[0]).as_ref().try_into().unwrap();
    let pinned = |pin| {
        let verification = Verification::PinnedAuthority(pin);
        ClientTls::new(ClientOptions { verification, ..ClientOptions::default() }).unwrap()
    };
    let with_ca = |leaf: &[u8], ca: &[u8]| [leaf, ca].concat();
    let full = with_ca(SERVER.0, CA);
    assert!(meet(&server((&full, SERVER.1)), &pinned(pin), "localhost").is_ok());
    let refused = |chain: &[u8], key, client: &ClientTls, host| {
        meet(&server((chain, key)), client, host).map(|_| ()).unwrap_err()
    };
    let untrusted = FetchError::UntrustedCertificate;
    assert_eq!(refused(&full, SERVER.1, &pinned(pin), "other.example"), FetchError::WrongName);
    assert_eq!(refused(SERVER.0, SERVER.1, &pinned(pin), "localhost"), untrusted);
    assert_eq!(refused(&full, SERVER.1, &pinned([7; 32]), "localhost"), untrusted);
    let expired = with_ca(EXPIRED.0, CA);
    assert_eq!(
        refused(&expired, EXPIRED.1, &pinned(pin), "localhost"),
        FetchError::ExpiredCertificate
    );
    // Sending along the pinned certificate of somebody else proves nothing.
    let other = pem::certificates(fixture!("other-ca.crt")).unwrap();
    let pin: [u8; 32] = digest(&SHA256, &other[0]).as_ref().try_into().unwrap();
    let borrowed = with_ca(SERVER.0, fixture!("other-ca.crt"));
    assert_eq!(refused(&borrowed, SERVER.1, &pinned(pin), "localhost"), untrusted);
}

/// As `openssl req -x509` makes one: signed by itself, and an authority by its own word.
const ITSELF: (&[u8], &[u8]) = (fixture!("itself.crt"), fixture!("itself.key"));

#[test]
fn a_server_is_trusted_by_its_own_certificate() {
    let der = pem::certificates(ITSELF.0).unwrap();
    let pin: [u8; 32] = digest(&SHA256, &der[0]).as_ref().try_into().unwrap();
    let verification = Verification::PinnedAuthority(pin);
    let plus = ClientOptions { roots: ClientRoots::SystemPlus(ITSELF.0), ..Default::default() };
    let pinned = ClientOptions { verification, ..Default::default() };
    let trusts = |pair, options: ClientOptions<'_>, host| {
        let client = ClientTls::new(options).unwrap();
        meet(&server(pair), &client, host).map(|_| ())
    };
    for options in [only(ITSELF.0), plus, pinned] {
        assert_eq!(trusts(ITSELF, options, "localhost"), Ok(()));
        assert_eq!(trusts(ITSELF, options, "other.example"), Err(FetchError::WrongName));
        // It vouches for itself and for nobody else.
        let other = trusts(SERVER, options, "localhost");
        assert_eq!(other, Err(FetchError::UntrustedCertificate));
    }
    assert_eq!(trusts(ITSELF, only(CA), "localhost"), Err(FetchError::UntrustedCertificate));
    // One that an authority signed may be named just as well, but not past its end.
    assert_eq!(trusts(SERVER, only(SERVER.0), "localhost"), Ok(()));
    assert_eq!(trusts(SERVER, only(SERVER.0), "other.example"), Err(FetchError::WrongName));
    let expired = trusts(EXPIRED, only(EXPIRED.0), "localhost");
    assert_eq!(expired, Err(FetchError::ExpiredCertificate));
}

#[test]
fn a_server_may_demand_client_certificates() {
    let options = ServerTlsOptions { client_authorities: Some(CA), protocols: &[HTTP_2, HTTP_1_1] };
    let server = ServerTls::new(SERVER.0, SERVER.1, options).unwrap();
    let nobody = ClientTls::new(only(CA)).unwrap();
    assert_eq!(meet(&server, &nobody, "localhost").map(|_| ()).unwrap_err(), FetchError::Tls);
    let identity = Identity { chain: fixture!("client.crt"), key: fixture!("client.key") };
    let options = ClientOptions { identity: Some(identity), protocols: &[HTTP_2], ..only(CA) };
    let (served, asked) = meet(&server, &ClientTls::new(options).unwrap(), "localhost").unwrap();
    assert_eq!(
        served.peer_certificates(),
        [pem::certificates(identity.chain).unwrap()[0].to_vec()]
    );
    assert_eq!((served.protocol(), asked.protocol()), (Some(HTTP_2), Some(HTTP_2)));
    // A certificate of the right authority for the wrong purpose opens nothing.
    let identity = Identity { chain: SERVER.0, key: SERVER.1 };
    let options = ClientOptions { identity: Some(identity), ..only(CA) };
    assert!(meet(&server, &ClientTls::new(options).unwrap(), "localhost").is_err());
}

#[test]
fn the_certificate_changes_while_serving() {
    let tls = server(EXPIRED);
    let client = ClientTls::new(only(CA)).unwrap();
    assert!(meet(&tls, &client, "localhost").is_err());
    let options = ServerTlsOptions::default();
    assert_eq!(tls.replace(SERVER.0, EXPIRED.1, options), Err(TlsError::KeyMismatch));
    assert!(meet(&tls, &client, "localhost").is_err());
    tls.replace(SERVER.0, SERVER.1, options).unwrap();
    assert!(meet(&tls, &client, "localhost").is_ok());
}

#[test]
fn bad_material_is_told_apart() {
    let make = |chain: &[u8], key: &[u8]| {
        ServerTls::new(chain, key, ServerTlsOptions::default()).map(|_| ()).unwrap_err()
    };
    assert_eq!(make(b"", SERVER.1), TlsError::NoCertificate);
    assert_eq!(make(SERVER.0, b"nothing"), TlsError::NoKey);
    assert_eq!(make(SERVER.0, SERVER.0), TlsError::NoKey);
    assert_eq!(make(SERVER.0, EXPIRED.1), TlsError::KeyMismatch);
    let cut = &SERVER.0[..SERVER.0.len() / 2];
    assert_eq!(make(cut, SERVER.1), TlsError::BadPem);
    let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(make(junk, SERVER.1), TlsError::BadCertificate);
    let junk = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(make(SERVER.0, junk), TlsError::BadKey);
}
