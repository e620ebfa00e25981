//! Decimal digits.

use alloc::string::String;

/// Appends `number`. Lines and heads are full of short numbers, and the formatter takes several
/// times as long over each.
pub(crate) fn push_decimal(out: &mut String, number: u64) {
    let mut digits = [b'0'; 20];
    let (mut left, mut used) = (number, 0);
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    let written = digits.get(digits.len() - used..).unwrap_or_default();
    out.push_str(core::str::from_utf8(written).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn all_lengths() {
        let mut number = 0_u64;
        for digit in (1..=9).chain(0..=9) {
            let mut out = String::from("x");
            push_decimal(&mut out, number);
            assert_eq!(out, alloc::format!("x{number}"));
            number = number * 10 + digit;
        }
        let mut out = String::new();
        push_decimal(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn any_number(number in any::<u64>(), shift in 0..64) {
            let (mut out, number) = (String::new(), number >> shift);
            push_decimal(&mut out, number);
            prop_assert_eq!(out, number.to_string());
        }
    }
}
