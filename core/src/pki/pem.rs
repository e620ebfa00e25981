//! PEM (RFC 7468): blocks out of an operator's text, and back.
//!
//! Text around the blocks, CRLF, unwrapped or unevenly wrapped base64 and blanks at line ends are
//! accepted; whatever would have to be guessed is refused with a reason that helps.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::pem::Base64Decoder;
use zeroize::Zeroizing;

use super::base64;

/// Longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most blocks in one text.
pub const BLOCKS_MAX: usize = 64;
/// Columns of base64 that are written (RFC 7468 section 2).
const COLUMNS: usize = 64;

/// What a block says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// `CERTIFICATE`
    Certificate,
    /// `CERTIFICATE REQUEST`, also read as `NEW CERTIFICATE REQUEST`
    CertificateRequest,
    /// `PRIVATE KEY`: PKCS#8
    PrivateKey,
    /// `ED25519 PRIVATE KEY`: what Talos writes around PKCS#8
    Ed25519PrivateKey,
    /// `EC PRIVATE KEY`: SEC1
    EcPrivateKey,
    /// `RSA PRIVATE KEY`: PKCS#1
    RsaPrivateKey,
}

impl Label {
    /// The text between `BEGIN` and the dashes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::CertificateRequest => "CERTIFICATE REQUEST",
            Self::PrivateKey => "PRIVATE KEY",
            Self::Ed25519PrivateKey => "ED25519 PRIVATE KEY",
            Self::EcPrivateKey => "EC PRIVATE KEY",
            Self::RsaPrivateKey => "RSA PRIVATE KEY",
        }
    }

    /// Whether the block holds an unencrypted private key.
    #[must_use]
    pub const fn is_private_key(self) -> bool {
        match self {
            Self::PrivateKey
            | Self::Ed25519PrivateKey
            | Self::EcPrivateKey
            | Self::RsaPrivateKey => true,
            Self::Certificate | Self::CertificateRequest => false,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "CERTIFICATE" => Some(Self::Certificate),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Some(Self::CertificateRequest),
            "PRIVATE KEY" => Some(Self::PrivateKey),
            "ED25519 PRIVATE KEY" => Some(Self::Ed25519PrivateKey),
            "EC PRIVATE KEY" => Some(Self::EcPrivateKey),
            "RSA PRIVATE KEY" => Some(Self::RsaPrivateKey),
            _ => None,
        }
    }
}

/// One decoded block, wiped on drop.
pub struct Block {
    /// What it says it holds.
    pub label: Label,
    /// The decoded bytes.
    pub der: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, {} bytes)", self.label.as_str(), self.der.len())
    }
}

/// Why a text gives no blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemError {
    /// Over [`TEXT_BYTES_MAX`] or [`BLOCKS_MAX`].
    TooLarge,
    /// The text is `******`, what Talos prints in place of a secret.
    Redacted,
    /// The text is base64 of PEM, as it stands in YAML.
    Base64,
    /// No line begins with `-----BEGIN `, but the words occur: indented, or `\n` written out.
    NotAtLineStart,
    /// Nothing that looks like PEM.
    NoBlock,
    /// A block without its end, or with something in it that is not base64.
    Malformed {
        /// Line of the text, from 1.
        line: usize,
    },
    /// A private key that needs a passphrase.
    Encrypted,
}

