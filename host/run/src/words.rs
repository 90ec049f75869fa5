//! Names and numbers as people read them.

use std::path::Path;

use serde::Serializer;

/// A path in JSON, which is UTF-8: what is not becomes a mark, as on the screen.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// JSON that shows what it holds: characters that turn the direction of text, or are not seen, are written by their numbers. All
/// of them stand in texts, where that means the same.
pub fn visible_json(json: String) -> String {
    if json.is_ascii() {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() || retune_roles::text::is_line(c.encode_utf8(&mut [0; 4])) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    shown
}

/// A role's name without the file it came from: `focal`, not `focal (plugins/focal.wasm)`.
pub fn plain(who: &str) -> &str {
    who.split(" (").next().unwrap_or(who)
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `22.7 M`, for parameters.
pub fn amount(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        // From where one decimal would round up to the next unit, that unit.
        1_000..999_950 => format!("{:.1} K", number as f64 / 1e3),
        999_950..999_950_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.2} B", number as f64 / 1e9),
    }
}

/// `86.7 MiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Reads `2GiB`, `500 MB`, `4096`: a number of bytes, in powers of 1024 with an `i` and of 1000 without.
///
/// # Errors
/// What is expected, when it is none.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    match text[..end].parse::<f64>().map(|number| number * unit) {
        Ok(bytes) if bytes.is_finite() => Ok(bytes as u64),
        _ => Err("expected a size such as 500MB, 2GiB or a number of bytes".to_owned()),
    }
}

/// `45 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `2026-03-14 15:09 UTC`, from seconds since 1970.
pub fn date(seconds: f64) -> String {
    let whole = seconds.max(0.0) as i64;
    // Days to civil date, with years that begin in March (the leap day comes last).
    let days = whole / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", whole % 86_400 / 3_600, whole % 3_600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_made_visible_says_the_same() {
        let value = serde_json::json!({"a": "größer\u{202e}\u{e0041}\n\u{9b}", "\u{2066}": "✓"});
        let shown = visible_json(format!("{value:#}"));
        assert!(shown.contains("größer\\u202e\\udb40\\udc41\\n\\u009b") && shown.contains('✓'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count).join(" "), "0 999 1,000 1,234,567");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0.0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400.0), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_773_500_940.0), "2026-03-14 15:09 UTC");
    }

    #[test]
    fn durations_and_sizes_have_two_figures_that_matter() {
        assert_eq!([4.25, 45.0, 200.0, 7500.0].map(duration).join(", "), "4.2 s, 45 s, 3 min 20 s, 2 h 05 min");
        assert_eq!([12, 2_048, 90_900_000].map(bytes).join(", "), "12 B, 2.0 KiB, 86.7 MiB");
        assert_eq!([999, 1_000, 22_700_000, 1_235_000_000].map(amount).join(", "), "999, 1.0 K, 22.7 M, 1.24 B");
    }

    #[test]
    fn a_figure_that_rounds_up_to_a_thousand_is_one_of_the_next_unit() {
        assert_eq!([999_949, 999_950, 999_999].map(amount).join(", "), "999.9 K, 1.0 M, 1.0 M");
        assert_eq!([999_949_999, 999_999_999].map(amount).join(", "), "999.9 M, 1.00 B");
        assert_eq!([1_048_575, 1_073_741_823].map(bytes).join(", "), "1.0 MiB, 1.0 GiB");
        assert_eq!([59.96, 3_599.7].map(duration).join(", "), "1 min 00 s, 1 h 00 min");
        assert_eq!(duration(9.97), "10 s");
    }

    #[test]
    fn a_size_is_read_as_it_is_written() {
        let read = ["0", "4096", "500 MB", "2GiB", "1.5k"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [0, 4096, 500_000_000, 2 << 30, 1536]);
        assert!(["", "GiB", "-1", "2 apples", "1.2.3"].iter().all(|text| parse_bytes(text).is_err()));
    }
}
