//! Go durations: `"300ms"`, `"-1.5h"`, `"2h45m"`.

/// The length in nanoseconds, or `None` if Go's `time.ParseDuration` would
/// refuse the text.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = prefix(rest, |c| c.is_ascii_digit() || c == '.');
        rest = rest.strip_prefix(number)?;
        let unit = prefix(rest, |c| !c.is_ascii_digit() && c != '.');
        rest = rest.strip_prefix(unit)?;
        total = total.checked_add(scaled(number, nanoseconds(unit)?)?)?;
    }
    let limit = i128::from(i64::MAX) + i128::from(negative);
    (total <= limit).then_some(if negative { -total } else { total })
}

/// Whether two texts are the same duration.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    a == b || parse(a).is_some_and(|a| Some(a) == parse(b))
}

fn prefix(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).map_or("", |(head, _)| head)
}

fn nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    let mut unit = unit;
    for digit in fraction.bytes().take(20) {
        unit /= 10;
        total = total.checked_add(i128::from(digit - b'0') * unit)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_as_go_does() {
        assert_eq!(parse("1m0s"), parse("60s"));
        assert_eq!(parse("0.1h"), parse("6m"));
        assert_eq!(parse("100ms"), Some(100_000_000));
        assert_eq!(parse("-1.5h"), parse("-90m"));
        assert_eq!(parse("0"), Some(0));
        for text in [
            "",
            "5",
            "s",
            "1x",
            "1h2",
            "1..5s",
            ".s",
            "1 s",
            "9999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn equal_compares_lengths() {
        assert!(equal("0s", "0"));
        assert!(equal("100ms", "0.1s"));
        assert!(!equal("5s", "5m"));
        assert!(!equal("", "0s"));
    }
}
