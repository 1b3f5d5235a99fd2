//! Dates and times of day as people's loggers write them.

use jiff::{Timestamp, civil};

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;
/// The first three letters of the months' names, and those of other languages that differ.
const MONTHS: [(&str, u8); 23] = [
    ("jan", 1),
    ("feb", 2),
    ("mar", 3),
    ("mär", 3),
    ("mrz", 3),
    ("apr", 4),
    ("avr", 4),
    ("may", 5),
    ("mai", 5),
    ("jun", 6),
    ("jui", 7),
    ("jul", 7),
    ("aug", 8),
    ("aoû", 8),
    ("sep", 9),
    ("oct", 10),
    ("okt", 10),
    ("out", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("déc", 12),
    ("dic", 12),
];
/// Longest text that is looked at: `Wednesday, 30 September 2024 at 10:40:00.123456789 PM GMT+01:00`.
const LONGEST: usize = 72;

/// What a field says of the time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stamp {
    /// A date and a time of day, since 1970.
    Moment(f64),
    /// The same, of a date whose first two numbers may both be the day: `day_first` or `month_first`, NaN where one of them is no date.
    Either { day_first: f64, month_first: f64 },
    /// A time of day, or since some start.
    OfDay(f64),
}

/// A field as a time; `None` for anything but a date or a time of day, numbers among them.
pub(crate) fn parse(field: &str) -> Option<Stamp> {
    if field.len() > LONGEST || !field.as_bytes().iter().any(u8::is_ascii_digit) {
        return None;
    }
    if field.starts_with(|first: char| first.is_ascii_digit())
        && let Some(stamp) = iso(field)
    {
        return Some(stamp);
    }
    Parts::of(field)?.stamp()
}

/// ISO 8601, which most fields are.
fn iso(field: &str) -> Option<Stamp> {
    if let Ok(time) = field.parse::<Timestamp>() {
        return Some(Stamp::Moment(time.as_microsecond() as f64 * 1e-6));
    }
    let time = field.parse::<civil::DateTime>().ok()?;
    Some(Stamp::Moment(since_1970(time)))
}

