//! The day and hour, as Python's `strftime` writes them.

use std::time::{SystemTime, UNIX_EPOCH};

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
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `now` in UTC by `format` (Python's); what is no directive of C's `strftime` stays as it is.
pub fn strftime(format: &str, now: SystemTime) -> String {
    let date = Date::of(now);
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let directive = rest.next().unwrap_or('%');
        // `%-d` is `%d` without its leading zero.
        let (bare, directive) = if directive == '-' { (true, rest.next().unwrap_or('-')) } else { (false, directive) };
        match date.part(directive) {
            Some(part) if bare && part.trim_start_matches('0').is_empty() => out.push('0'),
            Some(part) if bare => out.push_str(part.trim_start_matches('0')),
            Some(part) => out.push_str(&part),
            None => out.extend(['%', directive]),
        }
    }
    out
}

/// A moment of the proleptic Gregorian calendar, in UTC.
struct Date {
    year: u64,
    /// From 0.
    month: usize,
    day: u64,
    /// Day of the year, from 1.
    of_year: u64,
    /// Days since 1970.
    days: u64,
    /// Seconds of the day.
    seconds: u64,
}

impl Date {
    /// A moment before 1970 counts as its first.
    fn of(now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (days, seconds) = (since / 86_400, since % 86_400);
        let (mut year, mut left) = (1970, days);
        while left >= length(year) {
            left -= length(year);
            year += 1;
        }
        let of_year = left + 1;
        let mut month = 0;
        while left >= month_length(year, month) {
            left -= month_length(year, month);
            month += 1;
        }
        Self { year, month, day: left + 1, of_year, days, seconds }
    }

    fn part(&self, directive: char) -> Option<String> {
        let (month, day) = (MONTHS.get(self.month)?, DAYS.get((self.days % 7) as usize)?);
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        Some(match directive {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month + 1),
            'B' => (*month).to_owned(),
            'b' | 'h' => month.chars().take(3).collect(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.of_year),
            'A' => (*day).to_owned(),
            'a' => day.chars().take(3).collect(),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month + 1, self.day),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'D' => format!("{:02}/{:02}/{:02}", self.month + 1, self.day, self.year % 100),
            'Z' => "UTC".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn length(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_length(year: u64, month: usize) -> u64 {
    match month {
        1 => 28 + u64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_is_written_as_python_writes_it() {
        // datetime.fromtimestamp(t, UTC).strftime(...)
        let cases = [
            (0, "%d %b %Y %a", "01 Jan 1970 Thu"),
            (951_782_400, "%B %d, %Y (%A, day %j)", "February 29, 2000 (Tuesday, day 060)"),
            (1_735_689_599, "%Y-%m-%d %H:%M:%S %p %I", "2024-12-31 23:59:59 PM 11"),
            (1_735_689_600, "%F %T %D %y %e|%-d|%-m|%-j|%-H|100%%", "2025-01-01 00:00:00 01/01/25 25  1|1|1|1|0|100%"),
            (4_107_542_400, "%d %B %Y", "01 March 2100"),
        ];
        for (seconds, format, text) in cases {
            assert_eq!(strftime(format, at(seconds)), text);
        }
    }

    #[test]
    fn what_is_no_directive_stays() {
        assert_eq!(strftime("%Q %", at(0)), "%Q %");
        assert_eq!(strftime("%-", at(0)), "%-");
    }
}