impl PemError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "pki.pem_too_large",
            Self::Redacted => "pki.redacted",
            Self::Base64 => "pki.pem_in_base64",
            Self::NotAtLineStart => "pki.pem_line_start",
            Self::NoBlock => "pki.no_pem",
            Self::Malformed { .. } => "pki.pem_malformed",
            Self::Encrypted => "pki.key_encrypted",
        }
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the PEM text is over 1 MiB or 64 blocks"),
            Self::Redacted => f.write_str(
                "the value is ******, which Talos prints in place of a secret: take it from the \
                 original controlplane.yaml or secrets.yaml",
            ),
            Self::Base64 => f.write_str(
                "the value is base64 of a PEM text, as in a Talos YAML file: decode it once \
                 (base64 -d)",
            ),
            Self::NotAtLineStart => f.write_str(
                "-----BEGIN must start a line: remove the indentation and use real line breaks \
                 instead of \\n",
            ),
            Self::NoBlock => f.write_str("no PEM block found: expected -----BEGIN ...-----"),
            Self::Malformed { line } => write!(f, "the PEM block around line {line} is damaged"),
            Self::Encrypted => f.write_str(
                "the private key is encrypted: decrypt it first (openssl pkey -in KEY -out PLAIN)",
            ),
        }
    }
}

/// The blocks of `text` with a label of [`Label`], in order. Blocks of other kinds are skipped.
///
/// # Errors
/// [`PemError`]. A text with only foreign blocks gives an empty list.
pub fn blocks(text: &str) -> Result<Vec<Block>, PemError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(PemError::TooLarge);
    }
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim_end).enumerate();
    let mut any = false;
    while let Some((index, line)) = lines.next() {
        let Some(name) = boundary(line, "-----BEGIN ") else {
            continue;
        };
        any = true;
        if name == "ENCRYPTED PRIVATE KEY" {
            return Err(PemError::Encrypted);
        }
        let der = body(name, index.saturating_add(1), &mut lines)?;
        if let Some(label) = Label::from_text(name) {
            if found.len() >= BLOCKS_MAX {
                return Err(PemError::TooLarge);
            }
            found.push(Block { label, der });
        }
    }
    if any { Ok(found) } else { Err(diagnose(text)) }
}

/// The label of a boundary line.
fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

/// Reads up to the end line of `name` and decodes what stands before it. `last` is the number of
/// the line that was read last.
fn body<'a>(
    name: &str,
    mut last: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(4096));
    for (index, line) in lines {
        last = index.saturating_add(1);
        let malformed = PemError::Malformed { line: last };
        if let Some(end) = boundary(line, "-----END ") {
            if end != name {
                return Err(malformed);
            }
            return decode(&base64).ok_or(malformed);
        }
        if line.starts_with("-----") {
            return Err(malformed);
        }
        // RFC 1421 headers; OpenSSL writes `Proc-Type: 4,ENCRYPTED` before an encrypted key.
        if line.contains(':') {
            if line.contains("ENCRYPTED") {
                return Err(PemError::Encrypted);
            }
            continue;
        }
        base64.extend(line.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    }
    Err(PemError::Malformed { line: last })
}

/// Constant-time base64, so that the timing of loading a key tells nothing about it.
fn decode(base64: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut der = Zeroizing::new(Vec::new());
    Base64Decoder::new(base64).ok()?.decode_to_end(&mut der).ok()?;
    Some(der)
}

/// Names the usual mistake behind a text without a block.
fn diagnose(text: &str) -> PemError {
    let trimmed = text.trim();
    if trimmed == "******" {
        PemError::Redacted
    } else if trimmed.starts_with("LS0tLS1CRUdJT") {
        PemError::Base64
    } else if trimmed.contains("-----BEGIN ") {
        PemError::NotAtLineStart
    } else {
        PemError::NoBlock
    }
}

