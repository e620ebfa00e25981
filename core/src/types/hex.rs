//! Lower-case hexadecimal.

use alloc::string::String;
use alloc::vec;

/// Two digits an octet. Written for each certificate several times, so four octets at once.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len().saturating_mul(2)];
    let (fours, rest) = bytes.as_chunks::<4>();
    let (eights, tail) = text.as_chunks_mut::<8>();
    for (four, eight) in fours.iter().zip(eights) {
        *eight = eight_digits(u32::from_be_bytes(*four));
    }
    let mut four = [0; 4];
    for (to, from) in four.iter_mut().zip(rest) {
        *to = *from;
    }
    for (to, digit) in tail.iter_mut().zip(eight_digits(u32::from_be_bytes(four))) {
        *to = digit;
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The digits of four octets, each computed in a byte of its own.
fn eight_digits(octets: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut spread = u64::from(octets);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Six more than ten to fifteen reach the next nibble.
    let letters = (spread + 6 * ONES) >> 4 & ONES;
    let to_letter = u64::from(b'a' - b'0' - 10);
    (spread + u64::from(b'0') * ONES + letters * to_letter).to_be_bytes()
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
        assert_eq!(
            hex(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff]),
            "0123456789abcdefff"
        );
    }
}
