//! The date that HTTP answers carry.

use core::fmt;
use core::str::FromStr;

use super::timestamp::{civil, days_from_civil};
use crate::machine::UnixTime;

/// Prints and reads a moment as `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 section
/// 5.6.7). The two obsolete forms are not read: nobody has sent them for decades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate(pub UnixTime);

/// Days of the week; 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn name(names: &'static [&'static str], at: u64) -> &'static str {
    usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.secs();
        let days = secs / 86_400;
        let (year, month, day) = civil(days);
        let of_day = secs % 86_400;
        write!(
            f,
            "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
            name(&DAYS, days % 7),
            name(&MONTHS, month - 1),
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        )
    }
}

impl FromStr for HttpDate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (day_name, rest) = text.split_once(", ").ok_or(())?;
        if !DAYS.contains(&day_name) {
            return Err(());
        }
        let mut words = rest.split(' ');
        let mut word = || words.next().ok_or(());
        let (day, month, year, time, zone) = (word()?, word()?, word()?, word()?, word()?);
        let number = |text: &str, digits: usize, max: u64| {
            let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            let value: u64 = if sound { text.parse().map_err(|_| ())? } else { return Err(()) };
            if value <= max { Ok(value) } else { Err(()) }
        };
        let month = MONTHS.iter().position(|name| *name == month).ok_or(())?;
        let month = u64::try_from(month).map_err(|_| ())? + 1;
        let days = days_from_civil(number(year, 4, 9999)?, month, number(day, 2, 31)?).ok_or(())?;
        let mut parts = time.split(':');
        let mut part = |max| parts.next().ok_or(()).and_then(|text| number(text, 2, max));
        let secs = part(23)? * 3600 + part(59)? * 60 + part(60)?;
        if zone != "GMT" || words.next().is_some() || parts.next().is_some() {
            return Err(());
        }
        Ok(Self(UnixTime::from_secs(days * 86_400 + secs)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 9110, and what `date -u` says of others.
    #[test]
    fn is_the_fixed_form() {
        for (secs, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            assert_eq!(HttpDate(UnixTime::from_secs(secs)).to_string(), text);
            assert_eq!(text.parse(), Ok(HttpDate(UnixTime::from_secs(secs))));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:1 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1900 08:49:37 GMT",
        ] {
            assert_eq!(bad.parse::<HttpDate>(), Err(()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(secs in 0u64..253_402_300_800) {
            let date = HttpDate(UnixTime::from_secs(secs));
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<HttpDate>();
        }
    }
}