fn since_1970(time: civil::DateTime) -> f64 {
    time.duration_since(civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs_f64()
}

/// Seconds since 1970 of a number whose digits are a date, `20240501`, or a date and a time, `20240501224000`; `None` where they are none.
pub(crate) fn of_digits(number: f64) -> Option<f64> {
    let whole = number.trunc();
    let (date, time) = match whole {
        19_000_101.0..=21_001_231.0 => (whole, 0.0),
        190_001_010_000.0..=210_012_312_359.0 => ((whole / 1e4).trunc(), 100.0 * (whole % 1e4)),
        19_000_101_000_000.0..=21_001_231_235_959.0 => ((whole / 1e6).trunc(), whole % 1e6),
        _ => return None,
    };
    let midnight = midnight((date / 1e4).trunc(), (date / 100.0).trunc() % 100.0, date % 100.0)?;
    let (hour, minute, second) = ((time / 1e4).trunc(), (time / 100.0).trunc() % 100.0, time % 100.0);
    (hour < 24.0 && minute < 60.0 && second < 60.0)
        .then_some(midnight + 3600.0 * hour + 60.0 * minute + second + (number - whole))
}

/// Seconds since 1970 at which a day begins.
fn midnight(year: f64, month: f64, day: f64) -> Option<f64> {
    let year = if year < 100.0 { year + if year < 70.0 { 2000.0 } else { 1900.0 } } else { year };
    let date = civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    Some(since_1970(date.at(0, 0, 0, 0)))
}

/// What a text is made of.
#[derive(Default)]
struct Parts {
    /// The numbers that are of a date, each with its digits and the mark behind it.
    date: Vec<(f64, usize, char)>,
    /// Month by its name, and how many numbers of the date came before it.
    month: Option<(u8, usize)>,
    /// Hours, minutes and seconds.
    time: Option<f64>,
    /// Days of a time since a start, `1 days 02:03:04`.
    days: Option<f64>,
    /// Seconds by which its clock is ahead of UTC.
    ahead: f64,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let mut parts = Self::default();
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            rest = if first.is_ascii_digit() {
                parts.number(rest)?
            } else if first.is_alphabetic() {
                parts.word(&rest[..length].to_lowercase())?;
                &rest[length..]
            } else if first == '+' || (first == '-' && parts.has_date_and_time()) {
                parts.offset(rest)?
            } else if matches!(first, ' ' | ',' | '.' | '/' | '-' | '_' | '\t' | '(' | ')') {
                &rest[first.len_utf8()..]
            } else {
                return None;
            };
        }
        Some(parts)
    }

    /// Whether a minus sign now is that of an offset, and none between the numbers of a date.
    fn has_date_and_time(&self) -> bool {
        self.time.is_some() && [0, 3].contains(&(self.date.len() + usize::from(self.month.is_some())))
    }

    /// Takes a number: of the time of day, if a colon follows, else of the date. Returns what is behind it.
    fn number<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let rest = &text[digits..];
        if rest.starts_with(':') && self.time.is_none() {
            let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ','))).unwrap_or(text.len());
            self.time = Some(time_of_day(text[..end].trim_end_matches([',', '.']))?);
            return Some(&text[end..]);
        }
        let mark = rest.chars().next().unwrap_or(' ');
        self.date.push((text[..digits].parse().ok()?, digits, mark));
        if self.date.len() > 3 {
            return None;
        }
        // `2024-05-01T22:40:00`, and months between numbers as in `01May2024`.
        Some(rest.strip_prefix('T').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(rest))
    }

    /// Takes a word: a half of the day, a zone, a month or a day of the week.
    fn word(&mut self, word: &str) -> Option<()> {
        const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let start: String = word.chars().take(3).collect();
        match word {
            "am" | "pm" | "a" | "p" | "m" => self.half(word)?,
            "utc" | "gmt" | "z" | "at" | "t" | "um" | "uhr" | "h" => {}
            "day" | "days" => self.days = Some(self.date.pop()?.0),
            // The name of a month, whole or shortened, in the company of numbers.
            _ => match MONTHS.iter().find(|(name, _)| *name == start) {
                Some((_, month)) if self.month.is_none() => self.month = Some((*month, self.date.len())),
                _ if WEEKDAYS.contains(&&*start) => {}
                // Names of zones do not change within a recording but for summer time: CET, EST …
                _ if self.time.is_some() && (3..=5).contains(&word.len()) => {}
                _ => return None,
            },
        }
        Some(())
    }

    fn half(&mut self, word: &str) -> Option<()> {
        let time = self.time.as_mut().filter(|time| **time < 13.0 * 3600.0);
        match (word.as_bytes().first()?, time) {
            (b'm', _) => {}
            (b'a', Some(time)) if *time >= 12.0 * 3600.0 => *time -= 12.0 * 3600.0,
            (b'p', Some(time)) if *time < 12.0 * 3600.0 => *time += 12.0 * 3600.0,
            (_, Some(_)) => {}
            (_, None) => return None,
        }
        Some(())
    }

    /// Takes `+02:00`, `-0530` or `+2`.
    fn offset<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        let end = text[1..].find(|c: char| !(c.is_ascii_digit() || c == ':')).map_or(text.len(), |end| end + 1);
        let digits: String = text[1..end].chars().filter(char::is_ascii_digit).collect();
        let number: f64 = digits.parse().ok()?;
        let (hours, minutes) =
            if digits.len() > 2 { ((number / 100.0).trunc(), number % 100.0) } else { (number, 0.0) };
        self.ahead = sign * (3600.0 * hours + 60.0 * minutes);
        Some(&text[end..])
    }

    fn stamp(&self) -> Option<Stamp> {
        if let Some(days) = self.days {
            return self.date.is_empty().then(|| Stamp::OfDay(DAY * days + self.time.unwrap_or(0.0)));
        }
        if self.date.is_empty() {
            return if self.month.is_none() { self.time.map(Stamp::OfDay) } else { None };
        }
        let seconds = self.time.unwrap_or(0.0) - self.ahead;
        let moment = |year, month, day| Some(seconds + midnight(year, month, day)?);
        match (&self.date[..], self.month) {
            // `May 1 2024`, `1 May 2024`, `2024 May 1`.
            ([(a, digits, _), (b, ..)], Some((month, _))) => {
                let (year, day) = if *digits == 4 { (*a, *b) } else { (*b, *a) };
                moment(year, f64::from(month), day).map(Stamp::Moment)
            }
            ([(year, 4, _), (month, ..), (day, ..)], None) => moment(*year, *month, *day).map(Stamp::Moment),
            // Dots are of countries that put the day first.
            ([(day, _, '.'), (month, ..), (year, ..)], None) => moment(*year, *month, *day).map(Stamp::Moment),
            ([(a, _, mark), (b, ..), (year, digits, _)], None)
                if matches!(mark, '/' | '-') && matches!(digits, 2 | 4) =>
            {
                let either = [moment(*year, *b, *a), moment(*year, *a, *b)];
                let [day_first, month_first] = either.map(|moment| moment.unwrap_or(f64::NAN));
                (!day_first.is_nan() || !month_first.is_nan()).then_some(Stamp::Either { day_first, month_first })
            }
            // Written without marks, `20240501 22:40:00` or `20240501T224000`.
            ([(date, 8, _)], None) if self.time.is_some() => Some(Stamp::Moment(of_digits(*date)? + seconds)),
            ([(date, 8, _), (time, 6 | 4, _)], None) if self.time.is_none() => {
                let time = if self.date[1].1 == 4 { 100.0 * time } else { *time };
                Some(Stamp::Moment(of_digits(1e6 * date + time)? - self.ahead))
            }
            _ => None,
        }
    }
}

