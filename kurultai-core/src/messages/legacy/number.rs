//! A JSON number as Python reads it and writes it again.

use crate::json::MAX_DIGITS;

/// Whether an integer is written as it stands.
pub(super) fn is_kept(token: &str) -> bool {
    token.len() <= MAX_DIGITS && token != "-0"
}

/// Writes what `json.dumps(json.loads(token))` is. The token is a number by JSON's grammar.
///
/// An integer keeps its digits; Python has no integer -0. Anything with a fraction or an exponent is a double. Says why
/// where Python cannot read it, or reads it as an infinity, which is no JSON.
pub(super) fn write(token: &str, out: &mut String) -> Result<(), &'static str> {
    if token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return match token.parse::<f64>() {
            Ok(double) if double.is_finite() => {
                write_double(double, out);
                Ok(())
            }
            _ => Err("a number beyond the largest double"),
        };
    }
    if token.trim_start_matches('-').len() > MAX_DIGITS {
        return Err("an integer of more than 4,300 digits");
    }
    out.push_str(if token == "-0" { "0" } else { token });
    Ok(())
}

/// Python's `repr` of a finite double: the shortest digits that read back as the same, in positions from 1e-4 to below
/// 1e16, else with an exponent of a sign and at least two digits.
fn write_double(double: f64, out: &mut String) {
    let scientific = shortest(double);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, mantissa) = mantissa.split_at(usize::from(mantissa.starts_with('-')));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    out.push_str(sign);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{mantissa}e{sign}{:02}", exponent.abs()));
        return;
    }
    let digits = mantissa.replace('.', "");
    let zeros = |count: usize| "0".repeat(count);
    if exponent < 0 {
        let before = exponent.unsigned_abs() as usize - 1;
        out.extend(["0.", &zeros(before), &digits]);
        return;
    }
    let whole = exponent.unsigned_abs() as usize + 1;
    match digits.split_at_checked(whole) {
        Some((whole, "")) => out.extend([whole, ".0"]),
        Some((whole, fraction)) => out.extend([whole, ".", fraction]),
        None => out.extend([&digits, &zeros(whole - digits.len()), ".0"]),
    }
}

/// Where two numbers of that many digits are equally near, Rust takes the larger and Python the even one, which is what
/// rounding to that many digits gives; just below a power of two that may be another double.
fn shortest(double: f64) -> String {
    let shortest = format!("{double:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    // Two numbers of so few digits are never the same double.
    if digits <= 15 {
        return shortest;
    }
    let rounded = format!("{double:.*e}", digits - 1);
    let is_same = rounded.parse().is_ok_and(|read: f64| read.to_bits() == double.to_bits());
    if is_same { rounded } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(token: &str) -> String {
        let mut out = String::new();
        match write(token, &mut out) {
            Ok(()) => out,
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn doubles_are_laid_out_as_python_does() {
        for (token, repr) in [
            ("1.0", "1.0"),
            ("1.00", "1.0"),
            ("1E5", "100000.0"),
            ("1e15", "1000000000000000.0"),
            ("1234567890123456.7", "1234567890123456.8"),
            ("1e16", "1e+16"),
            ("1.5e16", "1.5e+16"),
            ("1e22", "1e+22"),
            ("0.0001", "0.0001"),
            ("0.00012", "0.00012"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("12.75", "12.75"),
            ("-0.0", "-0.0"),
            ("-0e0", "-0.0"),
            ("0e99999999999999999999", "0.0"),
            ("-1e-400", "-0.0"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("123456789012345678.0", "1.2345678901234568e+17"),
            // As near to .3.
            ("1187010160336603.25", "1187010160336603.2"),
            ("-1187010160336603.75", "-1187010160336603.8"),
            // 2^-44 is nearer to ...801, which is another double.
            ("5.684341886080802e-14", "5.684341886080802e-14"),
        ] {
            assert_eq!(said(token), repr, "{token}");
        }
    }

    #[test]
    fn integers_keep_their_digits() {
        let (longest, longer) = ("9".repeat(4300), "9".repeat(4301));
        for token in ["0", "7", "-7", "9007199254740993", "18446744073709551617", &longest] {
            assert_eq!(said(token), token);
        }
        assert_eq!(said(&format!("-{longest}")), format!("-{longest}"));
        assert_eq!(said("-0"), "0");
        assert_eq!(said(&longer), "an integer of more than 4,300 digits");
        assert_eq!(said(&format!("-{longer}")), "an integer of more than 4,300 digits");
        assert_eq!(said(&format!("0.{longer}")), "1.0");
    }

    #[test]
    fn infinities_are_refused() {
        for token in ["1e400", "-1e400", "1e99999999999999999999", "1.7976931348623159e308"] {
            assert_eq!(said(token), "a number beyond the largest double");
        }
    }
}
