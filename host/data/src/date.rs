//! A day, written as Python's `strftime` writes it at midnight.

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: i64,
    month: u32,
    day: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    /// Reads `2026-11-26`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |part: &str, many: usize| {
            (part.len() == many && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u32>().ok())?
        };
        let mut parts = text.split('-');
        let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let date = Self { year: i64::from(year), month, day };
        let sound = parts.next().is_none() && (1..=12).contains(&month) && (1..=date.days_in_month()).contains(&day);
        sound.then_some(date)
    }

    /// The day it is, by the clock of this machine in UTC: for advice, never for data.
    pub fn today() -> Self {
        let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let (mut date, mut left) = (Self { year: 1970, month: 1, day: 1 }, seconds / 86_400);
        while left >= u64::from(date.days_in_month()) {
            left -= u64::from(date.days_in_month());
            (date.year, date.month) = if date.month == 12 { (date.year + 1, 1) } else { (date.year, date.month + 1) };
        }
        date.day += left as u32;
        date
    }

    fn leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_in_month(self) -> u32 {
        match self.month {
            2 if self.leap() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Days since the first of January, from 1.
    fn of_year(self) -> u32 {
        (1..self.month).map(|month| Self { month, ..self }.days_in_month()).sum::<u32>() + self.day
    }

    /// 0 for Sunday.
    fn weekday(self) -> usize {
        let before = self.year - 1;
        let days = before * 365 + before / 4 - before / 100 + before / 400 + i64::from(self.of_year());
        days.rem_euclid(7) as usize
    }

    /// As `strftime` with this format; the sentence that names a directive it does not know.
    pub fn format(self, format: &str) -> Result<String, String> {
        let (mut out, mut chars) = (String::new(), format.chars());
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut directive = chars.next();
            let unpadded = directive == Some('-');
            if unpadded {
                directive = chars.next();
            }
            let number = |value: u32, width: usize| {
                if unpadded { value.to_string() } else { format!("{value:0width$}") }
            };
            let (month, weekday) = (MONTHS[self.month as usize - 1], DAYS[self.weekday()]);
            out.push_str(&match directive {
                Some('Y') => self.year.to_string(),
                Some('y') => number((self.year % 100) as u32, 2),
                Some('m') => number(self.month, 2),
                Some('d') => number(self.day, 2),
                Some('e') => format!("{:2}", self.day),
                Some('j') => number(self.of_year(), 3),
                Some('B') => month.to_owned(),
                Some('b' | 'h') => month[..3].to_owned(),
                Some('A') => weekday.to_owned(),
                Some('a') => weekday[..3].to_owned(),
                Some('F') => self.to_string(),
                Some('H' | 'M' | 'S') => number(0, 2),
                Some('I') => "12".to_owned(),
                Some('p') => "AM".to_owned(),
                Some('%') => "%".to_owned(),
                other => {
                    let directive: String = other.into_iter().collect();
                    return Err(format!("strftime_now cannot write `%{directive}`"));
                }
            });
        }
        Ok(out)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_python_writes_it() {
        // datetime(2026, 11, 26).strftime(…), and a leap day.
        let day = Date::parse("2026-11-26").unwrap();
        let written = day.format("%d %b %Y|%A %a|%B|%y %m %j|%-d|%H:%M:%S|%%|%F").unwrap();
        assert_eq!(written, "26 Nov 2026|Thursday Thu|November|26 11 330|26|00:00:00|%|2026-11-26");
        let leap = Date::parse("2024-02-29").unwrap();
        assert_eq!(leap.format("%a %d %b %Y %j").unwrap(), "Thu 29 Feb 2024 060");
        assert_eq!(Date::parse("2000-01-01").unwrap().format("%a").unwrap(), "Sat");
        assert_eq!(day.format("%Q").unwrap_err(), "strftime_now cannot write `%Q`");
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "26 Nov 2026", "2026-11-26-1", ""] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse(&Date::today().to_string()).is_some());
    }
}