/// Seconds of `22:40`, `22:40:00`, `22:40:00.5`, `22:40:00,5` or `22:40:00:500`.
fn time_of_day(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let (hours, minutes) = (parts.next()?.parse::<f64>().ok()?, parts.next()?.parse::<f64>().ok()?);
    let seconds = parts.next().map_or(Ok(0.0), |seconds| seconds.replace(',', ".").parse::<f64>()).ok()?;
    let fraction = match parts.next() {
        Some(digits) => format!("0.{digits}").parse::<f64>().ok()?,
        None => 0.0,
    };
    (parts.next().is_none() && minutes < 60.0 && seconds < 61.0)
        .then_some(3600.0 * hours + 60.0 * minutes + seconds + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date -u -d '2024-05-01 22:40:00' +%s`
    const EVENING: f64 = 1_714_603_200.0;

    #[test]
    fn one_moment_in_many_notations() {
        for text in [
            "2024-05-01 22:40:00",
            "2024-05-01T22:40:00Z",
            "2024-05-01 22:40",
            "2024-05-02 00:40:00+02:00",
            "2024-05-02 00:40:00 +0200",
            "2024/05/01 22:40:00",
            "2024.05.01 22:40:00",
            "01.05.2024 22:40:00",
            "01.05.2024, 22:40",
            "1.5.24 22:40:00",
            "2024-05-01 22:40:00 UTC",
            "2024-05-01 22:40:00.000 GMT",
            "Wed May 01 22:40:00 2024",
            "Wed, 01 May 2024 22:40:00 +0000",
            "Wed May  1 22:40:00 UTC 2024",
            "01-May-2024 22:40:00",
            "1. Mai 2024 22:40",
            "May 1, 2024 10:40:00 PM",
            "May 1, 2024, 10:40 p.m.",
            "2024-05-01_22:40:00",
            "20240501T224000",
            "20240501 22:40:00",
            "20240501 224000",
            "2024-05-01 22:40:00:000",
        ] {
            assert_eq!(parse(text), Some(Stamp::Moment(EVENING)), "{text}");
        }
        assert_eq!(of_digits(20_240_501_224_000.0), Some(EVENING));
        assert_eq!(of_digits(202_405_012_240.0), Some(EVENING));
        assert_eq!(of_digits(20_240_501.0), Some(EVENING - 22.0 * 3600.0 - 2400.0));
        assert!([20_241_301.0, 20_240_501_254_000.0, 1.7e9, 5.0].iter().all(|number| of_digits(*number).is_none()));
        assert_eq!(parse("2024-05-01 22:40:00,250"), Some(Stamp::Moment(EVENING + 0.25)));
        assert_eq!(parse("12:00:00 AM 2024-05-01"), Some(Stamp::Moment(EVENING - 22.0 * 3600.0 - 2400.0)));
    }

    #[test]
    fn a_date_of_two_small_numbers_may_be_two_dates() {
        let day = EVENING - 22.0 * 3600.0 - 2400.0;
        // The first of May, or the fifth of January, 117 days before it.
        for (text, day_first, month_first) in [
            ("05/01/2024", day - 117.0 * DAY, day),
            ("01/05/2024", day, day - 117.0 * DAY),
            ("01-05-24", day, day - 117.0 * DAY),
            ("05/01/24 12:00:00 AM", day - 117.0 * DAY, day),
        ] {
            assert_eq!(parse(text), Some(Stamp::Either { day_first, month_first }), "{text}");
        }
        let Some(Stamp::Either { day_first, month_first }) = parse("05/31/2024 10:40:00 PM") else { panic!() };
        assert!(day_first.is_nan() && month_first == EVENING + 30.0 * DAY);
    }

    #[test]
    fn times_of_day_and_what_is_no_time() {
        for (text, seconds) in [
            ("22:40:00", 81_600.0),
            ("10:40 PM", 81_600.0),
            ("12:00:00 am", 0.0),
            ("0:00:01.5", 1.5),
            ("125:30:00", 451_800.0),
            ("1 days 00:00:05", 86_405.0),
        ] {
            assert_eq!(parse(text), Some(Stamp::OfDay(seconds)), "{text}");
        }
        for text in [
            "",
            "sensor-1",
            "12",
            "1.5",
            "1:2:3:4:5",
            "May",
            "32/13/2024",
            "PLC-7",
            "a1",
            "192.168.0.1",
            "v1.2.3",
            "1-2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
