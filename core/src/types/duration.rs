//! Durations in Go's grammar (`1h30m`, `.5s`), and the lifetime of a certificate.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::str::FromStr;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration as Go's `time.Duration`: signed nanoseconds in 64 bits.
///
/// Parses and prints exactly what Go's `ParseDuration` and `String` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Not `number unit` repeated.
    Syntax,
    /// A number without a unit, such as `5`.
    MissingUnit,
    /// A unit other than ns, us, ms, s, m, h.
    UnknownUnit,
    /// Over about 292 years.
    Overflow,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not a duration; write for example 5m, 90s or 1h30m",
            Self::MissingUnit => "a duration needs a unit; write for example 5m, 90s or 1h30m",
            Self::UnknownUnit => "unknown unit; the units are ns, us, ms, s, m and h",
            Self::Overflow => "the duration is too long",
        })
    }
}

impl GoDuration {
    /// `secs` whole seconds, at most 292 years.
    #[must_use]
    pub fn from_secs(secs: u32) -> Self {
        Self(i64::from(secs).saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, cut towards zero; `None` when negative.
    #[must_use]
    pub fn millis(self) -> Option<u64> {
        u64::try_from(self.0.checked_div(1_000_000)?).ok().filter(|_| self.0 >= 0)
    }

    /// Whole seconds, cut towards zero; `None` when negative.
    #[must_use]
    pub fn secs(self) -> Option<u64> {
        self.millis().map(|ms| ms / 1000)
    }
}

/// Splits a leading run of decimal digits off.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(DurationError::Syntax);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => digits(after),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(DurationError::Syntax);
            }
            let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (name, next) = after.split_at(end);
            if name.is_empty() {
                return Err(DurationError::MissingUnit);
            }
            let unit = UNITS
                .iter()
                .find(|(unit, _)| *unit == name)
                .map(|(_, nanos)| *nanos)
                .ok_or(DurationError::UnknownUnit)?;
            total = total
                .checked_add(scaled(whole, fraction, unit).ok_or(DurationError::Overflow)?)
                .ok_or(DurationError::Overflow)?;
            rest = next;
        }
        let magnitude = i128::from(total);
        let signed = if negative { -magnitude } else { magnitude };
        i64::try_from(signed).map(Self).map_err(|_| DurationError::Overflow)
    }
}

/// `whole.fraction` times `unit`, cut towards zero; `None` on overflow.
fn scaled(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut part: u128 = 0;
    let mut scale: u128 = 1;
    // Beyond 18 digits a fraction of an hour is below a nanosecond.
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    let part = u64::try_from(part * u128::from(unit) / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut text = String::new();
        if self.0 < 0 {
            text.push('-');
        }
        let nanos = self.0.unsigned_abs();
        let written = if nanos < 1_000 {
            write!(text, "{nanos}ns")
        } else if nanos < 1_000_000 {
            decimal(&mut text, nanos, 1_000, "\u{b5}s")
        } else if nanos < 1_000_000_000 {
            decimal(&mut text, nanos, 1_000_000, "ms")
        } else {
            let (hours, rest) = (nanos / 3_600_000_000_000, nanos % 3_600_000_000_000);
            let (minutes, rest) = (rest / 60_000_000_000, rest % 60_000_000_000);
            if hours > 0 {
                write!(text, "{hours}h")?;
            }
            if hours > 0 || minutes > 0 {
                write!(text, "{minutes}m")?;
            }
            decimal(&mut text, rest, 1_000_000_000, "s")
        };
        written?;
        f.write_str(&text)
    }
}

/// Writes `value / unit` without trailing zeros.
fn decimal(out: &mut String, value: u64, unit: u64, name: &str) -> fmt::Result {
    write!(out, "{}", value / unit)?;
    let mut rest = value % unit;
    if rest > 0 {
        out.push('.');
        let mut scale = unit / 10;
        while rest > 0 && scale > 0 {
            write!(out, "{}", rest / scale)?;
            rest %= scale;
            scale /= 10;
        }
    }
    out.push_str(name);
    Ok(())
}

/// Lifetime of an issued certificate: whole seconds, at least one, at most a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

/// Why a duration is no lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlError {
    /// Under one second, zero or negative.
    TooShort,
    /// Over 8760 hours.
    TooLong,
}

impl fmt::Display for TtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "a certificate lifetime is at least 1s",
            Self::TooLong => "a certificate lifetime is at most 8760h",
        })
    }
}

impl Ttl {
    /// The lifetime that stands where none is configured: five minutes.
    pub const DEFAULT: Self = Self(300);

    /// A lifetime of whole seconds.
    ///
    /// # Errors
    /// [`TtlError`] outside one second to one year.
    pub fn from_secs(secs: u64) -> Result<Self, TtlError> {
        match u32::try_from(secs) {
            Ok(0) => Err(TtlError::TooShort),
            Ok(secs) if secs <= 31_536_000 => Ok(Self(secs)),
            Ok(_) | Err(_) => Err(TtlError::TooLong),
        }
    }

    /// Seconds.
    #[must_use]
    pub const fn secs(self) -> u32 {
        self.0
    }
}

impl TryFrom<GoDuration> for Ttl {
    type Error = TtlError;

    fn try_from(duration: GoDuration) -> Result<Self, TtlError> {
        Self::from_secs(duration.secs().ok_or(TtlError::TooShort)?)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        GoDuration::from_secs(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_like_go() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("5m", 300_000_000_000, "5m0s"),
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            (".5s", 500_000_000, "500ms"),
            ("-1.5s", -1_500_000_000, "-1.5s"),
            ("+3us", 3_000, "3\u{b5}s"),
            ("1ns", 1, "1ns"),
            ("2h30m0s", 9_000_000_000_000, "2h30m0s"),
            ("5.s", 5_000_000_000, "5s"),
        ] {
            let parsed: GoDuration = text.parse().unwrap();
            assert_eq!((parsed.nanos(), parsed.to_string().as_str()), (nanos, printed), "{text}");
        }
        for (text, error) in [
            ("", DurationError::Syntax),
            ("-", DurationError::Syntax),
            ("5", DurationError::MissingUnit),
            ("1d", DurationError::UnknownUnit),
            ("5 m", DurationError::UnknownUnit),
            (".s", DurationError::Syntax),
            ("m", DurationError::Syntax),
            ("3000000h", DurationError::Overflow),
        ] {
            assert_eq!(text.parse::<GoDuration>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_lifetime_has_bounds() {
        let ttl = |s: &str| Ttl::try_from(s.parse::<GoDuration>().unwrap());
        assert_eq!(ttl("30s").unwrap().secs(), 30);
        assert_eq!(ttl("0"), Err(TtlError::TooShort));
        assert_eq!(ttl("-5m"), Err(TtlError::TooShort));
        assert_eq!(ttl("900ms"), Err(TtlError::TooShort));
        assert_eq!(ttl("8761h"), Err(TtlError::TooLong));
    }

    proptest! {
        #[test]
        fn printing_then_reading_is_identity(nanos in any::<i64>()) {
            let duration = GoDuration(nanos);
            prop_assert_eq!(duration.to_string().parse::<GoDuration>(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<GoDuration>();
        }
    }
}
