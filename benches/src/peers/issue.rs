//! The same certificate made by rcgen.

use std::hint::black_box;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use ring::rand::SystemRandom;

use crate::fixed::Ca;
use crate::issue::{NAME, ROLES, random};
use crate::{Peers, Run};

/// The same certificate as a user of rcgen makes it. Nothing is parsed again.
pub fn issue(ca: &Ca) -> Peers {
    let key = KeyPair::from_pem(ca.key_pem).expect("rcgen reads the key");
    let issuer = Issuer::from_ca_cert_pem(ca.pem, key).expect("rcgen reads the CA");
    let rng = SystemRandom::new();
    let (from, to) = (rcgen::date_time_ymd(2027, 1, 15), rcgen::date_time_ymd(2027, 1, 16));
    let run: Run = Box::new(move || {
        let leaf = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, ROLES[0]);
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.not_before = from;
        params.not_after = to;
        params.serial_number = Some(SerialNumber::from_slice(&random::<16>(&rng)));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&leaf, &issuer).expect("a certificate");
        black_box((certificate.pem(), leaf.serialize_pem()));
    });
    vec![("rcgen 0.14, ring", run)]
}
