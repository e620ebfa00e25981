use super::*;
use alloc::string::ToString as _;
use ring::rand::SystemRandom;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn names(texts: &[&str]) -> Vec<San> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn parse(identity: &TlsIdentity) -> TlsIdentity {
    let [ca_cert, ca_key, cert, key] =
        identity.files().map(|(_, text)| core::str::from_utf8(text).unwrap());
    TlsIdentity::parse(ca_cert, ca_key, cert, key, &SystemRandom::new()).unwrap()
}

#[test]
fn what_is_made_is_read() {
    let rng = SystemRandom::new();
    let wanted = names(&["localhost", "::1", "127.0.0.1", "localhost"]);
    let made = TlsIdentity::generate(&wanted, NOW, &rng).unwrap();
    let read = parse(&made);
    assert_eq!(read.names(), names(&["localhost", "127.0.0.1", "::1"]));
    assert_eq!(read.not_after(), NOW.plus_secs(LIFETIME_SECS));
    let ca = &pem::blocks(made.ca_cert_pem()).unwrap()[0];
    let digest = ring::digest::digest(&ring::digest::SHA256, &ca.der);
    assert_eq!(made.ca_fingerprint_sha256(), crate::types::hex(digest.as_ref()));
    assert_eq!(read.ca_fingerprint_sha256(), made.ca_fingerprint_sha256());
    assert!(made.key_pem().expose_str().unwrap().starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert_eq!(read.needs_renewal(NOW, &wanted), Renewal::Nothing);
}

#[test]
fn renewal_keeps_the_ca() {
    let rng = SystemRandom::new();
    let old = TlsIdentity::generate(&names(&["localhost"]), NOW, &rng).unwrap();
    let wanted = names(&["localhost", "10.0.0.7"]);
    assert_eq!(old.needs_renewal(NOW, &wanted), Renewal::Certificate);
    let later = NOW.plus_secs(LIFETIME_SECS - RENEW_SECS);
    let new = parse(&old.renew(&wanted, later, &rng).unwrap());
    assert_eq!(new.ca_cert_pem(), old.ca_cert_pem());
    assert_ne!(new.cert_pem(), old.cert_pem());
    // It ends with the CA, so there is nothing to gain before the CA itself ends.
    assert_eq!(new.not_after(), NOW.plus_secs(LIFETIME_SECS));
    assert_eq!(new.needs_renewal(later, &wanted), Renewal::Nothing);
    let last_day = NOW.plus_secs(LIFETIME_SECS - DAY_SECS);
    assert_eq!(new.needs_renewal(last_day, &wanted), Renewal::Everything);
}

/// The CA of the original lives longer than the certificate under it.
#[test]
fn renewal_comes_thirty_days_before_the_end() {
    let wanted = names(&["localhost"]);
    let mut identity = TlsIdentity::generate(&wanted, NOW, &SystemRandom::new()).unwrap();
    let end = identity.not_after();
    identity.ca_not_after = end.plus_secs(365 * DAY_SECS);
    let due = |now| identity.needs_renewal(now, &wanted);
    assert_eq!(due(end.minus_secs(RENEW_SECS + 1)), Renewal::Nothing);
    assert_eq!(due(end.minus_secs(RENEW_SECS)), Renewal::Certificate);
    assert_eq!(due(end.plus_secs(1)), Renewal::Certificate);
    let last_day = identity.ca_not_after.minus_secs(DAY_SECS);
    assert_eq!(due(last_day.minus_secs(1)), Renewal::Certificate);
    assert_eq!(due(last_day), Renewal::Everything);
}

#[test]
fn errors_name_the_file() {
    for (file, name) in [
        (TlsFile::CaCert, "ca.crt"),
        (TlsFile::CaKey, "ca.key"),
        (TlsFile::Cert, "server.crt"),
        (TlsFile::Key, "server.key"),
    ] {
        let told = TlsIdentityError::Certificate(file).to_string();
        assert!(told.starts_with(&alloc::format!("{name} holds no such certificate")), "{told}");
        let told = TlsIdentityError::Key(file, KeyError::Mismatch).to_string();
        assert!(told.starts_with(name) && told.contains("delete all four files"), "{told}");
    }
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let rng = SystemRandom::new();
    let make = || TlsIdentity::generate(&names(&["localhost"]), NOW, &rng).unwrap();
    let (one, two) = (make(), make());
    let texts = |identity: &TlsIdentity| {
        identity.files().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap())
    };
    let (good, other) = (texts(&one), texts(&two));
    let with = |at: usize, text: &str| {
        let mut files = good.clone();
        files[at] = text.into();
        TlsIdentity::parse(&files[0], &files[1], &files[2], &files[3], &rng).unwrap_err()
    };
    let mismatch = |file| TlsIdentityError::Key(file, KeyError::Mismatch);
    assert_eq!(with(0, &other[0]), mismatch(TlsFile::CaKey));
    assert_eq!(with(1, &other[1]), mismatch(TlsFile::CaKey));
    assert_eq!(with(2, &other[2]), mismatch(TlsFile::Key));
    assert_eq!(with(3, &other[3]), mismatch(TlsFile::Key));
    assert_eq!(with(0, &good[2]), TlsIdentityError::Certificate(TlsFile::CaCert));
    assert_eq!(with(2, ""), TlsIdentityError::Certificate(TlsFile::Cert));
    let crossed = TlsIdentity::parse(&good[0], &good[1], &other[2], &other[3], &rng);
    assert_eq!(crossed.unwrap_err(), TlsIdentityError::NotIssuedByCa);
}

#[test]
fn names_have_bounds() {
    let rng = SystemRandom::new();
    let many: Vec<San> =
        (0..=NAMES_MAX).map(|i| alloc::format!("h{i}.example").parse().unwrap()).collect();
    for names in [&[][..], &many] {
        let refused = TlsIdentity::generate(names, NOW, &rng).unwrap_err();
        assert_eq!(refused, TlsIdentityError::Names);
    }
}
