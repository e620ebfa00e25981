//! RFC 3339 text of a moment, in UTC.

use core::fmt;

use crate::machine::UnixTime;

/// Prints a moment as `2026-02-17T14:30:00Z`; reads the same form with fraction or offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub UnixTime);

/// Year, month and day of a count of days since 1970-01-01 (proleptic Gregorian calendar).
pub(super) fn civil(days: u64) -> (u64, u64, u64) {
    // Shifted to 0000-03-01, so that the leap day is the last of its year.
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01 of a date from 1970 on; `None` before.
pub(super) fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The moment of a date and a time of day; `None` where there is no such date or time, and before
/// 1970. A leap second counts as the one behind it.
pub(crate) fn seconds(date: (u64, u64, u64), time: (u64, u64, u64)) -> Option<UnixTime> {
    let ((year, month, day), (hour, minute, second)) = (date, time);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day).filter(|days| civil(*days) == date)?;
    Some(UnixTime::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// Century, year of it, month, day, hour, minute and second of a moment, two digits each; `None`
/// beyond the year 9999.
pub(crate) fn digits(at: UnixTime) -> Option<[[u8; 2]; 7]> {
    let (year, month, day) = civil(at.secs() / 86_400);
    let of_day = at.secs() % 86_400;
    let parts = [year / 100, year % 100, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60];
    let mut digits = [[b'0'; 2]; 7];
    for ([tens, ones], part) in digits.iter_mut().zip(parts) {
        let part = u8::try_from(part).ok().filter(|part| *part < 100)?;
        *tens += part / 10;
        *ones += part % 10;
    }
    Some(digits)
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.secs();
        let Some([[c0, c1], [y0, y1], [m0, m1], [d0, d1], [h0, h1], [i0, i1], [s0, s1]]) =
            digits(self.0)
        else {
            let (year, month, day) = civil(secs / 86_400);
            let (hour, minute) = (secs / 3600 % 24, secs / 60 % 60);
            let second = secs % 60;
            return write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        };
        // Several times in every exchange, so without the formatter's padding.
        let text = [
            c0, c1, y0, y1, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1,
            b'Z',
        ];
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl core::str::FromStr for Rfc3339 {
    type Err = ();

    /// Reads `YYYY-MM-DDThh:mm:ss[.frac](Z|±hh:mm)` (RFC 3339 section 5.6); the fraction is cut.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |range: core::ops::Range<usize>| -> Result<u64, ()> {
            let part = text.get(range).ok_or(())?;
            if !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(());
            }
            part.parse().map_err(|_| ())
        };
        let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
        for (at, mark) in marks {
            let found = text.get(at..at + 1).ok_or(())?;
            if !found.eq_ignore_ascii_case(mark.encode_utf8(&mut [0; 4])) {
                return Err(());
            }
        }
        let date = (number(0..4)?, number(5..7)?, number(8..10)?);
        let time = (number(11..13)?, number(14..16)?, number(17..19)?);
        let local = seconds(date, time).ok_or(())?.secs();
        let mut zone = text.get(19..).ok_or(())?;
        if let Some(fraction) = zone.strip_prefix('.') {
            let end = fraction.bytes().take_while(u8::is_ascii_digit).count();
            zone = fraction.get(end..).filter(|_| end > 0).ok_or(())?;
        }
        if zone.eq_ignore_ascii_case("z") {
            return Ok(Self(UnixTime::from_secs(local)));
        }
        let at = text.len() - zone.len();
        if zone.len() != 6 || zone.get(3..4) != Some(":") {
            return Err(());
        }
        let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
        if hours > 23 || minutes > 59 {
            return Err(());
        }
        let offset = hours * 3600 + minutes * 60;
        let secs = match zone.get(..1) {
            Some("+") => local.checked_sub(offset),
            Some("-") => local.checked_add(offset),
            _ => None,
        };
        secs.map(|secs| Self(UnixTime::from_secs(secs))).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_771_338_600, "2026-02-17T14:30:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Rfc3339(UnixTime::from_secs(secs)).to_string(), text);
        }
        let read = |s: &str| s.parse::<Rfc3339>().map(|t| t.0.secs());
        assert_eq!(read("2026-02-17T15:30:00.123456789+01:00"), Ok(1_771_338_600));
        for bad in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-02-17 14:30",
            "2026-02-17T14:30:00",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(read(bad), Err(()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_then_reading_is_identity(secs in 0u64..253_402_300_800) {
            let at = Rfc3339(UnixTime::from_secs(secs));
            prop_assert_eq!(at.to_string().parse::<Rfc3339>(), Ok(at));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Rfc3339>();
        }
    }
}