/// Writes one block: 64 columns, LF, a line end after the last line.
///
/// Written in place, so that no copy of a private key stays behind. `None` never in practice.
pub(crate) fn encode(label: Label, der: &[u8]) -> Option<String> {
    let [begin, end] = ["BEGIN", "END"].map(|kind| ["-----", kind, " ", label.as_str(), "-----\n"]);
    let characters = base64::length(der.len());
    let body = characters + characters.div_ceil(COLUMNS);
    let boundaries: usize = begin.iter().chain(&end).map(|part| part.len()).sum();
    let mut text = Vec::with_capacity(boundaries + body);
    begin.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    let start = text.len();
    text.resize(start + body, b'\n');
    let lines = text.get_mut(start..)?.chunks_mut(COLUMNS + 1);
    for (line, octets) in lines.zip(der.chunks(COLUMNS / 4 * 3)) {
        base64::encode(octets, line);
    }
    end.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use der::pem::{LineEnding, encode_string};
    use proptest::prelude::*;

    const BODY: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn reads_what_tools_write() {
        for text in [
            BODY.into(),
            BODY.replace('\n', "\r\n"),
            format!("subject=O = talos\n{BODY}trailing words"),
            BODY.replace("MAA=", "M\nA A\n\n="),
            BODY.replace("MAA=", "Key: value\n\nMAA="),
            BODY.trim_end().into(),
        ] {
            let found = blocks(&text).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].label, &found[0].der[..]), (Label::Certificate, &[0x30, 0][..]));
        }
        let foreign = BODY.replace("CERTIFICATE", "EC PARAMETERS");
        assert_eq!(blocks(&foreign).unwrap().len(), 0);
        assert_eq!(blocks(&format!("{foreign}{BODY}")).unwrap().len(), 1);
    }

    #[test]
    fn refuses_with_the_reason() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n";
        for (text, error) in [
            ("", PemError::NoBlock),
            ("******\n", PemError::Redacted),
            ("LS0tLS1CRUdJTiBDRVJU", PemError::Base64),
            ("  -----BEGIN CERTIFICATE-----", PemError::NotAtLineStart),
            (key, PemError::Encrypted),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----", PemError::Encrypted),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n", PemError::Malformed { line: 2 }),
            ("-----BEGIN CERTIFICATE-----", PemError::Malformed { line: 1 }),
        ] {
            assert_eq!(blocks(text).unwrap_err(), error, "{text}");
        }
        for (from, to, line) in [
            ("END CERTIFICATE", "END PRIVATE KEY", 3),
            ("MAA=", "MA*=", 3),
            ("MAA=", "MAA", 3),
            ("MAA=", "", 3),
            ("MAA=", "-----BEGIN CERTIFICATE-----", 2),
        ] {
            let error = blocks(&BODY.replace(from, to)).err();
            // An empty block decodes to nothing, which no reader of a block accepts.
            assert!(to.is_empty() || error == Some(PemError::Malformed { line }), "{to}");
        }
        assert_eq!(blocks(&" ".repeat(TEXT_BYTES_MAX + 1)).unwrap_err(), PemError::TooLarge);
        assert_eq!(blocks(&" ".repeat(TEXT_BYTES_MAX)).unwrap_err(), PemError::NoBlock);
        let told = format!("{}", PemError::Malformed { line: 7 });
        assert!(told.contains("line 7"), "{told}");
        assert_eq!(blocks(&BODY.repeat(BLOCKS_MAX + 1)).unwrap_err(), PemError::TooLarge);
    }

    #[test]
    fn prints_nothing_of_its_content() {
        assert_eq!(format!("{:?}", blocks(BODY).unwrap()), "[Block(CERTIFICATE, 2 bytes)]");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(der in proptest::collection::vec(any::<u8>(), 1..500)) {
            for label in [Label::Certificate, Label::EcPrivateKey, Label::CertificateRequest] {
                let text = encode(label, &der).unwrap();
                prop_assert_eq!(&text, &encode_string(label.as_str(), LineEnding::LF, &der).unwrap());
                prop_assert!(text.lines().all(|line| line.len() <= 64));
                let found = blocks(&text).unwrap();
                prop_assert_eq!((found[0].label, &found[0].der[..]), (label, &der[..]));
            }
        }

        #[test]
        fn no_text_panics(text in "(-----BEGIN |-----END |CERTIFICATE|-----|[ -~\u{e9}]|\n){0,30}") {
            let _ = blocks(&text);
        }
    }
}
