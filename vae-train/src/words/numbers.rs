//! Numbers as people read them.

/// Four significant digits, `12.35`, `−0.0042`, `3.1·10⁷`.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "none"
        } else if value > 0.0 {
            "∞"
        } else {
            "−∞"
        }
        .to_owned();
    }
    let magnitude = libm::log10(value.abs()).floor() as i32;
    if !(-4..6).contains(&magnitude) {
        let (mantissa, exponent) = (value / 10f64.powi(magnitude), magnitude.to_string());
        let raised = exponent.chars().map(|c| match c.to_digit(10) {
            Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
            None => '⁻',
        });
        return format!("{}·10{}", decimals(mantissa, 2), raised.collect::<String>());
    }
    decimals(value, (3 - magnitude).max(0) as usize)
}

/// At most so many decimals, without trailing zeros.
fn decimals(value: f64, most: usize) -> String {
    let text = format!("{value:.most$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

/// So many decimals: for what stands in a column.
pub(crate) fn fixed(value: f64, digits: usize) -> String {
    format!("{value:.digits$}").replace('-', "−")
}

/// A share as `12.3 %`, with as many digits as tell it from 0 and 100.
pub(crate) fn percent(share: f64) -> String {
    let distance = share.min(1.0 - share).abs();
    let digits = if distance == 0.0 || distance >= 0.1 {
        1
    } else if distance >= 0.001 {
        2
    } else {
        3
    };
    format!("{} %", decimals(100.0 * share, digits))
}

/// `1.5 GiB`, `300 MiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    let (unit, size) = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .map(|(unit, power)| (unit, bytes / f64::from(1 << power)))
        .find(|(_, count)| *count >= 1.0)
        .unwrap_or(("bytes", bytes));
    format!("{} {unit}", decimals(size, if size < 10.0 { 1 } else { 0 }))
}

/// `38,535`.
pub(crate) fn count(value: impl TryInto<u64>) -> String {
    let digits = value.try_into().unwrap_or(u64::MAX).to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The first `most` of the names, and how many more there are: `a, b and 3 more`.
pub(crate) fn list_some(names: &[String], most: usize) -> String {
    let shown = names[..names.len().min(most)].join(", ");
    if names.len() > most { format!("{shown} and {} more", names.len() - most) } else { shown }
}

/// A number to five significant digits.
pub(crate) fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e7).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let before = if magnitude == 0.0 { 0 } else { libm::log10(magnitude).floor() as i32 };
    let text = format!("{value:.*}", (4 - before).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A value that is kept relative to an origin, as it was before that was subtracted: in the digits that the difference has.
pub(crate) fn absolute(difference: f32, origin: f64) -> f64 {
    // Not `f64::from`, which has digits that the shorter number does not.
    difference.to_string().parse::<f64>().unwrap_or(f64::from(difference)) + origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_to_four_digits() {
        let cases = [
            (0.0, "0"),
            (12.3456, "12.35"),
            (-0.00123456, "−0.001235"),
            (38_535.0, "38535"),
            (3.14e7, "3.14·10⁷"),
            (-2e-12, "−2·10⁻¹²"),
            (f64::NAN, "none"),
            (0.5, "0.5"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(["0", "999", "38,535", "1,000,000"], [0u64, 999, 38_535, 1_000_000].map(count)[..]);
        assert_eq!([0.0, 1.0, 0.9262, 0.99989].map(percent), ["0 %", "100 %", "92.62 %", "99.989 %"]);
        assert_eq!([absolute(0.1, 0.0), absolute(-3.2, 9_999_980.0)], [0.1, 9_999_976.8]);
        assert!(absolute(f32::NAN, 1.0).is_nan());
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([3, 2].map(|most| list_some(&names, most)), ["a, b, c", "a, b and 1 more"]);
    }
}
