//! How the original program's keychain library writes an entry on macOS: as base64 or hexadecimal
//! digits behind a prefix, depending on its version. It reads plain text as well, which is what we
//! write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BASE64: &str = "go-keyring-base64:";
const HEX: &str = "go-keyring-encoded:";

/// The text of an entry, whoever wrote it; `None` when it is none.
pub(super) fn plain(secret: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(&secret).ok()?.trim();
    let bytes = if let Some(base64) = text.strip_prefix(BASE64) {
        Zeroizing::new(STANDARD.decode(base64).ok()?)
    } else if let Some(digits) = text.strip_prefix(HEX) {
        hex(digits)?
    } else {
        return Some(Zeroizing::new(text.to_owned()));
    };
    Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()))
}

fn hex(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for pair in digits.as_bytes().chunks_exact(2) {
        out.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_any_version_wrote() {
        let read = |text: &str| plain(Zeroizing::new(text.into())).map(|text| text.to_string());
        let json = r#"{"issuer":"https://i"}"#;
        assert_eq!(read(json).as_deref(), Some(json));
        assert_eq!(read(&format!("{json}\n")).as_deref(), Some(json));
        let base64 = format!("go-keyring-base64:{}", STANDARD.encode(json));
        assert_eq!(read(&base64).as_deref(), Some(json));
        let digits: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(read(&format!("go-keyring-encoded:{digits}\n")).as_deref(), Some(json));
        for bad in ["go-keyring-base64:*", "go-keyring-encoded:7", "go-keyring-encoded:+1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(plain(Zeroizing::new(vec![0xff])), None);
    }
}
