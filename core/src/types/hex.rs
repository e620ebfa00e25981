//! Lower-case hexadecimal.

use alloc::string::String;

/// Two digits an octet. Written for each certificate several times, so without the formatter.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn every_octet() {
        for octet in 0..=u8::MAX {
            assert_eq!(hex(&[octet]), format!("{octet:02x}"));
        }
        assert_eq!(hex(&[]), "");
    }
}
